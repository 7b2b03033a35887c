//! Tokens that an agent has left, because it was killed or Vault did not let it revoke them; and leases of which Vault has
//! not said that they went with their token.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Pod, PodSpec};
use planescape_agent_contract::Report;
use planescape_vault::{Error, Kind};
use serde::{Deserialize, Serialize};

use crate::api::names::JOB_LABEL;
use crate::inject::{INIT_CONTAINER, SIDECAR};
use crate::job::observed::{KnownPod, may_live};

/// The line that the policy of the program's own role needs.
pub const POLICY: &str = "path \"auth/token/revoke-accessor\" { capabilities = [\"update\"] }";

/// The tokens and leases that the agent of a pod has left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Left {
    /// The namespace of pod and Job.
    pub namespace: String,
    /// The UID of the pod.
    pub pod: String,
    /// The Job's name.
    pub job: String,
    /// The Job's UID.
    pub job_uid: String,
    /// The Vault that they are in.
    pub place: Place,
    /// The accessors of its tokens.
    pub accessors: Vec<String>,
    /// The ids of leases whose tokens are revoked, or are to be.
    pub leases: Vec<String>,
    /// Whether these are all leases that it may have left.
    pub names_all_leases: bool,
}

/// A Vault, and one of its namespaces.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Place {
    /// The address.
    pub address: String,
    /// The Vault namespace.
    pub namespace: Option<String>,
}

/// The fate of the tokens that a pod's agent has left, as it stands on the Job.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Revocation {
    /// The accessors that Vault knows no more.
    pub revoked: Vec<String>,
    /// When the last of them was revoked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Timestamp>,
    /// Why others are not revoked yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trouble: Option<String>,
    /// Whether Vault has said of every lease of the agent that it is gone.
    #[serde(default, skip_serializing_if = "is_false")]
    pub has_no_lease: bool,
    /// The UID of the pod; on the Job it stands in the annotation's key.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub pod: String,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for it so")]
fn is_false(value: &bool) -> bool {
    !value
}

impl Left {
    /// The tokens and leases that a pod's agent has left. None while it may be started again, since its next life
    /// revokes them; none if it is to keep its token. `is_gone`: the pod was deleted.
    #[must_use]
    pub fn of(pod: &Pod, is_gone: bool) -> Option<Self> {
        let labels = pod.metadata.labels.as_ref()?;
        labels.get(JOB_LABEL)?;
        let is_deleted = is_gone || pod.metadata.deletion_timestamp.is_some();
        let place = place(pod.spec.as_ref()?)?;
        let known = KnownPod::of(pod)?;
        let agent = known.pod.agent?;
        let runs_again = agent.is_restarted || !(known.pod.is_over || is_deleted || is_done(pod));
        let report = agent.report?;
        let left = Some(&report).filter(|report| may_live(report));
        let accessors = left.map(accessors).unwrap_or_default();
        // In a namespace of Vault ids are others than they seem.
        let can_look = place.namespace.is_none() || report.leases.is_empty();
        let is_complete = accessors.is_empty() || report.names_leases;
        let names_all_leases = can_look && is_complete && report.more_leases == 0;
        let leases = Some(report.leases).filter(|_| can_look);
        let leases = leases.unwrap_or_default();
        let (job, job_uid) = known.job?;
        let has_left = !accessors.is_empty() || !leases.is_empty();
        (!runs_again && has_left).then_some(Self {
            namespace: known.namespace,
            pod: known.pod.uid,
            job,
            job_uid,
            place,
            names_all_leases,
            accessors,
            leases,
        })
    }
}

/// Whether the job's containers have ended for good, so that no agent is started again beside them. The pod says so
/// of itself a while later.
fn is_done(pod: &Pod) -> bool {
    let policy = pod
        .spec
        .as_ref()
        .and_then(|spec| spec.restart_policy.as_deref());
    let statuses = pod
        .status
        .as_ref()
        .and_then(|it| it.container_statuses.as_ref());
    let ends = statuses.into_iter().flatten().map(|status| {
        let state = status.state.as_ref()?;
        state.terminated.as_ref().map(|ended| ended.exit_code)
    });
    let ends: Option<Vec<i32>> = ends.collect();
    ends.is_some_and(|codes| {
        let has_succeeded = codes.iter().all(|code| *code == 0);
        !codes.is_empty() && (policy == Some("Never") || has_succeeded)
    })
}

/// The accessors of the tokens that a report leaves.
#[must_use]
pub fn accessors(report: &Report) -> Vec<String> {
    let mut accessors = report.unrevoked.clone();
    if accessors.is_empty() {
        accessors.extend(report.accessor.clone());
    }
    accessors
}

#[derive(Deserialize)]
struct Configuration {
    vault: Server,
    auto_auth: AutoAuth,
    planescape: Settings,
}

#[derive(Deserialize)]
struct Server {
    address: String,
}

#[derive(Deserialize)]
struct AutoAuth {
    method: Method,
}

#[derive(Deserialize)]
struct Method {
    #[serde(default)]
    namespace: Option<String>,
}

#[derive(Deserialize)]
struct Settings {
    #[serde(default)]
    revoke_on_exit: bool,
}

/// The Vault that the agent of a pod logs in to, if it is to revoke its token in the end.
#[must_use]
pub fn place(pod: &PodSpec) -> Option<Place> {
    let containers = pod.init_containers.iter().flatten();
    let agent = containers
        .into_iter()
        .find(|it| matches!(it.name.as_str(), SIDECAR | INIT_CONTAINER))?;
    let variables = agent.env.iter().flatten();
    let configuration = variables
        .into_iter()
        .find(|variable| variable.name == "VAULT_CONFIG")?;
    let document = BASE64_STANDARD.decode(configuration.value.as_ref()?).ok()?;
    let configuration: Configuration = serde_json::from_slice(&document).ok()?;
    let namespace = configuration.auto_auth.method.namespace;
    configuration.planescape.revoke_on_exit.then(|| Place {
        address: configuration.vault.address,
        namespace: namespace.filter(|namespace| !namespace.is_empty()),
    })
}

/// Whether Vault's answer to a look at a lease says that it has none of this id.
#[must_use]
pub fn is_unknown_lease(error: &Error) -> bool {
    matches!(error, Error::Refused(refusal)
        if matches!(refusal.status(), 400 | 404) && error.to_string().contains("invalid lease"))
}

/// Whether Vault's answer to a revocation says that it does not know the accessor: the token is gone.
#[must_use]
pub fn is_unknown(error: &Error) -> bool {
    matches!(error, Error::Refused(refusal)
        if matches!(refusal.status(), 400 | 403 | 404 | 500) && error.to_string().contains("invalid accessor"))
}

/// Whether role or policy keep Vault from doing what it was asked for.
#[must_use]
pub fn is_denied(error: &Error) -> bool {
    matches!(
        error.kind(),
        Some(Kind::Denied | Kind::InvalidToken | Kind::WrongAudience | Kind::UnknownRole)
    )
}

/// Why tokens are not revoked, and what mends it.
#[must_use]
pub fn sentence(role: &str, is_login: bool, error: &Error) -> String {
    match (is_login, is_denied(error)) {
        (true, true) => format!(
            "`planescape credentials` cannot log in as role `{role}` to revoke it: {error}; the role must name its ServiceAccount and audience"
        ),
        (true, false) => format!("`planescape credentials` cannot log in to revoke it: {error}"),
        (false, true) => {
            format!("{error}; the policy of role `{role}` needs: {POLICY}")
        }
        (false, false) => format!("`planescape credentials` cannot revoke it: {error}"),
    }
}

#[cfg(test)]
mod tests {
    use planescape_vault::Refusal;
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn a_killed_agent_leaves_its_tokens_when_its_pod_is_over_or_deleted() {
        let running = json!({ "phase": "running", "reason": "LoggedIn", "accessor": "a2",
            "unrevoked": ["a2", "a1"] });
        let left = |pod: &Value, is_gone| {
            let pod = serde_json::from_value(pod.clone()).unwrap();
            Left::of(&pod, is_gone).map(|left| left.accessors)
        };
        let tokens = Some(vec!["a2".to_owned(), "a1".to_owned()]);

        let over = pod("Failed", &running);
        assert_eq!(left(&over, false), tokens);
        let mut alive = pod("Running", &running);
        assert_eq!(left(&alive, false), None, "it is started again");
        assert_eq!(left(&alive, true), tokens);
        alive["metadata"]["deletionTimestamp"] = json!("2026-11-24T10:00:00Z");
        assert_eq!(left(&alive, false), tokens);
        alive["metadata"]["deletionTimestamp"] = Value::Null;
        for (policy, code, is_done) in [
            ("Never", 1, true),
            ("OnFailure", 0, true),
            ("OnFailure", 1, false),
        ] {
            alive["spec"]["restartPolicy"] = json!(policy);
            alive["status"]["containerStatuses"] = json!([{
                "name": "main", "image": "", "imageID": "", "ready": false, "restartCount": 0,
                "state": { "terminated": { "exitCode": code } },
            }]);
            assert_eq!(left(&alive, false).is_some(), is_done, "{policy} {code}");
        }
        let mut again = alive.clone();
        let status = &mut again["status"]["initContainerStatuses"][0];
        status["lastState"] = status["state"].take();
        status["state"] = json!({ "running": {} });
        assert_eq!(left(&again, false), None, "it revokes them itself");
        let mut foreign = over.clone();
        foreign["metadata"]["labels"] = json!({});
        assert_eq!(left(&foreign, false), None);
    }

    #[test]
    fn what_an_agent_has_revoked_or_keeps_on_purpose_is_not_left() {
        let left = |report: Value, keeps: bool| {
            let mut pod = pod("Failed", &report);
            if keeps {
                pod["spec"]["initContainers"][0]["env"] = environment(false);
            }
            Left::of(&serde_json::from_value(pod).unwrap(), false).map(|it| it.accessors)
        };
        let running = json!({ "phase": "running", "reason": "LoggedIn", "accessor": "a" });
        assert_eq!(left(running.clone(), false), Some(vec!["a".to_owned()]));
        assert_eq!(left(running, true), None);
        let word = |reason: &str| json!({ "phase": "done", "reason": reason, "accessor": "a" });
        assert_eq!(left(word("Revoked"), false), None);
        assert_eq!(
            left(word("RevokeFailed"), false),
            Some(vec!["a".to_owned()])
        );
        let mut content = word("Rendered");
        content["unrevoked"] = json!(["a"]);
        assert_eq!(left(content, false), None);
    }

    #[test]
    fn leases_that_may_have_outlived_their_token_are_left() {
        let left = |report: &Value| {
            let pod = pod("Succeeded", report);
            Left::of(&serde_json::from_value(pod).unwrap(), false)
        };
        let revoked = json!({ "phase": "done", "reason": "Revoked", "accessor": "a" });
        assert_eq!(left(&revoked), None);
        let mut open = revoked.clone();
        open["leases"] = json!(["db/creds/x/1"]);
        let found = left(&open).unwrap();
        assert_eq!(
            (found.accessors, found.leases),
            (vec![], vec!["db/creds/x/1".to_owned()])
        );
        assert!(found.names_all_leases);
        open["more_leases"] = json!(1);
        assert!(!left(&open).unwrap().names_all_leases);
        let mut unnamed = revoked;
        unnamed["more_leases"] = json!(1);
        assert_eq!(left(&unnamed), None, "nobody can look for it");
    }

    #[test]
    fn a_killed_agent_may_have_named_all_that_its_tokens_held() {
        let left = |report: &Value| {
            let pod = pod("Failed", report);
            let pod = serde_json::from_value(pod).unwrap();
            let left = Left::of(&pod, false).unwrap();
            (left.leases.len(), left.names_all_leases)
        };
        let mut report = json!({ "phase": "running", "reason": "LoggedIn", "unrevoked": ["a"],
            "leases": ["db/creds/x/1"] });
        assert_eq!(
            left(&report),
            (1, false),
            "an agent that says nothing of it"
        );
        report["names_leases"] = json!(true);
        assert_eq!(left(&report), (1, true));
        report["more_leases"] = json!(1);
        assert_eq!(left(&report), (1, false));
    }

    #[test]
    fn an_accessor_that_vault_does_not_know_is_gone_and_a_refusal_is_not() {
        let error = |status, text: &str| Error::Refused(Refusal::new(status, text.into(), None));
        assert!(is_unknown(&error(400, "invalid accessor")));
        assert!(is_unknown(&error(
            403,
            "1 error occurred:\n\t* invalid accessor"
        )));
        assert!(!is_unknown(&error(403, "permission denied")));
        assert!(!is_unknown(&error(503, "Vault is sealed")));
        assert!(is_denied(&error(403, "permission denied")));
        for (status, text) in [
            (429, "rate limit"),
            (500, "internal error"),
            (503, "sealed"),
        ] {
            assert!(!is_denied(&error(status, text)), "{status} may pass");
        }
        let denied = sentence("r", false, &error(403, "permission denied"));
        assert!(denied.contains(POLICY), "{denied}");
    }

    #[test]
    fn a_lease_that_vault_does_not_have_is_gone_and_each_trouble_says_what_mends_it() {
        let error = |status, text: &str| Error::Refused(Refusal::new(status, text.into(), None));
        for (status, text, is_gone) in [
            (400, "invalid lease", true),
            (404, "invalid lease", true),
            (403, "invalid lease", false),
            (400, "lease not found in time", false),
        ] {
            let said = error(status, text);
            assert_eq!(is_unknown_lease(&said), is_gone, "{status} {text}");
        }
        for (is_login, status, mends) in [
            (true, 403, "must name its ServiceAccount"),
            (true, 503, "cannot log in to revoke it"),
            (false, 403, POLICY),
            (false, 503, "cannot revoke it"),
        ] {
            let text = ["permission denied", "Vault is sealed"][usize::from(status != 403)];
            let said = sentence("r", is_login, &error(status, text));
            assert!(said.contains(mends), "{is_login} {status}: {said}");
        }
    }

    #[test]
    fn leases_of_a_namespace_are_not_looked_for() {
        let report = json!({ "phase": "done", "reason": "Revoked", "leases": ["db/creds/x/1"] });
        let mut pod = pod("Succeeded", &report);
        let document = json!({
            "vault": { "address": "http://vault:8200" },
            "auto_auth": { "method": { "type": "kubernetes", "namespace": "team/" } },
            "planescape": { "revoke_on_exit": true },
        });
        let value = BASE64_STANDARD.encode(document.to_string());
        pod["spec"]["initContainers"][0]["env"][0]["value"] = json!(value);

        assert_eq!(Left::of(&serde_json::from_value(pod).unwrap(), false), None);
    }

    fn pod(phase: &str, report: &Value) -> Value {
        json!({
            "metadata": {
                "name": "p", "namespace": "team", "uid": "u", "labels": { JOB_LABEL: "my-job" },
                "ownerReferences": [{ "apiVersion": "batch/v1", "kind": "Job", "name": "my-job-1",
                    "uid": "j", "controller": true }],
            },
            "spec": { "containers": [], "initContainers": [{ "name": SIDECAR, "env": environment(true) }] },
            "status": { "phase": phase, "initContainerStatuses": [{
                "name": SIDECAR, "image": "", "imageID": "", "ready": false, "restartCount": 0,
                "state": { "terminated": { "exitCode": 137, "message": report.to_string() } },
            }] },
        })
    }

    fn environment(revokes: bool) -> Value {
        let document = json!({
            "vault": { "address": "http://vault:8200" },
            "auto_auth": { "method": { "type": "kubernetes" } },
            "planescape": { "revoke_on_exit": revokes },
        });
        let value = BASE64_STANDARD.encode(document.to_string());
        json!([{ "name": "VAULT_CONFIG", "value": value }])
    }
}

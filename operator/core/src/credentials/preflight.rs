//! Tries, before the first run, whether runs will get what they ask for: a login, and the capabilities of its token. No
//! secret is read, so that no credentials come of it.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use planescape_agent_contract::{Phase, Reason, Report};
use planescape_vault::Grant;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::block::is_path;
use super::order::{Content, Order, OrderedSecret};
use super::run::{Lock, Run, Stage};
use crate::api::PlanescapeJob;
use crate::api::names::PREFLIGHT_ANNOTATION;
use crate::api::v1alpha1::ONCE;
use crate::defaults::Defaults;
use crate::job::identity::Identity;
use crate::job::validate::validate;

/// No PlanescapeJob is tried more often.
pub const INTERVAL: SignedDuration = SignedDuration::from_mins(10);

/// The annotation of the pod template, after its prefix, that names a path to read.
const PATH_ANNOTATION: &str = "/agent-inject-secret-";

/// The check of a PlanescapeJob.
#[derive(Clone, Debug, PartialEq)]
pub struct Check {
    /// A run as it would be, with the paths that it reads; its Job has no name.
    pub run: Run,
    /// The generation of the spec.
    pub generation: i64,
    /// How long a run may last.
    pub run_deadline: Option<SignedDuration>,
}

/// The result, as it stands on the PlanescapeJob.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Preflight {
    /// The generation of the spec that was tried.
    pub generation: i64,
    /// When.
    pub at: Timestamp,
    /// Vault's answer.
    pub report: Report,
}

/// The capabilities of a token at a path, in Vault's words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Allowed {
    /// The path as its mount wants it.
    pub path: String,
    /// Whether it is to be written to.
    pub is_write: bool,
    /// The capabilities; none if Vault does not say.
    pub capabilities: Option<Vec<String>>,
}

impl Check {
    /// The check of a PlanescapeJob that asks Vault for something. None if it cannot run; none if its run starts at
    /// once and tells by itself; and none if its agents show Vault a token with another audience than `audience`.
    #[must_use]
    pub fn of(
        job: &PlanescapeJob,
        defaults: &Defaults,
        audience: &str,
        now: Timestamp,
    ) -> Option<Self> {
        let spec = &job.spec;
        let starts_at_once = spec.schedule == ONCE && !spec.suspend;
        if starts_at_once || job.metadata.deletion_timestamp.is_some() {
            return None;
        }
        let (validated, material) = validate(job, defaults, now).ok()?;
        let injection = material.injection.as_ref();
        let injection = injection.filter(|it| it.audience.as_deref() == Some(audience));
        let order = material.order.or_else(|| {
            let injection = injection?;
            Some(Order {
                address: injection.server.address.clone(),
                namespace: injection.auth.namespace.clone(),
                auth_path: injection.auth.path.clone(),
                role: injection.auth.config.get("role")?.clone(),
                secrets: paths(
                    spec.vault.as_ref().and_then(|it| it.path.clone()),
                    &spec.job_template,
                ),
            })
        })?;
        let pod = &spec.job_template["spec"]["template"]["spec"];
        let account = pod["serviceAccountName"].as_str();
        let account = account.filter(|name| !name.is_empty()).unwrap_or("default");
        Some(Self {
            run: Run {
                owner: Identity::of(&job.metadata)?,
                job: String::new(),
                uid: String::new(),
                service_account: account.to_owned(),
                order,
                lock: Lock::Suspended,
                stage: Stage::Waiting,
                is_claimed: false,
                told: None,
            },
            generation: job.metadata.generation?,
            run_deadline: validated.run_deadline,
        })
    }

    /// Whether runs get Secrets, whose token somebody else than an agent has to keep.
    #[must_use]
    pub fn is_of_secrets(&self) -> bool {
        let mut secrets = self.run.order.secrets.iter();
        secrets.any(|secret| !secret.secret_name.is_empty())
    }

    /// When it is due: once for each generation, and again while it fails, at most every ten minutes.
    #[must_use]
    pub fn due(&self, known: Option<&Preflight>) -> Option<Timestamp> {
        let Some(known) = known else {
            return Some(Timestamp::MIN);
        };
        let is_settled =
            known.generation == self.generation && known.report.reason == Reason::Allowed;
        (!is_settled).then(|| known.at.saturating_add(INTERVAL).unwrap_or(known.at))
    }

    /// The report on a token that has logged in, and on its capabilities.
    #[must_use]
    pub fn judge(&self, grant: Grant, allowed: &[Allowed]) -> Report {
        let run = &self.run;
        let account = format!("{}/{}", run.owner.namespace, run.service_account);
        let report = |phase, reason, message: String| Report {
            role: Some(run.order.role.clone()),
            message: Some(message),
            ..Report::new(phase, reason)
        };
        let missing = allowed.iter().filter_map(missing);
        let missing: Vec<(&str, &str)> = missing.collect();
        if let Some((path, _)) = missing.first() {
            let lines = missing.iter().map(|(path, capability)| {
                format!("path \"{path}\" {{ capabilities = [\"{capability}\"] }}")
            });
            let lines: Vec<String> = lines.collect();
            let message = format!(
                "ServiceAccount {account} may log in, and the role's policy lacks: {}",
                lines.join(" ")
            );
            return Report {
                path: Some((*path).to_owned()),
                ..report(Phase::Read, Reason::PermissionDenied, message)
            };
        }
        let life = SignedDuration::try_from(grant.ttl()).unwrap_or(SignedDuration::MAX);
        if let Some(deadline) = self.run_deadline
            && !grant.is_renewable()
            && life > SignedDuration::ZERO
            && life < deadline
        {
            let message = format!(
                "tokens of the role live for {life:#} and cannot be renewed, and activeDeadlineSeconds lets a run last {deadline:#}; raise token_ttl of the role, or set token_type=service on it"
            );
            return report(Phase::Login, Reason::TtlTooShort, message);
        }
        let unknown = allowed
            .iter()
            .filter(|it| it.capabilities.is_none())
            .count();
        let what = match (allowed.len(), unknown) {
            (0, _) => "log in".to_owned(),
            (_, 0) => {
                let paths: Vec<&str> = allowed.iter().map(|it| it.path.as_str()).collect();
                format!("log in, and use {}", paths.join(", "))
            }
            (_, _) => "log in; what it may read is not known, because the role's policy lacks: path \"sys/capabilities-self\" { capabilities = [\"update\"] }".to_owned(),
        };
        report(
            Phase::Done,
            Reason::Allowed,
            format!("ServiceAccount {account} may {what}"),
        )
    }
}

impl Preflight {
    /// The result as it stands on a PlanescapeJob.
    #[must_use]
    pub fn of(job: &PlanescapeJob) -> Option<Self> {
        let annotations = job.metadata.annotations.as_ref()?;
        serde_json::from_str(annotations.get(PREFLIGHT_ANNOTATION)?).ok()
    }
}

/// The path, and what is not allowed there.
fn missing(allowed: &Allowed) -> Option<(&str, &'static str)> {
    let capabilities = allowed.capabilities.as_ref()?;
    let wanted: &[&str] = match allowed.is_write {
        true => &["update", "create", "root"],
        false => &["read", "root"],
    };
    let is_allowed = capabilities.iter().any(|it| wanted.contains(&it.as_str()));
    (!is_allowed).then(|| (allowed.path.as_str(), wanted[0]))
}

/// The paths that `spec.vault.path` and the pod template's annotations name.
fn paths(path: Option<String>, template: &Value) -> Vec<OrderedSecret> {
    let annotations = template.pointer("/spec/template/metadata/annotations");
    let annotations = annotations.and_then(Value::as_object).into_iter().flatten();
    let named = annotations.filter(|(key, _)| key.contains(PATH_ANNOTATION));
    let named = named.filter_map(|(_, path)| path.as_str().map(str::to_owned));
    let mut all: Vec<String> = path.into_iter().chain(named).collect();
    all.retain(|path| {
        let bare = path.split('?').next().unwrap_or_default();
        bare.contains('/') && is_path(bare.trim_matches('/'))
    });
    all.sort();
    all.dedup();
    let secret = |path| OrderedSecret {
        path,
        params: BTreeMap::new(),
        secret_name: String::new(),
        content: Content::All,
    };
    all.into_iter().map(secret).collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
    use serde_json::json;

    use super::*;

    #[test]
    fn is_due_once_for_each_spec_and_again_while_it_fails() {
        let check = check(&json!({}));
        let at: Timestamp = "2026-11-24T10:00:00Z".parse().unwrap();
        let known = |generation: i64, reason: Reason| Preflight {
            generation,
            at,
            report: Report::new(Phase::Done, reason),
        };
        let later = Some(at + INTERVAL);

        assert_eq!(check.due(None), Some(Timestamp::MIN));
        assert_eq!(check.due(Some(&known(3, Reason::Allowed))), None);
        assert_eq!(check.due(Some(&known(2, Reason::Allowed))), later);
        assert_eq!(check.due(Some(&known(3, Reason::LoginDenied))), later);
    }

    #[test]
    fn names_each_path_that_the_policy_lacks_with_the_line_to_add() {
        let check = check(&json!({}));
        let allowed = |path: &str, is_write, capabilities: &[&str]| Allowed {
            path: path.to_owned(),
            is_write,
            capabilities: Some(capabilities.iter().map(|it| (*it).to_owned()).collect()),
        };
        let grant = Grant::new(Duration::from_secs(60), true);

        let report = check.judge(
            grant,
            &[
                allowed("kv/data/app", false, &["deny"]),
                allowed("pki/issue/web", true, &["read"]),
                allowed("database/creds/ro", false, &["read", "list"]),
                allowed("secret/x", false, &["root"]),
            ],
        );
        assert_eq!(report.reason, Reason::PermissionDenied);
        let message = report.message.unwrap();
        for line in [
            "team/jobs",
            "path \"kv/data/app\" { capabilities = [\"read\"] }",
            "path \"pki/issue/web\" { capabilities = [\"update\"] }",
        ] {
            assert!(message.contains(line), "{message}");
        }
        assert!(!message.contains("creds"), "{message}");

        let well = check.judge(grant, &[allowed("kv/data/app", false, &["read"])]);
        assert_eq!(well.reason, Reason::Allowed);
        let short = check.judge(Grant::new(Duration::from_secs(60), false), &[]);
        assert_eq!(short.reason, Reason::TtlTooShort);
        for seconds in [0, 3_600] {
            let whole = check.judge(Grant::new(Duration::from_secs(seconds), false), &[]);
            assert_eq!(whole.reason, Reason::Allowed, "{seconds} s, or for ever");
        }
        let unknown = Allowed {
            capabilities: None,
            ..allowed("a/b", false, &[])
        };
        let unknown = check.judge(grant, &[unknown]).message.unwrap();
        assert!(unknown.contains("sys/capabilities-self"), "{unknown}");
    }

    #[test]
    fn what_starts_at_once_or_shows_another_token_is_not_tried() {
        let of = |change: &Value| Check::of(&job(change), &defaults(), "vault", now());

        assert!(of(&json!({})).is_some());
        assert!(of(&json!({ "schedule": "@once" })).is_none());
        assert!(of(&json!({ "schedule": "@once", "suspend": true })).is_some());
        let agent = json!({ "vault": { "role": "reader", "path": "database/creds/ro" } });
        assert!(of(&agent).is_none(), "its token is for the API server");
        let told = Defaults {
            audience: Some("vault".to_owned()),
            ..defaults()
        };
        let check = Check::of(&job(&agent), &told, "vault", now()).unwrap();
        assert_eq!(check.run.order.secrets[0].path, "database/creds/ro");
        assert!(!check.is_of_secrets() && of(&json!({})).unwrap().is_of_secrets());
        let mut going = job(&json!({}));
        going.metadata.deletion_timestamp = Some(Time(now()));
        assert_eq!(Check::of(&going, &defaults(), "vault", now()), None);
        let elsewhere = json!({ "vault": { "role": "reader", "path": "kv/%2e%2e/sys/mounts" } });
        let check = Check::of(&job(&elsewhere), &told, "vault", now()).unwrap();
        assert!(check.run.order.secrets.is_empty());
    }

    fn check(change: &Value) -> Check {
        Check::of(&job(change), &defaults(), "vault", now()).unwrap()
    }

    fn now() -> Timestamp {
        "2026-11-24T10:00:00Z".parse().unwrap()
    }

    fn defaults() -> Defaults {
        Defaults {
            vault_address: Some("https://vault:8200".to_owned()),
            ..Defaults::default()
        }
    }

    fn job(change: &Value) -> PlanescapeJob {
        let mut job = json!({
            "metadata": { "name": "my-job", "namespace": "team", "uid": "u", "generation": 3 },
            "spec": {
                "schedule": "@hourly",
                "vault": { "role": "runs", "secrets": [
                    { "name": "db", "path": "database/creds/ro", "secretName": "db" },
                ] },
                "jobTemplate": { "spec": { "activeDeadlineSeconds": 3600, "template": { "spec": {
                    "serviceAccountName": "jobs",
                    "containers": [{ "name": "main", "image": "busybox:1.35",
                        "envFrom": [{ "secretRef": { "name": "db" } }] }],
                } } } },
            },
        });
        for (field, value) in change.as_object().unwrap() {
            job["spec"][field] = value.clone();
        }
        serde_json::from_value(job).unwrap()
    }
}

mod left;
mod receipts;
mod secrets;

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use serde_json::{Value, json};

use super::*;
use crate::api::v1alpha1::Lease;
use crate::defaults::Defaults;
use crate::job::identity::Identity;
use crate::job::observed::{KnownJob, KnownPod};
use crate::job::plan::plan;
use crate::job::validate::validate;

#[test]
fn reports_a_job_that_was_just_started() {
    let after = Scene::once().started().status();

    insta::assert_json_snapshot!(after);
}

#[test]
fn is_the_same_when_nothing_changed() {
    let scene = Scene::once().with_run(json!({}));

    let first = scene.status();
    let second = Scene {
        now: at("2026-11-24T10:05:00.5Z"),
        ..scene.seen(&first)
    }
    .status();

    assert_eq!(first, second);
}

#[test]
fn records_a_run_that_nobody_came_to_record() {
    let after = Scene::once().with_run(json!({})).status();

    assert_eq!(
        after.last_schedule_time,
        Some(Time(at("2026-11-24T10:00:00Z")))
    );
}

#[test]
fn says_complete_when_the_one_run_is() {
    let scene = Scene::once().with_run(ended("Complete"));

    let after = scene.status();

    assert_eq!(condition(&after, "Complete"), ("True", "JobComplete", ""));
    assert_eq!(condition(&after, "Active").0, "False");
    assert_eq!(after.last_result, Some(Outcome::Succeeded));
    assert_eq!(reasons(&scene, &after), ["SawCompletedJob"]);
}

#[test]
fn says_failed_with_the_jobs_own_words() {
    let after = Scene::once().with_run(ended("Failed")).status();

    assert_eq!(
        condition(&after, "Failed"),
        ("True", "BackoffLimitExceeded", "Job has reached the limit")
    );
    assert_eq!(after.runs[0].outcome, Outcome::Failed);
}

#[test]
fn remembers_a_run_whose_job_was_deleted() {
    let running = Scene::once().with_run(json!({})).status();
    let scene = Scene::once().seen(&running);

    let after = scene.status();

    assert_eq!(after.runs[0].outcome, Outcome::Deleted);
    assert_eq!(condition(&after, "Failed").1, "JobDeleted");
    assert_eq!(reasons(&scene, &after), ["MissingJob"]);
}

#[test]
fn remembers_how_a_run_ended_when_its_job_is_pruned() {
    let complete = Scene::once().with_run(ended("Complete")).status();

    let after = Scene::once().seen(&complete).status();

    assert_eq!(after.runs, complete.runs);
    assert_eq!(condition(&after, "Complete").0, "True");
}

#[test]
fn says_what_vault_refused_with_role_path_and_status() {
    let report = json!({
        "phase": "read", "reason": "PermissionDenied", "message": "permission denied",
        "role": "reader", "path": "database/creds/app", "status": 403,
    });
    let scene = Scene::injected()
        .with_run(json!({}))
        .with_agent(json!({ "lastState": terminated(77, &report) }));

    let after = scene.status();

    let message = "permission denied (role `reader`, path `database/creds/app`, HTTP 403)";
    assert_eq!(
        condition(&after, "VaultReady"),
        ("False", "PermissionDenied", message)
    );
    assert_eq!(
        condition(&after, "Ready"),
        ("False", "VaultNotReady", message)
    );
    assert_eq!(reasons(&scene, &after), ["VaultPermissionDenied"]);
    assert_eq!(reasons(&scene.seen(&after), &after), [""; 0]);
}

#[test]
fn forgets_a_refusal_once_the_agent_has_rendered() {
    let report = json!({ "phase": "login", "reason": "LoginDenied" });
    let ready = json!({
        "started": true,
        "ready": true,
        "state": { "running": {} },
        "lastState": terminated(77, &report),
    });

    let after = Scene::injected()
        .with_run(json!({}))
        .with_agent(ready)
        .status();

    assert_eq!(condition(&after, "VaultReady").0, "True");
    assert_eq!(after.runs[0].lease, Some(Lease::Held));
}

#[test]
fn an_agent_that_only_runs_has_rendered_nothing() {
    let running = json!({ "started": true, "ready": false, "state": { "running": {} } });

    let after = Scene::injected()
        .with_run(json!({}))
        .with_agent(running)
        .status();

    assert_eq!(condition(&after, "VaultReady").0, "Unknown");
    assert_eq!(after.runs[0].lease, None);
}

#[test]
fn says_that_no_agent_has_spoken_yet() {
    let after = Scene::injected().with_run(json!({})).status();

    assert_eq!(condition(&after, "VaultReady").0, "Unknown");
    assert_eq!(condition(&after, "Ready").0, "True");
}

#[test]
fn tells_of_a_revoked_lease() {
    let report = json!({ "phase": "done", "reason": "Revoked", "accessor": "in-clear" });
    let scene = Scene::injected()
        .with_run(ended("Complete"))
        .with_agent(json!({ "state": terminated(0, &report) }));

    let after = scene.status();

    assert_eq!(after.runs[0].lease, Some(Lease::Revoked));
    assert_eq!(condition(&after, "VaultReady").0, "True");
    assert!(reasons(&scene, &after).contains(&"LeaseRevoked".to_owned()));
    assert!(!serde_json::to_string(&after).unwrap().contains("in-clear"));
}

#[test]
fn lists_every_problem_and_keeps_the_runs() {
    let mut scene = Scene::once().with_run(json!({}));
    scene.job["spec"]["jobTemplate"]["spec"]["template"]["metadata"] = json!({ "annotations": {
        "vault.hashicorp.com/agent-inject": "true",
        "vault.hashicorp.com/rol": "reader",
    } });

    let after = scene.status();

    let (status, reason, message) = condition(&after, "Ready");
    assert_eq!((status, reason), ("False", "InvalidTemplate"));
    assert_eq!(message.lines().count(), 2);
    assert!(message.contains("did you mean role?"), "{message}");
    assert_eq!(condition(&after, "ScheduleValid").0, "True");
    assert_eq!(after.runs.len(), 1);
    assert!(reasons(&scene, &after).contains(&"InvalidTemplate".to_owned()));
}

#[test]
fn says_which_part_of_the_schedule_is_wrong() {
    let mut scene = Scene::once();
    scene.job["spec"]["schedule"] = json!("0 0 * * 7");

    let after = scene.status();

    let (status, reason, message) = condition(&after, "ScheduleValid");
    assert_eq!((status, reason), ("False", "InvalidSchedule"));
    assert!(message.contains("use 0 for Sunday"), "{message}");
    assert_eq!(condition(&after, "Ready").1, "InvalidSchedule");
}

#[test]
fn counts_what_did_not_run() {
    let mut scene = Scene::once().with_run(json!({}));
    scene.job["spec"]["schedule"] = json!("0 * * * *");
    scene.job["status"] = json!({ "skipped": { "forbid": 4 } });
    scene.now = at("2026-11-24T13:00:00Z");

    let after = scene.status();

    assert_eq!(after.skipped.forbid, 5);
    assert_eq!(after.skipped.missed, 2);
    assert_eq!(
        after.last_schedule_time,
        Some(Time(at("2026-11-24T13:00:00Z")))
    );
    assert!(reasons(&scene, &after).contains(&"JobAlreadyActive".to_owned()));
}

#[test]
fn says_why_a_job_could_not_be_created() {
    let mut scene = Scene::once();
    scene.applied.failure = Some(Failure {
        reason: "FailedCreate",
        message: "exceeded quota".into(),
        is_lasting: false,
    });

    let after = scene.status();

    assert_eq!(
        condition(&after, "Ready"),
        ("False", "FailedCreate", "exceeded quota")
    );
    assert_eq!(after.last_schedule_time, None);
    assert_eq!(reasons(&scene, &after), ["FailedCreate"]);
}

#[test]
fn says_what_keeps_a_replacement_waiting() {
    let mut scene = Scene::once().with_run(json!({ "startTime": "2026-11-24T10:00:00Z" }));
    scene.job["spec"]["schedule"] = json!("0 * * * *");
    scene.job["spec"]["concurrencyPolicy"] = json!("Replace");
    scene.jobs[0]["metadata"]["deletionTimestamp"] = json!("2026-11-24T11:00:00Z");
    scene.jobs[0]["spec"] = json!({ "template": { "spec": {
        "terminationGracePeriodSeconds": 60, "containers": [],
    } } });
    let mut scene = scene.with_agent(json!({}));

    scene.now = at("2026-11-24T11:01:25Z");
    let in_time = scene.status();
    scene.now = at("2026-11-24T11:01:35Z");
    let after = scene.status();

    assert_eq!(condition(&in_time, "Ready").0, "True");
    let due = Some(Time(at("2026-11-24T11:00:00Z")));
    assert_eq!(after.pending_schedule_time, due);
    let (status, reason, message) = condition(&after, "Ready");
    assert_eq!((status, reason), ("False", "ReplaceBlocked"));
    assert!(message.contains("Job my-job-1 "), "{message}");
    let scene = scene.seen(&in_time);
    assert_eq!(reasons(&scene, &after), ["ReplaceBlocked"]);
    let mut scene = scene.seen(&after);
    scene.now = at("2026-11-24T11:02:35Z");
    assert_eq!(reasons(&scene, &scene.status()), [""; 0]);
}

#[test]
fn forgets_what_was_pending_once_it_has_started() {
    let mut scene = Scene::once().started();
    scene.job["spec"]["schedule"] = json!("0 * * * *");
    scene.job["spec"]["concurrencyPolicy"] = json!("Replace");
    scene.job["status"] = json!({ "pendingScheduleTime": "2026-11-24T11:00:00Z" });
    scene.now = at("2026-11-24T11:00:31Z");
    let started = scene.applied.started.as_mut().unwrap();
    started.tick = at("2026-11-24T11:00:00Z");
    let mut refused = scene.clone();
    refused.applied = Applied::default();

    assert_eq!(scene.status().pending_schedule_time, None);
    let due = Some(Time(at("2026-11-24T11:00:00Z")));
    assert_eq!(refused.status().pending_schedule_time, due);
}

#[test]
fn says_that_a_job_has_no_pod() {
    let mut scene = Scene::once().with_run(json!({ "startTime": "2026-11-24T10:00:00Z" }));
    scene.now = at("2026-11-24T10:00:09Z");
    let early = scene.status();
    let mut scene = scene.seen(&early);
    scene.now = at("2026-11-24T10:00:11Z");

    let after = scene.status();

    let (status, reason, message) = condition(&after, "Ready");
    assert_eq!((status, reason), ("False", "NoPods"));
    assert!(
        message.contains("kubectl describe job my-job-1"),
        "{message}"
    );
    assert_eq!(reasons(&scene, &after), ["NoPods"]);
    let mut later = scene.seen(&after);
    later.now = at("2026-11-24T10:05:00Z");
    assert_eq!(later.status(), after);
    assert_eq!(reasons(&later, &after), [""; 0]);
    let with_pod = later.with_agent(json!({}));
    assert_eq!(condition(&with_pod.status(), "Ready").0, "True");
}

#[test]
fn expects_no_pods_of_a_job_that_is_held_back() {
    for spec in [
        json!({ "suspend": true }),
        json!({ "parallelism": 0 }),
        json!({ "managedBy": "example.com/queue" }),
    ] {
        let mut scene = Scene::once().with_run(json!({ "startTime": "2026-11-24T10:00:00Z" }));
        scene.jobs[0]["spec"] = spec;
        scene.jobs[0]["spec"]["template"] = json!({});
        scene.now = at("2026-11-24T10:01:00Z");

        assert_eq!(condition(&scene.status(), "Ready").0, "True");
    }
}

#[test]
fn believes_the_retry_and_not_the_pod_that_failed() {
    let denied = json!({ "phase": "login", "reason": "LoginDenied" });
    let denied = json!({ "state": terminated(77, &denied) });
    let ready = json!({ "started": true, "ready": true, "state": { "running": {} } });
    let failed = Scene::injected().with_run(json!({})).with_pod(
        "z",
        "Failed",
        "2026-11-24T10:00:01Z",
        &denied,
    );

    let retried = failed.with_pod("a", "Running", "2026-11-24T10:00:11Z", &ready);

    assert_eq!(condition(&failed.status(), "VaultReady").0, "False");
    assert_eq!(condition(&retried.status(), "VaultReady").0, "True");
    let beside = failed.with_pod("a", "Running", "2026-11-24T10:00:01Z", &ready);
    assert_eq!(condition(&beside.status(), "VaultReady").1, "LoginDenied");
    let complete = Scene {
        jobs: Scene::once().with_run(ended("Complete")).jobs,
        ..beside
    };
    assert_eq!(condition(&complete.status(), "VaultReady").0, "True");
}

#[test]
fn tells_the_newest_of_several_failures_in_whatever_order_they_come() {
    let says = |reason: &str| {
        let report = json!({ "phase": "read", "reason": reason });
        json!({ "lastState": terminated(77, &report) })
    };
    let mut scene = Scene::injected()
        .with_run(json!({}))
        .with_pod("b", "Running", "2026-11-24T10:00:11Z", &says("Sealed"))
        .with_pod("a", "Running", "2026-11-24T10:00:01Z", &says("NoAnswer"));

    let one_way = scene.status();
    scene.pods.reverse();

    assert_eq!(condition(&one_way, "VaultReady").1, "Sealed");
    assert_eq!(scene.status(), one_way);
}

#[test]
fn tells_the_worst_of_several_leases() {
    let revoked = json!({ "phase": "done", "reason": "Revoked" });
    let revoked = json!({ "state": terminated(0, &revoked) });
    let lost = json!({ "phase": "done", "reason": "RevokeFailed" });
    let lost = json!({ "state": terminated(0, &lost) });
    let held = json!({ "started": true, "ready": true, "state": { "running": {} } });
    let time = "2026-11-24T10:00:01Z";
    let scene = Scene::injected().with_run(json!({}));

    let one_held =
        scene
            .with_pod("a", "Running", time, &held)
            .with_pod("b", "Succeeded", time, &revoked);
    let one_lost = one_held.with_pod("c", "Succeeded", time, &lost);

    assert_eq!(one_held.status().runs[0].lease, Some(Lease::Held));
    assert_eq!(one_lost.status().runs[0].lease, Some(Lease::RevokeFailed));
    let without_pod = one_held.seen(&one_lost.status());
    assert_eq!(
        without_pod.status().runs[0].lease,
        Some(Lease::RevokeFailed)
    );
}

#[test]
fn an_agent_that_is_about_to_be_started_again_is_not_given_up() {
    let report = json!({ "phase": "running", "reason": "LoggedIn", "unrevoked": ["a1"] });
    let killed = Scene::injected()
        .with_run(json!({}))
        .with_agent(json!({ "state": terminated(137, &report) }));

    let after = killed.status();

    assert_eq!(after.runs[0].lease, None);
    assert!(!reasons(&killed, &after).contains(&"AgentKilled".to_owned()));
}

#[test]
fn the_next_life_of_a_killed_agent_has_the_last_word() {
    let report = json!({ "phase": "running", "reason": "LoggedIn", "unrevoked": ["a1"] });
    let again = json!({ "state": { "running": {} }, "lastState": terminated(137, &report) });
    let revoked = json!({ "phase": "done", "reason": "Revoked" });
    let done = json!({
        "state": terminated(0, &revoked),
        "lastState": terminated(137, &report),
    });
    let lease = |status, agent| {
        let scene = Scene::injected().with_run(status).with_agent(agent);
        scene.status().runs[0].lease
    };

    assert_eq!(lease(json!({}), again), None);
    assert_eq!(lease(ended("Complete"), done), Some(Lease::Revoked));
}

#[test]
fn believes_the_tokens_that_are_named_and_not_the_word_before_them() {
    for report in [
        json!({ "phase": "done", "reason": "Revoked", "unrevoked": ["a1"] }),
        json!({ "phase": "read", "reason": "PermissionDenied", "unrevoked": ["a1"] }),
    ] {
        let scene = Scene::injected()
            .with_run(ended("Failed"))
            .with_agent(json!({ "state": terminated(77, &report) }));

        let after = scene.status();

        assert_eq!(after.runs[0].lease, Some(Lease::RevokeFailed), "{report}");
        let events = scene.with_facts(|facts| events(facts, &after));
        let mut events = events.iter();
        assert!(events.any(|it| it.reason == "RevokeFailed" && it.note.contains("a1")));
    }
}

#[test]
fn a_token_that_an_agent_keeps_on_purpose_is_no_failure() {
    let report = json!({ "phase": "done", "reason": "Rendered", "unrevoked": ["a1"] });
    let scene = Scene::injected()
        .with_run(ended("Complete"))
        .with_agent(json!({ "state": terminated(0, &report) }));

    let after = scene.status();

    assert_eq!(after.runs[0].lease, Some(Lease::Expiring));
    assert!(!reasons(&scene, &after).contains(&"RevokeFailed".to_owned()));
}

#[test]
fn names_the_policy_only_where_the_policy_is_the_cause() {
    let note = |report: Value| {
        let scene = Scene::injected()
            .with_run(ended("Complete"))
            .with_agent(json!({ "state": terminated(0, &report) }));
        let after = scene.status();
        condition(&after, "VaultReady").2.to_owned()
    };
    let report = |status: u16, message: &str| json!({ "phase": "done", "reason": "RevokeFailed", "status": status, "message": message });

    let denied = note(report(403, "permission denied"));
    assert!(denied.contains("auth/token/revoke-self"), "{denied}");
    let sealed = note(report(503, "Vault is sealed"));
    assert!(sealed.contains("Vault is sealed"), "{sealed}");
    assert!(!sealed.contains("revoke-self"), "{sealed}");
}

#[test]
fn tells_of_a_missing_value_and_of_its_cure() {
    let place = "template[0] 1:28: {{.Data.x}} has no value; `<no value>` is written";
    let report = json!({ "phase": "done", "reason": "Revoked", "warnings": [place] });
    let scene = Scene::injected()
        .with_run(ended("Complete"))
        .with_agent(json!({ "state": terminated(0, &report) }));

    let after = scene.status();

    let (status, _, message) = condition(&after, "VaultReady");
    assert_eq!(status, "True");
    assert!(
        message.contains(place) && message.contains("error-on-missing-key"),
        "{message}"
    );
    assert!(reasons(&scene, &after).contains(&"TemplateWarning".to_owned()));
    assert!(!reasons(&scene.seen(&after), &after).contains(&"TemplateWarning".to_owned()));
}

/// A PlanescapeJob and what belongs to it.
#[derive(Clone)]
pub(super) struct Scene {
    pub(super) job: Value,
    pub(super) jobs: Vec<Value>,
    pub(super) pods: Vec<Value>,
    applied: Applied,
    pub(super) now: Timestamp,
}

impl Scene {
    pub(super) fn once() -> Self {
        Self {
            job: json!({
                "apiVersion": "planescape.io/v1alpha1",
                "kind": "PlanescapeJob",
                "metadata": {
                    "name": "my-job",
                    "namespace": "team",
                    "uid": "u",
                    "generation": 1,
                    "creationTimestamp": "2026-11-24T10:00:00Z",
                },
                "spec": { "jobTemplate": { "spec": { "template": { "spec": {
                    "containers": [{ "name": "main" }],
                } } } } },
            }),
            jobs: vec![],
            pods: vec![],
            applied: Applied::default(),
            now: at("2026-11-24T10:00:00.5Z"),
        }
    }

    pub(super) fn injected() -> Self {
        let mut scene = Self::once();
        scene.job["spec"]["vault"] = json!({ "role": "reader", "path": "database/creds/app" });
        scene
    }

    fn started(mut self) -> Self {
        self.applied.started = Some(Started {
            rerun: None,
            name: "my-job-1".into(),
            uid: "job-uid".into(),
            tick: at("2026-11-24T10:00:00Z"),
        });
        self
    }

    pub(super) fn with_run(mut self, status: Value) -> Self {
        self.jobs.push(json!({
            "metadata": {
                "name": "my-job-1",
                "namespace": "team",
                "uid": "job-uid",
                "ownerReferences": [{
                    "apiVersion": "planescape.io/v1alpha1", "kind": "PlanescapeJob",
                    "name": "my-job", "uid": "u", "controller": true,
                }],
                "annotations": { "planescape.io/scheduled-at": "2026-11-24T10:00:00Z" },
            },
            "status": status,
        }));
        self
    }

    pub(super) fn with_agent(mut self, mut status: Value) -> Self {
        status["name"] = json!("vault-agent");
        for field in ["image", "imageID"] {
            status[field] = json!("");
        }
        if status["ready"].is_null() {
            status["ready"] = json!(false);
        }
        status["restartCount"] = json!(0);
        self.pods.push(json!({
            "metadata": {
                "name": "my-job-1-abcde",
                "namespace": "team",
                "uid": "pod-uid",
                "ownerReferences": [{
                    "apiVersion": "batch/v1", "kind": "Job", "name": "my-job-1",
                    "uid": "job-uid", "controller": true,
                }],
            },
            "status": { "initContainerStatuses": [status] },
        }));
        self
    }

    fn with_pod(&self, name: &str, phase: &str, created: &str, agent: &Value) -> Self {
        let mut scene = self.clone().with_agent(agent.clone());
        let pod = scene.pods.last_mut().unwrap();
        pod["metadata"]["name"] = json!(name);
        pod["metadata"]["creationTimestamp"] = json!(created);
        pod["status"]["phase"] = json!(phase);
        scene
    }

    pub(super) fn seen(&self, status: &PlanescapeJobStatus) -> Self {
        let mut scene = self.clone();
        scene.job["status"] = serde_json::to_value(status).unwrap();
        scene
    }

    pub(super) fn status(&self) -> PlanescapeJobStatus {
        self.with_facts(status)
    }

    pub(super) fn with_facts<T>(&self, answer: impl FnOnce(&Facts<'_>) -> T) -> T {
        let job: PlanescapeJob = serde_json::from_value(self.job.clone()).unwrap();
        let jobs: Vec<Job> = self.jobs.iter().map(typed).collect();
        let pods: Vec<Pod> = self.pods.iter().map(typed).collect();
        let owner = Identity::of(&job.metadata).unwrap();
        let jobs: Vec<KnownJob> = jobs.iter().filter_map(KnownJob::of).collect();
        let pods: Vec<KnownPod> = pods.iter().filter_map(KnownPod::of).collect();
        let observed = Observed::of(&owner, &jobs, &pods);
        let defaults = Defaults {
            vault_address: Some("https://vault:8200".into()),
            ..Defaults::default()
        };
        let validated = validate(&job, &defaults, self.now);
        let validated = validated.as_ref().map(|(validated, _)| validated);
        let validated = validated.map_err(Vec::as_slice);
        let plan = plan(&job, validated, &observed, &defaults, self.now);
        answer(&Facts {
            job: &job,
            validated,
            observed: &observed,
            plan: &plan,
            applied: &self.applied,
            now: self.now,
            reported: self.now,
        })
    }
}

pub(super) fn reasons(scene: &Scene, after: &PlanescapeJobStatus) -> Vec<String> {
    let events = scene.with_facts(|facts| events(facts, after));
    events.into_iter().map(|event| event.reason).collect()
}

pub(super) fn condition<'a>(
    status: &'a PlanescapeJobStatus,
    kind: &str,
) -> (&'a str, &'a str, &'a str) {
    let condition = status.conditions.iter().find(|it| it.type_ == kind);
    let condition = condition.unwrap_or_else(|| panic!("no condition {kind}: {status:?}"));
    (&condition.status, &condition.reason, &condition.message)
}

pub(super) fn ended(condition: &str) -> Value {
    let (reason, message) = match condition {
        "Failed" => ("BackoffLimitExceeded", "Job has reached the limit"),
        _ => (
            "CompletionsReached",
            "Reached expected number of succeeded pods",
        ),
    };
    json!({
        "startTime": "2026-11-24T10:00:00Z",
        "completionTime": "2026-11-24T10:00:08Z",
        "conditions": [{
            "type": condition, "status": "True", "reason": reason, "message": message,
        }],
    })
}

pub(super) fn terminated(exit_code: i32, report: &Value) -> Value {
    json!({ "terminated": { "exitCode": exit_code, "message": report.to_string() } })
}

fn typed<T: serde::de::DeserializeOwned>(value: &Value) -> T {
    serde_json::from_value(value.clone()).unwrap()
}

pub(super) fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

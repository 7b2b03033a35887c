mod agents;
mod each;
mod left;
mod receipts;
mod secrets;
mod series;
mod shown;
mod told;

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use serde_json::{Value, json};

use super::*;
use crate::api::names::JOB_LABEL;
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
fn when_a_run_was_started_is_told_with_the_next_change() {
    let first = Scene::once().with_run(json!({})).status();
    let started = json!({ "startTime": "2026-11-24T10:00:02Z" });
    let scene = Scene::once().with_run(started).seen(&first);

    assert_eq!(scene.status(), first);

    let mut end = ended("Complete");
    end["startTime"] = json!("2026-11-24T10:00:02Z");
    let after = Scene::once().with_run(end).seen(&first).status();
    let told = after.runs[0].start_time.as_ref().map(|start| start.0);
    assert_eq!(told, Some(at("2026-11-24T10:00:02Z")));
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
fn a_run_whose_job_has_lost_its_owner_goes_on() {
    let before = Scene::once().with_run(json!({})).status();
    let mut lost = Scene::once().with_run(json!({})).seen(&before);
    let metadata = lost.jobs[0]["metadata"].as_object_mut().unwrap();
    metadata.remove("ownerReferences");
    metadata.insert("labels".to_owned(), json!({ JOB_LABEL: "my-job" }));
    let mut left_behind = lost.clone();
    left_behind.job["metadata"]["deletionTimestamp"] = json!("2026-11-24T10:00:01Z");

    for scene in [lost, left_behind] {
        let after = scene.status();

        assert_eq!(after.runs, before.runs);
        assert_eq!(reasons(&scene, &after), [""; 0]);
    }
}

#[test]
fn remembers_how_a_run_ended_when_its_job_is_pruned() {
    let complete = Scene::once().with_run(ended("Complete")).status();

    let after = Scene::once().seen(&complete).status();

    assert_eq!(after.runs, complete.runs);
    assert_eq!(condition(&after, "Complete").0, "True");
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
fn warns_of_an_annotation_that_nobody_reads() {
    let mut scene = Scene::once().started();
    scene.job["metadata"]["annotations"] = json!({ "planescape.io/rerunn": "1" });

    let after = scene.status();

    let (status, reason, message) = condition(&after, "TemplateValid");
    assert_eq!((status, reason), ("True", "UnknownAnnotation"));
    assert!(
        message.contains("did you mean planescape.io/rerun?"),
        "{message}"
    );
    assert!(reasons(&scene, &after).contains(&"UnknownAnnotation".to_owned()));
    assert!(!reasons(&scene.seen(&after), &after).contains(&"UnknownAnnotation".to_owned()));
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

    let most = i64::MAX;
    scene.job["status"] = json!({ "skipped": { "forbid": most, "missed": most - 1 } });
    let after = scene.status();
    assert_eq!((after.skipped.forbid, after.skipped.missed), (most, most));
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

    scene.now = at("2026-11-24T11:01:30Z");
    let in_time = scene.status();
    scene.now = at("2026-11-24T11:01:30.001Z");
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
        message.ends_with("kubectl describe job my-job-1"),
        "there is no agent: {message}"
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
fn says_that_a_run_does_not_work_while_its_job_is_suspended() {
    let mut scene = Scene::injected().with_run(json!({}));
    scene.jobs[0]["spec"] = json!({ "template": {}, "suspend": true });
    let told = |scene: &Scene, kind: &str| {
        let status = scene.status();
        condition(&status, kind).2.to_owned()
    };
    let why = "is suspended, by its queue or by somebody";
    assert_eq!(told(&scene, "Ready"), format!("Job my-job-1 {why}"));
    let unknown = told(&scene, "VaultReady");
    assert!(unknown.ends_with(why), "{unknown}");

    scene.jobs[0]["spec"]["suspend"] = json!(false);
    assert_eq!(told(&scene, "Ready"), "Job my-job-1 runs");
    assert_eq!(told(&scene, "VaultReady"), "nobody has logged in yet");
}

/// A PlanescapeJob and what belongs to it.
#[derive(Clone)]
pub(super) struct Scene {
    pub(super) job: Value,
    pub(super) jobs: Vec<Value>,
    pub(super) pods: Vec<Value>,
    pub(super) applied: Applied,
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
        pod["metadata"]["uid"] = json!(format!("uid-of-{name}"));
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

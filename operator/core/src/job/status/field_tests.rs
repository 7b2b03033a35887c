//! Statuses that have misled users, each once.

use serde_json::json;

use super::tests::{Scene, at, condition, ended, reasons, terminated};
use super::*;

#[test]
fn how_the_last_run_ended_does_not_keep_the_next_from_starting() {
    let report = json!({ "phase": "login", "reason": "LoginDenied", "message": "denied" });
    let scene = |run| {
        let mut scene = Scene::injected()
            .with_run(run)
            .with_agent(json!({ "lastState": terminated(77, &report) }));
        scene.job["spec"]["schedule"] = json!("@daily");
        scene.status()
    };

    let running = scene(json!({}));
    assert_eq!(condition(&running, "Ready").1, "VaultNotReady");
    let failed = scene(ended("Failed"));
    assert_eq!(condition(&failed, "VaultReady").0, "False");
    assert_eq!(condition(&failed, "Ready").0, "True");
    assert!(!has(&failed, "Stalled"));
}

#[test]
fn a_pod_that_its_node_cannot_prepare_is_named_with_the_secret_that_it_needs() {
    let mut scene = Scene::once().with_run(json!({ "startTime": "2026-11-24T10:00:00Z" }));
    scene.job["spec"]["jobTemplate"]["spec"]["template"]["metadata"] = json!({ "annotations": {
        "vault.hashicorp.com/agent-inject": "true",
        "vault.hashicorp.com/role": "reader",
        "vault.hashicorp.com/tls-secret": "vault-tls",
        "vault.hashicorp.com/agent-inject-secret-db": "database/creds/readonly",
    } });
    scene = scene.with_agent(json!({ "state": { "waiting": { "reason": "PodInitializing" } } }));
    scene.pods[0]["status"]["phase"] = json!("Pending");
    let condition_of_pod = |kind: &str, status: &str| json!({ "type": kind, "status": status, "lastTransitionTime": "2026-11-24T10:00:05Z" });
    scene.pods[0]["status"]["conditions"] = json!([
        condition_of_pod("PodReadyToStartContainers", "False"),
        condition_of_pod("PodScheduled", "True"),
    ]);

    scene.now = at("2026-11-24T10:00:34Z");
    let early = scene.status();
    scene.now = at("2026-11-24T10:00:35Z");
    let late = scene.status();

    assert_eq!(condition(&early, "VaultReady").1, "Pending");
    assert_eq!(
        scene.with_facts(|facts| facts.plan.unprepared.clone()),
        Some("my-job-1-abcde".to_owned())
    );
    let (status, reason, message) = condition(&late, "VaultReady");
    assert_eq!((status, reason), ("Unknown", "PodNotPrepared"));
    assert!(message.contains("Secret vault-tls") && message.contains("my-job-1-abcde"));
    let (status, reason, told) = condition(&late, "Ready");
    assert_eq!((status, reason), ("False", "PodsWaiting"));
    assert_eq!(told, message);
}

#[test]
fn a_name_that_is_taken_shows_until_a_later_run_is_due_or_the_spec_is_changed() {
    let mut scene = Scene::once();
    scene.job["spec"]["schedule"] = json!("@hourly");
    scene.applied.conflict = Some(Taken {
        tick: at("2026-11-24T10:00:00Z"),
        job: "my-job-29399640".to_owned(),
    });

    let told = scene.status();
    let mut later = scene.seen(&told);
    later.applied = Applied::default();
    let kept = later.status();
    let mut edited = later.clone();
    edited.job["metadata"]["generation"] = json!(9);
    let mut skipped = later.clone();
    skipped.job["status"]["lastScheduleTime"] = json!("2026-11-24T11:00:00Z");

    let (status, reason, message) = condition(&told, "Ready");
    assert_eq!((status, reason), ("False", "NameConflict"));
    assert!(message.contains("Job my-job-29399640 exists"), "{message}");
    assert_eq!(condition(&kept, "Ready"), condition(&told, "Ready"));
    assert_eq!(condition(&edited.status(), "Ready").1, "Scheduled");
    assert_eq!(condition(&skipped.status(), "Ready").1, "Scheduled");
}

#[test]
fn a_one_time_job_ends_ready_or_stalled() {
    let complete = Scene::once().with_run(ended("Complete")).status();
    let failed = Scene::once().with_run(ended("Failed")).status();

    assert_eq!(condition(&complete, "Ready").0, "True");
    assert!(!has(&complete, "Stalled"));
    assert_eq!(condition(&failed, "Ready").0, "False");
    assert_eq!(condition(&failed, "Stalled").1, "BackoffLimitExceeded");
}

#[test]
fn a_template_that_was_changed_after_the_one_run_is_not_complete() {
    let mut scene = Scene::once().with_run(ended("Complete"));
    scene.jobs[0]["metadata"]["annotations"]["planescape.io/template"] = json!("older");

    let after = scene.status();

    assert_eq!(condition(&after, "Complete").0, "False");
    assert_eq!(condition(&after, "Stalled").1, "TemplateChanged");
}

#[test]
fn a_refused_run_of_an_older_template_is_named() {
    let report = json!({ "phase": "read", "reason": "SecretNotFound", "path": "kv/data/old" });
    let mut scene = Scene::injected()
        .with_run(json!({}))
        .with_agent(json!({ "lastState": terminated(77, &report) }));
    scene.job["spec"]["schedule"] = json!("* * * * *");
    scene.jobs[0]["metadata"]["annotations"]["planescape.io/template"] = json!("older");
    scene.now = at("2026-11-24T10:01:00Z");

    let after = scene.status();

    let (_, _, message) = condition(&after, "VaultReady");
    assert!(message.contains("kubectl delete job my-job-1"), "{message}");
    let told = scene.with_facts(|facts| events(facts, &after));
    let skip = told.iter().find(|it| it.reason == "JobAlreadyActive");
    let skip = skip.expect("it is skipped");
    assert_eq!(skip.kind, EventKind::Warning);
    assert!(skip.note.contains("older template"), "{}", skip.note);
}

#[test]
fn what_vault_said_of_a_run_that_is_gone_is_forgotten() {
    let report = json!({ "phase": "read", "reason": "SecretNotFound", "path": "kv/data/old" });
    let refused = Scene::injected()
        .with_run(json!({}))
        .with_agent(json!({ "lastState": terminated(77, &report) }))
        .status();

    let after = Scene::injected().seen(&refused).status();

    assert_eq!(condition(&after, "VaultReady").0, "Unknown");
}

#[test]
fn says_where_vault_is_when_it_cannot_be_reached() {
    let report =
        json!({ "phase": "login", "reason": "Unreachable", "message": "cannot reach vault" });
    let mut scene = Scene::injected()
        .with_run(json!({}))
        .with_agent(json!({ "lastState": terminated(69, &report) }));
    scene.job["spec"]["jobTemplate"]["spec"]["template"]["metadata"] = json!({ "annotations": {
        "vault.hashicorp.com/service": "https://me:s3cret@vault.example:8200/x",
    } });

    let after = scene.status();

    assert_eq!(
        condition(&after, "VaultReady").2,
        "cannot reach vault (Vault at vault.example:8200)"
    );
}

#[test]
fn says_why_a_lease_stays() {
    let report = json!({
        "phase": "done", "reason": "RevokeFailed", "message": "permission denied", "status": 403,
    });
    let scene = Scene::injected()
        .with_run(ended("Complete"))
        .with_agent(json!({ "state": terminated(69, &report) }));

    let after = scene.status();

    let told = scene.with_facts(|facts| events(facts, &after));
    let told = told.iter().find(|it| it.reason == "RevokeFailed").unwrap();
    assert!(told.note.contains("permission denied"), "{}", told.note);
    assert!(
        told.note.contains("auth/token/revoke-self"),
        "{}",
        told.note
    );
}

#[test]
fn a_lost_status_tells_of_no_creation() {
    let scene = Scene::once().with_run(json!({}));

    assert_eq!(reasons(&scene, &scene.status()), [""; 0]);
}

#[test]
fn holds_no_more_runs_than_an_object_can() {
    let mut scene = Scene::once();
    scene.job["spec"]["schedule"] = json!("* * * * *");
    scene.job["spec"]["concurrencyPolicy"] = json!("Allow");
    for number in 0..200 {
        scene = scene.with_run(json!({}));
        let job = scene.jobs.last_mut().unwrap();
        job["metadata"]["name"] = json!(format!("my-job-{number}"));
        job["metadata"]["uid"] = json!(format!("uid-{number}"));
    }

    let after = scene.status();

    assert_eq!(after.active_count, 200);
    assert!(after.runs.len() <= MOST_RUNNING && after.active.len() <= MOST_RUNNING);

    let held = json!({ "started": true, "ready": true, "state": { "running": {} } });
    let mut pods = Vec::new();
    for run in &after.runs {
        for number in 0..200 {
            let mut pod = Scene::once().with_agent(held.clone()).pods.remove(0);
            let name = format!("{}-of-a-name-of-some-length-{number}", run.job);
            pod["metadata"]["uid"] = json!(format!("0f6a0bbd-6d7e-4c4e-9df5-{name}"));
            pod["metadata"]["name"] = json!(name);
            pod["metadata"]["ownerReferences"][0]["name"] = json!(run.job);
            pod["metadata"]["ownerReferences"][0]["uid"] = json!(run.uid);
            pods.push(pod);
        }
    }
    scene.pods = pods;
    let held = scene.status();
    let size = serde_json::to_vec(&held).unwrap().len();
    assert!(size < 1_000_000, "{size} bytes");
    let of_all = held.runs.iter().map(|run| run.holders.len()).sum::<usize>();
    assert!(of_all > 900, "{of_all}");

    // The token of the oldest run can still be revoked.
    let killed = json!({ "phase": "running", "reason": "LoggedIn", "accessor": "a" });
    let oldest = held.runs.last().unwrap();
    let named = scene
        .pods
        .iter_mut()
        .find(|pod| pod["metadata"]["ownerReferences"][0]["uid"] == oldest.uid.as_str());
    let pod = named.unwrap();
    pod["status"]["phase"] = json!("Failed");
    pod["status"]["initContainerStatuses"][0]["started"] = json!(false);
    pod["status"]["initContainerStatuses"][0]["ready"] = json!(false);
    pod["status"]["initContainerStatuses"][0]["state"] = terminated(137, &killed);
    let after = scene.status();
    let last = after.runs.last().unwrap();
    assert_eq!(last.holders[0].accessors, ["a"]);
}

fn has(status: &PlanescapeJobStatus, kind: &str) -> bool {
    status.conditions.iter().any(|it| it.type_ == kind)
}

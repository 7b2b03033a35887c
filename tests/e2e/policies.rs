//! Runs that are due while another one goes on, or when none may start, where a kubelet really stops the pods.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use futures::TryStreamExt as _;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::{WatchEvent, WatchParams};
use serde_json::{Value, json};

use crate::jobs::{Place, until};

/// The time for which pods that do not listen may go on.
const GRACE: i64 = 5;

/// Kubernetes cuts the times of containers to whole seconds.
const CUT_OFF: i64 = 1;

/// When the container of a run began, and when it ended.
#[derive(Clone, Copy, Debug, Default)]
struct Life {
    began: Option<Timestamp>,
    ended: Option<Timestamp>,
}

/// Lives by the name of the run's Job, also of pods that are gone.
type Lives = Arc<Mutex<BTreeMap<String, Life>>>;

#[tokio::test]
async fn a_run_that_replaces_another_begins_when_the_last_container_of_that_has_stopped() {
    let place = Place::new("replace").await;
    let lives = watched(&place).await;
    let ignores = "trap '' TERM; while :; do sleep 1; done";
    let job = every_minute(ignores, json!({ "concurrencyPolicy": "Replace" }));
    place.apply(&job).await;

    let next = back_date(&place, 20).await;
    let [old, new] = two_runs(&lives).await;
    stop(&place).await;

    assert!(old.began < Some(next), "{old:?} {new:?}, due {next}");
    assert!(old.ended.is_some(), "{old:?} goes on beside {new:?}");
    assert!(old.ended <= new.began, "{old:?} {new:?}");
    let waited = new.began.unwrap().duration_since(next).as_secs();
    assert!(waited >= GRACE - CUT_OFF, "{old:?} has listened: {new:?}");
}

#[tokio::test]
async fn a_queued_run_begins_when_the_one_before_it_has_ended() {
    let place = Place::new("queue").await;
    let lives = watched(&place).await;
    let policy = json!({ "concurrencyPolicy": "Forbid", "forbidBehavior": "Queue" });
    place.apply(&every_minute("sleep 25", policy)).await;

    let next = back_date(&place, 15).await;
    until("the second run waits", 60, async || {
        let job = place.get("pjob/policies").await;
        let pending = instant(&job["status"]["pendingScheduleTime"])?;
        (pending == next).then_some(())
    })
    .await;
    let [old, new] = two_runs(&lives).await;
    stop(&place).await;

    assert!(old.ended.is_some(), "{old:?} goes on beside {new:?}");
    assert!(old.ended <= new.began, "{old:?} {new:?}");
    let lasted = old.ended.unwrap().duration_since(old.began.unwrap());
    assert!(lasted.as_secs() >= 25 - CUT_OFF, "{old:?} was stopped");
}

#[tokio::test]
async fn a_run_beyond_the_limit_of_active_ones_is_skipped_and_told() {
    let place = Place::new("too-many").await;
    let policy = json!({ "concurrencyPolicy": "Allow", "maxActiveRuns": 1 });
    place.apply(&every_minute("sleep 300", policy)).await;

    let next = back_date(&place, 12).await;
    let job = until("the second run is skipped", 60, async || {
        let job = place.get("pjob/policies").await;
        (job["status"]["skipped"]["tooMany"] == 1).then_some(job)
    })
    .await;
    told(&place, "TooManyActive", "spec.maxActiveRuns").await;
    let jobs = place.get("jobs").await;
    stop(&place).await;

    assert_eq!(instant(&job["status"]["lastScheduleTime"]), Some(next));
    assert_eq!(jobs["items"].as_array().unwrap().len(), 1, "{jobs}");
    assert_eq!(job["status"]["activeCount"], 1, "{job}");
}

#[tokio::test]
async fn a_run_that_is_due_in_a_window_does_not_start_and_the_next_one_comes_after_it() {
    let place = Place::new("window").await;
    let now = Timestamp::now();
    let end = now + SignedDuration::from_hours(1);
    let window = json!([{
        "from": (now - SignedDuration::from_hours(1)).to_string(),
        "until": end.to_string(),
    }]);
    let job = every_minute("true", json!({ "exclusionWindows": window }));
    place.apply(&job).await;

    back_date(&place, 30).await;
    let job = until("the run is skipped", 20, async || {
        let job = place.get("pjob/policies").await;
        (job["status"]["skipped"]["excluded"] == 1).then_some(job)
    })
    .await;
    told(&place, "RunExcluded", "spec.exclusionWindows").await;
    let jobs = place.get("jobs").await;
    stop(&place).await;

    let next = instant(&job["status"]["nextScheduleTime"]).unwrap();
    assert!(next >= end, "{next} lies before {end}");
    assert_eq!(jobs["items"].as_array().unwrap().len(), 0, "{jobs}");
}

/// A PlanescapeJob with one container, and more in its spec.
fn every_minute(script: &str, spec: Value) -> String {
    let mut job = json!({
        "apiVersion": "planescape.io/v1alpha1",
        "kind": "PlanescapeJob",
        "metadata": { "name": "policies" },
        "spec": { "schedule": "@every 1m", "jobTemplate": { "spec": { "template": { "spec": {
            "terminationGracePeriodSeconds": GRACE,
            "containers": [{
                "name": "main", "image": "busybox:1.35", "command": ["sh", "-c", script],
            }],
        } } } } },
    });
    let fields = spec.as_object().cloned().unwrap_or_default();
    job["spec"].as_object_mut().unwrap().extend(fields);
    job.to_string()
}

/// Makes the job older: one run is due at once, and the next after so many seconds; returns when that is.
async fn back_date(place: &Place, seconds: i64) -> Timestamp {
    until("the operator has seen it", 30, async || {
        let job = place.get("pjob/policies").await;
        job["status"]["scheduleReference"].is_object().then_some(())
    })
    .await;
    let now = Timestamp::from_second(Timestamp::now().as_second()).unwrap();
    let next = now + SignedDuration::from_secs(seconds);
    let reference = json!({
        "since": (next - SignedDuration::from_secs(65)).to_string(),
        "anchor": (next - SignedDuration::from_mins(10)).to_string(),
    });
    let patch = json!({ "status": { "scheduleReference": reference } }).to_string();
    let patch = [
        "patch",
        "pjob/policies",
        "--subresource=status",
        "--type=merge",
        "-p",
        &patch,
    ];
    place.kubectl(&patch).await;
    next
}

/// No more runs.
async fn stop(place: &Place) {
    let delete = ["delete", "pjob", "policies", "--wait=false"];
    place.kubectl(&delete).await;
}

/// Waits for an event about it.
async fn told(place: &Place, reason: &str, words: &str) {
    until(&format!("{reason} is told"), 20, async || {
        let events = place.events("policies").await;
        let mut lines = events.lines();
        lines
            .any(|line| line.contains(reason) && line.contains(words))
            .then_some(())
    })
    .await;
}

fn instant(value: &Value) -> Option<Timestamp> {
    value.as_str()?.parse().ok()
}

/// The lives of all pods from now on.
async fn watched(place: &Place) -> Lives {
    let lives = Lives::default();
    let client = place.bed.control_plane.client().await.unwrap();
    let pods: Api<Pod> = Api::namespaced(client, &place.namespace);
    tokio::spawn(watch(pods, lives.clone()));
    lives
}

async fn watch(pods: Api<Pod>, lives: Lives) -> anyhow::Result<()> {
    let mut changes = Box::pin(pods.watch(&WatchParams::default(), "0").await?);
    while let Some(change) = changes.try_next().await? {
        let (WatchEvent::Added(pod) | WatchEvent::Modified(pod) | WatchEvent::Deleted(pod)) =
            change
        else {
            continue;
        };
        let mut lives = lives.lock().expect("nobody panics with it");
        look_at(&pod, &mut lives);
    }
    Ok(())
}

fn look_at(pod: &Pod, lives: &mut BTreeMap<String, Life>) {
    let labels = pod.metadata.labels.as_ref();
    let run = labels.and_then(|labels| labels.get("batch.kubernetes.io/job-name"));
    let statuses = pod.status.as_ref();
    let statuses = statuses.and_then(|status| status.container_statuses.as_deref());
    let state = statuses.and_then(|statuses| statuses.first()?.state.as_ref());
    let (Some(run), Some(state)) = (run, state) else {
        return;
    };
    let life = lives.entry(run.clone()).or_default();
    if let Some(running) = &state.running {
        life.began = running.started_at.as_ref().map(|at| at.0);
    }
    if let Some(over) = &state.terminated {
        life.began = over.started_at.as_ref().map(|at| at.0);
        life.ended = over.finished_at.as_ref().map(|at| at.0);
    }
}

/// The first two runs, once the second has begun.
async fn two_runs(lives: &Lives) -> [Life; 2] {
    until("the second run begins", 90, async || {
        let lives = lives.lock().unwrap();
        let begun = lives.values().filter(|life| life.began.is_some());
        let mut begun: Vec<Life> = begun.copied().collect();
        begun.sort_by_key(|life| life.began);
        begun.first_chunk().copied()
    })
    .await
}

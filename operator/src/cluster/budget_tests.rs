//! How many bytes are kept in memory of each object: what an operator needs grows with them, by tens of thousands.

use jiff::Timestamp;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use kube::runtime::watcher::Event;
use planescape_operator_core::defaults::Defaults;
use planescape_operator_core::job::observed::{KnownJob, KnownPod};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::index::{Index, Kept};
use super::planescape_jobs::KnownPlanescapeJob;

const MANY: u64 = 1_000;

/// Each PlanescapeJob has so many.
const RUNS: u64 = 4;

#[test]
fn a_job_takes_300_bytes_and_a_pod_230() {
    let jobs = bytes(
        |number| serde_json::from_value::<Job>(job(number)).unwrap(),
        |job| KnownJob::of(&job),
    );
    let pods = bytes(
        |number| serde_json::from_value::<Pod>(pod(number)).unwrap(),
        |pod| KnownPod::of(&pod),
    );

    assert!(jobs <= 300 && pods <= 230, "{jobs} {pods}");
}

#[test]
fn a_planescape_job_takes_a_kilobyte() {
    let defaults = Defaults::default();
    let now = "2026-11-24T12:00:01Z".parse().unwrap();

    let bytes = bytes(
        |number| serde_json::from_value(planescape_job(number)).unwrap(),
        |job| KnownPlanescapeJob::of(job, &defaults, now),
    );

    assert!(bytes <= 1_024, "{bytes}");
}

/// Of each of many, as they are asked of the allocator.
fn bytes<R, K: Kept>(make: impl Fn(u64) -> R, keep: impl Fn(R) -> Option<K>) -> i64 {
    let index = Index::new();
    for number in 0..MANY {
        index.take(Event::Apply(make(number)), &keep);
    }
    let freed = allocation_counter::measure(|| drop(index));
    -freed.bytes_current / i64::try_from(MANY).unwrap()
}

/// No two have much in common.
fn uid(kind: u64, number: u64) -> String {
    let digest = Sha256::digest(format!("{kind} {number}"));
    let digits: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    let [a, b, c, d, e] = [0..8, 8..12, 13..16, 17..20, 20..32].map(|part| &digits[part]);
    format!("{a}-{b}-4{c}-9{d}-{e}")
}

/// The instant of a run, in days and minutes of its own.
fn tick(number: u64, second: u64) -> Timestamp {
    let minute = number / RUNS * 7 % 1_440 + 1_440 * (number % RUNS);
    let seconds = 1_774_980_000 - 60 * minute + second;
    Timestamp::from_second(i64::try_from(seconds).unwrap()).unwrap()
}

fn owner(number: u64) -> String {
    format!("database-job-{}", number / RUNS)
}

fn run(number: u64) -> String {
    format!("{}-{}", owner(number), tick(number, 0).as_second() / 60)
}

fn template(number: u64) -> String {
    uid(4, number / RUNS).replace('-', "")[..16].to_owned()
}

fn labels(number: u64) -> Value {
    json!({
        "planescape.io/job": owner(number), "job-name": run(number),
        "planescape.io/run-uid": format!("{}-{}", uid(1, number / RUNS), tick(number, 0).as_second()),
    })
}

fn job(number: u64) -> Value {
    json!({
        "metadata": {
            "name": run(number), "namespace": "idle", "uid": uid(2, number), "labels": labels(number),
            "creationTimestamp": tick(number, 0),
            "annotations": {
                "planescape.io/scheduled-at": tick(number, 0), "planescape.io/template": template(number),
            },
            "ownerReferences": [{
                "apiVersion": "planescape.io/v1alpha1", "kind": "PlanescapeJob",
                "name": owner(number), "uid": uid(1, number / RUNS), "controller": true,
            }],
        },
        "spec": { "template": { "spec": { "containers": [] } } },
        "status": {
            "succeeded": 1, "startTime": tick(number, 1), "completionTime": tick(number, 42),
            "conditions": [{
                "type": "Complete", "status": "True", "lastTransitionTime": tick(number, 42),
                "reason": "CompletionsReached", "message": "Reached expected number of succeeded pods",
            }],
        },
    })
}

fn pod(number: u64) -> Value {
    json!({
        "metadata": {
            "name": format!("{}-{}", run(number), &uid(3, number)[..5]), "namespace": "idle",
            "uid": uid(3, number), "labels": labels(number), "creationTimestamp": tick(number, 1),
            "ownerReferences": [{
                "apiVersion": "batch/v1", "kind": "Job",
                "name": run(number), "uid": uid(2, number), "controller": true,
            }],
        },
        "spec": { "containers": [] },
        "status": { "phase": "Succeeded" },
    })
}

fn planescape_job(number: u64) -> Value {
    let first = RUNS * number;
    let schedule = format!("{} {} 1 1 *", number % 60, number / 60 % 24);
    let condition = |kind: &str, status: &str, reason: &str, message: &str| {
        json!({
            "type": kind, "status": status, "reason": reason, "message": message,
            "lastTransitionTime": tick(first, 50), "observedGeneration": 1,
        })
    };
    let runs = (first..first + RUNS).map(|number| {
        json!({
            "job": run(number), "uid": uid(2, number), "scheduledTime": tick(number, 0),
            "startTime": tick(number, 1), "finishTime": tick(number, 42), "outcome": "Succeeded",
            "template": template(number),
        })
    });
    json!({
        "metadata": {
            "name": owner(first), "namespace": "idle", "uid": uid(1, number), "generation": 1,
            "creationTimestamp": tick(first, 30), "resourceVersion": (48_151 * number).to_string(),
            "annotations": { "kubectl.kubernetes.io/last-applied-configuration": "?".repeat(1_500) },
        },
        "spec": {
            "schedule": schedule, "timeZone": "Europe/Berlin", "concurrencyPolicy": "Forbid",
            "jobTemplate": { "spec": { "template": {
                "metadata": { "annotations": {
                    "vault.hashicorp.com/agent-inject": "true",
                    "vault.hashicorp.com/role": "database-reader",
                    "vault.hashicorp.com/service": "https://vault.example:8200",
                    "vault.hashicorp.com/agent-inject-secret-db": "database/creds/readonly",
                } },
                "spec": { "containers": [{
                    "name": "main", "image": "busybox:1.35", "args": ["?".repeat(1_000)],
                }] },
            } } },
        },
        "status": {
            "observedGeneration": 1, "lastResult": "Succeeded",
            "lastScheduleTime": tick(first, 0), "settledSince": tick(first, 0),
            "lastSuccessfulTime": tick(first, 42), "nextScheduleTime": "2027-01-01T02:00:00Z",
            "resolved": { "concurrencyPolicy": "Forbid", "timeZone": "Europe/Berlin" },
            "scheduleReference": { "schedule": format!("{schedule} Europe/Berlin"), "since": tick(first, 30) },
            "conditions": [
                condition("Ready", "True", "Scheduled", "next run at 2027-01-01T02:00:00Z"),
                condition("ScheduleValid", "True", "Valid", &schedule),
                condition("TemplateValid", "True", "Accepted", ""),
                condition("Suspended", "False", "NotSuspended", ""),
                condition("Active", "False", "NoJobRuns", ""),
                condition("VaultReady", "Unknown", "Pending", "nobody has logged in yet"),
            ],
            "runs": runs.collect::<Vec<_>>(),
        },
    })
}

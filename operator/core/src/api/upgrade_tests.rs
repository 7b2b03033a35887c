//! PlanescapeJobs with all that belongs to them, as earlier operators have left them in clusters. A later operator
//! loses nothing of them and decides nothing new: no upgrade starts, skips or rewrites anything.
//!
//! A file stays as it is. If a later operator writes something else, a new file beside it shows that.

use jiff::Timestamp;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::PlanescapeJob;
use crate::defaults::Defaults;
use crate::job::identity::Identity;
use crate::job::observed::{KnownJob, KnownPod, Observed};
use crate::job::plan::plan;
use crate::job::status::{Applied, Facts, status};
use crate::job::validate::validate;

const LEFT: [(&str, &str); 5] = [
    ("agent-at-work", include_str!("testdata/agent-at-work.json")),
    ("agent-killed", include_str!("testdata/agent-killed.json")),
    ("between-runs", include_str!("testdata/between-runs.json")),
    ("once-complete", include_str!("testdata/once-complete.json")),
    (
        "secrets-supplied",
        include_str!("testdata/secrets-supplied.json"),
    ),
];

#[test]
fn an_operator_decides_nothing_new_of_what_an_earlier_one_has_left() {
    for (file, left) in LEFT {
        take_over(file, &serde_json::from_str(left).unwrap());
    }
}

fn take_over(file: &str, left: &Value) {
    let job: PlanescapeJob = typed(&left["planescapeJob"]);
    let jobs: Vec<Job> = typed(&left["jobs"]);
    let pods: Vec<Pod> = typed(&left["pods"]);
    let now: Timestamp = typed(&left["now"]);
    let told = &left["planescapeJob"]["status"];
    let read = serde_json::to_value(&job.status).unwrap();
    assert_eq!(read, *told, "{file} as it is read");

    let identity = Identity::of(&job.metadata).unwrap();
    let known: Vec<KnownJob> = jobs.iter().filter_map(KnownJob::of).collect();
    let known_pods: Vec<KnownPod> = pods.iter().filter_map(KnownPod::of).collect();
    let observed = Observed::of(&identity, &known, &known_pods);
    let of_runs = observed
        .jobs
        .iter()
        .map(|run| run.pods.len())
        .sum::<usize>();
    let seen = (observed.jobs.len(), of_runs);
    assert_eq!(seen, (jobs.len(), pods.len()), "{file}: Jobs and pods");

    let defaults = Defaults {
        vault_address: Some("https://vault:8200".to_owned()),
        ..Defaults::default()
    };
    let checked = validate(&job, &defaults, now);
    let checked = checked.as_ref().map(|(validated, _)| validated);
    let validated = checked.map_err(Vec::as_slice);
    assert!(validated.is_ok(), "{file}: {:?}", validated.err());
    let plan = plan(&job, validated, &observed, &defaults, now);
    assert_eq!(plan.actions, [], "{file}: what is done");
    let settled = (plan.skip, plan.dropped, plan.found, plan.missed);
    assert_eq!(settled, (None, None, None, 0), "{file}: what is settled");

    let after = status(&Facts {
        job: &job,
        validated,
        observed: &observed,
        plan: &plan,
        applied: &Applied::default(),
        now,
        reported: now,
    });
    let after = serde_json::to_value(after).unwrap();
    assert_eq!(after, *told, "{file}: what is told");
}

fn typed<T: DeserializeOwned>(value: &Value) -> T {
    serde_json::from_value(value.clone()).unwrap()
}

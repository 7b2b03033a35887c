//! What one decision takes: `cargo bench -p planescape-operator-core --bench decide`.
//!
//! A PlanescapeJob that has missed so many instants of its schedule, and one that rests.

#![expect(clippy::print_stdout, reason = "it reports to a terminal")]
#![expect(clippy::unwrap_used, reason = "a benchmark that cannot go on ends")]
#![expect(clippy::disallowed_methods, reason = "it measures time")]

use std::hint::black_box;
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use planescape_operator_core::api::PlanescapeJob;
use planescape_operator_core::defaults::Defaults;
use planescape_operator_core::job::known::Known;
use planescape_operator_core::job::observed::Observed;
use planescape_operator_core::job::plan::plan;
use serde_json::json;

const ROUNDS: usize = 200;

const CALLS: u32 = 1_000;

fn main() {
    println!("| Schedule | Missed | Median | Best |");
    println!("| --- | ---: | ---: | ---: |");
    for schedule in ["* 9-17 * * *", "0 3 * * *", "@every 90m"] {
        for missed in [0, 1, 100, 1_000] {
            let (median, best) = measure(schedule, missed);
            println!("| `{schedule}` | {missed} | {median:.2?} | {best:.2?} |");
        }
    }
}

fn measure(schedule: &str, missed: usize) -> (Duration, Duration) {
    let start: Timestamp = "2026-11-02T08:30:00Z".parse().unwrap();
    let job: PlanescapeJob = serde_json::from_value(json!({
        "metadata": {
            "name": "my-job", "namespace": "team", "uid": "u", "generation": 1,
            "resourceVersion": "1", "creationTimestamp": start.to_string(),
        },
        "spec": {
            "schedule": schedule, "timeZone": "Europe/Berlin",
            "jobTemplate": { "spec": { "template": { "spec": { "containers": [{ "name": "main" }] } } } },
        },
        "status": {
            "scheduleReference": {
                "schedule": format!("{schedule} Europe/Berlin"), "since": start.to_string(),
                "anchor": start.to_string(),
            },
        },
    }))
    .unwrap();
    let defaults = Defaults::default();
    let known = Known::of(job, &defaults, start);
    let validated = known.validated.as_ref().unwrap();
    let mut now = start;
    for _ in 0..missed {
        now = validated.schedule.next(start, now).unwrap();
    }
    now += SignedDuration::from_secs(1);
    let observed = Observed::default();
    let mut rounds: Vec<Duration> = (0..ROUNDS)
        .map(|_| {
            let begun = Instant::now();
            for _ in 0..CALLS {
                let validated = black_box(Ok(validated));
                black_box(plan(
                    black_box(&known.job),
                    validated,
                    &observed,
                    &defaults,
                    now,
                ));
            }
            begun.elapsed() / CALLS
        })
        .collect();
    rounds.sort_unstable();
    (rounds[ROUNDS / 2], rounds[0])
}

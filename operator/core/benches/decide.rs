//! The time that one decision takes: `cargo bench -p planescape-operator-core --bench decide`.
//!
//! A PlanescapeJob that has missed so many instants of its schedule, and one that rests; and what exclusion windows cost.

#![expect(clippy::print_stdout, reason = "it reports to a terminal")]
#![expect(clippy::unwrap_used, reason = "a benchmark that cannot go on ends")]
#![expect(clippy::disallowed_methods, reason = "it measures time")]

use std::hint::black_box;
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use planescape_operator_core::api::PlanescapeJob;
use planescape_operator_core::api::v1alpha1::PlanescapeJobStatus;
use planescape_operator_core::defaults::Defaults;
use planescape_operator_core::job::known::Known;
use planescape_operator_core::job::observed::Observed;
use planescape_operator_core::job::plan::plan;
use planescape_operator_core::job::validate::validate;
use serde_json::json;

const ROUNDS: usize = 200;

const CALLS: u32 = 1_000;

/// Of decisions that take a thousand times as long.
const FEW_CALLS: u32 = 10;

/// Windows, and how often a decision about them is made in a round.
const WINDOWS: &[(&[[&str; 2]], u32)] = &[
    (&[["0 22 * * FRI", "48h"]], CALLS),
    (&[["0 0 24 12 *", "72h"]], CALLS),
    (&[["* 9-17 * * *", "1m"]], CALLS),
    (&[["* * * * *", "1m"]], FEW_CALLS),
    (
        &[["0 0-11 * * *", "1h"], ["0 12-23 * * *", "1h"]],
        FEW_CALLS,
    ),
    (
        &[["*/2 * * * *", "1m"], ["1-59/2 * * * *", "1m"]],
        FEW_CALLS,
    ),
];

fn main() {
    println!("| Schedule | Missed | Median | Best |");
    println!("| --- | ---: | ---: | ---: |");
    for schedule in ["* 9-17 * * *", "0 3 * * *", "@every 90m"] {
        for missed in [0, 1, 100, 1_000] {
            let (median, best) = measure(schedule, missed, (&[], CALLS));
            println!("| `{schedule}` | {missed} | {median:.2?} | {best:.2?} |");
        }
    }
    println!();
    println!("| Exclusion windows | Missed | Median | Best |");
    println!("| --- | ---: | ---: | ---: |");
    for &(windows, calls) in WINDOWS {
        let shown: Vec<String> = windows
            .iter()
            .map(|it| format!("`{}`", it.join("` for `")))
            .collect();
        let shown = shown.join(", ");
        for missed in [0, 1_000] {
            let (median, best) = measure("*/5 * * * *", missed, (windows, calls));
            println!("| {shown} | {missed} | {median:.2?} | {best:.2?} |");
        }
    }
}

fn measure(
    schedule: &str,
    missed: usize,
    (windows, calls): (&[[&str; 2]], u32),
) -> (Duration, Duration) {
    let start: Timestamp = "2026-11-02T08:30:00Z".parse().unwrap();
    let windows: serde_json::Value = windows
        .iter()
        .map(|[schedule, duration]| json!({ "schedule": schedule, "duration": duration }))
        .collect();
    let mut job: PlanescapeJob = serde_json::from_value(json!({
        "metadata": {
            "name": "my-job", "namespace": "team", "uid": "u", "generation": 1,
            "resourceVersion": "1", "creationTimestamp": start.to_string(),
        },
        "spec": {
            "schedule": schedule, "timeZone": "Europe/Berlin", "exclusionWindows": windows,
            "jobTemplate": { "spec": { "template": { "spec": { "containers": [{ "name": "main" }] } } } },
        },
    }))
    .unwrap();
    let defaults = Defaults::default();
    job.status = Some(told(&job, &defaults, start));
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
            for _ in 0..calls {
                let validated = black_box(Ok(validated));
                black_box(plan(
                    black_box(&known.job),
                    validated,
                    &observed,
                    &defaults,
                    now,
                ));
            }
            begun.elapsed() / calls
        })
        .collect();
    rounds.sort_unstable();
    (rounds[ROUNDS / 2], rounds[0])
}

/// Since when its schedule is as it is.
fn told(job: &PlanescapeJob, defaults: &Defaults, start: Timestamp) -> PlanescapeJobStatus {
    let (validated, _) = validate(job, defaults, start).unwrap();
    let plan = plan(job, Ok(&validated), &Observed::default(), defaults, start);
    PlanescapeJobStatus {
        schedule_reference: plan.reference,
        ..PlanescapeJobStatus::default()
    }
}

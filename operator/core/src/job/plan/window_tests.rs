//! Schedules in exclusion windows.

use serde_json::{Value, json};

use super::tests::{at, cron, plan_of, run};
use super::*;
use crate::job::status::{Applied, Facts, status};
use crate::job::validate::validate;

fn windows(windows: &[(&str, &str)]) -> Value {
    let windows = windows.iter();
    let windows =
        windows.map(|(schedule, duration)| json!({ "schedule": schedule, "duration": duration }));
    windows.collect()
}

fn excluded(schedule: &str, times: &[(&str, &str)]) -> Value {
    let mut job = cron(schedule);
    job["metadata"]["creationTimestamp"] = json!("2026-11-02T08:30:00Z");
    job["spec"]["exclusionWindows"] = windows(times);
    job
}

#[test]
fn the_next_run_is_named_however_many_times_of_windows_lie_before_it() {
    // Schedule, windows, now, and when the next run starts.
    type Case = (
        &'static str,
        &'static [(&'static str, &'static str)],
        &'static str,
        &'static str,
    );
    const CASES: &[Case] = &[
        (
            "*/5 * * * *",
            &[("*/5 8-17 * * 1-5", "5m")],
            "2026-11-24T08:01:00Z",
            "2026-11-24T18:00:00Z",
        ),
        (
            "* * * * *",
            &[("* 9-17 * * *", "1m")],
            "2026-11-24T09:00:30Z",
            "2026-11-24T18:00:00Z",
        ),
        // From the creation on, at 8:30.
        (
            "@every 7m",
            &[("* 9-17 * * *", "1m")],
            "2026-11-02T09:00:30Z",
            "2026-11-02T18:04:00Z",
        ),
        // A whole working week.
        (
            "* * * * *",
            &[("* * * * 1-5", "1m")],
            "2026-11-23T00:00:30Z",
            "2026-11-28T00:00:00Z",
        ),
        // Two that overlap, and two that alternate.
        (
            "0 * * * *",
            &[("0 8 * * *", "4h"), ("0 10 * * *", "5h")],
            "2026-11-24T08:30:00Z",
            "2026-11-24T15:00:00Z",
        ),
        (
            "* * * * *",
            &[("*/2 8-17 * * *", "1m"), ("1-59/2 8-17 * * *", "1m")],
            "2026-11-24T08:00:30Z",
            "2026-11-24T18:00:00Z",
        ),
        // One date in a year is left.
        (
            "0 12 * * *",
            &[("0 0 * 1-11 *", "24h"), ("0 0 1-30 12 *", "24h")],
            "2027-01-01T00:00:00Z",
            "2027-12-31T12:00:00Z",
        ),
        // The first of January is a Friday in 2027, and then a Saturday, a Monday and a Tuesday.
        (
            "0 0 1 1 *",
            &[("0 0 * * 1,5,6", "24h")],
            "2026-11-24T08:00:00Z",
            "2030-01-01T00:00:00Z",
        ),
    ];
    for (schedule, times, now, next) in CASES {
        let plan = plan_of(&excluded(schedule, times), &[], now);

        assert_eq!(plan.next, Some(at(next)), "{schedule} {times:?}");
    }
}

#[test]
fn no_next_run_is_named_where_windows_cover_everything() {
    type Case = (&'static str, &'static [(&'static str, &'static str)]);
    const CASES: &[Case] = &[
        ("0 12 * * *", &[("0 0 * * *", "24h")]),
        ("*/5 * * * *", &[("* * * * *", "1m")]),
        ("@every 90s", &[("0 0 * * 0", "168h")]),
        ("0 0 1 1 *", &[("0 0 1 1 *", "1h")]),
        // Together.
        (
            "0 * * * *",
            &[("0 0-11 * * *", "1h"), ("0 12-23 * * *", "1h")],
        ),
        (
            "* * * * *",
            &[("*/2 * * * *", "1m"), ("1-59/2 * * * *", "1m")],
        ),
    ];
    for (schedule, times) in CASES {
        let plan = plan_of(&excluded(schedule, times), &[], "2026-11-24T08:01:00Z");

        assert_eq!(plan.next, None, "{schedule} {times:?}");
        assert!(plan.due.is_some(), "what is excluded is recorded");
    }
}

#[test]
fn the_next_run_is_named_across_a_change_of_the_clock() {
    let next = |schedule: &str, window: &str, now: &str| {
        let mut job = excluded(schedule, &[(window, "1m")]);
        job["spec"]["timeZone"] = json!("Europe/Berlin");
        plan_of(&job, &[], now).next
    };

    // Forward at 01:00Z: 03:59 is the last minute of the window, 04:00 is 02:00Z.
    let forward = next("*/10 * * * *", "* 0-3 * * *", "2027-03-27T23:05:00Z");
    assert_eq!(forward, Some(at("2027-03-28T02:00:00Z")));
    // Back at 01:00Z: readings that come again then are not left out.
    let back = next("*/10 * * * *", "* 1-2 * * *", "2026-10-24T23:05:00Z");
    assert_eq!(back, Some(at("2026-10-25T01:00:00Z")));
}

#[test]
fn a_window_and_its_schedule_read_a_clock_that_is_turned_alike() {
    let next = |schedule: &str, window: &str, now: &str| {
        let mut job = excluded(schedule, &[(window, "1h")]);
        job["spec"]["timeZone"] = json!("Europe/Berlin");
        job["spec"]["dstPolicy"] = json!("Kubernetes");
        plan_of(&job, &[], now).next
    };

    // Two o'clock comes twice, and so does the window.
    let twice = next("0 2 * * *", "0 2 * * *", "2026-10-24T10:00:00Z");
    assert_eq!(twice, None);
    // Half past two does not come, and neither does the window.
    let never = next("*/30 * * * *", "30 2 * * *", "2027-03-28T00:45:00Z");
    assert_eq!(never, Some(at("2027-03-28T01:00:00Z")));
}

#[test]
fn what_passed_in_windows_while_nobody_looked_is_excluded_and_not_missed() {
    // Schedule, windows, what was settled last, now, how many were missed, and how many excluded.
    type Case = (
        &'static str,
        &'static [(&'static str, &'static str)],
        &'static str,
        &'static str,
        (i64, i64),
    );
    const CASES: &[Case] = &[
        (
            "0 * * * *",
            &[("0 12 * * *", "2h")],
            "2026-11-24T10:00:00Z",
            "2026-11-24T16:30:00Z",
            (3, 2),
        ),
        // Two windows that overlap leave the instants before and after both.
        (
            "0 * * * *",
            &[("0 11 * * *", "2h"), ("30 12 * * *", "2h")],
            "2026-11-24T09:00:00Z",
            "2026-11-24T17:30:00Z",
            (3, 4),
        ),
        (
            "* * * * *",
            &[("*/2 * * * *", "1m")],
            "2026-11-24T10:00:00Z",
            "2026-11-24T11:01:30Z",
            (30, 30),
        ),
        (
            "@every 1h",
            &[("* 9-17 * * *", "1m")],
            "2026-11-23T07:30:00Z",
            "2026-11-23T19:31:00Z",
            (2, 9),
        ),
        // Of each no more than a thousand are counted.
        (
            "* * * * *",
            &[("* 9-17 * * *", "1m")],
            "2026-11-22T00:00:00Z",
            "2026-11-24T00:00:30Z",
            (1_000, 1_000),
        ),
        // Instants further away than a walk goes count as missed.
        (
            "0 * * * *",
            &[("0 * * * *", "1m"), ("30 * * * *", "1m")],
            "2026-11-03T00:00:00Z",
            "2026-11-24T00:00:30Z",
            (105, 398),
        ),
    ];
    for (schedule, times, last, now, counts) in CASES {
        let mut job = excluded(schedule, times);
        job["status"] = json!({ "lastScheduleTime": last });

        let plan = plan_of(&job, &[], now);

        assert_eq!(
            (plan.missed, plan.excluded),
            *counts,
            "{schedule} {times:?}"
        );
    }
}

#[test]
fn a_window_takes_what_would_start_in_it_also_where_nobody_looked() {
    let mut job = cron("0 * * * *");
    job["spec"]["jitterSeconds"] = json!(600);
    // It begins between an instant and the start of its run.
    job["spec"]["exclusionWindows"] =
        json!([{ "from": "2026-11-24T12:00:01Z", "until": "2026-11-24T12:30:00Z" }]);
    job["metadata"]["creationTimestamp"] = json!("2026-11-24T10:00:00Z");

    let plan = plan_of(&job, &[], "2026-11-24T15:30:00Z");

    assert_eq!((plan.missed, plan.excluded), (3, 1));
}

#[test]
fn what_passed_in_windows_is_counted_once_an_instant_is_settled_or_found() {
    let mut job = excluded("0 * * * *", &[("0 12 * * *", "2h")]);
    job["status"] = json!({
        "lastScheduleTime": "2026-11-24T10:00:00Z", "settledSince": "2026-11-24T09:00:00Z",
        "skipped": { "missed": 4, "excluded": 7 },
    });
    let told = |now: &str| {
        let job: PlanescapeJob = serde_json::from_value(job.clone()).unwrap();
        let defaults = Defaults::default();
        let now = at(now);
        let (validated, _) = validate(&job, &defaults, now).unwrap();
        let observed = Observed::default();
        let plan = plan(&job, Ok(&validated), &observed, &defaults, now);
        status(&Facts {
            job: &job,
            validated: Ok(&validated),
            observed: &observed,
            plan: &plan,
            applied: &Applied::default(),
            now,
            reported: now,
        })
    };

    // It is skipped itself.
    let skipped = told("2026-11-24T13:30:00Z").skipped;
    assert_eq!((skipped.missed, skipped.excluded), (4 + 1, 7 + 2));
    // Its Job is not made yet.
    let waits = told("2026-11-24T16:30:00Z").skipped;
    assert_eq!((waits.missed, waits.excluded), (4, 7));
    let found = plan_of(&job, &[run("2026-11-24T15:00:00Z")], "2026-11-24T15:30:00Z");
    let tick = at("2026-11-24T15:00:00Z");
    assert_eq!(found.found, Some(Found { tick, missed: 2 }));
    assert_eq!(found.excluded_before_found, 2);
}

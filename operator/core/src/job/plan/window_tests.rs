//! What becomes of a schedule in exclusion windows.

use serde_json::{Value, json};

use super::tests::{at, cron, plan_of};

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
    // Back at 01:00Z: what comes again then is not left out.
    let back = next("*/10 * * * *", "* 1-2 * * *", "2026-10-24T23:05:00Z");
    assert_eq!(back, Some(at("2026-10-25T01:00:00Z")));
}

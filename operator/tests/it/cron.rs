//! `planescape cron`.

use std::process::{Command, Stdio};

use super::{Outcome, planescape};

#[test]
fn instants_are_printed_one_a_line_with_their_offsets() {
    let from = "--from=2026-03-07T12:00:00-05:00";

    let outcome = cron(&[
        "next",
        "30 2 * * *",
        "--tz=America/New_York",
        from,
        "--count=2",
    ]);

    assert_eq!(
        outcome.out,
        "2026-03-08T03:00:00-04:00\n2026-03-09T02:30:00-04:00\n"
    );
    assert_eq!((outcome.code, &*outcome.errors), (Some(0), ""));
}

#[test]
fn the_policy_of_a_cronjob_leaves_out_what_the_clock_leaves_out() {
    let zone = "--tz=America/New_York";
    let from = "--from=2026-03-07T12:00:00-05:00";

    let next = |policy: &str| {
        let outcome = cron(&["next", "30 2 * * *", zone, from, "--count=1", policy]);
        outcome.out
    };

    for policy in ["--dst=kubernetes", "--dst=Kubernetes"] {
        assert_eq!(next(policy), "2026-03-09T02:30:00-04:00\n", "{policy}");
    }
    let once = next("--dst=OncePerOccurrence");
    assert_eq!(once, "2026-03-08T03:00:00-04:00\n");
}

#[test]
fn the_latest_comes_first_backwards_and_may_be_the_start_itself() {
    let from = "--from=2026-11-24T10:00:00Z";

    let outcome = cron(&["prev", "0 */2 * * *", from, "--count=3", "--json"]);

    let ticks: Vec<String> = serde_json::from_str(&outcome.out).unwrap();
    assert_eq!(
        ticks,
        [
            "2026-11-24T10:00:00+00:00",
            "2026-11-24T08:00:00+00:00",
            "2026-11-24T06:00:00+00:00"
        ]
    );
}

#[test]
fn nothing_is_told_where_the_reader_has_enough() {
    // More than a pipe holds, so that the rest finds no reader.
    let mut child = Command::new(env!("CARGO_BIN_EXE_planescape"))
        .args(["cron", "next", "* * * * *", "--count=20000"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();

    drop(child.stdout.take());

    let output = child.wait_with_output().unwrap();
    assert_eq!(String::from_utf8(output.stderr).unwrap(), "");
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn an_interval_counts_from_the_start() {
    let from = "--from=2026-11-24T10:00:10Z";

    let outcome = cron(&["next", "@every 90m", from, "--count=2"]);

    assert_eq!(
        outcome.out,
        "2026-11-24T11:30:10+00:00\n2026-11-24T13:00:10+00:00\n"
    );
}

#[test]
fn ten_instants_after_now_are_printed_when_nothing_else_is_said() {
    assert_eq!(cron(&["next", "@hourly"]).out.lines().count(), 10);
}

#[test]
fn the_end_of_the_calendar_is_told_beside_the_last_instants() {
    let from = "--from=9999-12-30T20:00:00Z";

    let outcome = cron(&["next", "@hourly", from, "--json"]);

    let ticks: Vec<String> = serde_json::from_str(&outcome.out).unwrap();
    assert_eq!(ticks.len(), 2);
    let told = "planescape: `@hourly` has no later time up to the year 9999\n";
    assert_eq!((outcome.code, &*outcome.errors), (Some(0), told));
}

#[test]
fn what_is_no_schedule_is_told_with_what_would_be_one() {
    for (arguments, code, expected) in [
        (
            &["next", "0 0 * * 7"][..],
            1,
            "`0 0 * * 7`: day of week `7`: 7 is not a day of the week: use 0 for Sunday",
        ),
        (&["next", "-1 * * * *"], 1, "minute `-1`"),
        (&["next", "@once"], 1, "give a recurring schedule"),
        (&["prev", "@every 1h"], 1, "use: planescape cron next"),
        (&["next", "0 0 30 2 *"], 1, "look at its day and month"),
        (
            &["next", "TZ=UTC 0 0 * * *"],
            1,
            "a time zone in the schedule is not supported",
        ),
        (
            &["next", "@daily", "--tz=Berlin"],
            1,
            "`Berlin` is not a time zone: write an IANA name",
        ),
        (
            &["next", "@daily", "--from=2026-03-08"],
            2,
            "write for example 2026-03-08T00:00:00-05:00",
        ),
        (&["next", "@daily", "--count=0"], 2, "1..=100000"),
        // As without quotes.
        (&["next", "0", "2", "*", "*", "*"], 2, "\"EXPR\""),
        (
            &["next", "@daily", "--from=9999-12-31T23:59:00Z"],
            2,
            "there is no later time, as the calendar ends with the year 9999",
        ),
        (
            &["next", "@daily", "--from=9999-12-30T20:00:00Z"],
            1,
            "`@daily` has no later time up to the year 9999",
        ),
        (
            &["next", "@every 200h", "--from=9999-12-30T20:00:00Z"],
            1,
            "`@every 200h` has no later time up to the year 9999",
        ),
    ] {
        let outcome = cron(arguments);

        assert_eq!(
            (outcome.code, &*outcome.out),
            (Some(code), ""),
            "{arguments:?}"
        );
        assert!(outcome.errors.contains(expected), "{}", outcome.errors);
    }
}

fn cron(arguments: &[&str]) -> Outcome {
    planescape(&[&["cron"], arguments].concat(), "")
}

//! Far ahead, and where the calendar ends.

use super::tests::{at, parse};
use super::*;

#[test]
fn goes_on_after_2038_and_ends_with_the_calendar() {
    for (text, from, next, previous) in [
        (
            "* * * * *",
            "2038-01-19T03:14:07Z",
            Some("2038-01-19T03:15:00Z"),
            Some("2038-01-19T03:14:00Z"),
        ),
        (
            "0 0 29 2 *",
            "9996-02-29T00:00:00Z",
            None,
            Some("9996-02-29T00:00:00Z"),
        ),
        (
            "0 3 * * *",
            "9999-12-30T22:00:00Z",
            None,
            Some("9999-12-30T03:00:00Z"),
        ),
        ("@every 90s", "9999-12-30T22:00:00Z", None, None),
        // Less than eight years before the end.
        (
            "0 3 * * *",
            "9995-01-01T00:00:00Z",
            Some("9995-01-01T03:00:00Z"),
            Some("9994-12-31T03:00:00Z"),
        ),
    ] {
        let schedule = Schedule::parse(text, TimeZone::UTC, DstPolicy::default()).unwrap();
        let from: Timestamp = from.parse().unwrap();
        let told = |tick: Option<Timestamp>| tick.map(|tick| tick.to_string());

        assert_eq!(told(schedule.next(from, from)).as_deref(), next, "{text}");
        assert_eq!(
            told(schedule.previous(from, from)).as_deref(),
            previous,
            "{text}"
        );
    }
}

#[test]
fn ends_with_the_calendar_in_a_zone_whose_clock_is_turned() {
    let zone = zone("America/New_York").unwrap();
    let schedule = parse("0 3 * * *", zone).unwrap();
    let mut tick = at("9999-12-27T00:00:00Z");
    let mut ticks = Vec::new();

    while let Some(next) = schedule.next(tick, tick) {
        ticks.push(next.to_string());
        tick = next;
    }

    let days = ["27", "28", "29", "30"];
    assert_eq!(ticks, days.map(|day| format!("9999-12-{day}T08:00:00Z")));
}

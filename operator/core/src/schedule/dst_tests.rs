//! Compares both policies, where the clock is turned, with a reading of every minute.

use jiff::SignedDuration;

use super::*;

/// Zones, and instants within a day of a change of their clock.
const CHANGES: &[(&str, &str)] = &[
    ("America/New_York", "2026-03-08T07:00:00Z"),
    ("America/New_York", "2026-11-01T06:00:00Z"),
    ("America/Havana", "2024-03-10T05:00:00Z"),
    ("America/Havana", "2024-11-03T05:00:00Z"),
    ("Africa/Cairo", "2024-04-25T22:00:00Z"),
    ("Australia/Lord_Howe", "2026-04-04T15:00:00Z"),
    ("Australia/Lord_Howe", "2026-10-03T15:30:00Z"),
    ("Antarctica/Troll", "2026-03-29T01:00:00Z"),
    ("Pacific/Apia", "2011-12-30T10:00:00Z"),
    ("America/Sao_Paulo", "2018-11-04T03:00:00Z"),
    ("America/St_Johns", "2010-11-07T02:31:00Z"),
];

const SCHEDULES: &[&str] = &[
    "30 2 * * *",
    "0 2,3 * * *",
    "*/20 1 * * *",
    "30 1 * * *",
    "0 0 * * *",
    "30 23,0 * * *",
    "0 */2 * * *",
    "15,45 * * * *",
    "59 0-6 * * *",
    "0 12 * * 5",
];

/// Zone, schedule, from when, and the ticks that follow.
const AS_KUBERNETES: &[(&str, &str, &str, &[&str])] = &[
    (
        "America/New_York",
        "30 2 * * *",
        "2026-03-07T12:00:00-05:00",
        &["2026-03-09T02:30:00-04:00"],
    ),
    (
        "America/New_York",
        "30 1 * * *",
        "2026-11-01T00:00:00-04:00",
        &["2026-11-01T01:30:00-04:00", "2026-11-01T01:30:00-05:00"],
    ),
    (
        "Africa/Cairo",
        "@daily",
        "2024-04-25T12:00:00+02:00",
        &["2024-04-27T00:00:00+03:00"],
    ),
    (
        "America/Havana",
        "@weekly",
        "2024-11-02T12:00:00-04:00",
        &["2024-11-03T00:00:00-04:00", "2024-11-03T00:00:00-05:00"],
    ),
    (
        "Pacific/Apia",
        "0 12 30 12 *",
        "2011-12-28T00:00:00-10:00",
        &["2012-12-30T12:00:00+14:00"],
    ),
];

#[test]
fn leaves_out_and_doubles_readings_where_the_author_wants_what_kubernetes_does() {
    for (zone, text, start, expected) in AS_KUBERNETES {
        let zone = super::zone(zone).unwrap();
        let schedule = Schedule::parse(text, zone.clone(), DstPolicy::Kubernetes).unwrap();
        let mut tick = at(start);
        for expected in *expected {
            tick = schedule.next(tick, tick).unwrap();
            assert_eq!(tick, at(expected), "{text}");
        }
    }
}

#[test]
fn finds_in_either_direction_what_a_reading_of_every_minute_finds() {
    for (zone, change) in CHANGES {
        let zone = super::zone(zone).unwrap();
        let start = at(change) - SignedDuration::from_hours(24);
        let end = at(change) + SignedDuration::from_hours(24);
        for text in SCHEDULES {
            for dst in [DstPolicy::OncePerOccurrence, DstPolicy::Kubernetes] {
                let schedule = Schedule::parse(text, zone.clone(), dst).unwrap();
                let cron = cron::parse(text).unwrap();
                let expected = by_the_minute(&cron, &zone, dst, (start, end));

                let ticks = std::iter::successors(schedule.next(start, start), |tick| {
                    schedule.next(start, *tick)
                });
                let ticks: Vec<_> = ticks.take_while(|tick| *tick <= end).collect();
                assert_eq!(ticks, expected, "{text} {dst:?} around {change}");

                let last = end.checked_add(SignedDuration::from_nanos(1)).unwrap();
                let backwards = std::iter::successors(schedule.previous(start, end), |tick| {
                    schedule.previous(start, *tick - SignedDuration::from_nanos(1))
                });
                let mut backwards: Vec<_> = backwards.take_while(|tick| *tick > start).collect();
                backwards.reverse();
                assert_eq!(backwards, expected, "{text} {dst:?} before {change}");
                assert_eq!(
                    schedule.count(start, (start, last), 5_000),
                    expected.len(),
                    "{text} {dst:?} around {change}"
                );
            }
        }
    }
}

#[test]
fn names_the_reading_that_a_clock_leaves_out_and_none_that_it_goes_on_with() {
    let turn = at("2027-03-28T01:00:00Z");
    let later = turn + SignedDuration::from_secs(1);
    for (text, before, reading) in [
        ("30 2 * * *", later, Some("2027-03-28T02:30:00")),
        ("0 2 * * *", later, Some("2027-03-28T02:00:00")),
        ("59 1 * * *", later, None),
        ("0 3 * * *", later, None),
        ("30 * * * *", later, None),
        ("30 2 * * *", turn, None),
    ] {
        let zone = zone("Europe/Berlin").unwrap();
        let schedule = Schedule::parse(text, zone, DstPolicy::default()).unwrap();
        let Schedule::Calendar(calendar) = schedule else {
            panic!("{text}");
        };

        let found = calendar.left_out(at("2027-03-01T00:00:00Z"), before);

        let told = found.map(|(reading, when)| (reading.to_string(), when));
        assert_eq!(told, reading.map(|it| (it.to_owned(), turn)), "{text}");
    }
}

#[test]
fn counts_no_more_than_it_is_asked_to() {
    let schedule = Schedule::parse("* 9-17 * * *", TimeZone::UTC, DstPolicy::default()).unwrap();
    let between = (at("2026-01-01T00:00:00Z"), at("2026-12-31T00:00:00Z"));

    assert_eq!(schedule.count(between.0, between, 1_000), 1_000);
    assert_eq!(schedule.count(between.0, between, 1_000_000), 364 * 540);
}

/// The ticks after one instant and up to another, found by looking at the clock each minute.
fn by_the_minute(
    cron: &cron::Cron,
    zone: &TimeZone,
    dst: DstPolicy,
    (after, until): (Timestamp, Timestamp),
) -> Vec<Timestamp> {
    let minute = SignedDuration::from_mins(1);
    let follows_elapsed_time = dst == DstPolicy::Kubernetes || cron.hours.is_star;
    let mut ticks = Vec::new();
    // The clock's reading, had it not been turned.
    let mut due = zone.to_datetime(after - SignedDuration::from_hours(6));
    let mut instant = after - SignedDuration::from_hours(6);
    while instant <= until {
        let reading = zone.to_datetime(instant);
        let is_due = if follows_elapsed_time {
            cron.contains(reading)
        } else if reading < due {
            false
        } else {
            let gap = reading.duration_since(due);
            let mut is_due = false;
            while due <= reading {
                let counts = due == reading || gap <= SignedDuration::from_hours(6);
                is_due |= counts && cron.contains(due);
                due = due.checked_add(minute).unwrap();
            }
            is_due
        };
        if is_due && instant > after {
            ticks.push(instant);
        }
        instant += minute;
    }
    ticks
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

use super::*;

const ACCEPTED: &[&str] = &[
    "* * * * *",
    "*/15 * * * *",
    "0/15 * * * *",
    "5/15 * * * *",
    "0 9-17/2 * * 1-5",
    "0 9-17/2 * * MON-FRI",
    "0 9-17 * * mon-fri",
    "0 0 * * 0",
    "0 0 * * SUN-TUE",
    "0 0 * * 1,3,5",
    "0 0 1 JAN *",
    "0 0 1 jan-mar *",
    "0 0 1,15 * *",
    "0 0 1,15 * MON",
    "0 0 13 * FRI",
    "0 0 */10 * SUN",
    "0 0 */2 * SUN",
    "0 0 */1 * SUN",
    "0 0 1-31 * SUN",
    "0 0 * * */2",
    "0 0 15 * *,MON",
    "0 0 ? * MON",
    "0 0 1 * ?",
    "? * * * *",
    "* * * * ?",
    "0 0 ?/2 * *",
    "*-5 * * * *",
    "0 0 29 2 *",
    "*/100 * * * *",
    "*/4294967296 * * * *",
    "1-5/9223372036854775807 * * * *",
    "1-5/10 * * * *",
    "1,,5 * * * *",
    "1, * * * *",
    ",1 * * * *",
    "+1 * * * *",
    "01 02 03 04 *",
    "@yearly",
    "@annually",
    "@monthly",
    "@weekly",
    "@daily",
    "@midnight",
    "@hourly",
    "@every 1h",
    "@every 1h30m",
    "@every 90s",
    "@every 1m",
    "@every 60000ms",
    "@every 1.5h",
    "@every .5h",
    "@every 1.h",
    "@every +1h",
    "@every 1h1m1.9s",
    " 0 0 * * *",
    "0  0   *  *  *",
    "0 0 1-7 * MON",
    "0 0 * JAN,jun,DEC *",
    "0 12 * * TUE,thu",
    "30 6-16/4 * * 1-5",
    "0 0 1 */3 *",
    "0 0 1/10 * *",
    "0 0 * * 1/2",
    "0 0 * * MON/2",
    "0 0 * 1/4 *",
    "0-59/7,3 * * * *",
    "*,5 * * * *",
    "*/2,*/3 * * * *",
    "0 0 31 * *",
    "0 0 29-31 * *",
];

const NEVER: &[&str] = &["0 0 30 2 *", "0 0 31 4 *", "59 23 31 2 *"];

const REJECTED: &[&str] = &[
    "/15 * * * *",
    "0 0 * * 7",
    "0 0 * * 5-7",
    "0 0 * * 6-0",
    "0 0 * * SAT-SUN",
    "0 0 * * FRI-MON",
    "0 0 * * Sunday",
    "0 0 * * 5L",
    "0 0 * * 5#3",
    "0 0 * * FRI#L",
    "0 0 * * MON#1",
    "0 0 * * 1#1",
    "0 0 1 january *",
    "0 0 1 12-2 *",
    "0 0 1 0 *",
    "0 0 1 13 *",
    "0 0 L * *",
    "0 0 LW * *",
    "0 0 15W * *",
    "0 0 0 * *",
    "0 0 32 * *",
    "0 0 1 * +MON",
    "60 * * * *",
    "* 24 * * *",
    "*/0 * * * *",
    "*/9223372036854775808 * * * *",
    "5-1 * * * *",
    "1--5 * * * *",
    "-1 * * * *",
    "1.5 * * * *",
    "~ * * * *",
    "1~5 * * * *",
    "1/2/3 * * * *",
    "* * * *",
    "* * * * * *",
    "* * * * * * *",
    "@reboot",
    "@every 1d",
    "@every  1h",
    "@every 1s",
    "@every 59.9s",
    "@every 1.5.5h",
    "@every 500ms",
    "@every 0s",
    "@every -1h",
    "@every .h",
    "@every 1h+1h",
    "@every +",
    "@Hourly",
    "@HOURLY",
    "@EVERY 1h",
    " @hourly",
    "@hourly ",
    "H H * * *",
    ", * * * *",
    "TZ=UTC 0 0 * * *",
    "CRON_TZ=America/New_York 0 0 * * *",
    "",
];

#[test]
fn accepts_what_a_cronjob_accepts() {
    for text in ACCEPTED {
        let schedule = parse(text, TimeZone::UTC);

        let start = at("2026-11-24T00:00:00Z");
        assert!(
            schedule.is_ok_and(|schedule| schedule.next(start, start).is_some()),
            "{text}"
        );
    }
}

#[test]
fn rejects_what_a_cronjob_rejects() {
    for text in REJECTED {
        assert!(parse(text, TimeZone::UTC).is_err(), "{text}");
    }
}

#[test]
fn finds_that_a_schedule_never_fires() {
    for text in NEVER {
        let schedule = parse(text, TimeZone::UTC).unwrap();
        let start = at("2026-11-24T00:00:00Z");

        assert_eq!(schedule.next(start, start), None, "{text}");
        assert_eq!(schedule.previous(start, start), None, "{text}");
    }
}

#[test]
fn says_which_field_is_wrong() {
    for (text, told) in [
        (
            "0 0 * * 7",
            "day of week `7`: 7 is not a day of the week: use 0 for Sunday",
        ),
        ("- * * * *", "minute `-`: lacks a number"),
        ("5- * * * *", "minute `5-`: lacks a number"),
        ("x * * * *", "minute `x`: `x` is not a number"),
        (
            "0 0 * * Sunday",
            "day of week `Sunday`: `Sunday` is neither a number nor a name such as sun",
        ),
        ("*/ * * * *", "minute `*/`: has no step behind its slash"),
        (
            "*/x * * * *",
            "minute `*/x`: `x` is not a number, as a step is",
        ),
        ("*/0 * * * *", "minute `*/0`: has a step of zero"),
        (
            "4294967296 * * * *",
            "minute `4294967296`: 4294967296 is not within 0 to 59",
        ),
    ] {
        let error = parse(text, TimeZone::UTC).unwrap_err();

        assert_eq!(error.to_string(), told);
    }
}

#[test]
fn finds_the_leap_day_after_a_year_without_one() {
    assert_eq!(
        ticks("0 0 29 2 *", "UTC", "2096-03-01T00:00:00Z", 1),
        ["2104-02-29T00:00:00+00:00"]
    );
}

#[test]
fn joins_day_of_month_and_day_of_week_as_cron_does() {
    let either = ticks("0 0 13 * FRI", "UTC", "2026-11-01T00:00:00Z", 3);
    let both = ticks("0 0 15 * *,MON", "UTC", "2026-11-01T00:00:00Z", 1);
    let stepped = ticks("0 0 */10 * SUN", "UTC", "2026-11-01T01:00:00Z", 3);

    assert_eq!(either[0], "2026-11-06T00:00:00+00:00");
    assert_eq!(either[2], "2026-11-20T00:00:00+00:00");
    assert_eq!(both, ["2026-11-15T00:00:00+00:00"]);
    assert_eq!(stepped[1], "2026-11-11T00:00:00+00:00");
}

/// Zone, schedule, from when, and the ticks that follow.
const CLOCK_CHANGES: &[(&str, &str, &str, &[&str])] = &[
    (
        "America/New_York",
        "30 2 * * *",
        "2026-03-08T00:00:00-05:00",
        &["2026-03-08T03:00:00-04:00", "2026-03-09T02:30:00-04:00"],
    ),
    (
        "America/New_York",
        "0 2,3 * * *",
        "2026-03-08T00:00:00-05:00",
        &["2026-03-08T03:00:00-04:00", "2026-03-09T02:00:00-04:00"],
    ),
    (
        "America/New_York",
        "30 1 * * *",
        "2026-11-01T00:00:00-04:00",
        &["2026-11-01T01:30:00-04:00", "2026-11-02T01:30:00-05:00"],
    ),
    (
        "America/New_York",
        "0 * * * *",
        "2026-11-01T00:00:00-04:00",
        &[
            "2026-11-01T01:00:00-04:00",
            "2026-11-01T01:00:00-05:00",
            "2026-11-01T02:00:00-05:00",
        ],
    ),
    (
        "Europe/Berlin",
        "0 */2 * * *",
        "2026-03-28T23:30:00+01:00",
        &[
            "2026-03-29T00:00:00+01:00",
            "2026-03-29T03:00:00+02:00",
            "2026-03-29T04:00:00+02:00",
        ],
    ),
    (
        "Europe/Berlin",
        "0 */2 * * *",
        "2026-10-24T23:30:00+02:00",
        &[
            "2026-10-25T00:00:00+02:00",
            "2026-10-25T02:00:00+02:00",
            "2026-10-25T04:00:00+01:00",
        ],
    ),
    (
        "America/New_York",
        "*/20 1 * * *",
        "2026-11-01T00:00:00-04:00",
        &[
            "2026-11-01T01:00:00-04:00",
            "2026-11-01T01:20:00-04:00",
            "2026-11-01T01:40:00-04:00",
            "2026-11-02T01:00:00-05:00",
        ],
    ),
    (
        "Africa/Cairo",
        "@daily",
        "2024-04-25T12:00:00+02:00",
        &["2024-04-26T01:00:00+03:00", "2024-04-27T00:00:00+03:00"],
    ),
    (
        "America/Havana",
        "@daily",
        "2024-11-02T12:00:00-04:00",
        &["2024-11-03T00:00:00-04:00", "2024-11-04T00:00:00-05:00"],
    ),
    (
        "Australia/Lord_Howe",
        "45 1 * * *",
        "2026-10-03T12:00:00+10:30",
        &["2026-10-04T01:45:00+10:30", "2026-10-05T01:45:00+11:00"],
    ),
    (
        "Australia/Lord_Howe",
        "0 12 * * *",
        "2026-04-05T00:00:00+11:00",
        &["2026-04-05T12:00:00+10:30"],
    ),
    (
        "Australia/Lord_Howe",
        "0 */6 * * *",
        "2026-04-04T23:30:00+11:00",
        &[
            "2026-04-05T00:00:00+11:00",
            "2026-04-05T06:00:00+10:30",
            "2026-04-05T12:00:00+10:30",
            "2026-04-05T18:00:00+10:30",
        ],
    ),
    (
        "Australia/Lord_Howe",
        "0 2 * * *",
        "2026-10-03T12:00:00+10:30",
        &["2026-10-04T02:30:00+11:00", "2026-10-05T02:00:00+11:00"],
    ),
    (
        "Antarctica/Troll",
        "30 2 * * *",
        "2026-03-28T12:00:00+00:00",
        &["2026-03-29T03:00:00+02:00"],
    ),
    (
        "Pacific/Apia",
        "0 12 * * FRI",
        "2011-12-28T00:00:00-10:00",
        &["2012-01-06T12:00:00+14:00"],
    ),
    (
        "Pacific/Apia",
        "0 12 30 12 *",
        "2011-12-28T00:00:00-10:00",
        &["2012-12-30T12:00:00+14:00"],
    ),
];

#[test]
fn fires_once_for_each_reading_when_the_clock_is_turned() {
    for (zone, text, start, expected) in CLOCK_CHANGES {
        assert_eq!(
            ticks(text, zone, start, expected.len()),
            *expected,
            "{text} in {zone}"
        );
    }
}

#[test]
fn finds_backwards_what_it_finds_forwards() {
    for (zone, text, start, expected) in CLOCK_CHANGES {
        let schedule = parse(text, super::zone(zone).unwrap()).unwrap();
        let start = at(start);

        for tick in expected.iter().map(|tick| at(tick)) {
            let just_before = tick - jiff::SignedDuration::from_nanos(1);
            assert_eq!(
                schedule.previous(start, tick),
                Some(tick),
                "{text} in {zone}"
            );
            let earlier = schedule.previous(start, just_before).unwrap();
            assert_eq!(
                schedule.next(start, earlier),
                Some(tick),
                "{text} in {zone}"
            );
        }
    }
}

#[test]
fn agrees_with_stepping_through_every_minute() {
    for text in [
        "30 6-16/4 * * 1-5",
        "30 10,11,12 * * 1-5",
        "*/7 3-5 1,15 * *",
        "59 23 * * 0",
    ] {
        let schedule = parse(text, TimeZone::UTC).unwrap();
        let cron = cron::parse(text).unwrap();
        let mut last = None;
        let mut minute = at("2026-02-01T00:00:00Z");

        while minute < at("2026-03-05T00:00:00Z") {
            let reading = TimeZone::UTC.to_datetime(minute);
            if cron.is_on(reading.date())
                && cron.hours.contains(reading.hour())
                && cron.minutes.contains(reading.minute())
            {
                last = Some(minute);
            }
            if last.is_some() {
                assert_eq!(
                    schedule.previous(minute, minute),
                    last,
                    "{text} at {minute}"
                );
            }
            minute += jiff::SignedDuration::from_mins(1);
        }
    }
}

#[test]
fn counts_intervals_from_their_anchor() {
    let schedule = parse("@every 1h30m", TimeZone::UTC).unwrap();
    let anchor = at("2026-11-24T10:00:10Z");

    assert_eq!(schedule.previous(anchor, at("2026-11-24T11:30:09Z")), None);
    assert_eq!(
        schedule.previous(anchor, at("2026-11-24T11:30:10Z")),
        Some(at("2026-11-24T11:30:10Z"))
    );
    assert_eq!(
        schedule.next(anchor, at("2026-11-24T13:00:10Z")),
        Some(at("2026-11-24T14:30:10Z"))
    );
    assert_eq!(
        schedule.next(anchor, at("2026-11-24T09:00:00Z")),
        Some(at("2026-11-24T11:30:10Z"))
    );
}

#[test]
fn counts_the_intervals_between_two_instants_and_neither_of_these() {
    let schedule = parse("@every 90s", TimeZone::UTC).unwrap();
    let anchor = at("2026-11-24T10:00:00Z");
    for (after, before, count) in [
        ("2026-11-24T10:01:30Z", "2026-11-24T10:03:00Z", 0),
        ("2026-11-24T10:01:30Z", "2026-11-24T10:03:00.000000001Z", 1),
        ("2026-11-24T10:00:00Z", "2026-11-24T10:04:30Z", 2),
        ("2026-11-24T09:00:00Z", "2026-11-24T10:04:31Z", 3),
    ] {
        let between = (at(after), at(before));
        assert_eq!(
            schedule.count(anchor, between, 9),
            count,
            "{after} {before}"
        );
        assert_eq!(schedule.count(anchor, between, 1), count.min(1));
    }
}

#[test]
fn once_is_the_instant_that_it_counts_from() {
    let [before, once, after] = [9, 10, 11].map(|hour| at(&format!("2026-11-24T{hour:02}:00:00Z")));

    assert_eq!(Schedule::Once.next(once, before), Some(once));
    assert_eq!(Schedule::Once.next(once, once), None);
    assert_eq!(Schedule::Once.previous(once, before), None);
    assert_eq!(Schedule::Once.previous(once, once), Some(once));
    for (between, count) in [
        ((before, after), 1),
        ((once, after), 0),
        ((before, once), 0),
    ] {
        assert_eq!(Schedule::Once.count(once, between, 9), count);
    }
}

#[test]
fn reads_an_interval_in_each_unit_that_go_has() {
    let anchor = at("2026-11-24T10:00:00Z");
    for (text, seconds) in [
        ("2h", 7_200),
        ("2m", 120),
        ("90s", 90),
        ("90000ms", 90),
        ("90000000us", 90),
        ("90000000\u{b5}s", 90),
        ("90000000\u{3bc}s", 90),
        ("90000000000ns", 90),
        ("1h2m3s4000ms", 3_727),
    ] {
        let schedule = parse(&format!("@every {text}"), TimeZone::UTC).unwrap();
        let next = schedule.next(anchor, anchor).unwrap();
        assert_eq!(next.duration_since(anchor).as_secs(), seconds, "{text}");
    }
}

#[test]
fn a_value_counts_once_however_often_a_field_names_it() {
    let anchor = at("2026-11-24T10:00:00Z");
    for (text, after, next) in [
        (
            "*,5 * * * *",
            "2026-11-24T10:04:30Z",
            "2026-11-24T10:05:00Z",
        ),
        (
            "*/2,*/3 * * * *",
            "2026-11-24T10:04:30Z",
            "2026-11-24T10:06:00Z",
        ),
        // Two that say "any" say so together.
        (
            "0 0 13 * *,*",
            "2026-11-24T10:00:00Z",
            "2026-12-13T00:00:00Z",
        ),
    ] {
        let schedule = parse(text, TimeZone::UTC).unwrap();
        assert_eq!(schedule.next(anchor, at(after)), Some(at(next)), "{text}");
    }
}

#[test]
fn knows_zones_by_name_only() {
    assert!(zone("Europe/Rome").is_some());
    for name in [
        "Local",
        "local",
        "",
        "/etc/localtime",
        "../etc/passwd",
        "Nowhere/City",
        "Etc/Unknown",
    ] {
        assert!(zone(name).is_none(), "{name}");
    }
}

fn ticks(text: &str, zone: &str, start: &str, count: usize) -> Vec<String> {
    let zone = super::zone(zone).unwrap();
    let schedule = parse(text, zone.clone()).unwrap();
    let start = at(start);
    std::iter::successors(schedule.next(start, start), |tick| {
        schedule.next(start, *tick)
    })
    .take(count)
    .map(|tick| {
        tick.to_zoned(zone.clone())
            .strftime("%Y-%m-%dT%H:%M:%S%:z")
            .to_string()
    })
    .collect()
}

pub(super) fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

#[test]
fn reads_no_further_behind_a_star_and_rounds_only_fractions() {
    let anchor = at("2026-11-24T10:00:00Z");
    let next = |schedule: &str| parse(schedule, TimeZone::UTC).unwrap().next(anchor, anchor);

    assert_eq!(next("*-1-2 * * * *"), Some(at("2026-11-24T10:01:00Z")));
    assert_eq!(next("@every 1.13h"), Some(at("2026-11-24T11:07:48Z")));
    assert_eq!(next("@every 1h1m1.9s"), Some(at("2026-11-24T11:01:01Z")));
}

pub(super) fn parse(text: &str, zone: TimeZone) -> Result<Schedule, Error> {
    Schedule::parse(text, zone, DstPolicy::OncePerOccurrence)
}

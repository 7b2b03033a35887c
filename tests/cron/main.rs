//! Random schedules, read here and by robfig/cron, as a Kubernetes CronJob reads them.
//!
//! A failure prints the case. `PLANESCAPE_CRON_CASES=n` says how many there are, and
//! `PLANESCAPE_CRON_SEED=n` which.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod minutes;
mod reference;
mod words;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use planescape_operator_core::api::v1alpha1::DstPolicy;
use planescape_operator_core::schedule::{self, Error, Schedule};
use planescape_tests::chance::Chance;

use minutes::Fields;
use reference::Answer;

/// Zones whose clocks are turned by an hour, by half an hour, by two, at midnight, or never.
const ZONES: [&str; 24] = [
    "UTC",
    "America/New_York",
    "America/Los_Angeles",
    "America/St_Johns",
    "America/Havana",
    "America/Sao_Paulo",
    "America/Santiago",
    "America/Asuncion",
    "America/Scoresbysund",
    "Africa/Cairo",
    "Africa/Casablanca",
    "Antarctica/Troll",
    "Asia/Amman",
    "Asia/Beirut",
    "Asia/Gaza",
    "Asia/Kathmandu",
    "Asia/Tehran",
    "Asia/Kolkata",
    "Australia/Lord_Howe",
    "Australia/Sydney",
    "Europe/Berlin",
    "Europe/Dublin",
    "Europe/London",
    "Pacific/Chatham",
];

/// How many ticks are compared.
const TICKS: usize = 10;

const CASES: usize = 50_000;

/// One in so many is looked at minute by minute as well.
const BY_THE_MINUTE: usize = 10;

/// The search of robfig/cron ends after so many years.
const THEIR_YEARS: i16 = 5;

pub(crate) struct Case {
    pub(crate) schedule: String,
    pub(crate) zone: &'static str,
    pub(crate) start: Timestamp,
    is_near_a_change: bool,
}

#[derive(Debug, Default)]
struct Counts {
    accepted: usize,
    near_a_change: usize,
    explained: usize,
    by_the_minute: usize,
}

#[test]
fn reads_schedules_as_a_cronjob_does() {
    let number = |name: &str| std::env::var(name).ok()?.parse::<usize>().ok();
    let seed = number("PLANESCAPE_CRON_SEED").unwrap_or(1);
    let mut chance = Chance::new(seed as u64);
    let count = number("PLANESCAPE_CRON_CASES").unwrap_or(CASES);
    let cases: Vec<Case> = (0..count).map(|_| Case::any(&mut chance)).collect();
    let answers = reference::answers(&cases, &ZONES, TICKS);

    let mut counts = Counts::default();
    let mut differences = Vec::new();
    for (case, answer) in cases.iter().zip(&answers) {
        counts.accepted += usize::from(answer.error.is_none());
        counts.near_a_change += usize::from(case.is_near_a_change);
        if let Err(difference) = compare(case, answer, &mut chance, &mut counts) {
            differences.push(format!(
                "`{}` in {} from {}: {difference}",
                case.schedule, case.zone, case.start
            ));
        }
    }
    eprintln!(
        "{count} cases: {counts:?}, {} differences",
        differences.len()
    );
    differences.truncate(20);
    assert!(differences.is_empty(), "{}", differences.join("\n"));
    assert!(counts.accepted * 10 >= count * 4, "{counts:?}");
    assert!(counts.near_a_change * 10 >= count * 3, "{counts:?}");
    assert!(counts.explained * 200 <= count, "{counts:?}");
}

impl Case {
    fn any(chance: &mut Chance) -> Self {
        let zone = chance.pick(&ZONES);
        let (from, until) = (1_356_998_400, 1_893_456_000);
        let anywhere =
            Timestamp::from_second(from + 30 * chance.below((until - from) as usize / 30) as i64);
        let mut start = anywhere.unwrap();
        let clock = schedule::zone(zone).unwrap();
        let change = clock.following(start).next();
        if let Some(change) = change.filter(|_| chance.once_in(2)) {
            let hours = 48 * 60 * 60;
            let off = i64::try_from(chance.below(2 * hours)).unwrap() - hours as i64;
            start = change.timestamp() + SignedDuration::from_secs(off);
        }
        let near = SignedDuration::from_hours(48);
        let change = clock.following(start - near).next();
        Self {
            schedule: words::schedule(chance),
            zone,
            start,
            is_near_a_change: change.is_some_and(|change| change.timestamp() <= start + near),
        }
    }
}

/// Compares both sides; an error says in words how they differ.
fn compare(
    case: &Case,
    answer: &Answer,
    chance: &mut Chance,
    counts: &mut Counts,
) -> Result<(), String> {
    let zone = schedule::zone(case.zone).unwrap();
    let parse = |dst| Schedule::parse(&case.schedule, zone.clone(), dst);
    let theirs = answer.ticks.as_deref().unwrap_or_default();
    let theirs: Vec<Timestamp> = theirs
        .iter()
        .map(|tick| Timestamp::from_second(*tick).unwrap())
        .collect();
    let ours = match (parse(DstPolicy::Kubernetes), &answer.error) {
        (Ok(ours), None) => ours,
        (Err(_), Some(_)) => return Ok(()),
        (Err(error), None) => return refused_on_purpose(&error, case, &theirs),
        (Ok(_), Some(error)) => return Err(format!("refused there: {error}")),
    };
    counts.explained += usize::from(compare_ticks(&ours, case, &zone, &theirs)?);
    for dst in [DstPolicy::Kubernetes, DstPolicy::OncePerOccurrence] {
        let schedule = parse(dst).unwrap();
        compare_backwards(&schedule, case, chance)?;
        if !answer.fields.is_empty() && chance.once_in(BY_THE_MINUTE) {
            counts.by_the_minute += 1;
            compare_by_the_minute(&schedule, dst, case, &zone, &Fields(&answer.fields))?;
        }
    }
    Ok(())
}

/// Jobs are named by the minute, a zone has a field of its own, and a lone comma is a slip of the pen.
fn refused_on_purpose(error: &Error, case: &Case, theirs: &[Timestamp]) -> Result<(), String> {
    let is_on_purpose = match error {
        Error::Interval(_) => theirs
            .first()
            .is_some_and(|tick| tick.duration_since(case.start).as_secs() < 60),
        Error::ZonePrefix => true,
        Error::Field { reason, .. } => reason == "names no value",
        Error::Unknown(_) | Error::Never => false,
    };
    if is_on_purpose {
        return Ok(());
    }
    Err(format!("accepted there, refused here: {error}"))
}

/// Whether they differ in a way that is known.
fn compare_ticks(
    ours: &Schedule,
    case: &Case,
    zone: &TimeZone,
    theirs: &[Timestamp],
) -> Result<bool, String> {
    let mut last = case.start;
    for position in 0..TICKS {
        let here = ours.next(case.start, last);
        let Some(there) = theirs.get(position).copied() else {
            let year = |instant: Timestamp| zone.to_datetime(instant).year();
            let is_beyond = here.is_none_or(|here| year(here) - year(last) > THEIR_YEARS);
            return match is_beyond {
                true => Ok(false),
                false => Err(format!("{here:?} after {last}, nothing there")),
            };
        };
        if here != Some(there) {
            return match is_their_slip(zone, last, here.map_or(there, |here| here.max(there))) {
                true => Ok(true),
                false => Err(format!("{here:?} after {last}, {there} there")),
            };
        }
        last = there;
    }
    Ok(false)
}

/// They look for the minute by adding minutes, for the hour by adding hours, and for the day by going to
/// midnight: where a clock is turned by anything but an hour, or within an hour, or where midnight is
/// left out or comes twice, they lose ticks and find others that nobody asked for.
fn is_their_slip(zone: &TimeZone, from: Timestamp, until: Timestamp) -> bool {
    let near = SignedDuration::from_hours(25);
    let changes = zone.following(from - near);
    let mut changes = changes.take_while(|change| change.timestamp() <= until + near);
    changes.any(|change| {
        let instant = change.timestamp();
        let before = zone.to_offset(instant - SignedDuration::from_nanos(1));
        let shift = before.duration_until(change.offset()).as_secs();
        let (left, met) = (
            before.to_datetime(instant),
            change.offset().to_datetime(instant),
        );
        let midnight = left.max(met).date().at(0, 0, 0, 0);
        shift.abs() != 3_600
            || left.minute() != 0
            || (left.min(met) <= midnight && midnight <= left.max(met))
    })
}

/// Goes forth by ticks, then asks for the last tick before instants between them.
fn compare_backwards(schedule: &Schedule, case: &Case, chance: &mut Chance) -> Result<(), String> {
    let next = |tick: &Timestamp| schedule.next(case.start, *tick);
    let ticks: Vec<Timestamp> = std::iter::successors(next(&case.start), next)
        .take(TICKS)
        .collect();
    for pair in ticks.windows(2) {
        let [tick, next] = pair else { unreachable!() };
        let span = next.duration_since(*tick).as_secs();
        let into = chance.below(usize::try_from(span).unwrap().min(1 << 30));
        let now = *tick + SignedDuration::from_secs(i64::try_from(into).unwrap());
        let found = schedule.previous(case.start, now);
        if found != Some(*tick) {
            return Err(format!("{found:?} is the last until {now}, not {tick}"));
        }
    }
    let between = (case.start, ticks.last().copied().unwrap_or(case.start));
    let count = schedule.count(case.start, between, 1_000);
    if count != ticks.len().saturating_sub(1) {
        return Err(format!(
            "counts {count} in {between:?}, not {}",
            ticks.len() - 1
        ));
    }
    Ok(())
}

fn compare_by_the_minute(
    schedule: &Schedule,
    dst: DstPolicy,
    case: &Case,
    zone: &TimeZone,
    fields: &Fields<'_>,
) -> Result<(), String> {
    let whole = case.start.as_second().div_euclid(60) * 60;
    let start = Timestamp::from_second(whole).unwrap();
    let end = start + SignedDuration::from_hours(30);
    let expected = fields.ticks(zone, dst, (start, end));
    let next = |tick: &Timestamp| schedule.next(start, *tick);
    let forwards = std::iter::successors(next(&start), next).take_while(|tick| *tick <= end);
    let previous =
        |tick: &Timestamp| schedule.previous(start, *tick - SignedDuration::from_nanos(1));
    let backwards = std::iter::successors(schedule.previous(start, end), previous);
    let mut backwards: Vec<Timestamp> = backwards.take_while(|tick| *tick > start).collect();
    backwards.reverse();
    for (way, found) in [("forwards", forwards.collect()), ("backwards", backwards)] {
        if found != expected {
            let differing = found.iter().find(|tick| !expected.contains(tick));
            let missing = expected.iter().find(|tick| !found.contains(tick));
            return Err(format!(
                "{dst:?} {way}: {differing:?} too many, {missing:?} missing"
            ));
        }
    }
    Ok(())
}

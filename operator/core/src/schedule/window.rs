//! Times in which no run starts.

use std::ops::Range;

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::{Calendar, Error, Schedule, every, is_beyond_time};
use crate::api::v1alpha1::{DstPolicy, ExclusionWindow};

/// A time in which no run starts. Its end is not part of it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Window {
    /// From one instant to another.
    Fixed {
        /// When it begins.
        from: Timestamp,
        /// When it ends.
        until: Timestamp,
    },
    /// As often as a calendar says, so long each time.
    Recurring {
        /// When it begins.
        calendar: Calendar,
        /// How long it lasts.
        duration: SignedDuration,
    },
}

impl Window {
    /// Understands a window in the given zone, where clocks are turned as for the job's own schedule; otherwise the field
    /// that is wrong, and why.
    pub fn parse(
        written: &ExclusionWindow,
        zone: &TimeZone,
        dst: DstPolicy,
    ) -> Result<Self, (&'static str, String)> {
        match (
            &written.from,
            &written.until,
            &written.schedule,
            &written.duration,
        ) {
            (Some(from), Some(until), None, None) => {
                let from = instant(from, zone).map_err(|message| (".from", message))?;
                let until = instant(until, zone).map_err(|message| (".until", message))?;
                if until <= from {
                    return Err((".until", not_later(until, from, zone)));
                }
                Ok(Self::Fixed { from, until })
            }
            (None, None, Some(schedule), Some(duration)) => {
                let fail = |error: Error| (".schedule", error.to_string());
                let parsed = Schedule::parse(schedule, zone.clone(), dst);
                let Schedule::Calendar(calendar) = parsed.map_err(fail)? else {
                    let message = "must be five cron fields or a word such as @daily, because a window begins by the calendar";
                    return Err((".schedule", message.to_owned()));
                };
                let seconds = every::whole_seconds(duration).filter(|seconds| *seconds >= 60);
                let seconds = seconds.ok_or_else(|| {
                    let message = format!("`{duration}` is not a duration of at least one minute: write for example 90m or 48h");
                    (".duration", message)
                })?;
                Ok(Self::Recurring {
                    calendar,
                    duration: SignedDuration::from_secs(seconds),
                })
            }
            _ => Err((
                "",
                "needs either from and until, or schedule and duration".to_owned(),
            )),
        }
    }

    /// Whether its schedule names no instant to come.
    pub fn never_begins(&self, now: Timestamp) -> bool {
        match self {
            Self::Fixed { .. } => false,
            Self::Recurring { calendar, .. } => calendar.next(now).is_none(),
        }
    }

    /// Whether an instant lies in it.
    pub fn contains(&self, instant: Timestamp) -> bool {
        match self {
            Self::Fixed { from, until } => (*from..*until).contains(&instant),
            Self::Recurring { calendar, duration } => began(calendar, *duration, instant).is_some(),
        }
    }

    /// The time that an instant lies in, from its latest beginning on, or else the next one. Times that overlap or
    /// touch are one.
    pub fn next_time(&self, instant: Timestamp) -> Option<Range<Timestamp>> {
        match self {
            Self::Fixed { from, until } => (instant < *until).then_some(*from..*until),
            Self::Recurring { calendar, duration } => {
                let begun = began(calendar, *duration, instant);
                let from = begun.or_else(|| calendar.next(instant))?;
                let last = calendar.last_of_row(from, *duration);
                let until = last.saturating_add(*duration).ok()?;
                Some(from..until)
            }
        }
    }
}

/// When the window began last that an instant lies in.
fn began(calendar: &Calendar, duration: SignedDuration, instant: Timestamp) -> Option<Timestamp> {
    let from = calendar.recent(instant, duration)?;
    let until = from.saturating_add(duration).ok()?;
    (instant < until).then_some(from)
}

/// Of two readings in the right order the first may still be the later, where the clock leaves it out.
fn not_later(until: Timestamp, from: Timestamp, zone: &TimeZone) -> String {
    let [until, from] = [until, from].map(|instant| {
        let zoned = instant.to_zoned(zone.clone());
        zoned.strftime("%Y-%m-%dT%H:%M:%S%:z").to_string()
    });
    format!("must be later than from: from is {from}, and until {until}")
}

/// With an offset, or as a reading in the zone.
fn instant(text: &str, zone: &TimeZone) -> Result<Timestamp, String> {
    if text.contains('[') {
        return Err(format!(
            "`{text}` names a zone of its own, which is not read: write an offset, as in 2026-12-24T00:00:00+01:00, or leave it to spec.timeZone"
        ));
    }
    if let Ok(instant) = text.parse::<Timestamp>() {
        return Ok(instant);
    }
    // 9999-12-31T23:59:59Z means for ever.
    if is_beyond_time(text) {
        return Ok(Timestamp::MAX);
    }
    let reading: Option<DateTime> = text.parse().ok();
    let zoned = reading.and_then(|reading| reading.to_zoned(zone.clone()).ok());
    zoned.map(|zoned| zoned.timestamp()).ok_or_else(|| {
        format!("`{text}` is not a time: write for example 2026-12-24T00:00:00 (in the schedule's zone) or 2026-12-24T00:00:00+01:00")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_may_last_for_ever() {
        for until in ["9999-12-31T23:59:59Z", "9999-12-31T00:00:00"] {
            let window = ExclusionWindow {
                from: Some("2026-12-24T00:00:00Z".into()),
                until: Some(until.into()),
                ..ExclusionWindow::default()
            };

            let window = Window::parse(&window, &TimeZone::UTC, DstPolicy::default()).unwrap();

            let late: Timestamp = "9999-12-30T00:00:00Z".parse().unwrap();
            assert!(window.contains(late), "{until}");
        }
    }

    #[test]
    fn holds_its_start_and_not_its_end() {
        let zone = crate::schedule::zone("Europe/Berlin").unwrap();
        let fixed = ExclusionWindow {
            from: Some("2026-12-24T00:00:00".into()),
            until: Some("2026-12-26T23:00:00Z".into()),
            ..ExclusionWindow::default()
        };
        let weekly = ExclusionWindow {
            schedule: Some("0 22 * * FRI".into()),
            duration: Some("48h".into()),
            ..ExclusionWindow::default()
        };
        for (window, inside, end, outside) in [
            (
                &fixed,
                "2026-12-23T23:00:00Z",
                "2026-12-26T23:00:00Z",
                ["2026-12-23T22:59:59Z", "2026-12-26T23:00:00Z"],
            ),
            (
                &weekly,
                "2026-11-27T21:00:00Z",
                "2026-11-29T21:00:00Z",
                ["2026-11-27T20:59:59Z", "2026-11-29T21:00:00Z"],
            ),
        ] {
            let window = Window::parse(window, &zone, DstPolicy::default()).unwrap();
            let at = |text: &str| text.parse::<Timestamp>().unwrap();
            assert!(window.contains(at(inside)), "{window:?}");
            let time = window.next_time(at(inside));
            assert_eq!(time, Some(at(inside)..at(end)), "{window:?}");
            for instant in outside {
                assert!(!window.contains(at(instant)), "{instant} {window:?}");
            }
            let later = window.next_time(at(end));
            assert!(
                later.is_none_or(|later| later.start > at(end)),
                "{window:?}"
            );
        }
    }

    #[test]
    fn a_time_that_is_read_otherwise_than_it_looks_is_told() {
        let zone = crate::schedule::zone("Europe/Berlin").unwrap();
        let told = |from: &str, until: &str| {
            let written = ExclusionWindow {
                from: Some(from.into()),
                until: Some(until.into()),
                ..ExclusionWindow::default()
            };
            Window::parse(&written, &zone, DstPolicy::default()).unwrap_err()
        };

        // Half past two is left out.
        assert_eq!(
            told("2027-03-28T02:30:00", "2027-03-28T03:15:00"),
            (
                ".until",
                "must be later than from: from is 2027-03-28T03:30:00+02:00, and until 2027-03-28T03:15:00+02:00".to_owned()
            )
        );
        let (field, message) = told("2026-12-24T10:00[America/New_York]", "2026-12-27T00:00");
        assert_eq!(field, ".from");
        assert!(message.contains("names a zone of its own"), "{message}");
        let (field, _) = told("2026-12-24T10:00", "2026-12-27T00:00+01:00[Europe/Berlin]");
        assert_eq!(field, ".until");
    }

    /// Schedule, duration, an instant, and the time that it lies in or that comes next, of what Berlin's clock does.
    const ROWS: &[[&str; 5]] = &[
        // By the minute, and with a pause of an hour.
        [
            "* 9-17 * * *",
            "1m",
            "2026-11-24T10:30:20Z",
            "2026-11-24T10:30:00Z",
            "2026-11-24T17:00:00Z",
        ],
        [
            "* 9-11,13-17 * * *",
            "1m",
            "2026-11-24T08:30:00Z",
            "2026-11-24T08:30:00Z",
            "2026-11-24T11:00:00Z",
        ],
        [
            "*/5 8-17 * * 1-5",
            "5m",
            "2026-11-24T18:00:00Z",
            "2026-11-25T07:00:00Z",
            "2026-11-25T17:00:00Z",
        ],
        // Just too short to meet.
        [
            "*/5 8-17 * * 1-5",
            "4m59s",
            "2026-11-24T10:00:00Z",
            "2026-11-24T10:00:00Z",
            "2026-11-24T10:04:59Z",
        ],
        // Every other hour, with a pause of half of one.
        [
            "0 */2 * * *",
            "90m",
            "2026-11-24T11:30:00Z",
            "2026-11-24T11:00:00Z",
            "2026-11-24T12:30:00Z",
        ],
        // A window that begins before its last time is over, and days that meet.
        [
            "0 */6 * * 1-5",
            "7h",
            "2026-11-24T12:00:00Z",
            "2026-11-24T11:00:00Z",
            "2026-11-28T00:00:00Z",
        ],
        [
            "0 22 * * *",
            "24h",
            "2026-11-24T12:00:00Z",
            "2026-11-23T21:00:00Z",
            "2027-01-02T21:00:00Z",
        ],
        [
            "0 0 * 12 *",
            "24h",
            "2026-11-24T12:00:00Z",
            "2026-11-30T23:00:00Z",
            "2026-12-31T23:00:00Z",
        ],
        // The clock is turned forward in the middle, and back: what comes again does not count.
        [
            "* 0-3 * * *",
            "1m",
            "2027-03-27T23:30:00Z",
            "2027-03-27T23:30:00Z",
            "2027-03-28T02:00:00Z",
        ],
        [
            "* 1-2 * * *",
            "1m",
            "2026-10-24T23:30:00Z",
            "2026-10-24T23:30:00Z",
            "2026-10-25T01:00:00Z",
        ],
    ];

    #[test]
    fn times_that_follow_each_other_without_a_pause_are_one() {
        let zone = crate::schedule::zone("Europe/Berlin").unwrap();
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        for [schedule, duration, instant, from, until] in ROWS {
            let written = ExclusionWindow {
                schedule: Some((*schedule).into()),
                duration: Some((*duration).into()),
                ..ExclusionWindow::default()
            };
            let window = Window::parse(&written, &zone, DstPolicy::default()).unwrap();

            let time = window.next_time(at(instant));

            assert_eq!(time, Some(at(from)..at(until)), "{schedule} {duration}");
        }
    }
}

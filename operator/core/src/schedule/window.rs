//! Times in which no run starts.

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::{Error, Schedule, every};
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
    /// As often as a schedule says, so long each time.
    Recurring {
        /// When it begins.
        schedule: Schedule,
        /// How long it lasts.
        duration: SignedDuration,
    },
}

impl Window {
    /// Understands a window in the given zone; otherwise the field that is wrong, and why.
    pub fn parse(
        written: &ExclusionWindow,
        zone: &TimeZone,
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
                    return Err((".until", "must be later than from".to_owned()));
                }
                Ok(Self::Fixed { from, until })
            }
            (None, None, Some(schedule), Some(duration)) => {
                let fail = |error: Error| (".schedule", error.to_string());
                let parsed = Schedule::parse(schedule, zone.clone(), DstPolicy::default());
                let schedule = parsed.map_err(fail)?;
                if !matches!(schedule, Schedule::Calendar(_)) {
                    let message = "must be five cron fields or a word such as @daily, because a window begins by the calendar";
                    return Err((".schedule", message.to_owned()));
                }
                let seconds = every::whole_seconds(duration).filter(|seconds| *seconds >= 60);
                let seconds = seconds.ok_or_else(|| {
                    let message = format!("`{duration}` is not a duration of at least one minute: write for example 90m or 48h");
                    (".duration", message)
                })?;
                Ok(Self::Recurring {
                    schedule,
                    duration: SignedDuration::from_secs(seconds),
                })
            }
            _ => Err((
                "",
                "needs either from and until, or schedule and duration".to_owned(),
            )),
        }
    }

    /// When the window ends that an instant lies in.
    pub fn end(&self, instant: Timestamp) -> Option<Timestamp> {
        let (from, until) = match self {
            Self::Fixed { from, until } => (*from, *until),
            Self::Recurring { schedule, duration } => {
                let from = schedule.previous(instant, instant)?;
                (from, from.saturating_add(*duration).ok()?)
            }
        };
        (from <= instant && instant < until).then_some(until)
    }
}

/// With an offset, or as a reading in the zone.
fn instant(text: &str, zone: &TimeZone) -> Result<Timestamp, String> {
    if let Ok(instant) = text.parse::<Timestamp>() {
        return Ok(instant);
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
            let window = Window::parse(window, &zone).unwrap();
            let at = |text: &str| text.parse::<Timestamp>().unwrap();
            assert_eq!(window.end(at(inside)), Some(at(end)), "{window:?}");
            for instant in outside {
                assert_eq!(window.end(at(instant)), None, "{instant} {window:?}");
            }
        }
    }
}

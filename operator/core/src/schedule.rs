//! When a job runs: the schedule's text, and the instants it stands for.
//!
//! The texts are those that a Kubernetes CronJob accepts. Daylight saving works differently, on
//! purpose: every reading of the clock that a schedule names happens once (see [`Schedule::Calendar`]),
//! unless the author asks for Kubernetes' way.

mod calendar;
mod cron;
mod every;
mod window;

use jiff::civil::date;
use jiff::fmt::temporal::Pieces;
use jiff::{Timestamp, tz::TimeZone};
use serde::{Deserialize, Serialize};

use crate::api::v1alpha1::{DstPolicy, ONCE};
use calendar::Calendar;
pub use calendar::HORIZON_IN_DAYS;
use every::Every;
pub use window::Window;

/// A schedule that was understood.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Schedule {
    /// Once, as soon as possible.
    Once,
    /// At a fixed interval, without regard to the calendar.
    Every(Every),
    /// By the clock of a time zone. The author chooses what happens when it is turned.
    Calendar(Calendar),
}

/// Why a schedule was not understood.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Neither `@once`, nor five fields, nor a known word.
    #[error(
        "`{0}` is neither @once, nor five cron fields, nor @hourly, @daily, @midnight, @weekly, @monthly, @yearly, @annually or @every with a duration"
    )]
    Unknown(String),
    /// One of the five fields.
    #[error("{field} `{text}`: {reason}")]
    Field {
        /// Which of them.
        field: &'static str,
        /// As it is written.
        text: String,
        /// The mistake.
        reason: String,
    },
    /// The duration of `@every`.
    #[error("`{0}` is not a duration of at least one minute: write for example 90s or 1h30m")]
    Interval(String),
    /// A zone in front of the fields.
    #[error("a time zone in the schedule is not supported: use spec.timeZone")]
    ZonePrefix,
    /// No date in eight years fits.
    #[error("never fires within eight years: look at its day and month")]
    Never,
}

impl Schedule {
    /// Understands a schedule in the given zone.
    pub fn parse(text: &str, zone: TimeZone, dst: DstPolicy) -> Result<Self, Error> {
        if text == ONCE {
            return Ok(Self::Once);
        }
        if text.contains("TZ=") {
            return Err(Error::ZonePrefix);
        }
        if let Some(interval) = text.strip_prefix("@every ") {
            return Ok(Self::Every(Every::parse(interval)?));
        }
        let fields = match text {
            "@yearly" | "@annually" => "0 0 1 1 *",
            "@monthly" => "0 0 1 * *",
            "@weekly" => "0 0 * * 0",
            "@daily" | "@midnight" => "0 0 * * *",
            "@hourly" => "0 * * * *",
            fields => fields,
        };
        Ok(Self::Calendar(Calendar::new(
            cron::parse(fields)?,
            zone,
            dst,
        )))
    }

    /// The first instant after `after`. Intervals count from `anchor`.
    pub fn next(&self, anchor: Timestamp, after: Timestamp) -> Option<Timestamp> {
        match self {
            Self::Once => (anchor > after).then_some(anchor),
            Self::Every(every) => every.next(anchor, after),
            Self::Calendar(calendar) => calendar.next(after),
        }
    }

    /// The last instant not after `now`. Intervals count from `anchor`.
    pub fn previous(&self, anchor: Timestamp, now: Timestamp) -> Option<Timestamp> {
        match self {
            Self::Once => (anchor <= now).then_some(anchor),
            Self::Every(every) => every.previous(anchor, now),
            Self::Calendar(calendar) => calendar.previous(now),
        }
    }

    /// How many instants lie between two, neither included; no more than `most` are counted.
    pub fn count(
        &self,
        anchor: Timestamp,
        (after, before): (Timestamp, Timestamp),
        most: usize,
    ) -> usize {
        match self {
            Self::Once => usize::from(anchor > after && anchor < before).min(most),
            Self::Every(every) => every.count(anchor, after, before).min(most),
            Self::Calendar(calendar) => calendar.count(after, before, most),
        }
    }

    /// Whether it runs once.
    pub fn is_once(&self) -> bool {
        matches!(self, Self::Once)
    }
}

/// A zone by its IANA name, from the data in this program; never from a file.
pub fn zone(name: &str) -> Option<TimeZone> {
    let is_local = name.eq_ignore_ascii_case("local");
    jiff::tz::TimeZoneDatabase::bundled()
        .get(name)
        .ok()
        // Etc/Unknown stands for UTC there, and is no zone.
        .filter(|zone| !is_local && !zone.is_unknown())
}

/// Whether a text that is no instant is one of the calendar's last hours, which are left out because they may be over it in
/// another zone.
pub fn is_beyond_time(text: &str) -> bool {
    let pieces = Pieces::parse(text).ok();
    pieces.is_some_and(|it| it.time().is_some() && it.date() >= date(9999, 12, 30))
}

#[cfg(test)]
mod dst_tests;
#[cfg(test)]
mod end_tests;
#[cfg(test)]
mod tests;

//! Cron fields read on the clock of a time zone.
//!
//! A schedule that names hours follows the calendar: each reading of the clock that it names
//! happens once. Where the clock is turned back, only the first occurrence counts. Where it is
//! turned forward, all readings that were left out happen together at the first instant after the
//! gap; gaps of more than six hours (a zone that leaves out a date) are left out.
//! A schedule with any hour follows elapsed time: it fires in each real hour.

use jiff::{
    SignedDuration, Timestamp,
    civil::{Date, DateTime},
    tz::{AmbiguousOffset, TimeZone},
};

use super::cron::Cron;

/// Enough to get from 29 February 2096 to that of 2104.
const HORIZON_IN_DAYS: i32 = 8 * 366;

const LONGEST_GAP: SignedDuration = SignedDuration::from_hours(6);

const MINUTE: SignedDuration = SignedDuration::from_mins(1);

/// Cron fields in a time zone.
#[derive(Clone, Debug)]
pub struct Calendar {
    cron: Cron,
    zone: TimeZone,
}

#[derive(Clone, Copy)]
enum Direction {
    Forward,
    Backward,
}

impl Calendar {
    pub(super) fn new(cron: Cron, zone: TimeZone) -> Self {
        Self { cron, zone }
    }

    /// The zone.
    pub fn zone(&self) -> &TimeZone {
        &self.zone
    }

    pub(super) fn next(&self, after: Timestamp) -> Option<Timestamp> {
        if self.cron.hours.is_star {
            let minute = self.start_of_minute(after).checked_add(MINUTE).ok()?;
            return self.elapsed(minute, Direction::Forward);
        }
        // A reading just before midnight may happen after it, when the clock is turned then.
        self.dates(self.date(after).yesterday().ok()?, Direction::Forward)
            .find_map(|date| self.ticks(date).into_iter().find(|tick| *tick > after))
    }

    pub(super) fn previous(&self, now: Timestamp) -> Option<Timestamp> {
        if self.cron.hours.is_star {
            return self.elapsed(self.start_of_minute(now), Direction::Backward);
        }
        self.dates(self.date(now).tomorrow().ok()?, Direction::Backward)
            .find_map(|date| self.ticks(date).into_iter().rfind(|tick| *tick <= now))
    }

    /// The first minute from `minute` on, in either direction, whose reading fits.
    fn elapsed(&self, mut minute: Timestamp, direction: Direction) -> Option<Timestamp> {
        let last = self.dates_end(self.date(minute), direction)?;
        loop {
            let reading = self.zone.to_datetime(minute);
            if self.cron.is_on(reading.date()) {
                if self.cron.minutes.contains(reading.minute()) {
                    return Some(minute);
                }
                minute = direction.step(minute, MINUTE)?;
                continue;
            }
            let date = self.dates(reading.date(), direction).next()?;
            let has_passed = match direction {
                Direction::Forward => date > last,
                Direction::Backward => date < last,
            };
            if has_passed {
                return None;
            }
            minute = self.edge(date, direction)?;
        }
    }

    /// The first minute of a date, or the last.
    fn edge(&self, date: Date, direction: Direction) -> Option<Timestamp> {
        let start = |date: Date| Some(date.to_zoned(self.zone.clone()).ok()?.timestamp());
        match direction {
            Direction::Forward => start(date),
            Direction::Backward => start(date.tomorrow().ok()?)?.checked_sub(MINUTE).ok(),
        }
    }

    fn dates_end(&self, from: Date, direction: Direction) -> Option<Date> {
        let days = jiff::Span::new().days(HORIZON_IN_DAYS);
        match direction {
            Direction::Forward => from.checked_add(days).ok(),
            Direction::Backward => from.checked_sub(days).ok(),
        }
    }

    /// The dates it fires on, from a date on, within the horizon.
    fn dates(&self, from: Date, direction: Direction) -> impl Iterator<Item = Date> {
        std::iter::successors(Some(from), move |date| match direction {
            Direction::Forward => date.tomorrow().ok(),
            Direction::Backward => date.yesterday().ok(),
        })
        .take(HORIZON_IN_DAYS as usize + 2)
        .filter(|date| self.cron.is_on(*date))
    }

    /// The instants of one date's readings, ascending.
    fn ticks(&self, date: Date) -> Vec<Timestamp> {
        let hours = self.cron.hours.values();
        let readings = hours.flat_map(|hour| {
            let minutes = self.cron.minutes.values();
            minutes.map(move |minute| date.at(hour, minute, 0, 0))
        });
        let mut ticks: Vec<Timestamp> = readings
            .filter_map(|reading| self.instant(reading))
            .collect();
        ticks.sort_unstable();
        ticks.dedup();
        ticks
    }

    fn instant(&self, reading: DateTime) -> Option<Timestamp> {
        let ambiguous = self.zone.to_ambiguous_timestamp(reading);
        let AmbiguousOffset::Gap { before, after } = ambiguous.offset() else {
            return ambiguous.earlier().ok();
        };
        if before.duration_until(after) > LONGEST_GAP {
            return None;
        }
        // Read with the offset of before, a reading inside the gap lies after the transition.
        let beyond = before.to_timestamp(reading).ok()?;
        let just_beyond = beyond.checked_add(SignedDuration::from_nanos(1)).ok()?;
        let transition = self.zone.preceding(just_beyond).next()?;
        Some(transition.timestamp())
    }

    fn date(&self, instant: Timestamp) -> Date {
        self.zone.to_datetime(instant).date()
    }

    /// Where the minute began that an instant lies in.
    fn start_of_minute(&self, instant: Timestamp) -> Timestamp {
        let reading = self.zone.to_datetime(instant);
        let into = SignedDuration::from_secs(i64::from(reading.second()))
            + SignedDuration::from_nanos(i64::from(reading.subsec_nanosecond()));
        instant.checked_sub(into).unwrap_or(instant)
    }
}

impl Direction {
    fn step(self, from: Timestamp, by: SignedDuration) -> Option<Timestamp> {
        match self {
            Self::Forward => from.checked_add(by).ok(),
            Self::Backward => from.checked_sub(by).ok(),
        }
    }
}

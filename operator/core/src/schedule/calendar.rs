//! Cron fields read on the clock of a time zone.
//!
//! Between two changes of its offset a zone's clock runs evenly: there, an instant is a reading and
//! the offset. So a zone's time is taken as a row of such stretches, and only where one begins is
//! there anything to decide about daylight saving:
//!
//! * A schedule that names hours follows the calendar, and each reading that it names happens once.
//!   Readings that come again when the clock is turned back do not count. Readings that are left out
//!   when it is turned forward happen together at the first instant after the gap;
//!   gaps of more than six hours (a zone that leaves out a date) are left out.
//! * A schedule with any hour follows elapsed time, and so does every schedule where the author
//!   asked for what Kubernetes does: each real minute whose reading fits.

use jiff::{
    SignedDuration, Span, Timestamp,
    civil::{Date, DateTime},
    tz::{Offset, TimeZone},
};

use serde::{Deserialize, Serialize};

use super::cron::Cron;
use crate::api::v1alpha1::DstPolicy;

/// So far a schedule is followed without an instant: enough to get from 29 February 2096 to that of 2104.
pub const HORIZON_IN_DAYS: i32 = 8 * 366;

const LONGEST_GAP: SignedDuration = SignedDuration::from_hours(6);

/// A row of instants is followed no further than this, so that it costs no more than a walk through a month.
const LONGEST_ROW: SignedDuration = SignedDuration::from_hours(40 * 24);

const INSTANT: SignedDuration = SignedDuration::from_nanos(1);

/// Cron fields in a time zone.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Calendar {
    cron: Cron,
    #[serde(with = "by_name")]
    zone: TimeZone,
    follows: Follows,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Follows {
    ElapsedTime,
    Readings,
}

/// A time during which the zone's offset does not change.
struct Stretch {
    start: Option<Timestamp>,
    /// The first instant after it.
    end: Option<Timestamp>,
    offset: Offset,
    /// The first of its readings that counts.
    first: DateTime,
    /// Whether readings that were left out before it happen as it starts.
    makes_up: bool,
}

impl Calendar {
    pub(super) fn new(cron: Cron, zone: TimeZone, dst: DstPolicy) -> Self {
        let follows = match dst {
            DstPolicy::OncePerOccurrence if !cron.hours.is_star => Follows::Readings,
            DstPolicy::OncePerOccurrence | DstPolicy::Kubernetes => Follows::ElapsedTime,
        };
        Self {
            cron,
            zone,
            follows,
        }
    }

    /// The zone.
    pub fn zone(&self) -> &TimeZone {
        &self.zone
    }

    pub(super) fn next(&self, after: Timestamp) -> Option<Timestamp> {
        let mut from = after.checked_add(INSTANT).ok()?;
        let last = self.horizon(from, HORIZON_IN_DAYS);
        loop {
            let stretch = self.stretch(from);
            if stretch.makes_up && stretch.start == Some(from) {
                return Some(from);
            }
            let until = stretch.until(last);
            if let Some(reading) = self.cron.first_from(stretch.reading(from), until) {
                let instant = stretch.offset.to_timestamp(reading).ok()?;
                if stretch.end.is_none_or(|end| instant < end) {
                    return Some(instant);
                }
            }
            from = stretch.end.filter(|end| self.date(*end) <= last)?;
        }
    }

    pub(super) fn previous(&self, now: Timestamp) -> Option<Timestamp> {
        self.last_from(self.horizon(now, -HORIZON_IN_DAYS), now)
    }

    /// The last instant not after `now`, if it is not much longer ago than `most`: a window of an hour needs no walk
    /// through a year.
    pub(super) fn recent(&self, now: Timestamp, most: SignedDuration) -> Option<Timestamp> {
        let horizon = self.horizon(now, -HORIZON_IN_DAYS);
        // A clock that is turned back reads the day before again.
        let first = now.checked_sub(most).ok();
        let first = first.map(|first| self.horizon(first, -1));
        self.last_from(first.map_or(horizon, |first| first.max(horizon)), now)
    }

    /// The last instant not after `now`, and not before the date `first`.
    fn last_from(&self, first: Date, now: Timestamp) -> Option<Timestamp> {
        let mut until = now;
        loop {
            let stretch = self.stretch(until);
            let earliest = stretch.first.max(first.at(0, 0, 0, 0));
            let reading = stretch.offset.to_datetime(until);
            if let Some(reading) = self.cron.last_until(reading, earliest) {
                return stretch.offset.to_timestamp(reading).ok();
            }
            let start = stretch.start.filter(|start| self.date(*start) >= first)?;
            if stretch.makes_up {
                return Some(start);
            }
            until = start.checked_sub(INSTANT).ok()?;
        }
    }

    /// The last of the instants from one of them on that each come no later than `most` after the one before.
    pub(super) fn last_of_row(&self, first: Timestamp, most: SignedDuration) -> Timestamp {
        let mut last = first;
        let Ok(limit) = first.checked_add(LONGEST_ROW) else {
            return last;
        };
        while last < limit {
            let stretch = self.stretch(last);
            let offset = stretch.offset;
            let end = stretch.end.map_or(limit, |end| end.min(limit));
            let reading = self.cron.last_of_row(
                offset.to_datetime(last),
                most.as_mins(),
                offset.to_datetime(end),
            );
            last = offset.to_timestamp(reading).unwrap_or(last);
            let reaches = last.saturating_add(most).unwrap_or(last);
            if stretch.end.is_none_or(|end| reaches < end) {
                return last;
            }
            // The first one after the clock was turned may follow as closely.
            let next = self.next(last);
            match next.filter(|next| next.duration_since(last) <= most) {
                Some(next) => last = next,
                None => return last,
            }
        }
        last
    }

    /// How many instants lie between two, neither included; no more than `most` are counted.
    pub(super) fn count(&self, after: Timestamp, before: Timestamp, most: usize) -> usize {
        let mut count = 0;
        let mut from = after.checked_add(INSTANT).ok();
        while let Some(start) = from.filter(|from| *from < before && count < most) {
            let stretch = self.stretch(start);
            count += usize::from(stretch.makes_up && stretch.start == Some(start));
            let end = stretch.end.map_or(before, |end| end.min(before));
            let end = stretch.offset.to_datetime(end);
            count += self
                .cron
                .count(stretch.reading(start), end, most.saturating_sub(count));
            from = stretch.end;
        }
        count.min(most)
    }

    /// The first reading between two instants that the fields name and the clock leaves out, and when it is turned forward
    /// then. A schedule with any hour has none: it follows elapsed time.
    pub fn left_out(&self, after: Timestamp, before: Timestamp) -> Option<(DateTime, Timestamp)> {
        if self.cron.hours.is_star {
            return None;
        }
        let turns = self.zone.following(after).map(|it| it.timestamp());
        let mut turns = turns.take_while(|turn| *turn < before);
        turns.find_map(|turn| {
            let just_before = turn.checked_sub(INSTANT).ok()?;
            let left_off = self.zone.to_offset(just_before).to_datetime(turn);
            let goes_on = self.zone.to_datetime(turn);
            let reading = self.cron.first_from(left_off, goes_on.date())?;
            (reading < goes_on).then_some((reading, turn))
        })
    }

    fn stretch(&self, at: Timestamp) -> Stretch {
        let offset = self.zone.to_offset(at);
        let after = at.checked_add(INSTANT).unwrap_or(at);
        let start = self.zone.preceding(after).next().map(|it| it.timestamp());
        let end = self.zone.following(at).next().map(|it| it.timestamp());
        let mut stretch = Stretch {
            start,
            end,
            offset,
            first: start.map_or(DateTime::MIN, |start| offset.to_datetime(start)),
            makes_up: false,
        };
        if let Some(start) = start
            && self.follows == Follows::Readings
        {
            self.join(&mut stretch, start);
        }
        stretch
    }

    /// Decides what becomes of readings that come again as a stretch starts, or are left out.
    fn join(&self, stretch: &mut Stretch, start: Timestamp) {
        let Ok(just_before) = start.checked_sub(INSTANT) else {
            return;
        };
        let before = self.zone.to_offset(just_before);
        let left_off = before.to_datetime(start);
        if left_off > stretch.first {
            stretch.first = left_off;
        } else if before.duration_until(stretch.offset) <= LONGEST_GAP {
            let is_left_out = self.cron.count(left_off, stretch.first, 1) > 0;
            stretch.makes_up = is_left_out && !self.cron.contains(stretch.first);
        }
    }

    /// So many days away, or where the calendar ends.
    fn horizon(&self, from: Timestamp, days: i32) -> Date {
        self.date(from).saturating_add(Span::new().days(days))
    }

    fn date(&self, instant: Timestamp) -> Date {
        self.zone.to_datetime(instant).date()
    }
}

impl Stretch {
    /// From which reading on an instant of it counts.
    fn reading(&self, instant: Timestamp) -> DateTime {
        self.offset.to_datetime(instant).max(self.first)
    }

    /// Its last date, or `last` if that is earlier.
    fn until(&self, last: Date) -> Date {
        let own = self.end.map(|end| self.offset.to_datetime(end).date());
        own.map_or(last, |own| own.min(last))
    }
}

/// A zone as the name that it was found by.
mod by_name {
    use jiff::tz::TimeZone;
    use serde::de::Error as _;
    use serde::{Deserialize as _, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(
        zone: &TimeZone,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(zone.iana_name().unwrap_or("UTC"))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<TimeZone, D::Error> {
        let name = String::deserialize(deserializer)?;
        crate::schedule::zone(&name).ok_or_else(|| D::Error::custom("an unknown time zone"))
    }
}

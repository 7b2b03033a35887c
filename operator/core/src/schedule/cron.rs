//! The five fields of a cron schedule, read as robfig/cron reads them, which is what a
//! Kubernetes CronJob accepts.

use jiff::SignedDuration;
use jiff::civil::{Date, DateTime};
use serde::{Deserialize, Serialize};

use super::Error;

const MINUTES_A_DAY: i16 = 24 * 60;

/// The values of each field, as bits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Cron {
    pub(super) minutes: Field,
    pub(super) hours: Field,
    days: Field,
    months: Field,
    weekdays: Field,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Field {
    bits: u64,
    /// Whether the field says "any", which a step of more than one takes back.
    pub(super) is_star: bool,
}

struct Bounds {
    name: &'static str,
    least: u32,
    greatest: u32,
    names: &'static [&'static str],
}

const MINUTES: Bounds = Bounds {
    name: "minute",
    least: 0,
    greatest: 59,
    names: &[],
};
const HOURS: Bounds = Bounds {
    name: "hour",
    least: 0,
    greatest: 23,
    names: &[],
};
const DAYS: Bounds = Bounds {
    name: "day of month",
    least: 1,
    greatest: 31,
    names: &[],
};
const MONTHS: Bounds = Bounds {
    name: "month",
    least: 1,
    greatest: 12,
    names: &[
        "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec",
    ],
};
const WEEKDAYS: Bounds = Bounds {
    name: "day of week",
    least: 0,
    greatest: 6,
    names: &["sun", "mon", "tue", "wed", "thu", "fri", "sat"],
};

pub(super) fn parse(text: &str) -> Result<Cron, Error> {
    let fields: Vec<&str> = text.split_whitespace().collect();
    let &[minutes, hours, days, months, weekdays] = fields.as_slice() else {
        return Err(Error::Unknown(text.to_owned()));
    };
    if text.starts_with('@') {
        return Err(Error::Unknown(text.to_owned()));
    }
    Ok(Cron {
        minutes: MINUTES.parse(minutes)?,
        hours: HOURS.parse(hours)?,
        days: DAYS.parse(days)?,
        months: MONTHS.parse(months)?,
        weekdays: WEEKDAYS.parse(weekdays)?,
    })
}

impl Cron {
    /// Whether it fires at this reading.
    pub(super) fn contains(&self, reading: DateTime) -> bool {
        let is_whole = reading.second() == 0 && reading.subsec_nanosecond() == 0;
        is_whole
            && self.hours.contains(reading.hour())
            && self.minutes.contains(reading.minute())
            && self.is_on(reading.date())
    }

    /// The first reading not before `from`, and not after the date `last`.
    pub(super) fn first_from(&self, from: DateTime, last: Date) -> Option<DateTime> {
        let mut date = from.date();
        let mut earliest = minute_of_day_from(from);
        while date <= last {
            if self.is_on(date)
                && let Some((hour, minute)) = self.first_time(earliest)
            {
                return Some(date.at(hour, minute, 0, 0));
            }
            date = date.tomorrow().ok()?;
            earliest = 0;
        }
        None
    }

    /// The last reading not after `until`, and not before `earliest`.
    pub(super) fn last_until(&self, until: DateTime, earliest: DateTime) -> Option<DateTime> {
        let mut date = until.date();
        let mut latest = minute_of_day(until);
        while date >= earliest.date() {
            if self.is_on(date)
                && let Some((hour, minute)) = self.last_time(latest)
            {
                return Some(date.at(hour, minute, 0, 0)).filter(|found| *found >= earliest);
            }
            date = date.yesterday().ok()?;
            latest = MINUTES_A_DAY;
        }
        None
    }

    /// How many readings there are from `from` on and before `end`; no more than `most` are counted.
    pub(super) fn count(&self, from: DateTime, end: DateTime, most: usize) -> usize {
        let mut count = 0;
        let mut date = from.date();
        let mut earliest = minute_of_day_from(from);
        while date <= end.date() && count < most {
            let latest = if date == end.date() {
                minute_of_day_from(end)
            } else {
                MINUTES_A_DAY
            };
            if self.is_on(date) {
                count += self.times(earliest, latest);
            }
            let Ok(tomorrow) = date.tomorrow() else {
                break;
            };
            date = tomorrow;
            earliest = 0;
        }
        count.min(most)
    }

    /// The last of the readings from one of them on and before `end` that each come no more than `most` minutes after the
    /// one before.
    pub(super) fn last_of_row(&self, first: DateTime, most: i64, end: DateTime) -> DateTime {
        let has_no_pause = self.longest_pause() <= most;
        // Both count from the midnight before the first reading.
        let mut last = i64::from(minute_of_day(first));
        let mut midnight = 0;
        let mut date = first.date();
        while date <= end.date() && midnight - last <= most {
            let until = if date == end.date() {
                minute_of_day_from(end)
            } else {
                MINUTES_A_DAY
            };
            if self.is_on(date) {
                let first = last - midnight;
                last = midnight + self.last_of_row_in_a_day(first, most, until, has_no_pause);
            }
            let Ok(tomorrow) = date.tomorrow() else {
                break;
            };
            date = tomorrow;
            midnight += i64::from(MINUTES_A_DAY);
        }
        let passed = SignedDuration::from_mins(last - i64::from(minute_of_day(first)));
        first.checked_add(passed).unwrap_or(first)
    }

    /// The same in minutes of a day, from one on that may lie before it.
    fn last_of_row_in_a_day(&self, first: i64, most: i64, until: i16, has_no_pause: bool) -> i64 {
        let mut last = first;
        for time in self.times_after(first) {
            if time - last > most || time >= i64::from(until) {
                return last;
            }
            last = time;
            if has_no_pause && until == MINUTES_A_DAY {
                let latest = self.last_time(MINUTES_A_DAY);
                return latest.map_or(last, |(hour, minute)| {
                    i64::from(hour) * 60 + i64::from(minute)
                });
            }
        }
        last
    }

    /// The minutes of a day at which it fires, after one of them.
    fn times_after(&self, minute: i64) -> impl Iterator<Item = i64> {
        let minutes = self.minutes;
        let hours = self.hours.values().map(|hour| i64::from(hour) * 60);
        let hours = hours.filter(move |hour| hour + 59 > minute);
        let times = hours.flat_map(move |hour| {
            let minutes = minutes.values();
            minutes.map(move |minute| hour + i64::from(minute))
        });
        times.filter(move |time| *time > minute)
    }

    /// The longest pause between two times of a day, in minutes.
    fn longest_pause(&self) -> i64 {
        let mut minutes = self.minutes.values();
        let first = minutes.next().unwrap_or_default();
        let last = minutes.next_back().unwrap_or(first);
        let between_hours = self.hours.longest_step();
        let between_hours = between_hours.map_or(0, |hours| hours * 60 - i64::from(last - first));
        let within_an_hour = self.minutes.longest_step();
        within_an_hour.unwrap_or(0).max(between_hours)
    }

    /// How many times of day there are from one minute of the day on and before another.
    fn times(&self, from: i16, end: i16) -> usize {
        if from == 0 && end == MINUTES_A_DAY {
            return self.hours.len() * self.minutes.len();
        }
        let hours = self.hours.values().map(|hour| i16::from(hour) * 60);
        hours
            .map(|hour| self.minutes.len_between(from - hour, end - hour))
            .sum()
    }

    fn first_time(&self, from: i16) -> Option<(i8, i8)> {
        self.hours.values().find_map(|hour| {
            let from = from - i16::from(hour) * 60;
            let mut minutes = self.minutes.values();
            Some((hour, minutes.find(|minute| i16::from(*minute) >= from)?))
        })
    }

    fn last_time(&self, until: i16) -> Option<(i8, i8)> {
        self.hours.values().rev().find_map(|hour| {
            let until = until - i16::from(hour) * 60;
            let mut minutes = self.minutes.values().rev();
            Some((hour, minutes.find(|minute| i16::from(*minute) <= until)?))
        })
    }

    /// Whether it fires on this date. Day of month and day of week both count when one of them
    /// says "any"; otherwise either does.
    pub(super) fn is_on(&self, date: Date) -> bool {
        let day = self.days.contains(date.day());
        let weekday = self
            .weekdays
            .contains(date.weekday().to_sunday_zero_offset());
        let fits = if self.days.is_star || self.weekdays.is_star {
            day && weekday
        } else {
            day || weekday
        };
        fits && self.months.contains(date.month())
    }
}

/// The minute of the day that an instant lies in.
fn minute_of_day(reading: DateTime) -> i16 {
    i16::from(reading.hour()) * 60 + i16::from(reading.minute())
}

/// The first minute of the day that does not begin before an instant.
fn minute_of_day_from(reading: DateTime) -> i16 {
    let is_whole = reading.second() == 0 && reading.subsec_nanosecond() == 0;
    minute_of_day(reading) + i16::from(!is_whole)
}

impl Field {
    fn len(self) -> usize {
        self.bits.count_ones() as usize
    }

    /// How many values there are from one on and before another.
    fn len_between(self, from: i16, end: i16) -> usize {
        let below = |bound: i16| {
            let bound = bound.clamp(0, 60);
            (self.bits & ((1_u64 << bound) - 1)).count_ones() as usize
        };
        below(end).saturating_sub(below(from))
    }

    /// The longest step from one value to the next.
    fn longest_step(self) -> Option<i64> {
        let pairs = self.values().zip(self.values().skip(1));
        pairs.map(|(low, high)| i64::from(high - low)).max()
    }

    pub(super) fn contains(self, value: i8) -> bool {
        self.bits & (1 << value) != 0
    }

    /// The values, ascending.
    pub(super) fn values(self) -> impl DoubleEndedIterator<Item = i8> {
        (0..60).filter(move |value| self.contains(*value))
    }
}

impl Bounds {
    fn parse(&self, text: &str) -> Result<Field, Error> {
        let fail = |reason: String| Error::Field {
            field: self.name,
            text: text.to_owned(),
            reason,
        };
        let mut field = Field {
            bits: 0,
            is_star: false,
        };
        for item in text.split(',').filter(|item| !item.is_empty()) {
            let item = self.item(item).map_err(fail)?;
            field.bits |= item.bits;
            field.is_star |= item.is_star;
        }
        if field.bits == 0 {
            return Err(fail("names no value".to_owned()));
        }
        Ok(field)
    }

    /// `*`, `a`, `a-b`, each with or without `/step`.
    fn item(&self, item: &str) -> Result<Field, String> {
        let mut parts = item.split('/');
        let range = parts.next().unwrap_or_default();
        let step = parts.next();
        if parts.next().is_some() {
            return Err("has more than one slash".to_owned());
        }
        let (low, high) = match range.split_once('-') {
            Some((low, high)) => (low, Some(high)),
            None => (range, None),
        };
        // Behind a star, robfig reads no further.
        let is_star = matches!(low, "*" | "?");
        if !is_star && high.is_some_and(|high| high.contains('-')) {
            return Err("has more than one hyphen".to_owned());
        }
        let (first, last) = if is_star {
            (self.least, self.greatest)
        } else {
            let first = self.value(low)?;
            let last = match high {
                Some(high) => self.value(high)?,
                None if step.is_some() => self.greatest,
                None => first,
            };
            (first, last)
        };
        if first > last {
            return Err(format!("begins after it ends: {first} > {last}"));
        }
        let step = step.map_or(Ok(1), self::step)?;
        let bits = (first..=last)
            .step_by(usize::try_from(step).unwrap_or(usize::MAX))
            .fold(0, |bits, value| bits | 1 << value);
        Ok(Field {
            bits,
            is_star: is_star && step == 1,
        })
    }

    fn value(&self, text: &str) -> Result<u32, String> {
        if text.is_empty() {
            return Err("lacks a number".to_owned());
        }
        let name = text.to_lowercase();
        let position = self.names.iter().position(|known| *known == name);
        let value = match position.and_then(|position| u32::try_from(position).ok()) {
            Some(position) => u64::from(position + self.least),
            None => whole_number(text).ok_or_else(|| match self.names.first() {
                Some(name) => format!("`{text}` is neither a number nor a name such as {name}"),
                None => format!("`{text}` is not a number"),
            })?,
        };
        if value == 7 && self.greatest == 6 {
            return Err("7 is not a day of the week: use 0 for Sunday".to_owned());
        }
        match u32::try_from(value) {
            Ok(value) if (self.least..=self.greatest).contains(&value) => Ok(value),
            _ => Err(format!(
                "{value} is not within {} to {}",
                self.least, self.greatest
            )),
        }
    }
}

/// How far a step goes, which may be beyond every value.
fn step(text: &str) -> Result<u64, String> {
    match whole_number(text) {
        Some(0) => Err("has a step of zero".to_owned()),
        Some(step) => Ok(step),
        None if text.is_empty() => Err("has no step behind its slash".to_owned()),
        None => Err(format!("`{text}` is not a number, as a step is")),
    }
}

/// As Go reads it: a plus sign and leading zeros are fine, and it has 63 bits.
fn whole_number(text: &str) -> Option<u64> {
    let number: i64 = text.parse().ok()?;
    u64::try_from(number).ok()
}

//! The five fields of a cron schedule, read as robfig/cron reads them, which is what a
//! Kubernetes CronJob accepts.

use jiff::civil::Date;

use super::Error;

/// The values of each field, as bits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Cron {
    pub(super) minutes: Field,
    pub(super) hours: Field,
    days: Field,
    months: Field,
    weekdays: Field,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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

impl Field {
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
        let step = step.map_or(Ok(1), whole_number)?;
        if step == 0 {
            return Err("has a step of zero".to_owned());
        }
        let bits = (first..=last)
            .step_by(usize::try_from(step).unwrap_or(usize::MAX))
            .fold(0, |bits, value| bits | 1 << value);
        Ok(Field {
            bits,
            is_star: is_star && step == 1,
        })
    }

    fn value(&self, text: &str) -> Result<u32, String> {
        let name = text.to_lowercase();
        let position = self.names.iter().position(|known| *known == name);
        let value = match position.and_then(|position| u32::try_from(position).ok()) {
            Some(position) => position + self.least,
            None => whole_number(text)?,
        };
        if value == 7 && self.greatest == 6 {
            return Err("7 is no day of the week; use 0 for Sunday".to_owned());
        }
        if !(self.least..=self.greatest).contains(&value) {
            return Err(format!(
                "{value} is not within {} to {}",
                self.least, self.greatest
            ));
        }
        Ok(value)
    }
}

/// As Go reads it: a plus sign and leading zeros are fine.
fn whole_number(text: &str) -> Result<u32, String> {
    text.parse()
        .map_err(|_| format!("`{text}` is no number or name"))
}

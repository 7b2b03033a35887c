//! `@every`: a fixed interval from the first run on.

use jiff::{SignedDuration, Timestamp};

use super::Error;

const NANOS: i64 = 1_000_000_000;

/// A whole number of seconds, at least a minute: Jobs are named by the minute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Every {
    seconds: i64,
}

impl Every {
    pub(super) fn parse(text: &str) -> Result<Self, Error> {
        let fail = || Error::Interval(text.to_owned());
        let seconds = whole_seconds(text).ok_or_else(fail)?;
        if seconds < 60 {
            return Err(fail());
        }
        Ok(Self { seconds })
    }

    pub(super) fn next(self, anchor: Timestamp, after: Timestamp) -> Option<Timestamp> {
        let passed = after.duration_since(anchor).as_secs();
        let count = passed.div_euclid(self.seconds).checked_add(1)?.max(1);
        self.tick(anchor, count)
    }

    pub(super) fn previous(self, anchor: Timestamp, now: Timestamp) -> Option<Timestamp> {
        let count = now.duration_since(anchor).as_secs() / self.seconds;
        (count >= 1).then(|| self.tick(anchor, count))?
    }

    fn tick(self, anchor: Timestamp, count: i64) -> Option<Timestamp> {
        let since = SignedDuration::from_secs(self.seconds.checked_mul(count)?);
        anchor.checked_add(since).ok()
    }
}

/// Hours, minutes and seconds as Go reads them, in whole nanoseconds, with the fraction of a second
/// cut off.
fn whole_seconds(text: &str) -> Option<i64> {
    let mut rest = text;
    let mut total: i64 = 0;
    while !rest.is_empty() {
        let digits = rest.find(|letter: char| !letter.is_ascii_digit() && letter != '.')?;
        let (number, unit_and_more) = rest.split_at(digits);
        let (unit, length) = match unit_and_more.as_bytes()[0] {
            b'h' => (3_600 * NANOS, 1),
            b'm' if unit_and_more.starts_with("ms") => (NANOS / 1_000, 2),
            b'm' => (60 * NANOS, 1),
            b's' => (NANOS, 1),
            _ => return None,
        };
        total = total.checked_add(nanoseconds(number, unit)?)?;
        rest = &unit_and_more[length..];
    }
    Some(total / NANOS)
}

/// A decimal number of units. Only the fraction is rounded, so that `1.13h` is 4,068 s.
fn nanoseconds(number: &str, unit: i64) -> Option<i64> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let whole: i64 = if whole.is_empty() {
        0
    } else {
        whole.parse().ok()?
    };
    // Digits beyond these are less than a nanosecond.
    let digits = &fraction[..fraction.len().min(15)];
    fraction
        .bytes()
        .all(|digit| digit.is_ascii_digit())
        .then_some(())?;
    let count: f64 = if digits.is_empty() {
        0.0
    } else {
        digits.parse().ok()?
    };
    let scale = 10_f64.powi(i32::try_from(digits.len()).ok()?);
    let part = (count * (unit as f64 / scale)) as i64;
    whole.checked_mul(unit)?.checked_add(part)
}

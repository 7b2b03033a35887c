//! `@every`: a fixed interval from the first run on.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::Error;

const NANOS: i64 = 1_000_000_000;

/// A whole number of seconds, at least a minute: Jobs are named by the minute.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
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

    /// How many instants lie between two, neither included.
    pub(super) fn count(self, anchor: Timestamp, after: Timestamp, before: Timestamp) -> usize {
        let Some(first) = self.next(anchor, after).filter(|first| *first < before) else {
            return 0;
        };
        let span = before.duration_since(first);
        let whole = span.saturating_sub(SignedDuration::from_nanos(1));
        usize::try_from(whole.as_secs() / self.seconds + 1).unwrap_or(usize::MAX)
    }

    fn tick(self, anchor: Timestamp, count: i64) -> Option<Timestamp> {
        let since = SignedDuration::from_secs(self.seconds.checked_mul(count)?);
        anchor.checked_add(since).ok()
    }
}

/// Hours down to nanoseconds as Go reads them, in whole nanoseconds, with the fraction of a second
/// cut off.
pub(super) fn whole_seconds(text: &str) -> Option<i64> {
    let mut rest = text.strip_prefix('+').unwrap_or(text);
    let mut total: i64 = 0;
    while !rest.is_empty() {
        let digits = rest.find(|letter: char| !letter.is_ascii_digit() && letter != '.')?;
        let (number, unit_and_more) = rest.split_at(digits);
        let letters = unit_and_more.find(|letter: char| letter.is_ascii_digit() || letter == '.');
        let (unit, more) = unit_and_more.split_at(letters.unwrap_or(unit_and_more.len()));
        let unit = match unit {
            "h" => 3_600 * NANOS,
            "m" => 60 * NANOS,
            "s" => NANOS,
            "ms" => NANOS / 1_000,
            // Micro, as the sign of its own and as the Greek letter.
            "us" | "\u{b5}s" | "\u{3bc}s" => NANOS / 1_000_000,
            "ns" => 1,
            _ => return None,
        };
        total = total.checked_add(nanoseconds(number, unit)?)?;
        rest = more;
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

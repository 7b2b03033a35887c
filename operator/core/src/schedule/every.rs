//! `@every`: a fixed interval from the first run on.

use jiff::{SignedDuration, Timestamp};

use super::Error;

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

/// Hours, minutes and seconds as Go writes them, with the fraction of a second cut off.
fn whole_seconds(text: &str) -> Option<i64> {
    let mut rest = text;
    let mut total = 0.0;
    while !rest.is_empty() {
        let digits = rest.find(|letter: char| !letter.is_ascii_digit() && letter != '.')?;
        let number: f64 = rest[..digits].parse().ok()?;
        let (seconds, length) = match rest.as_bytes()[digits] {
            b'h' => (3_600.0, 1),
            b'm' if rest[digits..].starts_with("ms") => (0.001, 2),
            b'm' => (60.0, 1),
            b's' => (1.0, 1),
            _ => return None,
        };
        total += number * seconds;
        rest = &rest[digits + length..];
    }
    (0.0..1e10).contains(&total).then_some(total as i64)
}

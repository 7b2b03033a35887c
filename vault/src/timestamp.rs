//! RFC 3339, which Vault writes times in.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// An instant and the offset it was written with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Timestamp {
    /// Seconds since 1970 in UTC.
    pub seconds: i64,
    /// Below a second.
    pub nanoseconds: u32,
    /// Seconds east of UTC.
    pub offset: i32,
}

impl Timestamp {
    /// Reads RFC 3339.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let bytes = text.as_bytes();
        let number = |from: usize, length: usize| -> Option<i64> {
            let digits = text.get(from..from + length)?;
            digits
                .bytes()
                .all(|byte| byte.is_ascii_digit())
                .then(|| digits.parse().ok())?
        };
        let is_shaped = bytes.len() >= 20
            && (bytes[4], bytes[7], bytes[10], bytes[13], bytes[16])
                == (b'-', b'-', b'T', b':', b':');
        let (year, month, day) = (number(0, 4)?, number(5, 2)?, number(8, 2)?);
        let (hour, minute, second) = (number(11, 2)?, number(14, 2)?, number(17, 2)?);
        let is_real = is_shaped
            && (1..=12).contains(&month)
            && (1..=31).contains(&day)
            && hour < 24
            && minute < 60
            && second < 60;
        if !is_real {
            return None;
        }
        let mut at = 19;
        let mut nanoseconds = 0;
        if bytes[at] == b'.' {
            let digits = bytes[at + 1..]
                .iter()
                .take_while(|byte| byte.is_ascii_digit())
                .count();
            let kept = digits.min(9);
            nanoseconds = number(at + 1, kept)? as u32 * 10u32.pow(9 - kept as u32);
            at += 1 + digits;
        }
        let offset = match (bytes.get(at)?, bytes.len() - at) {
            (b'Z', 1) => 0,
            (sign @ (b'+' | b'-'), 6) if bytes[at + 3] == b':' => {
                let east = number(at + 1, 2)? * 3600 + number(at + 4, 2)? * 60;
                if *sign == b'+' { east } else { -east }
            }
            _ => return None,
        };
        Some(Self {
            seconds: days(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second - offset,
            nanoseconds,
            offset: offset as i32,
        })
    }

    /// How long after `earlier` this is; nothing if it is before.
    #[must_use]
    pub fn since(self, earlier: Self) -> Option<Duration> {
        let seconds = u64::try_from(self.seconds.checked_sub(earlier.seconds)?).ok()?;
        Duration::from_secs(seconds)
            .checked_add(Duration::from_nanos(self.nanoseconds.into()))?
            .checked_sub(Duration::from_nanos(earlier.nanoseconds.into()))
    }
}

impl From<SystemTime> for Timestamp {
    fn from(time: SystemTime) -> Self {
        let (seconds, nanoseconds) = match time.duration_since(UNIX_EPOCH) {
            Ok(since) => (since.as_secs() as i64, since.subsec_nanos()),
            Err(before) => {
                let before = before.duration();
                let whole = before.as_secs() as i64 + i64::from(before.subsec_nanos() > 0);
                (
                    -whole,
                    (1_000_000_000 - before.subsec_nanos()) % 1_000_000_000,
                )
            }
        };
        Self {
            seconds,
            nanoseconds,
            offset: 0,
        }
    }
}

/// Days since 1970 of a date in the proleptic Gregorian calendar.
#[must_use]
pub fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

//! Calendar time as Go prints it. The clock itself is the caller's.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// An instant and the offset it was written with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Moment {
    /// Seconds since 1970 in UTC.
    pub(crate) seconds: i64,
    pub(crate) nanoseconds: u32,
    /// Seconds east of UTC.
    pub(crate) offset: i32,
}

/// Date and time of day.
struct Civil {
    year: i64,
    month: usize,
    day: u32,
    hour: u32,
    minute: u32,
    second: u32,
    weekday: usize,
    yearday: u32,
}

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const DAYS: [&str; 7] = [
    "Sunday",
    "Monday",
    "Tuesday",
    "Wednesday",
    "Thursday",
    "Friday",
    "Saturday",
];

/// Days since 1970 of a date in the proleptic Gregorian calendar.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

impl From<SystemTime> for Moment {
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

impl Moment {
    /// Reads RFC 3339.
    pub(crate) fn parse(text: &str) -> Option<Self> {
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

    pub(crate) fn since(self, earlier: Self) -> Option<Duration> {
        let seconds = u64::try_from(self.seconds.checked_sub(earlier.seconds)?).ok()?;
        Duration::from_secs(seconds)
            .checked_add(Duration::from_nanos(self.nanoseconds.into()))?
            .checked_sub(Duration::from_nanos(earlier.nanoseconds.into()))
    }

    fn civil(self) -> Civil {
        let local = self.seconds + i64::from(self.offset);
        let (date, clock) = (local.div_euclid(86_400), local.rem_euclid(86_400) as u32);
        let shifted = date + 719_468;
        let era = shifted.div_euclid(146_097);
        let day_of_era = shifted.rem_euclid(146_097);
        let year_of_era =
            (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let shifted_month = (5 * day_of_year + 2) / 153;
        let month = (shifted_month + 2) % 12 + 1;
        let year = year_of_era + era * 400 + i64::from(month <= 2);
        Civil {
            year,
            month: month as usize,
            day: (day_of_year - (153 * shifted_month + 2) / 5 + 1) as u32,
            hour: clock / 3600,
            minute: clock / 60 % 60,
            second: clock % 60,
            weekday: (date + 4).rem_euclid(7) as usize,
            yearday: (date - days(year, 1, 1) + 1) as u32,
        }
    }

    /// `Time.Format`.
    pub(crate) fn format(self, layout: &str) -> String {
        let civil = self.civil();
        let mut out = String::new();
        let mut rest = layout;
        while !rest.is_empty() {
            let (piece, width) = self.piece(&civil, rest);
            match piece {
                Some(piece) => out.push_str(&piece),
                None => out.push_str(&rest[..width]),
            }
            rest = &rest[width..];
        }
        out
    }

    /// The element of a layout that `rest` starts with, or nothing and the length of a literal character.
    fn piece(self, civil: &Civil, rest: &str) -> (Option<String>, usize) {
        let month = MONTHS[civil.month - 1];
        let day = DAYS[civil.weekday];
        let hour12 = match civil.hour % 12 {
            0 => 12,
            hour => hour,
        };
        let half = if civil.hour < 12 { "AM" } else { "PM" };
        let starts = |element: &str| rest.starts_with(element);
        let lower_next = |at: usize| rest[at..].starts_with(|c: char| c.is_ascii_lowercase());
        let literal = rest.chars().next().map_or(1, char::len_utf8);
        let (text, width) = match rest.as_bytes()[0] {
            b'J' if starts("January") => (month.to_owned(), 7),
            b'J' if starts("Jan") && !lower_next(3) => (month[..3].to_owned(), 3),
            b'M' if starts("Monday") => (day.to_owned(), 6),
            b'M' if starts("Mon") && !lower_next(3) => (day[..3].to_owned(), 3),
            b'M' if starts("MST") => (self.zone_name(), 3),
            b'0' if starts("002") => (format!("{:03}", civil.yearday), 3),
            b'0' if starts("01") => (format!("{:02}", civil.month), 2),
            b'0' if starts("02") => (format!("{:02}", civil.day), 2),
            b'0' if starts("03") => (format!("{hour12:02}"), 2),
            b'0' if starts("04") => (format!("{:02}", civil.minute), 2),
            b'0' if starts("05") => (format!("{:02}", civil.second), 2),
            b'0' if starts("06") => (format!("{:02}", civil.year.rem_euclid(100)), 2),
            b'1' if starts("15") => (format!("{:02}", civil.hour), 2),
            b'1' => (civil.month.to_string(), 1),
            b'2' if starts("2006") => (format!("{:04}", civil.year), 4),
            b'2' => (civil.day.to_string(), 1),
            b'_' if starts("_2006") => (format!("_{:04}", civil.year), 5),
            b'_' if starts("__2") => (format!("{:3}", civil.yearday), 3),
            b'_' if starts("_2") => (format!("{:2}", civil.day), 2),
            b'3' => (hour12.to_string(), 1),
            b'4' => (civil.minute.to_string(), 1),
            b'5' => (civil.second.to_string(), 1),
            b'P' if starts("PM") => (half.to_owned(), 2),
            b'p' if starts("pm") => (half.to_ascii_lowercase(), 2),
            b'-' | b'Z' => return self.zone(rest, literal),
            b'.' | b',' => return self.fraction(rest, literal),
            _ => return (None, literal),
        };
        (Some(text), width)
    }

    fn zone_name(self) -> String {
        if self.offset == 0 {
            return "UTC".to_owned();
        }
        let (sign, hours, minutes, _) = self.offset_parts();
        if minutes == 0 {
            format!("{sign}{hours:02}")
        } else {
            format!("{sign}{hours:02}{minutes:02}")
        }
    }

    fn offset_parts(self) -> (char, i32, i32, i32) {
        let sign = if self.offset < 0 { '-' } else { '+' };
        let east = self.offset.abs();
        (sign, east / 3600, east / 60 % 60, east % 60)
    }

    fn zone(self, rest: &str, literal: usize) -> (Option<String>, usize) {
        let shapes = [
            "07:00:00", "070000", "07:00", "0700", "07", // longest first
        ];
        let Some(shape) = shapes
            .into_iter()
            .find(|shape| rest[literal..].starts_with(shape))
        else {
            return (None, literal);
        };
        let width = literal + shape.len();
        if rest.starts_with('Z') && self.offset == 0 {
            return (Some("Z".to_owned()), width);
        }
        let (sign, hours, minutes, seconds) = self.offset_parts();
        let text = match shape {
            "07:00:00" => format!("{sign}{hours:02}:{minutes:02}:{seconds:02}"),
            "070000" => format!("{sign}{hours:02}{minutes:02}{seconds:02}"),
            "07:00" => format!("{sign}{hours:02}:{minutes:02}"),
            "0700" => format!("{sign}{hours:02}{minutes:02}"),
            _ => format!("{sign}{hours:02}"),
        };
        (Some(text), width)
    }

    /// `.000` keeps zeros, `.999` drops them; a run that digits follow is text.
    fn fraction(self, rest: &str, literal: usize) -> (Option<String>, usize) {
        let bytes = rest.as_bytes();
        let Some(&digit @ (b'0' | b'9')) = bytes.get(1) else {
            return (None, literal);
        };
        let count = bytes[1..].iter().take_while(|&&byte| byte == digit).count();
        if bytes.get(1 + count).is_some_and(u8::is_ascii_digit) {
            return (None, literal);
        }
        let nanoseconds = format!("{:09}", self.nanoseconds);
        let kept = &nanoseconds[..count.min(9)];
        let width = 1 + count;
        if digit == b'0' {
            return (Some(format!("{}{kept}", char::from(bytes[0]))), width);
        }
        let kept = kept.trim_end_matches('0');
        let text = if kept.is_empty() {
            String::new()
        } else {
            format!("{}{kept}", char::from(bytes[0]))
        };
        (Some(text), width)
    }
}

impl std::fmt::Display for Moment {
    /// `Time.String`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.format("2006-01-02 15:04:05.999999999 -0700 MST"))
    }
}

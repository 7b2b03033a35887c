//! Calendar time as Go prints it. The clock itself is the caller's.

mod layout;
mod parse;

use std::time::SystemTime;

use layout::{Element, Shape};
use planescape_vault::timestamp::{Timestamp, days};

pub(crate) use parse::parse_duration;

/// An instant and the offset it was written with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Moment {
    /// Seconds since 1970 in UTC.
    pub(crate) seconds: i64,
    pub(crate) nanoseconds: u32,
    /// Seconds east of UTC.
    pub(crate) offset: i32,
    /// The name of the zone, if it was named.
    pub(crate) zone: Option<ZoneName>,
    /// Whether it counts as local time, which is UTC here too.
    pub(crate) is_local: bool,
}

/// A zone's abbreviation, filled up with zeros.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct ZoneName([u8; 8]);

impl ZoneName {
    pub(crate) fn new(name: &[u8]) -> Self {
        let mut bytes = [0; 8];
        let length = name.len().min(bytes.len());
        bytes[..length].copy_from_slice(&name[..length]);
        Self(bytes)
    }
}

impl std::fmt::Display for ZoneName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let letters = self.0.iter().take_while(|&&byte| byte != 0);
        letters
            .copied()
            .try_for_each(|byte| write!(f, "{}", char::from(byte)))
    }
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

impl From<Timestamp> for Moment {
    fn from(time: Timestamp) -> Self {
        Self {
            seconds: time.seconds,
            nanoseconds: time.nanoseconds,
            offset: time.offset,
            ..Self::ZERO
        }
    }
}

impl From<SystemTime> for Moment {
    fn from(time: SystemTime) -> Self {
        Self::from(Timestamp::from(time))
    }
}

impl Moment {
    /// The zero value of Go's `time.Time`.
    pub(crate) const ZERO: Self = Self {
        seconds: -62_135_596_800,
        nanoseconds: 0,
        offset: 0,
        zone: None,
        is_local: false,
    };

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

    /// Whether JSON takes it: the year has four digits.
    pub(crate) fn has_plain_year(self) -> bool {
        (0..10_000).contains(&self.civil().year)
    }

    /// `Time.Format` with a layout of any bytes.
    pub(crate) fn format_bytes(self, layout: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        for chunk in layout.utf8_chunks() {
            out.extend_from_slice(self.format(chunk.valid()).as_bytes());
            out.extend_from_slice(chunk.invalid());
        }
        out
    }

    /// `Time.Format`.
    pub(crate) fn format(self, layout: &str) -> String {
        let civil = self.civil();
        let mut out = String::new();
        let mut rest = layout;
        while !rest.is_empty() {
            match layout::element(rest.as_bytes()) {
                Some((element, width)) => {
                    out.push_str(&self.piece(&civil, element));
                    rest = &rest[width..];
                }
                None => {
                    let width = rest.chars().next().map_or(1, char::len_utf8);
                    out.push_str(&rest[..width]);
                    rest = &rest[width..];
                }
            }
        }
        out
    }

    fn piece(self, civil: &Civil, element: Element) -> String {
        let month = MONTHS[civil.month - 1];
        let day = DAYS[civil.weekday];
        let hour12 = match civil.hour % 12 {
            0 => 12,
            hour => hour,
        };
        let half = if civil.hour < 12 { "AM" } else { "PM" };
        match element {
            Element::LongMonth => month.to_owned(),
            Element::Month => month[..3].to_owned(),
            Element::LongWeekday => day.to_owned(),
            Element::Weekday => day[..3].to_owned(),
            Element::ZoneName => self.zone_name(),
            Element::ZeroYearday => format!("{:03}", civil.yearday),
            Element::PaddedYearday => format!("{:3}", civil.yearday),
            Element::ZeroMonth => format!("{:02}", civil.month),
            Element::NumberMonth => civil.month.to_string(),
            Element::ZeroDay => format!("{:02}", civil.day),
            Element::PaddedDay => format!("{:2}", civil.day),
            Element::Day => civil.day.to_string(),
            Element::Hour => format!("{:02}", civil.hour),
            Element::ZeroHour12 => format!("{hour12:02}"),
            Element::Hour12 => hour12.to_string(),
            Element::ZeroMinute => format!("{:02}", civil.minute),
            Element::Minute => civil.minute.to_string(),
            Element::ZeroSecond => format!("{:02}", civil.second),
            Element::Second => civil.second.to_string(),
            Element::Year => format!("{:02}", civil.year.rem_euclid(100)),
            Element::LongYear if civil.year < 0 => format!("-{:04}", -civil.year),
            Element::LongYear => format!("{:04}", civil.year),
            Element::UpperHalf => half.to_owned(),
            Element::LowerHalf => half.to_ascii_lowercase(),
            Element::Offset { shape, zulu } => self.zone(shape, zulu),
            Element::Fraction {
                mark,
                digits,
                keeps_zeros,
            } => self.fraction(mark, digits, keeps_zeros),
        }
    }

    fn zone_name(self) -> String {
        if let Some(name) = self.zone {
            return name.to_string();
        }
        if self.offset == 0 {
            return "UTC".to_owned();
        }
        let (sign, hours, minutes, _) = self.offset_parts();
        format!("{sign}{hours:02}{minutes:02}")
    }

    fn offset_parts(self) -> (char, i32, i32, i32) {
        let sign = if self.offset < 0 { '-' } else { '+' };
        let east = self.offset.abs();
        (sign, east / 3600, east / 60 % 60, east % 60)
    }

    fn zone(self, shape: Shape, zulu: bool) -> String {
        if zulu && self.offset == 0 {
            return "Z".to_owned();
        }
        let (sign, hours, minutes, seconds) = self.offset_parts();
        match shape {
            Shape::ColonSeconds => format!("{sign}{hours:02}:{minutes:02}:{seconds:02}"),
            Shape::Seconds => format!("{sign}{hours:02}{minutes:02}{seconds:02}"),
            Shape::Colon => format!("{sign}{hours:02}:{minutes:02}"),
            Shape::Minutes => format!("{sign}{hours:02}{minutes:02}"),
            Shape::Hours => format!("{sign}{hours:02}"),
        }
    }

    /// `.000` keeps zeros, `.999` drops them.
    fn fraction(self, mark: char, digits: usize, keeps_zeros: bool) -> String {
        let nanoseconds = format!("{:09}", self.nanoseconds);
        let kept = &nanoseconds[..digits.min(9)];
        let kept = if keeps_zeros {
            kept
        } else {
            kept.trim_end_matches('0')
        };
        if kept.is_empty() {
            return String::new();
        }
        format!("{mark}{kept}")
    }

    /// `Time.GoString`.
    pub(crate) fn source(self) -> String {
        let civil = self.civil();
        let place = match (self.zone, self.is_local) {
            (None, _) if self.offset != 0 => "time.Location(\"\")".to_owned(),
            (Some(name), _) => format!("time.Location(\"{name}\")"),
            (None, true) => "time.Local".to_owned(),
            (None, false) => "time.UTC".to_owned(),
        };
        format!(
            "time.Date({}, time.{}, {}, {}, {}, {}, {}, {place})",
            civil.year,
            MONTHS[civil.month - 1],
            civil.day,
            civil.hour,
            civil.minute,
            civil.second,
            self.nanoseconds,
        )
    }

    /// The same place on the clock, later by nanoseconds.
    pub(crate) fn after(self, nanoseconds: i64) -> Self {
        const SECOND: i64 = 1_000_000_000;
        let total = i64::from(self.nanoseconds) + nanoseconds.rem_euclid(SECOND);
        Self {
            seconds: self.seconds + nanoseconds.div_euclid(SECOND) + total / SECOND,
            nanoseconds: (total % SECOND) as u32,
            ..self
        }
    }

    /// How long ago something was, as far as 64 bits go.
    pub(crate) fn nanoseconds_since(self, earlier: Self) -> i64 {
        let seconds = i128::from(self.seconds) - i128::from(earlier.seconds);
        let nanoseconds = i128::from(self.nanoseconds) - i128::from(earlier.nanoseconds);
        let total = seconds * 1_000_000_000 + nanoseconds;
        total.clamp(i64::MIN.into(), i64::MAX.into()) as i64
    }

    pub(crate) fn year(self) -> i64 {
        self.civil().year
    }
}

impl std::fmt::Display for Moment {
    /// `Time.String`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.format("2006-01-02 15:04:05.999999999 -0700 MST"))
    }
}

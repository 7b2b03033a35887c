//! Reads a time by a layout, and durations.

use crate::error::Failure;

use super::layout::{self, Element, Shape};
use super::{DAYS, MONTHS, Moment, ZoneName, days};

/// The parts that have been read so far.
#[derive(Default)]
struct Parts {
    year: i64,
    month: Option<i64>,
    day: Option<i64>,
    yearday: Option<i64>,
    hour: i64,
    minute: i64,
    second: i64,
    nanoseconds: u32,
    half: Option<Half>,
    is_utc: bool,
    offset: Option<i64>,
    zone: Option<Vec<u8>>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Half {
    Before,
    After,
}

/// Why a word does not stand for its element.
enum Bad {
    Shape,
    Range(&'static str),
}

type Read = Result<(), Bad>;

/// Go quotes times byte by byte.
fn quoted(text: &[u8]) -> Vec<u8> {
    let mut out = vec![b'"'];
    for &byte in text {
        match byte {
            b'"' | b'\\' => out.extend([b'\\', byte]),
            b' '..=0x7f => out.push(byte),
            _ => out.extend_from_slice(format!("\\x{byte:02x}").as_bytes()),
        }
    }
    out.push(b'"');
    out
}

impl Moment {
    /// `time.ParseInLocation` with local time, which is UTC.
    pub(crate) fn read(layout: &[u8], text: &[u8]) -> Result<Self, Failure> {
        let mut reader = Reader {
            rest: text,
            parts: Parts::default(),
        };
        let wrong = |words: String| {
            Failure::new("parsing time ")
                .plain(&quoted(text))
                .words(words)
        };
        let unlike = |part: &[u8], word: &[u8]| {
            Failure::new("parsing time ")
                .plain(&quoted(text))
                .words(" as ")
                .plain(&quoted(layout))
                .words(": cannot parse ")
                .plain(&quoted(part))
                .words(" as ")
                .plain(&quoted(word))
        };
        let mut rest = layout;
        loop {
            let found = (0..rest.len()).find_map(|at| Some((at, layout::element(&rest[at..])?)));
            let prefix = &rest[..found.map_or(rest.len(), |(at, _)| at)];
            if !reader.skip(prefix) {
                return Err(unlike(reader.rest, prefix));
            }
            let Some((at, (element, width))) = found else {
                if !reader.rest.is_empty() {
                    return Err(wrong(": extra text: ".to_owned()).plain(&quoted(reader.rest)));
                }
                break;
            };
            let word = &rest[at..at + width];
            rest = &rest[at + width..];
            let held = reader.rest;
            match reader.element(element, rest) {
                Ok(()) => {}
                Err(Bad::Range(what)) => return Err(wrong(format!(": {what} out of range"))),
                Err(Bad::Shape) => return Err(unlike(held, word)),
            }
        }
        reader
            .parts
            .moment()
            .map_err(|what| wrong(format!(": {what}")))
    }
}

struct Reader<'t> {
    rest: &'t [u8],
    parts: Parts,
}

fn digit(text: &[u8], at: usize) -> Option<i64> {
    let byte = text.get(at).filter(|byte| byte.is_ascii_digit())?;
    Some(i64::from(byte - b'0'))
}

impl<'t> Reader<'t> {
    /// Text between elements; blanks match any number of blanks.
    fn skip(&mut self, prefix: &[u8]) -> bool {
        let mut prefix = prefix;
        while let [first, ..] = prefix {
            if *first == b' ' {
                if self.rest.first().is_some_and(|&byte| byte != b' ') {
                    return false;
                }
                prefix = without_blanks(prefix);
                self.rest = without_blanks(self.rest);
            } else if self.rest.first() == Some(first) {
                prefix = &prefix[1..];
                self.rest = &self.rest[1..];
            } else {
                return false;
            }
        }
        true
    }

    fn take(&mut self, count: usize) -> Result<&'t [u8], Bad> {
        let taken = self.rest.get(..count).ok_or(Bad::Shape)?;
        self.rest = &self.rest[count..];
        Ok(taken)
    }

    /// A number of up to `most` digits, or of exactly as many.
    fn number(&mut self, most: usize, is_fixed: bool) -> Result<i64, Bad> {
        let count = self
            .rest
            .iter()
            .take(most)
            .take_while(|byte| byte.is_ascii_digit())
            .count();
        if count == 0 || is_fixed && count < most {
            return Err(Bad::Shape);
        }
        let digits = self.take(count)?;
        Ok(digits
            .iter()
            .fold(0, |number, byte| number * 10 + i64::from(byte - b'0')))
    }

    fn name(&mut self, names: &[&str], length: usize) -> Result<i64, Bad> {
        let found = names.iter().position(|name| {
            let name = &name.as_bytes()[..length.min(name.len())];
            self.rest
                .get(..name.len())
                .is_some_and(|word| word.eq_ignore_ascii_case(name))
        });
        let index = found.ok_or(Bad::Shape)?;
        self.take(length.min(names[index].len()))?;
        Ok(index as i64)
    }

    fn padding(&mut self) {
        self.rest = self.rest.strip_prefix(b" ").unwrap_or(self.rest);
    }

    fn below(&mut self, is_fixed: bool, limit: i64, what: &'static str) -> Result<i64, Bad> {
        let number = self.number(2, is_fixed)?;
        if number >= limit {
            return Err(Bad::Range(what));
        }
        Ok(number)
    }

    /// `after` is the rest of the layout.
    fn element(&mut self, element: Element, after: &[u8]) -> Read {
        const SHORT: usize = 3;
        const LONG: usize = 9;
        match element {
            Element::Year => {
                let year = self.number(2, true)?;
                self.parts.year = if year >= 69 { year + 1900 } else { year + 2000 };
            }
            Element::LongYear => self.parts.year = self.number(4, true)?,
            Element::Month => self.parts.month = Some(self.name(&MONTHS, SHORT)? + 1),
            Element::LongMonth => self.parts.month = Some(self.name(&MONTHS, LONG)? + 1),
            Element::NumberMonth | Element::ZeroMonth => {
                let month = self.number(2, element == Element::ZeroMonth)?;
                if !(1..=12).contains(&month) {
                    return Err(Bad::Range("month"));
                }
                self.parts.month = Some(month);
            }
            Element::Weekday => drop(self.name(&DAYS, SHORT)?),
            Element::LongWeekday => drop(self.name(&DAYS, LONG)?),
            Element::Day | Element::PaddedDay | Element::ZeroDay => {
                if element == Element::PaddedDay {
                    self.padding();
                }
                self.parts.day = Some(self.number(2, element == Element::ZeroDay)?);
            }
            Element::PaddedYearday | Element::ZeroYearday => {
                if element == Element::PaddedYearday {
                    self.padding();
                    self.padding();
                }
                self.parts.yearday = Some(self.number(3, element == Element::ZeroYearday)?);
            }
            Element::Hour => self.parts.hour = self.below(false, 24, "hour")?,
            Element::Hour12 => self.parts.hour = self.below(false, 13, "hour")?,
            Element::ZeroHour12 => self.parts.hour = self.below(true, 13, "hour")?,
            Element::Minute => self.parts.minute = self.below(false, 60, "minute")?,
            Element::ZeroMinute => self.parts.minute = self.below(true, 60, "minute")?,
            Element::Second | Element::ZeroSecond => {
                let is_fixed = element == Element::ZeroSecond;
                self.parts.second = self.below(is_fixed, 60, "second")?;
                self.unasked_fraction(after)?;
            }
            Element::UpperHalf => self.half(b"AM", b"PM")?,
            Element::LowerHalf => self.half(b"am", b"pm")?,
            Element::Offset { shape, zulu } => self.offset(shape, zulu)?,
            Element::ZoneName => self.zone()?,
            Element::Fraction {
                digits,
                keeps_zeros,
                ..
            } => self.fraction(digits, keeps_zeros)?,
        }
        Ok(())
    }

    fn half(&mut self, before: &[u8], after: &[u8]) -> Read {
        let word = self.take(2)?;
        self.parts.half = Some(match word {
            word if word == before => Half::Before,
            word if word == after => Half::After,
            _ => return Err(Bad::Shape),
        });
        Ok(())
    }

    fn starts_fraction(&self) -> bool {
        matches!(self.rest, [b'.' | b',', b'0'..=b'9', ..])
    }

    /// A fraction after the seconds is read even if the layout has none.
    fn unasked_fraction(&mut self, after: &[u8]) -> Read {
        let next = (0..after.len()).find_map(|at| layout::element(&after[at..]));
        if !self.starts_fraction() || matches!(next, Some((Element::Fraction { .. }, _))) {
            return Ok(());
        }
        self.any_fraction()
    }

    fn any_fraction(&mut self) -> Read {
        let digits = self.rest[1..]
            .iter()
            .take_while(|byte| byte.is_ascii_digit())
            .count();
        self.nanoseconds(digits)
    }

    fn fraction(&mut self, digits: usize, is_exact: bool) -> Read {
        if is_exact {
            return self.nanoseconds(digits);
        }
        if self.starts_fraction() {
            self.any_fraction()
        } else {
            Ok(())
        }
    }

    /// A mark and this many digits; those beyond the ninth do not count.
    fn nanoseconds(&mut self, digits: usize) -> Read {
        let [mark, all @ ..] = self.take(1 + digits)? else {
            return Err(Bad::Shape);
        };
        if !matches!(mark, b'.' | b',') || !all.iter().take(9).all(u8::is_ascii_digit) {
            return Err(Bad::Shape);
        }
        let mut nanoseconds = 0;
        for at in 0..9 {
            nanoseconds = nanoseconds * 10 + digit(all, at).unwrap_or(0);
        }
        self.parts.nanoseconds = nanoseconds as u32;
        Ok(())
    }

    fn offset(&mut self, shape: Shape, zulu: bool) -> Read {
        if zulu && self.rest.starts_with(b"Z") {
            self.rest = &self.rest[1..];
            self.parts.is_utc = true;
            return Ok(());
        }
        let (length, colons): (usize, &[usize]) = match shape {
            Shape::Colon => (6, &[3]),
            Shape::Hours => (3, &[]),
            Shape::ColonSeconds => (9, &[3, 6]),
            Shape::Seconds => (7, &[]),
            Shape::Minutes => (5, &[]),
        };
        let word = self.rest.get(..length).ok_or(Bad::Shape)?;
        if colons.iter().any(|&at| word[at] != b':') {
            return Err(Bad::Shape);
        }
        self.rest = &self.rest[length..];
        let step = if colons.is_empty() { 2 } else { 3 };
        let mut numbers = [0; 3];
        let mut result = Ok(());
        for (number, at) in numbers.iter_mut().zip((1..length).step_by(step)) {
            match (digit(word, at), digit(word, at + 1)) {
                (Some(tens), Some(ones)) => *number = tens * 10 + ones,
                _ => {
                    result = Err(Bad::Shape);
                    break;
                }
            }
        }
        let [hours, minutes, seconds] = numbers;
        for (number, most, what) in [
            (seconds, 60, "time zone offset second"),
            (minutes, 60, "time zone offset minute"),
            (hours, 24, "time zone offset hour"),
        ] {
            if number > most {
                result = Err(Bad::Range(what));
                break;
            }
        }
        result?;
        let east = (hours * 60 + minutes) * 60 + seconds;
        self.parts.offset = Some(match word[0] {
            b'+' => east,
            b'-' => -east,
            _ => return Err(Bad::Shape),
        });
        Ok(())
    }

    fn zone(&mut self) -> Read {
        if self.rest.starts_with(b"UTC") {
            self.rest = &self.rest[3..];
            self.parts.is_utc = true;
            return Ok(());
        }
        let length = zone_length(self.rest).ok_or(Bad::Shape)?;
        self.parts.zone = Some(self.take(length)?.to_vec());
        Ok(())
    }
}

/// The length of the zone's abbreviation that the text starts with.
fn zone_length(text: &[u8]) -> Option<usize> {
    if text.len() < 3 {
        return None;
    }
    if text.starts_with(b"ChST") || text.starts_with(b"MeST") {
        return Some(4);
    }
    if let Some(rest) = text.strip_prefix(b"GMT") {
        return Some(3 + signed_hours(rest).unwrap_or(0));
    }
    if matches!(text[0], b'+' | b'-') {
        return signed_hours(text);
    }
    let letters = text
        .iter()
        .take(6)
        .take_while(|byte| byte.is_ascii_uppercase())
        .count();
    match letters {
        3 => Some(3),
        4 if text[3] == b'T' || text.starts_with(b"WITA") => Some(4),
        5 if text[4] == b'T' => Some(5),
        _ => None,
    }
}

fn signed_hours(text: &[u8]) -> Option<usize> {
    let [b'+' | b'-', digits @ ..] = text else {
        return None;
    };
    let count = digits
        .iter()
        .take_while(|byte| byte.is_ascii_digit())
        .count();
    let hours: u64 = std::str::from_utf8(&digits[..count]).ok()?.parse().ok()?;
    (hours <= 23).then_some(1 + count)
}

fn is_leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

fn days_in(month: i64, year: i64) -> i64 {
    match month {
        2 if is_leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

impl Parts {
    fn moment(self) -> Result<Moment, &'static str> {
        let hour = match self.half {
            Some(Half::After) if self.hour < 12 => self.hour + 12,
            Some(Half::Before) if self.hour == 12 => 0,
            _ => self.hour,
        };
        let (month, day) = self.date()?;
        if !(1..=days_in(month, self.year)).contains(&day) {
            return Err("day out of range");
        }
        let clock = hour * 3600 + self.minute * 60 + self.second;
        let seconds = days(self.year, month, day) * 86_400 + clock;
        let moment = Moment {
            seconds,
            nanoseconds: self.nanoseconds,
            ..Moment::ZERO
        };
        let local = Moment {
            is_local: true,
            ..moment
        };
        if self.is_utc {
            return Ok(moment);
        }
        let zone = self.zone.as_deref().map(ZoneName::new);
        Ok(match (self.offset, &self.zone) {
            (Some(0), None) => local,
            (Some(offset), _) => Moment {
                seconds: seconds - offset,
                offset: offset as i32,
                zone,
                ..moment
            },
            // The hours of `GMT+3` are shown, and do not move the time.
            (None, Some(name)) => {
                let hours = name
                    .strip_prefix(b"GMT")
                    .and_then(|hours| std::str::from_utf8(hours).ok()?.parse::<i32>().ok());
                Moment {
                    offset: hours.unwrap_or(0) * 3600,
                    zone,
                    ..moment
                }
            }
            (None, None) => local,
        })
    }

    fn date(&self) -> Result<(i64, i64), &'static str> {
        let Some(yearday) = self.yearday else {
            return Ok((self.month.unwrap_or(1), self.day.unwrap_or(1)));
        };
        let last = if is_leap(self.year) { 366 } else { 365 };
        if !(1..=last).contains(&yearday) {
            return Err("day-of-year out of range");
        }
        let (mut month, mut day) = (1, yearday);
        while day > days_in(month, self.year) {
            day -= days_in(month, self.year);
            month += 1;
        }
        if self.month.is_some_and(|own| own != month) {
            return Err("day-of-year does not match month");
        }
        if self.day.is_some_and(|own| own != day) {
            return Err("day-of-year does not match day");
        }
        Ok((month, day))
    }
}

/// `time.ParseDuration`, in nanoseconds.
pub(crate) fn parse_duration(text: &[u8]) -> Result<i64, Failure> {
    let invalid =
        |words: &str| Failure::new(format!("time: {words} duration ")).plain(&quoted(text));
    let (is_negative, mut rest) = match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        _ => (false, text),
    };
    if rest == b"0" {
        return Ok(0);
    }
    if rest.is_empty() {
        return Err(invalid("invalid"));
    }
    let mut total: u64 = 0;
    while !rest.is_empty() {
        let (count, fraction, scale) = number(&mut rest).ok_or_else(|| invalid("invalid"))?;
        let is_unit = |byte: &u8| *byte != b'.' && !byte.is_ascii_digit();
        let length = rest.iter().take_while(|byte| is_unit(byte)).count();
        let (unit, after) = rest.split_at(length);
        rest = after;
        if unit.is_empty() {
            return Err(invalid("missing unit in"));
        }
        let Some(size) = unit_size(unit) else {
            return Err(Failure::new("time: unknown unit ")
                .plain(&quoted(unit))
                .words(" in duration ")
                .plain(&quoted(text)));
        };
        let whole = count.checked_mul(size).filter(|&whole| whole <= 1 << 63);
        let part = (fraction as f64 * (size as f64 / scale)) as u64;
        let sum = whole
            .and_then(|whole| whole.checked_add(part))
            .and_then(|sum| total.checked_add(sum));
        total = sum
            .filter(|&sum| sum <= 1 << 63)
            .ok_or_else(|| invalid("invalid"))?;
    }
    if is_negative {
        return Ok((total as i64).wrapping_neg());
    }
    i64::try_from(total).map_err(|_| invalid("invalid"))
}

fn unit_size(unit: &[u8]) -> Option<u64> {
    Some(match unit {
        b"ns" => 1,
        b"us" | b"\xc2\xb5s" | b"\xce\xbcs" => 1_000,
        b"ms" => 1_000_000,
        b"s" => 1_000_000_000,
        b"m" => 60_000_000_000,
        b"h" => 3_600_000_000_000,
        _ => return None,
    })
}

/// Whole part, digits of the fraction, and what they are divided by.
fn number(rest: &mut &[u8]) -> Option<(u64, u64, f64)> {
    let mut has_digits = false;
    let mut whole: u64 = 0;
    while let Some(digit) = digit(rest, 0) {
        has_digits = true;
        whole = whole
            .checked_mul(10)?
            .checked_add(digit as u64)
            .filter(|&whole| whole <= 1 << 63)?;
        *rest = &rest[1..];
    }
    let (mut fraction, mut scale) = (0u64, 1.0);
    if let [b'.', after @ ..] = *rest {
        *rest = after;
        let mut is_full = false;
        while let Some(digit) = digit(rest, 0) {
            has_digits = true;
            *rest = &rest[1..];
            let longer = fraction * 10 + digit as u64;
            is_full |= fraction > (i64::MAX as u64) / 10 || longer > 1 << 63;
            if !is_full {
                fraction = longer;
                scale *= 10.0;
            }
        }
    }
    has_digits.then_some((whole, fraction, scale))
}

/// Blanks, and no other white space.
fn without_blanks(text: &[u8]) -> &[u8] {
    let blanks = text.iter().take_while(|&&byte| byte == b' ').count();
    &text[blanks..]
}

//! The layouts of Go's `time`: which words of a layout stand for what.

/// A word of a layout that stands for a part of the time.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Element {
    LongMonth,
    Month,
    NumberMonth,
    ZeroMonth,
    LongWeekday,
    Weekday,
    Day,
    PaddedDay,
    ZeroDay,
    PaddedYearday,
    ZeroYearday,
    Hour,
    Hour12,
    ZeroHour12,
    Minute,
    ZeroMinute,
    Second,
    ZeroSecond,
    LongYear,
    Year,
    UpperHalf,
    LowerHalf,
    ZoneName,
    Offset {
        shape: Shape,
        /// Whether UTC is a plain `Z`.
        zulu: bool,
    },
    Fraction {
        mark: char,
        digits: usize,
        keeps_zeros: bool,
    },
}

/// How an offset from UTC is written.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    ColonSeconds,
    Seconds,
    Colon,
    Minutes,
    Hours,
}

/// The element that a layout starts with, and how long it is.
pub(super) fn element(rest: &[u8]) -> Option<(Element, usize)> {
    let starts = |word: &[u8]| rest.starts_with(word);
    let ends_at = |at: usize| !rest.get(at).is_some_and(u8::is_ascii_lowercase);
    Some(match rest.first()? {
        b'J' if starts(b"January") => (Element::LongMonth, 7),
        b'J' if starts(b"Jan") && ends_at(3) => (Element::Month, 3),
        b'M' if starts(b"Monday") => (Element::LongWeekday, 6),
        b'M' if starts(b"Mon") && ends_at(3) => (Element::Weekday, 3),
        b'M' if starts(b"MST") => (Element::ZoneName, 3),
        b'0' => return zero(rest),
        b'1' if starts(b"15") => (Element::Hour, 2),
        b'1' => (Element::NumberMonth, 1),
        b'2' if starts(b"2006") => (Element::LongYear, 4),
        b'2' => (Element::Day, 1),
        // The underscore before a year is text.
        b'_' if starts(b"_2006") => return None,
        b'_' if starts(b"__2") => (Element::PaddedYearday, 3),
        b'_' if starts(b"_2") => (Element::PaddedDay, 2),
        b'3' => (Element::Hour12, 1),
        b'4' => (Element::Minute, 1),
        b'5' => (Element::Second, 1),
        b'P' if starts(b"PM") => (Element::UpperHalf, 2),
        b'p' if starts(b"pm") => (Element::LowerHalf, 2),
        b'-' | b'Z' => return offset(rest),
        b'.' | b',' => return fraction(rest),
        _ => return None,
    })
}

fn zero(rest: &[u8]) -> Option<(Element, usize)> {
    Some(match rest.get(1)? {
        b'0' if rest.get(2) == Some(&b'2') => (Element::ZeroYearday, 3),
        b'1' => (Element::ZeroMonth, 2),
        b'2' => (Element::ZeroDay, 2),
        b'3' => (Element::ZeroHour12, 2),
        b'4' => (Element::ZeroMinute, 2),
        b'5' => (Element::ZeroSecond, 2),
        b'6' => (Element::Year, 2),
        _ => return None,
    })
}

fn offset(rest: &[u8]) -> Option<(Element, usize)> {
    let shapes: [(&[u8], Shape); 5] = [
        (b"07:00:00", Shape::ColonSeconds),
        (b"070000", Shape::Seconds),
        (b"07:00", Shape::Colon),
        (b"0700", Shape::Minutes),
        (b"07", Shape::Hours),
    ];
    let zulu = rest[0] == b'Z';
    shapes.into_iter().find_map(|(word, shape)| {
        let found = rest[1..].starts_with(word);
        found.then_some((Element::Offset { shape, zulu }, 1 + word.len()))
    })
}

/// A run of zeros or nines after a point or comma; one that other digits follow is text.
fn fraction(rest: &[u8]) -> Option<(Element, usize)> {
    let Some(&digit @ (b'0' | b'9')) = rest.get(1) else {
        return None;
    };
    let digits = rest[1..].iter().take_while(|&&byte| byte == digit).count();
    if rest.get(1 + digits).is_some_and(u8::is_ascii_digit) {
        return None;
    }
    let mark = char::from(rest[0]);
    let keeps_zeros = digit == b'0';
    let element = Element::Fraction {
        mark,
        digits,
        keeps_zeros,
    };
    Some((element, 1 + digits))
}

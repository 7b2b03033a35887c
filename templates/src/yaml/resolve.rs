//! The meaning of a plain scalar.

use crate::number::{Base, parse_float, parse_int, parse_uint};
use crate::value::Value;

/// The value of a plain scalar: a text unless it looks like something else.
pub(super) enum Resolved {
    Value(Value),
    Timestamp,
    Merge,
    Text,
}

pub(super) fn resolve(text: &[u8]) -> Resolved {
    let value = match text {
        b"" | b"~" | b"null" | b"Null" | b"NULL" => Value::Nil,
        b"y" | b"Y" | b"yes" | b"Yes" | b"YES" | b"true" | b"True" | b"TRUE" | b"on" | b"On"
        | b"ON" => Value::Bool(true),
        b"n" | b"N" | b"no" | b"No" | b"NO" | b"false" | b"False" | b"FALSE" | b"off" | b"Off"
        | b"OFF" => Value::Bool(false),
        b".nan" | b".NaN" | b".NAN" => Value::Float(f64::NAN),
        b".inf" | b".Inf" | b".INF" | b"+.inf" | b"+.Inf" | b"+.INF" => Value::Float(f64::INFINITY),
        b"-.inf" | b"-.Inf" | b"-.INF" => Value::Float(f64::NEG_INFINITY),
        b"<<" => return Resolved::Merge,
        [b'.', ..] => match parse_float(text) {
            Ok(number) => Value::Float(number),
            Err(_) => return Resolved::Text,
        },
        [b'0'..=b'9' | b'+' | b'-', ..] => return number(text),
        _ => return Resolved::Text,
    };
    Resolved::Value(value)
}

fn number(text: &[u8]) -> Resolved {
    if is_timestamp(text) {
        return Resolved::Timestamp;
    }
    let plain: Vec<u8> = text.iter().copied().filter(|&byte| byte != b'_').collect();
    if let Ok(number) = parse_int(&plain, Base::Prefixed) {
        return Resolved::Value(Value::Int(number));
    }
    if let Ok(number) = parse_uint(&plain, Base::Prefixed) {
        return Resolved::Value(Value::Uint64(number));
    }
    if is_float(&plain)
        && let Ok(number) = parse_float(&plain)
    {
        return Resolved::Value(Value::Float(number));
    }
    Resolved::Text
}

fn digits(text: &[u8]) -> usize {
    text.iter().take_while(|byte| byte.is_ascii_digit()).count()
}

/// `[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?`
fn is_float(text: &[u8]) -> bool {
    let text = text
        .strip_prefix(b"-")
        .or(text.strip_prefix(b"+"))
        .unwrap_or(text);
    let whole = digits(text);
    let mut rest = &text[whole..];
    let mut fraction = 0;
    if let Some(after) = rest.strip_prefix(b".") {
        fraction = digits(after);
        rest = &after[fraction..];
    }
    if whole == 0 && fraction == 0 {
        return false;
    }
    let Some(exponent) = rest.strip_prefix(b"e").or(rest.strip_prefix(b"E")) else {
        return rest.is_empty();
    };
    let exponent = match exponent {
        [b'+' | b'-', exponent @ ..] => exponent,
        _ => exponent,
    };
    !exponent.is_empty() && digits(exponent) == exponent.len()
}

/// `12:30`, which old parsers take for a number.
pub(super) fn is_base60(text: &[u8]) -> bool {
    let text = text
        .strip_prefix(b"-")
        .or(text.strip_prefix(b"+"))
        .unwrap_or(text);
    let mut parts = text.split(|&byte| byte == b':');
    let is_first = |part: &[u8]| {
        part.first().is_some_and(u8::is_ascii_digit)
            && part
                .iter()
                .all(|byte| byte.is_ascii_digit() || *byte == b'_')
    };
    if !parts.next().is_some_and(is_first) {
        return false;
    }
    let rest: Vec<&[u8]> = parts.collect();
    let Some((last, middle)) = rest.split_last() else {
        return false;
    };
    let is_sixty = |part: &[u8]| match part {
        [one] => one.is_ascii_digit(),
        [tens, ones] => (b'0'..=b'5').contains(tens) && ones.is_ascii_digit(),
        _ => false,
    };
    let (last, fraction) = match last.iter().position(|&byte| byte == b'.') {
        Some(at) => (&last[..at], &last[at + 1..]),
        None => (*last, &b""[..]),
    };
    middle.iter().all(|part| is_sixty(part))
        && is_sixty(last)
        && fraction
            .iter()
            .all(|byte| byte.is_ascii_digit() || *byte == b'_')
}

/// A date, or a date with a time, as go-yaml's layouts have them.
fn is_timestamp(text: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(text) else {
        return false;
    };
    let (date, time) = match text.find(['T', 't', ' ']) {
        Some(at) => (&text[..at], Some((text.as_bytes()[at], &text[at + 1..]))),
        None => (text, None),
    };
    if digits(date.as_bytes()) != 4 {
        return false;
    }
    let parts: Vec<&str> = date.split('-').collect();
    let [year, month, day] = parts[..] else {
        return false;
    };
    let number = |text: &str, longest: usize| -> Option<u32> {
        let is_number =
            (1..=longest).contains(&text.len()) && digits(text.as_bytes()) == text.len();
        is_number.then(|| text.parse().ok())?
    };
    let (Some(year), Some(month), Some(day)) = (number(year, 4), number(month, 2), number(day, 2))
    else {
        return false;
    };
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let last_day = match month {
        2 if is_leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => return false,
    };
    if !(1..=last_day).contains(&day) {
        return false;
    }
    let Some((separator, time)) = time else {
        return true;
    };
    let (clock, zone) = if separator == b' ' {
        (time, None)
    } else {
        match time.find(['Z', '+', '-']) {
            Some(at) => (&time[..at], Some(&time[at..])),
            None => return false,
        }
    };
    let (clock, fraction) = match clock.split_once(['.', ',']) {
        Some((clock, fraction)) => (clock, Some(fraction)),
        None => (clock, None),
    };
    let parts: Vec<&str> = clock.split(':').collect();
    let [hour, minute, second] = parts[..] else {
        return false;
    };
    let below = |text, limit| number(text, 2).is_some_and(|number| number < limit);
    below(hour, 24)
        && below(minute, 60)
        && below(second, 60)
        && fraction.is_none_or(|text| !text.is_empty() && digits(text.as_bytes()) == text.len())
        && zone.is_none_or(|zone| {
            zone == "Z"
                || zone.len() == 6 && zone.as_bytes()[3] == b':' && {
                    let (hours, minutes) = (&zone[1..3], &zone[4..]);
                    below(hours, 25) && below(minutes, 60)
                }
        })
}

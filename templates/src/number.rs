//! Go's `strconv.Parse…`: what is a number, in which base, and how it fails.

use std::num::IntErrorKind;

use crate::error::Failure;

/// Why a text is no number of the wanted type.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum NumberError {
    Syntax,
    Range,
}

impl NumberError {
    /// The text of `strconv.NumError`.
    pub(crate) fn failure(self, function: &str, text: &[u8]) -> Failure {
        let reason = match self {
            Self::Syntax => "invalid syntax",
            Self::Range => "value out of range",
        };
        Failure::new(format!("strconv.{function}: parsing "))
            .quoted(text)
            .words(format!(": {reason}"))
    }
}

/// How the base of an integer is found.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Base {
    /// This one; no underscores.
    Fixed(u32),
    /// From the prefix, with underscores: Go's base 0.
    Prefixed,
}

pub(crate) fn parse_uint(text: &[u8], base: Base) -> Result<u64, NumberError> {
    let (digits, radix) = match base {
        Base::Fixed(radix) => (text.to_vec(), radix),
        Base::Prefixed => strip_prefix(text)?,
    };
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_alphanumeric) {
        return Err(NumberError::Syntax);
    }
    let digits = std::str::from_utf8(&digits).map_err(|_| NumberError::Syntax)?;
    u64::from_str_radix(digits, radix).map_err(|error| match error.kind() {
        IntErrorKind::PosOverflow => NumberError::Range,
        _ => NumberError::Syntax,
    })
}

fn strip_prefix(text: &[u8]) -> Result<(Vec<u8>, u32), NumberError> {
    if !underscores_are_fine(text) {
        return Err(NumberError::Syntax);
    }
    let (digits, radix) = match text {
        [b'0', b'x' | b'X', digits @ ..] => (digits, 16),
        [b'0', b'b' | b'B', digits @ ..] => (digits, 2),
        [b'0', b'o' | b'O', digits @ ..] => (digits, 8),
        [b'0', digits @ ..] if !digits.is_empty() => (digits, 8),
        _ => (text, 10),
    };
    let digits = digits.iter().copied().filter(|&b| b != b'_').collect();
    Ok((digits, radix))
}

pub(crate) fn parse_int(text: &[u8], base: Base) -> Result<i64, NumberError> {
    let (negative, digits) = sign(text);
    let magnitude = parse_uint(digits, base)?;
    let value = if negative {
        0i64.checked_sub_unsigned(magnitude)
    } else {
        i64::try_from(magnitude).ok()
    };
    value.ok_or(NumberError::Range)
}

fn sign(text: &[u8]) -> (bool, &[u8]) {
    match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        _ => (false, text),
    }
}

/// Underscores may only stand between digits, or between the prefix and the first digit.
fn underscores_are_fine(text: &[u8]) -> bool {
    let (_, text) = sign(text);
    let (mut after_digit, is_hex, digits) = match text {
        [b'0', prefix, rest @ ..] if b"bBoOxX".contains(prefix) => {
            (true, matches!(prefix, b'x' | b'X'), rest)
        }
        _ => (false, false, text),
    };
    let mut after_underscore = false;
    for &byte in digits {
        let is_digit = byte.is_ascii_digit() || is_hex && byte.is_ascii_hexdigit();
        if byte == b'_' && !after_digit || after_underscore && !is_digit {
            return false;
        }
        after_digit = is_digit;
        after_underscore = byte == b'_';
    }
    !after_underscore
}

pub(crate) fn parse_float(text: &[u8]) -> Result<f64, NumberError> {
    let (negative, rest) = sign(text);
    let magnitude = match rest.to_ascii_lowercase().as_slice() {
        b"inf" | b"infinity" => f64::INFINITY,
        b"nan" if rest.len() == text.len() => f64::NAN,
        [b'0', b'x', digits @ ..] if underscores_are_fine(text) => hex_float(digits)?,
        _ => decimal_float(text, rest)?,
    };
    Ok(if negative { -magnitude } else { magnitude })
}

fn decimal_float(text: &[u8], rest: &[u8]) -> Result<f64, NumberError> {
    let is_plain = rest
        .iter()
        .all(|byte| byte.is_ascii_digit() || b"._eE+-".contains(byte));
    if !is_plain || rest.contains(&b'_') && !underscores_are_fine(text) {
        return Err(NumberError::Syntax);
    }
    let digits: Vec<u8> = rest.iter().copied().filter(|&b| b != b'_').collect();
    if matches!(digits.first(), None | Some(b'+' | b'-')) {
        return Err(NumberError::Syntax);
    }
    let digits = std::str::from_utf8(&digits).map_err(|_| NumberError::Syntax)?;
    let value: f64 = digits.parse().map_err(|_| NumberError::Syntax)?;
    if value.is_infinite() {
        return Err(NumberError::Range);
    }
    Ok(value)
}

/// Mantissa and binary exponent of a hexadecimal float, lower-cased, after `0x`.
fn hex_float(digits: &[u8]) -> Result<f64, NumberError> {
    let split = digits.iter().position(|&byte| byte == b'p');
    let (mantissa, exponent) = digits.split_at(split.ok_or(NumberError::Syntax)?);
    let exponent: Vec<u8> = exponent[1..]
        .iter()
        .copied()
        .filter(|&b| b != b'_')
        .collect();
    // Far beyond every float, and far from where counting ends.
    let mut exponent = match parse_int(&exponent, Base::Fixed(10)) {
        Ok(exponent) => exponent.clamp(-100_000, 100_000),
        Err(NumberError::Range) if exponent.starts_with(b"-") => -100_000,
        Err(NumberError::Range) => 100_000,
        Err(error) => return Err(error),
    };
    let (mut bits, mut sticky, mut seen_point, mut seen_digit) = (0u64, false, false, false);
    for &byte in mantissa {
        match byte {
            b'_' => continue,
            b'.' if !seen_point => {
                seen_point = true;
                continue;
            }
            _ => {}
        }
        let digit = char::from(byte).to_digit(16).ok_or(NumberError::Syntax)?;
        seen_digit = true;
        // Sixty bits are kept; the bits after them only decide how to round.
        if bits >> 60 == 0 {
            bits = bits << 4 | u64::from(digit);
            exponent -= if seen_point { 4 } else { 0 };
        } else {
            sticky |= digit != 0;
            exponent += if seen_point { 0 } else { 4 };
        }
    }
    if !seen_digit {
        return Err(NumberError::Syntax);
    }
    let value = scaled(bits | u64::from(sticky), exponent);
    if value.is_infinite() {
        return Err(NumberError::Range);
    }
    Ok(value)
}

/// `bits × 2^exponent`, rounded once.
fn scaled(bits: u64, exponent: i64) -> f64 {
    if bits == 0 {
        return 0.0;
    }
    let length = 64 - i64::from(bits.leading_zeros());
    let lowest = (exponent + length - 53).max(-1074);
    let drop = lowest - exponent;
    let rounded = match drop {
        ..=0 => bits << (-drop).min(63),
        1..=63 => {
            let kept = bits >> drop;
            let rest = bits & ((1 << drop) - 1);
            let half = 1u64 << (drop - 1);
            kept + u64::from(rest > half || rest == half && kept & 1 == 1)
        }
        64.. => 0,
    };
    let lowest = if drop > 0 { lowest } else { exponent + drop };
    let mut value = rounded as f64;
    let mut left = lowest.clamp(-3000, 3000);
    while left != 0 {
        let step = left.clamp(-1000, 1000);
        value *= 2f64.powi(step as i32);
        left -= step;
    }
    value
}

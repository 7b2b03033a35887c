//! Durations as Vault's configuration spells them.

use std::time::Duration;

/// Why a text is not a duration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DurationError {
    /// Neither a number nor a Go duration.
    #[error("`{0}` is not a duration: write for example 30s, 5m or 1h30m")]
    Syntax(String),
    /// Below zero.
    #[error("`{0}` is negative: a duration is zero or more")]
    Negative(String),
    /// Too long for 64 bits of nanoseconds, as in Go.
    #[error("`{0}` is too long: a duration is at most 292 years")]
    TooLong(String),
}

const LONGEST_NANOS: f64 = 9_223_372_036_854_775_807.0;

/// Reads a number (seconds, fractions allowed), a Go duration such as `1h30m` or `.5s`, days as
/// in `7d`, or the empty text, which is zero.
///
/// # Errors
/// Everything else, negative values among it.
pub fn parse_duration(text: &str) -> Result<Duration, DurationError> {
    let text = text.trim();
    if text.is_empty() {
        return Ok(Duration::ZERO);
    }
    if let Some(magnitude) = text.strip_prefix('-') {
        return match nanoseconds(magnitude) {
            Some(0.0) => Ok(Duration::ZERO),
            Some(_) => Err(DurationError::Negative(text.to_owned())),
            None => Err(DurationError::Syntax(text.to_owned())),
        };
    }
    let nanos = nanoseconds(text.strip_prefix('+').unwrap_or(text))
        .ok_or_else(|| DurationError::Syntax(text.to_owned()))?;
    if nanos > LONGEST_NANOS {
        return Err(DurationError::TooLong(text.to_owned()));
    }
    Ok(Duration::from_secs_f64(nanos / 1e9))
}

/// The magnitude of an unsigned text in nanoseconds.
fn nanoseconds(text: &str) -> Option<f64> {
    if let Some(seconds) = decimal(text) {
        return Some(seconds * 1e9);
    }
    if let Some(days) = text.strip_suffix('d') {
        let days: u32 = days.parse().ok()?;
        return Some(f64::from(days) * 86_400e9);
    }
    let mut rest = text;
    let mut total = 0.0;
    while !rest.is_empty() {
        let digits = rest
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .filter(|&length| length > 0)?;
        let (number, tail) = rest.split_at(digits);
        let unit_length = tail
            .find(|c: char| c.is_ascii_digit() || c == '.')
            .unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(unit_length);
        total += decimal(number)? * unit_nanos(unit)?;
        rest = tail;
    }
    Some(total)
}

fn unit_nanos(unit: &str) -> Option<f64> {
    match unit {
        "ns" => Some(1.0),
        "us" | "µs" | "μs" => Some(1e3),
        "ms" => Some(1e6),
        "s" => Some(1e9),
        "m" => Some(60e9),
        "h" => Some(3_600e9),
        _ => None,
    }
}

/// Digits with at most one point; unlike `f64::from_str`, no exponent, sign, or `inf`.
fn decimal(text: &str) -> Option<f64> {
    let plain = text.bytes().all(|b| b.is_ascii_digit() || b == b'.')
        && text.bytes().any(|b| b.is_ascii_digit());
    if plain { text.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_vault_reads() {
        let cases = [
            ("30", 30_000),
            ("1.5", 1_500),
            ("1h30m", 5_400_000),
            (".5s", 500),
            ("300ms", 300),
            ("+2s", 2_000),
            ("5000000ns", 5),
            ("7000us", 7),
            ("7000µs", 7),
            ("7000μs", 7),
            ("1m2s3ms", 62_003),
            ("7d", 604_800_000),
            ("", 0),
            ("0", 0),
            ("-0s", 0),
        ];
        for (text, milliseconds) in cases {
            assert_eq!(
                parse_duration(text),
                Ok(Duration::from_millis(milliseconds)),
                "{text}"
            );
        }
    }

    #[test]
    fn refuses_the_rest_without_panicking() {
        for text in [
            "1x", "s", "1s2", "1e9", "inf", "1µ", "..s", "1d2h", "1 s", "5 m",
        ] {
            assert_eq!(
                parse_duration(text),
                Err(DurationError::Syntax(text.to_owned())),
                "{text}"
            );
        }
        assert!(matches!(
            parse_duration("-1s"),
            Err(DurationError::Negative(_))
        ));
        assert!(matches!(
            parse_duration("99999999999999999999h"),
            Err(DurationError::TooLong(_))
        ));
    }
}

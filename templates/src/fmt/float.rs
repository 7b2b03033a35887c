//! `strconv.FormatFloat`.

/// The fewest digits that read back as the same number.
pub(crate) fn shortest(n: f64, shape: char) -> String {
    format(n, shape, None)
}

pub(super) fn format(n: f64, shape: char, precision: Option<usize>) -> String {
    if n.is_nan() {
        return "NaN".to_owned();
    }
    if n.is_infinite() {
        return if n > 0.0 { "+Inf" } else { "-Inf" }.to_owned();
    }
    match shape {
        'e' => exponential(n, precision),
        'E' => exponential(n, precision).to_uppercase(),
        'f' => fixed(n, precision),
        'g' => general(n, precision),
        'G' => general(n, precision).to_uppercase(),
        'b' => binary(n),
        'x' => hexadecimal(n, precision),
        _ => hexadecimal(n, precision).to_uppercase(),
    }
}

/// More digits than any float has; the rest are zeros.
const ALL_DIGITS: usize = 1_100;

fn fixed(n: f64, precision: Option<usize>) -> String {
    let Some(precision) = precision else {
        let (negative, digits, exponent) = scientific(n, None);
        return plain(negative, &digits, exponent);
    };
    let digits = precision.min(ALL_DIGITS);
    let mut text = format!("{n:.digits$}");
    text.extend(std::iter::repeat_n('0', precision - digits));
    text
}

/// The shortest form; where two are equally near, the one with an even last digit.
fn even(n: f64) -> String {
    /// A number in the middle between two shorter ones has more digits than this.
    const FEWEST: usize = 15;
    let shortest = format!("{n:e}");
    let digits = shortest
        .bytes()
        .take_while(|&byte| byte != b'e')
        .filter(u8::is_ascii_digit)
        .count();
    if digits < FEWEST {
        return shortest;
    }
    let rounded = format!("{n:.*e}", digits - 1);
    if rounded.parse() == Ok(n) {
        rounded
    } else {
        shortest
    }
}

/// Sign, digits without a point, and the exponent of the first digit.
fn scientific(n: f64, digits: Option<usize>) -> (bool, String, i32) {
    let text = match digits {
        Some(digits) => format!("{:.*e}", digits.min(ALL_DIGITS), n.abs()),
        None => even(n.abs()),
    };
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let digits = mantissa.replace('.', "");
    (n.is_sign_negative(), digits, exponent.parse().unwrap_or(0))
}

fn exponential(n: f64, precision: Option<usize>) -> String {
    let (negative, mut digits, exponent) = scientific(n, precision);
    if let Some(precision) = precision {
        let missing = (precision + 1).saturating_sub(digits.len());
        digits.extend(std::iter::repeat_n('0', missing));
    }
    joined(negative, &digits, exponent)
}

fn joined(negative: bool, digits: &str, exponent: i32) -> String {
    let sign = if negative { "-" } else { "" };
    let (first, rest) = digits.split_at(1);
    let point = if rest.is_empty() { "" } else { "." };
    let exponent_sign = if exponent < 0 { '-' } else { '+' };
    let exponent = exponent.abs();
    format!("{sign}{first}{point}{rest}e{exponent_sign}{exponent:02}")
}

fn general(n: f64, precision: Option<usize>) -> String {
    let wanted = precision.map(|precision| precision.max(1));
    let (negative, digits, exponent) = scientific(n, wanted.map(|wanted| wanted - 1));
    let digits = match digits.trim_end_matches('0') {
        "" => "0",
        digits => digits,
    };
    let count = digits.len() as i64;
    let point = i64::from(exponent) + 1;
    let threshold = match wanted {
        None => 6,
        Some(wanted) if wanted as i64 > count && count >= point => count,
        Some(wanted) => wanted as i64,
    };
    if exponent < -4 || i64::from(exponent) >= threshold {
        return joined(negative, digits, exponent);
    }
    plain(negative, digits, exponent)
}

/// All digits, and no exponent.
fn plain(negative: bool, digits: &str, exponent: i32) -> String {
    let sign = if negative { "-" } else { "" };
    if exponent < 0 {
        let zeros = "0".repeat((-exponent - 1) as usize);
        return format!("{sign}0.{zeros}{digits}");
    }
    let whole = exponent as usize + 1;
    if digits.len() <= whole {
        let zeros = "0".repeat(whole - digits.len());
        return format!("{sign}{digits}{zeros}");
    }
    let (whole, fraction) = digits.split_at(whole);
    format!("{sign}{whole}.{fraction}")
}

/// Mantissa and power of two.
fn parts(n: f64) -> (u64, i32) {
    let bits = n.to_bits();
    let exponent = (bits >> 52 & 0x7ff) as i32;
    let fraction = bits & ((1 << 52) - 1);
    if exponent == 0 {
        (fraction, -1074)
    } else {
        (fraction | 1 << 52, exponent - 1075)
    }
}

fn binary(n: f64) -> String {
    let (mantissa, exponent) = parts(n);
    let sign = if n.is_sign_negative() { "-" } else { "" };
    format!("{sign}{mantissa}p{exponent:+}")
}

fn hexadecimal(n: f64, precision: Option<usize>) -> String {
    let sign = if n.is_sign_negative() { "-" } else { "" };
    let (mut mantissa, mut exponent) = parts(n);
    if mantissa == 0 {
        let zeros = precision.map_or(String::new(), |precision| match precision {
            0 => String::new(),
            _ => format!(".{}", "0".repeat(precision)),
        });
        return format!("{sign}0x0{zeros}p+00");
    }
    // One bit before the point, sixty after it.
    let shift = mantissa.leading_zeros() as i32 - 3;
    mantissa <<= shift;
    exponent += 60 - shift;
    if let Some(precision) = precision.filter(|&precision| precision < 15) {
        let drop = 60 - 4 * precision as u32;
        let half = 1u64 << (drop - 1);
        let rest = mantissa & ((1 << drop) - 1);
        mantissa >>= drop;
        mantissa += u64::from(rest > half || rest == half && mantissa & 1 == 1);
        mantissa <<= drop;
        if mantissa >> 61 != 0 {
            mantissa >>= 1;
            exponent += 1;
        }
    }
    let fraction = format!("{:015x}", mantissa & ((1 << 60) - 1));
    let fraction = match precision {
        None => fraction.trim_end_matches('0').to_owned(),
        Some(precision) if precision <= 15 => fraction[..precision].to_owned(),
        Some(precision) => format!("{fraction}{}", "0".repeat(precision - 15)),
    };
    let point = if fraction.is_empty() { "" } else { "." };
    let exponent_sign = if exponent < 0 { '-' } else { '+' };
    let exponent = exponent.abs();
    format!("{sign}0x1{point}{fraction}p{exponent_sign}{exponent:02}")
}

/// Adds what the `#` flag asks for: a decimal point always, and the zeros that `%g` drops.
pub(super) fn with_point(text: &str, shape: char, precision: Option<usize>) -> String {
    let is_hex = matches!(shape, 'x' | 'X');
    let end = text
        .find(|c| matches!(c, 'p' | 'P') || !is_hex && matches!(c, 'e' | 'E'))
        .unwrap_or(text.len());
    let (mantissa, tail) = text.split_at(end);
    let mut wanted = match shape {
        'g' | 'G' | 'x' => precision.unwrap_or(6),
        _ => 0,
    };
    let mut seen_digit = false;
    for c in mantissa.chars().filter(|&c| c != '.') {
        seen_digit |= c != '0';
        if seen_digit {
            wanted = wanted.saturating_sub(1);
        }
    }
    let mut out = mantissa.to_owned();
    if !out.contains('.') {
        if out == "0" {
            wanted = wanted.saturating_sub(1);
        }
        out.push('.');
    }
    out.extend(std::iter::repeat_n('0', wanted));
    out.push_str(tail);
    out
}

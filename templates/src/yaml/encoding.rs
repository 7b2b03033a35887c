//! From bytes to a text, or the reason why they are none.

use crate::error::Failure;

/// The text without its byte order mark, refused for the reasons that the original has.
pub(super) fn decoded(text: &[u8]) -> Result<String, Failure> {
    let refused = |problem: &str| Failure::new(format!("yaml: {problem}"));
    let wide = |bytes: &[u8], unit: fn([u8; 2]) -> u16| {
        let units = bytes.chunks(2).map(|pair| match pair {
            [first, second] => Ok(unit([*first, *second])),
            _ => Err(refused("incomplete UTF-16 character")),
        });
        let units = units.collect::<Result<Vec<_>, _>>()?;
        String::from_utf16(&units).map_err(|_| refused("unexpected low surrogate area"))
    };
    let decoded = match text {
        [0xff, 0xfe, rest @ ..] => wide(rest, u16::from_le_bytes)?,
        [0xfe, 0xff, rest @ ..] => wide(rest, u16::from_be_bytes)?,
        _ => {
            let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
            match std::str::from_utf8(text) {
                Ok(text) => text.to_owned(),
                Err(error) => {
                    let valid = &text[..error.valid_up_to()];
                    let valid = std::str::from_utf8(valid).unwrap_or_default();
                    let is_control = valid.chars().any(|c| !is_allowed(c));
                    return Err(refused(if is_control {
                        "control characters are not allowed"
                    } else {
                        broken(&text[error.valid_up_to()..])
                    }));
                }
            }
        }
    };
    if decoded.chars().any(|c| !is_allowed(c)) {
        return Err(refused("control characters are not allowed"));
    }
    Ok(decoded)
}

fn is_allowed(c: char) -> bool {
    matches!(
        c,
        '\t' | '\n' | '\r' | ' '..='~' | '\u{85}' | '\u{a0}'..='\u{fffd}' | '\u{10000}'..
    )
}

/// The error about the character that these bytes start with.
fn broken(bytes: &[u8]) -> &'static str {
    let width = match bytes[0] {
        0xc0..0xe0 => 2,
        0xe0..0xf0 => 3,
        0xf0..0xf8 => 4,
        _ => return "invalid leading UTF-8 octet",
    };
    let Some(rest) = bytes.get(1..width) else {
        return "incomplete UTF-8 octet sequence";
    };
    if rest.iter().any(|byte| byte & 0xc0 != 0x80) {
        return "invalid trailing UTF-8 octet";
    }
    let is_overlong = match bytes {
        [0xc0 | 0xc1, ..] => true,
        [0xe0, second, ..] => *second < 0xa0,
        [0xf0, second, ..] => *second < 0x90,
        _ => false,
    };
    if is_overlong {
        "invalid length of a UTF-8 sequence"
    } else {
        "invalid Unicode character"
    }
}

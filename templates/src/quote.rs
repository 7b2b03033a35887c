//! Go's quoted strings, both ways.

use std::fmt::Write;

use crate::unicode;

/// A text that cannot be unquoted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct InvalidSyntax;

/// `strconv.Quote`.
pub(crate) fn quoted(bytes: &[u8]) -> String {
    quoted_with(bytes, '"', false)
}

/// `strconv.Quote` or `strconv.QuoteToASCII` with the given quote.
pub(crate) fn quoted_with(bytes: &[u8], quote: char, ascii_only: bool) -> String {
    let mut out = String::with_capacity(bytes.len() + 2);
    out.push(quote);
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            escape(&mut out, c, quote, ascii_only);
        }
        for byte in chunk.invalid() {
            let _ = write!(out, "\\x{byte:02x}");
        }
    }
    out.push(quote);
    out
}

fn escape(out: &mut String, c: char, quote: char, ascii_only: bool) {
    if c == quote || c == '\\' {
        out.push('\\');
        out.push(c);
        return;
    }
    if (c.is_ascii() || !ascii_only) && unicode::is_print(c) {
        out.push(c);
        return;
    }
    match c {
        '\x07' => out.push_str("\\a"),
        '\x08' => out.push_str("\\b"),
        '\x0c' => out.push_str("\\f"),
        '\n' => out.push_str("\\n"),
        '\r' => out.push_str("\\r"),
        '\t' => out.push_str("\\t"),
        '\x0b' => out.push_str("\\v"),
        _ => {
            let code = u32::from(c);
            let _ = if c < ' ' || c == '\x7f' {
                write!(out, "\\x{code:02x}")
            } else if code < 0x10000 {
                write!(out, "\\u{code:04x}")
            } else {
                write!(out, "\\U{code:08x}")
            };
        }
    }
}

/// `strconv.Unquote` of a whole literal, quotes included.
pub(crate) fn unquoted(literal: &[u8]) -> Result<Vec<u8>, InvalidSyntax> {
    let (Some(&quote), Some(&last)) = (literal.first(), literal.last()) else {
        return Err(InvalidSyntax);
    };
    if literal.len() < 2 || quote != last {
        return Err(InvalidSyntax);
    }
    let inner = &literal[1..literal.len() - 1];
    if quote == b'`' {
        return Ok(inner
            .iter()
            .copied()
            .filter(|&byte| byte != b'\r')
            .collect());
    }
    let mut out = Vec::with_capacity(inner.len());
    let mut rest = inner;
    while !rest.is_empty() {
        let (unit, tail) = next_unit(rest, quote)?;
        match unit {
            Unit::Byte(byte) => out.push(byte),
            Unit::Char(c) => push_char(&mut out, c),
        }
        rest = tail;
    }
    Ok(out)
}

/// The code point of a character literal, quotes included.
pub(crate) fn character(literal: &[u8]) -> Result<u32, Malformed> {
    let (unit, tail) =
        next_unit(&literal[1..], b'\'').map_err(|InvalidSyntax| Malformed::Syntax)?;
    if tail != b"'" {
        return Err(Malformed::Extra);
    }
    Ok(match unit {
        Unit::Byte(byte) => u32::from(byte),
        Unit::Char(code) => code,
    })
}

/// Why a character literal is none.
pub(crate) enum Malformed {
    Syntax,
    Extra,
}

enum Unit {
    Byte(u8),
    Char(u32),
}

fn push_char(out: &mut Vec<u8>, code: u32) {
    let c = char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER);
    out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
}

fn next_unit(text: &[u8], quote: u8) -> Result<(Unit, &[u8]), InvalidSyntax> {
    let (&first, rest) = text.split_first().ok_or(InvalidSyntax)?;
    if first == quote || first == b'\n' {
        return Err(InvalidSyntax);
    }
    if first < 0x80 && first != b'\\' {
        return Ok((Unit::Byte(first), rest));
    }
    if first != b'\\' {
        let (c, width) = unicode::decode(text);
        return Ok(match c {
            Some(c) => (Unit::Char(u32::from(c)), &text[width..]),
            None => (Unit::Char(0xfffd), rest),
        });
    }
    let (&escape, rest) = rest.split_first().ok_or(InvalidSyntax)?;
    let simple = match escape {
        b'a' => 7,
        b'b' => 8,
        b'f' => 12,
        b'n' => 10,
        b'r' => 13,
        b't' => 9,
        b'v' => 11,
        b'\\' => b'\\',
        b'\'' | b'"' if escape == quote => escape,
        b'x' => return digits(rest, 2, 16).map(|(code, rest)| (Unit::Byte(code as u8), rest)),
        b'u' => return code_point(rest, 4),
        b'U' => return code_point(rest, 8),
        b'0'..=b'7' => {
            let (code, _) = digits(&text[1..], 3, 8)?;
            let byte = u8::try_from(code).map_err(|_| InvalidSyntax)?;
            return Ok((Unit::Byte(byte), &text[4..]));
        }
        _ => return Err(InvalidSyntax),
    };
    Ok((Unit::Byte(simple), rest))
}

fn code_point(text: &[u8], count: usize) -> Result<(Unit, &[u8]), InvalidSyntax> {
    let (code, rest) = digits(text, count, 16)?;
    char::from_u32(code).ok_or(InvalidSyntax)?;
    Ok((Unit::Char(code), rest))
}

fn digits(text: &[u8], count: usize, radix: u32) -> Result<(u32, &[u8]), InvalidSyntax> {
    let digits = text.get(..count).ok_or(InvalidSyntax)?;
    let mut code = 0u32;
    for &digit in digits {
        let digit = char::from(digit).to_digit(radix).ok_or(InvalidSyntax)?;
        code = code.wrapping_mul(radix).wrapping_add(digit);
    }
    Ok((code, &text[count..]))
}

//! Writes JSON byte for byte as Go's encoder does.

use crate::bytes;
use crate::error::Failure;
use crate::fmt::shortest;
use crate::meter::check_length;
use crate::object::Object;
use crate::value::Value;

/// How the text looks.
#[derive(Clone, Copy)]
pub(crate) struct Style {
    /// Two blanks per level, one entry per line.
    pub(crate) pretty: bool,
    /// `<`, `>` and `&` as escapes.
    pub(crate) html: bool,
}

const SHORT: usize = 32;

/// The bytes that stand for themselves in every style.
const PLAIN: [bool; 256] = {
    let mut plain = [false; 256];
    let mut byte = 0x20;
    while byte < 0x80 {
        plain[byte] = !matches!(byte as u8, b'"' | b'\\' | b'<' | b'>' | b'&');
        byte += 1;
    }
    plain
};

/// How deep values may nest.
const MAX_DEPTH: usize = 1_000;

/// `limit` bounds the text.
pub(crate) fn encode(value: &Value, style: Style, limit: usize) -> Result<Vec<u8>, Failure> {
    let mut writer = Writer {
        out: Vec::with_capacity(crate::fmt::USUAL),
        style,
        limit,
        depth: 0,
    };
    writer.value(value)?;
    Ok(writer.out)
}

struct Writer {
    out: Vec<u8>,
    style: Style,
    limit: usize,
    depth: usize,
}

impl Writer {
    fn raw(&mut self, text: &str) {
        self.out.extend_from_slice(text.as_bytes());
    }

    fn value(&mut self, value: &Value) -> Result<(), Failure> {
        match value {
            Value::Nil | Value::TypedNil(_) => self.raw("null"),
            Value::Bool(truth) => self.raw(if *truth { "true" } else { "false" }),
            Value::Int(n) | Value::Int64(n) => self.raw(&n.to_string()),
            Value::Uint64(n) => self.raw(&n.to_string()),
            Value::Uint8(n) => self.raw(&n.to_string()),
            Value::Float(n) => write_float(&mut self.out, *n)?,
            Value::Text(text) => self.string(text)?,
            Value::Number(text) => {
                let digits: &[u8] = if text.is_empty() { b"0" } else { text };
                if !is_number(digits) {
                    return Err(Failure::new("json: invalid number literal ").quoted(digits));
                }
                self.out.extend_from_slice(digits);
            }
            Value::List(items) | Value::Lists(items) => {
                self.entries(b"[]", items.iter().map(|item| (None, item)), Self::value)?;
            }
            Value::Strings(items) => {
                self.entries(b"[]", items.iter().map(|item| (None, item)), Self::string)?;
            }
            Value::Ints(items) => {
                let items = items.iter().map(|item| (None, Value::Int(*item)));
                self.entries(b"[]", items, |writer, item| writer.value(&item))?;
            }
            Value::Map(map) => {
                let map = map.borrow();
                let entries = map.iter().map(|(key, item)| (Some(&**key), item));
                self.entries(b"{}", entries, Self::value)?;
            }
            Value::StringMap(map) => {
                let entries = map.iter().map(|(key, item)| (Some(&**key), &**item));
                self.entries(b"{}", entries, Self::string)?;
            }
            Value::Object(object) => self.object(object)?,
            Value::AnyMap(_) | Value::Complex(_) | Value::Channel(_) => {
                let name = value.type_name();
                return Err(Failure::new(format!("json: unsupported type: {name}")));
            }
        }
        Ok(())
    }

    fn object(&mut self, object: &Object) -> Result<(), Failure> {
        if let Object::Time(time) = object
            && !time.has_plain_year()
        {
            return Err(Failure::new(
                "json: error calling MarshalJSON for type time.Time: Time.MarshalJSON: year outside of range [0,9999]",
            ));
        }
        if let Some(text) = crate::object::marshalled(object) {
            return self.string(text.as_bytes());
        }
        match object {
            Object::Struct { fields, .. } => self.entries(
                b"{}",
                fields
                    .iter()
                    .map(|(name, item)| (Some(name.as_bytes()), item)),
                Self::value,
            ),
            // Its fields are unexported.
            Object::Scratch(_) | Object::Time(_) => {
                self.raw("{}");
                Ok(())
            }
        }
    }

    /// The entries of an object or, without names, of a list.
    fn entries<'v, T>(
        &mut self,
        brackets: &[u8; 2],
        entries: impl Iterator<Item = (Option<&'v [u8]>, T)>,
        write: impl Fn(&mut Self, T) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        if self.depth == MAX_DEPTH {
            return Err(Failure::limit("json: value is nested too deeply"));
        }
        self.depth += 1;
        self.out.push(brackets[0]);
        let mut is_empty = true;
        for (name, item) in entries {
            if !is_empty {
                self.out.push(b',');
            }
            is_empty = false;
            self.check()?;
            self.line_break();
            if let Some(name) = name {
                self.string(name)?;
                self.raw(if self.style.pretty { ": " } else { ":" });
            }
            write(self, item)?;
        }
        self.depth -= 1;
        if !is_empty {
            self.line_break();
        }
        self.out.push(brackets[1]);
        Ok(())
    }

    fn line_break(&mut self) {
        if self.style.pretty {
            self.out.push(b'\n');
            self.out.extend(std::iter::repeat_n(b' ', 2 * self.depth));
        }
    }

    fn check(&self) -> Result<(), Failure> {
        check_length(self.out.len(), self.limit)
    }

    fn string(&mut self, text: &[u8]) -> Result<(), Failure> {
        /// A long text is written in parts of so many bytes, for each may become six times as long.
        const PART: usize = 1 << 16;
        self.out.reserve(text.len() + 2);
        self.out.push(b'"');
        // Most texts are short and plain. Finding that out byte by byte takes less time than getting ready for more.
        if text.len() <= SHORT && text.iter().all(|&byte| PLAIN[usize::from(byte)]) {
            self.out.extend_from_slice(text);
            self.out.push(b'"');
            return Ok(());
        }
        let html = self.style.html;
        // U+2028 and U+2029 are the only characters beyond ASCII that are special; they start with this byte.
        let is_special = |byte| {
            let is_angle = (byte == b'<') | (byte == b'>') | (byte == b'&');
            let is_always = (byte == b'"') | (byte == b'\\') | (byte < 0x20) | (byte == 0xe2);
            is_always | (html & is_angle)
        };
        for chunk in text.utf8_chunks() {
            let mut valid = chunk.valid();
            while !valid.is_empty() {
                let (part, rest) = valid.split_at(valid.floor_char_boundary(PART));
                bytes::escape(&mut self.out, part.as_bytes(), is_special, escape);
                self.check()?;
                valid = rest;
            }
            for _ in chunk.invalid() {
                self.raw("\\ufffd");
            }
            self.check()?;
        }
        self.out.push(b'"');
        self.check()
    }
}

/// Writes the first character of a valid text, which is special or at least looks so.
fn escape(out: &mut Vec<u8>, rest: &[u8]) -> usize {
    let short = match rest[0] {
        byte @ (b'"' | b'\\') => byte,
        8 => b'b',
        12 => b'f',
        b'\n' => b'n',
        b'\r' => b'r',
        b'\t' => b't',
        byte @ 0..0x80 => {
            let [high, low] = bytes::hex_digits(byte).map(|digit| digit.to_ascii_lowercase());
            out.extend([b'\\', b'u', b'0', b'0', high, low]);
            return 1;
        }
        _ => {
            match rest {
                [0xe2, 0x80, 0xa8, ..] => out.extend_from_slice(b"\\u2028"),
                [0xe2, 0x80, 0xa9, ..] => out.extend_from_slice(b"\\u2029"),
                _ => out.extend_from_slice(&rest[..3]),
            }
            return 3;
        }
    };
    out.extend([b'\\', short]);
    1
}

/// Whether these are the digits of a JSON number; a part that was cut out of one may be none.
fn is_number(text: &[u8]) -> bool {
    let digits = |text: &[u8]| text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let rest = text.strip_prefix(b"-").unwrap_or(text);
    let whole = digits(rest);
    if whole == 0 || whole > 1 && rest[0] == b'0' {
        return false;
    }
    let mut rest = &rest[whole..];
    if let Some(fraction) = rest.strip_prefix(b".") {
        let length = digits(fraction);
        if length == 0 {
            return false;
        }
        rest = &fraction[length..];
    }
    match rest {
        [] => true,
        [b'e' | b'E', b'+' | b'-', exponent @ ..] | [b'e' | b'E', exponent @ ..] => {
            !exponent.is_empty() && digits(exponent) == exponent.len()
        }
        _ => false,
    }
}

/// Plain digits, or an exponent for the very large and the very small.
fn write_float(out: &mut Vec<u8>, n: f64) -> Result<(), Failure> {
    if !n.is_finite() {
        let shown = shortest(n, 'g');
        return Err(Failure::new("json: unsupported value: ").plain(shown.as_bytes()));
    }
    let size = n.abs();
    let is_extreme = size != 0.0 && !(1e-6..1e21).contains(&size);
    let text = shortest(n, if is_extreme { 'e' } else { 'f' });
    // e-09 becomes e-9.
    let text = match text.split_once("e-0") {
        Some((digits, exponent)) => format!("{digits}e-{exponent}"),
        None => text,
    };
    out.extend_from_slice(text.as_bytes());
    Ok(())
}

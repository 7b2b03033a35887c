//! Reads JSON as Go does: the same texts are refused with the same words, numbers keep their digits.

mod write;

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

use crate::error::Failure;
use crate::number::parse_float;
use crate::text::Text;
use crate::unicode;
use crate::value::{Entries, Value};

pub(crate) use write::{Style, encode};

/// How deep objects and lists may nest.
const MAX_DEPTH: usize = 500;

/// A JSON document, wiped when dropped.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Datum {
    Null,
    Bool(bool),
    Number(Text),
    Text(Text),
    List(Vec<Self>),
    Object(Arc<BTreeMap<Text, Self>>),
}

impl Datum {
    pub(crate) fn get(&self, key: &str) -> Option<&Self> {
        match self {
            Self::Object(entries) => entries.get(key.as_bytes()),
            _ => None,
        }
    }

    pub(crate) fn as_str(&self) -> Option<&str> {
        match self {
            Self::Text(text) => std::str::from_utf8(text).ok(),
            _ => None,
        }
    }

    /// The value in which numbers keep their digits, as in Vault's answers.
    pub(crate) fn kept(&self) -> Value {
        match self {
            Self::Null => Value::Nil,
            Self::Bool(truth) => Value::Bool(*truth),
            Self::Number(text) => Value::Number(text.clone()),
            Self::Text(text) => Value::Text(text.clone()),
            Self::List(items) => Value::list(items.iter().map(Self::kept).collect()),
            Self::Object(entries) => Value::Map(Rc::new(Entries::answered(entries))),
        }
    }

    /// The value in which numbers are floats, and nil where they are too large for one.
    pub(crate) fn value(&self) -> Value {
        match self {
            Self::Null | Self::Bool(_) | Self::Text(_) => self.kept(),
            Self::Number(text) => parse_float(text).map_or(Value::Nil, Value::Float),
            Self::List(items) => Value::list(items.iter().map(Self::value).collect()),
            Self::Object(entries) => {
                let entries = entries.iter();
                Value::map(
                    entries
                        .map(|(key, item)| (key.clone(), item.value()))
                        .collect(),
                )
            }
        }
    }

    /// Calls `seen` with every text and number inside.
    pub(crate) fn leaves(&self, seen: &mut dyn FnMut(&Text)) {
        match self {
            Self::Null | Self::Bool(_) => {}
            Self::Number(text) | Self::Text(text) => seen(text),
            Self::List(items) => items.iter().for_each(|item| item.leaves(seen)),
            Self::Object(entries) => entries.values().for_each(|item| item.leaves(seen)),
        }
    }
}

pub(crate) fn decode(text: &[u8]) -> Result<Datum, Failure> {
    Ok(read(text)?.0)
}

/// The value in which numbers are floats, if all of them fit, also those that a later entry of the same name replaces.
pub(crate) fn floats(text: &[u8]) -> Result<Value, Failure> {
    match read(text)? {
        (datum, None) => Ok(datum.value()),
        (_, Some(number)) => Err(Failure::new("json: cannot unmarshal number ")
            .plain(&number)
            .words(" into Go value of type float64")),
    }
}

/// A document, and its first number that no float can hold.
fn read(text: &[u8]) -> Result<(Datum, Option<Text>), Failure> {
    let mut reader = Reader {
        text,
        at: 0,
        depth: 0,
        too_large: None,
    };
    let datum = reader.value()?;
    reader.skip_space();
    if reader.at < text.len() {
        return Err(reader.invalid("after top-level value"));
    }
    Ok((datum, reader.too_large))
}

struct Reader<'t> {
    text: &'t [u8],
    at: usize,
    depth: usize,
    too_large: Option<Text>,
}

impl Reader<'_> {
    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn skip_space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\r' | b'\n')) {
            self.at += 1;
        }
    }

    /// Complains about the byte at hand, or about the end.
    fn invalid(&self, context: &str) -> Failure {
        match self.peek() {
            Some(byte) => Self::complaint(byte, context),
            None => Failure::new("unexpected end of JSON input"),
        }
    }

    /// Complains inside a word: Go reads a blank behind the end and finds that wrong.
    fn invalid_within(&self, context: &str) -> Failure {
        Self::complaint(self.peek().unwrap_or(b' '), context)
    }

    fn complaint(byte: u8, context: &str) -> Failure {
        let shown = match byte {
            b'\'' => "'\\''".to_owned(),
            b'"' => "'\"'".to_owned(),
            _ => {
                let c = char::from(byte).to_string();
                let quoted = crate::quote::quoted(c.as_bytes());
                format!("'{}'", &quoted[1..quoted.len() - 1])
            }
        };
        Failure::new(format!("invalid character {shown} {context}"))
    }

    fn value(&mut self) -> Result<Datum, Failure> {
        self.skip_space();
        match self.peek() {
            Some(b'{') => self.nested(Self::object),
            Some(b'[') => self.nested(Self::list),
            Some(b'"') => self.string().map(Datum::Text),
            Some(b't') => self.literal("true", Datum::Bool(true)),
            Some(b'f') => self.literal("false", Datum::Bool(false)),
            Some(b'n') => self.literal("null", Datum::Null),
            Some(b'-' | b'0'..=b'9') => self.number(),
            _ => Err(self.invalid("looking for beginning of value")),
        }
    }

    fn nested(&mut self, inner: fn(&mut Self) -> Result<Datum, Failure>) -> Result<Datum, Failure> {
        if self.depth == MAX_DEPTH {
            return Err(Failure::limit("exceeded max depth"));
        }
        self.depth += 1;
        self.at += 1;
        let datum = inner(self);
        self.depth -= 1;
        datum
    }

    fn object(&mut self) -> Result<Datum, Failure> {
        let mut entries = BTreeMap::new();
        self.skip_space();
        if self.peek() == Some(b'}') {
            self.at += 1;
            return Ok(Datum::Object(Arc::new(entries)));
        }
        loop {
            self.skip_space();
            if self.peek() != Some(b'"') {
                return Err(self.invalid("looking for beginning of object key string"));
            }
            let key = self.string()?;
            self.skip_space();
            if self.peek() != Some(b':') {
                return Err(self.invalid("after object key"));
            }
            self.at += 1;
            let item = self.value()?;
            entries.insert(key, item);
            self.skip_space();
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b'}') => {
                    self.at += 1;
                    return Ok(Datum::Object(Arc::new(entries)));
                }
                _ => return Err(self.invalid("after object key:value pair")),
            }
        }
    }

    fn list(&mut self) -> Result<Datum, Failure> {
        let mut items = Vec::new();
        self.skip_space();
        if self.peek() == Some(b']') {
            self.at += 1;
            return Ok(Datum::List(items));
        }
        loop {
            items.push(self.value()?);
            self.skip_space();
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b']') => {
                    self.at += 1;
                    return Ok(Datum::List(items));
                }
                _ => return Err(self.invalid("after array element")),
            }
        }
    }

    fn literal(&mut self, word: &str, datum: Datum) -> Result<Datum, Failure> {
        for expected in word.bytes() {
            if self.peek() != Some(expected) {
                let expected = char::from(expected);
                return Err(
                    self.invalid_within(&format!("in literal {word} (expecting '{expected}')"))
                );
            }
            self.at += 1;
        }
        Ok(datum)
    }

    fn digits(&mut self, context: &str) -> Result<(), Failure> {
        if !self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            return Err(self.invalid_within(context));
        }
        while self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            self.at += 1;
        }
        Ok(())
    }

    fn number(&mut self) -> Result<Datum, Failure> {
        let start = self.at;
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        if self.peek() == Some(b'0') {
            self.at += 1;
        } else {
            self.digits("in numeric literal")?;
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits("after decimal point in numeric literal")?;
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.peek(), Some(b'+' | b'-')) {
                self.at += 1;
            }
            self.digits("in exponent of numeric literal")?;
        }
        let digits = &self.text[start..self.at];
        let may_be_large = digits.len() > 300 || digits.contains(&b'e') || digits.contains(&b'E');
        if self.too_large.is_none() && may_be_large && parse_float(digits).is_err() {
            self.too_large = Some(Text::from(digits));
        }
        Ok(Datum::Number(Text::from(digits)))
    }

    fn string(&mut self) -> Result<Text, Failure> {
        self.at += 1;
        let mut out = Vec::new();
        loop {
            let start = self.at;
            while self
                .peek()
                .is_some_and(|byte| byte >= b' ' && byte != b'"' && byte != b'\\')
            {
                self.at += 1;
            }
            let run = &self.text[start..self.at];
            match std::str::from_utf8(run) {
                Ok(_) => out.extend_from_slice(run),
                Err(_) => unicode::chars(run).for_each(|c| unicode::push(&mut out, c)),
            }
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(Text::from(out));
                }
                Some(b'\\') => {
                    self.at += 1;
                    self.escape(&mut out)?;
                }
                _ => return Err(self.invalid("in string literal")),
            }
        }
    }

    fn escape(&mut self, out: &mut Vec<u8>) -> Result<(), Failure> {
        let byte = match self.peek() {
            Some(byte @ (b'"' | b'\\' | b'/')) => byte,
            Some(b'b') => 8,
            Some(b'f') => 12,
            Some(b'n') => b'\n',
            Some(b'r') => b'\r',
            Some(b't') => b'\t',
            Some(b'u') => {
                self.at += 1;
                let unit = self.hex_unit()?;
                let c = self.joined(unit)?;
                unicode::push(out, c);
                return Ok(());
            }
            _ => return Err(self.invalid_within("in string escape code")),
        };
        self.at += 1;
        out.push(byte);
        Ok(())
    }

    fn hex_unit(&mut self) -> Result<u32, Failure> {
        let mut unit = 0;
        for _ in 0..4 {
            let digit = self.peek().and_then(|byte| char::from(byte).to_digit(16));
            let Some(digit) = digit else {
                return Err(self.invalid_within("in \\u hexadecimal character escape"));
            };
            unit = unit << 4 | digit;
            self.at += 1;
        }
        Ok(unit)
    }

    /// Joins a surrogate with its partner; a lonely one becomes U+FFFD.
    fn joined(&mut self, unit: u32) -> Result<char, Failure> {
        if (0xd800..0xdc00).contains(&unit) && self.text[self.at..].starts_with(b"\\u") {
            let back = self.at;
            self.at += 2;
            let low = self.hex_unit()?;
            if (0xdc00..0xe000).contains(&low) {
                let code = 0x10000 + ((unit - 0xd800) << 10) + (low - 0xdc00);
                return Ok(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER));
            }
            self.at = back;
        }
        Ok(char::from_u32(unit).unwrap_or(char::REPLACEMENT_CHARACTER))
    }
}

//! JSON as Vault sends it and as Go reads it: the same texts are refused at the same byte, and numbers keep
//! their digits.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use crate::text::Text;

/// How deep objects and lists may nest.
const MAX_DEPTH: usize = 500;

/// A JSON document, wiped when dropped.
#[derive(Clone, PartialEq, Eq)]
pub enum Datum {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// The digits as they were written.
    Number(Text),
    /// A string; bytes that were no UTF-8 are U+FFFD.
    Text(Text),
    /// An array.
    List(Vec<Self>),
    /// An object; of two entries of one name the later one stays.
    Object(Arc<BTreeMap<Text, Self>>),
}

impl Datum {
    /// The entry of an object.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Self> {
        match self {
            Self::Object(entries) => entries.get(key.as_bytes()),
            _ => None,
        }
    }

    /// The text, if it is one and UTF-8.
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::Text(text) => text.as_str(),
            _ => None,
        }
    }

    /// Calls `seen` with every text and number inside.
    pub fn leaves(&self, seen: &mut dyn FnMut(&Text)) {
        match self {
            Self::Null | Self::Bool(_) => {}
            Self::Number(text) | Self::Text(text) => seen(text),
            Self::List(items) => items.iter().for_each(|item| item.leaves(seen)),
            Self::Object(entries) => entries.values().for_each(|item| item.leaves(seen)),
        }
    }
}

/// Why a text is no JSON.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Invalid {
    /// A byte that cannot stand where it stands.
    #[error("invalid character {context}")]
    Character {
        /// The byte; it may be a secret's, so no message of this error shows it.
        byte: u8,
        /// Its place, in Go's words.
        context: Context,
    },
    /// The text ends too early.
    #[error("unexpected end of JSON input")]
    End,
    /// Objects and lists nest too deep.
    #[error("exceeded max depth")]
    Depth,
}

/// The place of a byte.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Context {
    /// In one of the places that [`str`] names.
    Place(&'static str),
    /// In a word that goes on with another letter.
    Literal {
        /// The word.
        word: &'static str,
        /// Its next letter.
        expected: char,
    },
}

impl fmt::Display for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Place(place) => f.write_str(place),
            Self::Literal { word, expected } => {
                write!(f, "in literal {word} (expecting '{expected}')")
            }
        }
    }
}

/// Reads a document.
///
/// # Errors
/// The first byte that is no JSON, or nesting beyond 500 levels.
pub fn decode(text: &[u8]) -> Result<Datum, Invalid> {
    decode_seeing(text, &mut |_| {})
}

/// Reads a document and calls `number` with the digits of every number, also of one that a later entry of the same
/// name replaces.
///
/// # Errors
/// Those of [`decode`].
pub fn decode_seeing(text: &[u8], number: &mut dyn FnMut(&[u8])) -> Result<Datum, Invalid> {
    let mut reader = Reader {
        text,
        at: 0,
        depth: 0,
        number,
    };
    let datum = reader.value()?;
    reader.skip_space();
    if reader.at < text.len() {
        return Err(reader.invalid("after top-level value"));
    }
    Ok(datum)
}

struct Reader<'t> {
    text: &'t [u8],
    at: usize,
    depth: usize,
    number: &'t mut dyn FnMut(&[u8]),
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
    fn invalid(&self, place: &'static str) -> Invalid {
        let context = Context::Place(place);
        self.peek()
            .map_or(Invalid::End, |byte| Invalid::Character { byte, context })
    }

    /// Complains inside a word: Go reads a blank behind the end and finds that wrong.
    fn invalid_within(&self, context: Context) -> Invalid {
        let byte = self.peek().unwrap_or(b' ');
        Invalid::Character { byte, context }
    }

    fn value(&mut self) -> Result<Datum, Invalid> {
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

    fn nested(&mut self, inner: fn(&mut Self) -> Result<Datum, Invalid>) -> Result<Datum, Invalid> {
        if self.depth == MAX_DEPTH {
            return Err(Invalid::Depth);
        }
        self.depth += 1;
        self.at += 1;
        let datum = inner(self);
        self.depth -= 1;
        datum
    }

    fn object(&mut self) -> Result<Datum, Invalid> {
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

    fn list(&mut self) -> Result<Datum, Invalid> {
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

    fn literal(&mut self, word: &'static str, datum: Datum) -> Result<Datum, Invalid> {
        for expected in word.bytes() {
            if self.peek() != Some(expected) {
                let expected = char::from(expected);
                return Err(self.invalid_within(Context::Literal { word, expected }));
            }
            self.at += 1;
        }
        Ok(datum)
    }

    fn digits(&mut self, place: &'static str) -> Result<(), Invalid> {
        if !self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            return Err(self.invalid_within(Context::Place(place)));
        }
        while self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            self.at += 1;
        }
        Ok(())
    }

    fn number(&mut self) -> Result<Datum, Invalid> {
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
        (self.number)(digits);
        Ok(Datum::Number(Text::from(digits)))
    }

    fn string(&mut self) -> Result<Text, Invalid> {
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
                Err(_) => push_lossy(&mut out, run),
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

    fn escape(&mut self, out: &mut Vec<u8>) -> Result<(), Invalid> {
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
                push(out, c);
                return Ok(());
            }
            _ => return Err(self.invalid_within(Context::Place("in string escape code"))),
        };
        self.at += 1;
        out.push(byte);
        Ok(())
    }

    fn hex_unit(&mut self) -> Result<u32, Invalid> {
        let mut unit = 0;
        for _ in 0..4 {
            let digit = self.peek().and_then(|byte| char::from(byte).to_digit(16));
            let Some(digit) = digit else {
                let place = Context::Place("in \\u hexadecimal character escape");
                return Err(self.invalid_within(place));
            };
            unit = unit << 4 | digit;
            self.at += 1;
        }
        Ok(unit)
    }

    /// Joins a surrogate with its partner; a lonely one becomes U+FFFD.
    fn joined(&mut self, unit: u32) -> Result<char, Invalid> {
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

fn push(out: &mut Vec<u8>, c: char) {
    out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
}

/// Each byte that is no UTF-8 becomes U+FFFD.
fn push_lossy(out: &mut Vec<u8>, bytes: &[u8]) {
    for chunk in bytes.utf8_chunks() {
        out.extend_from_slice(chunk.valid().as_bytes());
        for _ in chunk.invalid() {
            push(out, char::REPLACEMENT_CHARACTER);
        }
    }
}

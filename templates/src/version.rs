//! Semantic versions.

use std::cmp::Ordering;
use std::rc::Rc;

use planescape_vault::Text;

use crate::error::Failure;
use crate::number::{Base, parse_uint};
use crate::object::Object;
use crate::value::{Type, Value};

#[derive(Clone, Default)]
pub(crate) struct Version {
    pub(crate) major: u64,
    pub(crate) minor: u64,
    pub(crate) patch: u64,
    pub(crate) pre: String,
    pub(crate) metadata: String,
}

/// The text that a version stands for; nothing for other values.
pub(crate) fn shown(object: &Object) -> Option<String> {
    (object.type_of() == Type::Version).then(|| Version::of(object).to_string())
}

impl std::fmt::Display for Version {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)?;
        if !self.pre.is_empty() {
            write!(f, "-{}", self.pre)?;
        }
        if !self.metadata.is_empty() {
            write!(f, "+{}", self.metadata)?;
        }
        Ok(())
    }
}

impl Version {
    /// The version as its struct's fields hold it.
    pub(crate) fn of(object: &Object) -> Self {
        let field = |name: &str| object.field(name.as_bytes());
        let number = |name| field(name).and_then(Value::as_uint).unwrap_or(0);
        let text = |name| {
            let text = field(name).and_then(Value::as_text);
            text.map(|text| String::from_utf8_lossy(text).into_owned())
                .unwrap_or_default()
        };
        Self {
            major: number("major"),
            minor: number("minor"),
            patch: number("patch"),
            pre: text("pre"),
            metadata: text("metadata"),
        }
    }

    /// Accepts what looks like a version: `v1`, `1.2`, `1.2.3-rc.1+build`.
    pub(crate) fn parse(text: &[u8]) -> Result<Self, Failure> {
        let invalid = || Failure::new("Invalid Semantic Version");
        let mut words = Words { text, at: 0 };
        let shape = words
            .version(|byte| byte.is_ascii_digit())
            .ok_or_else(invalid)?;
        if words.at < text.len() {
            return Err(invalid());
        }
        let number = |part: &str| match parse_uint(part.as_bytes(), Base::Fixed(10)) {
            Ok(number) => Ok(number),
            Err(_) if part.is_empty() => Ok(0),
            Err(error) => {
                let failure = error.failure("ParseUint", part.as_bytes());
                Err(failure.under("Error parsing version segment: "))
            }
        };
        let [major, minor, patch] = &shape.numbers;
        let version = Self {
            major: number(major)?,
            minor: number(minor)?,
            patch: number(patch)?,
            pre: shape.pre,
            metadata: shape.metadata,
        };
        let starts_with_zero = |part: &str| {
            part.len() > 1
                && part.starts_with('0')
                && part.bytes().all(|byte| byte.is_ascii_digit())
        };
        if version.pre.split('.').any(starts_with_zero) {
            return Err(Failure::new("Version segment starts with 0"));
        }
        Ok(version)
    }

    pub(crate) fn value(self, original: Text) -> Value {
        let fields = vec![
            ("major", Value::Uint64(self.major)),
            ("minor", Value::Uint64(self.minor)),
            ("patch", Value::Uint64(self.patch)),
            ("pre", Value::text(self.pre)),
            ("metadata", Value::text(self.metadata)),
            ("original", Value::Text(original)),
        ];
        Value::Object(Rc::new(Object::Struct {
            of: Type::Version,
            fields,
        }))
    }

    /// Metadata does not count.
    pub(crate) fn compare(&self, other: &Self) -> Ordering {
        let numbers = (self.major, self.minor, self.patch);
        numbers
            .cmp(&(other.major, other.minor, other.patch))
            .then_with(|| match (self.pre.is_empty(), other.pre.is_empty()) {
                (true, true) => Ordering::Equal,
                (true, false) => Ordering::Greater,
                (false, true) => Ordering::Less,
                (false, false) => compare_pre(&self.pre, &other.pre),
            })
    }
}

/// Part by part: numbers before words, and a text that ends before one that goes on.
fn compare_pre(a: &str, b: &str) -> Ordering {
    let (mut a, mut b) = (a.split('.'), b.split('.'));
    loop {
        let (a, b) = match (a.next(), b.next()) {
            (None, None) => return Ordering::Equal,
            (None, Some(_)) => return Ordering::Less,
            (Some(_), None) => return Ordering::Greater,
            (Some(a), Some(b)) => (a, b),
        };
        if a == b {
            continue;
        }
        let order = match (a.parse::<u64>(), b.parse::<u64>()) {
            (Ok(a), Ok(b)) => a.cmp(&b),
            (Ok(_), Err(_)) => Ordering::Less,
            (Err(_), Ok(_)) => Ordering::Greater,
            (Err(_), Err(_)) => a.cmp(b),
        };
        return if order == Ordering::Greater {
            order
        } else {
            Ordering::Less
        };
    }
}

/// A version as written: numbers, perhaps wildcards, and what follows them.
pub(crate) struct Shape {
    pub(crate) numbers: [String; 3],
    pub(crate) pre: String,
    pub(crate) metadata: String,
}

/// Reads words from a text, or goes back.
pub(crate) struct Words<'t> {
    pub(crate) text: &'t [u8],
    pub(crate) at: usize,
}

impl Words<'_> {
    pub(crate) fn rest(&self) -> &[u8] {
        &self.text[self.at..]
    }

    pub(crate) fn run(&mut self, is_part: impl Fn(u8) -> bool) -> String {
        let length = self
            .rest()
            .iter()
            .take_while(|&&byte| is_part(byte))
            .count();
        let word = String::from_utf8_lossy(&self.rest()[..length]).into_owned();
        self.at += length;
        word
    }

    pub(crate) fn blanks(&mut self) -> bool {
        !self
            .run(|byte| matches!(byte, b' ' | b'\t' | b'\n' | b'\x0c' | b'\r'))
            .is_empty()
    }

    /// A mark and a word after it, or nothing.
    pub(crate) fn marked(&mut self, mark: u8, is_part: impl Fn(u8) -> bool) -> Option<String> {
        let start = self.at;
        if self.rest().first() == Some(&mark) {
            self.at += 1;
            let word = self.run(is_part);
            if !word.is_empty() {
                return Some(word);
            }
        }
        self.at = start;
        None
    }

    pub(crate) fn version(&mut self, is_digit: impl Fn(u8) -> bool) -> Option<Shape> {
        let start = self.at;
        if self.rest().first() == Some(&b'v') {
            self.at += 1;
        }
        let major = self.run(&is_digit);
        if major.is_empty() {
            self.at = start;
            return None;
        }
        let minor = self.marked(b'.', &is_digit).unwrap_or_default();
        let patch = match minor.as_str() {
            "" => String::new(),
            _ => self.marked(b'.', &is_digit).unwrap_or_default(),
        };
        Some(Shape {
            numbers: [major, minor, patch],
            pre: self.parts(b'-'),
            metadata: self.parts(b'+'),
        })
    }

    pub(crate) fn parts(&mut self, mark: u8) -> String {
        let is_part = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        let Some(mut parts) = self.marked(mark, is_part) else {
            return String::new();
        };
        while let Some(part) = self.marked(b'.', is_part) {
            parts.push('.');
            parts.push_str(&part);
        }
        parts
    }
}

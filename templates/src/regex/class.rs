//! Character classes and escapes.

use std::rc::Rc;

use crate::unicode::{self, classes};

use super::parse::{Node, Parser, SyntaxError};

/// First and last code of a run of characters.
pub(super) type Range = (u32, u32);

pub(super) const LAST: u32 = 0x10_ffff;

/// A set of characters: sorted ranges that do not touch.
#[derive(Clone)]
pub(super) struct Class {
    ranges: Rc<[Range]>,
    /// One bit for each character of ASCII.
    ascii: u128,
}

impl Class {
    pub(super) fn contains(&self, c: char) -> bool {
        let code = u32::from(c);
        if code < 128 {
            return self.ascii >> code & 1 == 1;
        }
        let after = self.ranges.partition_point(|(first, _)| *first <= code);
        after > 0 && code <= self.ranges[after - 1].1
    }

    /// The ranges that it holds, in order.
    pub(super) fn ranges(&self) -> &[Range] {
        &self.ranges
    }

    /// One bit for each character of ASCII.
    pub(super) fn ascii(&self) -> u128 {
        self.ascii
    }

    /// Everything, or everything but line breaks.
    pub(super) fn dot(takes_newlines: bool) -> Self {
        let mut set = Set::default();
        if !takes_newlines {
            set.add(10, 10);
        }
        set.negate();
        set.class()
    }

    /// Line breaks.
    pub(super) fn newline() -> Self {
        Self::single(10, false)
    }

    /// The class that `\\w` stands for.
    pub(super) fn word() -> Self {
        Set(WORD.to_vec()).class()
    }

    /// One character, and the ones that differ from it in case if `folds`.
    pub(super) fn single(code: u32, folds: bool) -> Self {
        let mut set = Set::default();
        set.add(code, code);
        if folds {
            set.fold();
        }
        set.class()
    }
}

/// A class in the making.
#[derive(Default)]
struct Set(Vec<Range>);

impl Set {
    fn add(&mut self, first: u32, last: u32) {
        self.0.push((first, last));
    }

    fn sort(&mut self) {
        self.0.sort_unstable();
        let mut merged: Vec<Range> = Vec::with_capacity(self.0.len());
        for &(first, last) in &self.0 {
            match merged.last_mut() {
                Some((_, end)) if first <= end.saturating_add(1) => *end = last.max(*end),
                _ => merged.push((first, last)),
            }
        }
        self.0 = merged;
    }

    fn negate(&mut self) {
        self.sort();
        let mut outside = Vec::with_capacity(self.0.len() + 1);
        let mut next = 0;
        for &(first, last) in &self.0 {
            if first > next {
                outside.push((next, first - 1));
            }
            next = last + 1;
        }
        if next <= LAST {
            outside.push((next, LAST));
        }
        self.0 = outside;
    }

    /// Adds what differs from a member in case alone.
    fn fold(&mut self) {
        self.sort();
        let inside = |code: u32| {
            let after = self.0.partition_point(|(first, _)| *first <= code);
            after > 0 && code <= self.0[after - 1].1
        };
        let mut others = Vec::new();
        // A few characters are looked up, and not every ring asked.
        let size: u32 = self.0.iter().map(|(first, last)| last - first + 1).sum();
        if size <= 64 {
            for code in self.0.iter().flat_map(|&(first, last)| first..=last) {
                others.extend(classes::ring(code).iter().map(|&code| (code, code)));
            }
            self.0.extend(others);
            return;
        }
        for ring in classes::rings() {
            if ring.iter().any(|&code| inside(code)) {
                others.extend(ring.iter().map(|&code| (code, code)));
            }
        }
        self.0.extend(others);
    }

    fn extend(&mut self, other: &Self) {
        self.0.extend_from_slice(&other.0);
    }

    fn class(mut self) -> Class {
        self.sort();
        let mut ascii = 0;
        for &(first, last) in &self.0 {
            for code in first..=last.min(127) {
                ascii |= 1 << code;
            }
        }
        Class {
            ranges: self.0.into(),
            ascii,
        }
    }
}

const DIGIT: &[Range] = &[(48, 57)];
const SPACE: &[Range] = &[(9, 10), (12, 13), (32, 32)];
const WORD: &[Range] = &[(48, 57), (65, 90), (95, 95), (97, 122)];

const INVALID_RANGE: &str = "invalid character class range";
const INVALID_ESCAPE: &str = "invalid escape sequence";

impl<'p> Parser<'p> {
    /// `\d`, `\pL` and their like, as a class; nothing if there is no such thing here.
    pub(super) fn class_escape(&mut self) -> Result<Option<Class>, SyntaxError<'p>> {
        Ok(self.escaped_set()?.map(Set::class))
    }

    fn escaped_set(&mut self) -> Result<Option<Set>, SyntaxError<'p>> {
        let (ranges, negated) = match self.rest() {
            [b'\\', b'd', ..] => (DIGIT, false),
            [b'\\', b'D', ..] => (DIGIT, true),
            [b'\\', b's', ..] => (SPACE, false),
            [b'\\', b'S', ..] => (SPACE, true),
            [b'\\', b'w', ..] => (WORD, false),
            [b'\\', b'W', ..] => (WORD, true),
            [b'\\', b'p' | b'P', ..] => return self.category().map(Some),
            _ => return Ok(None),
        };
        self.at += 2;
        Ok(Some(self.set(ranges.to_vec(), negated)))
    }

    /// Folded first, negated afterwards.
    fn set(&self, ranges: Vec<Range>, negated: bool) -> Set {
        let mut set = Set(ranges);
        if self.flags.folds {
            set.fold();
        }
        if negated {
            set.negate();
        }
        set
    }

    fn category(&mut self) -> Result<Set, SyntaxError<'p>> {
        let start = self.at;
        let mut negated = self.pattern[self.at + 1] == b'P';
        self.at += 2;
        let name = if self.rest().starts_with(b"{") {
            let Some(close) = self.rest().iter().position(|&byte| byte == b'}') else {
                self.valid(start, self.pattern.len())?;
                return Err(self.error(INVALID_RANGE, start, self.pattern.len()));
            };
            let name = &self.rest()[1..close];
            self.valid(self.at + 1, self.at + close)?;
            self.at += close + 1;
            name
        } else {
            let from = self.at;
            self.char()?;
            &self.pattern[from..self.at]
        };
        let name = match name.strip_prefix(b"^") {
            Some(name) => {
                negated = !negated;
                name
            }
            None => name,
        };
        let name = canonical(name);
        let ranges = match name.as_str() {
            "Any" => Some(vec![(0, LAST)]),
            "Ascii" => Some(vec![(0, 127)]),
            "Assigned" => {
                negated = !negated;
                classes::class("Cn")
            }
            name => classes::class(name),
        };
        match ranges {
            Some(ranges) => Ok(self.set(ranges, negated)),
            None => Err(self.error(INVALID_RANGE, start, self.at)),
        }
    }

    /// The code of an escaped character.
    pub(super) fn escaped_char(&mut self) -> Result<u32, SyntaxError<'p>> {
        let start = self.at;
        self.at += 1;
        if self.peek().is_none() {
            return Err(self.error("trailing backslash at end of expression", self.at, self.at));
        }
        let code = match self.char()? {
            'a' => Some(7),
            'f' => Some(12),
            'n' => Some(10),
            'r' => Some(13),
            't' => Some(9),
            'v' => Some(11),
            'x' => self.hex()?,
            c @ '0'..='7' => {
                let is_octal = c == '0' || matches!(self.peek(), Some(b'0'..=b'7'));
                is_octal.then(|| self.octal(c))
            }
            c => c.is_ascii_punctuation().then_some(u32::from(c)),
        };
        code.ok_or_else(|| self.error(INVALID_ESCAPE, start, self.at))
    }

    fn octal(&mut self, first: char) -> u32 {
        let mut code = u32::from(first) - u32::from('0');
        for _ in 0..2 {
            let Some(digit @ b'0'..=b'7') = self.peek() else {
                break;
            };
            code = code * 8 + u32::from(digit - b'0');
            self.at += 1;
        }
        code
    }

    /// `\x7F` and `\x{10FFFF}`, after the `x`.
    fn hex(&mut self) -> Result<Option<u32>, SyntaxError<'p>> {
        if self.peek().is_none() {
            return Ok(None);
        }
        let first = self.char()?;
        if first != '{' {
            let second = self.char()?;
            let digits = first.to_digit(16).zip(second.to_digit(16));
            return Ok(digits.map(|(high, low)| high << 4 | low));
        }
        let mut code = None;
        loop {
            if self.peek().is_none() {
                return Ok(None);
            }
            let c = self.char()?;
            if c == '}' {
                return Ok(code);
            }
            let Some(digit) = c.to_digit(16) else {
                return Ok(None);
            };
            let longer = code.unwrap_or(0) << 4 | digit;
            if longer > LAST {
                return Ok(None);
            }
            code = Some(longer);
        }
    }

    pub(super) fn class(&mut self) -> Result<Node, SyntaxError<'p>> {
        let start = self.at;
        self.at += 1;
        let negated = self.eat(b"^");
        let mut set = Set::default();
        let mut is_first = true;
        while is_first || self.peek() != Some(b']') {
            is_first = false;
            if self.rest().starts_with(b"[:")
                && let Some(named) = self.named_class()?
            {
                set.extend(&named);
                continue;
            }
            if let Some(escaped) = self.escaped_set()? {
                set.extend(&escaped);
                continue;
            }
            let from = self.at;
            let first = self.class_char(start)?;
            let mut last = first;
            if let [b'-', next, ..] = self.rest()
                && *next != b']'
            {
                self.at += 1;
                last = self.class_char(start)?;
                if last < first {
                    return Err(self.error(INVALID_RANGE, from, self.at));
                }
            }
            set.extend(&self.set(vec![(first, last)], false));
        }
        self.at += 1;
        if negated {
            set.negate();
        }
        Ok(Node::Class(set.class()))
    }

    fn class_char(&mut self, start: usize) -> Result<u32, SyntaxError<'p>> {
        match self.peek() {
            None => Err(self.error("missing closing ]", start, self.pattern.len())),
            Some(b'\\') => self.escaped_char(),
            Some(_) => self.char().map(u32::from),
        }
    }

    /// `[:alpha:]` and its like; nothing if there is no closing `:]`.
    fn named_class(&mut self) -> Result<Option<Set>, SyntaxError<'p>> {
        let Some(length) = crate::bytes::find(&self.rest()[2..], b":]") else {
            return Ok(None);
        };
        let end = self.at + 2 + length + 2;
        let name = &self.rest()[2..2 + length];
        let (name, negated) = match name.strip_prefix(b"^") {
            Some(name) => (name, true),
            None => (name, false),
        };
        let ranges: &[Range] = match name {
            b"alnum" => &[(48, 57), (65, 90), (97, 122)],
            b"alpha" => &[(65, 90), (97, 122)],
            b"ascii" => &[(0, 127)],
            b"blank" => &[(9, 9), (32, 32)],
            b"cntrl" => &[(0, 31), (127, 127)],
            b"digit" => DIGIT,
            b"graph" => &[(33, 126)],
            b"lower" => &[(97, 122)],
            b"print" => &[(32, 126)],
            b"punct" => &[(33, 47), (58, 64), (91, 96), (123, 126)],
            b"space" => &[(9, 13), (32, 32)],
            b"upper" => &[(65, 90)],
            b"word" => WORD,
            b"xdigit" => &[(48, 57), (65, 70), (97, 102)],
            _ => return Err(self.error(INVALID_RANGE, self.at, end)),
        };
        self.at = end;
        Ok(Some(self.set(ranges.to_vec(), negated)))
    }
}

/// The name without what may be left out, its first letter large and the rest small.
fn canonical(name: &[u8]) -> String {
    let mut out = String::new();
    for c in unicode::chars(name).filter(|c| !matches!(c, '_' | '-' | ' ')) {
        out.push(if out.is_empty() {
            c.to_ascii_uppercase()
        } else {
            c.to_ascii_lowercase()
        });
    }
    out
}

//! Character classes and escapes.

use std::rc::Rc;

use crate::unicode;

use super::parse::{Node, Parser, SyntaxError};

/// A set of characters.
#[derive(Clone, Default)]
pub(super) struct Class {
    parts: Rc<Vec<Part>>,
    negated: bool,
    folds: bool,
}

#[derive(Clone, Copy)]
pub(super) enum Part {
    Range(char, char),
    Letters,
    Digits,
    Upper,
    Lower,
    /// Everything but the ranges that follow, which end the part list of a negated class escape.
    Not(&'static [(char, char)]),
    NotLetters,
    NotDigits,
}

impl Part {
    fn contains(self, c: char) -> bool {
        match self {
            Self::Range(first, last) => (first..=last).contains(&c),
            Self::Letters => unicode::is_letter(c),
            Self::Digits => unicode::is_digit(c),
            Self::Upper => unicode::is_letter(c) && unicode::lower(c) != c,
            Self::Lower => unicode::is_letter(c) && unicode::upper(c) != c,
            Self::Not(ranges) => !ranges
                .iter()
                .any(|(first, last)| (*first..=*last).contains(&c)),
            Self::NotLetters => !unicode::is_letter(c),
            Self::NotDigits => !unicode::is_digit(c),
        }
    }
}

impl Class {
    pub(super) fn new(parts: Vec<Part>, negated: bool, folds: bool) -> Self {
        Self {
            parts: Rc::new(parts),
            negated,
            folds,
        }
    }

    pub(super) fn contains(&self, c: char) -> bool {
        let has = |c: char| self.parts.iter().any(|part| part.contains(c));
        let found = has(c)
            || self.folds && {
                let (lower, upper) = (unicode::lower(c), unicode::upper(c));
                // Characters with three forms.
                let third = match lower {
                    'k' => '\u{212a}',
                    's' => '\u{17f}',
                    'å' => '\u{212b}',
                    _ => c,
                };
                has(lower) || has(upper) || has(unicode::lower(upper)) || has(third)
            };
        found != self.negated
    }
}

const DIGIT: &[(char, char)] = &[('0', '9')];
const SPACE: &[(char, char)] = &[('\t', '\n'), ('\x0c', '\r'), (' ', ' ')];
const WORD: &[(char, char)] = &[('0', '9'), ('A', 'Z'), ('_', '_'), ('a', 'z')];

impl<'p> Parser<'p> {
    /// `\d`, `\pL` and their like.
    pub(super) fn class_escape(&mut self, parts: &mut Vec<Part>) -> Result<bool, SyntaxError<'p>> {
        let (ranges, negated) = match self.rest() {
            [b'\\', b'd', ..] => (DIGIT, false),
            [b'\\', b'D', ..] => (DIGIT, true),
            [b'\\', b's', ..] => (SPACE, false),
            [b'\\', b'S', ..] => (SPACE, true),
            [b'\\', b'w', ..] => (WORD, false),
            [b'\\', b'W', ..] => (WORD, true),
            [b'\\', b'p' | b'P', ..] => return self.category(parts).map(|()| true),
            _ => return Ok(false),
        };
        self.at += 2;
        if negated {
            parts.push(Part::Not(ranges));
        } else {
            parts.extend(
                ranges
                    .iter()
                    .map(|(first, last)| Part::Range(*first, *last)),
            );
        }
        Ok(true)
    }

    fn category(&mut self, parts: &mut Vec<Part>) -> Result<(), SyntaxError<'p>> {
        const INVALID: &str = "invalid character class range";
        let start = self.at;
        let mut negated = self.pattern[self.at + 1] == b'P';
        self.at += 2;
        if self.peek().is_none() {
            return Err(self.error(INVALID, start, self.at));
        }
        let name = if self.eat(b"{") {
            let Some(close) = self.rest().iter().position(|&byte| byte == b'}') else {
                return Err(self.error(INVALID, start, self.pattern.len()));
            };
            let name = &self.rest()[..close];
            self.at += close + 1;
            name
        } else {
            let from = self.at;
            self.char();
            &self.pattern[from..self.at]
        };
        let name = match name.strip_prefix(b"^") {
            Some(name) => {
                negated = !negated;
                name
            }
            None => name,
        };
        parts.push(match (name, negated) {
            (b"L", false) => Part::Letters,
            (b"L", true) => Part::NotLetters,
            (b"Nd" | b"N", false) => Part::Digits,
            (b"Nd" | b"N", true) => Part::NotDigits,
            (b"Lu", false) => Part::Upper,
            (b"Ll", false) => Part::Lower,
            _ => return Err(self.error(INVALID, start, self.at)),
        });
        Ok(())
    }

    pub(super) fn escaped_char(&mut self) -> Result<char, SyntaxError<'p>> {
        const INVALID: &str = "invalid escape sequence";
        let start = self.at;
        self.at += 1;
        if self.peek().is_none() {
            return Err(self.error("trailing backslash at end of expression", self.at, self.at));
        }
        let c = self.char();
        let code = match c {
            'a' => 7,
            'f' => 12,
            'n' => 10,
            'r' => 13,
            't' => 9,
            'v' => 11,
            'x' => match self.hex() {
                Some(code) => code,
                None => return Err(self.error(INVALID, start, self.at)),
            },
            '0'..='7' => {
                let is_octal = c == '0' || matches!(self.peek(), Some(b'0'..=b'7'));
                if !is_octal {
                    return Err(self.error(INVALID, start, self.at));
                }
                let mut code = u32::from(c) - u32::from('0');
                for _ in 0..2 {
                    let Some(digit @ b'0'..=b'7') = self.peek() else {
                        break;
                    };
                    code = code * 8 + u32::from(digit - b'0');
                    self.at += 1;
                }
                code
            }
            c if c.is_ascii_punctuation() => return Ok(c),
            _ => return Err(self.error(INVALID, start, self.at)),
        };
        char::from_u32(code).ok_or_else(|| self.error(INVALID, start, self.at))
    }

    /// `\x7F` and `\x{10FFFF}`, after the `x`.
    fn hex(&mut self) -> Option<u32> {
        let is_braced = self.eat(b"{");
        let mut code = 0u32;
        let mut count = 0;
        while count < 8 && (is_braced || count < 2) {
            if is_braced && self.peek() == Some(b'}') {
                break;
            }
            let c = (self.at < self.pattern.len()).then(|| self.char())?;
            code = code << 4 | c.to_digit(16)?;
            count += 1;
        }
        if is_braced && !self.eat(b"}") || count == 0 {
            return None;
        }
        Some(code)
    }

    pub(super) fn class(&mut self) -> Result<Node, SyntaxError<'p>> {
        let start = self.at;
        self.at += 1;
        let negated = self.eat(b"^");
        let mut parts = Vec::new();
        let mut is_first = true;
        loop {
            match self.peek() {
                None => {
                    return Err(self.error("missing closing ]", start, self.pattern.len()));
                }
                Some(b']') if !is_first => break,
                _ => {}
            }
            // A lone minus is text only at an end.
            if !is_first && self.rest().starts_with(b"-") && !self.rest().starts_with(b"-]") {
                let mut next = self.at + 1;
                next += unicode::decode(&self.pattern[next..]).1;
                return Err(self.error("invalid character class range", self.at, next));
            }
            is_first = false;
            if self.rest().starts_with(b"[:") && self.named_class(&mut parts)? {
                continue;
            }
            if self.class_escape(&mut parts)? {
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
                    return Err(self.error("invalid character class range", from, self.at));
                }
            }
            parts.push(Part::Range(first, last));
        }
        self.at += 1;
        let folds = self.flags.folds;
        Ok(Node::Class(Class::new(parts, negated, folds)))
    }

    fn class_char(&mut self, start: usize) -> Result<char, SyntaxError<'p>> {
        match self.peek() {
            None => Err(self.error("missing closing ]", start, self.pattern.len())),
            Some(b'\\') => self.escaped_char(),
            Some(_) => Ok(self.char()),
        }
    }

    /// `[:alpha:]` and its like; false if there is no closing `:]`.
    fn named_class(&mut self, parts: &mut Vec<Part>) -> Result<bool, SyntaxError<'p>> {
        let Some(length) = crate::bytes::find(&self.rest()[2..], b":]") else {
            return Ok(false);
        };
        let end = self.at + 2 + length + 2;
        let name = &self.rest()[2..2 + length];
        let (name, negated) = match name.strip_prefix(b"^") {
            Some(name) => (name, true),
            None => (name, false),
        };
        let ranges: &'static [(char, char)] = match name {
            b"alnum" => &[('0', '9'), ('A', 'Z'), ('a', 'z')],
            b"alpha" => &[('A', 'Z'), ('a', 'z')],
            b"ascii" => &[('\0', '\x7f')],
            b"blank" => &[('\t', '\t'), (' ', ' ')],
            b"cntrl" => &[('\0', '\x1f'), ('\x7f', '\x7f')],
            b"digit" => DIGIT,
            b"graph" => &[('!', '~')],
            b"lower" => &[('a', 'z')],
            b"print" => &[(' ', '~')],
            b"punct" => &[('!', '/'), (':', '@'), ('[', '`'), ('{', '~')],
            b"space" => &[('\t', '\r'), (' ', ' ')],
            b"upper" => &[('A', 'Z')],
            b"word" => WORD,
            b"xdigit" => &[('0', '9'), ('A', 'F'), ('a', 'f')],
            _ => return Err(self.error("invalid character class range", self.at, end)),
        };
        self.at = end;
        if negated {
            parts.push(Part::Not(ranges));
        } else {
            parts.extend(
                ranges
                    .iter()
                    .map(|(first, last)| Part::Range(*first, *last)),
            );
        }
        Ok(true)
    }
}

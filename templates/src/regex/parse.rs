//! The syntax: what Go's `regexp/syntax` accepts, and the words with which it refuses the rest.

use std::rc::Rc;

use crate::error::Failure;
use crate::unicode;

use super::class::{Class, Part};

#[derive(Clone)]
pub(super) enum Node {
    Empty,
    Class(Class),
    Assert(Assertion),
    Group(Box<Self>, usize),
    Concat(Vec<Self>),
    Alternate(Vec<Self>),
    Repeat(Rc<Repeat>),
}

pub(super) struct Repeat {
    pub(super) node: Node,
    pub(super) least: usize,
    pub(super) most: Option<usize>,
    pub(super) greedy: bool,
}

impl Node {
    pub(super) fn may_be_empty(&self) -> bool {
        match self {
            Self::Empty | Self::Assert(_) => true,
            Self::Class(_) => false,
            Self::Group(inner, _) => inner.may_be_empty(),
            Self::Concat(nodes) => nodes.iter().all(Self::may_be_empty),
            Self::Alternate(nodes) => nodes.iter().any(Self::may_be_empty),
            Self::Repeat(repeat) => repeat.least == 0 || repeat.node.may_be_empty(),
        }
    }

    /// How often the innermost part runs if every counted repetition runs to its end.
    fn repetitions(&self) -> usize {
        match self {
            Self::Empty | Self::Assert(_) | Self::Class(_) => 1,
            Self::Group(inner, _) => inner.repetitions(),
            Self::Concat(nodes) | Self::Alternate(nodes) => {
                nodes.iter().map(Self::repetitions).max().unwrap_or(1)
            }
            Self::Repeat(repeat) => {
                let own = repeat.most.unwrap_or(repeat.least).max(1);
                own.saturating_mul(repeat.node.repetitions())
            }
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Assertion {
    LineStart,
    LineEnd,
    TextStart,
    TextEnd,
    WordBoundary,
    NoWordBoundary,
}

impl Assertion {
    pub(super) fn holds(self, text: &[u8], at: usize) -> bool {
        let is_word = |byte: Option<&u8>| {
            byte.is_some_and(|byte| byte.is_ascii_alphanumeric() || *byte == b'_')
        };
        let before = at.checked_sub(1).and_then(|before| text.get(before));
        let after = text.get(at);
        match self {
            Self::LineStart => matches!(before, None | Some(b'\n')),
            Self::LineEnd => matches!(after, None | Some(b'\n')),
            Self::TextStart => at == 0,
            Self::TextEnd => at == text.len(),
            Self::WordBoundary => is_word(before) != is_word(after),
            Self::NoWordBoundary => is_word(before) == is_word(after),
        }
    }
}

/// Why a pattern is none: Go's words and the part of the pattern they are about.
pub(super) struct SyntaxError<'p> {
    reason: &'static str,
    part: &'p [u8],
}

impl SyntaxError<'_> {
    pub(super) fn failure(&self) -> Failure {
        Failure::new(format!("{}: `", self.reason))
            .plain(self.part)
            .words("`")
    }
}

pub(super) struct Parsed {
    pub(super) node: Node,
    pub(super) names: Vec<String>,
}

pub(super) fn parse(pattern: &[u8]) -> Result<Parsed, SyntaxError<'_>> {
    if std::str::from_utf8(pattern).is_err() {
        return Err(SyntaxError {
            reason: "invalid UTF-8",
            part: pattern,
        });
    }
    let mut parser = Parser {
        pattern,
        at: 0,
        depth: 0,
        flags: Flags::default(),
        names: vec![String::new()],
    };
    let node = parser.alternation()?;
    if parser.at < pattern.len() {
        return Err(parser.error("unexpected )", 0, pattern.len()));
    }
    Ok(Parsed {
        node,
        names: parser.names,
    })
}

#[derive(Clone, Copy, Default)]
pub(super) struct Flags {
    pub(super) folds: bool,
    multi_line: bool,
    dot_all: bool,
    ungreedy: bool,
}

pub(super) struct Parser<'p> {
    pub(super) pattern: &'p [u8],
    pub(super) at: usize,
    depth: usize,
    pub(super) flags: Flags,
    names: Vec<String>,
}

const MAX_DEPTH: usize = 200;
const MAX_REPEAT: usize = 1_000;

impl<'p> Parser<'p> {
    pub(super) fn error(&self, reason: &'static str, from: usize, to: usize) -> SyntaxError<'p> {
        let to = to.min(self.pattern.len());
        SyntaxError {
            reason,
            part: &self.pattern[from..to],
        }
    }

    pub(super) fn peek(&self) -> Option<u8> {
        self.pattern.get(self.at).copied()
    }

    pub(super) fn rest(&self) -> &'p [u8] {
        &self.pattern[self.at..]
    }

    pub(super) fn eat(&mut self, text: &[u8]) -> bool {
        let found = self.rest().starts_with(text);
        self.at += if found { text.len() } else { 0 };
        found
    }

    pub(super) fn char(&mut self) -> char {
        let (c, width) = unicode::decode(self.rest());
        self.at += width;
        c.unwrap_or(char::REPLACEMENT_CHARACTER)
    }

    fn literal(&self, c: char) -> Node {
        Node::Class(Class::new(vec![Part::Range(c, c)], false, self.flags.folds))
    }

    fn alternation(&mut self) -> Result<Node, SyntaxError<'p>> {
        let mut branches = vec![self.concatenation()?];
        while self.eat(b"|") {
            branches.push(self.concatenation()?);
        }
        Ok(match branches.len() {
            1 => branches.remove(0),
            _ => Node::Alternate(branches),
        })
    }

    fn concatenation(&mut self) -> Result<Node, SyntaxError<'p>> {
        let mut nodes: Vec<Node> = Vec::new();
        loop {
            let start = self.at;
            let node = match self.peek() {
                None | Some(b'|' | b')') => break,
                Some(b'(') => match self.group()? {
                    Some(node) => node,
                    None => continue,
                },
                Some(b'*' | b'+' | b'?') => {
                    let reason = "missing argument to repetition operator";
                    return Err(self.error(reason, start, start + 1));
                }
                Some(b'{') if self.counts().is_some() => {
                    let (_, end) = self.counts().unwrap_or_default();
                    let reason = "missing argument to repetition operator";
                    return Err(self.error(reason, start, end));
                }
                Some(b'\\') if self.eat(b"\\Q") => {
                    self.quoted(&mut nodes)?;
                    continue;
                }
                Some(_) => self.atom()?,
            };
            let node = self.repetition(node)?;
            nodes.push(node);
        }
        Ok(match nodes.len() {
            0 => Node::Empty,
            1 => nodes.remove(0),
            _ => Node::Concat(nodes),
        })
    }

    /// `\Q…\E`: every character stands for itself.
    fn quoted(&mut self, nodes: &mut Vec<Node>) -> Result<(), SyntaxError<'p>> {
        while self.at < self.pattern.len() && !self.eat(b"\\E") {
            let c = self.char();
            nodes.push(self.literal(c));
        }
        if let Some(last) = nodes.pop() {
            let last = self.repetition(last)?;
            nodes.push(last);
        }
        Ok(())
    }

    fn atom(&mut self) -> Result<Node, SyntaxError<'p>> {
        let flags = self.flags;
        match self.peek() {
            Some(b'[') => self.class(),
            Some(b'\\') => self.escape(),
            _ => Ok(match self.char() {
                '.' if flags.dot_all => Node::Class(Class::new(Vec::new(), true, false)),
                '.' => {
                    let newline = vec![Part::Range('\n', '\n')];
                    Node::Class(Class::new(newline, true, false))
                }
                '^' if flags.multi_line => Node::Assert(Assertion::LineStart),
                '^' => Node::Assert(Assertion::TextStart),
                '$' if flags.multi_line => Node::Assert(Assertion::LineEnd),
                '$' => Node::Assert(Assertion::TextEnd),
                c => self.literal(c),
            }),
        }
    }

    /// `{2}`, `{2,}`, `{2,3}` here: the counts, and where they end. Anything else is text.
    fn counts(&self) -> Option<((usize, Option<usize>), usize)> {
        let body = self.rest().strip_prefix(b"{")?;
        let close = body.iter().position(|&byte| byte == b'}')?;
        let text = std::str::from_utf8(&body[..close]).ok()?;
        let number = |text: &str| -> Option<usize> {
            let is_plain = text == "0" || !text.starts_with('0');
            let is_digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
            (is_plain && is_digits).then(|| text.parse().unwrap_or(usize::MAX))
        };
        let counts = match text.split_once(',') {
            None => (number(text)?, Some(number(text)?)),
            Some((least, "")) => (number(least)?, None),
            Some((least, most)) => (number(least)?, Some(number(most)?)),
        };
        Some((counts, self.at + close + 2))
    }

    fn repetition(&mut self, node: Node) -> Result<Node, SyntaxError<'p>> {
        let mut node = node;
        let mut first: Option<usize> = None;
        loop {
            let start = self.at;
            let (least, most) = match self.peek() {
                Some(b'*') => (0, None),
                Some(b'+') => (1, None),
                Some(b'?') => (0, Some(1)),
                Some(b'{') => match self.counts() {
                    Some((counts, end)) => {
                        self.at = end - 1;
                        counts
                    }
                    None => return Ok(node),
                },
                _ => return Ok(node),
            };
            self.at += 1;
            let is_invalid =
                least > MAX_REPEAT || most.is_some_and(|most| most > MAX_REPEAT || most < least);
            if is_invalid {
                return Err(self.error("invalid repeat count", start, self.at));
            }
            let swaps = self.eat(b"?");
            if let Some(first) = first {
                let reason = "invalid nested repetition operator";
                return Err(self.error(reason, first, self.at));
            }
            first = Some(start);
            node = Node::Repeat(Rc::new(Repeat {
                node,
                least,
                most,
                greedy: swaps == self.flags.ungreedy,
            }));
            if node.repetitions() > MAX_REPEAT {
                return Err(self.error("invalid repeat count", start, self.at));
            }
        }
    }

    /// A group, or nothing where flags were set for what follows.
    fn group(&mut self) -> Result<Option<Node>, SyntaxError<'p>> {
        let start = self.at;
        let outer = self.flags;
        let mut number = None;
        if self.depth == MAX_DEPTH {
            return Err(self.error("expression nests too deeply", 0, self.pattern.len()));
        }
        self.at += 1;
        if self.rest().starts_with(b"?P<") || self.rest().starts_with(b"?<") {
            let name = self.group_name(start)?;
            self.names.push(name);
            number = Some(self.names.len() - 1);
        } else if self.eat(b"?") {
            if self.flags(start)? {
                return Ok(None);
            }
        } else {
            self.names.push(String::new());
            number = Some(self.names.len() - 1);
        }
        self.depth += 1;
        let node = self.alternation()?;
        self.depth -= 1;
        if !self.eat(b")") {
            return Err(self.error("missing closing )", 0, self.pattern.len()));
        }
        self.flags = outer;
        Ok(Some(match number {
            Some(number) => Node::Group(Box::new(node), number),
            None => Node::Concat(vec![node]),
        }))
    }

    fn group_name(&mut self, start: usize) -> Result<String, SyntaxError<'p>> {
        const INVALID: &str = "invalid named capture";
        let open = if self.rest().starts_with(b"?P<") {
            3
        } else {
            2
        };
        let Some(close) = self.rest().iter().position(|&byte| byte == b'>') else {
            return Err(self.error(INVALID, start, self.pattern.len()));
        };
        let end = self.at + close + 1;
        let name = String::from_utf8_lossy(&self.rest()[open..close]).into_owned();
        let is_word = |c: char| c == '_' || c.is_ascii_alphanumeric();
        if name.is_empty() || !name.chars().all(is_word) {
            return Err(self.error(INVALID, start, end));
        }
        if self.names.contains(&name) {
            return Err(self.error("duplicate capture group name", self.at + open, end - 1));
        }
        self.at = end;
        Ok(name)
    }

    /// After `(?`: true when the flags hold for the rest of the group around.
    fn flags(&mut self, start: usize) -> Result<bool, SyntaxError<'p>> {
        let mut flags = self.flags;
        let mut sets = true;
        let mut seen = false;
        loop {
            let Some(letter) = self.peek() else {
                return Err(self.error("missing closing )", 0, self.pattern.len()));
            };
            self.char();
            match letter {
                b'i' => flags.folds = sets,
                b'm' => flags.multi_line = sets,
                b's' => flags.dot_all = sets,
                b'U' => flags.ungreedy = sets,
                b'-' if sets => {
                    sets = false;
                    seen = false;
                    continue;
                }
                b':' | b')' if sets || seen => {
                    self.flags = flags;
                    return Ok(letter == b')');
                }
                _ => {
                    let reason = "invalid or unsupported Perl syntax";
                    return Err(self.error(reason, start, self.at));
                }
            }
            seen = true;
        }
    }

    fn escape(&mut self) -> Result<Node, SyntaxError<'p>> {
        let assertion = match self.pattern.get(self.at + 1) {
            Some(b'A') => Some(Assertion::TextStart),
            Some(b'z') => Some(Assertion::TextEnd),
            Some(b'b') => Some(Assertion::WordBoundary),
            Some(b'B') => Some(Assertion::NoWordBoundary),
            _ => None,
        };
        if let Some(assertion) = assertion {
            self.at += 2;
            return Ok(Node::Assert(assertion));
        }
        let mut parts = Vec::new();
        if self.class_escape(&mut parts)? {
            return Ok(Node::Class(Class::new(parts, false, self.flags.folds)));
        }
        let c = self.escaped_char()?;
        Ok(self.literal(c))
    }
}

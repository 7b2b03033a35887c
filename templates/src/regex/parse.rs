//! The syntax: what Go's `regexp/syntax` accepts, and the words with which it refuses the rest.

use std::rc::Rc;

use crate::bytes;
use crate::error::Failure;
use crate::unicode;

use super::class::Class;

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
                let own = repeat.most.unwrap_or(repeat.least);
                if repeat.most == Some(0) {
                    return 1;
                }
                let own = own.max(1);
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
    pub(super) fn holds(self, before: Neighbor, after: Neighbor) -> bool {
        let is_word = |neighbor| neighbor == Neighbor::Word;
        match self {
            Self::LineStart => matches!(before, Neighbor::None | Neighbor::Newline),
            Self::LineEnd => matches!(after, Neighbor::None | Neighbor::Newline),
            Self::TextStart => before == Neighbor::None,
            Self::TextEnd => after == Neighbor::None,
            Self::WordBoundary => is_word(before) != is_word(after),
            Self::NoWordBoundary => is_word(before) == is_word(after),
        }
    }

    /// The same assertion for a search that reads backwards.
    pub(super) fn mirrored(self) -> Self {
        match self {
            Self::LineStart => Self::LineEnd,
            Self::LineEnd => Self::LineStart,
            Self::TextStart => Self::TextEnd,
            Self::TextEnd => Self::TextStart,
            both @ (Self::WordBoundary | Self::NoWordBoundary) => both,
        }
    }
}

/// The character at one side of a place, as far as assertions ask about it.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Neighbor {
    /// The text ends here.
    None,
    Newline,
    Word,
    Other,
}

impl Neighbor {
    pub(super) const ALL: [Self; 4] = [Self::None, Self::Newline, Self::Word, Self::Other];

    pub(super) fn of(c: Option<char>) -> Self {
        match c {
            None => Self::None,
            Some('\n') => Self::Newline,
            Some(c) if c.is_ascii_alphanumeric() || c == '_' => Self::Word,
            Some(_) => Self::Other,
        }
    }

    /// The neighbor before a place. A byte beyond ASCII is nothing that assertions ask for, like its character.
    pub(super) fn before(text: &[u8], at: usize) -> Self {
        Self::of(text[..at].last().copied().map(char::from))
    }

    pub(super) fn after(text: &[u8], at: usize) -> Self {
        Self::of(text.get(at).copied().map(char::from))
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

/// How often something repeats, and where the operator ends.
struct Counts {
    least: usize,
    most: Option<usize>,
    end: usize,
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

    /// The next character; U+FFFD at the end.
    pub(super) fn char(&mut self) -> Result<char, SyntaxError<'p>> {
        let (c, width) = unicode::decode(self.rest());
        if c.is_none() && width > 0 {
            return Err(self.error("invalid UTF-8", self.at, self.pattern.len()));
        }
        self.at += width;
        Ok(c.unwrap_or(char::REPLACEMENT_CHARACTER))
    }

    /// Whether this part of the pattern is a valid text.
    pub(super) fn valid(&self, from: usize, to: usize) -> Result<(), SyntaxError<'p>> {
        match std::str::from_utf8(&self.pattern[from..to]) {
            Ok(_) => Ok(()),
            Err(error) => Err(self.error("invalid UTF-8", from + error.valid_up_to(), to)),
        }
    }

    fn literal(&self, code: u32) -> Node {
        Node::Class(Class::single(code, self.flags.folds))
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
        // The start of the repetition right before this place.
        let mut repetition: Option<usize> = None;
        loop {
            let start = self.at;
            if let Some(counts) = self.counts() {
                self.repeat(&mut nodes, counts, repetition)?;
                repetition = Some(start);
                continue;
            }
            repetition = None;
            match self.peek() {
                None | Some(b'|' | b')') => break,
                Some(b'(') => nodes.extend(self.group()?),
                Some(b'\\') if self.eat(b"\\Q") => self.quoted(&mut nodes)?,
                Some(_) => nodes.push(self.atom()?),
            }
        }
        Ok(match nodes.len() {
            0 => Node::Empty,
            1 => nodes.remove(0),
            _ => Node::Concat(nodes),
        })
    }

    /// `\Q…\E`: every character stands for itself.
    fn quoted(&mut self, nodes: &mut Vec<Node>) -> Result<(), SyntaxError<'p>> {
        let length = bytes::find(self.rest(), b"\\E").unwrap_or(self.rest().len());
        self.valid(self.at, self.at + length)?;
        while self.at < self.pattern.len() && !self.eat(b"\\E") {
            let c = self.char()?;
            nodes.push(self.literal(c.into()));
        }
        Ok(())
    }

    fn atom(&mut self) -> Result<Node, SyntaxError<'p>> {
        let flags = self.flags;
        match self.peek() {
            Some(b'[') => self.class(),
            Some(b'\\') => self.escape(),
            _ => Ok(match self.char()? {
                '.' => Node::Class(Class::dot(flags.dot_all)),
                '^' if flags.multi_line => Node::Assert(Assertion::LineStart),
                '^' => Node::Assert(Assertion::TextStart),
                '$' if flags.multi_line => Node::Assert(Assertion::LineEnd),
                '$' => Node::Assert(Assertion::TextEnd),
                c => self.literal(c.into()),
            }),
        }
    }

    /// `*`, `+`, `?`, `{2}`, `{2,}`, `{2,3}` here. Any other brace is text.
    fn counts(&self) -> Option<Counts> {
        let simple = |least, most| {
            Some(Counts {
                least,
                most,
                end: self.at + 1,
            })
        };
        let body = match self.rest() {
            [b'*', ..] => return simple(0, None),
            [b'+', ..] => return simple(1, None),
            [b'?', ..] => return simple(0, Some(1)),
            [b'{', body @ ..] => body,
            _ => return None,
        };
        let close = body.iter().position(|&byte| byte == b'}')?;
        let text = std::str::from_utf8(&body[..close]).ok()?;
        let number = |text: &str| -> Option<usize> {
            let is_plain = text == "0" || !text.starts_with('0');
            let is_digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
            (is_plain && is_digits).then(|| text.parse().unwrap_or(usize::MAX))
        };
        let (least, most) = match text.split_once(',') {
            None => (number(text)?, Some(number(text)?)),
            Some((least, "")) => (number(least)?, None),
            Some((least, most)) => (number(least)?, Some(number(most)?)),
        };
        let end = self.at + close + 2;
        Some(Counts { least, most, end })
    }

    /// Repeats the last node; `before` is where a repetition right before this one began.
    fn repeat(
        &mut self,
        nodes: &mut Vec<Node>,
        counts: Counts,
        before: Option<usize>,
    ) -> Result<(), SyntaxError<'p>> {
        const INVALID: &str = "invalid repeat count";
        let start = self.at;
        let Counts { least, most, end } = counts;
        self.at = end;
        if least > MAX_REPEAT || most.is_some_and(|most| most > MAX_REPEAT || most < least) {
            return Err(self.error(INVALID, start, end));
        }
        let swaps = self.eat(b"?");
        if let Some(before) = before {
            return Err(self.error("invalid nested repetition operator", before, self.at));
        }
        let Some(node) = nodes.pop() else {
            let reason = "missing argument to repetition operator";
            return Err(self.error(reason, start, self.at));
        };
        let node = Node::Repeat(Rc::new(Repeat {
            node,
            least,
            most,
            greedy: swaps == self.flags.ungreedy,
        }));
        if node.repetitions() > MAX_REPEAT {
            return Err(self.error(INVALID, start, self.at));
        }
        nodes.push(node);
        Ok(())
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
            self.valid(start, self.pattern.len())?;
            return Err(self.error(INVALID, start, self.pattern.len()));
        };
        let end = self.at + close + 1;
        self.valid(self.at + open, end - 1)?;
        let name = String::from_utf8_lossy(&self.rest()[open..close]).into_owned();
        let is_word = |c: char| c == '_' || c.is_ascii_alphanumeric();
        if name.is_empty() || !name.chars().all(is_word) {
            return Err(self.error(INVALID, start, end));
        }
        self.at = end;
        Ok(name)
    }

    /// After `(?`: true when the flags hold for the rest of the group around.
    fn flags(&mut self, start: usize) -> Result<bool, SyntaxError<'p>> {
        let mut flags = self.flags;
        let mut sets = true;
        let mut seen = false;
        while self.peek().is_some() {
            match self.char()? {
                'i' => flags.folds = sets,
                'm' => flags.multi_line = sets,
                's' => flags.dot_all = sets,
                'U' => flags.ungreedy = sets,
                '-' if sets => {
                    sets = false;
                    seen = false;
                    continue;
                }
                end @ (':' | ')') if sets || seen => {
                    self.flags = flags;
                    return Ok(end == ')');
                }
                _ => break,
            }
            seen = true;
        }
        Err(self.error("invalid or unsupported Perl syntax", start, self.at))
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
        if self.rest().starts_with(b"\\C") {
            return Err(self.error("invalid escape sequence", self.at, self.at + 2));
        }
        if let Some(class) = self.class_escape()? {
            return Ok(Node::Class(class));
        }
        let code = self.escaped_char()?;
        Ok(self.literal(code))
    }
}

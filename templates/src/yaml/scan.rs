//! Cuts a document into tokens as libyaml does, down to which mistake is found first and on which line.

use std::collections::{HashMap, VecDeque};

use zeroize::Zeroizing;

use crate::error::Failure;

mod names;
mod scalars;

/// A token, with its text where it has one.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum Token {
    StreamEnd,
    Version(u32, u32),
    TagDirective(String, String),
    DocumentStart,
    DocumentEnd,
    SequenceStart,
    MappingStart,
    BlockEnd,
    FlowSequenceStart,
    FlowSequenceEnd,
    FlowMappingStart,
    FlowMappingEnd,
    BlockEntry,
    FlowEntry,
    Key,
    Value,
    Alias(String),
    Anchor(String),
    /// Handle and suffix.
    Tag(String, String),
    Scalar {
        text: Zeroizing<String>,
        is_plain: bool,
    },
}

/// A place, counted from zero.
#[derive(Clone, Copy, Default)]
pub(super) struct Mark {
    index: usize,
    pub(super) line: usize,
    column: usize,
}

#[derive(Clone, Copy, Default)]
struct SimpleKey {
    is_possible: bool,
    is_required: bool,
    token: usize,
    mark: Mark,
}

const MAX_DEPTH: usize = 10_000;
/// A key must end within so many characters, on its own line.
const LONGEST_KEY: usize = 1_024;

pub(super) struct Scanner {
    chars: Zeroizing<Vec<char>>,
    mark: Mark,
    tokens: VecDeque<(Token, Mark)>,
    /// Tokens that the parser has taken.
    taken: usize,
    is_over: bool,
    flow_level: usize,
    indent: isize,
    indents: Vec<isize>,
    is_key_allowed: bool,
    keys: Vec<SimpleKey>,
    keys_by_token: HashMap<usize, usize>,
}

type Scanned<T = ()> = Result<T, Failure>;

pub(super) fn is_break(c: char) -> bool {
    matches!(c, '\r' | '\n' | '\u{85}' | '\u{2028}' | '\u{2029}')
}

fn is_blank(c: char) -> bool {
    matches!(c, ' ' | '\t')
}

fn is_blank_or_end(c: char) -> bool {
    is_blank(c) || is_break(c) || c == '\0'
}

fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | '-')
}

impl Scanner {
    pub(super) fn new(text: &str) -> Self {
        Self {
            chars: Zeroizing::new(text.chars().collect()),
            mark: Mark::default(),
            tokens: VecDeque::new(),
            // The original counts the start of the stream.
            taken: 1,
            is_over: false,
            flow_level: 0,
            indent: -1,
            indents: Vec::new(),
            is_key_allowed: true,
            keys: vec![SimpleKey::default()],
            keys_by_token: HashMap::new(),
        }
    }

    /// The token at hand and where it begins.
    pub(super) fn peek(&mut self) -> Scanned<(Token, Mark)> {
        loop {
            let pending = self.keys_by_token.get(&self.taken).copied();
            let needs_more = match pending {
                Some(key) if !self.tokens.is_empty() => self.is_key_valid(key)?,
                _ => false,
            };
            if let Some(first) = self.tokens.front()
                && !needs_more
            {
                return Ok(first.clone());
            }
            if self.is_over {
                return Ok((Token::StreamEnd, self.mark));
            }
            self.fetch()?;
        }
    }

    pub(super) fn skip(&mut self) {
        if self.tokens.pop_front().is_some() {
            self.taken += 1;
        }
    }

    /// The end of the text is a NUL, which no text contains.
    fn at(&self, ahead: usize) -> char {
        let index = self.mark.index + ahead;
        self.chars.get(index).copied().unwrap_or('\0')
    }

    fn pass(&mut self) {
        self.mark.index += 1;
        self.mark.column += 1;
    }

    /// Passes a line break, and returns the character that it counts as.
    fn pass_line(&mut self) -> char {
        let c = self.at(0);
        let is_pair = c == '\r' && self.at(1) == '\n';
        self.mark.index += if is_pair { 2 } else { 1 };
        self.mark.column = 0;
        self.mark.line += 1;
        match c {
            '\u{2028}' | '\u{2029}' => c,
            _ => '\n',
        }
    }

    fn take(&mut self, out: &mut String) {
        out.push(self.at(0));
        self.pass();
    }

    fn error(&self, problem: &str) -> Failure {
        match self.mark.line {
            0 => Failure::new(format!("yaml: {problem}")),
            line => Failure::new(format!("yaml: line {}: {problem}", line + 1)),
        }
    }

    fn push(&mut self, token: Token, mark: Mark) {
        self.tokens.push_back((token, mark));
    }

    /// Passes so many characters that are a token.
    fn pass_as(&mut self, token: Token, count: usize) {
        let mark = self.mark;
        (0..count).for_each(|_| self.pass());
        self.push(token, mark);
    }

    fn is_marker(&self, c: char) -> bool {
        self.mark.column == 0
            && (0..3).all(|ahead| self.at(ahead) == c)
            && is_blank_or_end(self.at(3))
    }

    fn fetch(&mut self) -> Scanned {
        self.pass_to_token();
        self.unroll(self.mark.column as isize);
        let (c, next) = (self.at(0), self.at(1));
        let in_flow = self.flow_level > 0;
        match c {
            '\0' => self.stream_end(),
            '%' if self.mark.column == 0 => {
                self.leave_document()?;
                self.directive()
            }
            '-' if self.is_marker('-') => {
                self.leave_document()?;
                self.pass_as(Token::DocumentStart, 3);
                Ok(())
            }
            '.' if self.is_marker('.') => {
                self.leave_document()?;
                self.pass_as(Token::DocumentEnd, 3);
                Ok(())
            }
            '[' => self.open(Token::FlowSequenceStart),
            '{' => self.open(Token::FlowMappingStart),
            ']' => self.close(Token::FlowSequenceEnd),
            '}' => self.close(Token::FlowMappingEnd),
            ',' => {
                self.drop_key()?;
                self.is_key_allowed = true;
                self.pass_as(Token::FlowEntry, 1);
                Ok(())
            }
            '-' if is_blank_or_end(next) => self.block_entry(),
            '?' if in_flow || is_blank_or_end(next) => self.key(),
            ':' if in_flow || is_blank_or_end(next) => self.value(),
            '*' | '&' => {
                self.save_key()?;
                self.is_key_allowed = false;
                self.name(c == '*')
            }
            '!' => {
                self.save_key()?;
                self.is_key_allowed = false;
                self.tag()
            }
            '|' | '>' if !in_flow => {
                self.drop_key()?;
                self.is_key_allowed = true;
                self.block_scalar(c == '|')
            }
            '\'' | '"' => {
                self.save_key()?;
                self.is_key_allowed = false;
                self.quoted(c)
            }
            _ => {
                let is_special = "?:,[]{}#&*!|>'\"%@`-".contains(c) || is_blank_or_end(c);
                let is_plain = !is_special
                    || c == '-' && !is_blank(next)
                    || !in_flow && matches!(c, '?' | ':') && !is_blank_or_end(next);
                if !is_plain {
                    return Err(self.error("found character that cannot start any token"));
                }
                self.save_key()?;
                self.is_key_allowed = false;
                self.plain()
            }
        }
    }

    fn pass_to_token(&mut self) {
        loop {
            if self.mark.index == 0 && self.at(0) == '\u{feff}' {
                self.pass();
            }
            while self.at(0) == ' '
                || self.at(0) == '\t' && (self.flow_level > 0 || !self.is_key_allowed)
            {
                self.pass();
            }
            if self.at(0) == '#' {
                self.pass_comment();
            }
            if !is_break(self.at(0)) {
                return;
            }
            self.pass_line();
            if self.flow_level == 0 {
                self.is_key_allowed = true;
            }
        }
    }

    fn pass_comment(&mut self) {
        while !is_break(self.at(0)) && self.at(0) != '\0' {
            self.pass();
        }
    }

    fn is_key_valid(&mut self, index: usize) -> Scanned<bool> {
        let key = self.keys[index];
        if !key.is_possible {
            return Ok(false);
        }
        let is_stale =
            key.mark.line < self.mark.line || key.mark.index + LONGEST_KEY < self.mark.index;
        if !is_stale {
            return Ok(true);
        }
        if key.is_required {
            return Err(self.error("could not find expected ':'"));
        }
        self.keys[index].is_possible = false;
        Ok(false)
    }

    fn last_key(&self) -> usize {
        self.keys.len() - 1
    }

    fn save_key(&mut self) -> Scanned {
        if !self.is_key_allowed {
            return Ok(());
        }
        let key = SimpleKey {
            is_possible: true,
            is_required: self.flow_level == 0 && self.indent == self.mark.column as isize,
            token: self.taken + self.tokens.len(),
            mark: self.mark,
        };
        self.drop_key()?;
        let last = self.last_key();
        self.keys[last] = key;
        self.keys_by_token.insert(key.token, last);
        Ok(())
    }

    fn drop_key(&mut self) -> Scanned {
        let last = self.last_key();
        let key = self.keys[last];
        if !key.is_possible {
            return Ok(());
        }
        if key.is_required {
            return Err(self.error("could not find expected ':'"));
        }
        self.keys[last].is_possible = false;
        self.keys_by_token.remove(&key.token);
        Ok(())
    }

    /// Opens a block collection at a column; `before` is the token that it goes in front of.
    fn roll(&mut self, column: usize, before: Option<usize>, token: Token, mark: Mark) -> Scanned {
        if self.flow_level > 0 || self.indent >= column as isize {
            return Ok(());
        }
        self.indents.push(self.indent);
        self.indent = column as isize;
        if self.indents.len() > MAX_DEPTH {
            let words = format!("yaml: exceeded max depth of {MAX_DEPTH}");
            return Err(Failure::limit(words));
        }
        match before {
            Some(before) => self.insert(before, token, mark),
            None => self.push(token, mark),
        }
        Ok(())
    }

    /// Puts a token before another one. If that one was taken already, the new one goes to the end, as in the original.
    fn insert(&mut self, before: usize, token: Token, mark: Mark) {
        match before.checked_sub(self.taken) {
            Some(place) => self.tokens.insert(place, (token, mark)),
            None => self.tokens.push_back((token, mark)),
        }
    }

    fn unroll(&mut self, column: isize) {
        while self.flow_level == 0 && self.indent > column {
            self.push(Token::BlockEnd, self.mark);
            self.indent = self.indents.pop().unwrap_or(-1);
        }
    }

    fn leave_document(&mut self) -> Scanned {
        self.unroll(-1);
        self.drop_key()?;
        self.is_key_allowed = false;
        Ok(())
    }

    fn stream_end(&mut self) -> Scanned {
        if self.mark.column != 0 {
            self.mark.column = 0;
            self.mark.line += 1;
        }
        self.leave_document()?;
        self.push(Token::StreamEnd, self.mark);
        self.is_over = true;
        Ok(())
    }

    fn open(&mut self, token: Token) -> Scanned {
        self.save_key()?;
        // Numbered like the bracket itself, so that closing an empty collection takes the bracket's key with it.
        self.keys.push(SimpleKey {
            token: self.taken + self.tokens.len(),
            ..SimpleKey::default()
        });
        self.flow_level += 1;
        if self.flow_level > MAX_DEPTH {
            let words = format!("yaml: exceeded max depth of {MAX_DEPTH}");
            return Err(Failure::limit(words));
        }
        self.is_key_allowed = true;
        self.pass_as(token, 1);
        Ok(())
    }

    fn close(&mut self, token: Token) -> Scanned {
        self.drop_key()?;
        if self.flow_level > 0 {
            self.flow_level -= 1;
            if let Some(key) = self.keys.pop() {
                self.keys_by_token.remove(&key.token);
            }
        }
        self.is_key_allowed = false;
        self.pass_as(token, 1);
        Ok(())
    }

    fn block_entry(&mut self) -> Scanned {
        if self.flow_level == 0 {
            if !self.is_key_allowed {
                let problem = "block sequence entries are not allowed in this context";
                return Err(self.error(problem));
            }
            self.roll(self.mark.column, None, Token::SequenceStart, self.mark)?;
        }
        self.drop_key()?;
        self.is_key_allowed = true;
        self.pass_as(Token::BlockEntry, 1);
        Ok(())
    }

    fn key(&mut self) -> Scanned {
        if self.flow_level == 0 {
            if !self.is_key_allowed {
                return Err(self.error("mapping keys are not allowed in this context"));
            }
            self.roll(self.mark.column, None, Token::MappingStart, self.mark)?;
        }
        self.drop_key()?;
        self.is_key_allowed = self.flow_level == 0;
        self.pass_as(Token::Key, 1);
        Ok(())
    }

    fn value(&mut self) -> Scanned {
        let last = self.last_key();
        if self.is_key_valid(last)? {
            let key = self.keys[last];
            self.insert(key.token, Token::Key, key.mark);
            self.roll(
                key.mark.column,
                Some(key.token),
                Token::MappingStart,
                key.mark,
            )?;
            self.keys[last].is_possible = false;
            self.keys_by_token.remove(&key.token);
            self.is_key_allowed = false;
        } else {
            if self.flow_level == 0 {
                if !self.is_key_allowed {
                    return Err(self.error("mapping values are not allowed in this context"));
                }
                self.roll(self.mark.column, None, Token::MappingStart, self.mark)?;
            }
            self.is_key_allowed = self.flow_level == 0;
        }
        self.pass_as(Token::Value, 1);
        Ok(())
    }

    fn run(&mut self, is_part: impl Fn(char) -> bool) -> String {
        let mut word = String::new();
        while is_part(self.at(0)) {
            self.take(&mut word);
        }
        word
    }
}

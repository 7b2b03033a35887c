//! Cuts a template into tokens. Go's lexer decides which characters may touch which, and
//! whole files hang on that, so its rules are kept to the letter.

use crate::bytes::find;
use crate::error::Position;
use crate::unicode;

/// The kind of a token.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    Error,
    Bool,
    Char,
    CharConstant,
    Complex,
    Assign,
    Declare,
    Eof,
    Field,
    Identifier,
    LeftDelimiter,
    LeftParen,
    Number,
    Pipe,
    RawString,
    RightDelimiter,
    RightParen,
    Space,
    String,
    Text,
    Variable,
    Dot,
    Keyword(Keyword),
}

/// Words with a meaning of their own.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Keyword {
    Block,
    Break,
    Continue,
    Define,
    Else,
    End,
    If,
    Nil,
    Range,
    Template,
    With,
}

impl Keyword {
    fn of(word: &[u8]) -> Option<Self> {
        Some(match word {
            b"block" => Self::Block,
            b"break" => Self::Break,
            b"continue" => Self::Continue,
            b"define" => Self::Define,
            b"else" => Self::Else,
            b"end" => Self::End,
            b"if" => Self::If,
            b"nil" => Self::Nil,
            b"range" => Self::Range,
            b"template" => Self::Template,
            b"with" => Self::With,
            _ => return None,
        })
    }
}

/// A token; the lexer knows why there is none.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Token<'t> {
    pub(crate) kind: Kind,
    pub(crate) offset: usize,
    pub(crate) line: usize,
    pub(crate) text: &'t [u8],
}

/// Delimiters of one template.
pub(crate) struct Delimiters<'t> {
    pub(crate) left: &'t [u8],
    pub(crate) right: &'t [u8],
}

pub(crate) struct Lexer<'t> {
    /// The whole template, also after a mistake.
    whole: &'t [u8],
    input: &'t [u8],
    delimiters: Delimiters<'t>,
    at: usize,
    start: usize,
    parens: usize,
    /// The line at `start`.
    line: usize,
    inside_action: bool,
    /// Why the text ends here, once there was a [`Kind::Error`].
    message: String,
}

impl Lexer<'_> {
    pub(crate) fn message(&self) -> &str {
        &self.message
    }

    /// The line of a place, and the bytes before it in that line.
    pub(crate) fn position(&self, offset: usize) -> Position {
        Position::of(offset, self.whole)
    }
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n')
}

fn is_word(c: char) -> bool {
    c == '_' || unicode::is_letter(c) || unicode::is_digit(c)
}

fn newlines(text: &[u8]) -> usize {
    text.iter().filter(|&&byte| byte == b'\n').count()
}

fn has_left_trim(text: &[u8]) -> bool {
    matches!(text, [b'-', space, ..] if is_space(*space))
}

impl<'t> Lexer<'t> {
    pub(crate) fn new(input: &'t [u8], delimiters: Delimiters<'t>) -> Self {
        Self {
            whole: input,
            input,
            delimiters,
            at: 0,
            start: 0,
            parens: 0,
            line: 1,
            inside_action: false,
            message: String::new(),
        }
    }

    pub(crate) fn next(&mut self) -> Token<'t> {
        if self.inside_action {
            self.action()
        } else {
            self.text()
        }
    }

    fn rest(&self) -> &'t [u8] {
        &self.input[self.at..]
    }

    fn peek(&self) -> Option<u8> {
        self.rest().first().copied()
    }

    fn token(&mut self, kind: Kind) -> Token<'t> {
        let text = &self.input[self.start..self.at];
        let token = Token {
            kind,
            offset: self.start,
            line: self.line,
            text,
        };
        self.skip();
        token
    }

    /// Forgets what was read since the last token.
    fn skip(&mut self) {
        self.line += newlines(&self.input[self.start..self.at]);
        self.start = self.at;
    }

    fn error(&mut self, message: impl Into<String>) -> Token<'t> {
        self.error_at(self.start, message)
    }

    fn error_at(&mut self, offset: usize, message: impl Into<String>) -> Token<'t> {
        let token = Token {
            kind: Kind::Error,
            offset,
            line: self.line,
            text: b"",
        };
        self.message = message.into();
        self.input = b"";
        self.at = 0;
        self.start = 0;
        token
    }

    fn text(&mut self) -> Token<'t> {
        loop {
            let Some(length) = find(self.rest(), self.delimiters.left) else {
                self.at = self.input.len();
                let kind = if self.at > self.start {
                    Kind::Text
                } else {
                    Kind::Eof
                };
                return self.token(kind);
            };
            let delimiter = self.at + length;
            let after = &self.input[delimiter + self.delimiters.left.len()..];
            let mut end = delimiter;
            if has_left_trim(after) {
                while end > self.start && is_space(self.input[end - 1]) {
                    end -= 1;
                }
            }
            self.at = end;
            let found = (end > self.start).then(|| self.token(Kind::Text));
            self.at = delimiter;
            self.skip();
            if let Some(token) = found {
                return token;
            }
            if let Some(token) = self.left_delimiter() {
                return token;
            }
        }
    }

    /// Enters an action, or passes over a comment and returns nothing.
    fn left_delimiter(&mut self) -> Option<Token<'t>> {
        self.at += self.delimiters.left.len();
        let marker = if has_left_trim(self.rest()) { 2 } else { 0 };
        if self.input[self.at + marker..].starts_with(b"/*") {
            self.at += marker;
            self.skip();
            return self.comment();
        }
        let token = self.token(Kind::LeftDelimiter);
        self.at += marker;
        self.skip();
        self.inside_action = true;
        self.parens = 0;
        Some(token)
    }

    fn comment(&mut self) -> Option<Token<'t>> {
        let Some(length) = find(&self.rest()[2..], b"*/") else {
            return Some(self.error("unclosed comment"));
        };
        self.at += 2 + length + 2;
        let Some(trim) = self.right_delimiter_here() else {
            return Some(self.error("comment ends before closing delimiter"));
        };
        self.pass_right_delimiter(trim);
        self.skip();
        None
    }

    /// Whether a right delimiter starts here, and whether it trims.
    fn right_delimiter_here(&self) -> Option<bool> {
        let rest = self.rest();
        if let [space, b'-', after @ ..] = rest
            && is_space(*space)
            && after.starts_with(self.delimiters.right)
        {
            return Some(true);
        }
        rest.starts_with(self.delimiters.right).then_some(false)
    }

    fn pass_right_delimiter(&mut self, trim: bool) {
        self.at += if trim { 2 } else { 0 } + self.delimiters.right.len();
        if trim {
            self.pass_spaces();
        }
    }

    fn pass_spaces(&mut self) {
        while self.peek().is_some_and(is_space) {
            self.at += 1;
        }
    }

    fn right_delimiter(&mut self, trim: bool) -> Token<'t> {
        if trim {
            self.at += 2;
            self.skip();
        }
        self.at += self.delimiters.right.len();
        let token = self.token(Kind::RightDelimiter);
        if trim {
            self.pass_spaces();
            self.skip();
        }
        self.inside_action = false;
        token
    }

    fn action(&mut self) -> Token<'t> {
        if let Some(trim) = self.right_delimiter_here() {
            if self.parens == 0 {
                return self.right_delimiter(trim);
            }
            return self.error("unclosed left paren");
        }
        let (c, width) = unicode::decode(self.rest());
        if width == 0 {
            return self.error("unclosed action");
        }
        let c = c.unwrap_or(char::REPLACEMENT_CHARACTER);
        self.at += width;
        match c {
            ' ' | '\t' | '\r' | '\n' => self.spaces(),
            '=' => self.token(Kind::Assign),
            ':' if self.peek() == Some(b'=') => {
                self.at += 1;
                self.token(Kind::Declare)
            }
            ':' => self.error("expected :="),
            '|' => self.token(Kind::Pipe),
            '"' => self.quoted(b'"', Kind::String, "unterminated quoted string"),
            '\'' => self.quoted(b'\'', Kind::CharConstant, "unterminated character constant"),
            '`' => self.raw_string(),
            '$' => self.field_or_variable(Kind::Variable),
            '.' if self.peek().is_some_and(|next| !next.is_ascii_digit()) => {
                self.field_or_variable(Kind::Field)
            }
            '.' | '+' | '-' | '0'..='9' => {
                self.at -= 1;
                self.number()
            }
            '(' => {
                self.parens += 1;
                self.token(Kind::LeftParen)
            }
            ')' if self.parens == 0 => self.error("unexpected right paren"),
            ')' => {
                self.parens -= 1;
                self.token(Kind::RightParen)
            }
            _ if is_word(c) => self.identifier(),
            ' '..='~' => self.token(Kind::Char),
            _ => self.error(format!(
                "unrecognized character in action: {}",
                code_point(c)
            )),
        }
    }

    fn spaces(&mut self) -> Token<'t> {
        self.pass_spaces();
        // The last blank may belong to a trimming right delimiter.
        self.at -= 1;
        if self.right_delimiter_here() == Some(true) {
            if self.at == self.start {
                return self.right_delimiter(true);
            }
        } else {
            self.at += 1;
        }
        self.token(Kind::Space)
    }

    fn quoted(&mut self, quote: u8, kind: Kind, unterminated: &str) -> Token<'t> {
        loop {
            let byte = self.peek();
            self.at += 1;
            match byte {
                Some(b'\\') if !matches!(self.peek(), None | Some(b'\n')) => self.at += 1,
                None | Some(b'\\' | b'\n') => return self.error(unterminated),
                Some(byte) if byte == quote => return self.token(kind),
                Some(_) => {}
            }
        }
    }

    fn raw_string(&mut self) -> Token<'t> {
        match find(self.rest(), b"`") {
            Some(length) => {
                self.at += length + 1;
                self.token(Kind::RawString)
            }
            None => self.error("unterminated raw quoted string"),
        }
    }

    /// Passes letters, digits and underscores; returns the character after them.
    fn pass_word(&mut self) -> Option<char> {
        loop {
            let ascii = self.rest().iter();
            self.at += ascii
                .take_while(|byte| byte.is_ascii_alphanumeric() || **byte == b'_')
                .count();
            let (c, width) = unicode::decode(self.rest());
            if width == 0 {
                return None;
            }
            let c = c.unwrap_or(char::REPLACEMENT_CHARACTER);
            if !is_word(c) {
                return Some(c);
            }
            self.at += width;
        }
    }

    fn at_terminator(&self) -> bool {
        match self.peek() {
            None | Some(b' ' | b'\t' | b'\r' | b'\n' | b'.' | b',' | b'|' | b':' | b')' | b'(') => {
                true
            }
            Some(_) => self.rest().starts_with(self.delimiters.right),
        }
    }

    fn field_or_variable(&mut self, kind: Kind) -> Token<'t> {
        if self.at_terminator() {
            return self.token(if kind == Kind::Field { Kind::Dot } else { kind });
        }
        match self.pass_word() {
            Some(c) if !self.at_terminator() => self.bad_character(c),
            _ => self.token(kind),
        }
    }

    fn bad_character(&mut self, c: char) -> Token<'t> {
        self.error_at(self.at, format!("bad character {}", code_point(c)))
    }

    fn identifier(&mut self) -> Token<'t> {
        if let Some(c) = self.pass_word()
            && !self.at_terminator()
        {
            return self.bad_character(c);
        }
        let word = &self.input[self.start..self.at];
        let kind = match word {
            b"true" | b"false" => Kind::Bool,
            _ => Keyword::of(word).map_or(Kind::Identifier, Kind::Keyword),
        };
        self.token(kind)
    }

    fn number(&mut self) -> Token<'t> {
        let mut kind = Kind::Number;
        let mut is_good = self.scan_number();
        if is_good && matches!(self.peek(), Some(b'+' | b'-')) {
            kind = Kind::Complex;
            is_good = self.scan_number() && self.input[self.at - 1] == b'i';
        }
        if is_good {
            return self.token(kind);
        }
        let text = crate::quote::quoted(&self.input[self.start..self.at]);
        self.error(format!("bad number syntax: {text}"))
    }

    fn accept(&mut self, valid: &[u8]) -> bool {
        let accepted = self.peek().is_some_and(|byte| valid.contains(&byte));
        self.at += usize::from(accepted);
        accepted
    }

    fn scan_number(&mut self) -> bool {
        const DECIMAL: &[u8] = b"0123456789_";
        const HEX: &[u8] = b"0123456789abcdefABCDEF_";
        let mut digits = DECIMAL;
        self.accept(b"+-");
        if self.accept(b"0") {
            if self.accept(b"xX") {
                digits = HEX;
            } else if self.accept(b"oO") {
                digits = b"01234567_";
            } else if self.accept(b"bB") {
                digits = b"01_";
            }
        }
        while self.accept(digits) {}
        if self.accept(b".") {
            while self.accept(digits) {}
        }
        if digits == DECIMAL && self.accept(b"eE") || digits == HEX && self.accept(b"pP") {
            self.accept(b"+-");
            while self.accept(DECIMAL) {}
        }
        self.accept(b"i");
        let (c, width) = unicode::decode(self.rest());
        if width > 0 && is_word(c.unwrap_or(char::REPLACEMENT_CHARACTER)) {
            self.at += width;
            return false;
        }
        true
    }
}

/// `%#U`.
fn code_point(c: char) -> String {
    let code = u32::from(c);
    if unicode::is_print(c) {
        format!("U+{code:04X} '{c}'")
    } else {
        format!("U+{code:04X}")
    }
}

//! Characters into tokens.

use super::string;
use crate::tree::{SyntaxError, is_padded};

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Token {
    Identifier(String),
    String(String),
    Integer(i64),
    Float(f64),
    OpenBrace,
    CloseBrace,
    OpenBracket,
    CloseBracket,
    Comma,
    Equals,
    End,
}

impl Token {
    pub(super) fn name(&self) -> String {
        match self {
            Self::Identifier(word) => format!("`{word}`"),
            Self::String(_) => "a string".to_owned(),
            Self::Integer(_) | Self::Float(_) => "a number".to_owned(),
            Self::OpenBrace => "`{`".to_owned(),
            Self::CloseBrace => "`}`".to_owned(),
            Self::OpenBracket => "`[`".to_owned(),
            Self::CloseBracket => "`]`".to_owned(),
            Self::Comma => "`,`".to_owned(),
            Self::Equals => "`=`".to_owned(),
            Self::End => "the end of the file".to_owned(),
        }
    }
}

pub(super) struct Scanner<'a> {
    text: &'a str,
    position: usize,
    /// The start of the last token.
    token_start: usize,
    /// How many line ends there are before this place.
    lines: usize,
    counted: usize,
}

impl<'a> Scanner<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self {
            text,
            position: 0,
            token_start: 0,
            lines: 0,
            counted: 0,
        }
    }

    pub(super) fn next(&mut self) -> Result<Token, SyntaxError> {
        self.skip_blanks()?;
        self.token_start = self.position;
        let Some(first) = self.rest().chars().next() else {
            return Ok(Token::End);
        };
        match first {
            '{' => Ok(self.symbol(Token::OpenBrace)),
            '}' => Ok(self.symbol(Token::CloseBrace)),
            '[' => Ok(self.symbol(Token::OpenBracket)),
            ']' => Ok(self.symbol(Token::CloseBracket)),
            ',' => Ok(self.symbol(Token::Comma)),
            '=' => Ok(self.symbol(Token::Equals)),
            '"' => self.string(string::quoted),
            '<' => self.string(string::heredoc),
            c if c.is_ascii_digit() || c == '-' || c == '.' => self.number(),
            c if c.is_alphabetic() || c == '_' => Ok(self.identifier()),
            c => Err(self.error(&format!("unexpected character {c:?}"))),
        }
    }

    /// The line of the last token, counted from 1.
    pub(super) fn line(&mut self) -> usize {
        let passed = &self.text.as_bytes()[self.counted..self.token_start];
        self.lines += passed.iter().filter(|byte| **byte == b'\n').count();
        self.counted = self.token_start;
        self.lines + 1
    }

    /// The place at which the last token begins, in bytes.
    pub(super) fn token_start(&self) -> usize {
        self.token_start
    }

    /// The last token as it is written.
    pub(super) fn token_text(&self) -> &'a str {
        &self.text[self.token_start..self.position]
    }

    /// An error at the last token.
    pub(super) fn error(&self, reason: &str) -> SyntaxError {
        self.error_at(self.token_start, reason)
    }

    /// An error at the token that begins there.
    pub(super) fn error_at(&self, start: usize, reason: &str) -> SyntaxError {
        SyntaxError::at(self.text, start, reason)
    }

    fn rest(&self) -> &'a str {
        &self.text[self.position..]
    }

    fn symbol(&mut self, token: Token) -> Token {
        self.position += 1;
        token
    }

    fn string(
        &mut self,
        read: fn(&str) -> Result<(String, usize), &'static str>,
    ) -> Result<Token, SyntaxError> {
        let (text, length) = read(self.rest()).map_err(|reason| self.error(reason))?;
        self.position += length;
        Ok(Token::String(text))
    }

    fn identifier(&mut self) -> Token {
        let rest = self.rest();
        let length = rest
            .find(|c: char| !(c.is_alphanumeric() || matches!(c, '_' | '-' | '.')))
            .unwrap_or(rest.len());
        self.position += length;
        Token::Identifier(rest[..length].to_owned())
    }

    fn number(&mut self) -> Result<Token, SyntaxError> {
        let rest = self.rest();
        let length = rest
            .find(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '-' | '+' | '.')))
            .unwrap_or(rest.len());
        let text = &rest[..length];
        let token = integer(text)
            .map(Token::Integer)
            .or_else(|| {
                text.parse()
                    .ok()
                    .filter(|n: &f64| n.is_finite() && !is_padded(text))
                    .map(Token::Float)
            })
            .ok_or_else(|| self.error(&format!("`{text}` is not a number")))?;
        self.position += length;
        Ok(token)
    }

    fn skip_blanks(&mut self) -> Result<(), SyntaxError> {
        loop {
            let rest = self.rest();
            let blanks = rest.len() - rest.trim_start().len();
            self.position += blanks;
            let rest = self.rest();
            if rest.starts_with('#') || rest.starts_with("//") {
                self.position += rest.find('\n').unwrap_or(rest.len());
            } else if let Some(comment) = rest.strip_prefix("/*") {
                self.token_start = self.position;
                let length = comment
                    .find("*/")
                    .ok_or_else(|| self.error("comment is not closed"))?;
                self.position += length + 4;
            } else {
                return Ok(());
            }
        }
    }
}

/// Decimal, `0x` hexadecimal, or octal with a leading zero.
fn integer(text: &str) -> Option<i64> {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => (-1, digits),
        None => (1, text),
    };
    if digits.starts_with(['+', '-']) {
        return None;
    }
    let magnitude = if let Some(hex) = digits.strip_prefix("0x").or(digits.strip_prefix("0X")) {
        i64::from_str_radix(hex, 16).ok()?
    } else if digits.len() > 1 && digits.starts_with('0') {
        i64::from_str_radix(&digits[1..], 8).ok()?
    } else {
        digits.parse().ok()?
    };
    Some(sign * magnitude)
}

//! One error type: where in the template, what went wrong, and no secret in either.

use std::fmt;

use planescape_vault::Text;

use crate::quote;

/// When a text failed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The text is no template.
    Parse,
    /// The template failed while it ran.
    Execute,
    /// A limit was reached, in either phase.
    Limit,
}

/// A template that cannot be rendered.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{text}")]
pub struct Error {
    kind: ErrorKind,
    text: String,
    message: String,
    line: usize,
    column: Option<usize>,
}

impl Error {
    pub(crate) fn parse(line: usize, message: &str) -> Self {
        Self {
            kind: ErrorKind::Parse,
            text: format!("parse: template: :{line}: {message}"),
            message: message.to_owned(),
            line,
            column: None,
        }
    }

    pub(crate) fn execute(at: Position, body: &str, node: &str, message: String) -> Self {
        let Position { line, column } = at;
        let body = quote::quoted(body.as_bytes());
        Self {
            kind: ErrorKind::Execute,
            text: format!(
                "execute: template: :{line}:{column}: executing {body} at <{node}>: {message}"
            ),
            message,
            line,
            column: Some(column),
        }
    }

    /// The same error, at a column of its line.
    pub(crate) fn at(mut self, column: usize) -> Self {
        self.column = Some(column);
        self
    }

    /// The same error, with what to try.
    pub(crate) fn with_hint(mut self, hint: &str) -> Self {
        for words in [&mut self.text, &mut self.message] {
            *words = format!("{words}; {hint}");
        }
        self
    }

    /// The same error, with every one of these texts covered.
    pub(crate) fn without(mut self, secrets: &[Text]) -> Self {
        for secret in secrets {
            let secret = String::from_utf8_lossy(secret);
            if self.text.contains(&*secret) {
                self.text = self.text.replace(&*secret, "[redacted]");
                self.message = self.message.replace(&*secret, "[redacted]");
            }
        }
        self
    }

    pub(crate) fn into_limit(mut self) -> Self {
        self.kind = ErrorKind::Limit;
        self
    }

    /// When it failed.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// The error in words, without the place.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// Counted from 1.
    pub fn line(&self) -> usize {
        self.line
    }

    /// Bytes in its line before the failing word, or the last word that was read.
    pub fn column(&self) -> Option<usize> {
        self.column
    }
}

/// A place in a template: line from 1, column in bytes from 0.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Position {
    pub(crate) line: usize,
    pub(crate) column: usize,
}

impl Position {
    pub(crate) fn of(offset: usize, text: &[u8]) -> Self {
        let before = &text[..offset.min(text.len())];
        let line_start = before
            .iter()
            .rposition(|&byte| byte == b'\n')
            .map_or(0, |newline| newline + 1);
        Self {
            line: 1 + before.iter().filter(|&&byte| byte == b'\n').count(),
            column: before.len() - line_start,
        }
    }
}

/// Why a function refused, not yet tied to a place. Values stay apart from words, so that
/// they can be left out once secrets have been read.
#[derive(Clone, Default, Debug)]
pub(crate) struct Failure {
    pieces: Vec<Piece>,
    pub(crate) is_limit: bool,
}

#[derive(Clone)]
enum Piece {
    Words(String),
    Shown { value: Text, form: String },
}

impl fmt::Debug for Piece {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Words(words) => f.write_str(words),
            Self::Shown { .. } => f.write_str("…"),
        }
    }
}

impl Failure {
    pub(crate) fn new(words: impl Into<String>) -> Self {
        Self {
            pieces: vec![Piece::Words(words.into())],
            is_limit: false,
        }
    }

    pub(crate) fn limit(words: impl Into<String>) -> Self {
        Self {
            is_limit: true,
            ..Self::new(words)
        }
    }

    /// Whether it is for the room of a text or the work for it, and not for how deep something nests.
    pub(crate) fn is_of_room(&self) -> bool {
        let about = ["output is larger than", "units of work"];
        self.is_limit
            && self.pieces.iter().any(|piece| match piece {
                Piece::Words(words) => about.iter().any(|about| words.contains(about)),
                Piece::Shown { .. } => false,
            })
    }

    pub(crate) fn words(mut self, words: impl Into<String>) -> Self {
        self.pieces.push(Piece::Words(words.into()));
        self
    }

    /// Adds a value as Go's `%q` would.
    pub(crate) fn quoted(self, value: &[u8]) -> Self {
        let (value, dots) = shortened(value);
        let form = quote::quoted(value) + dots;
        self.shown(value, form)
    }

    /// Adds a value as it is.
    pub(crate) fn plain(self, value: &[u8]) -> Self {
        let (value, dots) = shortened(value);
        let form = String::from_utf8_lossy(value).into_owned() + dots;
        self.shown(value, form)
    }

    fn shown(mut self, value: &[u8], form: String) -> Self {
        let value = Text::from(value);
        self.pieces.push(Piece::Shown { value, form });
        self
    }

    /// Puts words in front.
    pub(crate) fn under(mut self, words: impl Into<String>) -> Self {
        self.pieces.insert(0, Piece::Words(words.into()));
        self
    }

    /// The whole message; `may_show` decides about each value.
    pub(crate) fn message(&self, may_show: impl Fn(&[u8]) -> bool) -> String {
        self.pieces
            .iter()
            .map(|piece| match piece {
                Piece::Words(words) => words.as_str(),
                Piece::Shown { value, form } if may_show(value) => form.as_str(),
                Piece::Shown { .. } => "[redacted]",
            })
            .collect()
    }
}

/// As much of a value as a message repeats: it would be held several times.
fn shortened(value: &[u8]) -> (&[u8], &'static str) {
    const LONGEST: usize = 1 << 16;
    match value.get(..LONGEST) {
        Some(start) if start.len() < value.len() => (start, "…"),
        _ => (value, ""),
    }
}

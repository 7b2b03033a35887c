//! A configuration file as it stands there: keys, labels and values, not yet understood.

use crate::{hcl, json};

/// One parsed file.
#[derive(Clone, Debug, PartialEq)]
pub struct Tree {
    pub(crate) root: Body,
}

impl Tree {
    /// Reads JSON where the first character that is no blank is `{`, else HCL version 1.
    ///
    /// # Errors
    /// The first place where the text breaks the grammar.
    pub fn parse(text: &str) -> Result<Self, SyntaxError> {
        let root = if text.trim_start().starts_with('{') {
            json::parse(text)?
        } else {
            hcl::parse(text)?
        };
        Ok(Self { root })
    }
}

/// A place where a text breaks its grammar.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, column {column}: {reason}")]
pub struct SyntaxError {
    /// Counted from 1.
    pub line: usize,
    /// Counted from 1, in characters.
    pub column: usize,
    /// The text that was found, and what was expected.
    pub reason: String,
}

/// The items between two braces, in order; the same key may come again.
pub(crate) type Body = Vec<Item>;

/// `key "label" … = value`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Item {
    pub(crate) key: String,
    pub(crate) labels: Vec<String>,
    pub(crate) value: Value,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    String(String),
    Integer(i64),
    Float(f64),
    Bool(bool),
    List(Vec<Self>),
    Body(Body),
    Null,
}

impl Value {
    /// The kind of value, for a message.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::String(_) => "a string",
            Self::Integer(_) | Self::Float(_) => "a number",
            Self::Bool(_) => "a boolean",
            Self::List(_) => "a list",
            Self::Body(_) => "a block",
            Self::Null => "null",
        }
    }
}

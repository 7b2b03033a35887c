//! A configuration file as it stands there: keys, labels and values, not yet understood.

use std::fmt;
use std::sync::Arc;

use crate::{hcl, json};

/// One parsed file.
#[derive(Clone, Debug, PartialEq)]
pub struct Tree {
    pub(crate) root: Body,
    /// Arguments that are said more than once; the last one counts.
    pub(crate) doubles: Vec<Double>,
}

impl Tree {
    /// Reads JSON if the first character that is not a blank is `{`, else HCL version 1.
    ///
    /// # Errors
    /// The first place where the text breaks the grammar.
    pub fn parse(text: &str) -> Result<Self, SyntaxError> {
        let root = if is_json(text) {
            json::parse(text)?
        } else {
            hcl::parse(text)?
        };
        Ok(Self {
            root,
            doubles: Vec::new(),
        })
    }

    /// The same, but HCL may say an argument more than once: the last one counts, and a warning names it.
    ///
    /// # Errors
    /// The first place where the text breaks the grammar otherwise.
    pub fn parse_with_doubles(text: &str) -> Result<Self, SyntaxError> {
        if is_json(text) {
            return Self::parse(text);
        }
        let (root, doubles) = hcl::parse_with_doubles(text)?;
        Ok(Self { root, doubles })
    }

    /// The same, with the name of its file for messages.
    #[must_use]
    pub fn named(mut self, name: &str) -> Self {
        let name: Arc<str> = name.into();
        name_all(&mut self.root, &name);
        for double in &mut self.doubles {
            double.place.file = Arc::clone(&name);
        }
        self
    }

    /// Whether a key stands at the top.
    #[must_use]
    pub fn has(&self, key: &str) -> bool {
        self.root.iter().any(|item| item.is(key))
    }

    /// The text of a key in a block at the top, even if the rest is not valid; of several the last.
    #[must_use]
    pub fn text(&self, block: &str, key: &str) -> Option<&str> {
        let blocks = self.root.iter().filter(|item| item.is(block));
        let mut items = blocks.rev().filter_map(|item| {
            let Value::Body(body) = &item.value else {
                return None;
            };
            body.iter().rfind(|item| item.is(key))
        });
        let Value::String(text) = &items.next()?.value else {
            return None;
        };
        Some(text)
    }
}

fn is_json(text: &str) -> bool {
    text.trim_start().starts_with('{')
}

/// An argument that was said before.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Double {
    pub(crate) place: Place,
    pub(crate) key: String,
}

/// A place where a text breaks its grammar.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, column {column}: {reason}")]
pub struct SyntaxError {
    /// Counted from 1.
    pub line: usize,
    /// Counted from 1, in characters.
    pub column: usize,
    /// The text that was found, and the one that was expected.
    pub reason: String,
}

impl SyntaxError {
    /// At a place of a text, in bytes; the text before it is read again to find the line.
    pub(crate) fn at(text: &str, place: usize, reason: &str) -> Self {
        let before = &text[..place];
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        Self {
            line: before.matches('\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
            reason: reason.to_owned(),
        }
    }
}

/// How deep blocks and lists may be: deeper than any configuration, shallow enough for any stack.
pub(crate) const DEEPEST: usize = 64;

/// Whether a whole number begins with a zero that it does not need: octal to some, and a mistake to others.
pub(crate) fn is_padded(number: &str) -> bool {
    let digits = number.strip_prefix('-').unwrap_or(number);
    digits.len() > 1 && digits.starts_with('0') && digits.bytes().all(|byte| byte.is_ascii_digit())
}

/// The items between two braces, in order; the same key may come again.
pub(crate) type Body = Vec<Item>;

/// `key "label" … = value`.
#[derive(Clone, Debug)]
pub(crate) struct Item {
    pub(crate) place: Place,
    pub(crate) key: String,
    pub(crate) labels: Vec<String>,
    pub(crate) value: Value,
    /// A whole number as it is written there; empty for everything else.
    pub(crate) number: String,
}

impl Item {
    /// Whether it has this key, in any case.
    pub(crate) fn is(&self, key: &str) -> bool {
        self.key.eq_ignore_ascii_case(key)
    }
}

/// The place of an item in its file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Place {
    /// Empty if the text was in no file.
    pub(crate) file: Arc<str>,
    /// Counted from 1; 0 if it is not known.
    pub(crate) line: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&*self.file, self.line) {
            ("", 0) => Ok(()),
            ("", line) => write!(f, "line {line}: "),
            (file, 0) => write!(f, "{file}: "),
            (file, line) => write!(f, "{file}:{line}: "),
        }
    }
}

/// The same text at another place means the same.
impl PartialEq for Item {
    fn eq(&self, other: &Self) -> bool {
        (&self.key, &self.labels, &self.value) == (&other.key, &other.labels, &other.value)
    }
}

fn name_all(body: &mut Body, file: &Arc<str>) {
    for item in body {
        item.place.file = Arc::clone(file);
        name_inside(&mut item.value, file);
    }
}

fn name_inside(value: &mut Value, file: &Arc<str>) {
    match value {
        Value::Body(body) => name_all(body, file),
        Value::List(values) => values.iter_mut().for_each(|it| name_inside(it, file)),
        Value::String(_) | Value::Integer(_) | Value::Float(_) | Value::Bool(_) | Value::Null => {}
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_found_in_a_file_that_may_be_wrong_elsewhere() {
        let tree = Tree::parse(
            r#"
            vault { address = "a" address_of = 1 }
            Vault { Address = "b" }
            other { address = "c" }
            number { address = 5 }
            address = "d"
            "#,
        )
        .unwrap();

        assert_eq!(tree.text("vault", "address"), Some("b"), "the last one");
        assert_eq!(tree.text("other", "address"), Some("c"));
        assert_eq!(tree.text("number", "address"), None);
        assert_eq!(tree.text("address", "address"), None);
        assert_eq!(tree.text("none", "address"), None);
        assert!(tree.has("VAULT") && tree.has("address") && !tree.has("addres"));
    }

    #[test]
    fn what_stands_side_by_side_is_not_nested() {
        let many = 2 * DEEPEST;
        for text in [
            "a { }\n".repeat(many),
            format!("a = [{}]", "[1],".repeat(many)),
            format!("{{\"a\": [{}]}}", "{},".repeat(many)),
        ] {
            assert!(Tree::parse(&text).is_ok(), "{text}");
        }
    }

    #[test]
    fn as_deep_as_any_configuration_may_be_and_not_deeper() {
        for (nested, is_read) in [(DEEPEST - 1, true), (DEEPEST, false)] {
            for (open, close, start, end) in [
                ("a { ", "} ", "", ""),
                ("[", "]", "{\"a\": ", "}"),
                ("[", "]", "a = ", ""),
            ] {
                let (open, close) = (open.repeat(nested), close.repeat(nested));
                let text = format!("{start}{open}{close}{end}");

                assert_eq!(Tree::parse(&text).is_ok(), is_read, "{text}");
            }
        }
    }
}

//! The reader: documents, comments, anchors, tags and what they make of a node.

use std::collections::BTreeMap;
use std::rc::Rc;

use base64::Engine;

use crate::error::Failure;
use crate::fmt;
use crate::text::Text;
use crate::value::{Kind, Value};

use super::resolve::{self, Resolved};

/// How deep collections may nest.
const MAX_DEPTH: usize = 200;

/// The first document of a text.
pub(crate) fn decode(text: &[u8]) -> Result<Value, Failure> {
    let Ok(text) = std::str::from_utf8(text) else {
        return Err(Failure::new("yaml: invalid leading UTF-8 octet"));
    };
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut reader = Reader {
        chars: text.chars().collect(),
        at: 0,
        anchors: BTreeMap::new(),
        depth: 0,
    };
    reader.document()
}

pub(super) struct Reader {
    pub(super) chars: Vec<char>,
    pub(super) at: usize,
    anchors: BTreeMap<String, Value>,
    depth: usize,
}

/// What stands in front of a node.
#[derive(Default)]
pub(super) struct Properties {
    anchor: Option<String>,
    tag: Option<String>,
}

impl Properties {
    pub(super) fn is_empty(&self) -> bool {
        self.anchor.is_none() && self.tag.is_none()
    }
}

pub(super) fn is_blank(c: Option<char>) -> bool {
    matches!(c, None | Some(' ' | '\t' | '\n' | '\r'))
}

impl Reader {
    pub(super) fn peek(&self) -> Option<char> {
        self.chars.get(self.at).copied()
    }

    pub(super) fn peek_at(&self, ahead: usize) -> Option<char> {
        self.chars.get(self.at + ahead).copied()
    }

    pub(super) fn starts_with(&self, text: &str) -> bool {
        text.chars()
            .enumerate()
            .all(|(ahead, c)| self.peek_at(ahead) == Some(c))
    }

    pub(super) fn column(&self) -> usize {
        let before = &self.chars[..self.at];
        match before.iter().rposition(|&c| c == '\n') {
            Some(newline) => self.at - newline - 1,
            None => self.at,
        }
    }

    pub(super) fn error(&self, problem: &str) -> Failure {
        let line = 1 + self.chars[..self.at.min(self.chars.len())]
            .iter()
            .filter(|&&c| c == '\n')
            .count();
        Failure::new(format!("yaml: line {line}: {problem}"))
    }

    pub(super) fn deeper<T>(
        &mut self,
        inner: impl FnOnce(&mut Self) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        if self.depth == MAX_DEPTH {
            return Err(Failure::limit("yaml: document is nested too deeply"));
        }
        self.depth += 1;
        let result = inner(self);
        self.depth -= 1;
        result
    }

    pub(super) fn skip_blanks(&mut self) {
        while matches!(self.peek(), Some(' ' | '\t')) {
            self.at += 1;
        }
    }

    /// Passes blanks, line breaks and comments; true if a line ended.
    pub(super) fn skip_lines(&mut self) -> Result<bool, Failure> {
        let mut broke = false;
        loop {
            let start = self.at;
            while self.peek() == Some(' ') || self.peek() == Some('\t') && !self.at_line_start() {
                self.at += 1;
            }
            match self.peek() {
                Some('#')
                    if self.at == 0
                        || self.at > start
                        || is_blank(Some(self.chars[self.at - 1])) =>
                {
                    while !matches!(self.peek(), None | Some('\n')) {
                        self.at += 1;
                    }
                }
                Some('\r') => self.at += 1,
                Some('\n') => {
                    self.at += 1;
                    broke = true;
                }
                Some('\t') => {
                    return Err(self.error("found character that cannot start any token"));
                }
                _ => return Ok(broke),
            }
        }
    }

    fn at_line_start(&self) -> bool {
        let before = &self.chars[..self.at];
        before
            .iter()
            .rev()
            .find(|&&c| c != ' ')
            .is_none_or(|&c| c == '\n')
    }

    /// `---` or `...` at the start of a line.
    pub(super) fn at_document_marker(&self) -> bool {
        (self.starts_with("---") || self.starts_with("..."))
            && self.column() == 0
            && is_blank(self.peek_at(3))
    }

    fn document(&mut self) -> Result<Value, Failure> {
        self.skip_lines()?;
        while self.peek() == Some('%') && self.column() == 0 {
            while !matches!(self.peek(), None | Some('\n')) {
                self.at += 1;
            }
            self.skip_lines()?;
        }
        if self.at_document_marker() {
            let ends = self.starts_with("...");
            self.at += 3;
            if ends {
                return Ok(Value::Nil);
            }
        }
        // What follows the first node is never looked at.
        self.node(-1, true)
    }

    pub(super) fn properties(&mut self) -> Result<Properties, Failure> {
        let mut properties = Properties::default();
        loop {
            match self.peek() {
                Some('&') if properties.anchor.is_none() => {
                    self.at += 1;
                    properties.anchor = Some(self.name("while scanning an anchor")?);
                }
                Some('!') if properties.tag.is_none() => {
                    let start = self.at;
                    while !is_blank(self.peek()) && !matches!(self.peek(), Some(',' | ']' | '}')) {
                        self.at += 1;
                    }
                    properties.tag = Some(self.chars[start..self.at].iter().collect());
                }
                _ => return Ok(properties),
            }
            self.skip_blanks();
        }
    }

    fn name(&mut self, context: &str) -> Result<String, Failure> {
        let start = self.at;
        while self
            .peek()
            .is_some_and(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-')
        {
            self.at += 1;
        }
        if self.at == start {
            return Err(self.error(&format!(
                "{context}: did not find expected alphabetic or numeric character"
            )));
        }
        Ok(self.chars[start..self.at].iter().collect())
    }

    pub(super) fn alias(&mut self) -> Result<Value, Failure> {
        self.at += 1;
        let name = self.name("while scanning an alias")?;
        self.anchors
            .get(&name)
            .cloned()
            .ok_or_else(|| Failure::new(format!("yaml: unknown anchor '{name}' referenced")))
    }

    /// Remembers the anchor of a finished node.
    pub(super) fn anchored(&mut self, properties: Properties, value: Value) -> Value {
        if let Some(anchor) = properties.anchor {
            self.anchors.insert(anchor, value.clone());
        }
        value
    }

    /// The value of a scalar under its tag.
    pub(super) fn scalar(
        &mut self,
        text: String,
        is_plain: bool,
        properties: Properties,
    ) -> Result<Value, Failure> {
        let tag = properties.tag.as_deref().unwrap_or_default();
        let resolved = if is_plain && tag != "!" {
            resolve::resolve(text.as_bytes())
        } else {
            Resolved::Text
        };
        let mismatch = || {
            Failure::new("yaml: unmarshal errors: cannot decode ")
                .plain(text.as_bytes())
                .words(format!(" as a {tag}"))
        };
        let value = match (tag, resolved) {
            ("!!str" | "!", _) => Value::text(text),
            ("!!binary", _) => {
                let compact: String = text.chars().filter(|c| !c.is_whitespace()).collect();
                let engine = base64::engine::general_purpose::STANDARD;
                let bytes = engine.decode(compact);
                Value::text(bytes.map_err(|_| {
                    Failure::new("yaml: !!binary value contains invalid base64 data")
                })?)
            }
            ("!!float", _) => match resolve::resolve(text.as_bytes()) {
                Resolved::Value(Value::Int(number)) => Value::Float(number as f64),
                Resolved::Value(value @ Value::Float(_)) => value,
                _ => return Err(mismatch()),
            },
            ("!!int", _) => match resolve::resolve(text.as_bytes()) {
                Resolved::Value(value @ (Value::Int(_) | Value::Uint64(_))) => value,
                _ => return Err(mismatch()),
            },
            ("!!bool", _) => match resolve::resolve(text.as_bytes()) {
                Resolved::Value(value @ Value::Bool(_)) => value,
                _ => return Err(mismatch()),
            },
            ("!!null", _) => Value::Nil,
            (_, Resolved::Value(value)) => value,
            (_, Resolved::Text | Resolved::Timestamp | Resolved::Merge) => Value::text(text),
        };
        Ok(self.anchored(properties, value))
    }
}

/// Entries of a mapping: later ones win, merged ones fill in.
pub(super) fn mapping(entries: Vec<(Value, bool, Value)>) -> Result<Value, Failure> {
    let mut own: Vec<(Value, Value)> = Vec::new();
    for (key, is_merge, value) in entries {
        if is_merge {
            merge(&mut own, &value)?;
            continue;
        }
        if matches!(key.kind(), Kind::List | Kind::Map) {
            let shown = fmt::printf(b"%#v", &[key], 1_000)?;
            return Err(Failure::new("yaml: invalid map key: ").plain(&shown));
        }
        put(&mut own, key, value);
    }
    own.sort_by(|(a, _), (b, _)| fmt::compare_keys(a, b));
    Ok(Value::AnyMap(Rc::new(own)))
}

fn is_same(a: &Value, b: &Value) -> bool {
    a.type_of() == b.type_of() && fmt::compare_keys(a, b).is_eq()
}

fn put(own: &mut Vec<(Value, Value)>, key: Value, value: Value) {
    match own.iter_mut().find(|(existing, _)| is_same(existing, &key)) {
        Some(entry) => entry.1 = value,
        None => own.push((key, value)),
    }
}

fn merge(own: &mut Vec<(Value, Value)>, value: &Value) -> Result<(), Failure> {
    match value {
        Value::AnyMap(entries) => {
            for (key, value) in entries.iter() {
                put(own, key.clone(), value.clone());
            }
            Ok(())
        }
        Value::List(items) => items.iter().rev().try_for_each(|item| match item {
            Value::AnyMap(_) => merge(own, item),
            _ => Err(not_a_map()),
        }),
        _ => Err(not_a_map()),
    }
}

fn not_a_map() -> Failure {
    Failure::new("yaml: map merge requires map or sequence of maps as the value")
}

/// Whether a plain key asks for a merge.
pub(super) fn is_merge(key: &Value, is_plain: bool) -> bool {
    is_plain && matches!(key, Value::Text(text) if *text == Text::from("<<"))
}

//! The reader: documents, anchors, tags and what they make of a node.

mod objects;

use std::cmp::Ordering;
use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;

use base64::Engine;
use zeroize::Zeroizing;

use crate::error::Failure;
use crate::fmt;
use crate::value::{Kind, Value};

use super::encoding;
use super::resolve::{self, Resolved};
use super::scan::{Mark, Scanner, Token};

pub use objects::{Document, Node, documents};

/// How deep collections may nest.
const MAX_DEPTH: usize = 200;

/// How many entries the merges of a text may copy.
const MOST_MERGED: usize = 100_000;

/// The first document of a text, and how many entries its merges have copied.
pub(crate) fn decode(text: &[u8]) -> Result<(Value, usize), Failure> {
    let text = encoding::decoded(text)?;
    let mut reader = Reader::new(&text);
    let value = reader.document()?;
    match reader.mistake {
        Some(mistake) => Err(mistake),
        None => Ok((value, reader.merged)),
    }
}

struct Reader {
    scanner: Scanner,
    /// Values by their anchors; nothing while the node that has the name is not finished.
    anchors: HashMap<String, Option<Value>>,
    /// The handles of tags, each with the prefix that `%TAG` gives it.
    handles: Vec<(String, String)>,
    depth: usize,
    /// A mistake in the values of a document that is sound otherwise.
    mistake: Option<Failure>,
    /// Mistakes in keys, if the caller wants to know: templates do not.
    odd_keys: Option<Vec<String>>,
    /// How many entries merges have copied.
    merged: usize,
}

/// The properties in front of a node.
#[derive(Default)]
struct Properties {
    anchor: Option<String>,
    tag: Option<String>,
}

/// The place of a node, which decides what it may be.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Flow,
    Block,
    /// In a block mapping, where a sequence need not be indented.
    Entry,
}

fn error_at(problem: &str, mark: Mark, context: Mark) -> Failure {
    let line = if mark.line > 0 {
        mark.line
    } else {
        context.line
    };
    match line {
        0 => Failure::new(format!("yaml: {problem}")),
        line => Failure::new(format!("yaml: line {line}: {problem}")),
    }
}

impl Reader {
    fn new(text: &str) -> Self {
        Self {
            scanner: Scanner::new(text),
            anchors: HashMap::new(),
            handles: Vec::new(),
            depth: 0,
            mistake: None,
            odd_keys: None,
            merged: 0,
        }
    }

    fn peek(&mut self) -> Result<(Token, Mark), Failure> {
        self.scanner.peek()
    }

    fn next(&mut self) -> Result<(Token, Mark), Failure> {
        self.scanner.skip();
        self.scanner.peek()
    }

    fn document(&mut self) -> Result<Value, Failure> {
        let (token, _) = self.peek()?;
        let value = match token {
            Token::StreamEnd => return Ok(Value::Nil),
            Token::Version(..) | Token::TagDirective(..) | Token::DocumentStart => {
                self.directives()?;
                let (token, mark) = self.peek()?;
                if token != Token::DocumentStart {
                    let problem = "did not find expected <document start>";
                    return Err(error_at(problem, mark, mark));
                }
                match self.next()?.0 {
                    Token::Version(..)
                    | Token::TagDirective(..)
                    | Token::DocumentStart
                    | Token::DocumentEnd
                    | Token::StreamEnd => Value::Nil,
                    _ => self.node(Place::Block)?,
                }
            }
            _ => {
                self.directives()?;
                self.node(Place::Block)?
            }
        };
        // The original looks at the token after the document, and at no more.
        self.peek()?;
        Ok(value)
    }

    fn directives(&mut self) -> Result<(), Failure> {
        let mut has_version = false;
        loop {
            let (token, mark) = self.peek()?;
            match token {
                Token::Version(..) if has_version => {
                    return Err(error_at("found duplicate %YAML directive", mark, mark));
                }
                Token::Version(1, 1) => has_version = true,
                Token::Version(..) => {
                    return Err(error_at("found incompatible YAML document", mark, mark));
                }
                Token::TagDirective(handle, prefix) => {
                    if self.handles.iter().any(|(own, _)| *own == handle) {
                        return Err(error_at("found duplicate %TAG directive", mark, mark));
                    }
                    self.handles.push((handle, prefix));
                }
                _ => break,
            }
            self.scanner.skip();
        }
        for (handle, prefix) in [("!", "!"), ("!!", "tag:yaml.org,2002:")] {
            if !self.handles.iter().any(|(own, _)| own == handle) {
                self.handles.push((handle.to_owned(), prefix.to_owned()));
            }
        }
        Ok(())
    }

    fn node(&mut self, place: Place) -> Result<Value, Failure> {
        if self.depth == MAX_DEPTH {
            return Err(Failure::limit("yaml: document is nested too deeply"));
        }
        self.depth += 1;
        let value = self.content(place)?;
        self.depth -= 1;
        Ok(value)
    }

    fn content(&mut self, place: Place) -> Result<Value, Failure> {
        let (mut token, start) = self.peek()?;
        if let Token::Alias(name) = token {
            self.scanner.skip();
            return self.alias(&name);
        }
        let mut properties = Properties::default();
        let mut mark = start;
        loop {
            match token {
                Token::Anchor(name) if properties.anchor.is_none() => {
                    properties.anchor = Some(name);
                }
                Token::Tag(handle, suffix) if properties.tag.is_none() => {
                    properties.tag = Some(self.resolved_tag(&handle, &suffix, mark, start)?);
                }
                other => {
                    token = other;
                    break;
                }
            }
            (token, mark) = self.next()?;
        }
        if let Some(anchor) = &properties.anchor {
            self.anchors.insert(anchor.clone(), None);
        }
        let value = match token {
            Token::BlockEntry if place == Place::Entry => self.indentless()?,
            Token::Scalar { text, is_plain } => {
                self.scanner.skip();
                return Ok(self.tagged(&text, is_plain, properties));
            }
            Token::FlowSequenceStart => self.flow_sequence(mark)?,
            Token::FlowMappingStart => self.flow_mapping(mark)?,
            Token::SequenceStart if place != Place::Flow => self.sequence(mark)?,
            Token::MappingStart if place != Place::Flow => self.mapping(mark)?,
            _ if properties.anchor.is_some() || properties.tag.is_some() => {
                let is_plain = properties.tag.is_none();
                return Ok(self.tagged("", is_plain, properties));
            }
            _ => return Err(error_at("did not find expected node content", mark, start)),
        };
        Ok(self.anchored(properties, value))
    }

    fn alias(&mut self, name: &str) -> Result<Value, Failure> {
        match self.anchors.get(name) {
            Some(Some(value)) => Ok(value.clone()),
            Some(None) => {
                let mistake = format!("yaml: anchor '{name}' value contains itself");
                self.mistake.get_or_insert(Failure::new(mistake));
                Ok(Value::Nil)
            }
            None => {
                let mistake = format!("yaml: unknown anchor '{name}' referenced");
                Err(Failure::new(mistake))
            }
        }
    }

    /// The tag in its short form.
    fn resolved_tag(
        &self,
        handle: &str,
        suffix: &str,
        mark: Mark,
        start: Mark,
    ) -> Result<String, Failure> {
        let tag = if handle.is_empty() {
            suffix.to_owned()
        } else {
            let prefix = self.handles.iter().find(|(own, _)| own == handle);
            let Some((_, prefix)) = prefix else {
                return Err(error_at("found undefined tag handle", mark, start));
            };
            format!("{prefix}{suffix}")
        };
        Ok(match tag.strip_prefix("tag:yaml.org,2002:") {
            Some(name) => format!("!!{name}"),
            None => tag,
        })
    }

    /// Remembers the anchor of a finished node.
    fn anchored(&mut self, properties: Properties, value: Value) -> Value {
        if let Some(anchor) = properties.anchor {
            self.anchors.insert(anchor, Some(value.clone()));
        }
        value
    }

    fn tagged(&mut self, text: &str, is_plain: bool, properties: Properties) -> Value {
        let value = scalar(
            text,
            is_plain,
            properties.tag.as_deref().unwrap_or_default(),
        );
        let value = value.unwrap_or_else(|mistake| {
            self.mistake.get_or_insert(mistake);
            Value::Nil
        });
        self.anchored(properties, value)
    }

    fn sequence(&mut self, start: Mark) -> Result<Value, Failure> {
        let mut items = Vec::new();
        self.scanner.skip();
        loop {
            let (token, mark) = self.peek()?;
            match token {
                Token::BlockEntry => {
                    let (next, _) = self.next()?;
                    items.push(match next {
                        Token::BlockEntry | Token::BlockEnd => Value::Nil,
                        _ => self.node(Place::Block)?,
                    });
                }
                Token::BlockEnd => {
                    self.scanner.skip();
                    return Ok(Value::list(items));
                }
                _ => return Err(error_at("did not find expected '-' indicator", mark, start)),
            }
        }
    }

    fn indentless(&mut self) -> Result<Value, Failure> {
        let mut items = Vec::new();
        while self.peek()?.0 == Token::BlockEntry {
            let (next, _) = self.next()?;
            items.push(match next {
                Token::BlockEntry | Token::Key | Token::Value | Token::BlockEnd => Value::Nil,
                _ => self.node(Place::Block)?,
            });
        }
        Ok(Value::list(items))
    }

    fn mapping(&mut self, start: Mark) -> Result<Value, Failure> {
        let mut entries = Vec::new();
        self.scanner.skip();
        loop {
            let (token, mark) = self.peek()?;
            match token {
                Token::Key => {
                    let key = match self.next()?.0 {
                        Token::Key | Token::Value | Token::BlockEnd => Key::nil(mark),
                        _ => self.key(Place::Entry)?,
                    };
                    let was_right = self.mistake.is_none();
                    let value = self.block_value()?;
                    self.check_merge(&key, &value, was_right);
                    entries.push((key, value));
                }
                // A value without a key has come as a token of its own kind only after a mistake.
                Token::BlockEnd => {
                    self.scanner.skip();
                    return Ok(self.entries(entries));
                }
                _ => return Err(error_at("did not find expected key", mark, start)),
            }
        }
    }

    fn block_value(&mut self) -> Result<Value, Failure> {
        if self.peek()?.0 != Token::Value {
            return Ok(Value::Nil);
        }
        match self.next()?.0 {
            Token::Key | Token::Value | Token::BlockEnd => Ok(Value::Nil),
            _ => self.node(Place::Entry),
        }
    }

    fn key(&mut self, place: Place) -> Result<Key, Failure> {
        let (token, mark) = self.peek()?;
        let is_merge =
            matches!(&token, Token::Scalar { text, is_plain: true } if text.as_str() == "<<");
        let value = self.node(place)?;
        // A node that cannot be a key is found before a mistake in its value.
        if !is_merge && matches!(value.kind(), Kind::List | Kind::Map) && self.mistake.is_none() {
            let shown = fmt::printf(b"%#v", &[value.clone().into()], 1_000)?;
            let mistake = Failure::new("yaml: invalid map key: ").plain(&shown);
            self.mistake = Some(mistake);
        }
        Ok(Key {
            value,
            is_merge,
            line: mark.line,
        })
    }

    fn flow_sequence(&mut self, start: Mark) -> Result<Value, Failure> {
        let mut items = Vec::new();
        let (mut token, mut mark) = self.next()?;
        while token != Token::FlowSequenceEnd {
            if !items.is_empty() {
                if token != Token::FlowEntry {
                    return Err(error_at("did not find expected ',' or ']'", mark, start));
                }
                (token, _) = self.next()?;
            }
            match token {
                Token::Key => items.push(self.single_entry()?),
                Token::FlowSequenceEnd => break,
                _ => items.push(self.node(Place::Flow)?),
            }
            (token, mark) = self.peek()?;
        }
        self.scanner.skip();
        Ok(Value::list(items))
    }

    /// `[a: b]`: a mapping of one entry.
    fn single_entry(&mut self) -> Result<Value, Failure> {
        let (token, mark) = self.next()?;
        let key = match token {
            Token::Value | Token::FlowEntry | Token::FlowSequenceEnd => {
                // The original passes any token here.
                self.scanner.skip();
                Key::nil(mark)
            }
            _ => self.key(Place::Flow)?,
        };
        let mut value = Value::Nil;
        if self.peek()?.0 == Token::Value
            && !matches!(self.next()?.0, Token::FlowEntry | Token::FlowSequenceEnd)
        {
            value = self.node(Place::Flow)?;
        }
        Ok(self.entries(vec![(key, value)]))
    }

    fn flow_mapping(&mut self, start: Mark) -> Result<Value, Failure> {
        let mut entries = Vec::new();
        let (mut token, mut mark) = self.next()?;
        while token != Token::FlowMappingEnd {
            if !entries.is_empty() {
                if token != Token::FlowEntry {
                    return Err(error_at("did not find expected ',' or '}'", mark, start));
                }
                (token, _) = self.next()?;
            }
            match token {
                Token::Key => {
                    let key = match self.next()?.0 {
                        Token::Value | Token::FlowEntry | Token::FlowMappingEnd => Key::nil(mark),
                        _ => self.key(Place::Flow)?,
                    };
                    let was_right = self.mistake.is_none();
                    let mut value = Value::Nil;
                    if self.peek()?.0 == Token::Value
                        && !matches!(self.next()?.0, Token::FlowEntry | Token::FlowMappingEnd)
                    {
                        value = self.node(Place::Flow)?;
                    }
                    self.check_merge(&key, &value, was_right);
                    entries.push((key, value));
                }
                Token::FlowMappingEnd => break,
                _ => entries.push((self.key(Place::Flow)?, Value::Nil)),
            }
            (token, mark) = self.peek()?;
        }
        self.scanner.skip();
        Ok(self.entries(entries))
    }

    /// A value that cannot be merged is told instead of mistakes within it and in later entries.
    fn check_merge(&mut self, key: &Key, value: &Value, was_right: bool) {
        let is_map = |value: &Value| matches!(value, Value::AnyMap(_));
        let can_merge = match value {
            Value::List(items) => items.iter().all(is_map),
            value => is_map(value),
        };
        if key.is_merge && !can_merge && was_right {
            self.mistake = Some(not_a_map());
        }
    }

    fn entries(&mut self, entries: Vec<(Key, Value)>) -> Value {
        if let Some(odd) = &mut self.odd_keys {
            objects::check_keys(&entries, odd);
        }
        mapping(entries, &mut self.merged).unwrap_or_else(|mistake| {
            self.mistake.get_or_insert(mistake);
            Value::Nil
        })
    }
}

/// A key as it stands in a mapping.
struct Key {
    value: Value,
    /// Whether it asks for a merge.
    is_merge: bool,
    /// Counted from zero.
    line: usize,
}

impl Key {
    fn nil(mark: Mark) -> Self {
        Self {
            value: Value::Nil,
            is_merge: false,
            line: mark.line,
        }
    }
}

/// The value of a scalar under its tag.
fn scalar(text: &str, is_plain: bool, tag: &str) -> Result<Value, Failure> {
    let resolved = resolve::resolve(text.as_bytes());
    let own = match &resolved {
        Resolved::Value(Value::Nil) => "!!null",
        Resolved::Value(Value::Bool(_)) => "!!bool",
        Resolved::Value(Value::Float(_)) => "!!float",
        Resolved::Value(_) => "!!int",
        Resolved::Timestamp => "!!timestamp",
        Resolved::Text | Resolved::Merge => "!!str",
    };
    match (tag, resolved) {
        ("", Resolved::Value(value)) if is_plain => Ok(value),
        ("!!binary", _) => {
            let compact = Zeroizing::new(text.replace(['\r', '\n'], ""));
            let engine = base64::engine::general_purpose::STANDARD;
            let bytes = engine.decode(compact.as_bytes());
            Ok(Value::text(bytes.map_err(|_| {
                Failure::new("yaml: !!binary value contains invalid base64 data")
            })?))
        }
        ("!!float", Resolved::Value(Value::Int(number))) => Ok(Value::Float(number as f64)),
        ("!!int" | "!!float" | "!!bool" | "!!null", Resolved::Value(value)) if own == tag => {
            Ok(value)
        }
        ("!!int" | "!!float" | "!!bool" | "!!null" | "!!timestamp", _) if own != tag => {
            Err(Failure::new(format!("yaml: cannot decode {own} `"))
                .plain(text.as_bytes())
                .words(format!("` as a {tag}")))
        }
        _ => Ok(Value::text(text)),
    }
}

/// Keys in the order of their kinds and values.
struct Ordered(Value);

impl PartialEq for Ordered {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Ordered {}

impl PartialOrd for Ordered {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Ordered {
    fn cmp(&self, other: &Self) -> Ordering {
        fmt::compare_keys(&self.0, &other.0)
    }
}

type Own = BTreeMap<Ordered, Value>;

/// Entries of a mapping: later ones win, merged ones count as if they were written out.
#[expect(
    clippy::mutable_key_type,
    reason = "a key is a scalar, in which nothing changes"
)]
fn mapping(entries: Vec<(Key, Value)>, merged: &mut usize) -> Result<Value, Failure> {
    let mut own = Own::new();
    for (
        Key {
            value: key,
            is_merge,
            ..
        },
        value,
    ) in entries
    {
        if is_merge {
            merge(&mut own, &value, merged)?;
            continue;
        }
        own.insert(Ordered(key), value);
    }
    let entries = own.into_iter().map(|(key, value)| (key.0, value));
    Ok(Value::AnyMap(Rc::new(entries.collect())))
}

#[expect(
    clippy::mutable_key_type,
    reason = "a key is a scalar, in which nothing changes"
)]
fn merge(own: &mut Own, value: &Value, merged: &mut usize) -> Result<(), Failure> {
    match value {
        Value::AnyMap(entries) => {
            *merged += entries.len();
            if *merged > MOST_MERGED {
                return Err(Failure::limit("yaml: document contains excessive aliasing"));
            }
            for (key, value) in entries.iter() {
                own.insert(Ordered(key.clone()), value.clone());
            }
            Ok(())
        }
        Value::List(items) => items.iter().rev().try_for_each(|item| match item {
            Value::AnyMap(_) => merge(own, item, merged),
            _ => Err(not_a_map()),
        }),
        _ => Err(not_a_map()),
    }
}

fn not_a_map() -> Failure {
    Failure::new("yaml: map merge requires map or sequence of maps as the value")
}

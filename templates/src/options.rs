//! How a text is read, what it may cost, and what it is told about the world.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::engine::{Engine, Output};

/// How a text is read and what it may do.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Options {
    /// The language.
    pub engine: Engine,
    /// How the rendered text becomes the file.
    pub output: Output,
    /// `{{` unless set.
    pub left_delimiter: String,
    /// `}}` unless set. Handlebars has no other delimiters.
    pub right_delimiter: String,
    /// Whether a key that a map lacks is an error instead of `<no value>`, or of nothing in Handlebars.
    pub error_on_missing_key: bool,
    /// Names of functions that fail when called; `*` stands for anything.
    pub denied_functions: Vec<String>,
    /// The folder that `file` must stay in. Links are the caller's to resolve.
    pub sandbox_path: Option<String>,
    /// The most that a template may cost.
    pub limits: Limits,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            engine: Engine::default(),
            output: Output::default(),
            left_delimiter: "{{".to_owned(),
            right_delimiter: "}}".to_owned(),
            error_on_missing_key: false,
            denied_functions: Vec::new(),
            sandbox_path: None,
            limits: Limits::default(),
        }
    }
}

/// Bounds that no text and no data can pass.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// Bytes of a template's text.
    pub source: usize,
    /// How deep blocks and parentheses nest.
    pub nesting: usize,
    /// How deep templates call templates.
    pub template_depth: usize,
    /// How deep blocks, calls and parentheses nest while running.
    pub evaluation_depth: usize,
    /// Steps of all ranges of a pass together.
    pub iterations: u64,
    /// Bytes of a result, and of any text on the way there.
    pub output: usize,
    /// Units of work of a pass, each about a nanosecond: nodes, calls, bytes that functions read and make.
    pub work: usize,
    /// Bytes of memory that all values of a pass take, whether they are still held or not.
    pub memory: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            source: 1 << 20,
            nesting: 500,
            template_depth: 1_000,
            evaluation_depth: 2_500,
            iterations: 10_000_000,
            output: 64 << 20,
            work: 1 << 30,
            memory: 128 << 20,
        }
    }
}

/// The world as a pass sees it, secrets apart.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Environment {
    /// The time that `timestamp` gives.
    pub now: SystemTime,
    /// The variables that `env` reads.
    pub variables: Arc<BTreeMap<String, String>>,
    /// The template's own file.
    pub destination: Option<String>,
    /// The number that random functions start from.
    pub seed: u64,
}

impl Default for Environment {
    fn default() -> Self {
        Self {
            now: UNIX_EPOCH,
            variables: Arc::default(),
            destination: None,
            seed: 0,
        }
    }
}

/// `*` stands for any text.
pub(crate) fn matches_pattern(pattern: &str, name: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = name.strip_prefix(first) else {
        return false;
    };
    let parts: Vec<_> = parts.collect();
    let Some((last, middle)) = parts.split_last() else {
        return rest.is_empty();
    };
    for part in middle {
        let Some(at) = rest.find(part) else {
            return false;
        };
        rest = &rest[at + part.len()..];
    }
    rest.ends_with(last)
}

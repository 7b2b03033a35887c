//! The outcome of one evaluation of a template.

use std::collections::BTreeSet;
use std::fmt;

use planescape_vault::Text;

use crate::request::Request;

/// Work for the caller, due once a pass is complete.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Effect {
    /// `writeToFile`.
    WriteFile {
        /// The path of the file.
        path: String,
        /// Name or number; empty keeps the owner.
        user: String,
        /// Name or number; empty keeps the group.
        group: String,
        /// Permission bits.
        mode: u32,
        /// Whether the content goes to the end of the file.
        appends: bool,
        /// The bytes to write.
        content: Text,
    },
}

/// The outcome of one evaluation.
#[derive(Clone, Debug)]
pub enum Pass {
    /// Everything was known.
    Complete(Rendered),
    /// Something must be asked first.
    Waiting {
        /// Requests without an answer.
        missing: BTreeSet<Request>,
        /// All requests the pass made, answered or not.
        used: BTreeSet<Request>,
    },
}

/// A finished text.
#[derive(Clone, Debug)]
pub struct Rendered {
    /// The bytes.
    pub text: Text,
    /// Requests it depends on.
    pub used: BTreeSet<Request>,
    /// Everything else that it asks for, in order.
    pub effects: Vec<Effect>,
    /// Places where the text is probably not what was meant.
    pub warnings: Vec<Warning>,
}

/// A place where a text is probably not what was meant.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Warning {
    /// Counted from 1.
    pub line: usize,
    /// Bytes in its line before the place.
    pub column: usize,
    /// The reason for the warning; no values.
    pub message: String,
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // People count columns from 1.
        write!(f, "{}:{}: {}", self.line, self.column + 1, self.message)
    }
}

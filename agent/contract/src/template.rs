//! One text to render and the file it becomes.

use std::time::Duration;

use crate::{FileMode, Hook, Owner};

/// A `template` or an `env_template` block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    /// The text, or its file.
    pub text: TemplateText,
    /// The file or variable that the rendered text becomes.
    pub target: Target,
    /// The file's mode; without it, the existing file's mode, else 0644.
    pub mode: Option<FileMode>,
    /// Whether missing parent folders are created, with mode 0755.
    pub create_parents: bool,
    /// The owner of the file; without it, the owner of the existing file.
    pub owner: Owner,
    /// Whether the file that was there before is kept beside it.
    pub backup: bool,
    /// The action after the file has changed.
    pub hook: Option<Hook>,
    /// How long changes are waited for before they are rendered.
    pub wait: Option<Wait>,
    /// How long a leased credential lives on once another one is in the file.
    pub overlap: Option<Duration>,
    /// The language of the text.
    pub engine: Engine,
    /// The form of the file.
    pub output: Output,
    /// The start of an action.
    pub left_delimiter: String,
    /// The end of an action.
    pub right_delimiter: String,
    /// Whether a key that a secret lacks is an error; in Handlebars it is, unless said otherwise.
    pub error_on_missing_key: bool,
    /// Whether a text that does not fit the answer of Vault can end the agent.
    pub error_fatal: bool,
    /// Functions that the text may not call.
    pub denied_functions: Vec<String>,
    /// The folder outside of which `file` may not read.
    pub sandbox_path: Option<String>,
}

/// The file or variable that a rendered text becomes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// A file, by its path.
    File(String),
    /// An environment variable of the program in `exec`, by its name.
    Variable(String),
}

impl Target {
    /// The path of the file.
    #[must_use]
    pub fn file(&self) -> Option<&str> {
        match self {
            Self::File(path) => Some(path),
            Self::Variable(_) => None,
        }
    }

    /// The block that says so, the n-th of its configuration.
    #[must_use]
    pub fn block(&self, place: usize) -> String {
        match self {
            Self::File(_) => format!("template[{place}]"),
            Self::Variable(name) => format!("env_template {name:?}"),
        }
    }
}

/// How long changes are waited for, once everything is rendered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wait {
    /// Nothing else must change for so long.
    pub min: Duration,
    /// The longest wait after the first change, even if more changes.
    pub max: Duration,
}

/// The source of a template's text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TemplateText {
    /// `contents`.
    Inline(String),
    /// `source`: a file, read at the start and at each reload.
    File(String),
}

/// `engine`: the language of a template. It is said, never guessed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Engine {
    /// The language of `vault agent`.
    #[default]
    Go,
    /// Handlebars, with helpers of our own.
    Handlebars,
}

impl Engine {
    /// The names that are written in configurations.
    pub const NAMES: [&str; 2] = ["go", "handlebars"];

    /// The engine of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "go" => Some(Self::Go),
            "handlebars" => Some(Self::Handlebars),
            _ => None,
        }
    }

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Go => "go",
            Self::Handlebars => "handlebars",
        }
    }
}

/// `output`: the way from the rendered text to the file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Output {
    /// The text is the file.
    #[default]
    Text,
    /// The text is base64, and its decoded bytes are the file.
    Base64Decoded,
}

impl Output {
    /// The names that are written in configurations.
    pub const NAMES: [&str; 2] = ["text", "base64-decoded"];

    /// The output of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "text" => Some(Self::Text),
            "base64-decoded" => Some(Self::Base64Decoded),
            _ => None,
        }
    }

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Base64Decoded => "base64-decoded",
        }
    }
}

//! One text to render and the file it becomes.

use crate::FileMode;

/// A `template` block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    /// The text, or where it is.
    pub text: TemplateText,
    /// The file to write.
    pub destination: String,
    /// The file's mode; without it, the existing file's mode, else 0644.
    pub mode: Option<FileMode>,
    /// Whether missing parent folders are created, with mode 0755.
    pub create_parents: bool,
    /// What opens an action.
    pub left_delimiter: String,
    /// What closes an action.
    pub right_delimiter: String,
    /// Whether a key that a secret lacks is an error.
    pub error_on_missing_key: bool,
    /// Functions that the text may not call.
    pub denied_functions: Vec<String>,
    /// The folder outside of which `file` may not read.
    pub sandbox_path: Option<String>,
}

/// Where a template's text comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TemplateText {
    /// `contents`.
    Inline(String),
    /// `source`: a file, read once at the start.
    File(String),
}

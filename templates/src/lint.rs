//! Finds mistakes in a template before it runs: text that does not parse, calls that can never succeed,
//! the two versions of KV mixed up, keys that a secret does not have.
//!
//! Every finding holds whatever the unknown parts of the data are; what cannot be known is left alone.

mod calls;
mod cures;
mod paths;
mod shape;
mod walk;

use crate::error::{Error, Position};
use crate::functions;
use crate::options::{Environment, Options};
use crate::pass::Warning;
use crate::responses::{RenderError, Responses};
use crate::template::Template;

/// The sort of a mistake.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
#[non_exhaustive]
pub enum Rule {
    /// The text is no template.
    Syntax,
    /// A function has a name that nobody knows.
    UnknownFunction,
    /// A call that can never succeed.
    Call,
    /// A field that a secret does not have, `.data` for `.Data` among them.
    SecretField,
    /// A path that does not fit its mount.
    KvPath,
    /// `.Data` where `.Data.data` is meant, or the other way round.
    KvData,
    /// A key that the data does not have.
    MissingKey,
    /// The template fails with the given answers.
    Execution,
    /// JSON in which characters are escaped that need not be.
    EscapedJson,
    /// There is no answer, so nothing can be said.
    MissingResponse,
}

impl Rule {
    /// Every rule, in the order of reports.
    pub const ALL: [Self; 10] = [
        Self::Syntax,
        Self::UnknownFunction,
        Self::Call,
        Self::SecretField,
        Self::KvPath,
        Self::KvData,
        Self::MissingKey,
        Self::Execution,
        Self::EscapedJson,
        Self::MissingResponse,
    ];

    /// Its name in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Syntax => "syntax",
            Self::UnknownFunction => "unknown-function",
            Self::Call => "call",
            Self::SecretField => "secret-field",
            Self::KvPath => "kv-path",
            Self::KvData => "kv-data",
            Self::MissingKey => "missing-key",
            Self::Execution => "execution",
            Self::EscapedJson => "escaped-json",
            Self::MissingResponse => "missing-response",
        }
    }

    /// The rule in one sentence.
    pub fn summary(self) -> &'static str {
        match self {
            Self::Syntax => "The text must be a template.",
            Self::UnknownFunction => "Functions must exist, also in branches that are not taken.",
            Self::Call => {
                "Calls must be able to succeed: as many arguments as the function takes, of its types, and a function that is served here."
            }
            Self::SecretField => {
                "A secret has Data, LeaseID, LeaseDuration, Renewable, RequestID, Warnings, Auth and WrapInfo."
            }
            Self::KvPath => "Paths must fit the version of their KV mount.",
            Self::KvData => {
                "KV version 2 keeps the keys of a secret in .Data.data, everything else in .Data."
            }
            Self::MissingKey => "Keys must be in the data; a missing one is written as <no value>.",
            Self::Execution => "The template must render with the given responses.",
            Self::EscapedJson => {
                "`toJSON` writes some characters in a way that only a JSON parser undoes."
            }
            Self::MissingResponse => {
                "Without a response the rest of the template cannot be checked."
            }
        }
    }

    /// The advice where nothing better is known.
    pub fn remedy(self) -> &'static str {
        match self {
            Self::Syntax => {
                "mend what the caret points at; each if, with, range, define and block has its end"
            }
            Self::UnknownFunction | Self::Call => {
                "`planescape template functions` shows every function and what it takes"
            }
            Self::SecretField => "write one of the fields that a secret has, such as `.Data`",
            Self::KvPath => "write the path as its mount wants it",
            Self::KvData => "write `.Data.data` for KV version 2, `.Data` for everything else",
            Self::MissingKey => {
                "correct the key, or say with `or` or `if` what to write without it"
            }
            Self::Execution => "mend the template, or the response that it is given",
            Self::EscapedJson => "write `toUnescapedJSON` where what reads it does not parse JSON",
            Self::MissingResponse => "add it to the responses",
        }
    }

    /// Whether the template can do what it does wrong and still be meant so.
    pub fn is_warning(self) -> bool {
        match self {
            Self::KvPath | Self::MissingKey | Self::EscapedJson | Self::MissingResponse => true,
            Self::Syntax
            | Self::UnknownFunction
            | Self::Call
            | Self::SecretField
            | Self::KvData
            | Self::Execution => false,
        }
    }
}

/// The most mistakes of one template that are told: finding the place of each takes as long as the template is.
pub const MOST: usize = 100;

/// One mistake. No text of it holds a value of a secret.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Finding {
    /// Counted from 1.
    pub line: usize,
    /// Bytes in its line before the mistake.
    pub column: usize,
    /// How many bytes the mistake is long; at least one.
    pub width: usize,
    /// The sort of the mistake.
    pub rule: Rule,
    /// The mistake in words.
    pub message: String,
    /// A better way to write it, or where to find one.
    pub suggestion: String,
}

/// The mistakes of a text, in its order, no more than [`MOST`] of them. With responses, paths are held against their
/// mounts and keys against their answers; `read` reads files that the template names.
pub fn lint(
    text: &[u8],
    options: &Options,
    responses: Option<&Responses>,
    environment: &Environment,
    read: impl FnMut(&str) -> Result<Vec<u8>, String>,
) -> Vec<Finding> {
    let template = match Template::parse(text, options) {
        Ok(template) => template,
        Err(error) => return vec![syntax(text, &error)],
    };
    let mut findings = walk::findings(&template, responses);
    if let Some(responses) = responses {
        let known: Vec<usize> = findings.iter().map(|finding| finding.line).collect();
        let rendered = responses.render(&template, environment, read);
        let more = rendering(text, rendered.map(|rendered| rendered.warnings));
        // Findings on a line that the walk has explained need not be told again.
        findings.extend(more.into_iter().filter(|one| !known.contains(&one.line)));
    }
    findings.sort();
    findings.dedup();
    findings.truncate(MOST);
    findings
}

fn rendering(text: &[u8], outcome: Result<Vec<Warning>, RenderError>) -> Vec<Finding> {
    match outcome {
        Ok(warnings) => warnings
            .into_iter()
            .map(|warning| Finding {
                line: warning.line,
                column: warning.column,
                width: word(text, warning.line, warning.column),
                rule: Rule::MissingKey,
                message: warning.message,
                suggestion: Rule::MissingKey.remedy().to_owned(),
            })
            .collect(),
        Err(RenderError::Template(error)) => vec![located(text, Rule::Execution, &error)],
        Err(error @ RenderError::Missing { .. }) => {
            vec![whole(Rule::MissingResponse, error.to_string())]
        }
        Err(RenderError::Malformed { key, source }) => {
            vec![whole(Rule::Execution, format!("{key}: {source}"))]
        }
        Err(error @ (RenderError::Refused { .. } | RenderError::File { .. })) => {
            vec![whole(Rule::Execution, error.to_string())]
        }
    }
}

/// A finding about the template as a whole.
fn whole(rule: Rule, message: String) -> Finding {
    Finding {
        line: 1,
        column: 0,
        width: 1,
        rule,
        message,
        suggestion: rule.remedy().to_owned(),
    }
}

fn located(text: &[u8], rule: Rule, error: &Error) -> Finding {
    let column = error.column().unwrap_or(0);
    let cure = cures::cure(text, error);
    Finding {
        line: error.line(),
        column,
        width: word(text, error.line(), column),
        rule,
        message: shortened(error.message()),
        suggestion: cure.unwrap_or_else(|| rule.remedy().to_owned()),
    }
}

/// A message as long as people read it: a name in a text may be millions of bytes long.
fn shortened(message: &str) -> String {
    const LONGEST: usize = 400;
    match message.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &message[..end]),
        None => message.to_owned(),
    }
}

fn syntax(text: &[u8], error: &Error) -> Finding {
    let finding = located(text, Rule::Syntax, error);
    let unknown = error
        .message()
        .strip_prefix("function \"")
        .and_then(|rest| rest.split_once('"'));
    match unknown {
        Some((name, " not defined")) => Finding {
            rule: Rule::UnknownFunction,
            suggestion: match (cures::elsewhere(name), functions::nearest(name)) {
                (Some(cure), _) => cure.to_owned(),
                (None, Some(name)) => format!("did you mean `{name}`?"),
                (None, None) => cures::name(text, error, name)
                    .unwrap_or_else(|| Rule::UnknownFunction.remedy().to_owned()),
            },
            ..finding
        },
        _ => finding,
    }
}

/// The most that a caret line shows of a word.
const LONGEST_WORD: usize = 200;

/// The length of the word at a place; at least one.
fn word(text: &[u8], line: usize, column: usize) -> usize {
    let line = text
        .split(|&byte| byte == b'\n')
        .nth(line.saturating_sub(1));
    let rest = line.and_then(|line| line.get(column..)).unwrap_or_default();
    let is_inside = |byte: &u8| !byte.is_ascii_whitespace() && !b"(){}|".contains(byte);
    rest.iter()
        .take(LONGEST_WORD)
        .take_while(|byte| is_inside(byte))
        .count()
        .max(1)
}

/// A finding at an offset of the text.
fn at(text: &[u8], offset: usize, width: usize, rule: Rule, message: String) -> Finding {
    let Position { line, column } = Position::of(offset, text);
    Finding {
        line,
        column,
        width: width.max(1),
        rule,
        message,
        suggestion: rule.remedy().to_owned(),
    }
}

#[cfg(test)]
mod tests;

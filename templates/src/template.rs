//! A template: parsed once, rendered whenever its answers change.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};

use planescape_vault::Text;

use crate::engine::{Engine, Output};
use crate::error::{Error, ErrorKind, Position};
use crate::exec::{Gathered, Input, Run};
use crate::functions;
use crate::json;
use crate::lex::Delimiters;
use crate::parse::{self, Bodies};
use crate::request::{Answers, Request};
use crate::value::Value;

/// How a text is read and what it may do.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Options {
    /// The language.
    pub engine: Engine,
    /// What becomes of the rendered text.
    pub output: Output,
    /// `{{` unless set.
    pub left_delimiter: String,
    /// `}}` unless set. Handlebars has no other delimiters.
    pub right_delimiter: String,
    /// Whether a key that a map lacks is an error instead of `<no value>`, or of nothing in Handlebars.
    pub error_on_missing_key: bool,
    /// Names of functions that fail when called; `*` stands for anything.
    pub denied_functions: Vec<String>,
    /// Where `file` must stay. Links are the caller's to resolve.
    pub sandbox_path: Option<String>,
    /// What a template may cost.
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

/// What a pass is told about the world, secrets apart.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Environment {
    /// What `timestamp` says.
    pub now: SystemTime,
    /// What `env` knows.
    pub variables: BTreeMap<String, String>,
    /// The template's own file.
    pub destination: Option<String>,
    /// Where random functions start.
    pub seed: u64,
}

impl Default for Environment {
    fn default() -> Self {
        Self {
            now: UNIX_EPOCH,
            variables: BTreeMap::new(),
            destination: None,
            seed: 0,
        }
    }
}

/// What the caller must do once a pass is complete.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Effect {
    /// `writeToFile`.
    WriteFile {
        /// Where.
        path: String,
        /// Name or number; empty keeps the owner.
        user: String,
        /// Name or number; empty keeps the group.
        group: String,
        /// Permission bits.
        mode: u32,
        /// Whether the content goes to the end of the file.
        appends: bool,
        /// What is written.
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
    /// What else it asks for, in order.
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
    /// What is odd about it; no values.
    pub message: String,
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // People count columns from 1.
        write!(f, "{}:{}: {}", self.line, self.column + 1, self.message)
    }
}

/// One parsed text.
pub struct Template {
    source: Text,
    /// None in Handlebars.
    bodies: Bodies,
    #[cfg(feature = "handlebars")]
    handlebars: Option<crate::handlebars::Program>,
    options: Options,
}

impl fmt::Debug for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Template").finish_non_exhaustive()
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

impl Template {
    /// Parses a text. Unknown functions and undeclared variables are found here, even in dead branches.
    pub fn parse(text: &[u8], options: &Options) -> Result<Self, Error> {
        let parsed = match options.engine {
            Engine::Go => Self::parse_go(text, options),
            Engine::Handlebars => Self::parse_handlebars(text, options),
        };
        parsed.map_err(|error| match options.engine.hint(text) {
            Some(hint) if error.kind() == ErrorKind::Parse => error.with_hint(hint),
            Some(_) | None => error,
        })
    }

    #[cfg(feature = "handlebars")]
    fn parse_handlebars(text: &[u8], options: &Options) -> Result<Self, Error> {
        let is_usual = |delimiter: &str, usual| delimiter.is_empty() || delimiter == usual;
        if !is_usual(&options.left_delimiter, "{{") || !is_usual(&options.right_delimiter, "}}") {
            return Err(Error::parse(
                1,
                "handlebars has no delimiters but {{ and }}",
            ));
        }
        Ok(Self {
            source: Text::from(text),
            bodies: Bodies::new(),
            handlebars: Some(crate::handlebars::Program::parse(text, options)?),
            options: options.clone(),
        })
    }

    #[cfg(not(feature = "handlebars"))]
    fn parse_handlebars(_: &[u8], _: &Options) -> Result<Self, Error> {
        Err(Error::parse(1, "this program was built without handlebars"))
    }

    fn parse_go(text: &[u8], options: &Options) -> Result<Self, Error> {
        let limit = options.limits.source;
        if text.len() > limit {
            let message = format!("template is larger than {limit} bytes");
            return Err(Error::parse(1, &message).into_limit());
        }
        let or = |delimiter: &'_ str, default: &'static str| -> String {
            if delimiter.is_empty() {
                default.to_owned()
            } else {
                delimiter.to_owned()
            }
        };
        let left = or(&options.left_delimiter, "{{");
        let right = or(&options.right_delimiter, "}}");
        let delimiters = Delimiters {
            left: left.as_bytes(),
            right: right.as_bytes(),
        };
        let resolve = |name: &[u8]| {
            let function = functions::find(name)?;
            let denied = &options.denied_functions;
            let is_denied = denied
                .iter()
                .any(|pattern| matches_pattern(pattern, function.name))
                && functions::is_deniable(function);
            Some(if is_denied {
                functions::denied(function)
            } else {
                function
            })
        };
        let source = Text::from(text);
        let bodies = parse::parse(&source, delimiters, &resolve, options.limits.nesting)?;
        Ok(Self {
            source,
            bodies,
            #[cfg(feature = "handlebars")]
            handlebars: None,
            options: options.clone(),
        })
    }

    /// Runs the template once. While answers are missing the text and even an error count for nothing:
    /// what is not known yet may be the cause.
    ///
    /// A pass is pure and may take as long as [`Limits`] let it, up to seconds: a program with an event loop calls this
    /// outside of it.
    pub fn render(&self, answers: &Answers, environment: &Environment) -> Result<Pass, Error> {
        self.pass(answers, environment, Value::Nil)
    }

    /// Like [`Template::render`], with a JSON document as dot; its numbers keep their digits.
    pub fn render_with(
        &self,
        document: &[u8],
        answers: &Answers,
        environment: &Environment,
    ) -> Result<Pass, Error> {
        let dot =
            json::read(document).map_err(|failure| Error::parse(1, &failure.message(|_| false)))?;
        self.pass(answers, environment, dot)
    }

    pub(crate) fn source(&self) -> &[u8] {
        &self.source
    }

    pub(crate) fn bodies(&self) -> &Bodies {
        &self.bodies
    }

    pub(crate) fn options(&self) -> &Options {
        &self.options
    }

    fn pass(
        &self,
        answers: &Answers,
        environment: &Environment,
        dot: Value,
    ) -> Result<Pass, Error> {
        let mut run = Run::new(Input {
            source: &self.source,
            bodies: &self.bodies,
            options: &self.options,
            answers,
            environment,
        });
        #[cfg(feature = "handlebars")]
        let result = match &self.handlebars {
            Some(program) => program.run(&mut run, dot),
            None => run.main(dot),
        };
        #[cfg(not(feature = "handlebars"))]
        let result = run.main(dot);
        let rendered = std::mem::take(&mut run.out);
        let start = Position { line: 1, column: 0 };
        let result = result.and_then(|()| {
            let text = self.options.output.of(rendered);
            text.map_err(|failure| run.stop_at(start, "", &failure))
        });
        let Gathered {
            used,
            missing,
            effects,
            warnings,
        } = run.gathered;
        match result {
            _ if !missing.is_empty() => Ok(Pass::Waiting { missing, used }),
            Err(error) => Err(*error),
            Ok(text) => Ok(Pass::Complete(Rendered {
                text,
                used,
                effects,
                warnings,
            })),
        }
    }
}

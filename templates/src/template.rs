//! A template: parsed once, rendered whenever its answers change.

use std::fmt;

use planescape_vault::Text;

use crate::context::Gathered;
use crate::engine::Engine;
use crate::error::{Error, ErrorKind, Position};
use crate::exec::{Input, Run};
use crate::functions;
use crate::json;
use crate::lex::Delimiters;
use crate::options::{self, Environment, Options};
use crate::parse::{self, Bodies};
use crate::pass::{Pass, Rendered};
use crate::request::Answers;
use crate::value::Value;

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
                .any(|pattern| options::matches_pattern(pattern, function.name))
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
    /// an answer that is not known yet may be the cause.
    ///
    /// A pass is pure and may take as long as [`Limits`](crate::Limits) let it, up to seconds: a program with an event loop calls this
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

    /// The text that was parsed.
    #[must_use]
    pub fn source(&self) -> &[u8] {
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
            ..
        } = run.context.gathered;
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

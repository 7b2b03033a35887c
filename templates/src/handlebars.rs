//! Handlebars: the crate `handlebars` reads the text, with its rules about white space; everything
//! else is ours. Its tree is checked and lowered into our own, with helpers and paths resolved, and
//! runs on the values of the Go dialect, so that secrets are wiped, numbers keep their digits, and
//! limits hold in both.

mod helpers;
mod logic;
mod lower;
mod model;
mod path;
mod render;
mod scan;
mod tree;

use crate::error::{Error, Position};
use crate::exec::{Run, Stop};
use crate::options::Options;
use crate::value::Value;

/// Bytes of a text.
const LARGEST_SOURCE: usize = 256 << 10;

/// One parsed text.
pub(crate) struct Program(Vec<tree::Node>);

impl Program {
    pub(crate) fn parse(text: &[u8], options: &Options) -> Result<Self, Error> {
        let limit = options.limits.source.min(LARGEST_SOURCE);
        if text.len() > limit {
            let message = format!("template is larger than {limit} bytes");
            return Err(Error::parse(1, &message).into_limit());
        }
        let source = std::str::from_utf8(text).map_err(|error| {
            let words = "a Handlebars template must be UTF-8";
            refusal(text, error.valid_up_to(), words)
        })?;
        let raw_texts = scan::check(source, options.limits.nesting)?;
        let parsed = ::handlebars::Template::compile(source).map_err(|error| {
            let (line, column) = error.pos().unwrap_or((1, 1));
            let offset = tree::Tag { line, column }.offset(source);
            // Blocks and tags were found to be whole, so that it can only be about one tag.
            refusal(text, offset, "this tag cannot be read")
        })?;
        lower::Lowering::new(source, options, raw_texts)
            .nodes(parsed)
            .map(Self)
    }

    pub(crate) fn run(&self, run: &mut Run<'_>, this: Value) -> Result<(), Stop> {
        render::Renderer::new(run, this).nodes(&self.0)
    }
}

/// A text that is no template, with the place where that shows.
fn refusal(source: &[u8], offset: usize, words: &str) -> Error {
    let Position { line, column } = Position::of(offset, source);
    Error::parse(line, words).at(column)
}

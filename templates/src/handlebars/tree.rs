//! The meaning of a Handlebars text, once every name in it is resolved.

use planescape_vault::Text;
use planescape_vault::json::Datum;

use super::helpers::Helper;
use super::path::Path;

pub(super) enum Node {
    Text(Text),
    Value(Tag, Expression),
    Block(Tag, Box<Block>),
}

/// The line and the column at which a tag starts, counted from 1, the column in characters.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Tag {
    pub(super) line: usize,
    pub(super) column: usize,
}

impl Tag {
    /// The same place in bytes from the start.
    pub(super) fn offset(self, source: &str) -> usize {
        let before: usize = source
            .split_inclusive('\n')
            .take(self.line - 1)
            .map(str::len)
            .sum();
        let line = &source[before..];
        let within = line.char_indices().nth(self.column - 1);
        before + within.map_or(line.len(), |(offset, _)| offset)
    }
}

pub(super) enum Expression {
    Literal(Datum),
    Path(Path),
    Call(Call),
}

pub(super) struct Call {
    pub(super) helper: &'static Helper,
    pub(super) arguments: Vec<Expression>,
    /// `name=value`, by name.
    pub(super) named: Vec<(String, Expression)>,
}

pub(super) struct Block {
    pub(super) kind: Kind,
    pub(super) subject: Expression,
    /// The names that `as |…|` gives to the value, and to its key or index.
    pub(super) names: Vec<String>,
    pub(super) body: Vec<Node>,
    pub(super) otherwise: Option<Vec<Node>>,
}

pub(super) enum Kind {
    /// Also `unless`, where the truth is turned round.
    If {
        is_negated: bool,
        include_zero: Option<Expression>,
    },
    With,
    Each,
}

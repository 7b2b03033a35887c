//! A parsed template. Every node knows its offset in the text, and prints as Go prints it in errors.

use std::fmt::{self, Display};

use planescape_vault::Text;

use crate::function::Function;

/// A variable's name, as a number that is unique within its template.
pub(crate) type Name = u32;

pub(crate) enum Node {
    Text(Text),
    Action(usize, Pipe),
    If(Branch),
    With(Branch),
    Range(Branch),
    Template {
        offset: usize,
        name: Text,
        pipe: Option<Pipe>,
    },
    Break,
    Continue,
}

pub(crate) type List = Vec<Node>;

pub(crate) struct Branch {
    pub(crate) offset: usize,
    pub(crate) pipe: Pipe,
    pub(crate) list: List,
    pub(crate) otherwise: Option<List>,
}

pub(crate) struct Pipe {
    pub(crate) offset: usize,
    pub(crate) declared: Vec<Variable>,
    pub(crate) assigns: bool,
    pub(crate) commands: Vec<Command>,
}

pub(crate) struct Command {
    pub(crate) args: Vec<Term>,
}

pub(crate) struct Variable {
    pub(crate) name: Name,
    pub(crate) text: Text,
}

/// A chain of field names and where errors about it point.
pub(crate) struct Fields {
    pub(crate) offset: usize,
    pub(crate) names: Vec<Text>,
}

pub(crate) enum Term {
    Bool(usize, bool),
    Dot(usize),
    Nil(usize),
    Number(usize, Number),
    Text {
        offset: usize,
        quoted: Text,
        text: Text,
    },
    Field(Fields),
    Variable(Variable, Fields),
    Function(usize, &'static Function),
    Chain(Box<Self>, Fields),
    Pipe(Box<Pipe>),
}

/// A literal that may be of several types at once.
#[derive(Default)]
pub(crate) struct Number {
    pub(crate) text: Text,
    pub(crate) int: Option<i64>,
    pub(crate) uint: Option<u64>,
    pub(crate) float: Option<f64>,
    pub(crate) complex: Option<(f64, f64)>,
}

impl Term {
    pub(crate) fn offset(&self) -> usize {
        match self {
            Self::Bool(offset, _)
            | Self::Dot(offset)
            | Self::Nil(offset)
            | Self::Number(offset, _)
            | Self::Text { offset, .. }
            | Self::Function(offset, _) => *offset,
            Self::Field(fields) | Self::Variable(_, fields) | Self::Chain(_, fields) => {
                fields.offset
            }
            Self::Pipe(pipe) => pipe.offset,
        }
    }
}

fn bytes(text: &[u8]) -> std::borrow::Cow<'_, str> {
    String::from_utf8_lossy(text)
}

impl Display for Fields {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.names
            .iter()
            .try_for_each(|name| write!(f, ".{}", bytes(name)))
    }
}

impl Display for Term {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bool(_, truth) => write!(f, "{truth}"),
            Self::Dot(_) => f.write_str("."),
            Self::Nil(_) => f.write_str("nil"),
            Self::Number(_, number) => f.write_str(&bytes(&number.text)),
            Self::Text { quoted, .. } => f.write_str(&bytes(quoted)),
            Self::Field(fields) => fields.fmt(f),
            Self::Variable(variable, fields) => {
                write!(f, "{}{fields}", bytes(&variable.text))
            }
            Self::Function(_, function) => f.write_str(function.name),
            Self::Chain(term, fields) => match &**term {
                Self::Pipe(pipe) => write!(f, "({pipe}){fields}"),
                term => write!(f, "{term}{fields}"),
            },
            Self::Pipe(pipe) => pipe.fmt(f),
        }
    }
}

impl Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, arg) in self.args.iter().enumerate() {
            if index > 0 {
                f.write_str(" ")?;
            }
            match arg {
                Term::Pipe(pipe) => write!(f, "({pipe})")?,
                arg => arg.fmt(f)?,
            }
        }
        Ok(())
    }
}

impl Display for Pipe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, variable) in self.declared.iter().enumerate() {
            let separator = if index > 0 { ", " } else { "" };
            write!(f, "{separator}{}", bytes(&variable.text))?;
        }
        if !self.declared.is_empty() {
            f.write_str(if self.assigns { " = " } else { " := " })?;
        }
        for (index, command) in self.commands.iter().enumerate() {
            let separator = if index > 0 { " | " } else { "" };
            write!(f, "{separator}{command}")?;
        }
        Ok(())
    }
}

/// Prints a list of nodes as one text.
pub(crate) struct Listed<'n>(pub(crate) &'n [Node]);

impl Display for Listed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|node| node.fmt(f))
    }
}

fn write_branch(f: &mut fmt::Formatter<'_>, word: &str, branch: &Branch) -> fmt::Result {
    write!(f, "{{{{{word} {}}}}}{}", branch.pipe, Listed(&branch.list))?;
    if let Some(otherwise) = &branch.otherwise {
        write!(f, "{{{{else}}}}{}", Listed(otherwise))?;
    }
    f.write_str("{{end}}")
}

impl Display for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => f.write_str(&bytes(text)),
            Self::Action(_, pipe) => write!(f, "{{{{{pipe}}}}}"),
            Self::If(branch) => write_branch(f, "if", branch),
            Self::With(branch) => write_branch(f, "with", branch),
            Self::Range(branch) => write_branch(f, "range", branch),
            Self::Template { name, pipe, .. } => {
                let name = crate::quote::quoted(name);
                write!(f, "{{{{template {name}")?;
                if let Some(pipe) = pipe {
                    write!(f, " {pipe}")?;
                }
                f.write_str("}}")
            }
            Self::Break => f.write_str("{{break}}"),
            Self::Continue => f.write_str("{{continue}}"),
        }
    }
}

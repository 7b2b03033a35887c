//! Runs a parsed template: control actions here, expressions in [`eval`], calls in [`call`].

mod call;
mod check;
mod eval;
mod variables;

use std::fmt::Display;
use std::rc::Rc;

use planescape_vault::Text;

use crate::ast::{Branch, Command, Name, Node, Pipe, Term};
use crate::context::Context;
use crate::error::{Error, Failure, Position};
use crate::fmt;
use crate::function::pay_written;
use crate::meter::{PRINTED, check_length};
use crate::options::{Environment, Options};
use crate::parse::Bodies;
use crate::pass::Warning;
use crate::request::{Answer, Answers};
use crate::value::{Kind, Map, Place, Value};

use variables::Variables;

/// Room for the text that most templates make.
const USUAL: usize = 4096;

/// Boxed, because a result travels through every level of evaluation.
pub(crate) type Stop = Box<Error>;

/// The part of a template that an error is about.
#[derive(Clone, Copy)]
enum At<'t> {
    Start,
    Node(&'t Node),
    Pipe(&'t Pipe),
    Command(&'t Command),
    Term(&'t Term),
}

enum Flow {
    Next,
    Break,
    Continue,
}

/// The inputs of one pass over a template.
#[derive(Clone, Copy)]
pub(crate) struct Input<'t> {
    pub(crate) source: &'t [u8],
    pub(crate) bodies: &'t Bodies,
    pub(crate) options: &'t Options,
    pub(crate) answers: &'t Answers,
    pub(crate) environment: &'t Environment,
}

pub(crate) struct Run<'t> {
    pub(crate) context: Context<'t>,
    pub(crate) source: &'t [u8],
    pub(crate) out: Vec<u8>,
    bodies: &'t Bodies,
    body: Text,
    at: At<'t>,
    variables: Variables,
    templates: usize,
    depth: usize,
    iterations: u64,
    /// Room for the arguments of calls, kept from earlier ones.
    spare: Vec<Vec<Place>>,
}

impl<'t> Run<'t> {
    pub(crate) fn new(input: Input<'t>) -> Self {
        Self {
            context: Context::new(input.options, input.answers, input.environment),
            source: input.source,
            out: Vec::with_capacity(input.source.len().min(USUAL)),
            bodies: input.bodies,
            body: Text::default(),
            at: At::Start,
            variables: Variables::default(),
            templates: 0,
            depth: 0,
            iterations: 0,
            spare: Vec::new(),
        }
    }

    /// Runs the main body with this dot.
    pub(crate) fn main(&mut self, dot: Value) -> Result<(), Stop> {
        let name = Text::default();
        self.run_body(&name, Place::from(dot)).map(|_| ())
    }

    /// Runs a named body into a text of its own.
    fn execute(&mut self, name: &Text, dot: Value) -> Result<Vec<u8>, Failure> {
        if !self.bodies.contains_key(name) {
            return Err(Failure::new("template: no template ")
                .quoted(name)
                .words(" associated with template \"\""));
        }
        // The text written so far is held only until the body has run.
        let held = self.out.len();
        self.context.meter.keep(held)?;
        let outer = std::mem::take(&mut self.out);
        let at = self.at;
        let result = self.run_body(name, Place::from(dot));
        self.at = at;
        if result.is_ok() {
            self.context.meter.memory -= held;
        }
        let text = std::mem::replace(&mut self.out, outer);
        match result {
            Ok(_) => Ok(text),
            Err(error) => {
                let text = error.to_string();
                let words = text.strip_prefix("execute: ").unwrap_or(&text);
                let mut failure = Failure::new(both_ends(words));
                failure.is_limit = error.kind() == crate::error::ErrorKind::Limit;
                Err(failure)
            }
        }
    }

    fn run_body(&mut self, name: &Text, dot: Place) -> Result<Flow, Stop> {
        let bodies = self.bodies;
        let Some((name, list)) = bodies.get_key_value(name) else {
            let name = crate::quote::quoted(name);
            return Err(self.error(&format!("template {name} not defined")));
        };
        let limit = self.context.meter.limits.template_depth;
        if self.templates > limit {
            return Err(self.limit(format!("exceeded maximum template depth ({limit})")));
        }
        let body = std::mem::replace(&mut self.body, name.clone());
        let outer = self.variables.enter();
        self.variables.push(0, dot.clone());
        self.templates += 1;
        let flow = self.walk(&dot, list);
        // The failing body's name is part of the error already.
        self.templates -= 1;
        self.variables.leave(outer);
        self.body = body;
        flow
    }

    #[cold]
    #[inline(never)]
    fn stop(&self, failure: &Failure) -> Stop {
        let (offset, node) = match self.at {
            At::Start => (0, String::new()),
            At::Node(node) => (node_offset(node), node.to_string()),
            At::Pipe(pipe) => (pipe.offset, pipe.to_string()),
            At::Command(command) => (
                command.args.first().map_or(0, Term::offset),
                command.to_string(),
            ),
            At::Term(term) => (term.offset(), term.to_string()),
        };
        let node = both_ends(&node);
        self.stop_at(Position::of(offset, self.source), &node, failure)
    }

    /// Ties a failure to a place.
    pub(crate) fn stop_at(&self, position: Position, node: &str, failure: &Failure) -> Stop {
        let message = failure.message(|value| self.may_show(value));
        let body = String::from_utf8_lossy(&self.body);
        let error = Error::execute(position, &body, node, message);
        let error = error.without(&self.secret_leaves());
        Box::new(if failure.is_limit {
            error.into_limit()
        } else {
            error
        })
    }

    /// Once secrets were read, errors repeat only the template's own texts.
    fn may_show(&self, value: &[u8]) -> bool {
        let has_secrets = self
            .context
            .gathered
            .used
            .iter()
            .any(|request| self.context.answers.contains(request));
        !has_secrets || value.is_empty() || crate::bytes::contains(self.source, value)
    }

    fn secret_leaves(&self) -> Vec<Text> {
        const SHORTEST: usize = 4;
        let mut leaves = Vec::new();
        for request in &self.context.gathered.used {
            if let Some(Answer::Secret(Some(secret))) = self.context.answers.get(request) {
                secret.data().leaves(&mut |leaf| {
                    if leaf.len() >= SHORTEST {
                        leaves.push(leaf.clone());
                    }
                });
            }
        }
        leaves
    }

    #[cold]
    #[inline(never)]
    fn error(&self, words: &str) -> Stop {
        self.stop(&Failure::new(words))
    }

    #[cold]
    #[inline(never)]
    fn limit(&self, words: String) -> Stop {
        self.stop(&Failure::limit(words))
    }

    #[cold]
    #[inline(never)]
    fn exhausted(&self) -> Stop {
        let limit = self.context.meter.limits.work;
        self.limit(format!("the template does more than {limit} units of work"))
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), Stop> {
        let limit = self.context.meter.limits.output;
        let fits = check_length(self.out.len() + bytes.len(), limit);
        fits.map_err(|failure| self.stop(&failure))?;
        self.context.meter.work += bytes.len();
        self.out.extend_from_slice(bytes);
        Ok(())
    }

    /// Runs `inner` one level deeper, or refuses.
    fn deeper<T>(&mut self, inner: impl FnOnce(&mut Self) -> Result<T, Stop>) -> Result<T, Stop> {
        let limit = self.context.meter.limits.evaluation_depth;
        if self.depth >= limit {
            return Err(self.limit(format!("evaluation is nested deeper than {limit} levels")));
        }
        self.depth += 1;
        let result = inner(self);
        self.depth -= 1;
        result
    }

    fn walk(&mut self, dot: &Place, list: &'t [Node]) -> Result<Flow, Stop> {
        self.deeper(|run| {
            for node in list {
                match run.node(dot, node)? {
                    Flow::Next => {}
                    flow @ (Flow::Break | Flow::Continue) => return Ok(flow),
                }
            }
            Ok(Flow::Next)
        })
    }

    fn node(&mut self, dot: &Place, node: &'t Node) -> Result<Flow, Stop> {
        /// The cost of any node.
        const NODE: usize = 32;
        self.at = At::Node(node);
        self.context.meter.work += NODE;
        if self.context.meter.work > self.context.meter.limits.work {
            return Err(self.exhausted());
        }
        match node {
            Node::Text(text) => self.write(text)?,
            Node::Action(_, pipe) => {
                let value = self.pipeline(dot, pipe)?;
                if pipe.declared.is_empty() {
                    self.at = At::Node(node);
                    self.print(&value, node)?;
                }
            }
            Node::If(branch) => return self.branch(dot, branch, false),
            Node::With(branch) => return self.branch(dot, branch, true),
            Node::Range(branch) => return self.range(dot, branch),
            Node::Template { name, pipe, .. } => self.invoke(dot, name, pipe.as_ref())?,
            Node::Break => return Ok(Flow::Break),
            Node::Continue => return Ok(Flow::Continue),
        }
        Ok(Flow::Next)
    }

    // Kept apart from `node`, which calls itself through it, so that neither needs the stack of the other.
    #[inline(never)]
    fn invoke(&mut self, dot: &Place, name: &Text, pipe: Option<&'t Pipe>) -> Result<(), Stop> {
        /// The cost of finding a body, and of a frame for its variables.
        const BODY: usize = 160;
        self.context.meter.work = self.context.meter.work.saturating_add(BODY);
        if !self.bodies.contains_key(name) {
            let name = crate::quote::quoted(name);
            return Err(self.error(&format!("template {name} not defined")));
        }
        let limit = self.context.meter.limits.template_depth;
        if self.templates > limit {
            return Err(self.limit(format!("exceeded maximum template depth ({limit})")));
        }
        let dot = match pipe {
            Some(pipe) => self.pipeline(dot, pipe)?,
            None => Place::from(Value::Nil),
        };
        self.run_body(name, dot).map(|_| ())
    }

    #[inline(never)]
    fn print(&mut self, place: &Place, node: &dyn Display) -> Result<(), Stop> {
        match &place.value {
            Value::Text(text) | Value::Number(text) => return self.write(text),
            Value::Channel(_) => {
                let name = place.value.type_name();
                return Err(self.error(&format!("can't print {node} of type {name}")));
            }
            Value::Nil => self.warn_of_nothing(node),
            value => {
                let paid = pay_written(&mut self.context.meter, value, 0);
                paid.map_err(|failure| self.stop(&failure))?;
            }
        }
        let limit = self
            .context
            .meter
            .output_limit()
            .saturating_add(self.out.len());
        let limit = limit.min(self.context.meter.limits.output);
        let mut out = std::mem::take(&mut self.out);
        let before = out.len();
        let result = fmt::print(&mut out, &place.value, limit);
        self.context.meter.work += (out.len() - before) * PRINTED;
        self.out = out;
        result.map_err(|failure| match limit < self.context.meter.limits.output {
            true => self.stop(&self.context.meter.used_up()),
            false => self.stop(&failure),
        })
    }

    #[cold]
    #[inline(never)]
    fn warn_of_nothing(&mut self, node: &dyn Display) {
        let offset = match self.at {
            At::Node(node) => node_offset(node),
            At::Start | At::Pipe(_) | At::Command(_) | At::Term(_) => 0,
        };
        if !self.context.gathered.is_first_at(offset) {
            return;
        }
        let Position { line, column } = Position::of(offset, self.source);
        self.context.gathered.warnings.push(Warning {
            line,
            column,
            message: format!("{node} has no value; `<no value>` is written"),
        });
    }

    #[inline(never)]
    fn branch(&mut self, dot: &Place, branch: &'t Branch, changes_dot: bool) -> Result<Flow, Stop> {
        let mark = self.variables.len();
        let value = self.pipeline(dot, &branch.pipe)?;
        let flow = if value.value.is_true() {
            self.walk(if changes_dot { &value } else { dot }, &branch.list)
        } else {
            match &branch.otherwise {
                Some(list) => self.walk(dot, list),
                None => Ok(Flow::Next),
            }
        };
        self.variables.truncate(mark);
        flow
    }

    #[inline(never)]
    fn range(&mut self, dot: &Place, branch: &'t Branch) -> Result<Flow, Stop> {
        let outer = self.variables.len();
        let value = self.pipeline(dot, &branch.pipe)?.value;
        let ran = self.iterate(&value, branch)?;
        let flow = match &branch.otherwise {
            Some(list) if !ran => self.walk(dot, list)?,
            _ => Flow::Next,
        };
        self.variables.truncate(outer);
        // Go's inner range takes a `break` in its `else` for its own, but not a `continue`.
        Ok(match flow {
            Flow::Continue => Flow::Continue,
            Flow::Next | Flow::Break => Flow::Next,
        })
    }

    /// Visits every element; false if there was none.
    fn iterate(&mut self, value: &Value, branch: &'t Branch) -> Result<bool, Stop> {
        let does_nothing = branch.list.is_empty() && !branch.pipe.assigns;
        if does_nothing
            && matches!(value.kind(), Kind::List | Kind::Map)
            && let Some(turns) = value.len()
        {
            self.turn(turns as u64)?;
            return Ok(turns > 0);
        }
        match value {
            Value::Int(_) | Value::Int64(_) | Value::Uint64(_) | Value::Uint8(_) => {
                self.count(value, branch)
            }
            Value::List(items) => {
                let items = items.iter().cloned().map(Place::boxed);
                self.each(branch, indexed(items))
            }
            Value::Lists(items) => {
                let items = items.iter().cloned().map(Place::from);
                self.each(branch, indexed(items))
            }
            Value::Strings(items) => {
                let items = items.texts().map(|item| Value::Text(item).into());
                self.each(branch, indexed(items))
            }
            Value::Ints(items) => {
                let items = items.iter().map(|item| Value::Int(*item).into());
                self.each(branch, indexed(items))
            }
            Value::Map(map) => self.each_copied(map, branch),
            Value::StringMap(map) => self.each(
                branch,
                map.iter()
                    .map(|(key, item)| (text_key(key), Value::Text(item.clone()).into())),
            ),
            Value::AnyMap(entries) => self.each(
                branch,
                entries
                    .iter()
                    .map(|(key, item)| (Place::boxed(key.clone()), Place::boxed(item.clone()))),
            ),
            Value::Channel(channel) => {
                let channel = Rc::clone(channel);
                let received = std::iter::from_fn(move || {
                    let (next, end) = &*channel;
                    let n = next.get();
                    (n < *end).then(|| {
                        next.set(n + 1);
                        Value::Int64(n).into()
                    })
                });
                self.each(branch, indexed(received))
            }
            Value::Nil => Ok(false),
            Value::TypedNil(of) if of.kind() != Kind::Pointer => Ok(false),
            Value::Bool(_)
            | Value::Float(_)
            | Value::Complex(_)
            | Value::Text(_)
            | Value::Number(_)
            | Value::Object(_)
            | Value::TypedNil(_) => {
                let shown = fmt::display(value, 1_000).unwrap_or_default();
                Err(self.stop(&Failure::new("range can't iterate over ").plain(&shown)))
            }
        }
    }

    /// The body may change the map; Go's range works on a sorted copy too.
    fn each_copied(&mut self, map: &Map, branch: &'t Branch) -> Result<bool, Stop> {
        let held = map.borrow().len() * size_of::<(Place, Place)>();
        let paid = self.context.meter.charge(held);
        let paid = paid.and_then(|()| self.context.meter.keep(held));
        paid.map_err(|failure| self.stop(&failure))?;
        let entries: Vec<_> = map
            .borrow()
            .iter()
            .map(|(key, item)| (text_key(key), Place::boxed(item.clone())))
            .collect();
        let ran = self.each(branch, entries)?;
        self.context.meter.memory -= held;
        Ok(ran)
    }

    /// Counts from zero, in the type of the number.
    fn count(&mut self, value: &Value, branch: &'t Branch) -> Result<bool, Stop> {
        if branch.pipe.declared.len() > 1 {
            let shown = fmt::display(value, 100).unwrap_or_default();
            return Err(self.stop(
                &Failure::new("can't use ")
                    .plain(&shown)
                    .words(" to iterate over more than one variable"),
            ));
        }
        let end = value.as_int().map_or(0, |end| end.max(0) as u64);
        let end = value.as_uint().unwrap_or(end);
        let number = |n: u64| match value {
            Value::Int(_) => Value::Int(n as i64),
            Value::Int64(_) => Value::Int64(n as i64),
            Value::Uint8(_) => Value::Uint8(n as u8),
            _ => Value::Uint64(n),
        };
        let entries = (0..end).map(|n| (Value::Nil.into(), number(n).into()));
        self.each(branch, entries)
    }

    fn each(
        &mut self,
        branch: &'t Branch,
        entries: impl IntoIterator<Item = (Place, Place)>,
    ) -> Result<bool, Stop> {
        let mark = self.variables.len();
        let mut ran = false;
        for (key, item) in entries {
            ran = true;
            self.turn(1)?;
            self.assign_range(branch, key, &item)?;
            let flow = self.walk(&item, &branch.list)?;
            self.variables.truncate(mark);
            if let Flow::Break = flow {
                break;
            }
        }
        Ok(ran)
    }

    /// Counts turns of a range.
    fn turn(&mut self, turns: u64) -> Result<(), Stop> {
        self.iterations += turns;
        let limit = self.context.meter.limits.iterations;
        if self.iterations > limit {
            return Err(self.limit(format!("ranges take more than {limit} steps")));
        }
        Ok(())
    }

    fn assign_range(&mut self, branch: &Branch, key: Place, item: &Place) -> Result<(), Stop> {
        let pipe = &branch.pipe;
        match (pipe.declared.as_slice(), pipe.assigns) {
            ([one], true) => self.assign(one.name, &one.text, item.clone())?,
            ([first, second], true) => {
                self.assign(first.name, &first.text, key)?;
                self.assign(second.name, &second.text, item.clone())?;
            }
            ([_], false) => self.variables.set_last(0, item.clone()),
            ([_, _], false) => {
                self.variables.set_last(0, item.clone());
                self.variables.set_last(1, key);
            }
            _ => {}
        }
        Ok(())
    }

    fn assign(&mut self, name: Name, text: &[u8], place: Place) -> Result<(), Stop> {
        if let Some(before) = self.variables.set(name, place) {
            self.context.meter.give_back(&before.value);
            return Ok(());
        }
        let text = String::from_utf8_lossy(text);
        Err(self.error(&format!("undefined variable: {text}")))
    }
}

/// A message without its middle if it is long: templates that call templates say at each level what the level below said.
fn both_ends(words: &str) -> String {
    const START: usize = 4 << 10;
    const END: usize = 12 << 10;
    if words.len() <= START + END {
        return words.to_owned();
    }
    let start = &words[..words.floor_char_boundary(START)];
    let end = &words[words.ceil_char_boundary(words.len() - END)..];
    format!("{start} … {end}")
}

fn text_key(key: &Text) -> Place {
    Value::Text(key.clone()).into()
}

fn indexed(items: impl Iterator<Item = Place>) -> impl Iterator<Item = (Place, Place)> {
    items
        .enumerate()
        .map(|(index, item)| (Value::Int(index as i64).into(), item))
}

fn node_offset(node: &Node) -> usize {
    match node {
        Node::Action(offset, _) | Node::Template { offset, .. } => *offset,
        Node::If(branch) | Node::With(branch) | Node::Range(branch) => branch.offset,
        Node::Text(_) | Node::Break | Node::Continue => 0,
    }
}

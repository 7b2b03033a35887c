//! Runs a Handlebars tree. A missing value gives null and the run goes on, so that one pass learns as many
//! requests as it can.

use planescape_vault::Text;

use crate::error::{Failure, Position};
use crate::exec::{Run, Stop};
use crate::json::kept;
use crate::meter::check_length;
use crate::value::Value;

use super::helpers::Arguments;
use super::logic;
use super::model;
use super::path::{Path, Start, Step};
use super::tree::{Block, Call, Expression, Kind, Node, Tag};

pub(super) struct Renderer<'r, 't> {
    run: &'r mut Run<'t>,
    scopes: Vec<Scope>,
    tag: Tag,
    steps: u64,
}

/// One block that changes what names mean.
struct Scope {
    this: Value,
    names: Vec<(String, Value)>,
    step: Option<EachStep>,
}

/// One step of `each`.
#[derive(Clone)]
struct EachStep {
    /// The key, in an object only.
    key: Option<Text>,
    index: usize,
    is_first: bool,
    is_last: bool,
}

impl EachStep {
    fn value(&self, step: Step) -> Option<Value> {
        match step {
            Step::Key => self.key.clone().map(Value::Text),
            Step::Index => Some(Value::Int(i64::try_from(self.index).unwrap_or(i64::MAX))),
            Step::First => Some(Value::Bool(self.is_first)),
            Step::Last => Some(Value::Bool(self.is_last)),
        }
    }
}

impl<'r, 't> Renderer<'r, 't> {
    pub(super) fn new(run: &'r mut Run<'t>, this: Value) -> Self {
        let root = Scope {
            this,
            names: Vec::new(),
            step: None,
        };
        Self {
            run,
            scopes: vec![root],
            tag: Tag { line: 1, column: 1 },
            steps: 0,
        }
    }

    pub(super) fn nodes(&mut self, nodes: &[Node]) -> Result<(), Stop> {
        for node in nodes {
            self.count()?;
            match node {
                Node::Text(text) => self.write(text)?,
                Node::Value(tag, expression) => {
                    self.tag = *tag;
                    let value = self.value(expression)?;
                    let text = logic::text(&value).map_err(|failure| self.stop(&failure))?;
                    self.write(&text)?;
                }
                Node::Block(tag, block) => {
                    self.tag = *tag;
                    self.block(*tag, block)?;
                }
            }
        }
        Ok(())
    }

    fn stop(&self, failure: &Failure) -> Stop {
        let source = self.run.source;
        let text =
            std::str::from_utf8(source).expect("a Handlebars template was UTF-8 when parsed");
        let offset = self.tag.offset(text);
        self.run.stop_at(
            Position::of(offset, source),
            &shown(&text[offset..]),
            failure,
        )
    }

    /// Every element of every step counts, so that no loop is endless, however little it writes.
    fn count(&mut self) -> Result<(), Stop> {
        /// The cost of a node, or of a step.
        const NODE: usize = 32;
        let paid = self.run.context.meter.charge(NODE);
        paid.map_err(|failure| self.stop(&failure))?;
        self.steps += 1;
        let limit = self.run.context.options.limits.iterations;
        if self.steps > limit {
            let words = format!("rendering takes more than {limit} steps");
            return Err(self.stop(&Failure::limit(words)));
        }
        Ok(())
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), Stop> {
        let limit = self.run.context.meter.output_limit();
        let fits = check_length(self.run.out.len() + bytes.len(), limit);
        fits.map_err(|failure| self.stop(&failure))?;
        self.run.out.extend_from_slice(bytes);
        Ok(())
    }

    fn block(&mut self, tag: Tag, block: &Block) -> Result<(), Stop> {
        let subject = self.found(&block.subject)?;
        match &block.kind {
            Kind::If {
                is_negated,
                include_zero,
            } => {
                let includes_zero = match include_zero {
                    Some(expression) => self.value(expression)?.is_true(),
                    None => false,
                };
                let is_true = subject.is_some_and(|value| logic::is_true(&value, includes_zero));
                if is_true == *is_negated {
                    self.otherwise(block)
                } else {
                    self.nodes(&block.body)
                }
            }
            Kind::With => match self.given(subject, block)? {
                value if logic::is_true(&value, false) => {
                    let step = self.scopes.last().and_then(|scope| scope.step.clone());
                    self.inside(value, None, step, block)
                }
                _ => self.otherwise(block),
            },
            Kind::Each => {
                let subject = self.given(subject, block)?;
                self.each(tag, &subject, block)
            }
        }
    }

    fn otherwise(&mut self, block: &Block) -> Result<(), Stop> {
        match &block.otherwise {
            Some(nodes) => self.nodes(nodes),
            None => Ok(()),
        }
    }

    /// A block may lack its value only if it says what to do then.
    fn given(&self, subject: Option<Value>, block: &Block) -> Result<Value, Stop> {
        match (subject, &block.subject) {
            (Some(value), _) => Ok(value),
            (None, Expression::Path(path)) if block.otherwise.is_none() => self.missing(path),
            (None, _) => Ok(Value::Nil),
        }
    }

    fn each(&mut self, tag: Tag, subject: &Value, block: &Block) -> Result<(), Stop> {
        /// The cost of handing on one entry.
        const ENTRY: usize = 8;
        let entries: Vec<(Option<Text>, Value)> = match subject {
            Value::Nil => Vec::new(),
            Value::List(items) => items.iter().map(|item| (None, item.clone())).collect(),
            Value::Map(entries) => {
                let entries = entries.borrow();
                let entries = entries.iter();
                entries
                    .map(|(key, item)| (Some(key.clone()), item.clone()))
                    .collect()
            }
            value => {
                let sort = logic::sort(value);
                let words = format!("each takes a list or an object, and got {sort}");
                return Err(self.stop(&Failure::new(words)));
            }
        };
        if entries.is_empty() {
            return self.otherwise(block);
        }
        let held = entries.len() * size_of::<(Option<Text>, Value)>();
        let meter = &mut self.run.context.meter;
        let paid = meter.charge(entries.len() * ENTRY);
        let paid = paid.and_then(|()| meter.keep(held));
        paid.map_err(|failure| self.stop(&failure))?;
        let last = entries.len() - 1;
        for (index, (key, item)) in entries.into_iter().enumerate() {
            self.tag = tag;
            self.count()?;
            let step = EachStep {
                key,
                index,
                is_first: index == 0,
                is_last: index == last,
            };
            let key = step.value(Step::Key).or_else(|| step.value(Step::Index));
            self.inside(item, key, Some(step), block)?;
        }
        self.run.context.meter.memory -= held;
        Ok(())
    }

    fn inside(
        &mut self,
        this: Value,
        key: Option<Value>,
        step: Option<EachStep>,
        block: &Block,
    ) -> Result<(), Stop> {
        let values = [Some(this.clone()), key].into_iter().flatten();
        let names = block.names.iter().cloned().zip(values).collect();
        self.scopes.push(Scope { this, names, step });
        let result = self.nodes(&block.body);
        self.scopes.pop();
        result
    }

    /// The value of an expression; a path that leads nowhere is null, or an error.
    fn value(&mut self, expression: &Expression) -> Result<Value, Stop> {
        match (self.found(expression)?, expression) {
            (Some(value), _) => Ok(value),
            (None, Expression::Path(path)) => self.missing(path),
            (None, _) => Ok(Value::Nil),
        }
    }

    fn missing(&self, path: &Path) -> Result<Value, Stop> {
        let is_strict = self.run.context.options.error_on_missing_key;
        if !is_strict || !self.run.context.gathered.missing.is_empty() {
            return Ok(Value::Nil);
        }
        let raw = &path.raw;
        Err(self.stop(&Failure::new(format!("there is no `{raw}`"))))
    }

    /// The value of an expression; nothing where a path leads nowhere.
    fn found(&mut self, expression: &Expression) -> Result<Option<Value>, Stop> {
        match expression {
            Expression::Literal(literal) => Ok(Some(kept(literal))),
            Expression::Path(path) => Ok(self.look_up(path)),
            Expression::Call(call) => self.call(call).map(Some),
        }
    }

    fn look_up(&mut self, path: &Path) -> Option<Value> {
        /// The cost of one segment, and of one block around it. The next node looks whether they can be paid.
        const SEGMENT: usize = 24;
        let around = self.scopes.len() + path.segments.len();
        self.run.context.meter.work += around * SEGMENT;
        let scope = self.scopes.len().checked_sub(1 + path.ups)?;
        let mut segments = path.segments.as_slice();
        let mut value = match &path.start {
            Start::Root => self.scopes[0].this.clone(),
            Start::Step(step) => self.scopes[scope].step.as_ref()?.value(*step)?,
            Start::This => self.scopes[scope].this.clone(),
            Start::Name => match segments
                .split_first()
                .and_then(|(name, _)| self.named(name))
            {
                Some(value) => {
                    segments = &segments[1..];
                    value
                }
                None => self.scopes[scope].this.clone(),
            },
        };
        for segment in segments {
            value = model::field(&value, segment)?;
        }
        Some(value)
    }

    fn named(&self, name: &str) -> Option<Value> {
        let names = self.scopes.iter().rev().flat_map(|scope| &scope.names);
        let mut values = names.filter(|(own, _)| own == name);
        values.next().map(|(_, value)| value.clone())
    }

    fn call(&mut self, call: &Call) -> Result<Value, Stop> {
        let mut arguments = Arguments::default();
        for argument in &call.arguments {
            let value = if call.helper.accepts_nothing {
                self.found(argument)?.unwrap_or(Value::Nil)
            } else {
                self.value(argument)?
            };
            arguments.values.push(value);
        }
        for (name, expression) in &call.named {
            let value = self.value(expression)?;
            arguments.named.push((name, value));
        }
        match call.helper.run(&mut self.run.context, &arguments) {
            // It may have failed for want of an answer that is not known yet.
            Err(failure) if !failure.is_limit && !self.run.context.gathered.missing.is_empty() => {
                Ok(Value::Nil)
            }
            Err(failure) => {
                let name = call.helper.name;
                Err(self.stop(&failure.under(format!("{name}: "))))
            }
            Ok(value) => Ok(value),
        }
    }
}

/// A tag as errors show it.
fn shown(source: &str) -> String {
    const LONGEST: usize = 60;
    let end = source.find("}}").map_or(source.len(), |end| end + 2);
    let tag = source[..end].replace(char::is_whitespace, " ");
    match tag.char_indices().nth(LONGEST) {
        Some((cut, _)) => format!("{}…", &tag[..cut]),
        None => tag,
    }
}

//! Goes through every branch of a template with what is known about dot and the variables.

use std::collections::{BTreeSet, HashMap};
use std::rc::Rc;

use planescape_vault::Text;

use crate::ast::{Branch, Command, Fields, Name, Node, Pipe, Term, Variable};
use crate::functions;
use crate::request::Request;
use crate::responses::Responses;
use crate::template::Template;
use crate::value::{Place, Value};

use super::shape::{Kind, Shape};
use super::{Finding, MOST, Rule, at, calls, paths};

pub(super) fn findings(template: &Template, responses: Option<&Responses>) -> Vec<Finding> {
    let mut walk = Walk {
        text: template.source(),
        responses,
        variables: Vec::new(),
        places: HashMap::new(),
        reassigned: BTreeSet::new(),
        findings: calls::findings(template),
    };
    for list in template.bodies().values() {
        walk.note_assignments(list);
    }
    for list in template.bodies().values() {
        walk.forget(0);
        walk.list(&Shape::Unknown, list);
    }
    walk.findings
}

struct Walk<'t> {
    text: &'t [u8],
    responses: Option<&'t Responses>,
    variables: Vec<(Name, Shape)>,
    /// The places of the variables of each name, the innermost last.
    places: HashMap<Name, Vec<usize>>,
    /// Variables whose value depends on the way there.
    reassigned: BTreeSet<Name>,
    findings: Vec<Finding>,
}

impl Walk<'_> {
    fn note_assignments(&mut self, list: &[Node]) {
        for node in list {
            let (pipe, inner): (Option<&Pipe>, Vec<&[Node]>) = match node {
                Node::Action(_, pipe) => (Some(pipe), Vec::new()),
                Node::If(branch) | Node::With(branch) | Node::Range(branch) => {
                    let otherwise = branch.otherwise.as_deref();
                    let lists = std::iter::once(&branch.list[..]).chain(otherwise);
                    (Some(&branch.pipe), lists.collect())
                }
                Node::Template { pipe, .. } => (pipe.as_ref(), Vec::new()),
                Node::Text(_) | Node::Break | Node::Continue => (None, Vec::new()),
            };
            if let Some(pipe) = pipe.filter(|pipe| pipe.assigns) {
                let names = pipe.declared.iter().map(|variable| variable.name);
                self.reassigned.extend(names);
            }
            inner
                .into_iter()
                .for_each(|list| self.note_assignments(list));
        }
    }

    fn list(&mut self, dot: &Shape, list: &[Node]) {
        let mark = self.variables.len();
        for node in list {
            self.node(dot, node);
        }
        self.forget(mark);
    }

    fn node(&mut self, dot: &Shape, node: &Node) {
        if self.is_full() {
            return;
        }
        match node {
            Node::Action(_, pipe) => {
                self.pipe(dot, pipe);
            }
            Node::If(branch) => self.branch(dot, branch, |_| dot.clone()),
            Node::With(branch) => self.branch(dot, branch, Shape::clone),
            Node::Range(branch) => {
                self.range(dot, branch);
            }
            Node::Template { pipe, .. } => {
                if let Some(pipe) = pipe {
                    self.pipe(dot, pipe);
                }
            }
            Node::Text(_) | Node::Break | Node::Continue => {}
        }
    }

    fn branch(&mut self, dot: &Shape, branch: &Branch, inner: impl Fn(&Shape) -> Shape) {
        let mark = self.variables.len();
        let value = self.pipe(dot, &branch.pipe);
        self.list(&inner(&value), &branch.list);
        if let Some(otherwise) = &branch.otherwise {
            self.list(dot, otherwise);
        }
        self.forget(mark);
    }

    fn range(&mut self, dot: &Shape, branch: &Branch) {
        let mark = self.variables.len();
        let value = self.pipe(dot, &branch.pipe);
        if value.is_versioned_data() {
            let width = branch.pipe.to_string().len();
            let message = "ranges over `data` and `metadata` of a KV version 2 secret".to_owned();
            let finding = at(self.text, branch.pipe.offset, width, Rule::KvData, message);
            self.findings.push(Finding {
                suggestion: "range over `.Data.data`".to_owned(),
                ..finding
            });
        }
        // The elements are not what the pipeline gave.
        self.forget(mark);
        self.declare(&branch.pipe, &Shape::Unknown);
        self.list(&Shape::Unknown, &branch.list);
        if let Some(otherwise) = &branch.otherwise {
            self.list(dot, otherwise);
        }
        self.forget(mark);
    }

    fn declare(&mut self, pipe: &Pipe, shape: &Shape) {
        for Variable { name, .. } in &pipe.declared {
            let is_known = !self.reassigned.contains(name);
            let shape = if is_known { shape } else { &Shape::Unknown };
            let at = self.variables.len();
            self.places.entry(*name).or_default().push(at);
            self.variables.push((*name, shape.clone()));
        }
    }

    fn pipe(&mut self, dot: &Shape, pipe: &Pipe) -> Shape {
        let mut value = Shape::Unknown;
        for (stage, command) in pipe.commands.iter().enumerate() {
            value = self.command(dot, command, (stage > 0).then_some(value));
        }
        if !pipe.assigns {
            self.declare(pipe, &value);
        }
        value
    }

    fn is_full(&self) -> bool {
        self.findings.len() >= MOST
    }

    fn command(&mut self, dot: &Shape, command: &Command, piped: Option<Shape>) -> Shape {
        if self.is_full() {
            return Shape::Unknown;
        }
        let Some((word, args)) = command.args.split_first() else {
            return Shape::Unknown;
        };
        let is_piped = piped.is_some();
        let mut last = piped.unwrap_or(Shape::Unknown);
        for arg in args {
            let shape = self.term(dot, arg);
            if !is_piped {
                last = shape;
            }
        }
        let Term::Function(offset, function) = word else {
            return self.term(dot, word);
        };
        self.escapes(*offset, function.name, &last);
        if is_piped {
            return Shape::Unknown;
        }
        self.request(*offset, function.name, args)
    }

    /// Programs that read JSON take `\u0026` for `&`; others see it as it stands.
    fn escapes(&mut self, offset: usize, function: &str, operand: &Shape) {
        let instead = match function {
            "toJSON" => "toUnescapedJSON",
            "toJSONPretty" => "toUnescapedJSONPretty",
            _ => return,
        };
        if operand.is_escaped_in_json() {
            let message =
                format!("{function} writes `&`, `<` and `>` as `\\u0026`, `\\u003c` and `\\u003e`");
            let finding = at(
                self.text,
                offset,
                function.len(),
                Rule::EscapedJson,
                message,
            );
            self.findings.push(Finding {
                suggestion: format!("write `{instead}` where what reads it does not parse JSON"),
                ..finding
            });
        }
    }

    fn term(&mut self, dot: &Shape, term: &Term) -> Shape {
        match term {
            Term::Dot(_) => dot.clone(),
            Term::Field(fields) => self.fields(dot, fields),
            Term::Variable(variable, fields) => {
                let shape = self.variable(variable);
                self.fields(&shape, fields)
            }
            Term::Chain(inner, fields) => {
                let shape = self.term(dot, inner);
                self.fields(&shape, fields)
            }
            Term::Pipe(pipe) => self.pipe(dot, pipe),
            Term::Function(..)
            | Term::Bool(..)
            | Term::Nil(_)
            | Term::Number(..)
            | Term::Text { .. } => Shape::Unknown,
        }
    }

    fn variable(&self, variable: &Variable) -> Shape {
        let place = self
            .places
            .get(&variable.name)
            .and_then(|places| places.last());
        place.map_or(Shape::Unknown, |&at| self.variables[at].1.clone())
    }

    /// Forgets the variables above this length.
    fn forget(&mut self, length: usize) {
        for (name, _) in self.variables.drain(length.min(self.variables.len())..) {
            self.places.entry(name).or_default().pop();
        }
    }

    fn fields(&mut self, receiver: &Shape, fields: &Fields) -> Shape {
        if self.is_full() {
            return Shape::Unknown;
        }
        if let Some(bad) = receiver.refuse(&fields.names) {
            let rule = match bad.kind {
                Kind::SecretField => Rule::SecretField,
                Kind::KvData => Rule::KvData,
                Kind::MissingKey => Rule::MissingKey,
            };
            let offset = self.start(fields, bad.index);
            let width = fields.names[bad.index].len() + 1;
            let finding = at(self.text, offset, width, rule, bad.message);
            self.findings.push(match bad.suggestion {
                Some(suggestion) => Finding {
                    suggestion,
                    ..finding
                },
                None => finding,
            });
            return Shape::Unknown;
        }
        receiver.then(&fields.names)
    }

    /// The place at which a field of a chain begins; errors about a chain point at its second field.
    fn start(&self, fields: &Fields, index: usize) -> usize {
        let length = |names: &[Text]| names.iter().map(|name| name.len() + 1).sum::<usize>();
        let first = &fields.names[..1];
        // The whole chain is looked for, since its first two fields may be the same.
        let names = fields.names.iter();
        let chain: Vec<u8> = names.flat_map(|name| [b".", &**name].concat()).collect();
        let begin = [fields.offset, fields.offset.saturating_sub(length(first))]
            .into_iter()
            .find(|&begin| {
                self.text
                    .get(begin..)
                    .is_some_and(|text| text.starts_with(&chain))
            });
        begin.map_or(fields.offset, |begin| {
            begin + length(&fields.names[..index])
        })
    }

    /// The shape of a function's answer, where its arguments are written out.
    fn request(&mut self, offset: usize, function: &str, args: &[Term]) -> Shape {
        if function == "pkiCert" {
            return Shape::Certificate;
        }
        let texts: Option<Vec<Place>> = args
            .iter()
            .map(|arg| match arg {
                Term::Text { text, .. } => Some(Value::Text(text.clone()).into()),
                _ => None,
            })
            .collect();
        let Some(request) = texts.and_then(|texts| request(function, &texts)) else {
            return Shape::Unknown;
        };
        if let Some(responses) = self.responses
            && let Some((message, suggestion)) = paths::refuse(&request, responses)
        {
            let width = args.first().map_or(1, |path| path.to_string().len());
            let offset = args.first().map_or(offset, Term::offset);
            let finding = at(self.text, offset, width, Rule::KvPath, message);
            self.findings.push(Finding {
                suggestion,
                ..finding
            });
        }
        match request {
            Request::Read { .. } | Request::Write { .. } => {
                Shape::Of(Rc::new(paths::origin(&request, self.responses)), Vec::new())
            }
            Request::List { .. } | Request::Pki { .. } | Request::File { .. } => Shape::Unknown,
        }
    }
}

fn request(function: &str, texts: &[Place]) -> Option<Request> {
    match function {
        "secret" => functions::secret_request(texts).ok()?,
        "secrets" if texts.len() == 1 => functions::secrets_request(texts).ok()?,
        _ => None,
    }
}

//! Calls that can never succeed, whatever the data is.

use crate::ast::{Command, Node, Pipe, Term};
use crate::error::ErrorKind;
use crate::exec::{Input, Run, Stop};
use crate::options::{Environment, Limits, Options};
use crate::request::Answers;
use crate::template::Template;

use super::{Finding, MOST, Rule, at, located};
use crate::value::{Place, Type, Value};

/// The limits of one call while it is checked.
const LIMITS: Limits = Limits {
    source: usize::MAX,
    nesting: 500,
    template_depth: 1,
    evaluation_depth: 500,
    iterations: 1_000,
    output: 1 << 20,
    work: 1 << 22,
    memory: 1 << 22,
};

/// The work of all calls together while they are checked; the calls behind that are left alone.
const WORK: usize = 1 << 28;

/// Functions whose results depend on more than their arguments, or that are there to fail.
const OPEN: [&str; 14] = [
    "env",
    "envOrDefault",
    "executeTemplate",
    "file",
    "mustEnv",
    "pkiCert",
    "scratch",
    "secret",
    "secrets",
    "sprig_fail",
    "sprig_randInt",
    "sprig_shuffle",
    "timestamp",
    "writeToFile",
];

pub(super) fn findings(template: &Template) -> Vec<Finding> {
    let options = Options {
        limits: LIMITS,
        ..template.options().clone()
    };
    let (answers, environment) = (Answers::new(), Environment::default());
    let mut calls = Calls {
        input: Input {
            source: template.source(),
            bodies: template.bodies(),
            options: &options,
            answers: &answers,
            environment: &environment,
        },
        findings: Vec::new(),
        work: 0,
    };
    for list in template.bodies().values() {
        calls.list(list);
    }
    calls.findings
}

struct Calls<'t> {
    input: Input<'t>,
    findings: Vec<Finding>,
    /// The cost of the calls so far.
    work: usize,
}

impl<'t> Calls<'t> {
    fn list(&mut self, list: &'t [Node]) {
        for node in list {
            match node {
                Node::Action(_, pipe) => self.pipe(pipe),
                Node::If(branch) | Node::With(branch) | Node::Range(branch) => {
                    self.pipe(&branch.pipe);
                    self.list(&branch.list);
                    self.list(branch.otherwise.as_deref().unwrap_or_default());
                }
                Node::Template { offset, name, pipe } => {
                    if let Some(pipe) = pipe {
                        self.pipe(pipe);
                    }
                    if self.findings.len() < MOST && !self.input.bodies.contains_key(name) {
                        let shown = crate::quote::quoted(name);
                        let message = format!("template {shown} not defined");
                        let cure =
                            format!("define it here: `{{{{ define {shown} }}}}…{{{{ end }}}}`");
                        self.find_cured(*offset, shown.len(), message, cure);
                    }
                }
                Node::Text(_) | Node::Break | Node::Continue => {}
            }
        }
    }

    fn find_cured(&mut self, offset: usize, width: usize, message: String, suggestion: String) {
        let finding = at(self.input.source, offset, width, Rule::Call, message);
        self.findings.push(Finding {
            suggestion,
            ..finding
        });
    }

    fn find(&mut self, offset: usize, width: usize, message: String) {
        let finding = at(self.input.source, offset, width, Rule::Call, message);
        self.findings.push(finding);
    }

    /// Finds texts that these functions refuse, and values from the pipe that they do not take.
    fn written(&mut self, pipe: &'t Pipe) {
        let mut comes: Option<Type> = None;
        for command in &pipe.commands {
            let Some((Term::Function(offset, function), args)) = command.args.split_first() else {
                return;
            };
            if let Some(comes) = comes {
                let last = function.parameter(args.len());
                let is_number = matches!(
                    function.name,
                    "add" | "subtract" | "multiply" | "divide" | "modulo" | "minimum" | "maximum"
                );
                let takes = matches!(last, Type::Any | Type::Raw) || last == comes;
                if !takes || is_number {
                    let (name, comes) = (function.name, comes.name());
                    let wanted = if is_number { "a number" } else { last.name() };
                    let message = format!("{name} takes {wanted}, and the pipe brings {comes}");
                    return self.find(*offset, name.len(), message);
                }
            }
            let texts: Option<Vec<Place>> = args
                .iter()
                .map(|arg| match arg {
                    Term::Text { text, .. } => Some(Value::Text(text.clone()).into()),
                    _ => None,
                })
                .collect();
            if let (Some(texts), "secret", None) = (texts, function.name, comes)
                && let Err(failure) = crate::functions::secret_request(&texts)
            {
                let message = format!("error calling secret: {}", failure.message(|_| true));
                if !message.starts_with("error calling secret: not k=v pair") {
                    return self.find(*offset, function.name.len(), message);
                }
                let cure = "write a parameter as `name=value`, and a field of the secret as `(secret PATH).Data…`";
                return self.find_cured(*offset, function.name.len(), message, cure.to_owned());
            }
            comes = match function.name {
                "secret" => Some(Type::Secret),
                "secrets" => Some(Type::Strings),
                "timestamp" | "file" | "env" | "mustEnv" | "envOrDefault" => Some(Type::Text),
                _ => None,
            };
        }
    }

    /// Inner calls come first: a mistake there is the reason for mistakes outside.
    fn pipe(&mut self, pipe: &'t Pipe) {
        if self.findings.len() >= MOST {
            return;
        }
        let before = self.findings.len();
        for arg in pipe.commands.iter().flat_map(|command| &command.args) {
            self.inner(arg);
        }
        if self.findings.len() > before {
            return;
        }
        let finding = if is_closed(pipe) {
            self.attempt(|run| run.evaluate(pipe))
        } else {
            let mut commands = pipe.commands.iter().enumerate();
            commands.find_map(|(stage, command)| {
                self.attempt(|run| run.check_call(command, stage > 0, &is_known))
            })
        };
        match finding {
            Some(finding) => self.findings.push(finding),
            None => self.written(pipe),
        }
    }

    fn inner(&mut self, term: &'t Term) {
        match term {
            Term::Pipe(pipe) => self.pipe(pipe),
            Term::Chain(term, _) => self.inner(term),
            Term::Bool(..)
            | Term::Dot(_)
            | Term::Nil(_)
            | Term::Number(..)
            | Term::Text { .. }
            | Term::Field(_)
            | Term::Variable(..)
            | Term::Function(..) => {}
        }
    }

    fn attempt(&mut self, act: impl FnOnce(&mut Run<'t>) -> Result<(), Stop>) -> Option<Finding> {
        /// The cost of making a run.
        const RUN: usize = 1_000;
        if self.work > WORK {
            return None;
        }
        let mut run = Run::new(self.input);
        let outcome = act(&mut run);
        self.work += RUN + run.context.meter.work;
        let error = outcome.err()?;
        // Being expensive is no mistake.
        (error.kind() != ErrorKind::Limit).then(|| located(self.input.source, Rule::Call, &error))
    }
}

fn is_closed(pipe: &Pipe) -> bool {
    let is_whole = |command: &Command| command.args.iter().all(is_known);
    pipe.commands.iter().all(is_whole)
}

/// Whether a term means the same whatever the data is.
fn is_known(term: &Term) -> bool {
    match term {
        Term::Bool(..) | Term::Nil(_) | Term::Number(..) | Term::Text { .. } => true,
        Term::Function(_, function) => !OPEN.contains(&function.name),
        Term::Pipe(pipe) => pipe.declared.is_empty() && is_closed(pipe),
        Term::Dot(_) | Term::Field(_) | Term::Variable(..) | Term::Chain(..) => false,
    }
}

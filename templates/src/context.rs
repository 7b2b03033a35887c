//! The parts of a pass that functions use: answers, environment, the meter, and what they gather.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use planescape_vault::Text;

use crate::error::Failure;
use crate::meter::Meter;
use crate::object::Object;
use crate::options::{Environment, Options};
use crate::pass::{Effect, Warning};
use crate::regex::Patterns;
use crate::request::{Answer, Answers, Request};
use crate::secret;
use crate::value::{Type, Value};

/// Everything that one pass has gathered.
#[derive(Default)]
pub(crate) struct Gathered {
    pub(crate) used: BTreeSet<Request>,
    pub(crate) missing: BTreeSet<Request>,
    pub(crate) effects: Vec<Effect>,
    pub(crate) warnings: Vec<Warning>,
    /// The places of the actions that a warning is about.
    warned: BTreeSet<usize>,
}

impl Gathered {
    /// Whether the action at this place is still to be warned about: one in a range is told once, and only
    /// some of very many places are.
    pub(crate) fn is_first_at(&mut self, offset: usize) -> bool {
        const MOST: usize = 100;
        self.warned.len() < MOST && self.warned.insert(offset)
    }
}

pub(crate) struct Context<'t> {
    pub(crate) options: &'t Options,
    pub(crate) answers: &'t Answers,
    pub(crate) environment: &'t Environment,
    pub(crate) meter: Meter,
    pub(crate) gathered: Gathered,
    pub(crate) scratch: Rc<Object>,
    /// Random functions draw from here.
    pub(crate) random: u64,
    pub(crate) patterns: Patterns,
    /// How the first operand of a running `call` is written; nothing if it came through a pipe.
    pub(crate) callee: Option<String>,
    /// Secrets as values, so that one pass sees each of them once.
    known: BTreeMap<Request, Value>,
}

impl<'t> Context<'t> {
    pub(crate) fn new(
        options: &'t Options,
        answers: &'t Answers,
        environment: &'t Environment,
    ) -> Self {
        Self {
            options,
            answers,
            environment,
            meter: Meter::new(options.limits),
            gathered: Gathered::default(),
            scratch: Rc::new(Object::Scratch(RefCell::default())),
            random: environment.seed,
            patterns: Patterns::default(),
            callee: None,
            known: BTreeMap::new(),
        }
    }

    /// The answer to a request, which is noted as used, and as missing if there is none.
    pub(crate) fn ask(&mut self, request: Request) -> Option<&'t Answer> {
        let answer = self.answers.get(&request);
        if answer.is_none() {
            self.gathered.missing.insert(request.clone());
        }
        self.gathered.used.insert(request);
        answer
    }

    /// The value of an answer, made once in a pass.
    pub(crate) fn value_of(&mut self, request: Request) -> Result<Option<Value>, Failure> {
        if let Some(value) = self.known.get(&request) {
            return Ok(Some(value.clone()));
        }
        if !self.gathered.used.contains(&request) {
            self.meter.keep(held(&request))?;
        }
        let Some(answer) = self.ask(request.clone()) else {
            return Ok(None);
        };
        let value = match answer {
            Answer::Secret(Some(secret)) => secret::value(secret),
            // A read that is known to find nothing looks like one that has found nothing yet.
            Answer::Secret(None) if matches!(request, Request::Read { .. }) => Value::Nil,
            Answer::Secret(None) => Value::TypedNil(Type::Secret),
            Answer::List(keys) if keys.is_empty() => Value::TypedNil(Type::Strings),
            Answer::List(keys) => {
                let mut keys: Vec<_> = keys.iter().map(|key| Text::from(key.as_str())).collect();
                keys.sort();
                Value::strings(keys)
            }
            Answer::Pki(certificate) => certificate.value(),
            Answer::File(content) => Value::Text(content.clone()),
        };
        self.known.insert(request, value.clone());
        Ok(Some(value))
    }
}

/// The memory of a request in the sets that name it.
fn held(request: &Request) -> usize {
    const REQUEST: usize = 256;
    const PARAMETER: usize = 128;
    let (path, parameters) = match request {
        Request::Read { path } | Request::List { path } | Request::File { path } => (path, None),
        Request::Write { path, parameters }
        | Request::Pki {
            path, parameters, ..
        } => (path, Some(parameters)),
    };
    let parameters: usize = parameters
        .into_iter()
        .flatten()
        .map(|(key, value)| PARAMETER + key.len() + value.len())
        .sum();
    3 * (REQUEST + path.len() + parameters)
}

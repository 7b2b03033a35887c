//! What functions use of a pass: answers, environment, the meter, and what they gather.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use planescape_vault::Text;

use crate::meter::Meter;
use crate::object::Object;
use crate::options::{Environment, Options};
use crate::pass::{Effect, Warning};
use crate::regex::Patterns;
use crate::request::{Answer, Answers, Request};
use crate::secret;
use crate::value::{Type, Value};

/// What one pass has gathered.
#[derive(Default)]
pub(crate) struct Gathered {
    pub(crate) used: BTreeSet<Request>,
    pub(crate) missing: BTreeSet<Request>,
    pub(crate) effects: Vec<Effect>,
    pub(crate) warnings: Vec<Warning>,
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
    pub(crate) fn value_of(&mut self, request: Request) -> Option<Value> {
        if let Some(value) = self.known.get(&request) {
            return Some(value.clone());
        }
        let value = match self.ask(request.clone())? {
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
        Some(value)
    }
}

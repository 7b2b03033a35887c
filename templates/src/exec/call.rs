//! Calls: how many arguments, of which types, in which order they are evaluated.

use crate::ast::Term;
use crate::error::Failure;
use crate::function::Function;
use crate::value::{Kind, Place, Type, Value};

use super::{At, Run, Stop};

/// The arguments of a function: operands as written, and the value that came through the pipe.
pub(super) struct Arguments<'t> {
    pub(super) args: &'t [Term],
    pub(super) piped: Option<Place>,
}

impl Arguments<'_> {
    pub(super) fn is_empty(&self) -> bool {
        self.args.is_empty() && self.piped.is_none()
    }

    fn count(&self) -> usize {
        self.args.len() + usize::from(self.piped.is_some())
    }
}

impl<'t> Run<'t> {
    pub(super) fn check_count(
        &self,
        function: &Function,
        arguments: &Arguments<'_>,
    ) -> Result<(), Stop> {
        let name = function.name;
        let wanted = function.params.len();
        let got = arguments.count();
        if function.variadic.is_some() {
            if got < wanted {
                let got = arguments.args.len();
                return Err(self.error(&format!(
                    "wrong number of args for {name}: want at least {wanted} got {got}"
                )));
            }
        } else if got != wanted {
            return Err(self.error(&format!(
                "wrong number of args for {name}: want {wanted} got {got}"
            )));
        }
        Ok(())
    }

    /// Calls a function, or a method of `receiver`.
    pub(super) fn call(
        &mut self,
        dot: &Place,
        (function, receiver): (&'static Function, Option<Value>),
        at: At<'t>,
        arguments: Arguments<'t>,
    ) -> Result<Place, Stop> {
        self.check_count(function, &arguments)?;
        let mut values = self.spare.pop().unwrap_or_default();
        values.extend(receiver.map(Place::from));
        let receivers = values.len();
        for term in arguments.args {
            let of = function.parameter(values.len() - receivers);
            let value = self.argument(dot, of, term)?;
            values.push(value);
        }
        if let Some(piped) = arguments.piped {
            let of = function.parameter(values.len() - receivers);
            let value = self.fitted(piped, of)?;
            values.push(value);
        }
        self.context.callee = match (function.name, arguments.args.first()) {
            ("call", Some(callee)) => Some(callee.to_string()),
            _ => None,
        };
        let result = self.guarded(function, &values);
        for place in values.drain(..) {
            self.context.meter.give_back(&place.value);
        }
        self.spare.push(values);
        result.map_err(|failure| {
            self.at = at;
            self.stop(&failure.under(format!("error calling {}: ", function.name)))
        })
    }

    fn guarded(&mut self, function: &Function, values: &[Place]) -> Result<Place, Failure> {
        function.pay(&mut self.context.meter, values)?;
        let is_short = self.context.meter.output_limit() < self.context.meter.limits.output;
        let result = match function.name {
            "executeTemplate" => self.execute_template(values),
            _ => (function.call)(&mut self.context, values),
        };
        let meter = &self.context.meter;
        let value = result.map_err(|failure| {
            match failure.is_of_room() && is_short && meter.memory <= meter.limits.memory {
                // The room that is left is smaller than the limit of a text; the work before has used it up.
                true => meter.used_up(),
                false => failure,
            }
        })?;
        function.take(&mut self.context.meter, &value)?;
        Ok(value.into())
    }

    /// The outcome of a named body as a text.
    fn execute_template(&mut self, values: &[Place]) -> Result<Value, Failure> {
        let (name, dot) = match values {
            [name] => (name, Value::Nil),
            [name, dot] => (name, dot.value.clone()),
            _ => {
                let count = values.len();
                return Err(Failure::new(format!(
                    "executeTemplate: wrong number of arguments, expected 1 or 2, but got {count}"
                )));
            }
        };
        let name = name.value.as_text().cloned().unwrap_or_default();
        self.execute(&name, dot).map(Value::text)
    }

    /// The genuine `and` and `or` stop at the first argument that decides.
    pub(super) fn short_circuit(
        &mut self,
        dot: &Place,
        function: &'static Function,
        decisive: bool,
        arguments: Arguments<'t>,
    ) -> Result<Place, Stop> {
        self.check_count(function, &arguments)?;
        let mut last = Place::from(Value::Nil);
        for term in arguments.args {
            last = self.argument(dot, Type::Raw, term)?;
            if last.value.is_true() == decisive {
                return Ok(last);
            }
        }
        match arguments.piped {
            Some(piped) => self.fitted(piped, Type::Raw),
            None => Ok(last),
        }
    }

    pub(super) fn argument(
        &mut self,
        dot: &Place,
        of: Type,
        term: &'t Term,
    ) -> Result<Place, Stop> {
        if let Some(place) = self.operand(dot, term) {
            return self.fitted(place?, of);
        }
        self.at = At::Term(term);
        if let Term::Nil(_) = term {
            if of.can_be_nil() {
                return Ok(self.nil_of(of));
            }
            return Err(self.error(&format!("cannot assign nil to {}", of.name())));
        }
        let (value, wanted) = match (of, term) {
            (Type::Any | Type::Raw, _) => return self.literal(term),
            (Type::Bool, Term::Bool(_, truth)) => (Some(Value::Bool(*truth)), ""),
            (Type::Text, Term::Text { text, .. }) => (Some(Value::Text(text.clone())), ""),
            (_, Term::Number(_, number)) => match of {
                Type::Int => (number.int.map(Value::Int), "integer"),
                Type::Int64 => (number.int.map(Value::Int64), "integer"),
                Type::Uint64 => (number.uint.map(Value::Uint64), "unsigned integer"),
                Type::Float => (number.float.map(Value::Float), "float"),
                _ => (None, literal_name(of)),
            },
            _ => (None, literal_name(of)),
        };
        match value {
            Some(value) => Ok(value.into()),
            None if wanted.is_empty() => Err(self.error(&format!(
                "can't handle {term} for arg of type {}",
                of.name()
            ))),
            None => Err(self.error(&format!("expected {wanted}; found {term}"))),
        }
    }

    fn nil_of(&self, of: Type) -> Place {
        match of {
            Type::Any => Place::boxed(Value::Nil),
            of => of.zero().into(),
        }
    }

    /// Checks an evaluated value against a parameter's type.
    pub(super) fn fitted(&mut self, place: Place, of: Type) -> Result<Place, Stop> {
        if place.is_invalid() {
            if of.can_be_nil() {
                return Ok(self.nil_of(of));
            }
            return Err(self.error(&format!("invalid value; expected {}", of.name())));
        }
        match of {
            Type::Raw => return Ok(place),
            Type::Any => return Ok(place.value.into()),
            _ => {}
        }
        if place.value.type_of() == Some(of) {
            return Ok(place.value.into());
        }
        let got = if place.value.is_nil() {
            "interface {}"
        } else {
            place.value.type_name()
        };
        Err(self.error(&format!(
            "wrong type for value; expected {}; got {got}",
            of.name()
        )))
    }
}

/// How a literal of a type is called; nothing for types without literals.
fn literal_name(of: Type) -> &'static str {
    match of.kind() {
        Kind::Bool => "bool",
        Kind::Text => "string",
        Kind::Int => "integer",
        Kind::Uint => "unsigned integer",
        Kind::Float => "float",
        Kind::Complex => "complex",
        Kind::Invalid | Kind::List | Kind::Map | Kind::Pointer | Kind::Struct | Kind::Channel => "",
    }
}

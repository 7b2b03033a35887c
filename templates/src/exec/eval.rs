//! Pipelines, commands, fields and variables.

use crate::ast::{Command, Fields, Number, Pipe, Term, Variable};
use crate::error::Failure;
use crate::function::Function;
use crate::object::{self, Object};
use crate::quote;
use crate::value::{Kind, Place, Value};

use super::call::Arguments;
use super::{At, Run, Stop};

/// The costs of evaluating a term and finding a field. A chain is never longer than its template, so it is enough that
/// the next node looks whether they can be paid.
const TERM: usize = 16;
const FIELD: usize = 24;

impl<'t> Run<'t> {
    pub(super) fn pipeline(&mut self, dot: &Place, pipe: &'t Pipe) -> Result<Place, Stop> {
        self.at = At::Pipe(pipe);
        let mut piped: Option<Place> = None;
        for command in &pipe.commands {
            let place = self.command(dot, command, piped)?;
            // A value that sat in an interface is taken out of it.
            piped = Some(place.value.into());
        }
        let place = piped.unwrap_or_else(|| Value::Nil.into());
        self.context.meter.work += pipe.declared.len() * TERM;
        for variable in &pipe.declared {
            if pipe.assigns {
                self.assign(variable.name, &variable.text, place.clone())?;
            } else {
                self.variables.push(variable.name, place.clone());
            }
        }
        Ok(place)
    }

    fn command(
        &mut self,
        dot: &Place,
        command: &'t Command,
        piped: Option<Place>,
    ) -> Result<Place, Stop> {
        let (word, args) = command
            .args
            .split_first()
            .expect("the parser refuses empty commands");
        self.context.meter.work += TERM;
        let arguments = Arguments { args, piped };
        match word {
            Term::Field(fields) => {
                self.at = At::Term(word);
                return self.fields(dot, dot.clone(), (word, fields), arguments);
            }
            Term::Chain(term, fields) => {
                self.at = At::Term(word);
                let receiver = self.chain_receiver(dot, word, term)?;
                return self.fields(dot, receiver, (word, fields), arguments);
            }
            Term::Function(_, function) => {
                self.at = At::Term(word);
                return self.function(dot, function, At::Command(command), arguments);
            }
            Term::Pipe(pipe) => {
                self.no_arguments(word, &arguments)?;
                return self.deeper(|run| run.pipeline(dot, pipe));
            }
            Term::Variable(variable, fields) => {
                return self.variable(dot, word, (variable, fields), arguments);
            }
            Term::Bool(..) | Term::Dot(_) | Term::Nil(_) | Term::Number(..) | Term::Text { .. } => {
            }
        }
        self.at = At::Term(word);
        self.no_arguments(word, &arguments)?;
        match word {
            Term::Dot(_) => Ok(dot.clone()),
            Term::Nil(_) => Err(self.error("nil is not a command")),
            _ => self.literal(word),
        }
    }

    fn no_arguments(&self, word: &Term, arguments: &Arguments<'_>) -> Result<(), Stop> {
        if arguments.is_empty() {
            return Ok(());
        }
        let shown = match word {
            Term::Pipe(pipe) => pipe.to_string(),
            word => word.to_string(),
        };
        Err(self.error(&format!("can't give argument to non-function {shown}")))
    }

    fn chain_receiver(
        &mut self,
        dot: &Place,
        word: &'t Term,
        term: &'t Term,
    ) -> Result<Place, Stop> {
        if let Term::Nil(_) = term {
            return Err(self.error(&format!("indirection through explicit nil in {word}")));
        }
        let receiver = match self.operand(dot, term) {
            Some(receiver) => receiver?,
            None => Value::Nil.into(),
        };
        // Parentheses take a result out of its interface; without them a nil one stays in it.
        let stays = matches!(term, Term::Function(..)) && receiver.is_invalid();
        Ok(if stays {
            Place::boxed(Value::Nil)
        } else {
            receiver
        })
    }

    /// Evaluates a term that is not a literal; nothing for one that is.
    pub(super) fn operand(&mut self, dot: &Place, term: &'t Term) -> Option<Result<Place, Stop>> {
        self.at = At::Term(term);
        self.context.meter.work += TERM;
        let none = || Arguments {
            args: &[],
            piped: None,
        };
        Some(match term {
            Term::Dot(_) => Ok(dot.clone()),
            Term::Field(fields) => self.fields(dot, dot.clone(), (term, fields), none()),
            Term::Variable(variable, fields) => {
                self.variable(dot, term, (variable, fields), none())
            }
            Term::Pipe(pipe) => self.deeper(|run| run.pipeline(dot, pipe)),
            Term::Function(_, function) => self.function(dot, function, At::Term(term), none()),
            Term::Chain(inner, fields) => match self.chain_receiver(dot, term, inner) {
                Ok(receiver) => self.fields(dot, receiver, (term, fields), none()),
                Err(stop) => Err(stop),
            },
            Term::Bool(..) | Term::Nil(_) | Term::Number(..) | Term::Text { .. } => return None,
        })
    }

    /// A literal where any type will do.
    pub(super) fn literal(&mut self, term: &'t Term) -> Result<Place, Stop> {
        self.at = At::Term(term);
        Ok(match term {
            Term::Bool(_, truth) => Value::Bool(*truth),
            Term::Text { text, .. } => Value::Text(text.clone()),
            Term::Number(_, number) => self.ideal(number)?,
            _ => Value::Nil,
        }
        .into())
    }

    /// The type a number has by its looks.
    fn ideal(&self, number: &Number) -> Result<Value, Stop> {
        let text = &number.text;
        let is_hex =
            matches!(**text, [b'0', b'x' | b'X', _, ..]) && !text.iter().any(|c| b"pP".contains(c));
        let is_char = text.first() == Some(&b'\'');
        if let Some(complex) = number.complex {
            return Ok(Value::Complex(complex.into()));
        }
        if let Some(float) = number.float
            && !is_hex
            && !is_char
            && text.iter().any(|c| b".eEpP".contains(c))
        {
            return Ok(Value::Float(float));
        }
        match number.int {
            Some(int) => Ok(Value::Int(int)),
            None => {
                let text = String::from_utf8_lossy(text);
                Err(self.error(&format!("{text} overflows int")))
            }
        }
    }

    fn variable(
        &mut self,
        dot: &Place,
        term: &'t Term,
        (variable, fields): (&'t Variable, &'t Fields),
        arguments: Arguments<'t>,
    ) -> Result<Place, Stop> {
        self.at = At::Term(term);
        let Some(place) = self.variables.get(variable.name) else {
            let text = String::from_utf8_lossy(&variable.text);
            return Err(self.error(&format!("undefined variable: {text}")));
        };
        let place = place.clone();
        if fields.names.is_empty() {
            self.no_arguments(term, &arguments)?;
            return Ok(place);
        }
        self.fields(dot, place, (term, fields), arguments)
    }

    fn fields(
        &mut self,
        dot: &Place,
        receiver: Place,
        (term, fields): (&'t Term, &'t Fields),
        arguments: Arguments<'t>,
    ) -> Result<Place, Stop> {
        let (last, first) = fields
            .names
            .split_last()
            .expect("the parser makes no empty chains");
        self.context.meter.work += fields.names.len() * FIELD;
        let mut receiver = receiver;
        for name in first {
            let none = Arguments {
                args: &[],
                piped: None,
            };
            receiver = self.field(dot, (term, name), none, receiver)?;
        }
        self.field(dot, (term, last), arguments, receiver)
    }

    fn field(
        &mut self,
        dot: &Place,
        (term, name): (&'t Term, &'t [u8]),
        arguments: Arguments<'t>,
        receiver: Place,
    ) -> Result<Place, Stop> {
        let strict = self.context.options.error_on_missing_key;
        if receiver.is_invalid() {
            if strict {
                let name = quote::quoted(name);
                return Err(self.error(&format!("nil data; no entry for key {name}")));
            }
            return Ok(Value::Nil.into());
        }
        let shown = String::from_utf8_lossy(name);
        let type_name = receiver.type_name();
        if receiver.value.is_nil() {
            return Err(self.error(&format!("nil pointer evaluating {type_name}.{shown}")));
        }
        if let Some(method) = crate::functions::method(&receiver.value, name) {
            let at = At::Term(term);
            return self.call(dot, (method, Some(receiver.value)), at, arguments);
        }
        let has_arguments = !arguments.is_empty();
        match &receiver.value {
            Value::Object(object) => {
                let field = object.field(name);
                let is_hidden = name.first().is_some_and(u8::is_ascii_lowercase);
                if let Some(field) = field.filter(|_| !is_hidden) {
                    if has_arguments {
                        return Err(self.error(&format!(
                            "{shown} has arguments but cannot be invoked as function"
                        )));
                    }
                    return Ok(field.clone().into());
                }
                let is_store = matches!(&**object, Object::Scratch(_));
                if field.is_some() || is_store && matches!(name, b"once" | b"values") {
                    return Err(self.error(&format!(
                        "{shown} is an unexported field of struct type {type_name}"
                    )));
                }
            }
            Value::TypedNil(of) if of.kind() == Kind::Pointer && object::has_field(*of, name) => {
                return Err(self.error(&format!("nil pointer evaluating {type_name}.{shown}")));
            }
            value if value.kind() == Kind::Map => {
                if has_arguments {
                    return Err(self.error(&format!("{shown} is not a method but has arguments")));
                }
                return self.entry(value, name, strict);
            }
            _ => {}
        }
        let words = format!("can't evaluate field {shown} in type {type_name}");
        Err(self.stop(&Failure::new(words)))
    }

    fn entry(&self, map: &Value, name: &[u8], strict: bool) -> Result<Place, Stop> {
        let found = crate::functions::entry(map, name);
        match found {
            Some(place) => Ok(place),
            None if strict => {
                let name = quote::quoted(name);
                Err(self.error(&format!("map has no entry for key {name}")))
            }
            None => Ok(crate::functions::missing_entry(map)),
        }
    }

    fn function(
        &mut self,
        dot: &Place,
        function: &'static Function,
        at: At<'t>,
        arguments: Arguments<'t>,
    ) -> Result<Place, Stop> {
        match function.name {
            "and" => self.short_circuit(dot, function, false, arguments),
            "or" => self.short_circuit(dot, function, true, arguments),
            _ => self.call(dot, (function, None), at, arguments),
        }
    }
}

//! Everything a Handlebars text can call. Each helper says how many arguments it takes, so that a
//! wrong call is no template.

mod logic;
mod text;
mod world;

use std::ops::RangeInclusive;

use planescape_vault::Text;

use crate::context::Context;
use crate::error::Failure;
use crate::function::{Outcome, size};
use crate::functions;
use crate::value::{Place, Value};

use super::logic::{sort, text as text_of};

pub(super) struct Helper {
    pub(super) name: &'static str,
    /// How many arguments.
    pub(super) takes: RangeInclusive<usize>,
    /// Whether `name=value` may follow.
    pub(super) takes_named: bool,
    /// Whether a path that leads nowhere is null to it, and no error.
    pub(super) accepts_nothing: bool,
    call: fn(&mut Context<'_>, &Arguments<'_>) -> Outcome,
}

/// The arguments of a helper.
#[derive(Default)]
pub(super) struct Arguments<'a> {
    pub(super) values: Vec<Value>,
    pub(super) named: Vec<(&'a str, Value)>,
}

impl Helper {
    const fn new(
        name: &'static str,
        takes: RangeInclusive<usize>,
        call: fn(&mut Context<'_>, &Arguments<'_>) -> Outcome,
    ) -> Self {
        Self {
            name,
            takes,
            takes_named: false,
            accepts_nothing: false,
            call,
        }
    }

    const fn with_named(mut self) -> Self {
        self.takes_named = true;
        self
    }

    const fn accepting_nothing(mut self) -> Self {
        self.accepts_nothing = true;
        self
    }

    /// How many arguments, in words.
    pub(super) fn wanted(&self) -> String {
        match (*self.takes.start(), *self.takes.end()) {
            (least, MANY) => format!("{least} arguments or more"),
            (1, 1) => "1 argument".to_owned(),
            (least, most) if least == most => format!("{least} arguments"),
            (least, most) => format!("{least} to {most} arguments"),
        }
    }

    pub(super) fn run(&self, context: &mut Context<'_>, arguments: &Arguments<'_>) -> Outcome {
        context
            .meter
            .charge(arguments.values.iter().map(size).sum())?;
        let value = (self.call)(context, arguments)?;
        context.meter.charge(size(&value))?;
        Ok(value)
    }
}

/// No upper bound.
const MANY: usize = usize::MAX;

/// The helper of this name.
pub(super) fn find(name: &str) -> Option<&'static Helper> {
    let mut all = world::HELPERS
        .iter()
        .chain(text::HELPERS)
        .chain(logic::HELPERS);
    all.find(|helper| helper.name == name)
}

impl Arguments<'_> {
    fn value(&self, index: usize) -> &Value {
        self.values.get(index).unwrap_or(&Value::Nil)
    }

    fn text(&self, index: usize) -> Result<Text, Failure> {
        text_of(self.value(index))
    }
}

/// Calls a function of the Go dialect, whose arguments are texts.
fn go(context: &mut Context<'_>, function: &str, arguments: Vec<Value>) -> Outcome {
    let function = functions::find(function.as_bytes()).expect("the Go dialect has this function");
    let arguments: Vec<Place> = arguments.into_iter().map(Place::from).collect();
    function.pay(&mut context.meter, &arguments)?;
    let value = (function.call)(context, &arguments)?;
    function.take(&mut context.meter, &value)?;
    Ok(value)
}

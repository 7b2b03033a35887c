//! What a function is: its name, the types of its arguments, its code and its price.

use crate::context::Context;
use crate::error::Failure;
use crate::meter::Meter;
use crate::value::{Place, Type, Value};

/// What a function gives back.
pub(crate) type Outcome = Result<Value, Failure>;

/// The code of a function; arguments have the types it states.
pub(crate) type Call = fn(&mut Context<'_>, &[Place]) -> Outcome;

pub(crate) struct Function {
    pub(crate) name: &'static str,
    pub(crate) params: &'static [Type],
    pub(crate) variadic: Option<Type>,
    pub(crate) call: Call,
    /// What one byte or element of its arguments costs, in units of work.
    pub(crate) weight: usize,
    /// What it costs whatever it is given, besides what any call costs.
    pub(crate) base: usize,
}

impl Function {
    pub(crate) const fn new(name: &'static str, params: &'static [Type], call: Call) -> Self {
        Self {
            name,
            params,
            variadic: None,
            call,
            weight: 1,
            base: 0,
        }
    }

    /// Costs this much for each byte that it is given: measured where it is more than about a nanosecond.
    pub(crate) const fn weighing(mut self, units: usize) -> Self {
        self.weight = units;
        self
    }

    /// Costs this much whatever it is given: measured where small arguments take more than about 64 nanoseconds.
    pub(crate) const fn costing(mut self, units: usize) -> Self {
        self.base = units;
        self
    }

    /// Any number of these may follow.
    pub(crate) const fn rest(mut self, of: Type) -> Self {
        self.variadic = Some(of);
        self
    }

    /// Pays for a call with these arguments, before it is done.
    pub(crate) fn pay(&self, meter: &mut Meter, values: &[Place]) -> Result<(), Failure> {
        /// What any call costs, whatever it is given.
        const CALL: usize = 64;
        let read: usize = values.iter().map(|place| size(&place.value)).sum();
        meter.charge(CALL + self.base + read.saturating_mul(self.weight))
    }

    /// The type of the argument at this place.
    pub(crate) fn parameter(&self, index: usize) -> Type {
        self.params
            .get(index)
            .copied()
            .or(self.variadic)
            .unwrap_or(Type::Any)
    }
}

/// Pays for what a call has made.
pub(crate) fn take(meter: &mut Meter, value: &Value) -> Result<(), Failure> {
    meter.charge(size(value))?;
    meter.keep(held(value))
}

/// The memory that a new value may take: small texts are not worth counting until a list or a map holds them.
fn held(value: &Value) -> usize {
    const SMALL: usize = 256;
    const ELEMENT: usize = 32;
    const MAP: usize = 600;
    match value {
        Value::Text(text) | Value::Number(text) => text.len() / SMALL * SMALL,
        Value::Map(_) | Value::StringMap(_) | Value::AnyMap(_) => {
            MAP + value.len().unwrap_or(0) * 2 * ELEMENT
        }
        _ => value.len().map_or(0, |length| 64 + length * ELEMENT),
    }
}

/// Roughly how many bytes a value holds at its first level.
pub(crate) fn size(value: &Value) -> usize {
    const ELEMENT: usize = 16;
    match value {
        Value::Text(text) | Value::Number(text) => text.len(),
        _ => value.len().unwrap_or(1).saturating_mul(ELEMENT),
    }
}

//! A function: its name, the types of its arguments, its code and its price.

use planescape_vault::Text;

use crate::context::Context;
use crate::error::Failure;
use crate::meter::{ELEMENT, FLOAT, MAP, Meter};
use crate::value::{Place, Type, Value};

/// The result of a function.
pub(crate) type Outcome = Result<Value, Failure>;

/// The code of a function; arguments have the types it states.
pub(crate) type Call = fn(&mut Context<'_>, &[Place]) -> Outcome;

pub(crate) struct Function {
    pub(crate) name: &'static str,
    pub(crate) params: &'static [Type],
    pub(crate) variadic: Option<Type>,
    pub(crate) call: Call,
    /// The cost of one byte or element of its arguments, in units of work.
    pub(crate) weight: usize,
    /// Its fixed cost, besides that of any call.
    pub(crate) base: usize,
    /// Whether it looks at no more than one place of a list or a map.
    pub(crate) glances: bool,
    /// Whether it gives back what was there before.
    pub(crate) hands_on: bool,
    /// Whether it writes its arguments out, with all that is in them.
    pub(crate) writes: bool,
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
            glances: false,
            hands_on: false,
            writes: false,
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

    /// Looks at no more than one place of a list or a map, whose length costs nothing then: else a range would pay for the
    /// square of it.
    pub(crate) const fn glancing(mut self) -> Self {
        self.glances = true;
        self
    }

    /// Gives back what was there before, or pays itself for what it makes.
    pub(crate) const fn handing_on(mut self) -> Self {
        self.hands_on = true;
        self
    }

    /// Writes its arguments out, and pays for each of them that is dear to write.
    pub(crate) const fn writing(mut self) -> Self {
        self.writes = true;
        self
    }

    /// Any number of these may follow.
    pub(crate) const fn rest(mut self, of: Type) -> Self {
        self.variadic = Some(of);
        self
    }

    /// Pays for a call with these arguments, before it is done.
    pub(crate) fn pay(&self, meter: &mut Meter, values: &[Place]) -> Result<(), Failure> {
        /// The fixed cost of any call.
        const CALL: usize = 64;
        /// What handing over an argument costs.
        const ARGUMENT: usize = 16;
        let read: usize = match self.glances {
            true => values.iter().map(|place| surface(&place.value)).sum(),
            false => values.iter().map(|place| size(&place.value)).sum(),
        };
        let call = CALL + self.base + values.len() * ARGUMENT;
        meter.charge(call.saturating_add(read.saturating_mul(self.weight)))?;
        if self.writes {
            for place in values {
                pay_written(meter, &place.value, 0)?;
            }
        }
        Ok(())
    }

    /// Pays for what a call has made.
    pub(crate) fn take(&self, meter: &mut Meter, value: &Value) -> Result<(), Failure> {
        if self.hands_on {
            return Ok(());
        }
        meter.charge(size(value))?;
        let bytes = held(value);
        meter.keep(bytes)?;
        if let Value::List(items) = value {
            items.count(bytes);
        }
        Ok(())
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

/// Bytes of a text that is not counted when it is made.
const SMALL: usize = 256;

/// The memory of a text besides its bytes.
pub(crate) const TEXT: usize = 80;

/// The memory of what goes into a list or a map, as far as nobody has counted it when it was made.
pub(crate) fn uncounted(value: &Value) -> usize {
    /// A version, the largest of the values that are no lists, maps or texts.
    const VERSION: usize = 512;
    match value {
        // A part of a text holds the whole.
        Value::Text(text) | Value::Number(text) => TEXT + text.held() % SMALL,
        Value::Object(_) => VERSION,
        Value::Strings(_) => TEXT + SMALL,
        Value::Complex(_) | Value::Channel(_) => TEXT,
        _ => 0,
    }
}

/// The memory of a key of a map, as far as nobody has counted it when it was made.
pub(crate) fn uncounted_key(key: &Text) -> usize {
    key.held() % SMALL
}

/// The memory that a new value may take: small texts are not worth counting until a list or a map holds them.
fn held(value: &Value) -> usize {
    match value {
        Value::Text(text) | Value::Number(text) => text.len() / SMALL * SMALL,
        Value::Map(_) | Value::StringMap(_) | Value::AnyMap(_) => {
            MAP + value.len().unwrap_or(0) * 2 * ELEMENT
        }
        _ => value.len().map_or(0, |length| 64 + length * ELEMENT),
    }
}

/// Pays for what is dear to write in a value: finding the fewest digits of a float, or the day of a date, takes longer than
/// writing them.
pub(crate) fn pay_written(meter: &mut Meter, value: &Value, depth: usize) -> Result<(), Failure> {
    /// What a float costs that is a whole number.
    const WHOLE: usize = 128;
    /// Nobody writes what nests deeper.
    const DEEPEST: usize = 1_000;
    if depth > DEEPEST {
        return Ok(());
    }
    match value {
        Value::Float(number) if number.fract() == 0.0 && number.abs() < 1e15 => meter.charge(WHOLE),
        Value::Float(_) => meter.charge(FLOAT),
        Value::Complex(_) => meter.charge(2 * FLOAT),
        Value::Object(object) => {
            meter.charge(OBJECT)?;
            let mut fields = object.fields().iter();
            fields.try_for_each(|(_, field)| pay_written(meter, field, depth + 1))
        }
        Value::List(items) | Value::Lists(items) => {
            meter.charge(items.len() * LOOK)?;
            let mut items = items.iter();
            items.try_for_each(|item| pay_written(meter, item, depth + 1))
        }
        Value::Map(map) => {
            let map = map.borrow();
            meter.charge(map.len() * LOOK)?;
            let mut items = map.values();
            items.try_for_each(|item| pay_written(meter, item, depth + 1))
        }
        Value::AnyMap(entries) => {
            meter.charge(entries.len() * LOOK)?;
            entries.iter().try_for_each(|(key, item)| {
                pay_written(meter, key, depth + 1)?;
                pay_written(meter, item, depth + 1)
            })
        }
        _ => Ok(()),
    }
}

/// What a look at one element costs.
const LOOK: usize = 16;

/// What writing a date costs, or a version.
pub(crate) const OBJECT: usize = 640;

/// Roughly how many bytes a value holds at its first level.
pub(crate) fn size(value: &Value) -> usize {
    match value {
        Value::Text(text) | Value::Number(text) => text.len(),
        // Whoever asks a version for something reads the whole of it.
        Value::Object(object) if object.type_of() == Type::Version => {
            let texts = object.fields().iter().filter_map(|(_, own)| own.as_text());
            LOOK + texts.map(|text| text.len()).sum::<usize>()
        }
        _ => value.len().unwrap_or(1).saturating_mul(LOOK),
    }
}

/// What a look at one place of a value costs.
fn surface(value: &Value) -> usize {
    match value {
        Value::Text(_) | Value::Number(_) | Value::Object(_) => size(value),
        _ => LOOK,
    }
}

//! Comparing and choosing.

use crate::bytes;
use crate::context::Context;
use crate::error::Failure;
use crate::function::Outcome;
use crate::handlebars::logic::{equal, is_true, order};
use crate::handlebars::model::field;
use crate::value::Value;

use super::{Arguments, Helper, MANY, sort, text_of};

pub(super) const HELPERS: &[Helper] = &[
    Helper::new("eq", 2..=2, |_, args| {
        equal(args.value(0), args.value(1)).map(Value::Bool)
    }),
    Helper::new("ne", 2..=2, |_, args| {
        equal(args.value(0), args.value(1)).map(|is_equal| Value::Bool(!is_equal))
    }),
    Helper::new("lt", 2..=2, |_, args| {
        order(args.value(0), args.value(1)).map(|order| Value::Bool(order.is_lt()))
    }),
    Helper::new("gt", 2..=2, |_, args| {
        order(args.value(0), args.value(1)).map(|order| Value::Bool(order.is_gt()))
    }),
    Helper::new("and", 2..=MANY, |_, args| Ok(deciding(args, false))).accepting_nothing(),
    Helper::new("or", 2..=MANY, |_, args| Ok(deciding(args, true))).accepting_nothing(),
    Helper::new("not", 1..=1, |_, args| {
        Ok(Value::Bool(!is_true(args.value(0), false)))
    })
    .accepting_nothing(),
    Helper::new("default", 2..=2, |_, args| {
        let is_there = args.value(0).len() != Some(0) && !args.value(0).is_nil();
        Ok(args.value(usize::from(!is_there)).clone())
    })
    .accepting_nothing(),
    Helper::new("contains", 2..=2, contains),
];

/// The first argument that is as true as this, or the last.
fn deciding(args: &Arguments<'_>, truth: bool) -> Value {
    let mut values = args.values.iter();
    let deciding = values.find(|value| is_true(value, false) == truth);
    deciding
        .or(args.values.last())
        .cloned()
        .unwrap_or(Value::Nil)
}

fn contains(context: &mut Context<'_>, args: &Arguments<'_>) -> Outcome {
    let sought = args.value(1);
    let is_inside = match args.value(0) {
        Value::Nil => false,
        Value::Text(text) => bytes::contains(text, &text_of(sought)?),
        Value::List(items) => {
            context.meter.charge(items.len())?;
            let is_sought = |item: &Value| equal(item, sought).unwrap_or(false);
            items.iter().any(is_sought)
        }
        whole @ Value::Map(_) => match std::str::from_utf8(&text_of(sought)?) {
            Ok(name) => field(whole, name).is_some(),
            Err(_) => false,
        },
        value => {
            let sort = sort(value);
            return Err(Failure::new(format!("nothing can be inside {sort}")));
        }
    };
    Ok(Value::Bool(is_inside))
}

//! Truth, equality and order, as Handlebars has them: zero is false, and numbers are numbers.

use std::cmp::Ordering;

use planescape_vault::Text;

use crate::error::Failure;
use crate::number::parse_float;
use crate::value::Value;

/// Whether `if` takes it for true.
pub(super) fn is_true(value: &Value, includes_zero: bool) -> bool {
    match value {
        Value::Number(digits) => includes_zero || !is_zero(digits),
        Value::Int(0) => includes_zero,
        value => value.is_true(),
    }
}

fn is_zero(digits: &[u8]) -> bool {
    let mantissa = digits.split(|byte| matches!(byte, b'e' | b'E')).next();
    mantissa.is_none_or(|digits| !digits.iter().any(|digit| matches!(digit, b'1'..=b'9')))
}

/// The text that a value is written as; lists and maps have none.
pub(super) fn text(value: &Value) -> Result<Text, Failure> {
    match value {
        Value::Nil => Ok(Text::default()),
        Value::Text(text) | Value::Number(text) => Ok(text.clone()),
        Value::Bool(truth) => Ok(Text::from(if *truth { "true" } else { "false" })),
        Value::Int(number) => Ok(Text::from(number.to_string())),
        value => {
            let sort = sort(value);
            Err(Failure::new(format!(
                "{sort} has no text; write it with each, join, to_json or to_yaml"
            )))
        }
    }
}

/// The word for a value in a message.
pub(super) fn sort(value: &Value) -> &'static str {
    match value {
        Value::Nil => "nothing",
        Value::Bool(_) => "true or false",
        Value::Number(_) | Value::Int(_) => "a number",
        Value::Text(_) => "a text",
        Value::List(_) => "a list",
        _ => "an object",
    }
}

/// A number equals a text that is written like it.
pub(super) fn equal(one: &Value, other: &Value) -> Result<bool, Failure> {
    Ok(match (one, other) {
        (Value::Nil, other) => other.is_nil(),
        (one, Value::Nil) => one.is_nil(),
        (Value::List(_) | Value::Map(_), _) | (_, Value::List(_) | Value::Map(_)) => {
            return Err(Failure::new("lists and objects cannot be compared"));
        }
        (Value::Bool(one), Value::Bool(other)) => one == other,
        (Value::Bool(_), _) | (_, Value::Bool(_)) => false,
        (Value::Text(_), _) | (_, Value::Text(_)) => text(one)? == text(other)?,
        _ => order(one, other)?.is_eq(),
    })
}

pub(super) fn order(one: &Value, other: &Value) -> Result<Ordering, Failure> {
    match (one, other) {
        (Value::Text(one), Value::Text(other)) => Ok(one.cmp(other)),
        (Value::Number(_) | Value::Int(_), Value::Number(_) | Value::Int(_)) => {
            numbers(&text(one)?, &text(other)?)
        }
        _ => {
            let (one, other) = (sort(one), sort(other));
            Err(Failure::new(format!("{one} and {other} have no order")))
        }
    }
}

/// Whole numbers exactly, others as far as a float goes.
fn numbers(one: &[u8], other: &[u8]) -> Result<Ordering, Failure> {
    let whole = |digits: &[u8]| std::str::from_utf8(digits).ok()?.parse::<i128>().ok();
    if let (Some(one), Some(other)) = (whole(one), whole(other)) {
        return Ok(one.cmp(&other));
    }
    let float =
        |digits: &[u8]| parse_float(digits).map_err(|_| Failure::new("number is too large"));
    let order = float(one)?.partial_cmp(&float(other)?);
    Ok(order.unwrap_or(Ordering::Equal))
}

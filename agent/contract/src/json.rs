//! JSON into the same tree as HCL.

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "everything but an object is refused alike"
)]

use crate::tree::{Body, Item, Place, SyntaxError, Value};

/// The object's keys become items; an array of objects becomes a repeated block when it is read.
pub(crate) fn parse(text: &str) -> Result<Body, SyntaxError> {
    let value: serde_json::Value = serde_json::from_str(text).map_err(|error| SyntaxError {
        line: error.line(),
        column: error.column(),
        reason: reason(&error),
    })?;
    match convert(value) {
        Value::Body(body) => Ok(body),
        other => Err(SyntaxError {
            line: 1,
            column: 1,
            reason: format!("expected an object, found {}", other.kind()),
        }),
    }
}

/// serde's text without the position, which we say ourselves.
fn reason(error: &serde_json::Error) -> String {
    let text = error.to_string();
    match text.split_once(" at line ") {
        Some((reason, _)) => reason.to_owned(),
        None => text,
    }
}

fn convert(value: serde_json::Value) -> Value {
    match value {
        serde_json::Value::Null => Value::Null,
        serde_json::Value::Bool(flag) => Value::Bool(flag),
        serde_json::Value::Number(number) => match number.as_i64() {
            Some(integer) => Value::Integer(integer),
            None => Value::Float(number.as_f64().unwrap_or(f64::INFINITY)),
        },
        serde_json::Value::String(text) => Value::String(text),
        serde_json::Value::Array(values) => Value::List(values.into_iter().map(convert).collect()),
        serde_json::Value::Object(fields) => Value::Body(
            fields
                .into_iter()
                .map(|(key, value)| Item {
                    place: Place::default(),
                    key,
                    labels: Vec::new(),
                    value: convert(value),
                })
                .collect(),
        ),
    }
}

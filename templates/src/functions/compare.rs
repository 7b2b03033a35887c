//! `eq` and its family.

use std::rc::Rc;

use crate::error::Failure;
use crate::fmt;
use crate::value::{Kind, Place, Type, Value};

use super::Function;

pub(super) const FUNCTIONS: &[Function] = &[
    Function::new("eq", &[Type::Raw], |_, args| eq(args).map(Value::Bool))
        .glancing()
        .rest(Type::Raw),
    Function::new("ne", PAIR, |_, args| {
        eq(args).map(|equal| Value::Bool(!equal))
    })
    .glancing(),
    Function::new("lt", PAIR, |_, args| lt(args).map(Value::Bool)),
    Function::new("le", PAIR, |_, args| le(args).map(Value::Bool)),
    Function::new("gt", PAIR, |_, args| le(args).map(|le| Value::Bool(!le))),
    Function::new("ge", PAIR, |_, args| lt(args).map(|lt| Value::Bool(!lt))),
];

const PAIR: &[Type] = &[Type::Raw, Type::Raw];

fn is_basic(kind: Kind) -> bool {
    match kind {
        Kind::Bool | Kind::Int | Kind::Uint | Kind::Float | Kind::Complex | Kind::Text => true,
        Kind::Invalid | Kind::List | Kind::Map | Kind::Pointer | Kind::Struct | Kind::Channel => {
            false
        }
    }
}

fn incompatible(a: &Value, b: &Value) -> Failure {
    Failure::new(format!(
        "incompatible types for comparison: {} and {}",
        a.type_name(),
        b.type_name()
    ))
}

fn eq(args: &[Place]) -> Result<bool, Failure> {
    let [first, others @ ..] = args else {
        return Err(Failure::new("missing argument for comparison"));
    };
    if others.is_empty() {
        return Err(Failure::new("missing argument for comparison"));
    }
    for other in others {
        if equal(&first.value, &other.value)? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The class that decides what can be compared; everything that is not basic is one class.
fn class(value: &Value) -> Kind {
    match value.kind() {
        kind if is_basic(kind) => kind,
        _ => Kind::Invalid,
    }
}

fn equal(a: &Value, b: &Value) -> Result<bool, Failure> {
    if class(a) != class(b) {
        return match (a.as_int(), a.as_uint(), b.as_int(), b.as_uint()) {
            (Some(a), _, _, Some(b)) => Ok(u64::try_from(a) == Ok(b)),
            (_, Some(a), Some(b), _) => Ok(u64::try_from(b) == Ok(a)),
            _ if a.is_nil() || b.is_nil() => Ok(false),
            _ => Err(incompatible(a, b)),
        };
    }
    Ok(match (a, b) {
        (Value::Bool(a), Value::Bool(b)) => a == b,
        (Value::Float(a), Value::Float(b)) => a == b,
        (Value::Complex(a), Value::Complex(b)) => a == b,
        _ if class(a) == Kind::Int => a.as_int() == b.as_int(),
        _ if class(a) == Kind::Uint => a.as_uint() == b.as_uint(),
        _ if class(a) == Kind::Text => a.as_text() == b.as_text(),
        _ => return same(a, b),
    })
}

/// Nil against nil, and structs and pointers by identity.
fn same(a: &Value, b: &Value) -> Result<bool, Failure> {
    let can_compare = a.kind() == b.kind() || a.is_nil() || b.is_nil();
    if !can_compare {
        return Err(not_comparable("non-comparable types ", a)
            .words(format!(": {}, {}: ", a.type_name(), b.type_name()))
            .plain(&shown(b)));
    }
    let is_nil = |value: &Value| matches!(value, Value::Nil | Value::TypedNil(_));
    if is_nil(a) || is_nil(b) {
        return Ok(is_nil(a) == is_nil(b));
    }
    match (a, b) {
        (Value::Object(a), Value::Object(b)) if a.type_of() == Type::Time => {
            Ok(a.time() == b.time())
        }
        (Value::Object(a), Value::Object(b))
            if a.type_of() != Type::Certificate && b.type_of() != Type::Certificate =>
        {
            Ok(Rc::ptr_eq(a, b))
        }
        (Value::Channel(a), Value::Channel(b)) => Ok(Rc::ptr_eq(a, b)),
        _ => Err(not_comparable("non-comparable type ", b).words(format!(": {}", b.type_name()))),
    }
}

/// The most of a value that a message repeats.
const LONGEST: usize = 1_000;

fn shown(value: &Value) -> Vec<u8> {
    fmt::display(value, LONGEST).unwrap_or_default()
}

fn not_comparable(words: &str, value: &Value) -> Failure {
    let shown = fmt::printf(b"%s", &[value.clone().into()], LONGEST);
    Failure::new(words).plain(&shown.unwrap_or_default())
}

fn lt(args: &[Place]) -> Result<bool, Failure> {
    let (a, b) = (&args[0].value, &args[1].value);
    let bad = || Failure::new("invalid type for comparison");
    if !is_basic(a.kind()) || !is_basic(b.kind()) {
        return Err(bad());
    }
    match (a.as_int(), a.as_uint(), b.as_int(), b.as_uint()) {
        (Some(a), _, Some(b), _) => return Ok(a < b),
        (_, Some(a), _, Some(b)) => return Ok(a < b),
        (Some(a), _, _, Some(b)) => return Ok(u64::try_from(a).is_ok_and(|a| a < b) || a < 0),
        (_, Some(a), Some(b), _) => return Ok(u64::try_from(b).is_ok_and(|b| a < b)),
        _ => {}
    }
    match (a, b) {
        (Value::Float(a), Value::Float(b)) => Ok(a < b),
        _ if a.kind() != b.kind() => Err(incompatible(a, b)),
        _ if a.kind() == Kind::Text => Ok(a.as_text() < b.as_text()),
        _ => Err(bad()),
    }
}

fn le(args: &[Place]) -> Result<bool, Failure> {
    Ok(lt(args)? || equal(&args[0].value, &args[1].value)?)
}

/// Used where a list is searched.
pub(super) fn in_class(item: &Value, wanted: &Value) -> bool {
    match (item, wanted) {
        (Value::Float(item), Value::Float(wanted)) => item == wanted,
        _ if item.kind() == Kind::Int => item.as_int() == wanted.as_int(),
        _ if item.kind() == Kind::Text => {
            item.type_of() == wanted.type_of() && item.as_text() == wanted.as_text()
        }
        _ => false,
    }
}

//! Arithmetic over the number classes; the left operand comes last, as pipes want it.

use crate::error::Failure;
use crate::fmt;
use crate::value::{Kind, Place, Type, Value};

use super::{Function, Outcome};

const PAIR: &[Type] = &[Type::Any, Type::Any];

pub(super) const FUNCTIONS: &[Function] = &[
    Function::new("add", PAIR, |_, args| arithmetic("add", args)),
    Function::new("subtract", PAIR, |_, args| arithmetic("subtract", args)),
    Function::new("multiply", PAIR, |_, args| arithmetic("multiply", args)),
    Function::new("divide", PAIR, |_, args| arithmetic("divide", args)),
    Function::new("modulo", PAIR, |_, args| arithmetic("modulo", args)),
    Function::new("minimum", PAIR, |_, args| extreme("minimum", args, true)),
    Function::new("maximum", PAIR, |_, args| extreme("maximum", args, false)),
];

fn unknown(name: &str, value: &Value) -> Failure {
    const LONGEST: usize = 1_000;
    let shown = match value.kind() {
        Kind::Invalid => b"<invalid reflect.Value>".to_vec(),
        _ => {
            let shown = [Place::from(value.clone())];
            fmt::printf(b"%q", &shown, LONGEST).unwrap_or_default()
        }
    };
    Failure::new(format!("{name}: unknown type for "))
        .plain(&shown)
        .words(format!(" ({})", value.type_name()))
}

fn is_number(name: &str, value: &Value) -> bool {
    match value.kind() {
        Kind::Int | Kind::Uint => true,
        Kind::Float => name != "modulo",
        Kind::Invalid
        | Kind::Bool
        | Kind::Complex
        | Kind::Text
        | Kind::List
        | Kind::Map
        | Kind::Pointer
        | Kind::Struct
        | Kind::Channel => false,
    }
}

fn operands<'a>(name: &str, args: &'a [Place]) -> Result<(&'a Value, &'a Value), Failure> {
    let (b, a) = (&args[0].value, &args[1].value);
    for value in [a, b] {
        if !is_number(name, value) {
            return Err(unknown(name, value));
        }
    }
    Ok((a, b))
}

fn as_float(value: &Value) -> f64 {
    match value {
        Value::Float(n) => *n,
        _ => match value.as_int() {
            Some(n) => n as f64,
            None => value.as_uint().unwrap_or(0) as f64,
        },
    }
}

fn as_signed(value: &Value) -> i64 {
    value
        .as_int()
        .unwrap_or_else(|| value.as_uint().unwrap_or(0) as i64)
}

fn arithmetic(name: &str, args: &[Place]) -> Outcome {
    let (a, b) = operands(name, args)?;
    let by_zero = || Failure::new("runtime error: integer divide by zero");
    if a.kind() == Kind::Float || b.kind() == Kind::Float {
        let (a, b) = (as_float(a), as_float(b));
        return Ok(Value::Float(match name {
            "add" => a + b,
            "subtract" => a - b,
            "multiply" => a * b,
            _ => a / b,
        }));
    }
    if let (Some(a), Some(b)) = (a.as_uint(), b.as_uint()) {
        let result = match name {
            "add" => Some(a.wrapping_add(b)),
            "subtract" => Some(a.wrapping_sub(b)),
            "multiply" => Some(a.wrapping_mul(b)),
            "divide" => a.checked_div(b),
            _ => a.checked_rem(b),
        };
        return result.map(Value::Uint64).ok_or_else(by_zero);
    }
    let (a, b) = (as_signed(a), as_signed(b));
    let result = match name {
        "add" => a.wrapping_add(b),
        "subtract" => a.wrapping_sub(b),
        "multiply" => a.wrapping_mul(b),
        _ if b == 0 => return Err(by_zero()),
        "divide" => a.wrapping_div(b),
        _ => a.wrapping_rem(b),
    };
    Ok(Value::Int64(result))
}

fn extreme(name: &str, args: &[Place], smaller: bool) -> Outcome {
    let (a, b) = operands(name, args)?;
    let takes_a = if a.kind() == Kind::Float || b.kind() == Kind::Float {
        let (a, b) = (as_float(a), as_float(b));
        if smaller { a < b } else { a > b }
    } else if let (Some(a), Some(b)) = (a.as_uint(), b.as_uint()) {
        if smaller { a < b } else { a > b }
    } else {
        let (a, b) = (as_signed(a), as_signed(b));
        if smaller { a < b } else { a > b }
    };
    let winner = if takes_a { a } else { b };
    Ok(match (winner, winner.as_int(), winner.as_uint()) {
        (_, Some(n), _) => Value::Int64(n),
        (_, _, Some(n)) => Value::Uint64(n),
        (float, _, _) => float.clone(),
    })
}

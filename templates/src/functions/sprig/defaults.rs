//! Defaults, conditions, JSON and types.

use std::collections::HashSet;
use std::rc::Rc;

use crate::error::Failure;
use crate::json::{self, Style};
use crate::value::{Kind, Place, Type, Value};

use super::collection::STEP;
use super::{ANY, Context, Function, ONE, Outcome, collection, done, shown, text};

pub(super) const FUNCTIONS: &[Function] = &[
    Function::new("sprig_default", ANY, |_, args| match args {
        [default] => Ok(default.value.clone()),
        [_, given, ..] if !is_empty(&given.value) => Ok(given.value.clone()),
        [default, ..] => Ok(default.value.clone()),
        [] => Ok(Value::Nil),
    })
    .glancing()
    .handing_on()
    .rest(Type::Any),
    Function::new("sprig_empty", ANY, |_, args| {
        Ok(Value::Bool(is_empty(&args[0].value)))
    })
    .glancing(),
    Function::new("sprig_coalesce", &[], |_, args| {
        let found = args.iter().find(|place| !is_empty(&place.value));
        Ok(found.map_or(Value::Nil, |place| place.value.clone()))
    })
    .glancing()
    .handing_on()
    .rest(Type::Any),
    Function::new("sprig_all", &[], |_, args| {
        Ok(Value::Bool(
            !args.iter().any(|place| is_empty(&place.value)),
        ))
    })
    .glancing()
    .rest(Type::Any),
    Function::new("sprig_any", &[], |_, args| {
        Ok(Value::Bool(
            args.iter().any(|place| !is_empty(&place.value)),
        ))
    })
    .glancing()
    .rest(Type::Any),
    Function::new(
        "sprig_ternary",
        &[Type::Any, Type::Any, Type::Bool],
        |_, args| {
            let index = usize::from(!args[2].value.is_true());
            Ok(args[index].value.clone())
        },
    )
    .glancing()
    .handing_on(),
    Function::new("sprig_toString", ANY, |context, args| {
        done(shown(context, &args[0].value)?)
    })
    .writing(),
    Function::new("sprig_fromJson", ONE, |context, args| {
        context.meter.keep(json::memory(text(args, 0)))?;
        Ok(json::read_leniently(text(args, 0)).unwrap_or(Value::Nil))
    })
    .weighing(150),
    Function::new("sprig_mustFromJson", ONE, from_json).weighing(150),
    Function::new("sprig_toJson", ANY, |context, args| {
        lenient(context, args, PLAIN)
    })
    .writing(),
    Function::new("sprig_toPrettyJson", ANY, |context, args| {
        lenient(context, args, PRETTY)
    })
    .writing(),
    Function::new("sprig_toRawJson", ANY, |context, args| {
        to_json(context, args, RAW)
    })
    .writing(),
    Function::new("sprig_mustToJson", ANY, |context, args| {
        to_json(context, args, PLAIN)
    })
    .writing(),
    Function::new("sprig_mustToPrettyJson", ANY, |context, args| {
        to_json(context, args, PRETTY)
    })
    .writing(),
    Function::new("sprig_mustToRawJson", ANY, |context, args| {
        to_json(context, args, RAW)
    })
    .writing(),
    Function::new("sprig_typeOf", ANY, |_, args| {
        done(args[0].value.type_name())
    })
    .glancing(),
    Function::new("sprig_typeIs", TYPED, |_, args| {
        let name = args[1].value.type_name();
        Ok(Value::Bool(**text(args, 0) == *name.as_bytes()))
    })
    .glancing(),
    Function::new("sprig_typeIsLike", TYPED, |_, args| {
        let name = args[1].value.type_name();
        let wanted = text(args, 0);
        let is_like = **wanted == *name.as_bytes()
            || name
                .strip_prefix('*')
                .is_some_and(|name| **wanted == *name.as_bytes());
        Ok(Value::Bool(is_like))
    })
    .glancing(),
    Function::new("sprig_kindOf", ANY, |_, args| {
        done(kind_name(&args[0].value))
    })
    .glancing(),
    Function::new("sprig_kindIs", TYPED, |_, args| {
        let name = kind_name(&args[1].value);
        Ok(Value::Bool(**text(args, 0) == *name.as_bytes()))
    })
    .glancing(),
    Function::new(
        "sprig_deepEqual",
        &[Type::Any, Type::Any],
        |context, args| deep_equal(context, &args[0].value, &args[1].value).map(Value::Bool),
    )
    .costing(128),
    Function::new("sprig_fail", ONE, |_, args| {
        Err(Failure::new("").plain(text(args, 0)))
    }),
    Function::new("sprig_hello", &[], |_, _| done("Hello!")),
];

const TYPED: &[Type] = &[Type::Text, Type::Any];
const PLAIN: Style = Style {
    pretty: false,
    html: true,
};
const PRETTY: Style = Style {
    pretty: true,
    html: true,
};
const RAW: Style = Style {
    pretty: false,
    html: false,
};

pub(super) fn is_empty(value: &Value) -> bool {
    !value.is_true()
}

fn from_json(context: &mut Context<'_>, args: &[Place]) -> Outcome {
    context.meter.keep(json::memory(text(args, 0)))?;
    json::read_strictly(text(args, 0))
}

fn to_json(context: &mut Context<'_>, args: &[Place], style: Style) -> Outcome {
    done(json::encode(
        &args[0].value,
        style,
        context.meter.output_limit(),
    )?)
}

/// A value that cannot be written becomes an empty text.
fn lenient(context: &mut Context<'_>, args: &[Place], style: Style) -> Outcome {
    match to_json(context, args, style) {
        Err(failure) if !failure.is_limit => done(""),
        outcome => outcome,
    }
}

pub(super) fn kind_name(value: &Value) -> &'static str {
    match value.kind() {
        Kind::Invalid => "invalid",
        Kind::Text => "string",
        Kind::List => "slice",
        Kind::Map => "map",
        Kind::Pointer => "ptr",
        Kind::Struct => "struct",
        Kind::Channel => "chan",
        Kind::Bool | Kind::Int | Kind::Uint | Kind::Float | Kind::Complex => value.type_name(),
    }
}

/// `reflect.DeepEqual`. Pairs that were compared before are not compared again, as there.
pub(super) fn deep_equal(context: &mut Context<'_>, a: &Value, b: &Value) -> Result<bool, Failure> {
    let mut seen = HashSet::new();
    let mut pending = Vec::new();
    if !alike(context, a, b, &mut pending)? {
        return Ok(false);
    }
    while let Some((a, b)) = pending.pop() {
        let pair = (address(&a), address(&b));
        if pair.0 != 0 && !seen.insert(pair) {
            continue;
        }
        if !contents_alike(context, &a, &b, &mut pending)? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Pairs of values that must be compared yet.
type Pairs = Vec<(Value, Value)>;

/// The address of a value's elements; zero for what needs no such care.
fn address(value: &Value) -> usize {
    match value {
        Value::List(items) | Value::Lists(items) => Rc::as_ptr(items).addr(),
        Value::Map(map) => Rc::as_ptr(map).addr(),
        _ => 0,
    }
}

/// Compares all but what is inside of two values, which is left to `pending`.
fn alike(
    context: &mut Context<'_>,
    a: &Value,
    b: &Value,
    pending: &mut Pairs,
) -> Result<bool, Failure> {
    context.meter.charge(STEP)?;
    if a.type_of() != b.type_of() {
        return Ok(false);
    }
    if let (Some(a), Some(b)) = (a.as_text(), b.as_text()) {
        context.meter.charge(a.len())?;
        return Ok(a == b);
    }
    let is_nil = |value: &Value| matches!(value, Value::TypedNil(_));
    if is_nil(a) != is_nil(b) || a.len() != b.len() {
        return Ok(false);
    }
    Ok(match (a, b) {
        (Value::Float(a), Value::Float(b)) => a == b,
        (Value::Bool(a), Value::Bool(b)) => a == b,
        (Value::Complex(a), Value::Complex(b)) => a == b,
        (Value::Strings(_) | Value::Ints(_), _)
        | (Value::StringMap(_) | Value::AnyMap(_) | Value::Object(_), _)
        | (Value::List(_) | Value::Lists(_) | Value::Map(_), _) => {
            context.meter.charge(a.len().unwrap_or(0) * STEP)?;
            pending.push((a.clone(), b.clone()));
            true
        }
        _ => a.as_int() == b.as_int() && a.as_uint() == b.as_uint(),
    })
}

/// Compares what is inside of two values of one type and length.
fn contents_alike(
    context: &mut Context<'_>,
    a: &Value,
    b: &Value,
    pending: &mut Pairs,
) -> Result<bool, Failure> {
    match (a, b) {
        (Value::List(a) | Value::Lists(a), Value::List(b) | Value::Lists(b)) => {
            for (a, b) in a.iter().zip(b.iter()) {
                if !alike(context, a, b, pending)? {
                    return Ok(false);
                }
            }
        }
        (Value::Strings(a), Value::Strings(b)) => {
            context.meter.charge(a.joined_length(b""))?;
            return Ok(a == b);
        }
        (Value::Ints(a), Value::Ints(b)) => return Ok(a == b),
        (Value::StringMap(a), Value::StringMap(b)) => {
            let lengths = a.iter().map(|(key, text)| key.len() + text.len());
            context.meter.charge(lengths.sum())?;
            return Ok(a == b);
        }
        (Value::Map(a), Value::Map(b)) => {
            context.meter.charge(collection::keys(a))?;
            let (a, b) = (a.borrow(), b.borrow());
            for ((a_key, a), (b_key, b)) in a.iter().zip(b.iter()) {
                if a_key != b_key || !alike(context, a, b, pending)? {
                    return Ok(false);
                }
            }
        }
        (Value::AnyMap(a), Value::AnyMap(b)) => {
            for ((a_key, a), (b_key, b)) in a.iter().zip(b.iter()) {
                if !alike(context, a_key, b_key, pending)? || !alike(context, a, b, pending)? {
                    return Ok(false);
                }
            }
        }
        (Value::Object(a), Value::Object(b)) => {
            for ((_, a), (_, b)) in a.fields().iter().zip(b.fields()) {
                if !alike(context, a, b, pending)? {
                    return Ok(false);
                }
            }
        }
        _ => {}
    }
    Ok(true)
}

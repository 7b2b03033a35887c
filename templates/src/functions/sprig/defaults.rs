//! Defaults, conditions, JSON and types.

use crate::error::Failure;
use crate::json::{self, Style};
use crate::value::{Kind, Place, Type, Value};

use super::{ANY, Function, ONE, Outcome, Run, done, shown, text};

pub(super) const FUNCTIONS: &[Function] = &[
    Function::new("sprig_default", ANY, |_, args| match args {
        [default] => Ok(default.value.clone()),
        [_, given, ..] if !is_empty(&given.value) => Ok(given.value.clone()),
        [default, ..] => Ok(default.value.clone()),
        [] => Ok(Value::Nil),
    })
    .rest(Type::Any),
    Function::new("sprig_empty", ANY, |_, args| {
        Ok(Value::Bool(is_empty(&args[0].value)))
    }),
    Function::new("sprig_coalesce", &[], |_, args| {
        let found = args.iter().find(|place| !is_empty(&place.value));
        Ok(found.map_or(Value::Nil, |place| place.value.clone()))
    })
    .rest(Type::Any),
    Function::new("sprig_all", &[], |_, args| {
        Ok(Value::Bool(
            !args.iter().any(|place| is_empty(&place.value)),
        ))
    })
    .rest(Type::Any),
    Function::new("sprig_any", &[], |_, args| {
        Ok(Value::Bool(
            args.iter().any(|place| !is_empty(&place.value)),
        ))
    })
    .rest(Type::Any),
    Function::new(
        "sprig_ternary",
        &[Type::Any, Type::Any, Type::Bool],
        |_, args| {
            let index = usize::from(!args[2].value.is_true());
            Ok(args[index].value.clone())
        },
    ),
    Function::new("sprig_toString", ANY, |run, args| {
        done(shown(run, &args[0].value)?)
    }),
    Function::new("sprig_fromJson", ONE, |_, args| {
        Ok(json::read_leniently(text(args, 0)).unwrap_or(Value::Nil))
    }),
    Function::new("sprig_mustFromJson", ONE, |_, args| from_json(args)),
    Function::new("sprig_toJson", ANY, |run, args| lenient(run, args, PLAIN)),
    Function::new("sprig_toPrettyJson", ANY, |run, args| {
        lenient(run, args, PRETTY)
    }),
    Function::new("sprig_toRawJson", ANY, |run, args| to_json(run, args, RAW)),
    Function::new("sprig_mustToJson", ANY, |run, args| {
        to_json(run, args, PLAIN)
    }),
    Function::new("sprig_mustToPrettyJson", ANY, |run, args| {
        to_json(run, args, PRETTY)
    }),
    Function::new("sprig_mustToRawJson", ANY, |run, args| {
        to_json(run, args, RAW)
    }),
    Function::new("sprig_typeOf", ANY, |_, args| {
        done(args[0].value.type_name())
    }),
    Function::new("sprig_typeIs", TYPED, |_, args| {
        let name = args[1].value.type_name();
        Ok(Value::Bool(**text(args, 0) == *name.as_bytes()))
    }),
    Function::new("sprig_typeIsLike", TYPED, |_, args| {
        let name = args[1].value.type_name();
        let wanted = text(args, 0);
        let is_like = **wanted == *name.as_bytes()
            || name
                .strip_prefix('*')
                .is_some_and(|name| **wanted == *name.as_bytes());
        Ok(Value::Bool(is_like))
    }),
    Function::new("sprig_kindOf", ANY, |_, args| {
        done(kind_name(&args[0].value))
    }),
    Function::new("sprig_kindIs", TYPED, |_, args| {
        let name = kind_name(&args[1].value);
        Ok(Value::Bool(**text(args, 0) == *name.as_bytes()))
    }),
    Function::new("sprig_deepEqual", &[Type::Any, Type::Any], |run, args| {
        deep_equal(run, &args[0].value, &args[1].value).map(Value::Bool)
    }),
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

fn from_json(args: &[Place]) -> Outcome {
    json::read_strictly(text(args, 0))
}

fn to_json(run: &mut Run<'_>, args: &[Place], style: Style) -> Outcome {
    done(json::encode(&args[0].value, style, run.output_limit())?)
}

/// What cannot be written becomes an empty text.
fn lenient(run: &mut Run<'_>, args: &[Place], style: Style) -> Outcome {
    match to_json(run, args, style) {
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

/// `reflect.DeepEqual`.
pub(super) fn deep_equal(run: &mut Run<'_>, a: &Value, b: &Value) -> Result<bool, Failure> {
    run.charge(1)?;
    if a.type_of() != b.type_of() {
        return Ok(false);
    }
    if let (Some(a), Some(b)) = (a.as_text(), b.as_text()) {
        run.charge(a.len())?;
        return Ok(a == b);
    }
    let is_nil = |value: &Value| matches!(value, Value::TypedNil(_));
    if is_nil(a) != is_nil(b) {
        return Ok(false);
    }
    if let (Some(a), Some(b)) = (a.items(), b.items()) {
        if a.len() != b.len() {
            return Ok(false);
        }
        for (a, b) in a.iter().zip(&b) {
            if !deep_equal(run, a, b)? {
                return Ok(false);
            }
        }
        return Ok(true);
    }
    match (a, b) {
        (Value::Map(a), Value::Map(b)) => {
            let (a, b) = (a.borrow(), b.borrow());
            if a.len() != b.len() {
                return Ok(false);
            }
            for ((a_key, a), (b_key, b)) in a.iter().zip(b.iter()) {
                if a_key != b_key || !deep_equal(run, a, b)? {
                    return Ok(false);
                }
            }
            Ok(true)
        }
        (Value::AnyMap(a), Value::AnyMap(b)) => {
            if a.len() != b.len() {
                return Ok(false);
            }
            for ((a_key, a), (b_key, b)) in a.iter().zip(b.iter()) {
                if !deep_equal(run, a_key, b_key)? || !deep_equal(run, a, b)? {
                    return Ok(false);
                }
            }
            Ok(true)
        }
        (Value::Object(a), Value::Object(b)) => {
            for ((_, a), (_, b)) in a.fields().iter().zip(b.fields()) {
                if !deep_equal(run, a, b)? {
                    return Ok(false);
                }
            }
            Ok(true)
        }
        (Value::StringMap(a), Value::StringMap(b)) => Ok(a == b),
        (Value::Float(a), Value::Float(b)) => Ok(a == b),
        (Value::Bool(a), Value::Bool(b)) => Ok(a == b),
        (Value::Complex(a), Value::Complex(b)) => Ok(a == b),
        _ => Ok(a.as_int() == b.as_int() && a.as_uint() == b.as_uint()),
    }
}

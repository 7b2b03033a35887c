//! Methods that values have: `scratch.Set`, `.Data` of a certificate, `.Int64` of a number.

use std::collections::BTreeMap;

use planescape_vault::Text;

use crate::error::Failure;
use crate::function::OBJECT;
use crate::number::{Base, parse_float, parse_int};
use crate::object::Object;
use crate::quote;
use crate::value::{Place, Type, Value};

use super::collection::keep_entry;
use super::{Context, Function, Outcome, done, text};

/// The method of this name that a value has; the receiver comes first in its arguments.
pub(crate) fn method(receiver: &Value, name: &[u8]) -> Option<&'static Function> {
    let methods = match receiver.type_of()? {
        Type::Scratch => SCRATCH,
        Type::Certificate => CERTIFICATE,
        Type::Number => NUMBER,
        Type::Time => TIME,
        Type::Version => super::sprig::VERSION,
        _ => return None,
    };
    methods.iter().find(|method| method.name.as_bytes() == name)
}

static SCRATCH: &[Function] = &[
    Function::new("Key", &[Type::Text], |_, args| {
        with_store(args, |store| {
            Ok(Value::Bool(store.contains_key(text(args, 1))))
        })
    }),
    Function::new("Get", &[Type::Text], |_, args| {
        with_store(args, |store| {
            Ok(store.get(text(args, 1)).cloned().unwrap_or(Value::Nil))
        })
    })
    .handing_on(),
    Function::new("Set", &[Type::Text, Type::Any], |context, args| {
        keep_entry(context, text(args, 1), &args[2].value)?;
        with_store(args, |store| {
            let before = store.insert(text(args, 1).clone(), args[2].value.clone());
            if let Some(before) = before {
                context.meter.give_back(&before);
            }
            done("")
        })
    })
    .glancing(),
    Function::new("SetX", &[Type::Text, Type::Any], |context, args| {
        keep_entry(context, text(args, 1), &args[2].value)?;
        with_store(args, |store| {
            let value = &args[2].value;
            store
                .entry(text(args, 1).clone())
                .or_insert_with(|| value.clone());
            done("")
        })
    })
    .glancing(),
    Function::new(
        "MapSet",
        &[Type::Text, Type::Text, Type::Any],
        |context, args| map_set(context, args, true),
    )
    .glancing(),
    Function::new(
        "MapSetX",
        &[Type::Text, Type::Text, Type::Any],
        |context, args| map_set(context, args, false),
    )
    .glancing(),
    Function::new("MapValues", &[Type::Text], |_, args| {
        with_store(args, |store| {
            Ok(match store.get(text(args, 1)) {
                Some(Value::Map(map)) => Value::list(map.borrow().values().cloned().collect()),
                _ => Value::TypedNil(Type::List),
            })
        })
    }),
];

type Store = BTreeMap<Text, Value>;

fn with_store(args: &[Place], act: impl FnOnce(&mut Store) -> Outcome) -> Outcome {
    match &args[0].value {
        Value::Object(object) => match &**object {
            Object::Scratch(store) => act(&mut store.borrow_mut()),
            Object::Struct { .. } | Object::Time(_) => Ok(Value::Nil),
        },
        _ => Ok(Value::Nil),
    }
}

fn map_set(context: &mut Context<'_>, args: &[Place], overwrites: bool) -> Outcome {
    keep_entry(context, text(args, 2), &args[3].value)?;
    with_store(args, |store| {
        let (name, key, value) = (text(args, 1), text(args, 2), &args[3].value);
        let map = store
            .entry(name.clone())
            .or_insert_with(|| Value::map(BTreeMap::new()));
        let Value::Map(map) = map else {
            let name = quote::quoted(name);
            return Err(Failure::new(format!("{name} is not a map")));
        };
        if super::collection::holds(context, value, map)? {
            return Err(Failure::new("a map cannot contain itself"));
        }
        let mut map = map.borrow_mut();
        if overwrites || !map.contains_key(key) {
            let before = map.insert(key.clone(), value.clone());
            if let Some(before) = before {
                context.meter.give_back(&before);
            }
        }
        done("")
    })
}

static CERTIFICATE: &[Function] = &[
    Function::new("Data", &[], |_, args| Ok(args[0].value.clone())),
    Function::new("Equals", &[Type::Certificate], |_, args| {
        let (Value::Object(a), Value::Object(b)) = (&args[0].value, &args[1].value) else {
            return Ok(Value::Bool(false));
        };
        let is_same = a.fields().iter().zip(b.fields()).all(|(a, b)| {
            let lines = |value: &Value| value.items().map(|items| items.len());
            a.1.as_text() == b.1.as_text()
                && lines(&a.1) == lines(&b.1)
                && a.1
                    .items()
                    .into_iter()
                    .flatten()
                    .zip(b.1.items().into_iter().flatten())
                    .all(|(a, b)| a.as_text() == b.as_text())
        });
        Ok(Value::Bool(is_same))
    }),
    Function::new("CaChainContains", &[Type::Text], |_, args| {
        let Value::Object(certificate) = &args[0].value else {
            return Ok(Value::Bool(false));
        };
        let wanted = text(args, 1);
        let found = certificate
            .field(b"CAChain")
            .and_then(Value::items)
            .is_some_and(|items| items.iter().any(|item| item.as_text() == Some(wanted)));
        Ok(Value::Bool(found))
    }),
];

static NUMBER: &[Function] = &[
    Function::new("String", &[], |_, args| done(text(args, 0).clone())),
    Function::new("Int64", &[], |_, args| {
        let text = text(args, 0);
        parse_int(text, Base::Fixed(10))
            .map(Value::Int64)
            .map_err(|error| error.failure("ParseInt", text))
    }),
    Function::new("Float64", &[], |_, args| {
        let text = text(args, 0);
        parse_float(text)
            .map(Value::Float)
            .map_err(|error| error.failure("ParseFloat", text))
    }),
];

static TIME: &[Function] = &[
    Function::new("Year", &[], |_, args| match &args[0].value {
        Value::Object(object) => match &**object {
            Object::Time(time) => Ok(Value::Int(time.year())),
            Object::Struct { .. } | Object::Scratch(_) => Ok(Value::Nil),
        },
        _ => Ok(Value::Nil),
    }),
    Function::new("String", &[], |_, args| match &args[0].value {
        Value::Object(object) => match &**object {
            Object::Time(time) => done(time.to_string()),
            Object::Struct { .. } | Object::Scratch(_) => Ok(Value::Nil),
        },
        _ => Ok(Value::Nil),
    })
    .costing(OBJECT),
    Function::new("Unix", &[], |_, args| match &args[0].value {
        Value::Object(object) => match &**object {
            Object::Time(time) => Ok(Value::Int64(time.seconds)),
            Object::Struct { .. } | Object::Scratch(_) => Ok(Value::Nil),
        },
        _ => Ok(Value::Nil),
    }),
    Function::new("Format", &[Type::Text], |_, args| match &args[0].value {
        Value::Object(object) => match &**object {
            Object::Time(time) => done(time.format_bytes(text(args, 1))),
            Object::Struct { .. } | Object::Scratch(_) => Ok(Value::Nil),
        },
        _ => Ok(Value::Nil),
    })
    .weighing(64),
];

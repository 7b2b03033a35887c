//! Everything a template can call. A function states its types; its caller checks them.

mod builtin;
mod case;
mod collection;
mod compare;
mod convert;
mod elsewhere;
mod math;
mod methods;
mod sprig;
mod text;
mod world;

use std::cmp::Ordering;
use std::collections::HashMap;
use std::sync::LazyLock;

use planescape_vault::Text;

use crate::context::Context;
use crate::error::Failure;
use crate::function::{Call, Function, Outcome};
use crate::spelling;
use crate::value::{Place, Type, Value};

pub(crate) use methods::method;
pub(crate) use world::{secret_request, secrets_request};

static TABLE: LazyLock<Vec<&'static Function>> = LazyLock::new(|| {
    let groups: [&'static [Function]; 8] = [
        builtin::FUNCTIONS,
        collection::FUNCTIONS,
        compare::FUNCTIONS,
        convert::FUNCTIONS,
        elsewhere::FUNCTIONS,
        math::FUNCTIONS,
        text::FUNCTIONS,
        world::FUNCTIONS,
    ];
    let mut table: Vec<_> = groups.into_iter().chain(sprig::GROUPS).flatten().collect();
    table.sort_by_key(|function| function.name);
    table
});

static NAMES: LazyLock<HashMap<&'static [u8], &'static Function>> = LazyLock::new(|| {
    let names = TABLE
        .iter()
        .map(|&function| (function.name.as_bytes(), function));
    names.collect()
});

/// The function of this name.
pub(crate) fn find(name: &[u8]) -> Option<&'static Function> {
    NAMES.get(name).copied()
}

/// The names of all functions, in order.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    TABLE.iter().map(|function| function.name)
}

/// The function that a name was meant to be: Sprig's own names lack the prefix here.
pub(crate) fn nearest(name: &str) -> Option<&'static str> {
    const LONGEST: usize = 64;
    if name.len() > LONGEST {
        return None;
    }
    let prefixed = format!("sprig_{name}");
    match find(prefixed.as_bytes()) {
        Some(function) => Some(function.name),
        None => {
            let mut names = TABLE.iter().map(|function| function.name);
            let same = names.find(|own| own.eq_ignore_ascii_case(name));
            same.or_else(|| spelling::closest(name, TABLE.iter().map(|function| function.name)))
        }
    }
}

/// Whether consul-template brings it; the language's own functions cannot be denied.
pub(crate) fn is_deniable(function: &Function) -> bool {
    let own = builtin::FUNCTIONS.iter().chain(compare::FUNCTIONS);
    !own.map(|own| own.name).any(|name| name == function.name)
}

/// The same names again, for templates that may not call them.
static DENIED: LazyLock<Vec<Function>> = LazyLock::new(|| {
    let refusing = |function: &&Function| {
        let refuse: Call = |_, _| Err(Failure::new("function is disabled"));
        Function::new(function.name, &[], refuse).rest(Type::Text)
    };
    TABLE.iter().map(refusing).collect()
});

/// The function that takes the place of a denied one.
pub(crate) fn denied(function: &Function) -> &'static Function {
    let index = TABLE
        .binary_search_by_key(&function.name, |function| function.name)
        .expect("every function is in the table");
    &DENIED[index]
}

/// The value of a map under this key.
pub(crate) fn entry(map: &Value, key: &[u8]) -> Option<Place> {
    match map {
        Value::Map(map) => map.get(key).map(Place::boxed),
        Value::StringMap(map) => map.get(key).cloned().map(|text| Value::Text(text).into()),
        // Its entries are in the order of `fmt::compare_keys`, which has texts behind nothing and before all others.
        Value::AnyMap(entries) => {
            let found = entries.binary_search_by(|(own, _)| match own {
                Value::Nil => Ordering::Less,
                Value::Text(own) => own.as_bytes().cmp(key),
                _ => Ordering::Greater,
            });
            Some(Place::boxed(entries[found.ok()?].1.clone()))
        }
        _ => None,
    }
}

/// The value that a map gives for a key it lacks.
pub(crate) fn missing_entry(map: &Value) -> Place {
    match map.type_of() {
        Some(Type::StringMap) => Value::Text(Text::default()).into(),
        _ => Place::boxed(Value::Nil),
    }
}

fn text(args: &[Place], index: usize) -> &Text {
    args.get(index)
        .and_then(|place| place.value.as_text())
        .expect("arguments were checked against the parameter types")
}

fn int(args: &[Place], index: usize) -> i64 {
    args.get(index)
        .and_then(|place| place.value.as_int())
        .expect("arguments were checked against the parameter types")
}

fn done(bytes: impl Into<Text>) -> Outcome {
    Ok(Value::Text(bytes.into()))
}

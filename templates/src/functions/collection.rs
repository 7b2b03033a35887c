//! Lists and maps: membership, merging, counting.

use std::cell::Cell;
use std::collections::{BTreeMap, HashSet};
use std::rc::Rc;

use planescape_vault::Text;

use crate::bytes;
use crate::error::Failure;
use crate::fmt;
use crate::function::{uncounted, uncounted_key};
use crate::meter::MAP;
use crate::number::{Base, parse_int};
use crate::quote;
use crate::value::{Kind, Map, Place, Type, Value};

use super::{Context, Function, Outcome, compare, done};

pub(super) const FUNCTIONS: &[Function] = &[
    Function::new("in", &[Type::Any, Type::Any], |context, args| {
        is_in(context, &args[0].value, &args[1].value).map(Value::Bool)
    }),
    Function::new("contains", &[Type::Any, Type::Any], |context, args| {
        is_in(context, &args[1].value, &args[0].value).map(Value::Bool)
    }),
    Function::new("containsAll", WANTED, |context, args| {
        some(context, args, true, true)
    }),
    Function::new("containsAny", WANTED, |context, args| {
        some(context, args, false, false)
    }),
    Function::new("containsNone", WANTED, |context, args| {
        some(context, args, true, false)
    }),
    Function::new("containsNotAll", WANTED, |context, args| {
        some(context, args, false, true)
    }),
    Function::new("loop", &[], |_, args| looped(args)).rest(Type::Any),
    Function::new("explodeMap", &[Type::Map], |context, args| {
        explode(context, &args[0].value)
    })
    .weighing(64),
    Function::new("mergeMap", &[Type::Map, Type::Map], |context, args| {
        merge(context, args, false)
    })
    .glancing()
    .handing_on()
    .rest(Type::MergeOption),
    Function::new(
        "mergeMapWithOverride",
        &[Type::Map, Type::Map],
        |context, args| merge(context, args, true),
    )
    .glancing()
    .handing_on(),
    // Templates run where the others do.
    Function::new("executeTemplate", &[Type::Text], |_, _| done(""))
        .costing(128)
        .glancing()
        .rest(Type::Any),
    Function::new("scratch", &[], |context, _| {
        Ok(Value::Object(Rc::clone(&context.scratch)))
    }),
];

const WANTED: &[Type] = &[Type::List, Type::Any];

fn is_in(context: &mut Context<'_>, container: &Value, wanted: &Value) -> Result<bool, Failure> {
    let invalid = || Failure::new("reflect: call of reflect.Value.Type on zero Value");
    if let Value::Strings(items) = container
        && let Value::Text(wanted) = wanted
    {
        // Texts of other lengths are not looked at.
        let alike = items.iter().filter(|item| item.len() == wanted.len());
        context.meter.charge(alike.count() * wanted.len())?;
        return Ok(items.iter().any(|item| item == &**wanted));
    }
    context.meter.can_copy(container)?;
    if let Some(items) = container.items() {
        for item in &items {
            if item.kind() == Kind::Text && wanted.is_nil() {
                return Err(invalid());
            }
            if let (Some(item), Some(wanted)) = (item.as_text(), wanted.as_text())
                && item.len() == wanted.len()
            {
                context.meter.charge(item.len())?;
            }
            if compare::in_class(item, wanted) {
                return Ok(true);
            }
        }
        return Ok(false);
    }
    let Some(whole) = container.as_text() else {
        return Ok(false);
    };
    if wanted.is_nil() {
        return Err(invalid());
    }
    Ok(container.type_of() == wanted.type_of()
        && wanted
            .as_text()
            .is_some_and(|part| bytes::contains(whole, part)))
}

/// `at_end` is the answer when no wanted item decides; `inverted` makes absence decide.
fn some(context: &mut Context<'_>, args: &[Place], at_end: bool, inverted: bool) -> Outcome {
    const ELEMENT: usize = 16;
    context.meter.can_copy(&args[0].value)?;
    let wanted = args[0].value.items().unwrap_or_default();
    let container = &args[1].value;
    let steps = wanted.len().saturating_mul(container.len().unwrap_or(1));
    context.meter.charge(steps.saturating_mul(ELEMENT))?;
    for item in &wanted {
        if is_in(context, container, item)? != inverted {
            return Ok(Value::Bool(!at_end));
        }
    }
    Ok(Value::Bool(at_end))
}

fn looped(args: &[Place]) -> Outcome {
    let (from, to) = match args {
        [to] => (0, bound(&to.value)?),
        [from, to] => (bound(&from.value)?, bound(&to.value)?),
        _ => {
            let count = args.len();
            return Err(Failure::new(format!(
                "loop: wrong number of arguments, expected 1 or 2, but got {count}"
            )));
        }
    };
    Ok(Value::Channel(Rc::new((Cell::new(from), to))))
}

fn bound(value: &Value) -> Result<i64, Failure> {
    match (value.as_int(), value.as_uint(), value.as_text()) {
        (Some(n), _, _) => Ok(n),
        (_, Some(n), _) => Ok(n as i64),
        (_, _, Some(text)) if text.is_empty() => Ok(0),
        (_, _, Some(text)) => parse_int(text, Base::Fixed(10))
            .map_err(|error| error.failure("ParseInt", text).under("parseInt: ")),
        _ => Err(Failure::new(format!(
            "loop: bad argument type: {}",
            value.type_name()
        ))),
    }
}

fn explode(context: &mut Context<'_>, flat: &Value) -> Outcome {
    let nested: Map = Map::default();
    if let Value::Map(flat) = flat {
        for (key, value) in flat.borrow().iter() {
            plant(context, &nested, key, value).map_err(|failure| failure.under("explodeMap: "))?;
        }
    }
    Ok(Value::Map(nested))
}

/// Puts a value at a path, making the maps on the way.
fn plant(context: &mut Context<'_>, map: &Map, path: &[u8], value: &Value) -> Result<(), Failure> {
    context.meter.charge(path.len())?;
    let mut map = Rc::clone(map);
    let mut rest = path;
    let mut whole = path;
    while let Some(at) = rest.iter().position(|&byte| byte == b'/') {
        let top = Text::from(&rest[..at]);
        context.meter.charge(4 * STEP)?;
        if !map.borrow().contains_key(&top) {
            context.meter.keep(MAP + ENTRY)?;
        }
        let inner = map
            .borrow_mut()
            .entry(top.clone())
            .or_insert_with(|| Value::map(BTreeMap::new()))
            .clone();
        let Value::Map(inner) = inner else {
            let shown = fmt::printf(b"%q", &[inner.into()], SHOWN)?;
            return Err(Failure::new(format!(
                "not a map: {}: {} already has value ",
                quote::quoted(whole),
                quote::quoted(&top)
            ))
            .plain(&shown));
        };
        map = inner;
        whole = rest;
        rest = &rest[at + 1..];
    }
    if !rest.is_empty() {
        context.meter.keep(ENTRY + rest.len())?;
        map.borrow_mut().insert(Text::from(rest), value.clone());
    }
    Ok(())
}

/// The most of a value that a message repeats.
const SHOWN: usize = 10_000;

/// Whether `map` is somewhere inside `value`: then `value` must not go into `map`.
pub(super) fn holds(context: &mut Context<'_>, value: &Value, map: &Map) -> Result<bool, Failure> {
    // A value that is in many places is looked at once.
    let mut seen = HashSet::new();
    let mut pending = vec![value.clone()];
    while let Some(value) = pending.pop() {
        context.meter.charge(STEP)?;
        match &value {
            Value::Map(own) if Rc::ptr_eq(own, map) => return Ok(true),
            Value::Map(own) if seen.insert(Rc::as_ptr(own).addr()) => {
                let own = own.borrow();
                context.meter.charge(own.len() * STEP)?;
                pending.extend(own.values().filter(|item| item.is_container()).cloned());
            }
            Value::List(items) | Value::Lists(items) if seen.insert(Rc::as_ptr(items).addr()) => {
                context.meter.charge(items.len() * STEP)?;
                pending.extend(items.iter().filter(|item| item.is_container()).cloned());
            }
            _ => {}
        }
    }
    Ok(false)
}

/// The cost of a look at one value.
pub(super) const STEP: usize = 24;

/// The bytes of the keys of a map, which are compared where one is looked for.
pub(super) fn keys(map: &Map) -> usize {
    map.borrow().keys().map(|key| key.len()).sum()
}

/// The memory of an entry of a map, with a small text in it.
pub(super) const ENTRY: usize = 200;

/// Pays for the memory of an entry that a map gets.
pub(super) fn keep_entry(
    context: &mut Context<'_>,
    key: &Text,
    value: &Value,
) -> Result<(), Failure> {
    let texts = uncounted_key(key) + uncounted(value);
    context.meter.keep(ENTRY + texts)
}

/// The memory of an entry of a map whose key and value others hold, too.
pub(super) const SHARED: usize = 64;

/// How deep values may nest where they are compared, copied or merged.
pub(super) const MAX_DEPTH: usize = 1_000;

pub(super) fn too_deep() -> Failure {
    Failure::limit(format!("value nests deeper than {MAX_DEPTH} levels"))
}

fn merge(context: &mut Context<'_>, args: &[Place], overrides: bool) -> Outcome {
    let (into, from) = (&args[0].value, &args[1].value);
    match (into, from) {
        (Value::Map(into), Value::Map(from)) if !Rc::ptr_eq(into, from) => {
            merge_maps(context, (into, from), overrides, 0)?;
        }
        (Value::TypedNil(_), Value::Map(from)) => {
            context.meter.keep(MAP)?;
            let fresh: Map = Map::default();
            merge_maps(context, (&fresh, from), overrides, 0)?;
            return Ok(Value::Map(fresh));
        }
        _ => {}
    }
    Ok(into.clone())
}

/// Whether mergo takes it for empty: nothing, zero, no elements.
pub(super) fn is_empty(value: &Value) -> bool {
    !value.is_true()
}

pub(super) fn merge_maps(
    context: &mut Context<'_>,
    (into, from): (&Map, &Map),
    overrides: bool,
    depth: usize,
) -> Result<(), Failure> {
    if depth == MAX_DEPTH {
        return Err(too_deep());
    }
    context.meter.charge(from.borrow().len() * 4 * STEP)?;
    context.meter.charge(keys(from).saturating_mul(4))?;
    let entries: Vec<_> = from
        .borrow()
        .iter()
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect();
    for (key, value) in entries {
        let own = into.borrow().get(&key).cloned();
        if let (Some(Value::Map(own)), Value::Map(other)) = (&own, &value) {
            if !Rc::ptr_eq(own, other) {
                merge_maps(context, (own, other), overrides, depth + 1)?;
            }
            if !own.borrow().is_empty() {
                continue;
            }
        }
        let replaces = match (&own, &value) {
            (_, Value::Nil | Value::TypedNil(_)) => overrides,
            (Some(own), _) => overrides || is_empty(own),
            (None, _) => true,
        };
        if !replaces {
            continue;
        }
        if holds(context, &value, into)? {
            return Err(Failure::new("a map cannot contain itself"));
        }
        if own.is_none() {
            context.meter.keep(SHARED)?;
        }
        into.borrow_mut().insert(key, value);
    }
    Ok(())
}

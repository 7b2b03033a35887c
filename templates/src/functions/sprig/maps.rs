//! Maps; Go's random orders are sorted here, so that a file does not change by itself.

use std::collections::BTreeMap;
use std::rc::Rc;

use crate::error::Failure;
use crate::function::{uncounted, uncounted_key};
use crate::meter::{ELEMENT, MAP};
use crate::value::{Map, Place, Type, Value};

use super::collection::ENTRY;
use super::{ANY, Context, Function, Outcome, collection, done, paid, text};

pub(super) const FUNCTIONS: &[Function] = &[
    Function::new("sprig_dict", &[], dict)
        .weighing(8)
        .glancing()
        .rest(Type::Any),
    Function::new("sprig_get", KEYED, |_, args| {
        let found = map(args, 0).borrow().get(text(args, 1)).cloned();
        found.map_or_else(|| done(""), Ok)
    })
    .glancing()
    .handing_on(),
    Function::new(
        "sprig_set",
        &[Type::Map, Type::Text, Type::Any],
        |context, args| {
            if let Value::TypedNil(_) = &args[0].value {
                return Err(Failure::new("assignment to entry in nil map"));
            }
            let map = map(args, 0);
            collection::keep_entry(context, text(args, 1), &args[2].value)?;
            if collection::holds(context, &args[2].value, &map)? {
                return Err(Failure::new("a map cannot contain itself"));
            }
            let before = map
                .borrow_mut()
                .insert(text(args, 1).clone(), args[2].value.clone());
            if let Some(before) = before {
                context.meter.give_back(&before);
            }
            Ok(args[0].value.clone())
        },
    )
    .glancing()
    .handing_on(),
    Function::new("sprig_unset", KEYED, |_, args| {
        map(args, 0).borrow_mut().remove(text(args, 1));
        Ok(args[0].value.clone())
    })
    .glancing()
    .handing_on(),
    Function::new("sprig_hasKey", KEYED, |_, args| {
        Ok(Value::Bool(
            map(args, 0).borrow().contains_key(text(args, 1)),
        ))
    })
    .glancing(),
    Function::new("sprig_keys", &[], |context, args| {
        // One map may be given many times.
        let length: usize = args.iter().filter_map(|place| place.value.len()).sum();
        context.meter.keep(length.saturating_mul(ELEMENT))?;
        let keys = (0..args.len()).flat_map(|index| {
            map(args, index)
                .borrow()
                .keys()
                .cloned()
                .collect::<Vec<_>>()
        });
        Ok(Value::strings(keys.collect()))
    })
    .handing_on()
    .rest(Type::Map),
    Function::new("sprig_values", &[Type::Map], |_, args| {
        Ok(Value::list(
            map(args, 0).borrow().values().cloned().collect(),
        ))
    }),
    Function::new("sprig_pick", &[Type::Map], |_, args| {
        let map = map(args, 0);
        let map = map.borrow();
        let picked = (1..args.len()).filter_map(|index| {
            let key = text(args, index);
            Some((key.clone(), map.get(key)?.clone()))
        });
        Ok(Value::map(picked.collect()))
    })
    .rest(Type::Text),
    Function::new("sprig_omit", &[Type::Map], |_, args| {
        let mut kept = map(args, 0).borrow().clone();
        for index in 1..args.len() {
            kept.remove(text(args, index));
        }
        Ok(Value::map(kept))
    })
    .rest(Type::Text),
    Function::new("sprig_pluck", &[Type::Text], |_, args| {
        let found = (1..args.len())
            .filter_map(|index| map(args, index).borrow().get(text(args, 0)).cloned());
        Ok(Value::list(found.collect()))
    })
    .glancing()
    .rest(Type::Map),
    Function::new("sprig_merge", &[Type::Map], |context, args| {
        merge(context, args, false)
    })
    .glancing()
    .handing_on()
    .rest(Type::Map),
    Function::new("sprig_mustMerge", &[Type::Map], |context, args| {
        merge(context, args, false)
    })
    .glancing()
    .handing_on()
    .rest(Type::Map),
    Function::new("sprig_mergeOverwrite", &[Type::Map], |context, args| {
        merge(context, args, true)
    })
    .glancing()
    .handing_on()
    .rest(Type::Map),
    Function::new("sprig_mustMergeOverwrite", &[Type::Map], |context, args| {
        merge(context, args, true)
    })
    .glancing()
    .handing_on()
    .rest(Type::Map),
    Function::new("sprig_deepCopy", ANY, copied),
    Function::new("sprig_mustDeepCopy", ANY, copied),
    Function::new("sprig_dig", &[], dig)
        .glancing()
        .handing_on()
        .rest(Type::Any),
];

const KEYED: &[Type] = &[Type::Map, Type::Text];

fn map(args: &[Place], index: usize) -> Map {
    match &args[index].value {
        Value::Map(map) => Rc::clone(map),
        _ => Map::default(),
    }
}

fn dict(context: &mut Context<'_>, args: &[Place]) -> Outcome {
    let mut entries = BTreeMap::new();
    for pair in args.chunks(2) {
        let key = paid(context, &pair[0].value)?;
        let value = match pair.get(1) {
            Some(place) => place.value.clone(),
            None => Value::text(""),
        };
        context
            .meter
            .keep(uncounted_key(&key) + uncounted(&value))?;
        entries.insert(key, value);
    }
    Ok(Value::map(entries))
}

fn merge(context: &mut Context<'_>, args: &[Place], overrides: bool) -> Outcome {
    let into = map(args, 0);
    for index in 1..args.len() {
        let from = map(args, index);
        if !Rc::ptr_eq(&into, &from) {
            collection::merge_maps(context, (&into, &from), overrides, 0)?;
        }
    }
    Ok(Value::Map(into))
}

fn copied(context: &mut Context<'_>, args: &[Place]) -> Outcome {
    let value = &args[0].value;
    if value.is_nil() {
        return Err(Failure::new(
            "reflect: call of reflect.Value.Type on zero Value",
        ));
    }
    copy(context, value, 0)
}

fn copy(context: &mut Context<'_>, value: &Value, depth: usize) -> Outcome {
    if depth == collection::MAX_DEPTH {
        return Err(collection::too_deep());
    }
    context.meter.charge(value.len().unwrap_or(0) * 128)?;
    if value.is_container() {
        context.meter.keep(MAP + value.len().unwrap_or(0) * ENTRY)?;
    }
    Ok(match value {
        Value::Map(map) => {
            context
                .meter
                .charge(collection::keys(map).saturating_mul(4))?;
            let map = map.borrow();
            let mut copied = BTreeMap::new();
            for (key, item) in map.iter() {
                copied.insert(key.clone(), copy(context, item, depth + 1)?);
            }
            Value::map(copied)
        }
        Value::List(items) => {
            let items: Result<_, _> = items
                .iter()
                .map(|item| copy(context, item, depth + 1))
                .collect();
            Value::list(items?)
        }
        value => value.clone(),
    })
}

fn dig(_: &mut Context<'_>, args: &[Place]) -> Outcome {
    let conversion = |value: &Value, wanted: &str| {
        let name = match value {
            Value::Nil => "nil",
            value => value.type_name(),
        };
        Failure::new(format!(
            "interface conversion: interface {{}} is {name}, not {wanted}"
        ))
    };
    let [keys @ .., default, map] = args else {
        return Err(Failure::new("dig needs at least three arguments"));
    };
    if keys.is_empty() {
        return Err(Failure::new("dig needs at least three arguments"));
    }
    let Value::Map(_) = &map.value else {
        return Err(conversion(&map.value, "map[string]interface {}"));
    };
    let mut found = map.value.clone();
    let mut path = Vec::new();
    for key in keys {
        match &key.value {
            Value::Text(key) => path.push(key.clone()),
            key => return Err(conversion(key, "string")),
        }
    }
    for key in path {
        let Value::Map(map) = &found else {
            return Err(conversion(&found, "map[string]interface {}"));
        };
        let Some(next) = map.borrow().get(&key).cloned() else {
            return Ok(default.value.clone());
        };
        found = next;
    }
    Ok(found)
}

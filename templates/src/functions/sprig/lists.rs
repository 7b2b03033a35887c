//! Lists; the `must…` names are the same functions, because a panic is an error here.

use std::collections::BTreeSet;
use std::rc::Rc;

use planescape_vault::Text;

use crate::error::Failure;
use crate::function::uncounted;
use crate::meter::ELEMENT;
use crate::value::{Place, Type, Value};

use super::defaults::{deep_equal, is_empty, kind_name};
use super::numbers::to_int;
use super::{ANY, Context, Function, Outcome, int, texts};

const PAIR: &[Type] = &[Type::Any, Type::Any];
const CHUNK: &[Type] = &[Type::Int, Type::Any];

pub(super) const FUNCTIONS: &[Function] = &[
    Function::new("sprig_list", &[], list)
        .glancing()
        .rest(Type::Any),
    Function::new("sprig_tuple", &[], list)
        .glancing()
        .rest(Type::Any),
    Function::new("sprig_first", ANY, |context, args| {
        let items = items(context, args, "find first on")?;
        Ok(items.first().cloned().unwrap_or(Value::Nil))
    }),
    Function::new("sprig_mustFirst", ANY, |context, args| {
        let items = items(context, args, "find first on")?;
        Ok(items.first().cloned().unwrap_or(Value::Nil))
    }),
    Function::new("sprig_last", ANY, |context, args| {
        let items = items(context, args, "find last on")?;
        Ok(items.last().cloned().unwrap_or(Value::Nil))
    }),
    Function::new("sprig_mustLast", ANY, |context, args| {
        let items = items(context, args, "find last on")?;
        Ok(items.last().cloned().unwrap_or(Value::Nil))
    }),
    Function::new("sprig_rest", ANY, rest),
    Function::new("sprig_mustRest", ANY, rest),
    Function::new("sprig_initial", ANY, initial),
    Function::new("sprig_mustInitial", ANY, initial),
    Function::new("sprig_append", PAIR, append),
    Function::new("sprig_mustAppend", PAIR, append),
    Function::new("sprig_push", PAIR, append),
    Function::new("sprig_mustPush", PAIR, append),
    Function::new("sprig_prepend", PAIR, prepend),
    Function::new("sprig_mustPrepend", PAIR, prepend),
    Function::new("sprig_concat", &[], concat)
        .handing_on()
        .rest(Type::Any),
    Function::new("sprig_reverse", ANY, reverse),
    Function::new("sprig_mustReverse", ANY, reverse),
    Function::new("sprig_uniq", ANY, uniq).weighing(2),
    Function::new("sprig_mustUniq", ANY, uniq),
    Function::new("sprig_without", ANY, without).rest(Type::Any),
    Function::new("sprig_mustWithout", ANY, without).rest(Type::Any),
    Function::new("sprig_has", PAIR, has),
    Function::new("sprig_mustHas", PAIR, has),
    Function::new("sprig_compact", ANY, compact),
    Function::new("sprig_mustCompact", ANY, compact),
    Function::new("sprig_slice", ANY, slice).rest(Type::Any),
    Function::new("sprig_mustSlice", ANY, slice).rest(Type::Any),
    Function::new("sprig_chunk", CHUNK, chunk),
    Function::new("sprig_mustChunk", CHUNK, chunk),
    Function::new("sprig_sortAlpha", ANY, |context, args| {
        let sorted = match &args[0].value {
            Value::Nil => return Ok(Value::strings(vec![Text::from("<nil>")])),
            nothing @ Value::TypedNil(Type::Strings) => return Ok(nothing.clone()),
            value => texts(context, value)?,
        };
        sorted.sort();
        Ok(Value::Strings(sorted))
    })
    .weighing(16)
    .writing(),
    Function::new("sprig_toStrings", ANY, |context, args| {
        if let Value::TypedNil(Type::Strings) = &args[0].value {
            return Ok(args[0].value.clone());
        }
        Ok(Value::Strings(texts(context, &args[0].value)?))
    })
    .weighing(16)
    .writing(),
];

/// Go's error about the type of an untyped nil.
fn nil_pointer() -> Failure {
    Failure::new("runtime error: invalid memory address or nil pointer dereference")
}

fn elements(value: &Value, complaint: impl FnOnce(&str) -> String) -> Result<Vec<Value>, Failure> {
    if value.is_nil() {
        return Err(nil_pointer());
    }
    value
        .items()
        .ok_or_else(|| Failure::new(complaint(kind_name(value))))
}

fn items(context: &mut Context<'_>, args: &[Place], what: &str) -> Result<Vec<Value>, Failure> {
    let value = &args[0].value;
    context.meter.can_copy(value)?;
    elements(value, |kind| format!("Cannot {what} type {kind}"))
}

fn list(context: &mut Context<'_>, args: &[Place]) -> Outcome {
    let texts: usize = args.iter().map(|place| uncounted(&place.value)).sum();
    context.meter.keep(texts)?;
    Ok(Value::list(
        args.iter().map(|place| place.value.clone()).collect(),
    ))
}

fn rest(context: &mut Context<'_>, args: &[Place]) -> Outcome {
    let mut items = items(context, args, "find rest on")?;
    if items.is_empty() {
        return Ok(Value::TypedNil(Type::List));
    }
    items.remove(0);
    Ok(Value::list(items))
}

fn initial(context: &mut Context<'_>, args: &[Place]) -> Outcome {
    let mut items = items(context, args, "find initial on")?;
    Ok(match items.pop() {
        Some(_) => Value::list(items),
        None => Value::TypedNil(Type::List),
    })
}

fn append(context: &mut Context<'_>, args: &[Place]) -> Outcome {
    context.meter.keep(uncounted(&args[1].value))?;
    let mut items = items(context, args, "push on")?;
    items.push(args[1].value.clone());
    Ok(Value::list(items))
}

fn prepend(context: &mut Context<'_>, args: &[Place]) -> Outcome {
    context.meter.keep(uncounted(&args[1].value))?;
    let mut items = items(context, args, "prepend on")?;
    items.insert(0, args[1].value.clone());
    Ok(Value::list(items))
}

fn concat(context: &mut Context<'_>, args: &[Place]) -> Outcome {
    // One list may be given many times.
    let length: usize = args.iter().filter_map(|place| place.value.len()).sum();
    let bytes = length.saturating_mul(ELEMENT);
    context.meter.keep(bytes)?;
    let mut joined = Vec::new();
    for place in args {
        let items = elements(&place.value, |kind| {
            format!("Cannot concat type {kind} as list")
        })?;
        joined.extend(items);
    }
    if joined.is_empty() {
        return Ok(Value::TypedNil(Type::List));
    }
    let list = Value::list(joined);
    if let Value::List(items) = &list {
        items.count(bytes);
    }
    Ok(list)
}

fn reverse(context: &mut Context<'_>, args: &[Place]) -> Outcome {
    let mut items = items(context, args, "find reverse on")?;
    items.reverse();
    Ok(Value::list(items))
}

fn is_among(context: &mut Context<'_>, items: &[Value], wanted: &Value) -> Result<bool, Failure> {
    for item in items {
        if deep_equal(context, item, wanted)? {
            return Ok(true);
        }
    }
    Ok(false)
}

fn uniq(context: &mut Context<'_>, args: &[Place]) -> Outcome {
    /// The memory of an element in the set and in the list of those that are new.
    const KNOWN: usize = 128;
    let items = items(context, args, "find uniq on")?;
    context.meter.has_room(items.len().saturating_mul(KNOWN))?;
    let mut unique: Vec<Value> = Vec::new();
    let mut plain = BTreeSet::new();
    // A value without an order is compared with all others of its kind.
    let mut odd: Vec<Value> = Vec::new();
    for item in items {
        context
            .meter
            .charge(item.as_text().map_or(0, |text| 2 * text.len()))?;
        let is_new = match Plain::of(&item) {
            Some(item) => plain.insert(item),
            None if is_among(context, &odd, &item)? => false,
            None => {
                odd.push(item.clone());
                true
            }
        };
        if is_new {
            unique.push(item);
        }
    }
    Ok(Value::list(unique))
}

/// A value that is equal to no value of another kind.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Plain {
    Text(Text),
    Number(Text),
    Int(i64),
    Int64(i64),
    Bool(bool),
}

impl Plain {
    fn of(value: &Value) -> Option<Self> {
        match value {
            Value::Text(text) => Some(Self::Text(text.clone())),
            Value::Number(text) => Some(Self::Number(text.clone())),
            Value::Int(number) => Some(Self::Int(*number)),
            Value::Int64(number) => Some(Self::Int64(*number)),
            Value::Bool(flag) => Some(Self::Bool(*flag)),
            _ => None,
        }
    }
}

fn without(context: &mut Context<'_>, args: &[Place]) -> Outcome {
    let omitted: Vec<Value> = args[1..].iter().map(|place| place.value.clone()).collect();
    let mut kept = Vec::new();
    for item in items(context, args, "find without on")? {
        if !is_among(context, &omitted, &item)? {
            kept.push(item);
        }
    }
    Ok(Value::list(kept))
}

fn has(context: &mut Context<'_>, args: &[Place]) -> Outcome {
    if args[1].value.is_nil() {
        return Ok(Value::Bool(false));
    }
    let items = items(context, &args[1..], "find has on")?;
    is_among(context, &items, &args[0].value).map(Value::Bool)
}

fn compact(context: &mut Context<'_>, args: &[Place]) -> Outcome {
    let mut items = items(context, args, "compact on")?;
    items.retain(|item| !is_empty(item));
    Ok(Value::list(items))
}

fn slice(context: &mut Context<'_>, args: &[Place]) -> Outcome {
    let list = &args[0].value;
    context.meter.can_copy(list)?;
    let length = elements(list, |kind| {
        format!("list should be type of slice or array but {kind}")
    })?
    .len();
    if length == 0 {
        return Ok(Value::Nil);
    }
    let bound = |index: usize, default: usize| match args.get(index) {
        Some(place) => usize::try_from(to_int(&place.value)).map_err(|_| out_of_slice()),
        None => Ok(default),
    };
    let (from, to) = (bound(1, 0)?, bound(2, length)?);
    if from > to || to > length {
        return Err(out_of_slice());
    }
    Ok(match list {
        Value::Strings(items) => Value::Strings(Rc::new(items.slice(from, to))),
        Value::Ints(items) => Value::Ints(Rc::new(items[from..to].to_vec())),
        Value::Lists(items) => Value::lists(items[from..to].to_vec()),
        Value::List(items) => Value::list(items[from..to].to_vec()),
        _ => Value::Nil,
    })
}

fn out_of_slice() -> Failure {
    Failure::new("reflect.Value.Slice: slice index out of bounds")
}

fn chunk(context: &mut Context<'_>, args: &[Place]) -> Outcome {
    /// The memory of a chunk besides its elements.
    const HEAD: usize = 96;
    let items = items(context, &args[1..], "chunk")?;
    let size = int(args, 0);
    // A negative size leaves no chunks, or fewer than none; but one element is always a chunk of its own.
    let last = items.len() as f64 - 1.0;
    let count = (last / size as f64).floor() + 1.0;
    let is_single = items.len() == 1 && size != -1;
    if !(0.0..=last + 1.0).contains(&count) || size < 0 && count > 0.0 && !is_single {
        return Err(Failure::new("runtime error: makeslice: len out of range"));
    }
    context.meter.keep((count as usize).saturating_mul(HEAD))?;
    context.meter.keep(items.len().saturating_mul(ELEMENT))?;
    let size = usize::try_from(size).unwrap_or(usize::MAX).max(1);
    let chunks = items
        .chunks(size)
        .take(count as usize)
        .map(|chunk| Value::list(chunk.to_vec()));
    Ok(Value::lists(chunks.collect()))
}

/// Joined with a separator.
pub(super) fn joined(
    context: &mut Context<'_>,
    value: &Value,
    separator: &[u8],
) -> Result<Text, Failure> {
    let texts = texts(context, value)?;
    context.meter.makes(texts.joined_length(separator))?;
    Ok(Text::from(texts.join(separator)))
}

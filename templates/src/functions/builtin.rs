//! The functions that `text/template` itself brings, comparison apart.

use std::rc::Rc;

use planescape_vault::Text;

use crate::bytes;
use crate::error::Failure;
use crate::fmt;
use crate::function::size;
use crate::meter::PRINTED;
use crate::unicode;
use crate::value::{Kind, Place, Type, Value};

use super::{Context, Function, Outcome, done, entry, missing_entry, text};

pub(super) const FUNCTIONS: &[Function] = &[
    // The evaluator itself handles these two; it needs them here to know their types.
    Function::new("and", &[Type::Raw], |_, args| Ok(args[0].value.clone())).rest(Type::Raw),
    Function::new("or", &[Type::Raw], |_, args| Ok(args[0].value.clone())).rest(Type::Raw),
    Function::new("not", &[Type::Raw], |_, args| {
        Ok(Value::Bool(!args[0].value.is_true()))
    })
    .glancing(),
    Function::new("len", &[Type::Raw], |_, args| len(&args[0])).glancing(),
    Function::new("index", &[Type::Raw], |_, args| index(args))
        .glancing()
        .handing_on()
        .rest(Type::Raw),
    Function::new("slice", &[Type::Raw], |_, args| slice(args)).rest(Type::Raw),
    Function::new("call", &[Type::Raw], |context, args| {
        call(context, &args[0])
    })
    .rest(Type::Raw),
    Function::new("print", &[], |context, args| {
        done(fmt::sprint(args, context.meter.output_limit())?)
    })
    .writing()
    .rest(Type::Any),
    Function::new("println", &[], |context, args| {
        done(fmt::sprintln(args, context.meter.output_limit())?)
    })
    .writing()
    .rest(Type::Any),
    // It pays itself for what its verbs make of texts.
    Function::new("printf", &[Type::Text], printf)
        .writing()
        .rest(Type::Any),
    Function::new("html", &[], |context, args| {
        let whole = joined(context, args)?;
        context.meter.keep(whole.len() * 5)?;
        done(html(whole))
    })
    .weighing(6)
    .costing(256)
    .writing()
    .rest(Type::Any),
    Function::new("js", &[], |context, args| {
        let whole = joined(context, args)?;
        context.meter.keep(whole.len() * 6)?;
        done(js(&whole))
    })
    .weighing(16)
    .writing()
    .rest(Type::Any),
    Function::new("urlquery", &[], |context, args| {
        let whole = joined(context, args)?;
        context.meter.keep(whole.len() * 3)?;
        done(url_query(&whole))
    })
    .weighing(40)
    .writing()
    .rest(Type::Any),
];

fn printf(context: &mut Context<'_>, args: &[Place]) -> Outcome {
    /// The cost of one digit of a float that has hundreds of them.
    const DIGIT: usize = 6 * PRINTED;
    /// What a byte of the format costs, and one of a value that is more than copied.
    const BYTE: usize = 31;
    let (format, values) = (text(args, 0), &args[1..]);
    let copies = only_copies(format);
    let is_dear = |place: &&Place| !copies || place.value.as_text().is_none();
    let dear = values
        .iter()
        .filter(is_dear)
        .map(|place| size(&place.value));
    let dear = dear.fold(format.len(), usize::saturating_add);
    context.meter.charge(dear.saturating_mul(BYTE))?;
    let holds_floats = |place: &Place| {
        let value = &place.value;
        matches!(value, Value::Float(_) | Value::Complex(_))
            || matches!(value.kind(), Kind::List | Kind::Map)
    };
    let limit = context.meter.output_limit();
    if !asks_for_digits(format) || !values.iter().any(holds_floats) {
        return done(fmt::printf(format, values, limit)?);
    }
    let text = fmt::printf(format, values, limit / (DIGIT / PRINTED))?;
    context.meter.charge(text.len() * DIGIT)?;
    done(text)
}

/// Whether each verb writes a text as it is, once.
fn only_copies(format: &[u8]) -> bool {
    let mut verbs = format.split(|&byte| byte == b'%').skip(1);
    verbs.all(|verb| matches!(verb.first(), Some(b's' | b'v' | b'd')))
}

/// Whether a verb may ask for hundreds of digits: one with a precision, or one that writes no exponent.
fn asks_for_digits(format: &[u8]) -> bool {
    let mut verbs = format.split(|&byte| byte == b'%').skip(1);
    verbs.any(|verb| {
        let is_before = |byte: &&u8| b"+-# 0123456789.*[]".contains(*byte);
        let before = verb.iter().take_while(is_before).count();
        verb[..before].contains(&b'.') || matches!(verb.get(before), Some(b'f' | b'F'))
    })
}

fn len(place: &Place) -> Outcome {
    let value = &place.value;
    if let Some(length) = value.len() {
        return Ok(Value::Int(length as i64));
    }
    let is_nil_pointer = matches!(value, Value::TypedNil(of) if of.kind() == Kind::Pointer);
    Err(Failure::new(match value {
        Value::Nil if !place.boxed => {
            "reflect: call of reflect.Value.Type on zero Value".to_owned()
        }
        Value::Nil => "len of nil pointer".to_owned(),
        _ if is_nil_pointer => "len of nil pointer".to_owned(),
        _ => format!("len of type {}", target_type(value)),
    }))
}

/// The type behind a pointer.
fn target_type(value: &Value) -> &'static str {
    value.type_name().trim_start_matches('*')
}

/// Checks an index against a length; equal to the length is for the caller to judge.
fn position(index: &Value, length: usize) -> Result<usize, Failure> {
    let number = match (index.as_int(), index.as_uint()) {
        (Some(number), _) => number,
        (None, Some(number)) => number as i64,
        (None, None) if index.is_nil() => {
            return Err(Failure::new("cannot index slice/array with nil"));
        }
        (None, None) => {
            let name = index.type_name();
            return Err(Failure::new(format!(
                "cannot index slice/array with type {name}"
            )));
        }
    };
    usize::try_from(number)
        .ok()
        .filter(|&number| number <= length)
        .ok_or_else(|| Failure::new(format!("index out of range: {number}")))
}

fn index(args: &[Place]) -> Outcome {
    let mut item = args[0].value.clone();
    if item.is_nil() {
        return Err(Failure::new("index of untyped nil"));
    }
    for key in &args[1..] {
        item = element(&item, &key.value)?;
    }
    Ok(item)
}

fn element(item: &Value, key: &Value) -> Outcome {
    let is_nil_pointer = matches!(item, Value::TypedNil(of) if of.kind() == Kind::Pointer);
    if item.is_nil() || is_nil_pointer {
        return Err(Failure::new("index of nil pointer"));
    }
    match item.kind() {
        Kind::Text | Kind::List => {
            let length = item.len().unwrap_or(0);
            let at = position(key, length)?;
            nth(item, at).ok_or_else(|| {
                let kind = if item.kind() == Kind::Text {
                    "string"
                } else {
                    "slice"
                };
                Failure::new(format!("reflect: {kind} index out of range"))
            })
        }
        Kind::Map => {
            let key = map_key(item, key)?;
            let found = match &key {
                Value::Text(key) => entry(item, key),
                key => any_entry(item, key),
            };
            Ok(found.unwrap_or_else(|| missing_entry(item)).value)
        }
        _ => Err(Failure::new(format!(
            "can't index item of type {}",
            target_type(item)
        ))),
    }
}

fn nth(item: &Value, at: usize) -> Option<Value> {
    match item {
        Value::Text(text) | Value::Number(text) => text.get(at).map(|&byte| Value::Uint8(byte)),
        Value::List(items) | Value::Lists(items) => items.get(at).cloned(),
        Value::Strings(items) => items.get(at).map(Value::Text),
        Value::Ints(items) => items.get(at).copied().map(Value::Int),
        _ => None,
    }
}

fn any_entry(map: &Value, key: &Value) -> Option<Place> {
    let Value::AnyMap(entries) = map else {
        return None;
    };
    let found = entries.binary_search_by(|(own, _)| fmt::compare_keys(own, key));
    let (own, item) = &entries[found.ok()?];
    (own.type_of() == key.type_of()).then(|| Place::boxed(item.clone()))
}

fn map_key(map: &Value, key: &Value) -> Outcome {
    let takes_any = matches!(map.type_of(), Some(Type::AnyMap));
    match key {
        _ if takes_any && matches!(key.kind(), Kind::List | Kind::Map) => {
            let name = key.type_name();
            Err(Failure::new(format!(
                "runtime error: hash of unhashable type {name}"
            )))
        }
        _ if takes_any => Ok(key.clone()),
        Value::Text(_) => Ok(key.clone()),
        Value::Nil => Err(Failure::new("value is nil; should be of type string")),
        key => {
            let name = key.type_name();
            Err(Failure::new(format!(
                "value has type {name}; should be string"
            )))
        }
    }
}

fn slice(args: &[Place]) -> Outcome {
    let item = &args[0].value;
    let indexes = &args[1..];
    if item.is_nil() {
        return Err(Failure::new("slice of untyped nil"));
    }
    if matches!(item, Value::TypedNil(of) if of.kind() == Kind::Pointer) {
        return Err(Failure::new("slice of nil pointer"));
    }
    let count = indexes.len();
    if count > 3 {
        return Err(Failure::new(format!("too many slice indexes: {count}")));
    }
    let length = match item.kind() {
        Kind::Text if count == 3 => {
            return Err(Failure::new("cannot 3-index slice a string"));
        }
        Kind::Text | Kind::List => item.len().unwrap_or(0),
        _ => {
            let name = target_type(item);
            return Err(Failure::new(format!("can't slice item of type {name}")));
        }
    };
    let mut bounds = [0, length, length];
    for (bound, index) in bounds.iter_mut().zip(indexes) {
        if index.boxed {
            return Err(Failure::new(
                "cannot index slice/array with type interface {}",
            ));
        }
        *bound = position(&index.value, length)?;
    }
    let [from, to, capacity] = bounds;
    if from > to {
        return Err(Failure::new(format!("invalid slice index: {from} > {to}")));
    }
    if count == 3 && to > capacity {
        return Err(Failure::new(format!(
            "invalid slice index: {to} > {capacity}"
        )));
    }
    Ok(match item {
        Value::Text(text) => Value::text(&text[from..to]),
        Value::Number(text) => Value::Number(text[from..to].into()),
        Value::List(items) => Value::list(items[from..to].to_vec()),
        Value::Lists(items) => Value::lists(items[from..to].to_vec()),
        Value::Strings(items) => Value::Strings(Rc::new(items.slice(from, to))),
        Value::Ints(items) => Value::Ints(Rc::new(items[from..to].to_vec())),
        nil => nil.clone(),
    })
}

/// No template has a function as a value.
fn call(context: &Context<'_>, function: &Place) -> Outcome {
    let value = &function.value;
    if value.is_nil() {
        return Err(Failure::new("call of nil"));
    }
    let name = value.type_name();
    let failure = Failure::new("non-function ");
    let failure = match (context.callee.clone(), value) {
        (Some(callee), _) => failure.words(callee),
        (None, Value::Text(text) | Value::Number(text)) => failure.plain(text),
        (None, _) => failure.words(format!("<{name} Value>")),
    };
    Err(failure.words(format!(" of type {name}")))
}

/// The arguments as one text, pointers followed.
fn joined(context: &Context<'_>, args: &[Place]) -> Result<Text, Failure> {
    if let [only] = args
        && let Value::Text(text) = &only.value
    {
        return Ok(text.clone());
    }
    let limit = context.meter.output_limit();
    let mut out = Vec::new();
    let mut after_text = true;
    for (index, place) in args.iter().enumerate() {
        // A nil becomes the text `<no value>`, and counts as one.
        let is_text = matches!(place.value.kind(), Kind::Text | Kind::Invalid);
        if index > 0 && !is_text && !after_text {
            out.push(b' ');
        }
        fmt::print(&mut out, &place.value, limit)?;
        after_text = is_text;
    }
    Ok(out.into())
}

fn html(text: Text) -> Text {
    let is_special = |byte| {
        let quote = (byte == b'"') | (byte == b'\'');
        quote | (byte == 0) | (byte == b'&') | (byte == b'<') | (byte == b'>')
    };
    if bytes::plain(&text, is_special) == text.len() {
        return text;
    }
    let mut out = Vec::with_capacity(text.len());
    bytes::escape(&mut out, &text, is_special, |out, rest| {
        out.extend_from_slice(match rest[0] {
            0 => "\u{fffd}".as_bytes(),
            b'"' => b"&#34;",
            b'\'' => b"&#39;",
            b'&' => b"&amp;",
            b'<' => b"&lt;",
            _ => b"&gt;",
        });
        1
    });
    out.into()
}

fn js(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let is_special = |byte| {
        let quoted = (byte == b'\\') | (byte == b'\'') | (byte == b'"');
        let coded = (byte == b'<') | (byte == b'>') | (byte == b'&') | (byte == b'=');
        quoted | coded | !(0x20..0x80).contains(&byte)
    };
    bytes::escape(&mut out, text, is_special, |out, rest| {
        let (c, width) = unicode::decode(rest);
        match c.unwrap_or(char::REPLACEMENT_CHARACTER) {
            '\\' | '\'' | '"' => out.extend([b'\\', rest[0]]),
            c if c.is_ascii() => {
                let [high, low] = bytes::hex_digits(rest[0]);
                out.extend([b'\\', b'u', b'0', b'0', high, low]);
            }
            c if unicode::is_print(c) => out.extend_from_slice(&rest[..width]),
            c => out.extend_from_slice(format!("\\u{:04X}", u32::from(c)).as_bytes()),
        }
        width
    });
    out
}

/// `url.QueryEscape`.
pub(super) fn url_query(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    for &byte in text {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => out.push(byte),
            b' ' => out.push(b'+'),
            _ => {
                let [high, low] = bytes::hex_digits(byte);
                out.extend_from_slice(&[b'%', high, low]);
            }
        }
    }
    out
}

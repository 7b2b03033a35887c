//! A secret as Handlebars sees it: lower-case names, and the fields of a versioned secret
//! one level up.

use std::collections::BTreeMap;

use planescape_vault::Text;

use crate::object::Object;
use crate::value::{Kind, Type, Value};

/// The same value without Go's types: structs are maps with names in lower case.
pub(super) fn plain(value: &Value) -> Value {
    match value {
        Value::Object(object) => match &**object {
            Object::Struct { fields, .. } => {
                let fields = fields.iter();
                Value::map(
                    fields
                        .map(|(name, item)| (lower_case(name), plain(item)))
                        .collect(),
                )
            }
            Object::Time(time) => Value::text(time.format("2006-01-02T15:04:05.999999999Z07:00")),
            Object::Scratch(_) => Value::Nil,
        },
        Value::Strings(items) => Value::list(items.texts().map(Value::Text).collect()),
        Value::StringMap(entries) => {
            let entries = entries.iter();
            Value::map(
                entries
                    .map(|(key, item)| (key.clone(), Value::Text(item.clone())))
                    .collect(),
            )
        }
        Value::TypedNil(of) if of.kind() == Kind::List => Value::list(Vec::new()),
        Value::TypedNil(Type::StringMap) => Value::map(BTreeMap::new()),
        Value::TypedNil(_) => Value::Nil,
        value => value.clone(),
    }
}

/// An answer of Vault, with `metadata` beside the fields of this version.
pub(super) fn secret(value: &Value) -> Value {
    let answer = plain(value);
    let Value::Map(fields) = &answer else {
        return answer;
    };
    let inner = fields.borrow().get(&b"data"[..]).and_then(versioned);
    let (data, metadata) = match inner {
        Some((data, metadata)) => (Some(data), metadata),
        None => (None, Value::Nil),
    };
    let mut fields = fields.borrow().clone();
    if let Some(data) = data {
        fields.insert(Text::from("data"), data);
    }
    fields.insert(Text::from("metadata"), metadata);
    Value::map(fields)
}

/// The two parts of a versioned secret; no other engine answers with exactly these.
fn versioned(data: &Value) -> Option<(Value, Value)> {
    let Value::Map(entries) = data else {
        return None;
    };
    let entries = entries.borrow();
    let data = entries.get(&b"data"[..])?;
    let metadata = entries.get(&b"metadata"[..])?;
    let has_version = field(metadata, "version").is_some();
    (has_version && entries.len() == 2).then(|| (data.clone(), metadata.clone()))
}

/// The value of a map under this name, or of a list at this place.
pub(super) fn field(value: &Value, name: &str) -> Option<Value> {
    match value {
        Value::Map(entries) => entries.borrow().get(name.as_bytes()).cloned(),
        Value::List(items) => items.get(name.parse::<usize>().ok()?).cloned(),
        _ => None,
    }
}

/// `LeaseID` is `lease_id`, `CAChain` is `ca_chain`.
fn lower_case(name: &str) -> Text {
    let letters = name.as_bytes();
    let mut lower = Vec::with_capacity(letters.len() + 3);
    for (index, letter) in letters.iter().enumerate() {
        let follows_lower = index > 0 && letters[index - 1].is_ascii_lowercase();
        let opens_word = letters.get(index + 1).is_some_and(u8::is_ascii_lowercase);
        if letter.is_ascii_uppercase() && (follows_lower || index > 0 && opens_word) {
            lower.push(b'_');
        }
        lower.push(letter.to_ascii_lowercase());
    }
    Text::from(lower)
}

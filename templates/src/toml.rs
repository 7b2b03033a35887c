//! TOML as BurntSushi's encoder writes it.

use planescape_vault::Text;

use crate::error::Failure;
use crate::fmt::shortest;
use crate::meter::check_length;
use crate::number::{Base, parse_float, parse_int};
use crate::object::Object;
use crate::quote;
use crate::unicode;
use crate::value::{Kind, Type, Value};

/// How deep values may nest.
const MAX_DEPTH: usize = 1_000;

/// `limit` bounds the text.
pub(crate) fn encode(value: &Value, limit: usize) -> Result<Vec<u8>, Failure> {
    let mut encoder = Encoder {
        out: Vec::new(),
        limit,
        depth: 0,
        visits: 0,
    };
    encoder.entry(&[], value)?;
    encoder.check()?;
    Ok(encoder.out)
}

struct Encoder {
    out: Vec<u8>,
    limit: usize,
    depth: usize,
    /// Elements of lists that were looked at before anything was written.
    visits: usize,
}

type Entries = Vec<(Text, Value)>;

/// The entries of a table: sorted ones of a map, fields of a struct in order.
fn table(value: &Value) -> Option<Entries> {
    match value {
        Value::Map(map) => {
            let map = map.borrow();
            let entries = map.iter().map(|(key, item)| (key.clone(), item.clone()));
            Some(entries.collect())
        }
        Value::StringMap(map) => {
            let entries = map
                .iter()
                .map(|(key, item)| (key.clone(), Value::Text(item.clone())));
            Some(entries.collect())
        }
        Value::Object(object) => match &**object {
            Object::Struct { fields, .. } => {
                let entries = fields
                    .iter()
                    .map(|(name, item)| (Text::from(*name), item.clone()));
                Some(entries.collect())
            }
            Object::Scratch(_) => Some(Vec::new()),
            Object::Time(_) => None,
        },
        _ => None,
    }
}

fn is_nil(value: &Value) -> bool {
    matches!(value, Value::Nil | Value::TypedNil(_))
}

fn is_table(value: &Value) -> bool {
    match value {
        Value::AnyMap(_) => true,
        Value::Object(object) => !matches!(object.type_of(), Type::Time | Type::Version),
        _ => value.kind() == Kind::Map && !is_nil(value),
    }
}

/// A list of nothing but tables is written as `[[tables]]`.
impl Encoder {
    /// Elements of shared lists count as often as they are met, so that no value makes this endless.
    fn is_table_list(&mut self, value: &Value, depth: usize) -> Result<bool, Failure> {
        let Some(items) = value.items().filter(|items| !items.is_empty()) else {
            return Ok(false);
        };
        self.visits += items.len();
        if depth > MAX_DEPTH || self.visits > self.limit / 8 {
            return Err(Failure::limit("toml: value is nested too deeply"));
        }
        if items.iter().any(is_nil) {
            return Err(Failure::new("toml: cannot encode array with nil element"));
        }
        for item in &items {
            self.is_table_list(item, depth + 1)?;
        }
        Ok(items.iter().all(is_table))
    }

    fn check(&self) -> Result<(), Failure> {
        check_length(self.out.len(), self.limit)
    }

    fn raw(&mut self, text: &str) {
        self.out.extend_from_slice(text.as_bytes());
    }

    fn newline(&mut self) {
        if !self.out.is_empty() {
            self.out.push(b'\n');
        }
    }

    fn indent(&mut self, key: &[Text]) {
        let blanks = 2 * key.len().saturating_sub(1);
        self.out.extend(std::iter::repeat_n(b' ', blanks));
    }

    fn deeper(
        &mut self,
        inner: impl FnOnce(&mut Self) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        if self.depth == MAX_DEPTH {
            return Err(Failure::limit("toml: value is nested too deeply"));
        }
        self.check()?;
        self.depth += 1;
        inner(self)?;
        self.depth -= 1;
        Ok(())
    }

    fn entry(&mut self, key: &[Text], value: &Value) -> Result<(), Failure> {
        self.deeper(|encoder| match value {
            // A list that is nothing is an empty one only where it is the whole document.
            Value::TypedNil(of) if key.is_empty() && of.kind() == Kind::List => {
                encoder.key_value(key, value, false)
            }
            value if is_nil(value) => Ok(()),
            value if is_table(value) => {
                if key.len() == 1 {
                    encoder.newline();
                }
                encoder.heading(key, "[", "]");
                encoder.table(key, value)
            }
            value if encoder.is_table_list(value, 0)? => {
                if key.is_empty() {
                    return Err(Failure::new(
                        "toml: top-level values must be Go maps or structs",
                    ));
                }
                for item in value.items().unwrap_or_default() {
                    encoder.newline();
                    encoder.heading(key, "[[", "]]");
                    encoder.table(key, &item)?;
                }
                Ok(())
            }
            Value::Complex(_) | Value::Channel(_) => {
                let kind = if let Value::Channel(_) = value {
                    "chan"
                } else {
                    "complex128"
                };
                let mut path = Vec::new();
                for part in key {
                    if !path.is_empty() {
                        path.push(b'.');
                    }
                    path.extend_from_slice(part);
                }
                Err(Failure::new("unsupported type for key '")
                    .plain(&path)
                    .words(format!("': {kind}")))
            }
            value => encoder.key_value(key, value, false),
        })
    }

    fn heading(&mut self, key: &[Text], open: &str, close: &str) {
        if key.is_empty() {
            return;
        }
        self.indent(key);
        self.raw(open);
        for (index, part) in key.iter().enumerate() {
            if index > 0 {
                self.raw(".");
            }
            self.key(part);
        }
        self.raw(close);
        self.newline();
    }

    fn key(&mut self, key: &[u8]) {
        let is_bare = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
        if key.is_empty() {
            self.raw("\"\"");
        } else if key.iter().all(is_bare) {
            self.out.extend_from_slice(key);
        } else {
            self.quoted(key);
        }
    }

    /// Plain entries first, then tables.
    fn parts(&mut self, value: &Value) -> Result<(Entries, Entries), Failure> {
        let Some(entries) = table(value) else {
            return Err(Failure::new(
                "toml: cannot encode a map with non-string key type",
            ));
        };
        let mut direct = Vec::new();
        let mut tables = Vec::new();
        for entry in entries {
            if is_table(&entry.1) || self.is_table_list(&entry.1, 0)? {
                tables.push(entry);
            } else {
                direct.push(entry);
            }
        }
        Ok((direct, tables))
    }

    fn table(&mut self, key: &[Text], value: &Value) -> Result<(), Failure> {
        let (direct, tables) = self.parts(value)?;
        let mut key = key.to_vec();
        for (name, item) in direct.iter().chain(&tables) {
            key.push(name.clone());
            self.entry(&key, item)?;
            key.pop();
        }
        Ok(())
    }

    fn inline_table(&mut self, value: &Value) -> Result<(), Failure> {
        let (direct, tables) = self.parts(value)?;
        // Only the very last field of a struct goes without a comma; nil fields are no reason to drop one.
        let last_field = match value {
            Value::Object(object) => object.fields().last().map(|(name, _)| *name),
            _ => None,
        };
        self.raw("{");
        for (entries, goes_on) in [(&direct, !tables.is_empty()), (&tables, false)] {
            for (index, (name, item)) in entries.iter().enumerate() {
                if is_nil(item) {
                    continue;
                }
                self.key_value(std::slice::from_ref(name), item, true)?;
                let goes_on = match last_field {
                    Some(last) => **name != *last.as_bytes(),
                    None => goes_on || index + 1 < entries.len(),
                };
                if goes_on {
                    self.raw(", ");
                }
            }
        }
        self.raw("}");
        Ok(())
    }

    fn key_value(&mut self, key: &[Text], value: &Value, inline: bool) -> Result<(), Failure> {
        let Some(name) = key.last() else {
            return self.element(value);
        };
        self.indent(key);
        self.key(name);
        self.raw(" = ");
        self.element(value)?;
        if !inline {
            self.newline();
        }
        Ok(())
    }

    fn element(&mut self, value: &Value) -> Result<(), Failure> {
        self.deeper(|encoder| {
            match value {
                Value::Text(text) => encoder.quoted(text),
                Value::Bool(truth) => encoder.raw(if *truth { "true" } else { "false" }),
                Value::Float(number) => encoder.float(*number),
                Value::Number(text) => encoder.number(text)?,
                Value::Object(object) if object.type_of() == Type::Version => {
                    let text = crate::object::marshalled(object).unwrap_or_default();
                    encoder.quoted(text.as_bytes());
                }
                Value::Object(object) => match &**object {
                    Object::Time(time) => {
                        let text = time.format("2006-01-02T15:04:05.999999999Z07:00");
                        encoder.raw(&text);
                    }
                    Object::Struct { .. } | Object::Scratch(_) => encoder.inline_table(value)?,
                },
                value if is_table(value) => encoder.inline_table(value)?,
                value => match (value.as_int(), value.as_uint(), value.items()) {
                    (Some(number), _, _) => encoder.raw(&number.to_string()),
                    (_, Some(number), _) => encoder.raw(&number.to_string()),
                    (_, _, Some(items)) => encoder.list(&items)?,
                    _ => {
                        let name = value.type_name();
                        return Err(Failure::new(format!("unexpected type: {name}")));
                    }
                },
            }
            Ok(())
        })
    }

    fn list(&mut self, items: &[Value]) -> Result<(), Failure> {
        self.raw("[");
        for (index, item) in items.iter().enumerate() {
            if index > 0 {
                self.raw(", ");
            }
            self.element(item)?;
        }
        self.raw("]");
        Ok(())
    }

    fn number(&mut self, text: &[u8]) -> Result<(), Failure> {
        if text.is_empty() {
            self.raw("0");
        } else if let Ok(number) = parse_int(text, Base::Fixed(10)) {
            self.raw(&number.to_string());
        } else if let Ok(number) = parse_float(text) {
            self.float(number);
        } else {
            let shown = quote::quoted(text);
            return Err(Failure::new("unable to convert ")
                .plain(shown.as_bytes())
                .words(" to int64 or float64"));
        }
        Ok(())
    }

    fn float(&mut self, number: f64) {
        if number.is_nan() {
            return self.raw("nan");
        }
        if number.is_infinite() {
            return self.raw(if number > 0.0 { "inf" } else { "-inf" });
        }
        let digits = shortest(number, 'f');
        self.raw(&digits);
        if !digits.contains('.') {
            self.raw(".0");
        }
    }

    fn quoted(&mut self, text: &[u8]) {
        self.raw("\"");
        for unit in unicode::units(text) {
            // What is too long is refused when the text has ended.
            if self.out.len() > self.limit {
                break;
            }
            match unit {
                b"\"" => self.raw("\\\""),
                b"\\" => self.raw("\\\\"),
                b"\x08" => self.raw("\\b"),
                b"\t" => self.raw("\\t"),
                b"\n" => self.raw("\\n"),
                b"\x0c" => self.raw("\\f"),
                b"\r" => self.raw("\\r"),
                [byte @ (0..=0x1f | 0x7f)] => self.raw(&format!("\\u{:04x}", byte)),
                unit => self.out.extend_from_slice(unit),
            }
        }
        self.raw("\"");
    }
}

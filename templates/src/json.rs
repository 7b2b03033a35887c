//! JSON in templates: values from documents, and Go's words about what is no JSON.

mod write;

use std::rc::Rc;
use std::sync::Arc;

use planescape_vault::Text;
use planescape_vault::json::{Context, Datum, Invalid, decode, decode_seeing};

use crate::error::Failure;
use crate::number::parse_float;
use crate::quote;
use crate::value::{Entries, Value};

pub(crate) use write::{Style, encode};

/// The value in which numbers keep their digits, as in Vault's answers.
pub(crate) fn kept(datum: &Datum) -> Value {
    match datum {
        Datum::Null => Value::Nil,
        Datum::Bool(truth) => Value::Bool(*truth),
        Datum::Number(text) => Value::Number(text.clone()),
        Datum::Text(text) => Value::Text(text.clone()),
        Datum::List(items) => Value::list(items.iter().map(kept).collect()),
        Datum::Object(entries) => Value::Map(Rc::new(Entries::answered(entries))),
    }
}

/// The value in which numbers are floats, and nil where they are too large for one. It takes the place of the document
/// part by part, so that both do not need their memory at one time.
fn with_floats(datum: Datum) -> Value {
    match datum {
        Datum::Null | Datum::Bool(_) | Datum::Text(_) => kept(&datum),
        Datum::Number(text) => parse_float(&text).map_or(Value::Nil, Value::Float),
        Datum::List(items) => Value::list(items.into_iter().map(with_floats).collect()),
        Datum::Object(entries) => {
            let entries = Arc::unwrap_or_clone(entries).into_iter();
            Value::map(
                entries
                    .map(|(key, item)| (key, with_floats(item)))
                    .collect(),
            )
        }
    }
}

/// The memory that the values of a document take, at most nearly: each mark stands for a value, and a map has room for
/// eleven entries before it has two.
pub(crate) fn memory(text: &[u8]) -> usize {
    const VALUE: usize = 128;
    const MAP: usize = 512;
    let marks = text.iter().filter(|byte| b",:[{-\n".contains(byte)).count();
    let maps = text.iter().filter(|&&byte| byte == b'{').count();
    text.len() + marks * VALUE + maps * MAP
}

/// A document whose numbers keep their digits.
pub(crate) fn read(text: &[u8]) -> Result<Value, Failure> {
    decode(text).map(|datum| kept(&datum)).map_err(refused)
}

/// A document whose numbers are floats; nil stands for a number that is too large for one.
pub(crate) fn read_leniently(text: &[u8]) -> Result<Value, Failure> {
    decode(text).map(with_floats).map_err(refused)
}

/// A document whose numbers are floats, if all of them fit, also those that a later entry of the same name replaces.
pub(crate) fn read_strictly(text: &[u8]) -> Result<Value, Failure> {
    let mut too_large = None;
    let datum = decode_seeing(text, &mut |digits| {
        let may_be_large = digits.len() > 300 || digits.contains(&b'e') || digits.contains(&b'E');
        if too_large.is_none() && may_be_large && parse_float(digits).is_err() {
            too_large = Some(Text::from(digits));
        }
    });
    let datum = datum.map_err(refused)?;
    match too_large {
        None => Ok(with_floats(datum)),
        Some(number) => Err(Failure::new("json: cannot unmarshal number ")
            .plain(&number)
            .words(" into Go value of type float64")),
    }
}

/// The error in Go's words.
fn refused(invalid: Invalid) -> Failure {
    match invalid {
        Invalid::Character { byte, context } => complaint(byte, context),
        Invalid::End => Failure::new(invalid.to_string()),
        Invalid::Depth => Failure::limit(invalid.to_string()),
    }
}

fn complaint(byte: u8, context: Context) -> Failure {
    let shown = match byte {
        b'\'' => "'\\''".to_owned(),
        b'"' => "'\"'".to_owned(),
        _ => {
            let c = char::from(byte).to_string();
            let quoted = quote::quoted(c.as_bytes());
            format!("'{}'", &quoted[1..quoted.len() - 1])
        }
    };
    Failure::new(format!("invalid character {shown} {context}"))
}

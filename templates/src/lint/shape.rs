//! The shape of a value, known without running the template: which secret it comes from, and by which
//! fields.

use std::rc::Rc;

use planescape_vault::json::Datum;
use planescape_vault::{Secret, Text};

use crate::object;
use crate::value::Type;

use super::cures;

/// The origin of a value.
#[derive(Clone)]
pub(super) enum Shape {
    Unknown,
    /// Reached through these fields from a secret.
    Of(Rc<Origin>, Vec<Text>),
    /// A result of `pkiCert`.
    Certificate,
}

/// One call of `secret`.
pub(super) struct Origin {
    /// As the template writes it.
    pub(super) path: String,
    pub(super) engine: Engine,
    /// The answer that the responses hold.
    pub(super) answer: Option<Secret>,
}

/// The engine that answers, as far as it is known.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Engine {
    Unknown,
    /// KV version 2: `.Data` holds `data` and `metadata`.
    Versioned,
    /// Anything else: `.Data` holds the keys.
    Plain,
}

/// A mistake in a chain of fields.
pub(super) struct BadField {
    /// Its place among the chain's own fields.
    pub(super) index: usize,
    pub(super) kind: Kind,
    pub(super) message: String,
    pub(super) suggestion: Option<String>,
}

pub(super) enum Kind {
    SecretField,
    KvData,
    MissingKey,
}

impl Shape {
    /// The value that these fields lead to.
    pub(super) fn then(&self, names: &[Text]) -> Self {
        match self {
            Self::Certificate if names.is_empty() => Self::Certificate,
            Self::Unknown | Self::Certificate => Self::Unknown,
            Self::Of(origin, fields) => Self::Of(Rc::clone(origin), [fields, names].concat()),
        }
    }

    /// The first field of a chain that cannot be right.
    pub(super) fn refuse(&self, names: &[Text]) -> Option<BadField> {
        let (origin, before) = match self {
            Self::Unknown => return None,
            Self::Certificate => return certificate_field(names),
            Self::Of(origin, before) => (origin, before),
        };
        let whole = [before, names].concat();
        let found = secret_field(&whole)
            .or_else(|| origin.kv_data(&whole))
            .or_else(|| origin.missing_key(&whole))?;
        // A mistake before this chain was told where it stands.
        let index = found.index.checked_sub(before.len())?;
        Some(BadField { index, ..found })
    }

    /// The object at this place, if the responses have it.
    fn object(&self) -> Option<&Datum> {
        match self {
            Self::Unknown | Self::Certificate => None,
            Self::Of(origin, fields) => origin.at(fields).ok().flatten(),
        }
    }

    /// Whether `toJSON` writes a character of it as `\u0026` or the like.
    pub(super) fn is_escaped_in_json(&self) -> bool {
        self.object().is_some_and(is_escaped)
    }

    /// Whether it is the `.Data` of a KV version 2 secret, whose keys are one level deeper.
    pub(super) fn is_versioned_data(&self) -> bool {
        match self {
            Self::Unknown | Self::Certificate => false,
            Self::Of(origin, fields) => {
                origin.engine == Engine::Versioned
                    && matches!(fields.as_slice(), [data] if **data == *b"Data")
                    && self.object().is_none_or(|data| data.get("data").is_some())
            }
        }
    }
}

fn is_escaped(datum: &Datum) -> bool {
    let has = |text: &Text| text.iter().any(|byte| b"&<>".contains(byte));
    match datum {
        Datum::Null | Datum::Bool(_) | Datum::Number(_) => false,
        Datum::Text(text) => has(text),
        Datum::List(items) => items.iter().any(is_escaped),
        Datum::Object(entries) => entries.iter().any(|(key, it)| has(key) || is_escaped(it)),
    }
}

fn secret_field(fields: &[Text]) -> Option<BadField> {
    let first = String::from_utf8_lossy(fields.first()?);
    let known = object::fields(Type::Secret);
    if known.contains(&&*first) {
        return None;
    }
    let nearest = crate::spelling::closest(&first, known.iter().copied());
    Some(BadField {
        index: 0,
        kind: Kind::SecretField,
        message: format!("a secret has no field `{first}`"),
        suggestion: nearest.map(|name| format!("did you mean `.{name}`?")),
    })
}

/// Other fields than these are those of `secret "pki/issue/…"`.
fn certificate_field(fields: &[Text]) -> Option<BadField> {
    const KNOWN: [&str; 4] = ["Cert", "Key", "CA", "CAChain"];
    let first = String::from_utf8_lossy(fields.first()?);
    if KNOWN.contains(&&*first) {
        return None;
    }
    let meant = match (&*first, fields.get(1)) {
        ("Data", Some(second)) => String::from_utf8_lossy(second),
        _ => first.clone(),
    };
    let suggestion = match cures::of_certificate(&meant) {
        Some(own) => format!("write `.{own}`"),
        None => "write `.Cert`, `.Key`, `.CA` or `.CAChain`".to_owned(),
    };
    Some(BadField {
        index: 0,
        kind: Kind::SecretField,
        message: format!("a certificate has no field `{first}`"),
        suggestion: Some(suggestion),
    })
}

impl Origin {
    fn kv_data(&self, fields: &[Text]) -> Option<BadField> {
        let (b"Data", Some(second)) = (&**fields.first()?, fields.get(1)) else {
            return None;
        };
        let name = String::from_utf8_lossy(second);
        let path = &self.path;
        match (self.engine, &*name) {
            (Engine::Unknown, _) | (Engine::Versioned, "data" | "metadata") => None,
            (Engine::Versioned, _) => Some(BadField {
                index: 1,
                kind: Kind::KvData,
                message: format!(
                    "`{path}` is KV version 2, whose .Data holds `data` and `metadata`"
                ),
                suggestion: Some(format!("write `.Data.data.{name}`")),
            }),
            (Engine::Plain, "data") if !self.has_data_key() => {
                let rest: String = fields[2..]
                    .iter()
                    .map(|name| format!(".{}", String::from_utf8_lossy(name)))
                    .collect();
                Some(BadField {
                    index: 1,
                    kind: Kind::KvData,
                    message: format!(
                        "`{path}` is not KV version 2, so its keys are in .Data itself"
                    ),
                    suggestion: Some(format!("write `.Data{rest}`")),
                })
            }
            (Engine::Plain, _) => None,
        }
    }

    fn has_data_key(&self) -> bool {
        let answer = self.answer.as_ref();
        answer.is_some_and(|secret| secret.data().get("data").is_some())
    }

    fn missing_key(&self, fields: &[Text]) -> Option<BadField> {
        let (index, object) = self.at(fields).err()?;
        let name = String::from_utf8_lossy(&fields[index]);
        let keys: Vec<String> = match object {
            Datum::Object(entries) => entries
                .keys()
                .map(|key| String::from_utf8_lossy(key).into_owned())
                .collect(),
            Datum::Null | Datum::Bool(_) | Datum::Number(_) | Datum::Text(_) | Datum::List(_) => {
                return None;
            }
        };
        let nearest = crate::spelling::closest(&name, keys.iter().map(String::as_str));
        Some(BadField {
            index,
            kind: Kind::MissingKey,
            message: format!("the response for `{}` has no key `{name}`", self.path),
            suggestion: nearest.map(|name| format!("did you mean `{name}`?")),
        })
    }

    /// The value that fields lead to in the response; or the first field that its object lacks, and the object.
    fn at(&self, fields: &[Text]) -> Result<Option<&Datum>, (usize, &Datum)> {
        let (Some(answer), Some(b"Data")) = (&self.answer, fields.first().map(|name| &**name))
        else {
            return Ok(None);
        };
        let mut datum = answer.data();
        for (index, name) in fields.iter().enumerate().skip(1) {
            let Datum::Object(entries) = datum else {
                return Ok(None);
            };
            datum = entries.get(name).ok_or((index, datum))?;
        }
        Ok(Some(datum))
    }
}

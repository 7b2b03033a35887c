//! What Vault answered: the fields templates see, and what says when to ask again.

use std::fmt;
use std::rc::Rc;
use std::time::{Duration, SystemTime};

use crate::json::{self, Datum};
use crate::object::Object;
use crate::text::Text;
use crate::time::Moment;
use crate::value::{Type, Value};

/// One answer of Vault, wiped when dropped; `Debug` shows no values.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret {
    request_id: Text,
    lease_id: Text,
    lease_duration: i64,
    renewable: bool,
    data: Datum,
    warnings: Vec<Text>,
    auth: Option<Auth>,
    wrapping: Option<Wrapping>,
}

#[derive(Clone, Default, PartialEq, Eq)]
struct Auth {
    client_token: Text,
    accessor: Text,
    policies: Vec<Text>,
    metadata: Vec<(Text, Text)>,
    lease_duration: i64,
    renewable: bool,
}

#[derive(Clone, PartialEq, Eq)]
struct Wrapping {
    token: Text,
    ttl: i64,
    creation_time: Option<Moment>,
    wrapped_accessor: Text,
}

/// A body that is no answer of Vault.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("not an answer of vault: {reason}")]
pub struct MalformedAnswer {
    reason: String,
}

impl MalformedAnswer {
    pub(crate) fn new(reason: &str) -> Self {
        let reason = reason.to_owned();
        Self { reason }
    }
}

/// Parses a body without repeating any of it in errors.
pub(crate) fn object(body: &[u8]) -> Result<Datum, MalformedAnswer> {
    match json::decode(body) {
        Ok(datum @ Datum::Object(_)) => Ok(datum),
        Ok(_) => Err(MalformedAnswer::new("no JSON object")),
        Err(_) => Err(MalformedAnswer::new("no JSON")),
    }
}

fn text(of: &Datum, key: &str) -> Text {
    match of.get(key) {
        Some(Datum::Text(text)) => text.clone(),
        _ => Text::default(),
    }
}

fn number(of: &Datum, key: &str) -> i64 {
    of.get(key).and_then(seconds).unwrap_or(0)
}

/// Whole seconds from a number or a text of digits.
fn seconds(datum: &Datum) -> Option<i64> {
    match datum {
        Datum::Number(text) | Datum::Text(text) => std::str::from_utf8(text).ok()?.parse().ok(),
        _ => None,
    }
}

fn flag(of: &Datum, key: &str) -> bool {
    matches!(of.get(key), Some(Datum::Bool(true)))
}

fn texts(of: &Datum, key: &str) -> Vec<Text> {
    match of.get(key) {
        Some(Datum::List(items)) => items
            .iter()
            .filter_map(|item| match item {
                Datum::Text(text) => Some(text.clone()),
                _ => None,
            })
            .collect(),
        _ => Vec::new(),
    }
}

impl Auth {
    fn of(answer: &Datum) -> Option<Self> {
        let auth = answer.get("auth")?;
        let Datum::Object(_) = auth else { return None };
        let metadata = match auth.get("metadata") {
            Some(Datum::Object(entries)) => entries
                .iter()
                .filter_map(|(key, item)| match item {
                    Datum::Text(text) => Some((key.clone(), text.clone())),
                    _ => None,
                })
                .collect(),
            _ => Vec::new(),
        };
        Some(Self {
            client_token: text(auth, "client_token"),
            accessor: text(auth, "accessor"),
            policies: texts(auth, "policies"),
            metadata,
            lease_duration: number(auth, "lease_duration"),
            renewable: flag(auth, "renewable"),
        })
    }

    fn renew_with(&mut self, newer: Self) {
        replace_text(&mut self.client_token, newer.client_token);
        replace_text(&mut self.accessor, newer.accessor);
        if !newer.policies.is_empty() {
            self.policies = newer.policies;
        }
        if !newer.metadata.is_empty() {
            self.metadata = newer.metadata;
        }
        if newer.lease_duration != 0 {
            self.lease_duration = newer.lease_duration;
        }
        self.renewable |= newer.renewable;
    }

    fn value(&self) -> Value {
        let metadata = if self.metadata.is_empty() {
            Value::TypedNil(Type::StringMap)
        } else {
            Value::StringMap(Rc::new(self.metadata.iter().cloned().collect()))
        };
        structure(
            Type::Auth,
            vec![
                ("ClientToken", Value::Text(self.client_token.clone())),
                ("Accessor", Value::Text(self.accessor.clone())),
                ("Policies", strings(&self.policies)),
                ("Metadata", metadata),
                ("LeaseDuration", Value::Int(self.lease_duration)),
                ("Renewable", Value::Bool(self.renewable)),
            ],
        )
    }
}

impl Wrapping {
    fn of(answer: &Datum) -> Option<Self> {
        let wrapping = answer.get("wrap_info")?;
        let Datum::Object(_) = wrapping else {
            return None;
        };
        Some(Self {
            token: text(wrapping, "token"),
            ttl: number(wrapping, "ttl"),
            creation_time: wrapping
                .get("creation_time")
                .and_then(Datum::as_str)
                .and_then(Moment::parse),
            wrapped_accessor: text(wrapping, "wrapped_accessor"),
        })
    }

    fn value(&self) -> Value {
        let created = self.creation_time.unwrap_or(Moment::ZERO);
        structure(
            Type::Wrapping,
            vec![
                ("Token", Value::Text(self.token.clone())),
                ("TTL", Value::Int(self.ttl)),
                (
                    "CreationTime",
                    Value::Object(Rc::new(Object::Time(created))),
                ),
                (
                    "WrappedAccessor",
                    Value::Text(self.wrapped_accessor.clone()),
                ),
            ],
        )
    }
}

fn replace_text(old: &mut Text, new: Text) {
    if !new.is_empty() {
        *old = new;
    }
}

fn structure(of: Type, fields: Vec<(&'static str, Value)>) -> Value {
    Value::Object(Rc::new(Object::Struct { of, fields }))
}

fn strings(texts: &[Text]) -> Value {
    if texts.is_empty() {
        return Value::TypedNil(Type::Strings);
    }
    Value::strings(texts.to_vec())
}

impl Secret {
    /// Reads the body of an answer.
    pub fn from_json(body: &[u8]) -> Result<Self, MalformedAnswer> {
        Ok(Self::of(&object(body)?))
    }

    pub(crate) fn of(answer: &Datum) -> Self {
        Self {
            request_id: text(answer, "request_id"),
            lease_id: text(answer, "lease_id"),
            lease_duration: number(answer, "lease_duration"),
            renewable: flag(answer, "renewable"),
            data: answer.get("data").cloned().unwrap_or(Datum::Null),
            warnings: texts(answer, "warnings"),
            auth: Auth::of(answer),
            wrapping: Wrapping::of(answer),
        }
    }

    /// Takes over what a renewal answered; what it leaves out stays.
    pub fn renew_with(&mut self, renewal: Self) {
        replace_text(&mut self.request_id, renewal.request_id);
        replace_text(&mut self.lease_id, renewal.lease_id);
        if renewal.lease_duration != 0 {
            self.lease_duration = renewal.lease_duration;
        }
        self.renewable |= renewal.renewable;
        if matches!(&renewal.data, Datum::Object(entries) if !entries.is_empty()) {
            self.data = renewal.data;
        }
        if !renewal.warnings.is_empty() {
            self.warnings = renewal.warnings;
        }
        if let Some(newer) = renewal.auth {
            self.auth.get_or_insert_default().renew_with(newer);
        }
        if renewal.wrapping.is_some() {
            self.wrapping = renewal.wrapping;
        }
    }

    /// Empty when there is nothing to renew or revoke.
    pub fn lease_id(&self) -> &str {
        std::str::from_utf8(&self.lease_id).unwrap_or_default()
    }

    /// How long it may be used; the token's own duration if it carries one.
    pub fn lease_duration(&self) -> Duration {
        let seconds = match &self.auth {
            Some(auth) if auth.lease_duration > 0 => auth.lease_duration,
            _ => self.lease_duration,
        };
        Duration::from_secs(u64::try_from(seconds).unwrap_or(0))
    }

    /// Whether its lease, or its token, can be renewed.
    pub fn is_renewable(&self) -> bool {
        self.auth
            .as_ref()
            .map_or(self.renewable, |auth| auth.renewable)
    }

    /// The token inside, if this is the answer to a login.
    pub fn client_token(&self) -> Option<&Text> {
        self.auth
            .as_ref()
            .map(|auth| &auth.client_token)
            .filter(|token| !token.is_empty())
    }

    /// Whether `data` has this field at all.
    pub fn has_field(&self, name: &str) -> bool {
        self.data.get(name).is_some()
    }

    /// A whole number in `data`, also if it was written as a text.
    pub fn number_field(&self, name: &str) -> Option<i64> {
        self.data.get(name).and_then(seconds)
    }

    /// A text in `data`.
    pub fn text_field(&self, name: &str) -> Option<&str> {
        self.data.get(name).and_then(Datum::as_str)
    }

    /// Strings listed in `data` under this name: the `keys` of a listing.
    pub fn list_field(&self, name: &str) -> Option<Vec<String>> {
        match self.data.get(name)? {
            Datum::List(items) => items
                .iter()
                .map(|item| item.as_str().map(str::to_owned))
                .collect(),
            _ => None,
        }
    }

    /// Whether the answer has data at all; a deleted or never written secret has none.
    pub fn has_data(&self) -> bool {
        matches!(&self.data, Datum::Object(entries) if !entries.is_empty())
    }

    /// Warnings that came with the answer.
    pub fn warnings(&self) -> impl Iterator<Item = &str> {
        self.warnings
            .iter()
            .filter_map(|text| std::str::from_utf8(text).ok())
    }

    /// Whether this version of a KV v2 secret was deleted before `now`.
    pub fn is_deleted(&self, now: SystemTime) -> bool {
        self.data
            .get("metadata")
            .and_then(|metadata| metadata.get("deletion_time"))
            .and_then(Datum::as_str)
            .and_then(Moment::parse)
            .is_some_and(|deleted| {
                Moment::from(now)
                    .since(deleted)
                    .is_some_and(|since| !since.is_zero())
            })
    }

    pub(crate) fn data(&self) -> &Datum {
        &self.data
    }

    /// What the template gets: a pointer to a struct.
    pub(crate) fn value(&self) -> Value {
        let data = match &self.data {
            data @ Datum::Object(_) => data.kept(),
            _ => Value::TypedNil(Type::Map),
        };
        let auth = self
            .auth
            .as_ref()
            .map_or(Value::TypedNil(Type::Auth), Auth::value);
        let wrapping = self
            .wrapping
            .as_ref()
            .map_or(Value::TypedNil(Type::Wrapping), Wrapping::value);
        structure(
            Type::Secret,
            vec![
                ("RequestID", Value::Text(self.request_id.clone())),
                ("LeaseID", Value::Text(self.lease_id.clone())),
                ("LeaseDuration", Value::Int(self.lease_duration)),
                ("Renewable", Value::Bool(self.renewable)),
                ("Data", data),
                ("Warnings", strings(&self.warnings)),
                ("Auth", auth),
                ("WrapInfo", wrapping),
            ],
        )
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Secret")
            .field("lease_duration", &self.lease_duration())
            .field("is_renewable", &self.is_renewable())
            .finish_non_exhaustive()
    }
}

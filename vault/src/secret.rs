//! An answer of Vault: the fields that a template sees, and those that say when to ask again.

use std::fmt;
use std::time::{Duration, SystemTime};

use crate::json::{self, Datum};
use crate::text::Text;
use crate::timestamp::Timestamp;

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

/// The result of a login.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Auth {
    /// The token.
    pub client_token: Text,
    /// The token's accessor, which names it without giving it away.
    pub accessor: Text,
    /// The token's policies.
    pub policies: Vec<Text>,
    /// The login method's words about the client.
    pub metadata: Vec<(Text, Text)>,
    /// Seconds.
    pub lease_duration: i64,
    /// Whether the token can be renewed.
    pub renewable: bool,
    /// Whether it lives on when the token that has asked for it ends.
    pub is_orphan: bool,
}

/// The place where a wrapped answer waits.
#[derive(Clone, PartialEq, Eq)]
pub struct Wrapping {
    /// The token that unwraps it.
    pub token: Text,
    /// Seconds.
    pub ttl: i64,
    /// When it was wrapped.
    pub creation_time: Option<Timestamp>,
    /// The accessor of the token inside.
    pub wrapped_accessor: Text,
}

/// A body that is no answer of Vault.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("not an answer of vault: {reason}")]
pub struct MalformedAnswer {
    reason: String,
}

impl MalformedAnswer {
    /// `reason` says what the body lacks, and nothing that is in it.
    #[must_use]
    pub fn new(reason: &str) -> Self {
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

/// The same of an answer, whose blocks have to be objects.
pub(crate) fn answer(body: &[u8]) -> Result<Datum, MalformedAnswer> {
    let answer = object(body)?;
    for key in ["data", "auth", "wrap_info"] {
        match answer.get(key) {
            None | Some(Datum::Null | Datum::Object(_)) => {}
            Some(_) => return Err(MalformedAnswer::new(&format!("`{key}` is not an object"))),
        }
    }
    Ok(answer)
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

/// Whole seconds from a number or a text of digits; a fraction is cut.
fn seconds(datum: &Datum) -> Option<i64> {
    let (Datum::Number(text) | Datum::Text(text)) = datum else {
        return None;
    };
    let text = std::str::from_utf8(text).ok()?;
    let whole = text.split_once('.').map_or(text, |(whole, _)| whole);
    whole.parse().ok()
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
            is_orphan: flag(auth, "orphan"),
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
        self.is_orphan |= newer.is_orphan;
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
                .and_then(Timestamp::parse),
            wrapped_accessor: text(wrapping, "wrapped_accessor"),
        })
    }
}

fn replace_text(old: &mut Text, new: Text) {
    if !new.is_empty() {
        *old = new;
    }
}

impl Secret {
    /// Reads the body of an answer.
    ///
    /// # Errors
    /// It is no JSON object, or one of its blocks is none.
    pub fn from_json(body: &[u8]) -> Result<Self, MalformedAnswer> {
        Ok(Self::of(&answer(body)?))
    }

    /// Reads an answer that was decoded already; missing fields are empty.
    ///
    /// Some paths, such as `sys/health`, answer without `data`. Their whole answer is the data then, as in Vault's
    /// own client.
    #[must_use]
    pub fn of(answer: &Datum) -> Self {
        let mut secret = Self::fields(answer);
        let says_more = matches!(answer, Datum::Object(fields) if !fields.is_empty())
            && answer.get("errors").is_none()
            && text(answer, "mount_type").is_empty();
        if says_more && secret == Self::fields(&Datum::Null) {
            secret.data = answer.clone();
        }
        secret
    }

    fn fields(answer: &Datum) -> Self {
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

    /// Whether a template sees the same in both, the id of the request apart: a secret that is
    /// read again unchanged is no reason to render.
    #[must_use]
    pub fn says_the_same(&self, other: &Self) -> bool {
        self.lease_id == other.lease_id
            && self.lease_duration == other.lease_duration
            && self.renewable == other.renewable
            && self.data == other.data
            && self.warnings == other.warnings
            && self.auth == other.auth
            && self.wrapping == other.wrapping
    }

    /// Takes over the fields of a renewal's answer; fields that it leaves out stay.
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

    /// The id of the request in Vault's audit log.
    #[must_use]
    pub fn request_id(&self) -> &Text {
        &self.request_id
    }

    /// Seconds of the answer's own lease, as Vault wrote them.
    #[must_use]
    pub fn lease_seconds(&self) -> i64 {
        self.lease_duration
    }

    /// Whether the answer's own lease can be renewed.
    #[must_use]
    pub fn has_renewable_lease(&self) -> bool {
        self.renewable
    }

    /// The result of the login, if this is the answer to one.
    #[must_use]
    pub fn auth(&self) -> Option<&Auth> {
        self.auth.as_ref()
    }

    /// The place where the answer waits, if it was wrapped.
    #[must_use]
    pub fn wrapping(&self) -> Option<&Wrapping> {
        self.wrapping.as_ref()
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

    /// The version of a secret in a mount whose secrets have versions.
    #[must_use]
    pub fn version(&self) -> Option<u64> {
        let version = self.data.get("metadata")?.get("version");
        version.and_then(seconds)?.try_into().ok()
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

    /// Warnings that came with the answer.
    #[must_use]
    pub fn warnings(&self) -> &[Text] {
        &self.warnings
    }

    /// Whether this version of a KV v2 secret was deleted before `now`.
    pub fn is_deleted(&self, now: SystemTime) -> bool {
        self.data
            .get("metadata")
            .and_then(|metadata| metadata.get("deletion_time"))
            .and_then(Datum::as_str)
            .and_then(Timestamp::parse)
            .is_some_and(|deleted| {
                Timestamp::from(now)
                    .since(deleted)
                    .is_some_and(|since| !since.is_zero())
            })
    }

    /// The `data` of the answer; null if there is none.
    #[must_use]
    pub fn data(&self) -> &Datum {
        &self.data
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_with_other_types_is_malformed_and_not_quoted() {
        for body in [
            r#"{"data": "hunter2"}"#,
            r#"{"data": ["hunter2"]}"#,
            r#"{"data": {}, "auth": "hunter2"}"#,
            r#"{"wrap_info": 7}"#,
        ] {
            let error = Secret::from_json(body.as_bytes()).unwrap_err().to_string();

            assert!(error.contains("is not an object"), "{error}");
            assert!(!error.contains("hunter2"), "{error}");
        }
        assert!(Secret::from_json(br#"{"data": null, "auth": null}"#).is_ok());
    }

    #[test]
    fn a_version_is_deleted_from_its_deletion_time_on() {
        let body = br#"{"data": {"data": null, "metadata": {"deletion_time": "1970-01-01T01:00:10+01:00"}}}"#;
        let secret = Secret::from_json(body).expect("a secret");
        let at = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);

        assert!(!secret.is_deleted(at(10)));
        assert!(secret.is_deleted(at(11)));
    }

    #[test]
    fn an_answer_without_data_is_its_own_data() {
        let data = |body: &str| {
            let secret = Secret::from_json(body.as_bytes()).expect("a secret");
            secret.data().get("sealed").is_some()
        };

        assert!(data(r#"{"initialized": true, "sealed": false}"#));
        assert!(data(r#"{"data": null, "auth": null, "sealed": true}"#));
        for other in [
            r#"{"data": {}, "sealed": false}"#,
            r#"{"request_id": "1", "sealed": false}"#,
            r#"{"lease_duration": 1, "sealed": false}"#,
            r#"{"auth": {}, "sealed": false}"#,
            r#"{"mount_type": "kv", "sealed": false}"#,
            r#"{"errors": [], "sealed": false}"#,
        ] {
            assert!(!data(other), "{other}");
        }
    }

    #[test]
    fn a_malformed_body_is_not_repeated() {
        let error = Secret::from_json(br#"{"token": hunter2}"#).expect_err("it is no JSON");

        assert_eq!(error.to_string(), "not an answer of vault: no JSON");
    }
}

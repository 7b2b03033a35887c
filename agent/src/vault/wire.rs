//! The JSON bodies of requests and answers.

use std::collections::BTreeMap;
use std::time::Duration;

use planescape_agent_core::{Failure, Grant, Login};
use planescape_vault::SecretText;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

/// A body, zeroed when dropped.
pub(super) type Body = Zeroizing<Vec<u8>>;

pub(super) fn login(role: &str, jwt: &str) -> Body {
    encode(&BTreeMap::from([("role", role), ("jwt", jwt)]))
}

pub(super) fn empty() -> Body {
    encode(&BTreeMap::<&str, &str>::new())
}

pub(super) fn lease(lease_id: &str) -> Body {
    encode(&BTreeMap::from([("lease_id", lease_id)]))
}

/// KV version 2 wants the parameters in an object called `data`.
pub(super) fn parameters(parameters: &[(String, SecretText)], wrapped: bool) -> Body {
    let fields: BTreeMap<&str, &str> = parameters
        .iter()
        .map(|(key, value)| (key.as_str(), value.expose()))
        .collect();
    if wrapped {
        encode(&BTreeMap::from([("data", fields)]))
    } else {
        encode(&fields)
    }
}

fn encode(value: &impl Serialize) -> Body {
    let mut body = Body::default();
    serde_json::to_writer(&mut *body, value).expect("maps of strings have a JSON form");
    body
}

#[derive(Deserialize)]
struct Envelope {
    auth: Option<Auth>,
    #[serde(default)]
    lease_duration: u64,
    #[serde(default)]
    renewable: bool,
}

#[derive(Deserialize)]
struct Auth {
    #[serde(default)]
    client_token: String,
    #[serde(default)]
    accessor: String,
    #[serde(default)]
    lease_duration: u64,
    #[serde(default)]
    renewable: bool,
}

pub(super) fn logged_in(body: &[u8]) -> Result<Login, Failure> {
    let auth = auth(body)?;
    if auth.client_token.is_empty() {
        return Err(malformed("the login's answer has no token"));
    }
    Ok(Login {
        grant: grant(auth.lease_duration, auth.renewable),
        token: SecretText::new(auth.client_token),
        accessor: auth.accessor,
    })
}

pub(super) fn renewed_token(body: &[u8]) -> Result<Grant, Failure> {
    let auth = auth(body)?;
    Ok(grant(auth.lease_duration, auth.renewable))
}

pub(super) fn renewed_lease(body: &[u8]) -> Result<Grant, Failure> {
    let envelope: Envelope = decode(body)?;
    Ok(grant(envelope.lease_duration, envelope.renewable))
}

pub(super) fn listed(body: &[u8]) -> Result<Vec<String>, Failure> {
    #[derive(Deserialize)]
    struct Listing {
        data: Option<Keys>,
    }
    #[derive(Deserialize)]
    struct Keys {
        #[serde(default)]
        keys: Vec<String>,
    }
    let listing: Listing = decode(body)?;
    Ok(listing.data.map(|data| data.keys).unwrap_or_default())
}

/// The first of Vault's error texts, on one line and shortened. Whatever the body is, nothing
/// else of it is kept.
pub(super) fn first_error(body: &[u8]) -> String {
    #[derive(Deserialize)]
    struct Errors {
        #[serde(default)]
        errors: Vec<String>,
    }
    let errors = serde_json::from_slice::<Errors>(body).map_or_else(|_| Vec::new(), |e| e.errors);
    let words: Vec<&str> = errors.first().map_or_else(Vec::new, |text| {
        text.split(|c: char| c.is_whitespace() || c.is_control())
            .filter(|word| !word.is_empty())
            .collect()
    });
    let mut line = words.join(" ");
    line.truncate(line.floor_char_boundary(300));
    line
}

fn auth(body: &[u8]) -> Result<Auth, Failure> {
    let envelope: Envelope = decode(body)?;
    envelope
        .auth
        .ok_or_else(|| malformed("the answer has no auth block"))
}

fn grant(seconds: u64, renewable: bool) -> Grant {
    Grant::new(Duration::from_secs(seconds), renewable)
}

/// serde's error may quote a value, so only its place is told.
fn decode<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, Failure> {
    serde_json::from_slice(body).map_err(|error| {
        malformed(&format!(
            "its answer is not the expected JSON (line {}, column {})",
            error.line(),
            error.column()
        ))
    })
}

fn malformed(message: &str) -> Failure {
    Failure::Malformed {
        message: message.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_login_without_a_token_is_malformed() {
        assert!(logged_in(br#"{"auth":{"accessor":"a"}}"#).is_err());
        assert!(logged_in(br#"{"auth":null}"#).is_err());
        assert!(logged_in(b"<html>").is_err());
    }

    #[test]
    fn an_answer_that_cannot_be_read_is_not_quoted() {
        let failure = logged_in(br#"{"auth":{"client_token":["hvs.secret"]}}"#).unwrap_err();

        assert!(!failure.to_string().contains("hvs"), "{failure}");
    }

    #[test]
    fn the_first_error_is_one_short_line() {
        let body = r#"{"errors":["2 errors occurred:\n\t* permission denied\n\t* invalid token\n\n","x"]}"#;
        assert_eq!(
            first_error(body.as_bytes()),
            "2 errors occurred: * permission denied * invalid token"
        );
        assert_eq!(first_error(b"<html>secret</html>"), "");
        assert_eq!(
            first_error(format!(r#"{{"errors":["{}"]}}"#, "é".repeat(1000)).as_bytes()).len(),
            300
        );
    }

    #[test]
    fn kv_version_2_wants_its_parameters_wrapped() {
        let fields = [("a".to_owned(), SecretText::new("1".to_owned()))];

        assert_eq!(&*parameters(&fields, false), br#"{"a":"1"}"#);
        assert_eq!(&*parameters(&fields, true), br#"{"data":{"a":"1"}}"#);
    }
}

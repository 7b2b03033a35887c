//! The JSON bodies of requests and answers.
//!
//! The fields beside a token are read leniently: an answer with an odd accessor or TTL still
//! brings a token that somebody must revoke.

mod lenient;

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::secret::answer;
use crate::{Error, Grant, Login, Refusal, SecretText};

/// A body, zeroed when dropped.
pub type Body = Zeroizing<Vec<u8>>;

/// The body of a request with these fields.
#[must_use]
pub fn fields<'a>(fields: impl IntoIterator<Item = (&'a str, &'a str)>) -> Body {
    encode(&fields.into_iter().collect::<BTreeMap<_, _>>())
}

/// The body of a request without parameters.
#[must_use]
pub fn empty() -> Body {
    encode(&BTreeMap::<&str, &str>::new())
}

/// The body of a renewal of a lease, or of the token that asks; `increment` is the TTL to ask for.
#[must_use]
pub fn renewal(lease_id: Option<&str>, increment: Option<Duration>) -> Body {
    let increment = increment.map(|increment| format!("{}s", increment.as_secs()));
    let lease_id = lease_id.map(|id| ("lease_id", id));
    let increment = increment.as_deref().map(|it| ("increment", it));
    fields(lease_id.into_iter().chain(increment))
}

/// The body of a write. KV version 2 wants the parameters in an object called `data`.
#[must_use]
pub fn parameters(parameters: &[(String, SecretText)], wrapped: bool) -> Body {
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
    // Measured first, since a vector that grows leaves copies behind.
    let mut length = Length(0);
    serde_json::to_writer(&mut length, value).expect("maps of strings have a JSON form");
    // One more byte, for a line feed at the end.
    let mut body = Zeroizing::new(Vec::with_capacity(length.0 + 1));
    serde_json::to_writer(&mut *body, value).expect("maps of strings have a JSON form");
    body
}

struct Length(usize);

impl std::io::Write for Length {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[derive(Deserialize)]
struct Envelope {
    #[serde(default, deserialize_with = "lenient::text")]
    request_id: String,
    auth: Option<Auth>,
    #[serde(default, deserialize_with = "lenient::text")]
    lease_id: String,
    #[serde(default, deserialize_with = "lenient::seconds")]
    lease_duration: u64,
    #[serde(default, deserialize_with = "lenient::flag")]
    renewable: bool,
}

#[derive(Deserialize)]
struct Auth {
    #[serde(default, deserialize_with = "lenient::text")]
    client_token: String,
    #[serde(default, deserialize_with = "lenient::text")]
    accessor: String,
    #[serde(default, deserialize_with = "lenient::seconds")]
    lease_duration: u64,
    #[serde(default, deserialize_with = "lenient::flag")]
    renewable: bool,
    #[serde(default, deserialize_with = "lenient::flag")]
    orphan: bool,
    #[serde(default, deserialize_with = "lenient::seconds")]
    num_uses: u64,
}

/// The lease or the token that an answer hands out.
#[derive(Clone, Debug)]
pub enum Granted {
    /// A lease.
    Lease {
        /// Its id.
        id: String,
        /// How long it lasts.
        grant: Grant,
    },
    /// A token.
    Token {
        /// The token.
        login: Login,
        /// Whether it lives on without the token that made it.
        is_orphan: bool,
    },
}

/// Reads the lease or the token that an answer hands out, if it does.
#[must_use]
pub fn granted(body: &[u8]) -> Option<Granted> {
    let envelope: Envelope = serde_json::from_slice(body).ok()?;
    if !envelope.lease_id.is_empty() {
        return Some(Granted::Lease {
            id: envelope.lease_id,
            grant: grant(envelope.lease_duration, envelope.renewable),
        });
    }
    let auth = envelope.auth.filter(|auth| !auth.client_token.is_empty())?;
    Some(Granted::Token {
        login: Login {
            grant: grant(auth.lease_duration, auth.renewable),
            token: SecretText::new(auth.client_token),
            accessor: auth.accessor,
            has_limited_uses: auth.num_uses > 0,
            request: envelope.request_id,
        },
        is_orphan: auth.orphan,
    })
}

/// Reads the answer to a login.
///
/// # Errors
/// It brings no token.
pub fn logged_in(body: &[u8]) -> Result<Login, Error> {
    let (auth, request) = auth(body)?;
    if auth.client_token.is_empty() {
        return Err(malformed("the login's answer has no token"));
    }
    Ok(Login {
        request,
        grant: grant(auth.lease_duration, auth.renewable),
        token: SecretText::new(auth.client_token),
        accessor: auth.accessor,
        has_limited_uses: auth.num_uses > 0,
    })
}

/// A body that asks about paths.
#[must_use]
pub fn paths(paths: &[&str]) -> Body {
    encode(&BTreeMap::from([("paths", paths)]))
}

/// Reads what a token may do, by path.
///
/// # Errors
/// It is no such answer.
pub fn capabilities(body: &[u8]) -> Result<BTreeMap<String, Vec<String>>, Error> {
    #[derive(Deserialize)]
    struct Answer {
        data: BTreeMap<String, Vec<String>>,
    }
    Ok(decode::<Answer>(body)?.data)
}

/// Reads the answer to a request that gives nothing back. A page of a gateway between Vault and us is no answer.
///
/// # Errors
/// It is not Vault's.
pub fn done(body: &[u8]) -> Result<(), Error> {
    if body.is_empty() {
        return Ok(());
    }
    let answer = answer(body).map_err(|error| malformed(&error.to_string()));
    answer.map(drop)
}

/// Reads what Vault knows of `token`.
///
/// # Errors
/// It is not the answer to a token's look-up.
pub fn looked_up(token: SecretText, body: &[u8]) -> Result<Login, Error> {
    #[derive(Deserialize)]
    struct Answer {
        data: Known,
    }
    #[derive(Deserialize)]
    struct Known {
        #[serde(default, deserialize_with = "lenient::text")]
        accessor: String,
        #[serde(default, deserialize_with = "lenient::seconds")]
        ttl: u64,
        #[serde(default, deserialize_with = "lenient::flag")]
        renewable: bool,
        #[serde(default, deserialize_with = "lenient::text")]
        expire_time: String,
        #[serde(default, deserialize_with = "lenient::seconds")]
        num_uses: u64,
    }
    let known = decode::<Answer>(body)?.data;
    // Vault tells whole seconds: zero in the last second of a token that ends.
    let least = u64::from(!known.expire_time.is_empty());
    Ok(Login {
        token,
        grant: grant(known.ttl.max(least), known.renewable),
        accessor: known.accessor,
        has_limited_uses: known.num_uses > 0,
        request: String::new(),
    })
}

/// The description of a response-wrapping token, in JSON.
#[derive(Debug)]
pub struct Wrapped(pub Body);

/// Reads an answer that was wrapped: its `wrap_info`, a line of JSON with the fields of `vault agent`.
///
/// # Errors
/// It has none, or one without a token.
pub fn wrapped(body: &[u8]) -> Result<Wrapped, Error> {
    #[derive(Deserialize)]
    struct Answer {
        wrap_info: Option<Info>,
    }
    #[derive(Deserialize, Serialize)]
    struct Info {
        #[serde(default, deserialize_with = "lenient::text")]
        token: String,
        #[serde(default, deserialize_with = "lenient::text")]
        accessor: String,
        #[serde(default, deserialize_with = "lenient::seconds")]
        ttl: u64,
        #[serde(default, deserialize_with = "lenient::text")]
        creation_time: String,
        #[serde(default, deserialize_with = "lenient::text")]
        creation_path: String,
        #[serde(default, deserialize_with = "lenient::text")]
        wrapped_accessor: String,
    }
    let info = decode::<Answer>(body)?.wrap_info;
    let info = info.ok_or_else(|| malformed("the answer is not wrapped"))?;
    if info.token.is_empty() {
        return Err(malformed("the wrapped answer has no token"));
    }
    let mut wrapped = encode(&info);
    wrapped.push(b'\n');
    let _wiped = Zeroizing::new(info.token);
    Ok(Wrapped(wrapped))
}

/// Reads the path that made a wrapping token.
///
/// # Errors
/// The answer does not say it.
pub fn wrapped_by(body: &[u8]) -> Result<String, Error> {
    #[derive(Deserialize)]
    struct Answer {
        data: Made,
    }
    #[derive(Deserialize)]
    struct Made {
        creation_path: String,
    }
    decode::<Answer>(body).map(|answer| answer.data.creation_path)
}

/// Reads the secret id that a wrapping token held.
///
/// # Errors
/// It held something else.
pub fn secret_id(body: &[u8]) -> Result<SecretText, Error> {
    #[derive(Deserialize)]
    struct Answer {
        data: Made,
    }
    #[derive(Deserialize)]
    struct Made {
        secret_id: String,
    }
    decode::<Answer>(body).map(|answer| SecretText::new(answer.data.secret_id))
}

/// Reads the answer to a token's renewal.
///
/// # Errors
/// It has no `auth` block.
pub fn renewed_token(body: &[u8]) -> Result<Grant, Error> {
    let (auth, _) = auth(body)?;
    Ok(grant(auth.lease_duration, auth.renewable))
}

/// Reads the answer to a lease's renewal.
///
/// # Errors
/// It is not JSON.
pub fn renewed_lease(body: &[u8]) -> Result<Grant, Error> {
    let envelope: Envelope = decode(body)?;
    Ok(grant(envelope.lease_duration, envelope.renewable))
}

/// Reads the keys of a listing.
///
/// # Errors
/// It is not a listing.
pub fn listed(body: &[u8]) -> Result<Vec<String>, Error> {
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

/// Reads an error answer. Nothing of the body but its first error text is kept.
#[must_use]
pub fn refusal(status: u16, body: &[u8], retry_after: Option<Duration>) -> Refusal {
    if status == 404
        && let Some(message) = deleted(body)
    {
        return Refusal::deleted(message);
    }
    Refusal::new(status, first_error(body), retry_after)
}

/// KV version 2 answers 404 for a deleted version, with the version's metadata.
fn deleted(body: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct Answer {
        data: Data,
    }
    #[derive(Deserialize)]
    struct Data {
        metadata: Metadata,
    }
    #[derive(Deserialize)]
    struct Metadata {
        #[serde(default, deserialize_with = "lenient::text")]
        deletion_time: String,
        #[serde(default, deserialize_with = "lenient::flag")]
        destroyed: bool,
        #[serde(default, deserialize_with = "lenient::seconds")]
        version: u64,
    }
    let metadata = serde_json::from_slice::<Answer>(body).ok()?.data.metadata;
    let version = metadata.version;
    if metadata.destroyed {
        return Some(format!("version {version} of the secret is destroyed"));
    }
    let time = one_line(&metadata.deletion_time);
    (!time.is_empty()).then(|| format!("version {version} of the secret was deleted at {time}"))
}

/// The first of Vault's error texts, on one line and shortened.
fn first_error(body: &[u8]) -> String {
    #[derive(Deserialize)]
    struct Errors {
        #[serde(default)]
        errors: Vec<String>,
    }
    let errors = serde_json::from_slice::<Errors>(body).map_or_else(|_| Vec::new(), |e| e.errors);
    errors
        .first()
        .map(|text| one_line(text))
        .unwrap_or_default()
}

fn one_line(text: &str) -> String {
    let words: Vec<&str> = text
        .split(|c: char| c.is_whitespace() || c.is_control())
        .filter(|word| !word.is_empty())
        .collect();
    let mut line = words.join(" ");
    line.truncate(line.floor_char_boundary(300));
    line
}

/// The token's block, and the id of the request.
fn auth(body: &[u8]) -> Result<(Auth, String), Error> {
    let envelope: Envelope = decode(body)?;
    let auth = envelope.auth;
    let auth = auth.ok_or_else(|| malformed("the answer has no auth block"))?;
    Ok((auth, envelope.request_id))
}

fn grant(seconds: u64, renewable: bool) -> Grant {
    Grant::new(Duration::from_secs(seconds), renewable)
}

/// serde's error may quote a value, so only its place is told.
fn decode<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, Error> {
    let decoded = serde_json::from_slice(body).map_err(|error| {
        malformed(&format!(
            "its answer is not the expected JSON (line {}, column {})",
            error.line(),
            error.column()
        ))
    })?;
    // serde takes lists for objects.
    done(body).map(|()| decoded)
}

fn malformed(message: &str) -> Error {
    Error::Malformed {
        message: message.to_owned(),
    }
}

#[cfg(test)]
mod tests;

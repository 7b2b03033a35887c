//! The agent's own token and its accessor are withheld from clients.

use memchr::memmem;
use planescape_vault::SecretText;
use serde_json::{Map, Value};

/// Whether an answer to this path is about the agent's token, by what was asked.
pub(super) fn is_about(meant: &str, body: Option<&[u8]>, own: Option<&SecretText>) -> bool {
    let ends = |known| super::ends(meant, known);
    if ends("auth/token/lookup-self") || ends("auth/token/renew-self") {
        return true;
    }
    if !ends("auth/token/lookup") && !ends("auth/token/renew") {
        return false;
    }
    // A request that names no other token is about the agent's.
    let named = body.and_then(|body| serde_json::from_slice::<Value>(body).ok());
    let named = named.as_ref().and_then(|body| body["token"].as_str());
    named.is_none_or(|named| named.is_empty() || own.is_some_and(|own| own.expose() == named))
}

/// An answer without the token; `None` where it does not tell it. The answer counts, too, because not every question
/// shows that it is about the token.
pub(super) fn told(answer: &[u8], own: &str, is_about_own: bool) -> Option<Vec<u8>> {
    if !is_about_own && !may_name(answer, own) {
        return None;
    }
    let mut said: Value = match serde_json::from_slice(answer) {
        Ok(said) => said,
        // A token may stand anywhere in an answer that is no JSON.
        Err(_) => return is_about_own.then(Vec::new),
    };
    let is_own = |field: &Map<String, Value>, name: &str| {
        let is_told = ["accessor", name]
            .iter()
            .any(|name| field.contains_key(*name));
        is_told && (is_about_own || field.get(name).is_some_and(|it| it == own))
    };
    let mut hides = false;
    if let Some(data) = said.get_mut("data").and_then(Value::as_object_mut)
        && is_own(data, "id")
    {
        data.remove("id");
        data.remove("accessor");
        hides = true;
    }
    if let Some(auth) = said.get_mut("auth").and_then(Value::as_object_mut)
        && is_own(auth, "client_token")
    {
        for name in ["client_token", "accessor"] {
            auth.insert(name.to_owned(), Value::String(String::new()));
        }
        hides = true;
    }
    if !hides {
        return None;
    }
    // Left out as `vault agent` leaves them out.
    if let Some(said) = said.as_object_mut() {
        said.retain(|name, value| !(["auth", "wrap_info"].contains(&&**name) && value.is_null()));
    }
    Some(said.to_string().into_bytes())
}

/// Whether the token could stand in this JSON: without escapes it stands there as it is.
fn may_name(answer: &[u8], own: &str) -> bool {
    let plain = own.split(|c: char| !c.is_ascii_alphanumeric());
    let longest = plain.max_by_key(|part| part.len()).unwrap_or_default();
    memmem::find(answer, longest.as_bytes()).is_some() || memmem::find(answer, b"\\u").is_some()
}

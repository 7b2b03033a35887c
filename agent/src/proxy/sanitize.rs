//! Answers about the agent's own token do not name it.

use bytes::Bytes;
use serde_json::Value;

use super::answer::Whole;

/// Takes the token and its accessor out of an answer about it. `body` is the request's.
pub(super) fn sanitize(path: &str, body: &[u8], own: &str, mut answer: Whole) -> Whole {
    if answer.status != 200 {
        return answer;
    }
    let about = || {
        let named = serde_json::from_slice::<Value>(body).ok();
        let named = named.and_then(|body| body["token"].as_str().map(str::to_owned));
        named.is_none_or(|named| named.is_empty() || named == own)
    };
    let (field, names) = match path {
        "/v1/auth/token/lookup-self" => ("data", ["id", "accessor"]),
        "/v1/auth/token/lookup" if about() => ("data", ["id", "accessor"]),
        "/v1/auth/token/renew-self" => ("auth", ["client_token", "accessor"]),
        "/v1/auth/token/renew" if about() => ("auth", ["client_token", "accessor"]),
        _ => return answer,
    };
    let Ok(mut said) = serde_json::from_slice::<Value>(&answer.body) else {
        return answer;
    };
    if let Some(about) = said.get_mut(field).and_then(Value::as_object_mut) {
        for name in names {
            if field == "data" {
                about.remove(name);
            } else if let Some(value) = about.get_mut(name) {
                *value = Value::String(String::new());
            }
        }
    }
    if let Some(said) = said.as_object_mut() {
        for name in ["auth", "wrap_info"] {
            if said.get(name) == Some(&Value::Null) {
                said.remove(name);
            }
        }
    }
    answer.body = Bytes::from(said.to_string());
    answer.headers.remove(http::header::CONTENT_LENGTH);
    answer
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, StatusCode};

    use super::*;

    #[test]
    fn the_agents_token_is_not_told() {
        let lookup = r#"{"data":{"id":"own","accessor":"a","ttl":7}}"#;
        let renew = r#"{"auth":{"client_token":"own","accessor":"a"}}"#;
        let cases = [
            (
                "/v1/auth/token/lookup-self",
                "",
                lookup,
                r#"{"data":{"ttl":7}}"#,
            ),
            (
                "/v1/auth/token/lookup",
                r#"{"token":"own"}"#,
                lookup,
                r#"{"data":{"ttl":7}}"#,
            ),
            (
                "/v1/auth/token/lookup",
                r#"{"token":"other"}"#,
                lookup,
                lookup,
            ),
            (
                "/v1/auth/token/renew-self",
                "",
                renew,
                r#"{"auth":{"accessor":"","client_token":""}}"#,
            ),
            ("/v1/kv/data/app", "", lookup, lookup),
        ];
        for (path, body, said, expected) in cases {
            let answer = Whole {
                status: StatusCode::OK,
                headers: HeaderMap::new(),
                body: Bytes::from(said),
            };

            let answer = sanitize(path, body.as_bytes(), "own", answer);

            let expected: Value = serde_json::from_str(expected).unwrap();
            assert_eq!(
                serde_json::from_slice::<Value>(&answer.body).unwrap(),
                expected
            );
        }
    }
}

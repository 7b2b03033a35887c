//! The answers that clients get.

use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full};

/// An error while a body comes; the connection ends with it.
pub(crate) type BodyError = Box<dyn std::error::Error + Send + Sync>;

/// An answer, whose body may still be on its way.
pub(crate) type Answer = Response<UnsyncBoxBody<Bytes, BodyError>>;

/// A whole answer.
#[derive(Clone, Debug)]
pub(super) struct Whole {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

impl Whole {
    pub(super) fn into_answer(self) -> Answer {
        let mut answer = Response::new(body(self.body));
        *answer.status_mut() = self.status;
        *answer.headers_mut() = self.headers;
        answer
    }
}

pub(super) fn body(bytes: Bytes) -> UnsyncBoxBody<Bytes, BodyError> {
    Full::new(bytes)
        .map_err(|never| match never {})
        .boxed_unsync()
}

pub(super) fn empty(status: StatusCode) -> Answer {
    let mut answer = Response::new(body(Bytes::new()));
    *answer.status_mut() = status;
    answer
}

pub(super) fn error(status: StatusCode, message: &str) -> Answer {
    errors(status, &[message])
}

/// Errors in Vault's form, with the line end that Go puts behind JSON.
pub(super) fn errors_text(messages: &[&str]) -> String {
    serde_json::json!({"errors": messages}).to_string() + "\n"
}

pub(super) fn errors(status: StatusCode, messages: &[&str]) -> Answer {
    let mut answer = typed("application/json", errors_text(messages));
    *answer.status_mut() = status;
    answer
}

/// The answer in the words of Go's server.
pub(super) fn not_found() -> Answer {
    let mut answer = typed(
        "text/plain; charset=utf-8",
        "404 page not found\n".to_owned(),
    );
    *answer.status_mut() = StatusCode::NOT_FOUND;
    let value = HeaderValue::from_static("nosniff");
    answer.headers_mut().insert(X_CONTENT_TYPE_OPTIONS, value);
    answer
}

/// The answer in the words of Go's server, which closes the connection after it.
pub(super) fn bad_request(problem: &str) -> Answer {
    let text = format!("400 Bad Request: {problem}");
    let mut answer = typed("text/plain; charset=utf-8", text);
    *answer.status_mut() = StatusCode::BAD_REQUEST;
    let value = HeaderValue::from_static("close");
    answer.headers_mut().insert(CONNECTION, value);
    answer
}

pub(super) fn typed(content_type: &'static str, text: String) -> Answer {
    let mut answer = Response::new(body(Bytes::from(text)));
    let value = HeaderValue::from_static(content_type);
    answer.headers_mut().insert(CONTENT_TYPE, value);
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn errors_are_written_as_go_writes_them() {
        let errors = errors(StatusCode::FORBIDDEN, &["permission denied"]);
        let body = errors.into_body().collect().await.unwrap().to_bytes();

        assert_eq!(body, "{\"errors\":[\"permission denied\"]}\n");
        assert_eq!(not_found().headers()[X_CONTENT_TYPE_OPTIONS], "nosniff");
    }
}

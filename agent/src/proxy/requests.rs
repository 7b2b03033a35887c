//! Tells the requests for the agent from those for Vault.

use std::sync::Arc;

use bytes::Bytes;
use http::header::HOST;
use http::{Method, Request, StatusCode, Version};
use http_body_util::{BodyExt as _, Limited};
use hyper::body::Incoming;
use planescape_agent_core::{Input, Revocation, namespace};
use planescape_vault::SecretText;
use planescape_vault::path::{clean_bytes, percent_decoded_bytes};
use serde::Deserialize;
use tokio::time::timeout;

use super::answer::{self, Answer};
use super::{Proxy, Rules};

/// More than any wish to clear the cache.
const LONGEST_WISH: usize = 64 << 10;

impl Proxy {
    /// Answers one request of a listener.
    pub(crate) async fn handle(
        self: Arc<Self>,
        request: Request<Incoming>,
        rules: Rules,
    ) -> Answer {
        if let Some(problem) = problem_of_host(&request) {
            return answer::bad_request(problem);
        }
        match &*meant(request.uri().path()) {
            b"*" => answer::empty(status_of_asterisk(request.method())),
            // A request for a tunnel names no path.
            b"" => answer::not_found(),
            b"/agent/v1/metrics" => {
                let status = self.asker.ask().await;
                self.metrics.answer(&request, status.as_ref())
            }
            _ if rules.is_for_metrics_only => answer::not_found(),
            b"/agent/v1/cache-clear" => self.clear(request).await,
            b"/agent/v1/quit" if rules.can_quit => self.quit(request.method()),
            b"/agent/v1/quit" => answer::empty(StatusCode::NOT_FOUND),
            _ if rules.requires_header && !has_header(&request) => answer::error(
                StatusCode::PRECONDITION_FAILED,
                "missing \"X-Vault-Request\" header",
            ),
            _ => self.forward(request).await,
        }
    }

    fn quit(&self, method: &Method) -> Answer {
        if method != Method::POST {
            return answer::empty(StatusCode::METHOD_NOT_ALLOWED);
        }
        tracing::info!("received quit request");
        // An agent that has ended need not be told.
        let _ = self.events.send(Input::Quit);
        answer::empty(StatusCode::OK)
    }

    async fn clear(&self, request: Request<Incoming>) -> Answer {
        if !matches!(*request.method(), Method::POST | Method::PUT) {
            return answer::empty(StatusCode::OK);
        }
        let Some(cache) = &self.cache else {
            return answer::empty(StatusCode::OK);
        };
        let body = Limited::new(request.into_body(), LONGEST_WISH);
        let Ok(Ok(body)) = timeout(self.patience, body.collect()).await else {
            return answer::error(StatusCode::BAD_REQUEST, "failed to read request body");
        };
        match wish(&body.to_bytes()) {
            Ok(revocation) => {
                cache.revoke(revocation);
                answer::empty(StatusCode::OK)
            }
            Err((status, message)) => answer::error(status, message),
        }
    }
}

/// The path as Go's server reads it: it resolves escapes, and takes `//` for the shortest path of the same meaning. A
/// slash at the end makes another path there.
fn meant(path: &str) -> Vec<u8> {
    let path = percent_decoded_bytes(path);
    if !path.starts_with(b"/") {
        return path;
    }
    let mut clean = clean_bytes(&path);
    if path.ends_with(b"/") && clean != b"/" {
        clean.push(b'/');
    }
    clean
}

/// A request for `*` asks what the server can do.
fn status_of_asterisk(method: &Method) -> StatusCode {
    if method == Method::OPTIONS {
        StatusCode::OK
    } else {
        StatusCode::BAD_REQUEST
    }
}

/// The `Host` headers that Go's server refuses, though no answer depends on them.
fn problem_of_host<B>(request: &Request<B>) -> Option<&'static str> {
    let mut hosts = request.headers().get_all(HOST).iter();
    match (hosts.next(), hosts.next()) {
        (None, _) => {
            let needs_one = request.version() == Version::HTTP_11;
            needs_one.then_some("missing required Host header")
        }
        (Some(_), None) => None,
        (Some(_), Some(_)) => Some("too many Host headers"),
    }
}

/// Whether the header is there exactly once, and exactly so.
fn has_header(request: &Request<Incoming>) -> bool {
    let mut values = request.headers().get_all("x-vault-request").iter();
    let is_true = values.next().is_some_and(|value| value == "true");
    is_true && values.next().is_none()
}

/// The answers that are to be forgotten.
fn wish(body: &Bytes) -> Result<Revocation, (StatusCode, &'static str)> {
    #[derive(Deserialize)]
    struct Wish {
        // Clients in Go that give their fields no names send these.
        #[serde(default, rename = "type", alias = "Type")]
        kind: String,
        #[serde(default, alias = "Value")]
        value: String,
        #[serde(default, alias = "Namespace")]
        namespace: String,
    }
    let bad = |message| (StatusCode::BAD_REQUEST, message);
    let wish: Wish =
        serde_json::from_slice(body).map_err(|_| bad("failed to parse request body"))?;
    if wish.kind == "all" {
        return Ok(Revocation::All);
    }
    let needs_value = ["request_path", "token", "token_accessor", "lease"];
    if !needs_value.contains(&wish.kind.as_str()) {
        return Err(bad(
            "invalid type provided: choose one of request_path, token, token_accessor, lease, all",
        ));
    }
    if wish.value.is_empty() {
        let message = "a value is required for this type";
        return Err((StatusCode::INTERNAL_SERVER_ERROR, message));
    }
    Ok(match wish.kind.as_str() {
        "request_path" => Revocation::Path {
            prefix: wish.value,
            namespace: namespace(&wish.namespace),
        },
        "token" => Revocation::Token(SecretText::new(wish.value)),
        "token_accessor" => Revocation::Accessor(wish.value),
        _ => Revocation::Lease(wish.value),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_names_one_host() {
        let problem = |version: Version, hosts: &[&str]| {
            let request = Request::builder().version(version);
            let request = hosts
                .iter()
                .fold(request, |request, host| request.header(HOST, *host));
            problem_of_host(&request.body(()).unwrap())
        };

        let missing = Some("missing required Host header");
        assert_eq!(problem(Version::HTTP_11, &[]), missing);
        assert_eq!(problem(Version::HTTP_10, &[]), None);
        assert_eq!(problem(Version::HTTP_11, &["v:8200"]), None);
        let many = Some("too many Host headers");
        assert_eq!(problem(Version::HTTP_10, &["v", "v"]), many);
    }

    #[test]
    fn the_agents_own_paths_are_known_however_they_are_spelt() {
        for (path, expected) in [
            ("/agent/v1/quit", "/agent/v1/quit"),
            ("//agent/v1/quit", "/agent/v1/quit"),
            ("/agent//v1/./x/../quit", "/agent/v1/quit"),
            ("/%61gent/v1%2F/quit", "/agent/v1/quit"),
            ("/agent/v1/quit/", "/agent/v1/quit/"),
            ("//agent/v1/quit//", "/agent/v1/quit/"),
            ("/", "/"),
            ("//", "/"),
            ("*", "*"),
            ("/*", "/*"),
            ("", ""),
        ] {
            assert_eq!(meant(path), expected.as_bytes(), "{path}");
        }
    }

    #[test]
    fn who_asks_for_no_path_asks_what_the_server_can_do() {
        assert_eq!(status_of_asterisk(&Method::OPTIONS), 200);
        assert_eq!(status_of_asterisk(&Method::GET), 400);
    }

    #[test]
    fn a_wish_says_what_is_to_be_forgotten() {
        let read = |text: &str| wish(&Bytes::copy_from_slice(text.as_bytes()));

        assert_eq!(read(r#"{"type":"all"}"#), Ok(Revocation::All));
        assert_eq!(read(r#"{"Type":"all","Value":""}"#), Ok(Revocation::All));
        assert_eq!(
            read(r#"{"type":"request_path","value":"/v1/kv"}"#),
            Ok(Revocation::Path {
                prefix: "/v1/kv".to_owned(),
                namespace: "root/".to_owned()
            })
        );
        assert_eq!(
            read(r#"{"type":"lease","value":"db/1"}"#),
            Ok(Revocation::Lease("db/1".to_owned()))
        );
        for text in ["", "{", "{}", r#"{"type":"x","value":"y"}"#] {
            assert_eq!(read(text).unwrap_err().0, StatusCode::BAD_REQUEST, "{text}");
        }
        assert_eq!(read(r#"{"type":"token"}"#).unwrap_err().0, 500);
    }
}

//! One request on its way to Vault.

use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::{
    ACCEPT_ENCODING, AGE, CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, DATE, HOST, HeaderName,
    TRANSFER_ENCODING, USER_AGENT,
};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::BodyExt as _;
use http_body_util::combinators::UnsyncBoxBody;
use hyper::body::{Body as _, Incoming};
use planescape_agent_core::{
    Asked, Asking, Input, Key, Passage, Refused, Token, decide, may_be_done,
};
use planescape_vault::{Error, SecretText};
use planescape_vault_client::{Forwarded, StreamedBody};

use tokio::time::timeout;

use super::answer::{self, Answer, Whole};
use super::cache::{self, Kept};
use super::short::{self, Content};
use super::{Metrics, Proxy};
use crate::clock;

const TOKEN: HeaderName = HeaderName::from_static("x-vault-token");
const NAMESPACE: HeaderName = HeaderName::from_static("x-vault-namespace");
const WRAP_TTL: HeaderName = HeaderName::from_static("x-vault-wrap-ttl");
/// Headers between two ends of one connection.
const HOP_BY_HOP: [&str; 6] = [
    "keep-alive",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "upgrade",
];
const X_CACHE: HeaderName = HeaderName::from_static("x-cache");

/// How long a body that streams may take.
pub(crate) const STREAM_PATIENCE: Duration = Duration::from_secs(3600);

/// A request without its body.
struct Incomer {
    method: Method,
    passage: Passage,
    query: Option<String>,
    headers: HeaderMap,
    /// The agent's token, if it goes to Vault.
    own: Option<Token>,
}

impl Proxy {
    pub(super) async fn forward(&self, request: Request<Incoming>) -> Answer {
        tracing::info!(
            target: "agent.apiproxy",
            method = %request.method(),
            path = request.uri().path(),
            "received request"
        );
        let (incomer, content) = match self.take(request).await {
            Ok(taken) => taken,
            Err(answer) => return answer,
        };
        let (Some(caching), Content::Whole(body)) = (&self.cache, &content) else {
            return self.ask(&incomer, content, None).await;
        };
        let key = incomer.key(body);
        if let Some(kept) = caching.get(&key) {
            return self.hit(kept);
        }
        // Equal requests wait for the first. If its answer is not kept, each asks by itself.
        let _turn = caching.turn(key).await;
        if let Some(kept) = caching.get(&key) {
            return self.hit(kept);
        }
        self.ask(&incomer, content, Some(key)).await
    }

    /// Reads the request as far as it is short, and puts the right token into it.
    async fn take(
        &self,
        request: Request<Incoming>,
    ) -> Result<(Incomer, Content<Incoming>), Answer> {
        let (parts, body) = request.into_parts();
        let mut headers = parts.headers;
        // A value that cannot be a token is not for Vault, and no reason to lend the agent's token.
        let is_no_token = || answer::error(StatusCode::FORBIDDEN, "permission denied");
        let given = match headers.remove(TOKEN) {
            Some(token) => {
                let token = token.to_str().map_err(|_| is_no_token())?;
                (!token.is_empty()).then(|| SecretText::new(token.to_owned()))
            }
            None => None,
        };
        let read = timeout(self.patience, short::read(body)).await;
        let content = read.ok().and_then(Result::ok).ok_or_else(|| {
            let message = "failed to read request body";
            tracing::error!(target: "agent.apiproxy", "{message}");
            answer::error(StatusCode::INTERNAL_SERVER_ERROR, message)
        })?;
        let namespace = headers.get(NAMESPACE).and_then(|it| it.to_str().ok());
        let asking = Asking {
            method: parts.method.as_str(),
            path: parts.uri.path(),
            namespace: namespace.unwrap_or_default(),
            token: given.as_ref(),
            is_wrapped: headers.get_all(WRAP_TTL).iter().any(|it| !it.is_empty()),
            body: match &content {
                Content::Whole(body) => Some(body),
                Content::Long(_) => None,
            },
        };
        let own = self.own();
        let secret = own.as_ref().map(|own| &own.secret);
        let passage = decide(&asking, self.whose_token, secret).map_err(|refused| {
            let status = match refused {
                Refused::Path => StatusCode::BAD_REQUEST,
                Refused::Wrapped => StatusCode::FORBIDDEN,
            };
            answer::error(status, refused.words())
        })?;
        if let Some(token) = &passage.token {
            let value = HeaderValue::from_str(token.expose());
            let mut value = value.map_err(|_| is_no_token())?;
            value.set_sensitive(true);
            headers.insert(TOKEN, value);
        }
        clear(&mut headers, &passage.meant);
        let incomer = Incomer {
            method: parts.method,
            query: parts.uri.query().map(str::to_owned),
            headers,
            own: own.filter(|_| passage.carries_own),
            passage,
        };
        Ok((incomer, content))
    }

    fn hit(&self, kept: Kept) -> Answer {
        Metrics::add(&self.metrics.cache_hit);
        Metrics::add(&self.metrics.proxy_success);
        let age = kept.at.elapsed().unwrap_or_default().as_secs();
        let mut answer = kept.answer.into_answer();
        let headers = answer.headers_mut();
        headers.insert(X_CACHE, HeaderValue::from_static("HIT"));
        headers.insert(AGE, age.into());
        // The server writes the present date.
        headers.remove(DATE);
        answer
    }

    /// Asks Vault, again if the trouble may pass, and keeps an answer that is to be kept.
    async fn ask(&self, incomer: &Incomer, content: Content<Incoming>, key: Option<Key>) -> Answer {
        let asked = key.map(|key| incomer.asked(key));
        if key.is_some() {
            Metrics::add(&self.metrics.cache_miss);
        }
        incomer.log("forwarding request to Vault");
        let (body, response, deadline) = match content {
            Content::Whole(body) => {
                let deadline = Instant::now() + self.patience;
                let response = self.attempts(incomer, &body, deadline).await;
                (Some(body), response, deadline)
            }
            Content::Long(body) => {
                let body = StreamedBody::wrap(body);
                let forwarded = incomer.forwarded(body, STREAM_PATIENCE);
                let response = self.client.forward(forwarded).await;
                // The answer has its own time, even if the question took long to send.
                (None, response, Instant::now() + self.patience)
            }
        };
        let heard = response.as_ref().ok().map(Response::status);
        // Without an answer Vault may have carried out the request all the same.
        if heard.is_none_or(|status| may_be_done(status.as_u16())) {
            let is_sure = heard == Some(StatusCode::NO_CONTENT);
            self.forget(incomer, body.as_deref(), is_sure);
        }
        self.count_unheard(&incomer.passage, &response);
        let response = match response {
            Ok(response) => response,
            Err(error) => return self.unanswered(&error),
        };
        let status = response.status();
        let mut whole = match whole(response, deadline).await {
            Ok(whole) => whole,
            Err(answer) if incomer.passage.is_about_own && answer.status().is_success() => {
                let message = "the answer is about the agent's token, and too long to be looked at";
                return self.failed(message);
            }
            Err(answer) => {
                self.count(answer.status());
                return missed(*answer);
            }
        };
        // The body of the answer did not come.
        if status == StatusCode::OK && whole.status != status {
            self.count_granted(incomer.passage.may_be_granted(None));
        }
        // The answer is cut before it is kept: clients that get it from the cache are told no more.
        if whole.status == StatusCode::OK
            && let Some(told) = incomer.passage.told(&whole.body)
        {
            whole.body = told.into();
            whole.headers.remove(CONTENT_LENGTH);
        }
        self.learn(incomer, asked, &whole);
        self.count(whole.status);
        missed(whole.into_answer())
    }

    fn learn(&self, incomer: &Incomer, asked: Option<Asked>, whole: &Whole) {
        if let Some(own) = &incomer.own
            && whole.status == StatusCode::FORBIDDEN
            && String::from_utf8_lossy(&whole.body).contains("invalid token")
        {
            // An agent that has ended need not be told.
            let _ = self.events.send(Input::TokenRefused { token: own.id });
        }
        self.count_granted(whole.status.is_success() && incomer.passage.is_granted(&whole.body));
        if let Some(asked) = asked.filter(|_| whole.status.is_success())
            && let Some(caching) = &self.cache
        {
            caching.put(asked, whole);
        }
    }

    fn count_granted(&self, is_granted: bool) {
        if is_granted {
            let _ = self.events.send(Input::Granted);
        }
    }

    fn count_unheard(&self, passage: &Passage, result: &Result<Response<StreamedBody>, Error>) {
        let status = match result {
            Ok(response) => Some(response.status().as_u16()),
            Err(Error::Silent { .. } | Error::Malformed { .. }) => None,
            // In nearly all of these cases Vault was never asked.
            Err(_) => return,
        };
        self.count_granted(passage.may_be_granted(status));
    }

    /// Forgets the answers that the request revokes; `body` is the request's, if it was read.
    fn forget(&self, incomer: &Incomer, body: Option<&[u8]>, is_sure: bool) {
        if let Some(caching) = &self.cache
            && let Some(revocation) = incomer.passage.revoked(body)
        {
            caching.revoke(match is_sure {
                true => revocation,
                false => revocation.unsure(),
            });
        }
    }

    async fn attempts(
        &self,
        incomer: &Incomer,
        body: &Bytes,
        deadline: Instant,
    ) -> Result<Response<StreamedBody>, Error> {
        for attempt in 0.. {
            let patience = deadline.saturating_duration_since(Instant::now());
            let forwarded = incomer.forwarded(StreamedBody::from(body.clone()), patience);
            let result = self.client.forward(forwarded).await;
            let wait = asked_for(&result).unwrap_or_else(|| pause(attempt));
            let is_last = attempt >= self.retries || Instant::now() + wait >= deadline;
            if is_last || !is_worth_another(&result) {
                return result;
            }
            self.count_unheard(&incomer.passage, &result);
            tokio::time::sleep(wait).await;
        }
        unreachable!("the last attempt returns")
    }

    fn count(&self, status: StatusCode) {
        let metrics = &self.metrics;
        Metrics::add(if status.is_client_error() || status.is_server_error() {
            &metrics.proxy_client_error
        } else {
            &metrics.proxy_success
        });
    }

    fn unanswered(&self, error: &Error) -> Answer {
        self.failed(&format!("failed to get the response: {error}"))
    }

    fn failed(&self, message: &str) -> Answer {
        Metrics::add(&self.metrics.proxy_error);
        tracing::error!(target: "agent.apiproxy", "{message}");
        answer::error(StatusCode::INTERNAL_SERVER_ERROR, message)
    }
}

impl Incomer {
    fn log(&self, what: &str) {
        let (method, path) = (&self.method, &self.passage.path);
        tracing::info!(target: "agent.apiproxy", %method, path, "{what}");
    }

    fn key(&self, body: &[u8]) -> Key {
        let query = self.query.as_deref().unwrap_or_default();
        let path_and_query = format!("{}?{query}", self.passage.path);
        cache::key(
            &self.method,
            &path_and_query,
            &self.headers,
            self.passage.token.as_ref(),
            body,
        )
    }

    fn forwarded(&self, body: StreamedBody, patience: Duration) -> Forwarded {
        Forwarded {
            method: self.method.clone(),
            path: self.passage.path.clone(),
            query: self.query.clone(),
            headers: self.headers.clone(),
            body,
            patience,
            timeout: STREAM_PATIENCE,
        }
    }

    fn asked(&self, key: Key) -> Asked {
        Asked {
            key,
            path: self.passage.meant.clone(),
            namespace: self.passage.namespace.clone(),
            token: self.passage.token.clone(),
            sent: clock::now().moment,
        }
    }
}

/// Leaves out headers that are meant for the agent alone, and adds those that `vault agent` adds. `X-Vault-Request`
/// stays: an agent behind this one may ask for it.
fn clear(headers: &mut HeaderMap, meant: &str) {
    for name in HOP_BY_HOP {
        headers.remove(name);
    }
    for name in [
        HOST,
        CONNECTION,
        TRANSFER_ENCODING,
        CONTENT_LENGTH,
        ACCEPT_ENCODING,
    ] {
        headers.remove(name);
    }
    if meant == "/v1/sys/wrapping/wrap" {
        // Vault does not wrap without a time; `vault agent` always sends this one.
        let five_minutes = HeaderValue::from_static("5m");
        headers.entry(WRAP_TTL).or_insert(five_minutes);
    }
    headers.insert(USER_AGENT, user_agent(headers.get(USER_AGENT)));
}

/// The whole answer, if it is short JSON: every answer with tokens or leases is. Other answers go on as they come,
/// since they may take their time (`sys/monitor` never ends).
async fn whole(response: Response<StreamedBody>, deadline: Instant) -> Result<Whole, Box<Answer>> {
    let (mut parts, body) = response.into_parts();
    parts.headers.remove(TRANSFER_ENCODING);
    parts.headers.remove(CONNECTION);
    let passed_on = |parts, body: UnsyncBoxBody<_, _>| Box::new(Response::from_parts(parts, body));
    if !is_json(&parts.headers) && !body.is_end_stream() {
        return Err(passed_on(parts, body.map_err(Into::into).boxed_unsync()));
    }
    let why = match tokio::time::timeout_at(deadline.into(), short::read(body)).await {
        Ok(Ok(Content::Whole(body))) => {
            return Ok(Whole {
                status: parts.status,
                headers: parts.headers,
                body,
            });
        }
        Ok(Ok(Content::Long(begun))) => {
            return Err(passed_on(parts, begun.map_err(Into::into).boxed_unsync()));
        }
        Ok(Err(error)) => error.to_string(),
        Err(_) => "it did not end in time".to_owned(),
    };
    let message = format!("failed to get the response: {why}");
    let json = HeaderValue::from_static("application/json");
    Ok(Whole {
        status: StatusCode::INTERNAL_SERVER_ERROR,
        headers: HeaderMap::from_iter([(CONTENT_TYPE, json)]),
        body: answer::errors_text(&[&message]).into(),
    })
}

/// Errors are passed on as they are.
fn missed(mut answer: Answer) -> Answer {
    let status = answer.status();
    if !status.is_client_error() && !status.is_server_error() {
        let miss = HeaderValue::from_static("MISS");
        answer.headers_mut().insert(X_CACHE, miss);
    }
    answer
}

fn is_json(headers: &HeaderMap) -> bool {
    let kind = headers.get(CONTENT_TYPE);
    kind.is_some_and(|kind| kind.as_bytes().starts_with(b"application/json"))
}

/// Whether the trouble may pass by itself: no connection, a standby that is behind, a limit, a server in trouble.
fn is_worth_another(result: &Result<Response<StreamedBody>, Error>) -> bool {
    match result {
        Ok(response) => match response.status().as_u16() {
            412 | 429 => true,
            501 => false,
            status => status >= 500,
        },
        Err(Error::Unreachable { .. } | Error::Unresolved { .. }) => true,
        Err(_) => false,
    }
}

/// How long Vault asks to wait, if it asks at all.
fn asked_for(result: &Result<Response<StreamedBody>, Error>) -> Option<Duration> {
    let response = result.as_ref().ok()?;
    let is_busy = matches!(response.status().as_u16(), 429 | 503);
    planescape_vault_client::retry_after(response.headers()).filter(|_| is_busy)
}

/// The pause before the next attempt: longer each time, and never the same for all agents.
fn pause(attempt: u32) -> Duration {
    let share = (clock::seed() % 500) as u32;
    Duration::from_millis(u64::from((attempt + 1).saturating_mul(1000 + share)))
}

/// Names the client, and the agent that it asks through.
fn user_agent(original: Option<&HeaderValue>) -> HeaderValue {
    const OWN: &str = concat!("planescape-agent/", env!("CARGO_PKG_VERSION"), " API Proxy");
    let original = original.and_then(|it| it.to_str().ok());
    original
        .and_then(|original| HeaderValue::from_str(&format!("{OWN}; {original}")).ok())
        .unwrap_or(HeaderValue::from_static(OWN))
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::pin::Pin;
    use std::task::{Context, Poll};

    use hyper::body::{Body, Frame};

    use super::*;

    /// A body that never comes.
    struct Missing;

    impl Body for Missing {
        type Data = Bytes;
        type Error = Infallible;

        fn poll_frame(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
            Poll::Pending
        }
    }

    #[tokio::test]
    async fn an_answer_that_breaks_off_is_an_error_in_vaults_form() {
        let response = Response::builder().header(CONTENT_TYPE, "application/json");
        let response = response.body(StreamedBody::wrap(Missing)).unwrap();

        let Ok(whole) = whole(response, Instant::now()).await else {
            panic!("nothing of it is passed on");
        };

        assert_eq!(whole.status, 500);
        assert_eq!(whole.headers[CONTENT_TYPE], "application/json");
        assert!(whole.body.ends_with(b"\"]}\n"));
    }

    #[test]
    fn only_a_client_says_that_a_request_is_meant() {
        for said in [None, Some("true"), Some("yes")] {
            let mut headers = HeaderMap::new();
            headers.extend(said.map(|said| {
                let name = HeaderName::from_static("x-vault-request");
                (name, HeaderValue::from_static(said))
            }));

            clear(&mut headers, "/v1/kv/data/app");

            let sent = headers.get("x-vault-request");
            assert_eq!(sent.map(HeaderValue::as_bytes), said.map(str::as_bytes));
        }
    }

    #[test]
    fn vault_says_how_long_to_wait_where_it_is_busy() {
        let answer = |status: u16, wait: &str| {
            let response = Response::builder()
                .status(status)
                .header("Retry-After", wait);
            Ok(response.body(StreamedBody::from("")).unwrap())
        };

        assert_eq!(asked_for(&answer(429, "3")), Some(Duration::from_secs(3)));
        assert_eq!(asked_for(&answer(503, "3")), Some(Duration::from_secs(3)));
        assert_eq!(asked_for(&answer(412, "3")), None);
        assert_eq!(asked_for(&answer(429, "soon")), None);
        let for_ever = asked_for(&answer(429, &u64::MAX.to_string()));
        assert_eq!(for_ever, Some(Duration::from_secs(600)));
    }
}

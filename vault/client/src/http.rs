//! One request, one answer, at most one redirect.

mod index;
mod redirect;
mod route;
mod untrusted;

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use anyhow::Context;
use planescape_vault::wire::{self, Body};
use planescape_vault::{Connection, Error, Refusal, SecretText, Tls};
use reqwest::header::{HOST, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use reqwest::{RequestBuilder, Response, Url};

use crate::body::{Bodies, Failed};
use crate::pace::Paced;
use index::{INDEX, Index};
pub use route::Admission;
use route::{PATIENCE, Route, Routes, Unresolved};

const TOKEN: HeaderName = HeaderName::from_static("x-vault-token");
const NAMESPACE: HeaderName = HeaderName::from_static("x-vault-namespace");
const REQUEST: HeaderName = HeaderName::from_static("x-vault-request");
const WRAP_TTL: HeaderName = HeaderName::from_static("x-vault-wrap-ttl");

#[derive(Clone, Copy)]
pub(crate) enum Method {
    Get,
    Put,
}

pub(crate) struct Request<'a> {
    pub(crate) method: Method,
    /// Without `/v1/`.
    pub(crate) path: &'a str,
    pub(crate) query: Option<&'a str>,
    pub(crate) token: Option<&'a SecretText>,
    /// Instead of the connection's own.
    pub(crate) namespace: Option<&'a str>,
    pub(crate) body: Option<&'a Body>,
    /// Instead of the connection's own, if it is shorter.
    pub(crate) timeout: Option<Duration>,
    /// The life of the token that holds the answer instead of us.
    pub(crate) wrap: Option<Duration>,
    /// Whether its answer brings the token of the reads from here on.
    pub(crate) is_login: bool,
}

impl<'a> Request<'a> {
    pub(crate) fn new(method: Method, path: &'a str, token: Option<&'a SecretText>) -> Self {
        Self {
            method,
            path,
            query: None,
            token,
            namespace: None,
            body: None,
            timeout: None,
            wrap: None,
            is_login: false,
        }
    }
}

/// A request of somebody else.
#[derive(Debug)]
pub struct Forwarded {
    /// Its method.
    pub method: ::http::Method,
    /// Its path, with `/v1/`.
    pub path: String,
    /// Its query, without `?`.
    pub query: Option<String>,
    /// Its headers, the token among them.
    pub headers: HeaderMap,
    /// Its body.
    pub body: reqwest::Body,
    /// How long the answer may take to begin.
    pub patience: Duration,
    /// How long all of it may take.
    pub timeout: Duration,
}

#[derive(Clone, Debug)]
pub(crate) struct Http {
    /// Replaced when certificates are read again.
    routes: Arc<RwLock<Arc<Routes>>>,
    bodies: Arc<Bodies>,
    base: Url,
    namespace: Option<String>,
    timeout: Duration,
    headers: HeaderMap,
    follows_redirects: bool,
    paced: Arc<Paced>,
    index: Arc<Index>,
}

impl Http {
    pub(crate) fn new(
        connection: &Connection,
        user_agent: &str,
        admission: Option<Admission>,
    ) -> anyhow::Result<Self> {
        let routes = Routes::new(connection, user_agent, admission)?;
        Ok(Self {
            base: routes.base().clone(),
            routes: Arc::new(RwLock::new(Arc::new(routes))),
            bodies: Arc::new(Bodies::new()),
            namespace: connection.namespace.clone(),
            timeout: connection.timeout,
            headers: headers(&connection.headers)?,
            follows_redirects: connection.follows_redirects,
            paced: Arc::new(Paced::new(connection.pace)),
            index: Arc::default(),
        })
    }

    /// From here on connections are made with these certificates, read now; requests on their way keep theirs.
    pub(crate) fn trust(&self, tls: &Tls) -> anyhow::Result<()> {
        let renewed = Arc::new(self.routes().with(tls)?);
        *self.routes.write().unwrap_or_else(PoisonError::into_inner) = renewed;
        Ok(())
    }

    fn routes(&self) -> Arc<Routes> {
        Arc::clone(&self.routes.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// The same connections, for requests to another namespace.
    pub(crate) fn in_namespace(&self, namespace: Option<String>) -> Self {
        Self {
            namespace,
            ..self.clone()
        }
    }

    /// The same connections, whose logins are for the reads of another one.
    pub(crate) fn for_reads_of(self, reader: &Self) -> Self {
        Self {
            index: Arc::clone(&reader.index),
            ..self
        }
    }

    /// The body of a successful answer.
    pub(crate) async fn send(&self, request: Request<'_>) -> Result<Body, Error> {
        let mut url = self.url(&request);
        let mut response = self.attempt(&url, &request).await?;
        if self.follows_redirects
            && let Some(target) = redirect::target(&url, &response)?
        {
            url = target;
            response = self.attempt(&url, &request).await?;
        }
        let status = response.status();
        if request.is_login && status.is_success() {
            self.index.of_login(response.headers());
        }
        let retry_after = retry_after(response.headers());
        let body = self
            .bodies
            .read(response)
            .await
            .map_err(|failed| match failed {
                Failed::TooLong => malformed("its answer is longer than 8 MiB"),
                Failed::Broken(error) => failure(&error, &url),
            })?;
        if status.is_success() {
            return Ok(body);
        }
        Err(Error::Refused(wire::refusal(
            status.as_u16(),
            &body,
            retry_after,
        )))
    }

    /// Sends a request as it stands, and hands its answer on as it comes.
    pub(crate) async fn forward(
        &self,
        forwarded: Forwarded,
    ) -> Result<::http::Response<reqwest::Body>, Error> {
        let mut url = self.base.clone();
        let base = self.base.path().trim_end_matches('/');
        url.set_path(&format!("{base}{}", forwarded.path));
        url.set_query(forwarded.query.as_deref());
        let send = async |url: &Url, body: reqwest::Body| {
            self.paced.turn().await;
            let route = self.routes().to(url)?;
            let mut builder = route
                .client
                .request(forwarded.method.clone(), route.url.clone())
                .headers(forwarded.headers.clone())
                .timeout(forwarded.timeout)
                .body(body);
            if let Some(host) = &route.host {
                builder = builder.header(HOST, host.clone());
            }
            match tokio::time::timeout(forwarded.patience, builder.send()).await {
                Ok(sent) => sent.map_err(|error| failure(&error, url)),
                Err(_) => Err(Error::Silent {
                    address: authority(url),
                }),
            }
        };
        let again = forwarded.body.as_bytes().map(<[u8]>::to_vec);
        let mut response = send(&url, forwarded.body).await?;
        // A body that streams cannot be sent twice.
        if self.follows_redirects
            && let Some(body) = again
            && let Some(target) = redirect::target(&url, &response)?
        {
            url = target;
            response = send(&url, body.into()).await?;
        }
        Ok(response.into())
    }

    async fn attempt(&self, url: &Url, request: &Request<'_>) -> Result<Response, Error> {
        self.paced.turn().await;
        let route = self.routes().to(url)?;
        let builder = match request.method {
            Method::Get => route.client.get(route.url.clone()),
            Method::Put => route.client.put(route.url.clone()),
        };
        let builder = self.with_headers(builder, &route, request)?;
        let builder = match request.body {
            Some(body) => builder.body(body.to_vec()),
            None => builder,
        };
        let patience = self.timeout.min(request.timeout.unwrap_or(self.timeout));
        let sent = builder.timeout(patience).send();
        let sent = PATIENCE.scope(patience, sent).await;
        sent.map_err(|error| failure(&error, url))
    }

    fn with_headers(
        &self,
        mut builder: RequestBuilder,
        route: &Route,
        request: &Request<'_>,
    ) -> Result<RequestBuilder, Error> {
        builder = builder.headers(self.headers.clone());
        builder = builder.header(REQUEST, HeaderValue::from_static("true"));
        if let Some(host) = &route.host {
            builder = builder.header(HOST, host.clone());
        }
        if let Some(token) = request.token {
            let mut value = HeaderValue::from_str(token.expose())
                .map_err(|_| Error::Unsendable { what: "token" })?;
            value.set_sensitive(true);
            builder = builder.header(TOKEN, value);
        }
        if let Some(namespace) = request.namespace.or(self.namespace.as_deref()) {
            let value = HeaderValue::from_str(namespace)
                .map_err(|_| Error::Unsendable { what: "namespace" })?;
            builder = builder.header(NAMESPACE, value);
        }
        if let Some(ttl) = request.wrap {
            builder = builder.header(WRAP_TTL, ttl.as_secs());
        }
        if let (Method::Get, Some(_)) = (request.method, request.token) {
            for value in self.index.values() {
                builder = builder.header(INDEX, value);
            }
        }
        Ok(builder)
    }

    fn url(&self, request: &Request<'_>) -> Url {
        let mut url = self.base.clone();
        let base = self.base.path().trim_end_matches('/');
        url.set_path(&format!("{base}/v1/{}", request.path));
        url.set_query(request.query);
        url
    }
}

fn headers(pairs: &[(String, String)]) -> anyhow::Result<HeaderMap> {
    let mut headers = HeaderMap::new();
    for (name, value) in pairs {
        let name = HeaderName::try_from(name).with_context(|| format!("header `{name}`"))?;
        let mut value = HeaderValue::try_from(value).with_context(|| format!("header `{name}`"))?;
        value.set_sensitive(true);
        headers.append(name, value);
    }
    Ok(headers)
}

/// How long a server asks us to wait, as far as it is believed. Seconds alone: Vault sends no dates.
#[must_use]
pub fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let value = headers.get(RETRY_AFTER)?.to_str().ok()?;
    let wait = value.trim().parse().ok().map(Duration::from_secs)?;
    Some(wait.min(Refusal::LONGEST_WAIT))
}

/// The innermost cause says most, and names no URL.
fn failure(error: &reqwest::Error, url: &Url) -> Error {
    let address = authority(url);
    if error.is_timeout() {
        return Error::Silent { address };
    }
    let mut cause: &dyn std::error::Error = error;
    loop {
        if cause.is::<Unresolved>() {
            return Error::Unresolved {
                address,
                message: cause.to_string(),
            };
        }
        if let Some(tls) = tls_error(cause) {
            return Error::Untrusted {
                address,
                message: untrusted::words(tls),
            };
        }
        match cause.source() {
            Some(source) => cause = source,
            None => break,
        }
    }
    Error::Unreachable {
        address,
        message: cause.to_string(),
    }
}

/// Host and port, without what a URL may say about a user.
fn authority(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    match url.port_or_known_default() {
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    }
}

/// IO errors wrap others without naming them as their source.
fn tls_error<'a>(error: &'a (dyn std::error::Error + 'static)) -> Option<&'a rustls::Error> {
    error.downcast_ref().or_else(|| {
        let wrapped = error.downcast_ref::<std::io::Error>()?.get_ref()?;
        tls_error(wrapped)
    })
}

fn malformed(message: &str) -> Error {
    Error::Malformed {
        message: message.to_owned(),
    }
}

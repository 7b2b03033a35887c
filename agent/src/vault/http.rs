//! One request, one answer, at most one redirect.

use std::error::Error;
use std::time::Duration;

use anyhow::Context;
use planescape_agent_contract::Vault as Config;
use planescape_agent_core::Failure;
use planescape_vault::SecretText;
use reqwest::header::{HeaderName, HeaderValue, LOCATION};
use reqwest::redirect::Policy;
use reqwest::{Client, RequestBuilder, Response, StatusCode, Url};
use zeroize::Zeroizing;

use super::tls;
use super::wire::{self, Body};

const TOKEN: HeaderName = HeaderName::from_static("x-vault-token");
const NAMESPACE: HeaderName = HeaderName::from_static("x-vault-namespace");
const REQUEST: HeaderName = HeaderName::from_static("x-vault-request");
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// More than any secret, less than what would hurt the pod.
const LONGEST_BODY: usize = 16 * 1024 * 1024;

#[derive(Clone, Copy)]
pub(super) enum Method {
    Get,
    Put,
}

pub(super) struct Request<'a> {
    pub(super) method: Method,
    /// Without `/v1/`.
    pub(super) path: &'a str,
    pub(super) query: Option<&'a str>,
    pub(super) token: Option<&'a SecretText>,
    /// Instead of the client's own.
    pub(super) namespace: Option<&'a str>,
    pub(super) body: Option<&'a Body>,
    /// Instead of the client's own, if it is shorter.
    pub(super) timeout: Option<Duration>,
}

impl<'a> Request<'a> {
    pub(super) fn new(method: Method, path: &'a str, token: Option<&'a SecretText>) -> Self {
        Self {
            method,
            path,
            query: None,
            token,
            namespace: None,
            body: None,
            timeout: None,
        }
    }
}

pub(super) struct Http {
    client: Client,
    base: Url,
    namespace: Option<String>,
    timeout: Duration,
}

impl Http {
    pub(super) fn new(config: &Config) -> anyhow::Result<Self> {
        let base = Url::parse(&config.address)
            .with_context(|| format!("vault.address: `{}` is not a URL", config.address))?;
        let tls = tls::client_config(&config.tls, base.scheme() == "https")?;
        let client = Client::builder()
            .tls_backend_preconfigured(tls)
            .redirect(Policy::none())
            .connect_timeout(CONNECT_TIMEOUT.min(config.timeout))
            .timeout(config.timeout)
            .user_agent(concat!("planescape-agent/", env!("CARGO_PKG_VERSION")))
            .build()
            .context("cannot build the HTTP client")?;
        Ok(Self {
            client,
            base,
            namespace: config.namespace.clone(),
            timeout: config.timeout,
        })
    }

    /// The body of a successful answer.
    pub(super) async fn send(&self, request: Request<'_>) -> Result<Body, Failure> {
        let url = self.url(&request);
        let mut response = self.attempt(&url, &request).await?;
        if let Some(target) = redirect(&url, &response)? {
            response = self.attempt(&target, &request).await?;
        }
        let status = response.status();
        let body = read(response).await?;
        if status.is_success() {
            return Ok(body);
        }
        Err(Failure::Status {
            code: status.as_u16(),
            message: wire::first_error(&body),
        })
    }

    async fn attempt(&self, url: &Url, request: &Request<'_>) -> Result<Response, Failure> {
        let builder = match request.method {
            Method::Get => self.client.get(url.clone()),
            Method::Put => self.client.put(url.clone()),
        };
        let builder = self.with_headers(builder, request)?;
        let builder = match request.body {
            Some(body) => builder.body(body.to_vec()),
            None => builder,
        };
        let builder = match request.timeout {
            Some(timeout) => builder.timeout(timeout.min(self.timeout)),
            None => builder,
        };
        builder.send().await.map_err(|error| failure(&error))
    }

    fn with_headers(
        &self,
        mut builder: RequestBuilder,
        request: &Request<'_>,
    ) -> Result<RequestBuilder, Failure> {
        builder = builder.header(REQUEST, HeaderValue::from_static("true"));
        if let Some(token) = request.token {
            let mut value =
                HeaderValue::from_str(token.expose()).map_err(|_| unsendable("token"))?;
            value.set_sensitive(true);
            builder = builder.header(TOKEN, value);
        }
        if let Some(namespace) = request.namespace.or(self.namespace.as_deref()) {
            let value = HeaderValue::from_str(namespace).map_err(|_| unsendable("namespace"))?;
            builder = builder.header(NAMESPACE, value);
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

/// Where a standby node sends us. Never from TLS to none.
fn redirect(from: &Url, response: &Response) -> Result<Option<Url>, Failure> {
    let is_redirect = matches!(
        response.status(),
        StatusCode::MOVED_PERMANENTLY | StatusCode::FOUND | StatusCode::TEMPORARY_REDIRECT
    );
    if !is_redirect {
        return Ok(None);
    }
    let target = response
        .headers()
        .get(LOCATION)
        .and_then(|location| location.to_str().ok())
        .and_then(|location| from.join(location).ok())
        .ok_or_else(|| malformed("it redirects to nowhere"))?;
    if from.scheme() == "https" && target.scheme() != "https" {
        return Err(malformed("it redirects from https to http"));
    }
    Ok(Some(target))
}

async fn read(mut response: Response) -> Result<Body, Failure> {
    let mut body = Zeroizing::new(Vec::new());
    while let Some(chunk) = response.chunk().await.map_err(|error| failure(&error))? {
        if body.len() + chunk.len() > LONGEST_BODY {
            return Err(malformed("its answer is longer than 16 MiB"));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// The innermost cause says most, and names no URL.
fn failure(error: &reqwest::Error) -> Failure {
    if error.is_timeout() {
        return Failure::Silent;
    }
    let mut cause: &dyn Error = error;
    loop {
        if let Some(tls) = tls_error(cause) {
            return Failure::Tls {
                message: tls.to_string(),
            };
        }
        match cause.source() {
            Some(source) => cause = source,
            None => break,
        }
    }
    Failure::Unreachable {
        message: cause.to_string(),
    }
}

/// IO errors wrap others without naming them as their source.
fn tls_error<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a rustls::Error> {
    error.downcast_ref().or_else(|| {
        let wrapped = error.downcast_ref::<std::io::Error>()?.get_ref()?;
        tls_error(wrapped)
    })
}

fn unsendable(what: &str) -> Failure {
    Failure::Malformed {
        message: format!("the {what} holds characters that HTTP cannot carry"),
    }
}

fn malformed(message: &str) -> Failure {
    Failure::Malformed {
        message: message.to_owned(),
    }
}

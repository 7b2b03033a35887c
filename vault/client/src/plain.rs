//! Requests to the services that tell a machine who it is: no proxy, no redirect, short answers.

use std::time::Duration;

use anyhow::{Context, bail};
use reqwest::redirect::Policy;
use zeroize::Zeroizing;

use crate::body::{Bodies, Failed};

const TIMEOUT: Duration = Duration::from_secs(10);

/// A client for such services.
#[derive(Clone, Debug)]
pub struct Plain(reqwest::Client);

/// A request to one.
#[derive(Debug)]
pub struct PlainRequest<'a> {
    /// `GET` and the like.
    pub method: ::http::Method,
    /// The address.
    pub url: String,
    /// Names and values.
    pub headers: Vec<(&'a str, String)>,
    /// The body.
    pub body: String,
}

impl Plain {
    /// A client that trusts the system's authorities where a service speaks TLS.
    ///
    /// # Errors
    /// The client cannot be built.
    pub fn new() -> anyhow::Result<Self> {
        let tls = planescape_vault::Tls::default();
        let trust = crate::tls::Trust::new(&tls, false)?;
        let client = reqwest::Client::builder()
            .tls_backend_preconfigured(trust.config()?)
            .no_proxy()
            .redirect(Policy::none())
            .timeout(TIMEOUT)
            .build()?;
        Ok(Self(client))
    }

    /// The body of a successful answer.
    ///
    /// # Errors
    /// There is none; names the service, and nothing of what was sent.
    pub async fn send(&self, request: PlainRequest<'_>) -> anyhow::Result<Zeroizing<Vec<u8>>> {
        let url = reqwest::Url::parse(&request.url).context("not a URL")?;
        let place = format!("{}{}", url.host_str().unwrap_or_default(), url.path());
        let mut builder = self.0.request(request.method, url).body(request.body);
        for (name, value) in request.headers {
            builder = builder.header(name, value);
        }
        let answer = builder.send().await.map_err(reqwest::Error::without_url);
        let answer = answer.with_context(|| place.clone())?;
        let status = answer.status();
        let body = match Bodies::new().read(answer).await {
            Ok(body) => body,
            Err(Failed::TooLong) => bail!("{place}: its answer is longer than 8 MiB"),
            Err(Failed::Broken(error)) => return Err(error.without_url()).context(place),
        };
        if !status.is_success() {
            bail!("{place} answered {status}");
        }
        Ok(body)
    }
}

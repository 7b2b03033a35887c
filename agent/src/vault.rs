//! The part of Vault's HTTP API that the agent uses.

mod http;
mod tls;
mod wire;

use std::time::Duration;

use planescape_agent_contract::Vault as Config;
use planescape_agent_core::{Call, Failure, Grant, Login};
use planescape_templates::Answer;
use planescape_vault::Secret;
use planescape_vault::SecretText;
use planescape_vault::mount::Mount;

use http::{Http, Method, Request};

pub(crate) use tls::install_crypto_provider;

/// So short that one attempt without an answer leaves time for others before the pod is gone.
const REVOKE_TIMEOUT: Duration = Duration::from_secs(5);

/// A client of one Vault.
pub(crate) struct Vault {
    http: Http,
}

impl Vault {
    /// Reads the certificates that the configuration names.
    pub(crate) fn new(config: &Config) -> anyhow::Result<Self> {
        Ok(Self {
            http: Http::new(config)?,
        })
    }

    /// `PUT auth/<mount>/login`.
    pub(crate) async fn log_in(
        &self,
        mount_path: &str,
        namespace: Option<&str>,
        role: &str,
        jwt: &str,
    ) -> Result<Login, Failure> {
        let body = wire::login(role, jwt);
        let path = format!("{mount_path}/login");
        let request = Request {
            namespace,
            body: Some(&body),
            ..Request::new(Method::Put, &path, None)
        };
        wire::logged_in(&self.http.send(request).await?)
    }

    /// `PUT auth/token/renew-self`.
    pub(crate) async fn renew_self(&self, token: &SecretText) -> Result<Grant, Failure> {
        let body = wire::empty();
        let request = Request {
            body: Some(&body),
            ..Request::new(Method::Put, "auth/token/renew-self", Some(token))
        };
        wire::renewed_token(&self.http.send(request).await?)
    }

    /// `PUT auth/token/revoke-self`.
    pub(crate) async fn revoke_self(&self, token: &SecretText) -> Result<(), Failure> {
        let body = wire::empty();
        let request = Request {
            body: Some(&body),
            timeout: Some(REVOKE_TIMEOUT),
            ..Request::new(Method::Put, "auth/token/revoke-self", Some(token))
        };
        self.http.send(request).await.map(drop)
    }

    /// `PUT sys/leases/renew`.
    pub(crate) async fn renew_lease(
        &self,
        lease_id: &str,
        token: &SecretText,
    ) -> Result<Grant, Failure> {
        let body = wire::lease(lease_id);
        let request = Request {
            body: Some(&body),
            ..Request::new(Method::Put, "sys/leases/renew", Some(token))
        };
        wire::renewed_lease(&self.http.send(request).await?)
    }

    /// `GET sys/internal/ui/mounts/<path>`.
    pub(crate) async fn mount_of(
        &self,
        path: &str,
        token: &SecretText,
    ) -> Result<Option<Mount>, Failure> {
        let body = self
            .http
            .send(Request::new(Method::Get, path, Some(token)))
            .await?;
        Mount::from_json(&body).map(Some).map_err(malformed)
    }

    /// What a template asked for.
    pub(crate) async fn call(&self, call: Call, token: &SecretText) -> Result<Answer, Failure> {
        match call {
            Call::Get { path, query } => {
                let request = Request {
                    query: query.as_deref(),
                    ..Request::new(Method::Get, &path, Some(token))
                };
                secret(&self.http.send(request).await?)
            }
            Call::List { path } => {
                let request = Request {
                    query: Some("list=true"),
                    ..Request::new(Method::Get, &path, Some(token))
                };
                match self.http.send(request).await {
                    Ok(body) => wire::listed(&body).map(Answer::List),
                    Err(Failure::Status { code: 404, .. }) => Ok(Answer::List(Vec::new())),
                    Err(failure) => Err(failure),
                }
            }
            Call::Put {
                path,
                parameters,
                wrapped,
            } => {
                let body = wire::parameters(&parameters, wrapped);
                let request = Request {
                    body: Some(&body),
                    ..Request::new(Method::Put, &path, Some(token))
                };
                secret(&self.http.send(request).await?)
            }
        }
    }
}

/// An empty body is the answer to a write that returns nothing.
fn secret(body: &[u8]) -> Result<Answer, Failure> {
    if body.trim_ascii().is_empty() {
        return Ok(Answer::Secret(None));
    }
    let secret = Secret::from_json(body).map_err(malformed)?;
    Ok(Answer::Secret(Some(secret)))
}

fn malformed(error: impl std::fmt::Display) -> Failure {
    Failure::Malformed {
        message: error.to_string(),
    }
}

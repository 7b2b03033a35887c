//! Talks to one Vault: one request, one answer, at most one redirect.
//!
//! It tries nothing again and decides nothing; its caller does.

mod body;
mod http;
mod memory;
mod pace;
mod plain;
mod proxy;
mod tls;

use std::collections::BTreeMap;
use std::time::Duration;

use planescape_vault::mount::Mount;
use planescape_vault::wire::{self, Body, Wrapped};
use planescape_vault::{Call, Connection, Error, Grant, Login, Secret, SecretText, Tls};

use http::{Http, Method, Request};

pub use http::{Admission, Forwarded, retry_after};
pub use memory::stay_out_of_core_files;
pub use plain::{Plain, PlainRequest};
pub use reqwest::Body as StreamedBody;
pub use tls::{identity, install_crypto_provider};

/// Short enough that one attempt without an answer leaves time for others before the pod is gone.
const REVOKE_TIMEOUT: Duration = Duration::from_secs(5);

/// A client of one Vault. Clones share their connections.
#[derive(Clone, Debug)]
pub struct Client {
    http: Http,
}

/// A token, and the namespace that it belongs to.
#[derive(Clone, Copy, Debug)]
pub struct Bearer<'a> {
    /// The token.
    pub token: &'a SecretText,
    /// Instead of the connection's own.
    pub namespace: Option<&'a str>,
}

/// The answer to a [`Call`].
#[derive(Clone, Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "an answer is moved once, to whoever asked"
)]
pub enum Answer {
    /// For a read or a write; a write may be answered by nothing.
    Secret(Option<Secret>),
    /// For a list.
    List(Vec<String>),
}

impl Client {
    /// Reads the certificates that the connection names.
    ///
    /// # Errors
    /// One of them cannot be used; says which setting names it.
    pub fn new(connection: &Connection, user_agent: &str) -> anyhow::Result<Self> {
        Ok(Self {
            http: Http::new(connection, user_agent, None)?,
        })
    }

    /// The same; it connects only to addresses that `admission` lets it.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn guarded(
        connection: &Connection,
        user_agent: &str,
        admission: Admission,
    ) -> anyhow::Result<Self> {
        Ok(Self {
            http: Http::new(connection, user_agent, Some(admission))?,
        })
    }

    /// Reads the certificates that these settings name; connections are made with them from here on. Clones follow.
    ///
    /// # Errors
    /// One of them cannot be used: all stay as they were.
    pub fn trust(&self, tls: &Tls) -> anyhow::Result<()> {
        self.http.trust(tls)
    }

    /// The same client, and its connections, for requests to another namespace; its name ends with a slash.
    #[must_use]
    pub fn in_namespace(&self, namespace: Option<String>) -> Self {
        Self {
            http: self.http.in_namespace(namespace),
        }
    }

    /// The same client, whose logins are for the reads of another one: a standby has to hear of them before it answers.
    #[must_use]
    pub fn for_reads_of(self, reader: &Self) -> Self {
        Self {
            http: self.http.for_reads_of(&reader.http),
        }
    }

    /// `PUT` to the path of a login.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn log_in(
        &self,
        path: &str,
        namespace: Option<&str>,
        body: &Body,
    ) -> Result<Login, Error> {
        let request = Request {
            namespace,
            body: Some(body),
            is_login: true,
            ..Request::new(Method::Put, path, None)
        };
        wire::logged_in(&self.http.send(request).await?)
    }

    /// The same, with the token wrapped for somebody else.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn log_in_wrapped(
        &self,
        path: &str,
        namespace: Option<&str>,
        body: &Body,
        ttl: Duration,
    ) -> Result<Wrapped, Error> {
        let request = Request {
            namespace,
            body: Some(body),
            wrap: Some(ttl),
            ..Request::new(Method::Put, path, None)
        };
        wire::wrapped(&self.http.send(request).await?)
    }

    /// `PUT sys/wrapping/wrap`: a token, wrapped for somebody else.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn wrap(&self, bearer: Bearer<'_>, ttl: Duration) -> Result<Wrapped, Error> {
        let body = wire::fields([("token", bearer.token.expose())]);
        let request = Request {
            namespace: bearer.namespace,
            body: Some(&body),
            wrap: Some(ttl),
            ..Request::new(Method::Put, "sys/wrapping/wrap", Some(bearer.token))
        };
        wire::wrapped(&self.http.send(request).await?)
    }

    /// The secret id that a wrapping token holds, if `creation_path` made that token: otherwise
    /// somebody may have looked into it and put another in its place.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn unwrap_secret_id(
        &self,
        bearer: Bearer<'_>,
        creation_path: &str,
    ) -> Result<SecretText, Error> {
        let request = Request {
            namespace: bearer.namespace,
            ..Request::new(Method::Get, "sys/wrapping/lookup", Some(bearer.token))
        };
        let made_by = wire::wrapped_by(&self.http.send(request).await?)?;
        if made_by != creation_path {
            return Err(malformed(format!(
                "SECURITY: the wrapping token was made by {made_by}, not by {creation_path}: \
                 somebody may have replaced it"
            )));
        }
        let body = wire::empty();
        let request = Request {
            namespace: bearer.namespace,
            body: Some(&body),
            ..Request::new(Method::Put, "sys/wrapping/unwrap", Some(bearer.token))
        };
        wire::secret_id(&self.http.send(request).await?)
    }

    /// Sends a request of somebody else as it stands.
    ///
    /// # Errors
    /// Vault did not answer; an answer that says no is an answer.
    pub async fn forward(
        &self,
        forwarded: Forwarded,
    ) -> Result<::http::Response<StreamedBody>, Error> {
        self.http.forward(forwarded).await
    }

    /// `PUT auth/token/renew-self`; `increment` is the TTL to ask for, and the role may shorten it.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn renew_self(
        &self,
        bearer: Bearer<'_>,
        increment: Option<Duration>,
    ) -> Result<Grant, Error> {
        let body = wire::renewal(None, increment);
        let request = Request {
            namespace: bearer.namespace,
            body: Some(&body),
            ..Request::new(Method::Put, "auth/token/renew-self", Some(bearer.token))
        };
        wire::renewed_token(&self.http.send(request).await?)
    }

    /// `GET auth/token/lookup-self`: what Vault knows of the token.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn look_up_self(&self, bearer: Bearer<'_>) -> Result<Login, Error> {
        let request = Request {
            namespace: bearer.namespace,
            ..Request::new(Method::Get, "auth/token/lookup-self", Some(bearer.token))
        };
        wire::looked_up(bearer.token.clone(), &self.http.send(request).await?)
    }

    /// `PUT auth/token/revoke-self`.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn revoke_self(&self, bearer: Bearer<'_>) -> Result<(), Error> {
        let body = wire::empty();
        let request = Request {
            namespace: bearer.namespace,
            body: Some(&body),
            timeout: Some(REVOKE_TIMEOUT),
            ..Request::new(Method::Put, "auth/token/revoke-self", Some(bearer.token))
        };
        wire::done(&self.http.send(request).await?)
    }

    /// `PUT auth/token/revoke-accessor`: revokes a token of which only the accessor is known.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn revoke_accessor(&self, accessor: &str, bearer: Bearer<'_>) -> Result<(), Error> {
        let body = wire::fields([("accessor", accessor)]);
        let request = Request {
            namespace: bearer.namespace,
            body: Some(&body),
            timeout: Some(REVOKE_TIMEOUT),
            ..Request::new(
                Method::Put,
                "auth/token/revoke-accessor",
                Some(bearer.token),
            )
        };
        self.http.send(request).await.map(drop)
    }

    /// `PUT sys/leases/renew`; `increment` is the TTL to ask for, and the engine may shorten it.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn renew_lease(
        &self,
        lease_id: &str,
        bearer: Bearer<'_>,
        increment: Option<Duration>,
    ) -> Result<Grant, Error> {
        let body = wire::renewal(Some(lease_id), increment);
        let request = Request {
            namespace: bearer.namespace,
            body: Some(&body),
            ..Request::new(Method::Put, "sys/leases/renew", Some(bearer.token))
        };
        wire::renewed_lease(&self.http.send(request).await?)
    }

    /// `PUT sys/leases/lookup`: succeeds if Vault has the lease.
    ///
    /// # Errors
    /// An answer of Vault that is no success, or none at all.
    pub async fn look_up_lease(&self, lease_id: &str, bearer: Bearer<'_>) -> Result<(), Error> {
        let body = wire::fields([("lease_id", lease_id)]);
        let request = Request {
            body: Some(&body),
            namespace: bearer.namespace,
            ..Request::new(Method::Put, "sys/leases/lookup", Some(bearer.token))
        };
        self.http.send(request).await.map(drop)
    }

    /// `PUT sys/leases/revoke`, answered when the leased secret is gone.
    ///
    /// # Errors
    /// See [`Error`]; Vault refuses where it could not take the secret away.
    pub async fn revoke_lease(&self, lease_id: &str, bearer: Bearer<'_>) -> Result<(), Error> {
        let body = wire::fields([("lease_id", lease_id), ("sync", "true")]);
        let request = Request {
            namespace: bearer.namespace,
            body: Some(&body),
            ..Request::new(Method::Put, "sys/leases/revoke", Some(bearer.token))
        };
        wire::done(&self.http.send(request).await?)
    }

    /// `GET sys/health`: whether the node, or the node that it passes requests on to, serves them.
    pub async fn is_serving(&self) -> bool {
        let request = Request {
            query: Some("standbyok=true&perfstandbyok=true"),
            ..Request::new(Method::Get, "sys/health", None)
        };
        self.http.send(request).await.is_ok()
    }

    /// `PUT sys/capabilities-self`: what the token may do at each of these paths.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn capabilities_of_self(
        &self,
        paths: &[&str],
        bearer: Bearer<'_>,
    ) -> Result<BTreeMap<String, Vec<String>>, Error> {
        let body = wire::paths(paths);
        let request = Request {
            namespace: bearer.namespace,
            body: Some(&body),
            ..Request::new(Method::Put, "sys/capabilities-self", Some(bearer.token))
        };
        wire::capabilities(&self.http.send(request).await?)
    }

    /// `GET sys/internal/ui/mounts/<path>`: the mount that serves a path.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn mount_of(&self, path: &str, token: &SecretText) -> Result<Mount, Error> {
        let path = format!("sys/internal/ui/mounts/{path}");
        let request = Request::new(Method::Get, &path, Some(token));
        Mount::from_json(&self.http.send(request).await?).map_err(malformed)
    }

    /// Reads, lists or writes. A list of nothing is empty.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn call(&self, call: Call, token: &SecretText) -> Result<Answer, Error> {
        self.call_seeing(call, token, |_| ()).await
    }

    /// The same; `see` gets the body of a secret as it came.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn call_seeing(
        &self,
        call: Call,
        token: &SecretText,
        see: impl FnOnce(&[u8]),
    ) -> Result<Answer, Error> {
        let body = match call {
            Call::Get { path, query } => {
                let request = Request {
                    query: query.as_deref(),
                    ..Request::new(Method::Get, &path, Some(token))
                };
                self.http.send(request).await?
            }
            Call::List { path } => {
                let request = Request {
                    query: Some("list=true"),
                    ..Request::new(Method::Get, &path, Some(token))
                };
                return match self.http.send(request).await {
                    Ok(body) => wire::listed(&body).map(Answer::List),
                    Err(Error::Refused(refusal)) if refusal.status() == 404 => {
                        Ok(Answer::List(Vec::new()))
                    }
                    Err(error) => Err(error),
                };
            }
            Call::Put {
                path,
                parameters,
                wrapped,
            } => {
                let body = wire::parameters(&parameters, wrapped);
                let request = Request {
                    body: Some(&body),
                    // Vault wraps nothing without a time; `vault agent` always says this one.
                    wrap: (path == "sys/wrapping/wrap").then_some(Duration::from_secs(300)),
                    ..Request::new(Method::Put, &path, Some(token))
                };
                self.http.send(request).await?
            }
        };
        see(&body);
        secret(&body)
    }
}

/// An empty body is the answer to a write that returns nothing.
fn secret(body: &[u8]) -> Result<Answer, Error> {
    if body.trim_ascii().is_empty() {
        return Ok(Answer::Secret(None));
    }
    let secret = Secret::from_json(body).map_err(malformed)?;
    Ok(Answer::Secret(Some(secret)))
}

fn malformed(error: impl std::fmt::Display) -> Error {
    Error::Malformed {
        message: error.to_string(),
    }
}

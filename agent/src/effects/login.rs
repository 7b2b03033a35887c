//! Logs in with the configured method.

mod cloud;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use planescape_agent_contract::{Auth, Cert, CertTls, Config, Material, Method, MountPath, Proof};
use planescape_agent_core::{Failure, Input, Ticket};
use planescape_vault::wire::Body;
use planescape_vault::{Connection, Error, SecretText, Text, Tls};
use planescape_vault_client::{Bearer, Client};
use tokio::sync::Semaphore;

use super::vault::is_dead;
use super::{USER_AGENT, file_failure, on_the_blocking_pool};
use crate::files::{self, Digest};

/// The place of the login and the method.
pub(super) struct Login {
    mount_path: MountPath,
    /// The namespace of the login, and of all that is done with its token as such.
    pub(super) namespace: Option<String>,
    /// Without a method no login is asked for.
    method: Option<Method>,
    wrap_ttl: Option<Duration>,
    connection: Connection,
    /// The connection of a method with certificates of its own.
    own: Mutex<Own>,
    memory: Memory,
}

/// The connection of a method with certificates of its own.
#[derive(Default)]
struct Own {
    tls: Tls,
    /// Set from the first login on that could read the files.
    client: Option<Arc<Client>>,
    /// The digest of the files when they were last found usable.
    seen: Option<Digest>,
}

/// The contents of files that may be gone by now.
#[derive(Default)]
struct Memory(Mutex<BTreeMap<String, Known>>);

#[derive(Clone)]
struct Known {
    /// The bytes of the file.
    content: Body,
    /// The credential that they stand for: the same bytes, or the content of a wrapping token.
    meaning: Body,
}

impl Memory {
    fn get(&self, path: &str) -> Option<Known> {
        self.lock().get(path).cloned()
    }

    fn keep(&self, path: &str, known: Known) {
        self.lock().insert(path.to_owned(), known);
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Known>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Login {
    pub(super) fn new(auth: &Auth, connection: &Connection) -> Self {
        let own = own_certificates(auth.method.as_ref());
        let own = Own {
            tls: own.map_or_else(Tls::default, |own| with_own(own, &connection.tls)),
            ..Own::default()
        };
        Self {
            mount_path: auth.mount_path.clone(),
            namespace: auth.namespace.clone(),
            method: auth.method.clone(),
            wrap_ttl: auth.wrap_ttl,
            connection: connection.clone(),
            own: Mutex::new(own),
            memory: Memory::default(),
        }
    }

    pub(super) fn has_method(&self) -> bool {
        self.method.is_some()
    }

    /// The namespace of reads.
    pub(super) fn reads_in(&self) -> Option<&str> {
        self.connection.namespace.as_deref()
    }

    /// Whether reads have a namespace, and it is another one.
    pub(super) fn reads_elsewhere(&self) -> bool {
        let both = (self.namespace.as_deref(), self.reads_in());
        matches!(both, (Some(own), Some(reads)) if own != reads)
    }

    /// Reads the method's own certificates again, if it has some: those that the configuration names now.
    pub(super) fn renew_trust(&self, config: &Config) -> anyhow::Result<()> {
        let started = own_certificates(self.method.as_ref());
        let now = own_certificates(config.auth.method.as_ref());
        let (Some(_), Some(now)) = (started, now) else {
            return Ok(());
        };
        let tls = with_own(now, &config.vault.connection.tls);
        let client = self.own().client.clone();
        if let Some(client) = client {
            client.trust(&tls)?;
        }
        self.own().tls = tls;
        Ok(())
    }

    /// Logs in once, and says what came of it.
    pub(super) async fn run(&self, vault: &Client, slots: &Semaphore, ticket: Ticket) -> Input {
        let proof = match self.proof(vault, slots).await {
            Ok(proof) => proof,
            Err(failure) => {
                let result = Err(failure);
                return Input::LoggedIn { ticket, result };
            }
        };
        let own_client = match self.own_client_now(vault, slots).await {
            Ok(client) => client,
            Err(failure) => {
                let result = Err(failure);
                return Input::LoggedIn { ticket, result };
            }
        };
        let vault = own_client.as_deref().unwrap_or(vault);
        let namespace = self.namespace.as_deref();
        let (path, body) = match proof {
            Proof::Token(token) => {
                let token = &token;
                let result = vault.look_up_self(Bearer { token, namespace }).await;
                let result = result.map_err(Failure::Vault);
                return Input::LoggedIn { ticket, result };
            }
            Proof::Login { path, body } => (self.mount_path.join(&path), body),
            Proof::Cloud(cloud) => match cloud::body(&cloud, &self.connection.address).await {
                Ok(body) => (self.mount_path.join("login"), body),
                Err(error) => {
                    let failure = Failure::File {
                        path: "auto_auth.method".to_owned(),
                        message: format!("{error:#}"),
                    };
                    let result = Err(failure);
                    return Input::LoggedIn { ticket, result };
                }
            },
        };
        match self.wrap_ttl {
            None => {
                let result = vault.log_in(&path, namespace, &body).await;
                let result = result.map_err(Failure::Vault);
                Input::LoggedIn { ticket, result }
            }
            Some(ttl) => {
                let result = vault.log_in_wrapped(&path, namespace, &body, ttl).await;
                let result = result.map(|wrapped| Text::from(wrapped.0.as_slice()));
                let result = result.map_err(Failure::Vault);
                Input::LoggedInWrapped { ticket, result }
            }
        }
    }

    /// How often the method's files are looked at for new credentials.
    pub(super) fn watch(&self) -> Option<Duration> {
        self.method.as_ref()?.watch()
    }

    /// Whether the method's files hold something that no login has seen.
    pub(super) async fn has_news(&self, slots: &Semaphore) -> bool {
        let Some(method) = &self.method else {
            return false;
        };
        match method.materials().first() {
            Some(material) => self.has_new_content(material, slots).await,
            None => self.has_new_certificates(slots).await,
        }
    }

    /// New content is kept for the next login.
    async fn has_new_content(&self, material: &Material, slots: &Semaphore) -> bool {
        let known = self.memory.get(&material.path);
        let Ok(content) = read(material, slots).await else {
            return false;
        };
        if known.is_none_or(|known| known.content == content) {
            return false;
        }
        let meaning = content.clone();
        self.memory.keep(&material.path, Known { content, meaning });
        remove(material, slots).await;
        true
    }

    async fn has_new_certificates(&self, slots: &Semaphore) -> bool {
        let (connection, seen) = self.own_connection();
        let Some(seen) = seen else {
            return false;
        };
        let look = move || {
            let now = digest(&connection.tls).ok()?;
            // Files that do not fit together yet are about to be replaced.
            let is_usable = now != seen && Client::new(&connection, USER_AGENT).is_ok();
            is_usable.then_some(now)
        };
        let now = on_the_blocking_pool(slots, look).await;
        if now.is_some() {
            self.own().seen = now;
        }
        now.is_some()
    }

    async fn proof(&self, vault: &Client, slots: &Semaphore) -> Result<Proof, Failure> {
        let Some(method) = &self.method else {
            return Err(Failure::File {
                path: "auto_auth".to_owned(),
                message: "is missing".to_owned(),
            });
        };
        let mut contents = Vec::new();
        for material in method.materials() {
            contents.push(self.content(vault, slots, &material).await?);
        }
        method.proof(&contents).map_err(|file| Failure::File {
            path: file.path,
            message: file.reason.to_owned(),
        })
    }

    async fn content(
        &self,
        vault: &Client,
        slots: &Semaphore,
        material: &Material,
    ) -> Result<Body, Failure> {
        let known = self.memory.get(&material.path);
        let known = known.filter(|_| material.is_remembered);
        let content = match (read(material, slots).await, known) {
            (Ok(content), Some(known)) if known.content == content => {
                remove(material, slots).await;
                return Ok(known.meaning);
            }
            (Ok(content), _) => content,
            (Err(_), Some(known)) => return Ok(known.meaning),
            (Err(failure), None) => return Err(failure),
        };
        let meaning = match &material.wrapped_by {
            None => content.clone(),
            Some(creation_path) => {
                let unwrapped = self.unwrap(vault, &content, creation_path).await;
                unwrapped.map_err(|error| {
                    let is_files_fault = match &error {
                        Error::Malformed { .. } => true,
                        Error::Refused(refusal) => is_dead(refusal),
                        Error::Unreachable { .. }
                        | Error::Unresolved { .. }
                        | Error::Untrusted { .. }
                        | Error::Silent { .. }
                        | Error::Unsendable { .. } => false,
                    };
                    match is_files_fault {
                        // The file does not hold a usable wrapping token.
                        true => Failure::File {
                            path: material.path.clone(),
                            message: error.to_string(),
                        },
                        false => Failure::Vault(error),
                    }
                })?
            }
        };
        if material.is_remembered {
            let meaning = meaning.clone();
            self.memory.keep(&material.path, Known { content, meaning });
        }
        remove(material, slots).await;
        Ok(meaning)
    }

    async fn unwrap(
        &self,
        vault: &Client,
        content: &Body,
        creation_path: &str,
    ) -> Result<Body, Error> {
        let token = String::from_utf8_lossy(content.trim_ascii()).into_owned();
        let bearer = Bearer {
            token: &SecretText::new(token),
            namespace: self.namespace.as_deref(),
        };
        let secret_id = vault.unwrap_secret_id(bearer, creation_path).await?;
        Ok(Body::new(secret_id.expose().as_bytes().to_vec()))
    }

    /// The client to renew the token with, if the method has its own: Vault renews only for the certificate that has
    /// logged in.
    pub(super) async fn renewing_client(
        &self,
        vault: &Client,
        slots: &Semaphore,
    ) -> Result<Option<Arc<Client>>, Failure> {
        let of_login = self.own().client.clone();
        match of_login {
            Some(client) => Ok(Some(client)),
            // The token is of another life, or of a sink.
            None => self.own_client_now(vault, slots).await,
        }
    }

    /// The client with the method's own certificates, if it has some: they may come after the agent.
    async fn own_client_now(
        &self,
        vault: &Client,
        slots: &Semaphore,
    ) -> Result<Option<Arc<Client>>, Failure> {
        let Some(certificates) = own_certificates(self.method.as_ref()) else {
            return Ok(None);
        };
        let kept = self.own().client.clone();
        if kept.is_some() && certificates.reload.is_none() {
            return Ok(kept);
        }
        let (connection, _) = self.own_connection();
        let tls = connection.tls.clone();
        let build = move || {
            // The digest comes first: files that change in between are seen as new once more.
            let seen = digest(&connection.tls).ok();
            anyhow::Ok((Client::new(&connection, USER_AGENT)?, seen))
        };
        let built = on_the_blocking_pool(slots, build).await;
        let (client, seen) = built.map_err(|error| unusable(certificates, &error))?;
        let client = Arc::new(client.for_reads_of(vault));
        let mut own = self.own();
        // A reload may have named other files meanwhile.
        if own.tls == tls {
            own.client = Some(Arc::clone(&client));
            own.seen = seen;
        }
        Ok(Some(client))
    }

    /// The connection with the method's own certificates, and their digest at the last login.
    fn own_connection(&self) -> (Connection, Option<Digest>) {
        let own = self.own();
        let connection = Connection {
            tls: own.tls.clone(),
            ..self.connection.clone()
        };
        (connection, own.seen)
    }

    fn own(&self) -> MutexGuard<'_, Own> {
        self.own.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The digest of the files that a connection reads at each login.
fn digest(tls: &Tls) -> anyhow::Result<Digest> {
    let client = tls.client.iter();
    let client = client.flat_map(|(certificate, key)| [certificate, key]);
    files::digest(client.chain(&tls.ca_cert))
}

/// Names the setting that the user has written.
fn unusable(own: &CertTls, error: &anyhow::Error) -> Failure {
    const BLOCK: &str = "auto_auth.method.config";
    let message = format!("{error:#}");
    let is_own = match message.strip_prefix("vault.") {
        Some(field) if field.starts_with("ca_cert") => own.ca_cert.is_some(),
        Some(field) if field.starts_with("client_") => own.client.is_some(),
        _ => false,
    };
    match message.split_once(": ") {
        Some((field, message)) if is_own => Failure::File {
            path: field.replace("vault", BLOCK),
            message: message.to_owned(),
        },
        _ => Failure::File {
            path: BLOCK.to_owned(),
            message,
        },
    }
}

fn own_certificates(method: Option<&Method>) -> Option<&CertTls> {
    let Some(Method::Cert(Cert { tls, .. })) = method else {
        return None;
    };
    tls.as_ref()
}

/// The certificates of the method; those that it leaves open come from the `vault` block.
fn with_own(own: &CertTls, common: &Tls) -> Tls {
    Tls {
        ca_cert: own.ca_cert.clone().or_else(|| common.ca_cert.clone()),
        client: own.client.clone().or_else(|| common.client.clone()),
        ..common.clone()
    }
}

/// An empty file is an error: it is being written.
async fn read(material: &Material, slots: &Semaphore) -> Result<Body, Failure> {
    let path = material.path.clone();
    on_the_blocking_pool(slots, move || {
        let content = files::read(path.as_ref()).map_err(|error| file_failure(&path, &error))?;
        if content.trim_ascii().is_empty() {
            let message = "is empty".to_owned();
            return Err(Failure::File { path, message });
        }
        Ok(content)
    })
    .await
}

/// A failed removal does not stop the login.
async fn remove(material: &Material, slots: &Semaphore) {
    let (path, removal) = (material.path.clone(), material.removal);
    let removed = on_the_blocking_pool(slots, move || files::remove(path.as_ref(), removal)).await;
    if let Err(error) = removed {
        tracing::error!(path = %material.path, %error, "cannot remove the file after reading it");
    }
}

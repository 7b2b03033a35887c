//! Logs in with the configured method.

mod cloud;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use planescape_agent_contract::{Auth, Cert, CertTls, Config, Material, Method, MountPath, Proof};
use planescape_agent_core::{Failure, Input, Ticket};
use planescape_vault::wire::Body;
use planescape_vault::{Connection, Error, SecretText, Text, Tls};
use planescape_vault_client::{Bearer, Client};
use tokio::sync::Semaphore;

use super::vault::is_dead;
use super::{USER_AGENT, file_failure, on_the_blocking_pool};
use crate::files;

/// The place of the login and the method.
pub(super) struct Login {
    mount_path: MountPath,
    /// The namespace of the login, and of all that is done with its token as such.
    pub(super) namespace: Option<String>,
    /// Without one nobody asks for a login.
    method: Option<Method>,
    wrap_ttl: Option<Duration>,
    connection: Connection,
    /// The client of a method with certificates of its own.
    own_client: Option<Arc<Client>>,
    /// By what a reload said.
    taken_over: Mutex<Option<Tls>>,
    memory: Memory,
}

/// What files held that may be gone by now.
#[derive(Default)]
struct Memory(Mutex<BTreeMap<String, Known>>);

#[derive(Clone)]
struct Known {
    /// The bytes of the file.
    content: Body,
    /// What they stand for: the same, or what a wrapping token held.
    meaning: Body,
}

impl Memory {
    fn get(&self, path: &str) -> Option<Known> {
        self.lock().get(path).cloned()
    }

    fn keep(&self, path: &str, known: Known) {
        self.lock().insert(path.to_owned(), known);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, Known>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Login {
    /// Reads certificates, which blocks.
    pub(super) fn new(auth: &Auth, connection: &Connection) -> anyhow::Result<Self> {
        let mut login = Self {
            mount_path: auth.mount_path.clone(),
            namespace: auth.namespace.clone(),
            method: auth.method.clone(),
            wrap_ttl: auth.wrap_ttl,
            connection: connection.clone(),
            own_client: None,
            taken_over: Mutex::new(None),
            memory: Memory::default(),
        };
        if let Some((connection, _)) = login.own_connection() {
            login.own_client = Some(Arc::new(Client::new(&connection, USER_AGENT)?));
        }
        Ok(login)
    }

    /// Reads the certificates of the method again, where it has its own: those that the configuration names now.
    pub(super) fn renew_trust(&self, config: &Config) -> anyhow::Result<()> {
        match (
            &self.own_client,
            own_certificates(config.auth.method.as_ref()),
        ) {
            (Some(client), Some(own)) => {
                let tls = with_own(own, &config.vault.connection.tls);
                client.trust(&tls)?;
                *self
                    .taken_over
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner) = Some(tls);
                Ok(())
            }
            (None, _) | (_, None) => Ok(()),
        }
    }

    /// One login, and what it gave.
    pub(super) async fn run(&self, vault: &Client, slots: &Semaphore, ticket: Ticket) -> Input {
        let proof = match self.proof(vault, slots).await {
            Ok(proof) => proof,
            Err(failure) => {
                let result = Err(failure);
                return Input::LoggedIn { ticket, result };
            }
        };
        let own_client = match self.own_client_now(slots).await {
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

    /// How often the method's file is looked at for new credentials.
    pub(super) fn watch(&self) -> Option<(Duration, Material)> {
        let method = self.method.as_ref()?;
        let material = method.materials().into_iter().next()?;
        Some((method.watch()?, material))
    }

    /// Whether the file holds something that no login has seen; it is then kept for the next one.
    pub(super) async fn has_news(&self, material: &Material, slots: &Semaphore) -> bool {
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
                        | Error::Untrusted { .. }
                        | Error::Silent { .. }
                        | Error::Unsendable { .. } => false,
                    };
                    match is_files_fault {
                        // The file holds something else than it should.
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

    /// The client with the method's own certificates, read again where that is asked for.
    async fn own_client_now(&self, slots: &Semaphore) -> Result<Option<Arc<Client>>, Failure> {
        let Some((connection, true)) = self.own_connection() else {
            return Ok(self.own_client.clone());
        };
        let build = move || Client::new(&connection, USER_AGENT);
        let client = on_the_blocking_pool(slots, build).await;
        let client = client.map_err(|error| Failure::File {
            path: "auto_auth.method.config".to_owned(),
            message: format!("{error:#}"),
        })?;
        Ok(Some(Arc::new(client)))
    }

    /// The connection with the method's own certificates, and whether they are read again.
    fn own_connection(&self) -> Option<(Connection, bool)> {
        let own = own_certificates(self.method.as_ref())?;
        let taken_over = self
            .taken_over
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let tls = taken_over.clone();
        let connection = Connection {
            tls: tls.unwrap_or_else(|| with_own(own, &self.connection.tls)),
            ..self.connection.clone()
        };
        Some((connection, own.reload))
    }
}

fn own_certificates(method: Option<&Method>) -> Option<&CertTls> {
    let Some(Method::Cert(Cert { tls, .. })) = method else {
        return None;
    };
    tls.as_ref()
}

/// The certificates of the method, and of the `vault` block what it leaves open.
fn with_own(own: &CertTls, common: &Tls) -> Tls {
    Tls {
        ca_cert: own.ca_cert.clone().or_else(|| common.ca_cert.clone()),
        client: own.client.clone().or_else(|| common.client.clone()),
        ..common.clone()
    }
}

/// A file that is there and holds nothing is being written.
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

/// A file that cannot be removed is no reason not to log in.
async fn remove(material: &Material, slots: &Semaphore) {
    let (path, removal) = (material.path.clone(), material.removal);
    let removed = on_the_blocking_pool(slots, move || files::remove(path.as_ref(), removal)).await;
    if let Err(error) = removed {
        tracing::error!(path = %material.path, %error, "cannot remove the file after reading it");
    }
}

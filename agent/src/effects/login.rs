//! Logs in with the configured method.

use planescape_agent_contract::{Auth, Kubernetes, Method};
use planescape_agent_core::Failure;
use planescape_vault::wire;
use planescape_vault_client::Client;
use tokio::sync::Semaphore;

use super::{file_failure, on_the_blocking_pool};
use crate::files;

/// Where to log in, and with what.
pub(super) struct Login {
    mount_path: String,
    /// The namespace of the login, and of all that is done with its token as such.
    pub(super) namespace: Option<String>,
    method: Kubernetes,
}

impl Login {
    pub(super) fn new(auth: &Auth) -> Self {
        let Method::Kubernetes(method) = auth.method.clone();
        Self {
            mount_path: auth.mount_path.clone(),
            namespace: auth.namespace.clone(),
            method,
        }
    }

    pub(super) async fn run(
        &self,
        vault: &Client,
        file_slots: &Semaphore,
    ) -> Result<planescape_vault::Login, Failure> {
        let path = self.method.token_path.clone();
        let read = move || match files::read(path.as_ref()) {
            Ok(bytes) => Ok(bytes),
            Err(error) => Err(file_failure(&path, &error)),
        };
        let bytes = on_the_blocking_pool(file_slots, read).await?;
        let jwt = std::str::from_utf8(&bytes).map_err(|_| Failure::File {
            path: self.method.token_path.clone(),
            message: "is not text".to_owned(),
        })?;
        let body = wire::login(&self.method.role, jwt.trim());
        let namespace = self.namespace.as_deref();
        Ok(vault.log_in(&self.mount_path, namespace, &body).await?)
    }
}

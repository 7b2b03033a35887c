//! Logs in with the configured method.

use planescape_agent_contract::{Auth, Method};
use planescape_agent_core::Failure;
use planescape_vault::wire::Body;
use planescape_vault_client::Client;
use tokio::sync::Semaphore;

use super::{file_failure, on_the_blocking_pool};
use crate::files;

/// The place of the login and the method.
pub(super) struct Login {
    mount_path: String,
    /// The namespace of the login, and of all that is done with its token as such.
    pub(super) namespace: Option<String>,
    method: Method,
}

impl Login {
    pub(super) fn new(auth: &Auth) -> Self {
        Self {
            mount_path: auth.mount_path.clone(),
            namespace: auth.namespace.clone(),
            method: auth.method.clone(),
        }
    }

    pub(super) async fn run(
        &self,
        vault: &Client,
        file_slots: &Semaphore,
    ) -> Result<planescape_vault::Login, Failure> {
        let paths: Vec<String> = self.method.files().into_iter().map(str::to_owned).collect();
        let contents = on_the_blocking_pool(file_slots, || read_all(paths)).await?;
        let body = self.method.body(&contents).map_err(|file| Failure::File {
            path: file.path,
            message: file.reason.to_owned(),
        })?;
        let namespace = self.namespace.as_deref();
        Ok(vault.log_in(&self.mount_path, namespace, &body).await?)
    }
}

fn read_all(paths: Vec<String>) -> Result<Vec<Body>, Failure> {
    let read =
        |path: String| files::read(path.as_ref()).map_err(|error| file_failure(&path, &error));
    paths.into_iter().map(read).collect()
}

//! The listeners and clients with certificates, which may be renewed while the agent runs.

use std::sync::Arc;

use planescape_agent_contract::Config;
use planescape_vault_client::Client;

use super::login::Login;
use crate::listener::Certificates;

/// Listeners, and clients of Vault.
pub(crate) struct Certified {
    pub(super) listeners: Vec<Arc<Certificates>>,
    pub(super) clients: Vec<Client>,
    pub(super) login: Arc<Login>,
}

impl Certified {
    /// Reads every certificate again; those of clients from the places that the configuration names now. A client or
    /// listener with an unusable one keeps what it had, and does not stop the others.
    pub(crate) fn renew(&self, config: &Config) {
        let listeners = self.listeners.iter().map(|it| it.reload());
        let clients = self.clients.iter();
        let clients = clients.map(|it| it.trust(&config.vault.connection.tls));
        let login = std::iter::once_with(|| self.login.renew_trust(config));
        for renewed in listeners.chain(clients).chain(login) {
            if let Err(error) = renewed {
                tracing::error!(error = %format!("{error:#}"), "the certificate is kept as it was");
            }
        }
    }
}

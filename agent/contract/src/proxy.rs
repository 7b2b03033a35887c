//! The agent as a server: listeners, the proxy to Vault behind them, and its cache.

use std::time::Duration;

use crate::FileMode;

/// `api_proxy`, `cache` and all `listener` blocks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Proxy {
    /// Its listeners.
    pub listeners: Vec<Listener>,
    /// The token that goes to Vault.
    pub token: ProxyToken,
    /// Whether answers with leases and tokens are kept and renewed.
    pub caches: bool,
    /// The file in which the agent hands its token and leases to its next life.
    pub persist: Option<Persist>,
}

/// `cache.persist`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Persist {
    /// The folder of the file.
    pub folder: String,
    /// Whether a life that has found the file goes on writing it, instead of removing it.
    pub keeps_after_import: bool,
    /// Whether a file that cannot be read ends the agent.
    pub exits_on_error: bool,
    /// The file with the token of the ServiceAccount, from which the key is derived.
    pub token_file: String,
}

/// The token that goes to Vault.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ProxyToken {
    /// The token of the request alone.
    #[default]
    Request,
    /// The agent's token, if the request has none.
    AgentUnlessGiven,
    /// The agent's token, even if the request has one.
    Agent,
}

/// A `listener` block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listener {
    /// The address.
    pub address: ListenAddress,
    /// Whether it only serves metrics.
    pub is_for_metrics_only: bool,
    /// Whether requests need the header `X-Vault-Request: true`, which no other site can make a
    /// browser send.
    pub requires_header: bool,
    /// Whether a request can end the agent.
    pub can_quit: bool,
    /// The certificate, if the listener speaks TLS.
    pub tls: Option<ListenerTls>,
}

/// The address of a listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ListenAddress {
    /// Host and port.
    Tcp(String),
    /// The path of a socket, and the users who may use it.
    Unix {
        /// The path.
        path: String,
        /// Mode, user and group, if all three are set.
        access: Option<(FileMode, crate::Owner)>,
    },
}

/// The files of a listener that speaks TLS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenerTls {
    /// The certificate with its chain.
    pub certificate: String,
    /// Its key.
    pub key: String,
    /// The authorities that have to know a client.
    pub client_authorities: Option<String>,
    /// Whether a client without a certificate is refused.
    pub requires_client: bool,
    /// Whether only version 1.3 is spoken.
    pub only_1_3: bool,
    /// Whether version 1.3 is not spoken.
    pub only_1_2: bool,
    /// How often the files are looked at; without it on SIGHUP alone.
    pub reload_interval: Option<Duration>,
}

//! The configuration that is known to be good.

use std::num::NonZeroUsize;
use std::time::Duration;

use planescape_vault::{Connection, SecretText};

use crate::{
    Exec, FileMode, Log, LogOverrides, Method, MountPath, Owner, Problem, Problems, Proxy, Share,
    Telemetry, Template,
};

/// All settings of the agent.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// How to reach Vault.
    pub vault: Vault,
    /// How to log in.
    pub auth: Auth,
    /// The texts to render, in the order of the files: those that become files, then those that
    /// become variables.
    pub templates: Vec<Template>,
    /// The program that gets the variables.
    pub exec: Option<Exec>,
    /// The settings of all templates.
    pub template_config: TemplateConfig,
    /// The agent as a server.
    pub proxy: Proxy,
    /// Whether the agent ends once every template is rendered and every sink is written.
    pub exit_after_auth: bool,
    /// The file for the process id.
    pub pid_file: Option<String>,
    /// The settings of the log.
    pub log: Log,
    /// The settings of its metrics.
    pub telemetry: Telemetry,
    /// The settings that only our agent knows.
    pub planescape: Planescape,
    /// Whether there is a `planescape` block: without one the process ends with the exit codes of
    /// `vault agent`.
    pub has_own_exit_codes: bool,
    /// Oddities that do no harm, such as unknown keys.
    pub warnings: Vec<Problem>,
}

/// How to reach Vault, and how patiently.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vault {
    /// How to reach it.
    pub connection: Connection,
    /// How often a failed read is repeated.
    pub retries: u32,
    /// How often a proxied request is repeated.
    pub proxy_retries: u32,
    /// Whether a connection of proxied requests stays for the next one.
    pub proxy_keeps_idle: bool,
}

impl Vault {
    /// How to reach Vault by flags and environment alone.
    ///
    /// # Errors
    /// Every problem, with the path of its field.
    pub fn of(overrides: &Overrides) -> Result<Self, Problems> {
        crate::validate::vault_alone(overrides)
    }
}

/// `auto_auth`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Auth {
    /// How the agent proves who it is; without one it never logs in.
    pub method: Option<Method>,
    /// The path of the method's mount.
    pub mount_path: MountPath,
    /// The namespace of the login, and of everything else unless `vault` names one.
    pub namespace: Option<String>,
    /// First wait after a failed login.
    pub min_backoff: Duration,
    /// Longest wait after a failed login.
    pub max_backoff: Duration,
    /// Whether the waits above also hold for failed reads, because the file names them.
    pub backoff_is_explicit: bool,
    /// Whether the first failed login ends the agent.
    pub exit_on_error: bool,
    /// How long the wrapping token lives that the sink gets instead of the token.
    pub wrap_ttl: Option<Duration>,
    /// Whether new credentials lead to a new login.
    pub follows_new_credentials: bool,
    /// Files that receive the token.
    pub sinks: Vec<Sink>,
}

impl Auth {
    /// Whether the token is made for this agent and used by it.
    #[must_use]
    pub fn owns_token(&self) -> bool {
        self.wrap_ttl.is_none() && !matches!(self.method, Some(Method::TokenFile(_)))
    }
}

/// A file that receives the token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sink {
    /// Its path.
    pub path: String,
    /// Its permission bits.
    pub mode: FileMode,
    /// Its owner, if that is not us.
    pub owner: Owner,
    /// How long the wrapping token lives that the file gets instead of the token.
    pub wrap_ttl: Option<Duration>,
    /// The public key for which it is sealed; without it, every reader of the file can read the token.
    pub encryption: Option<Encryption>,
}

/// The public key for which a sink is sealed, so that only its owner can read it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Encryption {
    /// The file with their public key.
    pub public_key: String,
    /// Whether the key is derived from the shared secret instead of being it.
    pub derives_key: bool,
    /// The data that is authenticated beside the token.
    pub aad: Aad,
}

/// The data that is authenticated beside an encrypted token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Aad {
    /// This text.
    Text(String),
    /// The value of this environment variable.
    Variable(String),
}

/// `template_config`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TemplateConfig {
    /// Whether the agent ends when a template's retries are used up.
    pub exit_on_retry_failure: bool,
    /// How often secrets without a lease are read again.
    pub static_secret_render_interval: Duration,
    /// The longest wait before secrets are read again that have a duration but no lease, as in version 1 of KV.
    pub kv_v1_render_interval: Option<Duration>,
    /// How many requests are in flight at once.
    pub max_connections: NonZeroUsize,
    /// The share of a non-renewable lease after which it is read again.
    pub lease_renewal_threshold: Share,
}

impl TemplateConfig {
    /// Five minutes.
    pub const DEFAULT_INTERVAL: Duration = Duration::from_secs(300);
    /// As many as `vault agent` opens to one host.
    pub const DEFAULT_CONNECTIONS: NonZeroUsize = NonZeroUsize::MIN.saturating_add(9);
}

/// `planescape`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Planescape {
    /// Whether the agent revokes its token, and with it every lease, when it ends.
    pub revoke_on_exit: bool,
    /// The file with the tokens that the agent must revoke, for its next life to find; a file that
    /// only the agent can read, best in memory.
    pub ledger: Option<String>,
    /// Whether the first login takes the token that an earlier life has left in the first sink.
    pub reuses_sink_token: bool,
    /// Folders that others can write too. No link below them is followed.
    pub shared_folders: Vec<String>,
    /// The file for the agent's report.
    pub termination_log: Option<String>,
    /// The unix socket on which `planescape-agent wait` learns that every file is rendered.
    pub ready_socket: Option<String>,
    /// How long the first rendering may take before the agent reports why it is late and ends.
    pub give_up_after: Option<Duration>,
    /// Whether, before everything is rendered, a refusal by Vault ends the agent once it is
    /// believed, and an outage never does so before `give_up_after`.
    pub exit_on_refusal: bool,
    /// How long the token, and with it every lease, may outlive an agent that is lost with its node: renewals ask for no
    /// more. At least a minute.
    pub lease_guard: Option<Duration>,
}

/// The settings of flags and environment; each wins over the files.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Overrides {
    /// `VAULT_ADDR`.
    pub address: Option<String>,
    /// `VAULT_CACERT`.
    pub ca_cert: Option<String>,
    /// `VAULT_CACERT_BYTES`.
    pub ca_cert_bytes: Option<String>,
    /// `VAULT_CAPATH`.
    pub ca_path: Option<String>,
    /// `VAULT_CLIENT_CERT`.
    pub client_cert: Option<String>,
    /// `VAULT_CLIENT_KEY`.
    pub client_key: Option<String>,
    /// `VAULT_CLIENT_CERT_BYTES`, as PEM.
    pub client_cert_bytes: Option<String>,
    /// `VAULT_CLIENT_KEY_BYTES`, as PEM.
    pub client_key_bytes: Option<SecretText>,
    /// `VAULT_SRV_LOOKUP`, as text.
    pub srv_lookup: Option<String>,
    /// `VAULT_TLS_SERVER_NAME`.
    pub tls_server_name: Option<String>,
    /// `VAULT_SKIP_VERIFY`, as text.
    pub tls_skip_verify: Option<String>,
    /// `VAULT_NAMESPACE`.
    pub namespace: Option<String>,
    /// `VAULT_CLIENT_TIMEOUT`, as text.
    pub client_timeout: Option<String>,
    /// `VAULT_MAX_RETRIES`, as text.
    pub max_retries: Option<String>,
    /// `VAULT_RATE_LIMIT`, as text.
    pub rate_limit: Option<String>,
    /// `VAULT_DISABLE_REDIRECTS`, as text.
    pub disable_redirects: Option<String>,
    /// `VAULT_AGENT_DISABLE_IDLE_CONNECTIONS`, with commas.
    pub disable_idle_connections: Option<String>,
    /// `VAULT_AGENT_DISABLE_KEEP_ALIVES`, with commas.
    pub disable_keep_alives: Option<String>,
    /// `-exit-after-auth`.
    pub exit_after_auth: Option<bool>,
    /// `-header`, as `key=value`.
    pub headers: Vec<String>,
    /// `-strict`: unknown keys are problems.
    pub refuses_unknown_keys: bool,
    /// The settings of the log.
    pub log: LogOverrides,
}

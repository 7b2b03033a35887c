//! The configuration as it is written: the JSON form of a `vault agent` configuration file,
//! plus one block of our own, `planescape`, which `vault agent` ignores.
//!
//! Field names, and the order in which they are serialised, are those of the Vault Agent
//! Injector, so that either agent can be started with our document.

use std::collections::BTreeMap;

use serde::Serialize;

/// One configuration file.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Document {
    /// How to log in, and where to write the token.
    pub auto_auth: AutoAuth,
    /// Whether the agent ends once every template is rendered.
    pub exit_after_auth: bool,
    /// The file for the process id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pid_file: Option<String>,
    /// How to reach Vault.
    pub vault: Vault,
    /// The texts to render.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub template: Vec<Template>,
    /// The settings of all templates.
    pub template_config: TemplateConfig,
    /// The settings that only our agent knows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub planescape: Option<Planescape>,
}

/// `auto_auth`.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct AutoAuth {
    /// The one method.
    pub method: Method,
    /// Files that receive the token.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub sink: Vec<Sink>,
}

/// `auto_auth.method`.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Method {
    /// `kubernetes` and the like.
    #[serde(rename = "type")]
    pub kind: String,
    /// The path of the method's mount, for example `auth/kubernetes`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mount_path: Option<String>,
    /// First wait after a failed login, as a duration text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_backoff: Option<String>,
    /// Longest wait after a failed login, as a duration text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_backoff: Option<String>,
    /// Vault namespace of the login.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// The method's own settings; for `kubernetes`: `role` and `token_path`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub config: BTreeMap<String, String>,
    /// Whether the first failed login ends the agent.
    #[serde(skip_serializing_if = "is_false")]
    pub exit_on_err: bool,
}

/// `auto_auth.sink`: a file that receives the token.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Sink {
    /// Always `file`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Its path.
    pub config: SinkConfig,
}

/// `auto_auth.sink.config`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SinkConfig {
    /// The file.
    pub path: String,
    /// Its permission bits; a number, since `vault agent` takes no text.
    pub mode: u32,
}

/// `vault`.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Vault {
    /// For example `https://vault.vault.svc:8200`.
    pub address: String,
    /// A PEM file, inside the agent's container.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca_cert: Option<String>,
    /// A directory of PEM files, inside the agent's container.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca_path: Option<String>,
    /// Whether any server certificate is accepted.
    #[serde(skip_serializing_if = "is_false")]
    pub tls_skip_verify: bool,
    /// A PEM file, inside the agent's container.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_cert: Option<String>,
    /// A PEM file, inside the agent's container.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_key: Option<String>,
    /// The name that the server's certificate must carry.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls_server_name: Option<String>,
}

/// `template`.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Template {
    /// The file to write.
    pub destination: String,
    /// The text; either this or `source`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub contents: Option<String>,
    /// The start of an action; `{{` unless said otherwise.
    pub left_delimiter: String,
    /// The end of an action; `}}` unless said otherwise.
    pub right_delimiter: String,
    /// A shell command to run after the file changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub command: Option<String>,
    /// A file that holds the text, inside the agent's container.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// The file's mode in octal, for example `0400`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub perms: Option<String>,
    /// Whether a key that a secret lacks is an error.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error_on_missing_key: Option<bool>,
    /// The language of the text, if `vault agent` does not know it: `handlebars`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub engine: Option<String>,
    /// The form of the file, if it is not the rendered text: `base64-decoded`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output: Option<String>,
}

/// `template_config`.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct TemplateConfig {
    /// Whether the agent ends when a template's retries are used up.
    pub exit_on_retry_failure: bool,
    /// How often secrets without a lease are read again, as a duration text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub static_secret_render_interval: Option<String>,
    /// How many requests are in flight at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_connections_per_host: Option<i64>,
    /// The share of a non-renewable lease after which it is read again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lease_renewal_threshold: Option<f64>,
}

/// `planescape`: settings that `vault agent` does not have.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Planescape {
    /// Whether the agent revokes its token, and with it every lease, when it ends.
    pub revoke_on_exit: bool,
    /// The file with the tokens that the agent must revoke, for its next life to find.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ledger: Option<String>,
    /// Folders that other containers can write too.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub shared_folders: Vec<String>,
    /// The file for the agent's report; `/dev/termination-log` in a pod.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub termination_log: Option<String>,
    /// The unix socket on which `planescape-agent wait` learns that every file is rendered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ready_socket: Option<String>,
    /// How long the first rendering may take before the agent reports why it is late and ends,
    /// so that the kubelet shows the report and starts it again. A duration text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub give_up_after: Option<String>,
    /// Whether, before everything is rendered, a refusal by Vault ends the agent once it is
    /// believed, and an outage never does so before `give_up_after`.
    #[serde(skip_serializing_if = "is_false")]
    pub exit_on_refusal: bool,
    /// How long the token, and with it every lease, may outlive an agent that is lost with its node. A duration text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lease_guard: Option<String>,
}

fn is_false(value: &bool) -> bool {
    !*value
}

//! The annotations of a pod template, read once into an [`Injection`]. With one at hand there is no need to
//! look at an annotation again.
//!
//! Keys and meanings are those of the Vault Agent Injector. Unlike it, we refuse what we do not
//! know instead of ignoring it, and name every problem at once.

mod keys;
mod manifest;
mod reader;
mod secrets;
mod shorthand;
mod unread;
mod values;

use std::collections::BTreeMap;

use jiff::SignedDuration;
use planescape_agent_contract::document::TemplateConfig;
use serde_json::Value;

use crate::api::v1alpha1::VaultBlock;
use crate::defaults::{self, Defaults};
use crate::problem::Problem;
pub use keys::page;
pub use manifest::templates;
use reader::Reader;
pub use secrets::Secret;
pub use unread::unread;

/// The folder of the secrets, unless said otherwise.
pub const SECRETS_PATH: &str = "/vault/secrets";

/// Says `injected` on a pod that has an agent already.
pub const STATUS_ANNOTATION: &str = "vault.hashicorp.com/agent-inject-status";

/// The agent that a pod template asks for.
#[derive(Clone, Debug, PartialEq)]
pub struct Injection {
    /// How the agent runs.
    pub mode: Mode,
    /// How to log in.
    pub auth: Auth,
    /// How to reach Vault.
    pub server: Server,
    /// The files to render, ordered by name.
    pub secrets: Vec<Secret>,
    /// The mount of the secrets volume; those of secrets with a path of their own follow.
    pub mounts: Vec<String>,
    /// The regular containers that see the files; all when absent.
    pub containers: Option<Vec<String>>,
    /// The user and group of the agent.
    pub identity: Identity,
    /// The resources of the agent's container.
    pub resources: Resources,
    /// The agent's image.
    pub image: String,
    /// The projected volume whose token to log in with, and the token's path in it; a volume of
    /// our own when absent.
    pub token_volume: Option<TokenVolume>,
    /// The audience of the agent's own token; the API server when absent.
    pub audience: Option<String>,
    /// Whether the agent is the first of the init containers, or else the last.
    pub comes_first: bool,
    /// The looks of the agent's log, as environment variables.
    pub log: BTreeMap<&'static str, String>,
    /// Settings of all templates together.
    pub template_config: TemplateConfig,
    /// Whether the agent revokes its token when it ends.
    pub revokes_on_exit: bool,
    /// How long its token may outlive an agent that is lost with its node.
    pub lease_guard: Option<SignedDuration>,
}

/// How the agent runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Beside the job's containers, from before the first to after the last.
    Sidecar {
        /// Whether the job's containers wait until every file is rendered.
        gates: bool,
    },
    /// Before the job's containers: renders once and ends.
    Init {
        /// Whether the kubelet starts it again when it fails.
        restarts: bool,
    },
}

/// How to log in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Auth {
    /// The mount of the method.
    pub path: String,
    /// The Vault namespace.
    pub namespace: Option<String>,
    /// The method's settings, at least `role`.
    pub config: BTreeMap<String, String>,
    /// First wait after a failed login.
    pub min_backoff: Option<String>,
    /// Longest wait after a failed login.
    pub max_backoff: Option<String>,
    /// Whether the first failed login ends the agent.
    pub exits_on_error: bool,
}

/// How to reach Vault.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Server {
    /// The address.
    pub address: String,
    /// PEM certificates to trust it by.
    pub ca_bytes: Option<String>,
    /// A PEM file inside the agent's container.
    pub ca_cert: Option<String>,
    /// A directory of PEM files inside the agent's container.
    pub ca_path: Option<String>,
    /// A PEM file inside the agent's container.
    pub client_cert: Option<String>,
    /// A PEM file inside the agent's container.
    pub client_key: Option<String>,
    /// The name that the server's certificate must carry.
    pub tls_server_name: Option<String>,
    /// Whether any certificate is accepted.
    pub tls_skip_verify: bool,
    /// A Secret that is mounted at `/vault/tls`.
    pub tls_secret: Option<String>,
}

impl Server {
    /// Host and port, without what a URL may carry beside them.
    pub fn host(&self) -> &str {
        let address = &self.address;
        let rest = address
            .split_once("://")
            .map_or(&address[..], |(_, rest)| rest);
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        authority
            .rsplit_once('@')
            .map_or(authority, |(_, host)| host)
    }
}

/// The user and group of the agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The user.
    pub user: i64,
    /// The group.
    pub group: i64,
    /// Whether a security context is written at all.
    pub sets_security_context: bool,
}

/// The resources of the agent's container, by resource name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Resources {
    /// Upper bounds.
    pub limits: BTreeMap<&'static str, String>,
    /// Amounts that the scheduler reserves.
    pub requests: BTreeMap<&'static str, String>,
}

/// A projected service-account token that the pod brings along.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenVolume {
    /// The volume's name.
    pub name: String,
    /// The token's path inside it.
    pub path: String,
}

/// How much a Kubernetes quantity is; none where the text is no quantity.
pub fn amount(text: &str) -> Option<f64> {
    values::amount(text)
}

/// The address of a Vault, as it is written, without blanks around it.
///
/// # Errors
/// The text is no address; the error says how to write one.
pub fn vault_address(text: &str) -> Result<String, String> {
    values::address(text)
}

/// The field that holds an annotation, or would, by its name without prefix.
pub fn field(template: &Value, name: &str) -> String {
    Reader::new(template).field(name)
}

/// Reads a pod template, and the shorthand if there is one. `None`: nothing is to be injected.
pub fn read(
    template: &Value,
    shorthand: Option<&VaultBlock>,
    defaults: &Defaults,
) -> Result<Option<Injection>, Vec<Problem>> {
    let mut reader = Reader::new(template);
    // Secrets alone need no agent.
    let needs_agent = |it: &&VaultBlock| it.path.is_some() || it.secrets.is_empty();
    let shorthand = shorthand.filter(|shorthand| shorthand.enabled);
    if let Some(shorthand) = shorthand.filter(needs_agent) {
        shorthand::add_to(&mut reader, shorthand);
    }
    let is_wanted = reader.boolean("agent-inject", false);
    if !is_wanted || reader.text("agent-inject-status").as_deref() == Some("injected") {
        return reader.finish(None);
    }
    reader.refuse_unknown_keys();

    let (secrets, mounts) = secrets::read(&mut reader);
    let injection = Injection {
        mode: mode(&mut reader, template),
        auth: auth(&mut reader, defaults),
        server: server(&mut reader, defaults),
        secrets,
        mounts,
        containers: containers(&mut reader, template),
        identity: identity(&mut reader, template, defaults),
        resources: resources(&mut reader, defaults),
        image: reader
            .required_text("agent-image")
            .unwrap_or_else(|| defaults.agent_image.clone()),
        audience: audience(&mut reader, defaults),
        comes_first: reader.boolean("agent-init-first", true),
        log: log(&mut reader),
        token_volume: token_volume(&mut reader, template),
        template_config: template_config(&mut reader),
        revokes_on_exit: reader.boolean("agent-revoke-on-shutdown", true),
        lease_guard: reader
            .parse("lease-guard", defaults::lease_guard)
            .unwrap_or(defaults.lease_guard),
    };
    reader.finish(Some(injection))
}

fn mode(reader: &mut Reader, template: &Value) -> Mode {
    let gates = reader.boolean("agent-pre-populate", true);
    if !reader.boolean("agent-pre-populate-only", false) {
        return Mode::Sidecar { gates };
    }
    if !gates {
        reader.refuse(
            "agent-pre-populate-only",
            "nothing would render the files, because agent-pre-populate is false",
        );
    }
    // Without a policy a Job's pod gets Never.
    let policy = template.pointer("/spec/restartPolicy");
    Mode::Init {
        restarts: policy.is_some_and(|policy| policy == "OnFailure"),
    }
}

fn auth(reader: &mut Reader, defaults: &Defaults) -> Auth {
    let mut config: BTreeMap<String, String> = reader
        .suffixed("auth-config-")
        .into_iter()
        .map(|(name, value)| (name.replace('-', "_"), value))
        .collect();
    if let Some(role) = reader.text("role") {
        config.insert("role".to_owned(), role);
    }
    if config.get("role").is_none_or(String::is_empty) {
        reader.refuse("role", "is missing: the Vault role to log in as");
    }
    if let Some(method) = reader.text("auth-type")
        && method != "kubernetes"
    {
        let message = format!("`{method}` is not supported yet; only kubernetes is");
        reader.refuse("auth-type", message);
    }
    Auth {
        path: reader
            .required_text("auth-path")
            .map_or_else(|| defaults.auth_path.clone(), |path| below_auth(&path)),
        namespace: reader
            .text("namespace")
            .or_else(|| defaults.namespace.clone())
            .filter(|namespace| !namespace.is_empty()),
        config,
        min_backoff: reader.parse("auth-min-backoff", values::duration),
        max_backoff: reader.parse("auth-max-backoff", values::duration),
        exits_on_error: reader.boolean("agent-auto-auth-exit-on-err", false),
    }
}

/// The path of an auth method, with `auth/` before it, which people leave out, and without the slashes around it.
pub(crate) fn below_auth(path: &str) -> String {
    let path = path.trim_matches('/');
    if path.starts_with("auth/") {
        return path.to_owned();
    }
    format!("auth/{path}")
}

fn server(reader: &mut Reader, defaults: &Defaults) -> Server {
    if reader.text("service").is_none() && defaults.vault_address.is_none() {
        reader.refuse(
            "service",
            "is missing: the address of Vault, for which the operator has no default either",
        );
    }
    let ca_cert = reader.required_text("ca-cert");
    let ca_path = reader.required_text("ca-key");
    Server {
        address: reader
            .parse("service", values::address)
            .or_else(|| defaults.vault_address.clone())
            .unwrap_or_default(),
        ca_bytes: match (&ca_cert, &ca_path) {
            (None, None) => defaults.vault_ca_cert.clone(),
            (Some(_), _) | (_, Some(_)) => None,
        },
        ca_cert,
        ca_path,
        client_cert: reader.required_text("client-cert"),
        client_key: reader.required_text("client-key"),
        tls_server_name: reader.required_text("tls-server-name"),
        tls_skip_verify: reader.boolean("tls-skip-verify", false),
        tls_secret: reader.required_text("tls-secret"),
    }
}

fn containers(reader: &mut Reader, template: &Value) -> Option<Vec<String>> {
    let listed = reader.text("agent-inject-containers")?;
    let present: Vec<&str> = names_at(template, "/spec/containers");
    let listed: Vec<String> = listed.split(',').map(str::to_owned).collect();
    for name in &listed {
        if !present.contains(&name.as_str()) {
            let message = format!(
                "`{name}` is not a container of this pod, which has: {}",
                present.join(", ")
            );
            reader.refuse("agent-inject-containers", message);
        }
    }
    Some(listed)
}

fn names_at<'template>(template: &'template Value, list: &str) -> Vec<&'template str> {
    template
        .pointer(list)
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(|item| item["name"].as_str())
        .collect()
}

fn identity(reader: &mut Reader, template: &Value, defaults: &Defaults) -> Identity {
    let mut user = reader.parse("agent-run-as-user", values::id);
    if reader.boolean("agent-run-as-same-user", false) {
        user = template
            .pointer("/spec/containers/0/securityContext/runAsUser")
            .or_else(|| template.pointer("/spec/securityContext/runAsUser"))
            .and_then(Value::as_i64);
        match user {
            None => reader.refuse(
                "agent-run-as-same-user",
                "the first container has no securityContext.runAsUser",
            ),
            Some(0) => reader.refuse(
                "agent-run-as-same-user",
                "the first container runs as root, and the agent must not",
            ),
            Some(_) => {}
        }
    }
    Identity {
        user: user.unwrap_or(defaults.user),
        group: reader
            .parse("agent-run-as-group", values::id)
            .unwrap_or(defaults.group),
        sets_security_context: reader.boolean("agent-set-security-context", true),
    }
}

fn resources(reader: &mut Reader, defaults: &Defaults) -> Resources {
    let mut read = |kind: &str, defaults: &BTreeMap<&'static str, String>| {
        let mut quantities = defaults.clone();
        for (short, resource) in [
            ("cpu", "cpu"),
            ("mem", "memory"),
            ("ephemeral", "ephemeral-storage"),
        ] {
            let key = format!("agent-{kind}-{short}");
            if let Some(quantity) = reader.parse(&key, quantity_or_none) {
                quantities.insert(resource, quantity);
            }
        }
        quantities.retain(|_, quantity| !quantity.is_empty());
        quantities
    };
    Resources {
        limits: read("limits", &defaults.limits),
        requests: read("requests", &defaults.requests),
    }
}

/// An empty text takes the operator's setting away.
fn quantity_or_none(text: &str) -> Result<String, String> {
    if text.is_empty() {
        return Ok(String::new());
    }
    values::quantity(text)
}

/// A token with an audience is of no use elsewhere.
fn audience(reader: &mut Reader, defaults: &Defaults) -> Option<String> {
    let own = reader.required_text("auth-audience");
    let volume = "agent-service-account-token-volume-name";
    if own.is_some() && reader.text(volume).is_some_and(|name| !name.is_empty()) {
        let message = format!("the volume that {volume} names says it; write it there");
        reader.refuse("auth-audience", message);
    }
    own.or_else(|| defaults.audience.clone())
}

fn log(reader: &mut Reader) -> BTreeMap<&'static str, String> {
    let level = |text: &str| match text {
        "trace" | "debug" | "info" | "warn" | "error" => Ok(text.to_owned()),
        _ => Err(format!(
            "`{text}` is not a level: write trace, debug, info, warn or error"
        )),
    };
    let format = |text: &str| match text {
        "standard" | "json" => Ok(text.to_owned()),
        _ => Err(format!("`{text}` is not a format: write standard or json")),
    };
    let level = reader.parse("log-level", level);
    let format = reader.parse("log-format", format);
    let named = [("VAULT_LOG_LEVEL", level), ("VAULT_LOG_FORMAT", format)];
    let given = named.into_iter();
    given
        .filter_map(|(name, value)| Some((name, value?)))
        .collect()
}

fn token_volume(reader: &mut Reader, template: &Value) -> Option<TokenVolume> {
    let key = "agent-service-account-token-volume-name";
    let name = reader.text(key).filter(|name| !name.is_empty())?;
    let volumes = template.pointer("/spec/volumes").and_then(Value::as_array);
    let Some(volume) = volumes
        .into_iter()
        .flatten()
        .find(|volume| volume["name"] == name.as_str())
    else {
        reader.refuse(key, format!("`{name}` is not a volume of this pod"));
        return None;
    };
    let path = volume
        .pointer("/projected/sources")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .find_map(|source| source.pointer("/serviceAccountToken/path")?.as_str());
    if path.is_none() {
        reader.refuse(
            key,
            format!("volume `{name}` projects no serviceAccountToken"),
        );
    }
    Some(TokenVolume {
        name,
        path: path?.to_owned(),
    })
}

fn template_config(reader: &mut Reader) -> TemplateConfig {
    TemplateConfig {
        exit_on_retry_failure: reader.boolean("template-config-exit-on-retry-failure", true),
        static_secret_render_interval: reader
            .parse("template-static-secret-render-interval", values::duration),
        max_connections_per_host: reader
            .parse("template-max-connections-per-host", values::integer)
            .filter(|connections| *connections != 0),
        lease_renewal_threshold: reader
            .parse("template-lease-renewal-threshold", values::number)
            .filter(|threshold| *threshold != 0.0),
    }
}

#[cfg(test)]
mod border_tests;
#[cfg(test)]
mod guards;
#[cfg(test)]
mod tests;

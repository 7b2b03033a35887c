//! How Vault is reached: the options that every command of `vault` has.

use planescape_agent_contract::Overrides;
use planescape_vault::SecretText;

#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Vault")]
pub(super) struct VaultArguments {
    /// For example `https://vault.example:8200`.
    #[arg(long, value_name = "URL", env = "VAULT_ADDR", global = true)]
    address: Option<String>,

    /// A PEM file of certificate authorities.
    #[arg(long, value_name = "FILE", env = "VAULT_CACERT", global = true)]
    ca_cert: Option<String>,

    /// The same as PEM text.
    #[arg(long, value_name = "PEM", env = "VAULT_CACERT_BYTES", global = true)]
    ca_cert_bytes: Option<String>,

    /// A folder of such files.
    #[arg(long, value_name = "DIR", env = "VAULT_CAPATH", global = true)]
    ca_path: Option<String>,

    /// The agent's own certificate, a PEM file.
    #[arg(long, value_name = "FILE", env = "VAULT_CLIENT_CERT", global = true)]
    client_cert: Option<String>,

    /// Its key, a PEM file.
    #[arg(long, value_name = "FILE", env = "VAULT_CLIENT_KEY", global = true)]
    client_key: Option<String>,

    /// The name that the server's certificate must carry.
    #[arg(
        long,
        value_name = "NAME",
        env = "VAULT_TLS_SERVER_NAME",
        global = true
    )]
    tls_server_name: Option<String>,

    /// Accept any server certificate.
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true", env = "VAULT_SKIP_VERIFY", global = true)]
    tls_skip_verify: Option<String>,

    /// The Vault namespace; `-ns` for short.
    #[arg(long, value_name = "NAME", env = "VAULT_NAMESPACE", global = true)]
    namespace: Option<String>,

    /// A header for every request; may be repeated.
    #[arg(long, value_name = "KEY=VALUE", global = true)]
    header: Vec<String>,

    /// How long one request may take.
    #[arg(
        long,
        value_name = "DURATION",
        env = "VAULT_CLIENT_TIMEOUT",
        global = true
    )]
    client_timeout: Option<String>,

    /// How often a proxied request is repeated.
    #[arg(long, value_name = "COUNT", env = "VAULT_MAX_RETRIES", global = true)]
    max_retries: Option<String>,

    /// How many requests a second Vault gets at most, and how many at once: `50`, or `50:100`.
    #[arg(
        long,
        value_name = "RATE[:BURST]",
        env = "VAULT_RATE_LIMIT",
        global = true
    )]
    rate_limit: Option<String>,

    /// Follow no redirect, not even that of a standby.
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true", env = "VAULT_DISABLE_REDIRECTS", global = true)]
    disable_redirects: Option<String>,

    #[command(flatten)]
    ignored: Ignored,
}

/// Options that `vault agent` takes and that change nothing in an agent.
#[derive(Clone, Debug, clap::Args)]
struct Ignored {
    #[arg(long, hide = true, global = true)]
    agent_address: Option<String>,
    #[arg(long, hide = true, num_args = 0..=1, require_equals = true, default_missing_value = "true", global = true)]
    policy_override: Option<String>,
    #[arg(long, hide = true, global = true)]
    wrap_ttl: Option<String>,
    #[arg(long, hide = true, global = true)]
    mfa: Vec<String>,
    #[arg(long, hide = true, global = true)]
    unlock_key: Option<String>,
    #[arg(long, hide = true, num_args = 0..=1, require_equals = true, default_missing_value = "true", global = true)]
    output_curl_string: Option<String>,
    #[arg(long, hide = true, num_args = 0..=1, require_equals = true, default_missing_value = "true", global = true)]
    output_policy: Option<String>,
    #[arg(long, hide = true, num_args = 0..=1, require_equals = true, default_missing_value = "true", global = true)]
    non_interactive: Option<String>,
}

impl VaultArguments {
    /// An empty text counts as unset.
    pub(super) fn overrides(&self) -> Overrides {
        let said = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
        Overrides {
            address: said(&self.address),
            ca_cert: said(&self.ca_cert),
            ca_cert_bytes: said(&self.ca_cert_bytes),
            ca_path: said(&self.ca_path),
            client_cert: said(&self.client_cert),
            client_key: said(&self.client_key),
            client_cert_bytes: variable("CLIENT_CERT_BYTES"),
            client_key_bytes: variable("CLIENT_KEY_BYTES").map(SecretText::new),
            srv_lookup: variable("SRV_LOOKUP"),
            disable_idle_connections: variable("AGENT_DISABLE_IDLE_CONNECTIONS"),
            disable_keep_alives: variable("AGENT_DISABLE_KEEP_ALIVES"),
            tls_server_name: said(&self.tls_server_name),
            tls_skip_verify: said(&self.tls_skip_verify),
            namespace: said(&self.namespace),
            headers: self.header.clone(),
            client_timeout: said(&self.client_timeout),
            max_retries: said(&self.max_retries),
            rate_limit: said(&self.rate_limit),
            disable_redirects: said(&self.disable_redirects),
            ..Overrides::default()
        }
    }
}

/// The value of `BAO_…`, else of `VAULT_…`. An empty variable counts as unset.
pub(crate) fn variable(name: &str) -> Option<String> {
    let read = |prefix: &str| std::env::var(format!("{prefix}_{name}"));
    let said = |text: &String| !text.is_empty();
    let of_bao = read("BAO").ok().filter(said);
    of_bao.or_else(|| read("VAULT").ok().filter(said))
}

//! The command line and the environment.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum};
use planescape_agent_contract::Overrides;

/// The task that the command line asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Task {
    /// Be the agent.
    Run,
    /// Wait for the agent.
    Wait,
}

/// Logs in to Vault, renders templates into files, renews what they contain, revokes it at the
/// end. Reads `vault agent` configuration files.
#[derive(Clone, Debug, Parser)]
#[command(name = "planescape-agent", version, max_term_width = 100)]
pub struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,

    /// A configuration file in HCL or JSON, or a folder of them; may be repeated. Without it the
    /// environment variable `VAULT_CONFIG` holds the configuration in base64.
    #[arg(long, value_name = "PATH", global = true)]
    pub(crate) config: Vec<PathBuf>,

    /// End once every template is rendered; `=false` switches the file's `true` off.
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true", global = true)]
    exit_after_auth: Option<bool>,

    /// How much to log.
    #[arg(
        long,
        value_enum,
        ignore_case = true,
        env = "VAULT_LOG_LEVEL",
        default_value = "info",
        global = true
    )]
    log_level: LogLevel,

    /// How to log.
    #[arg(
        long,
        value_enum,
        ignore_case = true,
        env = "VAULT_LOG_FORMAT",
        default_value = "standard",
        global = true
    )]
    log_format: LogFormat,

    #[command(flatten)]
    vault: VaultArguments,
}

#[derive(Clone, Copy, Debug, Subcommand)]
enum Command {
    /// Be the agent; the same as no command at all.
    Agent,
    /// Wait until the agent in this container has rendered every file, then end.
    Wait,
}

#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Vault")]
struct VaultArguments {
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

    /// The Vault namespace.
    #[arg(long, value_name = "NAME", env = "VAULT_NAMESPACE", global = true)]
    namespace: Option<String>,

    /// How long one request may take.
    #[arg(
        long,
        value_name = "DURATION",
        env = "VAULT_CLIENT_TIMEOUT",
        global = true
    )]
    client_timeout: Option<String>,

    /// Follow no redirect, not even that of a standby.
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true", env = "VAULT_DISABLE_REDIRECTS", global = true)]
    disable_redirects: Option<String>,
}

/// How much to log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogLevel {
    /// Everything.
    Trace,
    /// For developers.
    Debug,
    /// For operators.
    #[value(alias = "notice")]
    Info,
    /// A person should look at it today.
    #[value(alias = "warning")]
    Warn,
    /// Why the agent stops.
    #[value(alias = "err")]
    Error,
}

/// How to log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// Lines for people.
    Standard,
    /// Lines for machines.
    Json,
}

/// A command line that means nothing, or asks for help.
#[derive(Debug)]
pub struct Usage(clap::Error);

impl Usage {
    /// Prints what clap has to say and gives the code to end with.
    #[must_use]
    pub fn print(&self) -> ExitCode {
        // Nobody is left to tell when even this fails.
        let _ = self.0.print();
        match self.0.exit_code() {
            0 => ExitCode::SUCCESS,
            _ => ExitCode::from(64),
        }
    }
}

impl Arguments {
    /// Reads the command line. Long options may have one dash, as Go programs allow.
    ///
    /// # Errors
    /// The command line has no meaning, or asks for help or the version.
    pub fn parse(words: impl IntoIterator<Item = OsString>) -> Result<Self, Usage> {
        let command = Self::command().mut_args(without_an_empty_variable);
        let words = words.into_iter().map(with_two_dashes);
        let matches = command.try_get_matches_from(words).map_err(Usage)?;
        Self::from_arg_matches(&matches).map_err(Usage)
    }

    /// The task.
    #[must_use]
    pub fn task(&self) -> Task {
        match self.command {
            None | Some(Command::Agent) => Task::Run,
            Some(Command::Wait) => Task::Wait,
        }
    }

    pub(crate) fn log_level(&self) -> LogLevel {
        self.log_level
    }

    pub(crate) fn log_format(&self) -> LogFormat {
        self.log_format
    }

    /// The settings that win over the configuration files. An empty text says nothing.
    pub(crate) fn overrides(&self) -> Overrides {
        let said = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
        let vault = &self.vault;
        Overrides {
            address: said(&vault.address),
            ca_cert: said(&vault.ca_cert),
            ca_cert_bytes: said(&vault.ca_cert_bytes),
            ca_path: said(&vault.ca_path),
            client_cert: said(&vault.client_cert),
            client_key: said(&vault.client_key),
            tls_server_name: said(&vault.tls_server_name),
            tls_skip_verify: said(&vault.tls_skip_verify),
            namespace: said(&vault.namespace),
            client_timeout: said(&vault.client_timeout),
            disable_redirects: said(&vault.disable_redirects),
            exit_after_auth: self.exit_after_auth,
        }
    }
}

/// A variable that is set to nothing says nothing.
fn without_an_empty_variable(argument: clap::Arg) -> clap::Arg {
    match argument.get_env().map(std::env::var_os) {
        Some(Some(value)) if value.is_empty() => argument.env(None),
        _ => argument,
    }
}

/// `-config=x` means `--config=x`; `-h` and `-V` stay.
fn with_two_dashes(word: OsString) -> OsString {
    match word.to_str() {
        Some(text) if text.len() > 2 && text.starts_with('-') && !text.starts_with("--") => {
            format!("-{text}").into()
        }
        _ => word,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_dash_is_as_good_as_two() {
        let arguments = parse(&[
            "agent",
            "-config=/a.hcl",
            "-config",
            "/b.hcl",
            "-exit-after-auth",
        ]);

        assert_eq!(
            arguments.config,
            [PathBuf::from("/a.hcl"), PathBuf::from("/b.hcl")]
        );
        assert_eq!(arguments.overrides().exit_after_auth, Some(true));
        assert_eq!(arguments.task(), Task::Run);
    }

    #[test]
    fn an_exit_after_auth_of_false_is_heard() {
        let arguments = parse(&["-exit-after-auth=false"]);

        assert_eq!(arguments.overrides().exit_after_auth, Some(false));
    }

    #[test]
    fn an_unknown_option_is_refused() {
        let words = ["planescape-agent", "-colour=red"].map(OsString::from);

        assert!(Arguments::parse(words).is_err());
    }

    #[test]
    fn an_argument_keeps_its_variable_unless_that_is_empty() {
        let argument = |name: &'static str| clap::Arg::new("x").env(name);

        assert!(
            without_an_empty_variable(argument("PATH"))
                .get_env()
                .is_some()
        );
        assert!(
            without_an_empty_variable(argument("NO_SUCH_VARIABLE"))
                .get_env()
                .is_some()
        );
    }

    fn parse(words: &[&str]) -> Arguments {
        let words = std::iter::once("planescape-agent").chain(words.iter().copied());
        Arguments::parse(words.map(OsString::from)).unwrap()
    }
}

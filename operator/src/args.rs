//! The command line and its environment variables, as typed.

use std::net::SocketAddr;

use anyhow::Context as _;
use clap::{Args, Parser, Subcommand, ValueEnum};
use planescape_operator_core::defaults::Defaults;
use tracing::Level;

use crate::template::Template;

/// Jobs for Kubernetes that get their own Vault credentials.
#[derive(Debug, Parser)]
#[command(name = "planescape", version)]
pub struct Arguments {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Own the PlanescapeJobs of a cluster.
    Operator(Operator),
    /// Print the custom resource definition.
    Crd,
    /// Try templates without a cluster and without a Vault.
    #[command(subcommand)]
    Template(Template),
}

/// The operator's settings. Each can be given by an environment variable as well.
#[derive(Debug, Args)]
pub struct Operator {
    /// Where Vault is, unless a PlanescapeJob says otherwise.
    #[arg(long, env = "PLANESCAPE_VAULT_ADDRESS", value_name = "URL")]
    pub vault_address: Option<String>,

    /// A PEM file to trust Vault by.
    #[arg(long, env = "PLANESCAPE_VAULT_CA_CERT", value_name = "FILE")]
    pub vault_ca_cert: Option<String>,

    /// Where Vault's kubernetes auth method is mounted; auth/kubernetes when absent.
    #[arg(long, env = "PLANESCAPE_VAULT_AUTH_PATH", value_name = "PATH")]
    pub vault_auth_path: Option<String>,

    /// The Vault namespace to log in to.
    #[arg(long, env = "PLANESCAPE_VAULT_NAMESPACE", value_name = "NAME")]
    pub vault_namespace: Option<String>,

    /// The agent's image; the one of this version when absent.
    #[arg(long, env = "PLANESCAPE_AGENT_IMAGE", value_name = "IMAGE")]
    pub agent_image: Option<String>,

    /// The one namespace to watch; all when absent.
    #[arg(long, env = "PLANESCAPE_NAMESPACE", value_name = "NAME")]
    pub namespace: Option<String>,

    /// Where to answer /healthz and /readyz.
    #[arg(
        long,
        env = "PLANESCAPE_LISTEN",
        value_name = "ADDRESS",
        default_value = "0.0.0.0:8080"
    )]
    pub listen: SocketAddr,

    /// How log lines look.
    #[arg(
        long,
        env = "PLANESCAPE_LOG_FORMAT",
        value_name = "FORMAT",
        default_value = "text"
    )]
    pub log_format: LogFormat,

    /// Which log lines to write: error, warn, info, debug or trace.
    #[arg(
        long,
        env = "PLANESCAPE_LOG_LEVEL",
        value_name = "LEVEL",
        default_value = "info"
    )]
    pub log_level: Level,
}

/// How log lines look.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// For machines: one JSON object per line.
    Json,
}

impl Operator {
    /// What PlanescapeJobs get that do not say otherwise. Empty settings count as absent, so that
    /// a manifest can leave a variable blank.
    pub fn defaults(&self) -> anyhow::Result<Defaults> {
        let given = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
        let usual = Defaults::default();
        let vault_ca_cert = given(&self.vault_ca_cert)
            .map(|path| {
                std::fs::read_to_string(&path)
                    .with_context(|| format!("cannot read Vault's CA from {path}"))
            })
            .transpose()?;
        Ok(Defaults {
            agent_image: given(&self.agent_image).unwrap_or(usual.agent_image),
            vault_address: given(&self.vault_address),
            vault_ca_cert,
            auth_path: given(&self.vault_auth_path).unwrap_or(usual.auth_path),
            namespace: given(&self.vault_namespace),
            ..Defaults::default()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_a_blank_setting_for_none() {
        let defaults = defaults(&[
            "--vault-address=",
            "--vault-auth-path=",
            "--vault-namespace=",
            "--vault-ca-cert=",
            "--agent-image=",
        ]);

        assert_eq!(defaults.unwrap(), Defaults::default());
    }

    #[test]
    fn hands_every_setting_on() {
        let defaults = defaults(&[
            "--vault-address=https://vault:8200",
            "--vault-auth-path=auth/other",
            "--vault-namespace=team",
            "--agent-image=agent:1",
        ])
        .unwrap();

        assert_eq!(
            defaults.vault_address.as_deref(),
            Some("https://vault:8200")
        );
        assert_eq!(defaults.auth_path, "auth/other");
        assert_eq!(defaults.namespace.as_deref(), Some("team"));
        assert_eq!(defaults.agent_image, "agent:1");
    }

    #[test]
    fn says_which_file_it_cannot_read() {
        let error = defaults(&["--vault-ca-cert=/nowhere/ca.crt"]).unwrap_err();

        assert_eq!(
            error.to_string(),
            "cannot read Vault's CA from /nowhere/ca.crt"
        );
    }

    fn defaults(arguments: &[&str]) -> anyhow::Result<Defaults> {
        let arguments = [&["planescape", "operator"], arguments].concat();
        match Arguments::try_parse_from(arguments)?.command {
            Command::Operator(settings) => settings.defaults(),
            Command::Crd | Command::Template(_) => unreachable!("the arguments say operator"),
        }
    }
}

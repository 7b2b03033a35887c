//! The command line and its environment variables, as typed.

pub mod credentials;
pub mod election;
pub mod jobs;
pub mod limits;
pub mod serving;
mod vault;

use clap::{Args, Parser, Subcommand, ValueEnum};
use planescape_operator_core::manifest::is_label;

use crate::commands::convert::Convert;
use crate::commands::cron::Cron;
use crate::commands::explain::Explain;
use crate::commands::leases::Leases;
use crate::commands::receipt;
use crate::commands::run::Run;
use crate::commands::template::Template;

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
    Operator(Box<Operator>),
    /// Give runs their Secrets from Vault, and revoke them.
    Credentials(Box<credentials::Credentials>),
    /// Print the custom resource definition.
    Crd,
    /// Print the page of all annotations.
    Annotations,
    /// Print the page of all keys of the agent's configuration.
    AgentConfiguration,
    /// Run a PlanescapeJob now, whatever its schedule says, and print the name of its Job.
    Run(Run),
    /// Print who logged in to Vault for a run, what was read and when that was revoked, as one line of JSON.
    Receipt(receipt::Print),
    /// Print which leases of Vault may live, with their runs, pods and database users.
    Leases(Leases),
    /// Turn manifests of others into PlanescapeJobs.
    #[command(subcommand)]
    Convert(Convert),
    /// Print what PlanescapeJobs come to: Job, agent, requests to Vault and the policy for them, next runs, warnings.
    Explain(Box<Explain>),
    /// Print when a schedule fires.
    #[command(subcommand)]
    Cron(Cron),
    /// Try templates without a cluster and without a Vault.
    #[command(subcommand)]
    Template(Template),
}

/// The operator's settings. Each can be given by an environment variable as well.
#[derive(Debug, Args)]
pub struct Operator {
    /// What PlanescapeJobs get that do not say otherwise.
    #[command(flatten)]
    pub jobs: jobs::Jobs,

    /// The one namespace to watch; all when absent.
    #[arg(
        long,
        env = "PLANESCAPE_NAMESPACE",
        value_name = "NAME",
        value_parser = namespace_name
    )]
    pub namespace: Option<String>,

    /// How several operators agree on who leads.
    #[command(flatten)]
    pub election: election::Election,

    /// How much the operator does at once.
    #[command(flatten)]
    pub limits: limits::Limits,

    /// The address at which it answers, and what it logs.
    #[command(flatten)]
    pub serving: serving::Serving,
}

/// How log lines look.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// For machines: one JSON object per line.
    Json,
}

/// A namespace that can exist, or nothing. In one that cannot, the API server finds nothing, and says no more than that.
fn namespace_name(text: &str) -> Result<String, String> {
    if text.is_empty() || (text.len() <= 63 && is_label(text)) {
        return Ok(text.to_owned());
    }
    Err("is not the name of a namespace; write one, such as team, or nothing".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_namespace_is_taken_that_cannot_exist() {
        for right in ["", "team", "team-1", "a".repeat(63).as_str()] {
            assert_eq!(namespace_name(right).as_deref(), Ok(right));
        }
        for wrong in [
            "a,b",
            "a b",
            "team ",
            "Team",
            "*",
            "../x",
            "a".repeat(64).as_str(),
        ] {
            assert!(namespace_name(wrong).is_err(), "{wrong}");
        }
        for program in [
            "operator --namespace=a,b",
            "operator --leader-elect-namespace=a,b",
            "credentials --namespace=a,b",
            "credentials --own-namespace=a,b",
        ] {
            let arguments = ["planescape"].into_iter().chain(program.split(' '));
            let error = Arguments::try_parse_from(arguments)
                .unwrap_err()
                .to_string();
            assert!(error.contains("not the name of a namespace"), "{error}");
        }
    }
}

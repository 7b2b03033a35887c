//! The command line and its environment variables, as typed.

pub mod credentials;
pub mod election;
pub mod jobs;
pub mod limits;
pub mod serving;
mod vault;

use clap::{Args, Parser, Subcommand, ValueEnum};

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
    #[arg(long, env = "PLANESCAPE_NAMESPACE", value_name = "NAME")]
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

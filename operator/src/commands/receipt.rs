//! `planescape receipt`: the logins to Vault for a run, and the reads.

use std::io::Write as _;
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use clap::Args;
use kube::Client;
use planescape_operator_core::receipt::Receipt;

use super::runs::{Runs, Scope};
use crate::cluster::client;

/// Which run.
#[derive(Debug, Args)]
pub struct Print {
    /// The run: the name of its Job.
    #[arg(value_name = "RUN")]
    run: String,

    /// Its namespace; the kubeconfig's when absent.
    #[arg(short, long, value_name = "NAME")]
    namespace: Option<String>,
}

impl Print {
    /// Prints one line of JSON.
    ///
    /// # Errors
    /// A run that no status tells of, and an API server that does not answer.
    pub async fn run(self) -> anyhow::Result<ExitCode> {
        let receipt = self.find(client::connect().await?).await?;
        let text = serde_json::to_string(&receipt).context("a receipt is plain data")?;
        writeln!(std::io::stdout().lock(), "{text}")?;
        Ok(ExitCode::SUCCESS)
    }

    async fn find(self, client: Client) -> anyhow::Result<Receipt> {
        let namespace = client::namespace(&client, self.namespace);
        let runs = Runs::list(client, &Scope::Namespace(namespace.clone())).await?;
        let found = runs.receipts().find(|receipt| receipt.job == self.run);
        let Some(receipt) = found else {
            let run = &self.run;
            bail!(
                "no PlanescapeJob in namespace {namespace} tells of a run {run}; a run is called as its Job: kubectl get jobs -n {namespace} -l planescape.io/job"
            );
        };
        Ok(receipt)
    }
}

//! `planescape convert`: manifests of others, as PlanescapeJobs.

use std::io::Write as _;
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use clap::{Args, Subcommand};
use jiff::Timestamp;
use planescape_operator_core::api::as_stored;
use planescape_operator_core::convert::{self, Converted};
use planescape_operator_core::defaults::Defaults;
use planescape_operator_core::job::validate::validate;
use serde_json::Value;

use super::manifests::{self, NOWHERE, listed};

/// What to convert.
#[derive(Debug, Subcommand)]
pub enum Convert {
    /// Print CronJobs as PlanescapeJobs in YAML, and on standard error what differs.
    Cronjob(Cronjob),
}

/// The CronJobs to convert.
#[derive(Debug, Args)]
pub struct Cronjob {
    /// A manifest in YAML or JSON, also of several objects; - for standard input. Objects of other
    /// kinds are left out.
    #[arg(value_name = "FILE")]
    file: String,
}

impl Convert {
    /// Does it.
    ///
    /// # Errors
    /// A file that cannot be read, that holds no CronJob, or one that cannot be a PlanescapeJob.
    pub fn run(&self) -> anyhow::Result<ExitCode> {
        let Self::Cronjob(Cronjob { file }) = self;
        let mut output = String::new();
        let mut errors = std::io::stderr().lock();
        for cron_job in cron_jobs(file)? {
            let name = cron_job["metadata"]["name"].as_str().unwrap_or_default();
            let converted = match convert::cron_job(&cron_job) {
                Ok(converted) => converted,
                Err(problems) => bail!("CronJob {name}:\n{}", listed(&problems)),
            };
            check(&converted)
                .with_context(|| format!("CronJob {name} is not a PlanescapeJob as it stands"))?;
            output += "---\n";
            output += &serde_saphyr::to_string(&converted.job)?;
            for note in &converted.notes {
                writeln!(errors, "{name}: {note}")?;
            }
        }
        std::io::stdout().lock().write_all(output.as_bytes())?;
        Ok(ExitCode::SUCCESS)
    }
}

fn cron_jobs(file: &str) -> anyhow::Result<Vec<Value>> {
    let cron_jobs = manifests::of_kind(file, "CronJob")?;
    if cron_jobs.is_empty() {
        bail!("{file} holds no CronJob; write it with: kubectl get cronjob NAME -o yaml");
    }
    Ok(cron_jobs)
}

/// Whether the operator would take it. What its settings add is not known here.
fn check(converted: &Converted) -> anyhow::Result<()> {
    let job = as_stored(&converted.job).context("a field has a value of another kind")?;
    let name = job.metadata.name.clone().unwrap_or_default();
    if name.len() > 52 {
        bail!(
            "metadata.name: `{name}` is longer than 52 characters, which Jobs and pods are named after; choose a shorter one"
        );
    }
    let defaults = Defaults {
        vault_address: Some(NOWHERE.to_owned()),
        ..Defaults::default()
    };
    match validate(&job, &defaults, Timestamp::now()) {
        Ok(_) => Ok(()),
        Err(problems) => bail!("{}", listed(&problems)),
    }
}

//! `planescape convert`: manifests of others, as PlanescapeJobs.

use std::fmt::Write as _;
use std::io::Write as _;
use std::process::ExitCode;

use anyhow::bail;
use clap::{Args, Subcommand};
use jiff::Timestamp;
use planescape_operator_core::convert::{self, Converted};
use planescape_operator_core::defaults::Defaults;
use planescape_operator_core::manifest::Manifest;
use planescape_operator_core::problem::Problem;
use serde_json::Value;

use super::manifests::{self, NOWHERE, Object};

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
        let mut told = String::new();
        let mut wrong = Vec::new();
        for object in cron_jobs(file)? {
            let name = object.name();
            match object.unless_wrong(converted(&object.value)) {
                Ok(Converted { job, notes }) => {
                    output += "---\n";
                    output += &serde_saphyr::to_string(&job)?;
                    for note in notes {
                        writeln!(told, "{name}: {note}")?;
                    }
                }
                Err(problems) => wrong.push(format!("CronJob {name}:\n{problems}")),
            }
        }
        if !wrong.is_empty() {
            bail!("{}", wrong.join("\n"));
        }
        std::io::stderr().lock().write_all(told.as_bytes())?;
        std::io::stdout().lock().write_all(output.as_bytes())?;
        Ok(ExitCode::SUCCESS)
    }
}

fn cron_jobs(file: &str) -> anyhow::Result<Vec<Object>> {
    let cron_jobs = manifests::of_kind(file, "CronJob")?;
    if cron_jobs.is_empty() {
        let file = manifests::shown(file);
        bail!("{file} holds no CronJob; write it with: kubectl get cronjob NAME -o yaml");
    }
    Ok(cron_jobs)
}

/// Converts one as the API server and the operator would take it. The operator's settings are not known here.
fn converted(cron_job: &Value) -> Result<Converted, Vec<Problem>> {
    let Converted { job, mut notes } = convert::cron_job(cron_job)?;
    let defaults = Defaults {
        vault_address: Some(NOWHERE.to_owned()),
        ..Defaults::default()
    };
    let manifest = Manifest::read(&job, &defaults, Timestamp::now())?;
    notes.extend(manifest.warnings);
    Ok(Converted { job, notes })
}

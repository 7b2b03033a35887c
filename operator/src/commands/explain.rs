//! `planescape explain`: what a PlanescapeJob comes to, without a cluster.

use std::fmt::Write as _;
use std::io::Write as _;
use std::process::ExitCode;

use anyhow::bail;
use clap::Args;
use jiff::Timestamp;
use planescape_operator_core::defaults::Defaults;
use planescape_operator_core::explain::{Explanation, explain, warnings};

use super::manifests::{self, NOWHERE};
use crate::args::jobs::Jobs;

const EXAMPLES: &str = r#"Examples:
  planescape explain job.yaml --vault-address https://vault.example:8200
  kubectl get planescapejobs nightly -o yaml | planescape explain - --json

The settings are those of the operator, with the same flags and variables: give what it is given."#;

/// Which PlanescapeJobs, and what the operator would add.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Explain {
    /// A manifest in YAML or JSON, also of several objects; - for standard input. Objects of other
    /// kinds are left out.
    #[arg(value_name = "FILE")]
    file: String,

    /// Print a JSON list.
    #[arg(long)]
    json: bool,

    /// The operator's settings.
    #[command(flatten)]
    operator: Jobs,
}

impl Explain {
    /// Does it.
    ///
    /// # Errors
    /// A file that cannot be read, that holds no PlanescapeJob, or one that cannot run.
    pub fn run(&self) -> anyhow::Result<ExitCode> {
        let objects = manifests::of_kind(&self.file, "PlanescapeJob")?;
        if objects.is_empty() {
            bail!(
                "{} holds no PlanescapeJob; for a CronJob there is: planescape convert cronjob",
                manifests::shown(&self.file)
            );
        }
        let defaults = self.defaults()?;
        let now = Timestamp::now();
        let mut explained = Vec::new();
        let mut wrong = Vec::new();
        for object in &objects {
            let name = object.name();
            match object.unless_wrong(explain(&object.value, &defaults, now)) {
                Ok(explanation) => explained.push(with_settings(explanation)),
                Err(problems) => {
                    let warnings = warnings(&object.value).into_iter();
                    let warnings = warnings.map(|warning| format!("\nwarning: {warning}"));
                    let warnings: String = warnings.collect();
                    wrong.push(format!("PlanescapeJob {name}:\n{problems}{warnings}"));
                }
            }
        }
        if !wrong.is_empty() {
            bail!("{}", wrong.join("\n"));
        }
        let text = if self.json {
            format!("{}\n", serde_json::to_string_pretty(&explained)?)
        } else {
            text(&explained)?
        };
        std::io::stdout().lock().write_all(text.as_bytes())?;
        Ok(ExitCode::SUCCESS)
    }

    fn defaults(&self) -> anyhow::Result<Defaults> {
        let mut defaults = self.operator.defaults()?;
        defaults
            .vault_address
            .get_or_insert_with(|| NOWHERE.to_owned());
        Ok(defaults)
    }
}

fn with_settings(mut explanation: Explanation) -> Explanation {
    if explanation.vault.iter().any(|it| it.address == NOWHERE) {
        let warning = "the PlanescapeJob does not say where Vault is: give --vault-address, as the operator has it";
        explanation.warnings.push(warning.to_owned());
    }
    explanation
}

/// YAML documents, with the rest as comments before them.
fn text(explained: &[Explanation]) -> anyhow::Result<String> {
    let mut out = String::new();
    for explanation in explained {
        let Explanation {
            namespace, name, ..
        } = explanation;
        writeln!(out, "---\n# PlanescapeJob {namespace}/{name}\n#")?;
        for line in explanation.to_string().lines() {
            writeln!(out, "{}", format!("# {line}").trim_end())?;
        }
        writeln!(out, "#\n# The Job of the next run:")?;
        out += &serde_saphyr::to_string(&explanation.job)?;
        if let Some(configuration) = &explanation.agent_configuration {
            writeln!(out, "---\n# The agent's configuration, its VAULT_CONFIG:")?;
            out += &serde_saphyr::to_string(configuration)?;
        }
    }
    Ok(out)
}

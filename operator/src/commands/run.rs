//! `planescape run`: asks the operator for a run by hand.

use std::io::Write as _;
use std::process::ExitCode;

use anyhow::{Context as _, anyhow, bail};
use clap::Args;
use jiff::Timestamp;
use kube::api::{Patch, PatchParams};
use kube::{Api, Client};
use planescape_operator_core::api::PlanescapeJob;
use planescape_operator_core::api::names::RERUN_ANNOTATION;
use planescape_operator_core::run::{Request, rerun_id};
use serde_json::json;

use crate::cluster::client;

/// Which PlanescapeJob, and what is other than usual.
#[derive(Debug, Args)]
pub struct Run {
    /// The PlanescapeJob.
    #[arg(value_name = "NAME")]
    name: String,

    /// Its namespace; the kubeconfig's when absent.
    #[arg(short, long, value_name = "NAME")]
    namespace: Option<String>,

    /// Arguments of the first container, instead of the template's. One that begins with a dash is
    /// written as --args=-v.
    #[arg(long, value_name = "ARG", num_args = 1..)]
    args: Vec<String>,

    /// A variable of the first container. No secrets: it stands in the PlanescapeJob's annotations.
    #[arg(long = "env", value_name = "NAME=VALUE", value_parser = super::template::variable)]
    variables: Vec<(String, String)>,
}

impl Run {
    /// Asks, and says what the Job will be called.
    ///
    /// # Errors
    /// A PlanescapeJob that is not there or cannot run, and an API server that does not answer.
    pub async fn run(self) -> anyhow::Result<ExitCode> {
        let client = client::connect().await?;
        let job = self.ask(client, Timestamp::now()).await?;
        let mut output = std::io::stdout().lock();
        writeln!(output, "{job}")?;
        Ok(ExitCode::SUCCESS)
    }

    async fn ask(self, client: Client, now: Timestamp) -> anyhow::Result<String> {
        let namespace = self.namespace.as_deref();
        let namespace = namespace.unwrap_or(client.default_namespace()).to_owned();
        let name = &self.name;
        let api: Api<PlanescapeJob> = Api::namespaced(client, &namespace);
        let found = api.get_opt(name).await;
        let found = found.with_context(|| format!("cannot read PlanescapeJob {name}"))?;
        let job = found.ok_or_else(|| {
            anyhow!(
                "there is no PlanescapeJob {name} in namespace {namespace}; see: kubectl get planescapejobs -n {namespace}"
            )
        })?;
        let status = job.status.as_ref();
        if status.is_none_or(|status| status.schedule_reference.is_none()) {
            bail!(
                "no operator has seen PlanescapeJob {name} yet; see: kubectl describe planescapejob {name} -n {namespace}"
            );
        }
        let conditions = status.iter().flat_map(|status| &status.conditions);
        let mut stalled = conditions.filter(|it| it.type_ == "Stalled" && it.status == "True");
        if let Some(stalled) = stalled.find(|it| it.reason.starts_with("Invalid")) {
            bail!("PlanescapeJob {name} cannot run: {}", stalled.message);
        }
        let uid = job.metadata.uid.context("the API server gave no UID")?;
        let request = Request {
            token: now.to_string(),
            args: (!self.args.is_empty()).then_some(self.args),
            env: self.variables.into_iter().collect(),
        };
        let patch = json!({ "metadata": {
            "uid": uid,
            "annotations": { RERUN_ANNOTATION: request.text() },
        } });
        let asked = api
            .patch(name, &PatchParams::default(), &Patch::Merge(patch))
            .await;
        asked.with_context(|| format!("cannot ask PlanescapeJob {name} for a run"))?;
        Ok(format!("{name}-{}", rerun_id(&uid, &request.token)))
    }
}

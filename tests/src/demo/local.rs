//! `cargo demo --local`: the same job without a cluster.
//!
//! Real: the guide's manifest, the operator's validation, planning and injection, the agent's
//! binary and everything it does. Not real: Vault is the tests' scripted double, the job's script
//! runs as a process instead of in a container, and `psql` is a stand-in that says who it is.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use k8s_openapi::jiff::Timestamp;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use planescape_operator_core::api::PlanescapeJob;
use planescape_operator_core::defaults::Defaults;
use planescape_operator_core::job::observed::Observed;
use planescape_operator_core::job::plan::{Action, plan};
use planescape_operator_core::job::validate::validate;
use planescape_operator_core::run;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::process::{Child, Command};

use super::DATABASE_JOB;
use super::timeline::Timeline;
use crate::programs::Program;
use crate::scripted_vault::{Answer, Request, ScriptedVault};

/// The container's paths, and their places here.
const PATHS: [(&str, &str); 4] = [
    ("/vault/secrets", "secrets"),
    ("/home/vault", "home"),
    (
        "/var/run/secrets/vault.hashicorp.com/serviceaccount",
        "account",
    ),
    ("/dev/termination-log", "report"),
];
/// dash has no `source`; the guide's image has.
const SOURCE: &str = "source() { . \"$1\"; }\n";
const PSQL: &str = "#!/bin/sh\necho \"(psql stand-in) $PGUSER asks: $*\"\n";
const READY_IN: Duration = Duration::from_secs(30);

/// Runs it and prints what happened when.
pub async fn run() -> Result<()> {
    eprintln!("{}\n", INTRODUCTION.trim());
    let agent = Program::Agent.build_for_here()?;
    let place = Place::new()?;
    let vault = scripted_vault().await?;
    let mut timeline = Timeline::new(Timestamp::now());

    let job = planned_job(&vault.url())?;
    timeline.add(
        Timestamp::now(),
        format!(
            "operator: Job {} planned, the agent written into its pod",
            text(&job["metadata"]["name"])
        ),
    );
    let pod = &job["spec"]["template"]["spec"];
    let config = place.here(&agent_config(pod)?);
    fs::write(place.path("agent.json"), config)?;
    fs::write(place.path("account/token"), "a ServiceAccount's token")?;

    let mut running = place.agent(&agent, &[])?;
    let status = tokio::time::timeout(READY_IN, place.agent(&agent, &["wait"])?.wait()).await??;
    ensure!(status.success(), "the agent's wait ended with {status}");
    timeline.add(
        Timestamp::now(),
        "agent: /vault/secrets/db rendered".to_owned(),
    );

    let container = &pod["containers"][0];
    let output = place.script(container).await?;
    for line in output.lines() {
        timeline.add(
            Timestamp::now(),
            format!("{}: {line}", text(&container["name"])),
        );
    }
    let id = running.id().context("the agent is gone")?;
    kill(Pid::from_raw(id.try_into()?), Signal::SIGTERM)?;
    let status = running.wait().await?;
    timeline.add(Timestamp::now(), format!("agent: ended with {status}"));
    timeline.add(
        Timestamp::now(),
        format!(
            "agent's report: {}",
            fs::read_to_string(place.path("report"))?
        ),
    );

    timeline.print();
    eprintln!("\nWhat Vault was asked:");
    for Request { method, path, .. } in vault.requests() {
        eprintln!("            {method} {path}");
    }
    Ok(())
}

const INTRODUCTION: &str = "
examples/jobs/database-job.yaml without a cluster.
  real:      the manifest, the operator's validation, planning and injection, the agent's binary
  not real:  Vault (a scripted double), Kubernetes (the job is a process here), psql (says who it is)
`cargo demo` runs it on real servers.
";

/// The Job that the operator would create.
fn planned_job(vault: &str) -> Result<Value> {
    let mut job: PlanescapeJob = serde_saphyr::from_str(DATABASE_JOB)?;
    let now = Timestamp::now();
    job.metadata.uid = Some("00000000-0000-0000-0000-000000000000".to_owned());
    job.metadata.namespace = Some("default".to_owned());
    job.metadata.creation_timestamp =
        Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(now));
    let defaults = Defaults {
        vault_address: Some(vault.to_owned()),
        ..Defaults::default()
    };
    let valid = validate(&job, &defaults, now).map_err(|problems| anyhow!("{problems:?}"))?;
    let (validated, material) = valid;
    let tick = plan(&job, Ok(&validated), &Observed::default(), &defaults, now)
        .actions
        .into_iter()
        .find_map(|action| match action {
            Action::Create { tick } => Some(tick),
            Action::Adopt { .. }
            | Action::Rerun { .. }
            | Action::End { .. }
            | Action::Check { .. }
            | Action::Delete { .. }
            | Action::Relabel { .. }
            | Action::MarkStarted { .. }
            | Action::Release { .. } => None,
        })
        .context("the operator plans no Job")?;
    Ok(run::build(
        &validated,
        &material,
        &run::Occasion::Tick(tick),
    ))
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// The configuration that the operator wrote into the agent's environment.
fn agent_config(pod: &Value) -> Result<String> {
    let variables = pod["initContainers"][0]["env"].as_array();
    let encoded = variables
        .into_iter()
        .flatten()
        .find(|variable| variable["name"] == "VAULT_CONFIG")
        .and_then(|variable| variable["value"].as_str())
        .context("the pod has no agent")?;
    Ok(String::from_utf8(BASE64_STANDARD.decode(encoded)?)?)
}

async fn scripted_vault() -> Result<ScriptedVault> {
    let vault = ScriptedVault::start().await?;
    let data = json!({"username": "v-kubernet-readonly-local", "password": "made-up"});
    vault
        .on(
            "PUT",
            "/v1/auth/kubernetes/login",
            Answer::login("token", "accessor", 3600),
        )
        .on(
            "GET",
            "/v1/sys/internal/ui/mounts/database/creds/readonly",
            Answer::ok(&json!({"data": {"path": "database/", "type": "database"}})),
        )
        .on(
            "GET",
            "/v1/database/creds/readonly",
            Answer::leased("database/creds/readonly/1", 3600, &data),
        )
        .on("PUT", "/v1/auth/token/revoke-self", Answer::empty());
    Ok(vault)
}

/// A folder with what is elsewhere in a container.
struct Place(TempDir);

impl Place {
    fn new() -> Result<Self> {
        let place = Self(tempfile::tempdir()?);
        for folder in ["secrets", "home", "account", "bin"] {
            fs::create_dir(place.path(folder))?;
        }
        let psql = place.path("bin/psql");
        fs::write(&psql, PSQL)?;
        fs::set_permissions(psql, fs::Permissions::from_mode(0o755))?;
        Ok(place)
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.0.path().join(name)
    }

    /// The same text with a container's paths replaced by ours.
    fn here(&self, text: &str) -> String {
        PATHS.iter().fold(text.to_owned(), |text, (there, here)| {
            text.replace(there, &self.path(here).display().to_string())
        })
    }

    fn agent(&self, program: &Path, arguments: &[&str]) -> Result<Child> {
        let config = self.path("agent.json");
        Command::new(program)
            .args(arguments)
            .arg(format!("-config={}", config.display()))
            .env("VAULT_LOG_LEVEL", "warn")
            .kill_on_drop(true)
            .spawn()
            .with_context(|| program.display().to_string())
    }

    /// Runs the container's script; what it printed.
    async fn script(&self, container: &Value) -> Result<String> {
        let script = container["args"][1]
            .as_str()
            .context("the job has no script")?;
        let path = format!("{}:{}", self.path("bin").display(), std::env::var("PATH")?);
        let output = Command::new("/bin/sh")
            .arg("-c")
            .arg(format!("{SOURCE}{}", self.here(script)))
            .env("PATH", path)
            .stderr(Stdio::inherit())
            .output()
            .await?;
        ensure!(
            output.status.success(),
            "the job's script ended with {}",
            output.status
        );
        Ok(String::from_utf8(output.stdout)?)
    }
}

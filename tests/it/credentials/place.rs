//! A namespace whose runs get Secrets, and the programs that give them.

use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use planescape_tests::deployment;
use planescape_tests::process::Server;
use planescape_tests::programs::Program;
use planescape_tests::testbed::{Cluster, NAMESPACE};
use planescape_tests::vault::Entry;
use serde_json::{Value, json};

use crate::operator::running::{Bed, name};

pub(super) const ACCOUNT: &str = "planescape-credentials";

pub(super) const MANIFESTS: [&str; 2] = [
    concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/60-credentials.yaml"),
    concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../deploy/65-credentials-policy.yaml"
    ),
];

/// Database users come from here.
pub(super) const CREDENTIALS: &str = "database/creds/readonly";

/// A failed attempt is made again after as long as it has failed, and a busy machine is slow.
pub(super) const LIMIT: Duration = Duration::from_secs(60);

/// A namespace whose owner lets the program in.
pub(super) struct Place<'a> {
    pub(super) bed: Bed<'a>,
    program: Option<Server>,
    starts: usize,
}

impl<'a> Place<'a> {
    /// With an operator, and without `credentials`.
    pub(super) async fn without_program(cluster: &'a Cluster, name: &str) -> Result<Self> {
        prepare(cluster).await?;
        Self::of(Bed::new(cluster, name).await?)
    }

    /// With both, in a namespace that was left.
    pub(super) async fn again(cluster: &'a Cluster, namespace: String) -> Result<Self> {
        let mut place = Self::of(Bed::again(cluster, namespace))?;
        place.start().await?;
        Ok(place)
    }

    fn of(mut bed: Bed<'a>) -> Result<Self> {
        let cluster = bed.cluster;
        let address = cluster.vault.url();
        let arguments = ["--leader-elect=false", "--vault-address", &address];
        bed.start_operator_with(&arguments)?;
        Ok(Self {
            bed,
            program: None,
            starts: 0,
        })
    }

    /// With both, and with the RoleBinding.
    pub(super) async fn new(cluster: &'a Cluster, name: &str) -> Result<Self> {
        let mut place = Self::without_program(cluster, name).await?;
        place.let_in().await?;
        place.start().await?;
        Ok(place)
    }

    /// Does the part of a namespace's owner.
    pub(super) async fn let_in(&self) -> Result<()> {
        deployment::let_credentials_in(&self.bed.cluster.control_plane, &self.bed.namespace).await
    }

    /// Starts the program, with the rights that the manifests give it.
    pub(super) async fn start(&mut self) -> Result<()> {
        self.start_with(&["--listen", "127.0.0.1:0"]).await
    }

    /// The same with arguments of one's own.
    pub(super) async fn start_with(&mut self, arguments: &[&str]) -> Result<()> {
        let cluster = self.bed.cluster;
        let account = cluster
            .control_plane
            .kubeconfig_of_account(NAMESPACE, ACCOUNT);
        let mut command = Command::new(Program::Operator.build()?);
        command
            .arg("credentials")
            .args(["--namespace", &self.bed.namespace])
            .args(["--own-namespace", NAMESPACE])
            .args(arguments)
            .args(["--vault-address", &cluster.vault.url()])
            .args(["--leader-elect=false", "--log-level=debug"])
            .args(["--revocation-role", "planescape-revocation"])
            .arg("--revocation-token-file")
            .arg(self.token_file().await?)
            .env("KUBECONFIG", account.await?);
        self.starts += 1;
        let name = format!("credentials-{}-{}", self.bed.namespace, self.starts);
        self.program = Some(Server::start(&name, &command, cluster.run.path())?);
        Ok(())
    }

    /// The token that the kubelet would write for the program.
    async fn token_file(&self) -> Result<PathBuf> {
        let control_plane = self.bed.control_plane();
        let create = ["create", "token", ACCOUNT, "--audience=vault"];
        let token = control_plane.kubectl_in(NAMESPACE, &create).await?;
        let file = format!("token-{}", self.bed.namespace);
        let file = self.bed.cluster.run.path().join(file);
        std::fs::write(&file, token)?;
        Ok(file)
    }

    /// At once, as `kill -9` does.
    pub(super) fn kill(&mut self) {
        self.program = None;
    }

    /// A line of the kernel's status of the program, in KiB.
    pub(super) fn memory(&self, field: &str) -> Option<f64> {
        let id = self.program.as_ref()?.id()?;
        let status = std::fs::read_to_string(format!("/proc/{id}/status")).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix(field))?;
        line.trim().trim_end_matches(" kB").parse().ok()
    }

    pub(super) fn log(&self) -> String {
        self.program.as_ref().map_or(String::new(), Server::output)
    }

    pub(super) fn operator_log(&self) -> String {
        self.bed.operator_log()
    }

    /// The one Job of a PlanescapeJob.
    pub(super) async fn job(&self, of: &str) -> Result<String> {
        let started = Instant::now();
        let selector = format!("planescape.io/job={of}");
        while started.elapsed() < LIMIT {
            if let [job] = &self.bed.list("jobs", &selector).await?[..] {
                return Ok(name(job).to_owned());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        bail!("{of} has no Job after {LIMIT:?}")
    }

    /// Waits for the pod of a run; its Job's name.
    pub(super) async fn until_let_go(&self, of: &str) -> Result<String> {
        if let Err(error) = self.bed.pod(of).await {
            let job = self.bed.get(&format!("pjob/{of}")).await?;
            bail!("{error:#}\n{}\n{}", job["status"], self.log());
        }
        self.job(of).await
    }

    /// The contents of a Secret.
    pub(super) async fn secret(&self, name: &str) -> Result<Vec<(String, String)>> {
        let secret = self.bed.get(&format!("secret/{name}")).await?;
        let data = secret["data"].as_object().context("it holds something")?;
        let pairs = data.iter().map(|(key, value)| {
            let value = BASE64_STANDARD.decode(value.as_str().unwrap_or_default())?;
            Ok((key.clone(), String::from_utf8(value)?))
        });
        pairs.collect()
    }

    /// Makes the pod of a run succeed, as a kubelet would.
    pub(super) async fn end(&self, of: &str) -> Result<()> {
        let pod = format!("pod/{}", self.bed.pod(of).await?);
        let succeeded = json!({ "phase": "Succeeded" });
        self.bed.patch_status(&pod, &succeeded).await
    }

    /// Waits until the status says this of the lease of the newest run.
    pub(super) async fn until_lease(&self, of: &str, lease: &str) -> Result<Value> {
        self.until_lease_is_one_of(of, &[lease]).await
    }

    /// Waits until the status says one of these of the lease of the newest run.
    pub(super) async fn until_lease_is_one_of(&self, of: &str, leases: &[&str]) -> Result<Value> {
        let says_so = |job: &Value| {
            let lease = job["status"]["runs"][0]["lease"].as_str();
            lease.is_some_and(|lease| leases.contains(&lease))
        };
        let found = self.bed.until(&format!("pjob/{of}"), LIMIT, says_so).await;
        found.with_context(|| format!("{of} is {leases:?}\n{}", self.log()))
    }

    /// The event that a lease lives on says so without its id.
    pub(super) async fn tells_of_a_living_lease(&self, of: &str, lease: &str) -> Result<()> {
        let events = self.bed.events(of).await?;
        let told = events.iter().find(|(reason, _)| reason == "RevokeFailed");
        let (_, note) = told.with_context(|| format!("{events:?}"))?;
        ensure!(
            note.contains("has not revoked lease") && !note.contains(lease),
            "{note}"
        );
        Ok(())
    }

    /// Waits until `VaultReady` is false for this reason; its message.
    pub(super) async fn until_refused(&self, of: &str, reason: &str) -> Result<String> {
        let says_so = |job: &Value| {
            let condition = crate::operator::running::condition(job, "VaultReady");
            (condition.0, condition.1) == ("False", reason)
        };
        let found = self.bed.until(&format!("pjob/{of}"), LIMIT, says_so).await;
        let job = found.with_context(|| format!("{reason}\n{}", self.log()))?;
        let condition = crate::operator::running::condition(&job, "VaultReady");
        Ok(condition.2.to_owned())
    }

    /// The name of a Job's record.
    pub(super) async fn record(&self, job: &str) -> Result<String> {
        let uid = self.bed.get(&format!("job/{job}")).await?["metadata"]["uid"].clone();
        Ok(format!(
            "planescape-run-{}",
            uid.as_str().unwrap_or_default()
        ))
    }

    pub(super) async fn has_record(&self, job: &str) -> Result<bool> {
        let name = self.record(job).await?;
        let get = ["get", "secret", &name, "--ignore-not-found", "-o", "name"];
        let control_plane = self.bed.control_plane();
        Ok(!control_plane.kubectl_in(NAMESPACE, &get).await?.is_empty())
    }
}

async fn prepare(cluster: &Cluster) -> Result<()> {
    for manifest in MANIFESTS {
        let apply = ["apply", "--server-side", "-f", manifest];
        cluster.control_plane.kubectl(&apply).await?;
    }
    cluster.vault.let_runs_in("runs", &json!({})).await
}

/// The guide's job: its variables come from the Secret `vault-db-creds`.
pub(super) fn guides(name: &str) -> Value {
    let variable = |name: &str, key: &str| {
        let from = json!({ "secretKeyRef": { "name": "vault-db-creds", "key": key } });
        json!({ "name": name, "valueFrom": from })
    };
    json!({
        "apiVersion": "planescape.io/v1alpha1",
        "kind": "PlanescapeJob",
        "metadata": { "name": name },
        "spec": {
            "schedule": "@once",
            "vault": { "role": "runs", "secrets": [
                { "name": "db", "path": "database/creds/readonly", "secretName": "vault-db-creds" },
            ] },
            "jobTemplate": { "spec": { "backoffLimit": 0, "template": { "spec": { "containers": [{
                "name": "main", "image": "postgres:15-alpine", "command": ["psql"],
                "env": [variable("PGUSER", "username"), variable("PGPASSWORD", "password")],
            }] } } } },
        },
    })
}

/// Waits until so many leases of database users live.
pub(super) async fn until_leases(cluster: &Cluster, count: usize) -> Result<()> {
    let started = Instant::now();
    loop {
        let leases = cluster.vault.leases(CREDENTIALS).await?;
        if leases.len() == count {
            return Ok(());
        }
        ensure!(started.elapsed() < LIMIT, "{leases:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Vault itself forgets a user whose reader goes away after the database has made it and before the lease is written:
/// it answers that with an error. No other user is left.
pub(super) async fn no_user_but_forgotten_ones(cluster: &Cluster) -> Result<()> {
    let answers = cluster.vault.requests()?;
    let broken_off = |it: &&Entry| it.is("read", CREDENTIALS) && it.error.is_some();
    let forgotten = answers.iter().filter(broken_off).count();
    let users = cluster.postgres.vault_roles().await?;
    ensure!(
        users.len() <= forgotten,
        "{users:?}, {forgotten} reads were broken off"
    );
    Ok(())
}

//! The demo of `cargo demo`: the guide's job on real servers, and the time of each event.

mod kept;
mod local;
mod timeline;

use std::time::Duration;

use anyhow::{Context, Result, bail};
use k8s_openapi::jiff::Timestamp;
use serde_json::Value;

use crate::deployment;
use crate::testbed::Testbed;
use timeline::Timeline;

pub use kept::Kept;
pub use local::run as run_locally;

/// The guide's example, byte for byte.
pub const DATABASE_JOB: &str = include_str!("../../examples/jobs/database-job.yaml");

const NAMESPACE: &str = "default";
const CREDENTIALS: &str = "database/creds/readonly";
const LOOK_EVERY: Duration = Duration::from_millis(20);
const PATIENCE: Duration = Duration::from_secs(120);

/// Brings the operator up and runs the guide's job, and with `cron` a recurring one after it.
pub async fn run(bed: &Testbed, cron: bool) -> Result<()> {
    eprintln!("apply deploy/ …");
    deployment::deploy(bed).await?;
    bed.prepare(NAMESPACE).await?;

    eprintln!("apply examples/jobs/database-job.yaml …\n");
    show(bed, "database-job", DATABASE_JOB, "job created").await?;
    if cron {
        let recurring = DATABASE_JOB
            .replace("name: database-job", "name: every-minute")
            .replace("\"@once\"", "\"* * * * *\"");
        eprintln!("\napply the same with `schedule: \"* * * * *\"`, and wait for the minute …\n");
        show(bed, "every-minute", &recurring, "minute began").await?;
        bed.control_plane
            .kubectl_in(NAMESPACE, &["delete", "planescapejob", "every-minute"])
            .await?;
    }
    Ok(())
}

/// Applies a manifest and follows its first run to the end.
async fn show(bed: &Testbed, name: &str, manifest: &str, zero: &str) -> Result<()> {
    let mut follower = Follower::new(bed, name);
    bed.control_plane.apply_in(NAMESPACE, manifest).await?;
    let started = std::time::Instant::now();
    while !follower.look().await? {
        if started.elapsed() > PATIENCE {
            let described = follower
                .kubectl(&["describe", "planescapejob", name])
                .await?;
            bail!("{name} is not done after {PATIENCE:?}:\n{described}");
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
    follower.finish(zero).await
}

/// Notes when something is seen for the first time.
struct Follower<'a> {
    bed: &'a Testbed,
    name: &'a str,
    applied: Timestamp,
    job_seen: Option<Timestamp>,
    complete_seen: Option<Timestamp>,
    user: Option<String>,
    user_gone: Option<Timestamp>,
}

impl<'a> Follower<'a> {
    fn new(bed: &'a Testbed, name: &'a str) -> Self {
        Self {
            bed,
            name,
            applied: Timestamp::now(),
            job_seen: None,
            complete_seen: None,
            user: None,
            user_gone: None,
        }
    }

    /// Whether all is over.
    async fn look(&mut self) -> Result<bool> {
        if self.complete_seen.is_none() {
            let jobs = self.list("jobs").await?;
            if let Some(job) = jobs.first() {
                self.job_seen.get_or_insert_with(Timestamp::now);
                if job["status"]["succeeded"] == 1 {
                    self.complete_seen = Some(Timestamp::now());
                }
            }
        }
        let users = self.bed.postgres.vault_roles().await?;
        match &self.user {
            None => self.user = users.into_iter().next(),
            Some(user) if self.user_gone.is_none() && !users.contains(user) => {
                self.user_gone = Some(Timestamp::now());
            }
            Some(_) => {}
        }
        Ok(self.complete_seen.is_some() && self.user_gone.is_some())
    }

    /// Puts what was seen together with what the servers wrote down, and prints it.
    async fn finish(&self, zero: &str) -> Result<()> {
        let job = self.list("jobs").await?.remove(0);
        let pod = self.list("pods").await?.into_iter().next();
        let pod = pod.context("the job has no pod")?;
        let text = |of: &Value| of.as_str().unwrap_or_default().to_owned();
        let job_name = text(&job["metadata"]["name"]);
        let pod_name = text(&pod["metadata"]["name"]);
        let scheduled = job["metadata"]["annotations"]["planescape.io/scheduled-at"].as_str();
        let is_recurring = zero == "minute began";
        let start = match scheduled {
            Some(tick) if is_recurring => tick.parse()?,
            _ => self.applied,
        };

        let mut timeline = Timeline::new(start);
        timeline.add(
            start,
            if is_recurring {
                zero.to_owned()
            } else {
                format!("planescapejob/{} applied", self.name)
            },
        );
        timeline.add(
            self.job_seen.context("no Job was seen")?,
            format!("Job {job_name} created"),
        );
        let account = text(&pod["spec"]["serviceAccountName"]);
        let role = text(&pod["metadata"]["annotations"]["vault.hashicorp.com/role"]);
        let revoked = self.add_requests(&mut timeline, start, &account, &role)?;
        for (at, line) in self.log(&pod_name, "vault-agent").await? {
            if line.contains("every template is rendered") {
                timeline.add(
                    at,
                    "/vault/secrets/db rendered, the main container may start".to_owned(),
                );
            }
        }
        let container = text(&pod["spec"]["containers"][0]["name"]);
        let output = self.log(&pod_name, &container).await?;
        let last_output = output
            .last()
            .map(|(at, _)| *at)
            .context("the job printed nothing")?;
        for (at, line) in output {
            timeline.add(at, format!("{container}: {line}"));
        }
        let after =
            |earlier: Timestamp, later: Timestamp| later.duration_since(earlier).as_millis();
        timeline.add(
            revoked,
            format!(
                "token revoked, and with it the lease, {} ms after the job's last output",
                after(last_output, revoked)
            ),
        );
        let gone = self.user_gone.context("the database user is still there")?;
        let user = self.user.as_deref().unwrap_or_default();
        timeline.add(
            gone,
            format!(
                "database role {user} gone, {} ms after the revocation",
                after(revoked, gone)
            ),
        );
        timeline.add(
            self.complete_seen.context("the Job is not complete")?,
            format!("Job {job_name} complete"),
        );
        timeline.print();
        Ok(())
    }

    /// When the token was revoked; login and read are added on the way.
    fn add_requests(
        &self,
        timeline: &mut Timeline,
        start: Timestamp,
        account: &str,
        role: &str,
    ) -> Result<Timestamp> {
        let mut revoked = None;
        for entry in self.bed.vault.requests()? {
            let at: Timestamp = entry.time.parse()?;
            if at < start {
                continue;
            }
            if entry.is("update", "auth/kubernetes/login") {
                timeline.add(
                    at,
                    format!(
                        "vault: logged in as ServiceAccount {NAMESPACE}/{account}, role {role}"
                    ),
                );
            } else if entry.is("read", CREDENTIALS) {
                timeline.add(
                    at,
                    format!("vault: {CREDENTIALS} read, a database role made"),
                );
            } else if entry.is("update", "auth/token/revoke-self") {
                revoked = Some(at);
            }
        }
        revoked.context("the audit log has no revocation")
    }

    async fn list(&self, kind: &str) -> Result<Vec<Value>> {
        let selector = format!("job-name={}", self.name);
        let text = self
            .kubectl(&["get", kind, "-l", &selector, "-o", "json"])
            .await?;
        let list: Value = serde_json::from_str(&text)?;
        Ok(list["items"].as_array().cloned().unwrap_or_default())
    }

    /// A container's lines and when it printed them.
    async fn log(&self, pod: &str, container: &str) -> Result<Vec<(Timestamp, String)>> {
        let text = self
            .kubectl(&["logs", pod, "-c", container, "--timestamps"])
            .await?;
        text.lines()
            .filter_map(|line| line.split_once(' '))
            .filter(|(_, line)| !line.trim().is_empty())
            .map(|(at, line)| Ok((at.parse()?, line.to_owned())))
            .collect()
    }

    async fn kubectl(&self, arguments: &[&str]) -> Result<String> {
        self.bed
            .control_plane
            .kubectl_in(NAMESPACE, arguments)
            .await
    }
}

//! PlanescapeJobs as tests write them, and ways to look at what became of them.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use planescape_tests::deployment;
use planescape_tests::testbed::Testbed;
use planescape_tests::vault::Entry;
use serde_json::Value;

/// A namespace of its own on the shared testbed, with the operator running.
pub(crate) struct Place {
    pub(crate) bed: &'static Testbed,
    pub(crate) namespace: String,
}

impl Place {
    pub(crate) async fn new(namespace: &str) -> Self {
        let bed = deployment::shared().await.unwrap();
        bed.prepare(namespace).await.unwrap();
        Self {
            bed,
            namespace: namespace.to_owned(),
        }
    }

    pub(crate) async fn apply(&self, manifest: &str) {
        let cluster = &self.bed.control_plane;
        cluster.apply_in(&self.namespace, manifest).await.unwrap();
    }

    pub(crate) async fn kubectl(&self, arguments: &[&str]) -> String {
        self.try_kubectl(arguments).await.unwrap()
    }

    pub(crate) async fn try_kubectl(&self, arguments: &[&str]) -> Result<String> {
        let cluster = &self.bed.control_plane;
        cluster.kubectl_in(&self.namespace, arguments).await
    }

    pub(crate) async fn get(&self, what: &str) -> Value {
        let text = self.kubectl(&["get", what, "-o", "json"]).await;
        serde_json::from_str(&text).unwrap()
    }

    /// Waits for a condition of the PlanescapeJob.
    pub(crate) async fn wait(&self, name: &str, condition: &str) {
        let object = format!("planescapejob/{name}");
        let condition = format!("--for=condition={condition}");
        let wait = self
            .try_kubectl(&["wait", &object, &condition, "--timeout=90s"])
            .await;
        if let Err(error) = wait {
            let described = self.kubectl(&["describe", &object]).await;
            let pods = self.kubectl(&["describe", "pods"]).await;
            let selector = format!("job-name={name}");
            let logs = ["logs", "-l", &selector, "--all-containers", "--tail=20"];
            let logs = self.try_kubectl(&logs).await;
            panic!("{error:#}\n{described}\n{pods}\n{logs:?}");
        }
    }

    /// The output of the newest run's main container.
    pub(crate) async fn logs(&self, name: &str) -> String {
        let selector = format!("job-name={name}");
        self.kubectl(&["logs", "-l", &selector, "--tail=-1"]).await
    }

    /// The agent's container in the one pod of a job.
    pub(crate) async fn agent(&self, name: &str) -> Result<Value> {
        let pods: Value = serde_json::from_str(
            &self
                .kubectl(&[
                    "get",
                    "pods",
                    "-l",
                    &format!("job-name={name}"),
                    "-o",
                    "json",
                ])
                .await,
        )?;
        let pod = &pods["items"][0]["status"]["initContainerStatuses"][0];
        (!pod.is_null())
            .then(|| pod.clone())
            .context("no agent yet")
    }

    /// The agent's report at its end.
    pub(crate) async fn report(&self, name: &str) -> Value {
        let agent = self.agent(name).await.unwrap();
        let message = agent["state"]["terminated"]["message"]
            .as_str()
            .unwrap_or_default();
        serde_json::from_str(message)
            .unwrap_or_else(|error| panic!("{error} in the termination message of {agent:#}"))
    }

    /// The audit log's requests of the job's token.
    pub(crate) async fn requests(&self, name: &str) -> Vec<Entry> {
        let report = self.report(name).await;
        let accessor = report["accessor"]
            .as_str()
            .expect("a report names its token");
        let mut requests = self.bed.vault.requests().unwrap();
        requests.retain(|entry| entry.accessor.as_deref() == Some(accessor));
        requests
    }

    /// The condition of a PlanescapeJob, once it has this status and reason.
    pub(crate) async fn condition(&self, name: &str, kind: &str, reason: &str) -> Value {
        let object = format!("planescapejob/{name}");
        until(
            &format!("{name} has {kind} because of {reason}"),
            30,
            async || {
                let job = self.get(&object).await;
                job["status"]["conditions"]
                    .as_array()?
                    .iter()
                    .find(|condition| condition["type"] == kind && condition["reason"] == reason)
                    .cloned()
            },
        )
        .await
    }

    /// The events about a PlanescapeJob.
    pub(crate) async fn events(&self, name: &str) -> String {
        let selector = format!("involvedObject.kind=PlanescapeJob,involvedObject.name={name}");
        self.kubectl(&["get", "events", "--field-selector", &selector, "-o", "wide"])
            .await
    }
}

pub(crate) fn count(requests: &[Entry], operation: &str, path: &str) -> usize {
    requests
        .iter()
        .filter(|entry| entry.is(operation, path))
        .count()
}

/// Looks five times a second until there is an answer.
pub(crate) async fn until<T>(
    what: &str,
    seconds: u64,
    mut look: impl AsyncFnMut() -> Option<T>,
) -> T {
    let start = Instant::now();
    loop {
        if let Some(answer) = look().await {
            return answer;
        }
        let waited = start.elapsed();
        assert!(
            waited < Duration::from_secs(seconds),
            "{what}: not after {waited:?}"
        );
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// A one-time job with the guide's database annotations.
pub(crate) fn database_job(name: &str, role: &str, script: &str) -> String {
    format!(
        r#"
apiVersion: planescape.io/v1alpha1
kind: PlanescapeJob
metadata: {{name: {name}}}
spec:
  schedule: "@once"
  jobTemplate:
    spec:
      backoffLimit: 0
      template:
        metadata:
          annotations:
            vault.hashicorp.com/agent-inject: "true"
            vault.hashicorp.com/role: "database-reader"
            vault.hashicorp.com/agent-inject-template-db: |
              {{{{- with secret "database/creds/{role}" -}}}}
              export PGUSER="{{{{ .Data.username }}}}"
              export PGPASSWORD="{{{{ .Data.password }}}}"
              {{{{- end -}}}}
        spec:
          containers:
          - name: main
            image: postgres:15-alpine
            command: ["/bin/sh", "-c"]
            args:
            - |
              export PGHOST=postgresql PGDATABASE=planescape
{}
"#,
        indent(script, 14)
    )
}

fn indent(text: &str, by: usize) -> String {
    let lines: Vec<String> = text
        .lines()
        .map(|line| format!("{:by$}{}", "", line.trim_start()))
        .collect();
    lines.join("\n")
}

/// Waits until a database user is gone.
pub(crate) async fn gone_within(place: &Place, user: &str, seconds: u64) {
    until(&format!("{user} is gone"), seconds, async || {
        let roles = place.bed.postgres.vault_roles().await.unwrap();
        (!roles.contains(&user.to_owned())).then_some(())
    })
    .await;
}

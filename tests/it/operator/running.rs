//! An operator that is told to look at one namespace only, so that tests can share a cluster.

use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use planescape_tests::control_plane::{ControlPlane, User};
use planescape_tests::process::{Memory, Server};
use planescape_tests::programs::Program;
use planescape_tests::testbed::Cluster;
use serde_json::{Value, json};

const RESOURCE_DEFINITION: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../deploy/10-planescapejobs.yaml"
);

/// A namespace of one test, and the operator of that namespace while it runs.
pub(crate) struct Bed<'a> {
    pub(crate) cluster: &'a Cluster,
    pub(crate) namespace: String,
    operator: Option<Server>,
}

impl<'a> Bed<'a> {
    /// A namespace without an operator.
    pub(crate) async fn new(cluster: &'a Cluster, name: &str) -> Result<Self> {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let namespace = format!("{name}-{number}");
        let bed = Self {
            cluster,
            namespace,
            operator: None,
        };
        let control_plane = bed.control_plane();
        // Tests that share a cluster do this at once.
        let define = ["apply", "--server-side", "-f", RESOURCE_DEFINITION];
        control_plane.kubectl(&define).await?;
        let definition = "crd/planescapejobs.planescape.io";
        let wait = ["wait", "--for=condition=Established", definition];
        // Fails as long as there is no condition at all.
        while control_plane.kubectl(&wait).await.is_err() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let create = ["create", "namespace", &bed.namespace];
        control_plane.kubectl(&create).await?;
        // The controller makes no pods before its ServiceAccount exists.
        control_plane
            .service_account_token(&bed.namespace, "default")
            .await?;
        Ok(bed)
    }

    /// A namespace that was left.
    pub(crate) fn again(cluster: &'a Cluster, namespace: String) -> Self {
        Self {
            cluster,
            namespace,
            operator: None,
        }
    }

    /// A namespace with an operator.
    pub(crate) async fn with_operator(cluster: &'a Cluster, name: &str) -> Result<Self> {
        let mut bed = Self::new(cluster, name).await?;
        bed.start_operator()?;
        Ok(bed)
    }

    pub(crate) fn start_operator(&mut self) -> Result<()> {
        // The next one is not to wait for the term of one that was killed.
        let vault = ["--vault-address", "http://vault:8200"];
        self.start_operator_with(&[&["--leader-elect=false"], &vault[..]].concat())
    }

    /// The operator of the namespace, with arguments of one's own.
    pub(crate) fn start_operator_with(&mut self, arguments: &[&str]) -> Result<()> {
        let name = format!("operator-{}", self.namespace);
        self.operator = Some(self.start_another(&name, arguments)?);
        Ok(())
    }

    /// The output of `planescape` when an administrator runs it in the namespace.
    pub(crate) fn planescape(&self, arguments: &[&str]) -> Result<String> {
        let output = Command::new(Program::Operator.build()?)
            .args(arguments)
            .args(["--namespace", &self.namespace])
            .env("KUBECONFIG", self.control_plane().kubeconfig(User::Admin))
            .output()?;
        if !output.status.success() {
            bail!("{}", String::from_utf8_lossy(&output.stderr));
        }
        Ok(String::from_utf8(output.stdout)?)
    }

    /// One more operator of the namespace.
    pub(crate) fn start_another(&self, name: &str, arguments: &[&str]) -> Result<Server> {
        let kubeconfig = self.control_plane().kubeconfig(User::Admin);
        self.start_another_with(name, &kubeconfig, arguments)
    }

    /// One more, with a kubeconfig of one's own.
    pub(crate) fn start_another_with(
        &self,
        name: &str,
        kubeconfig: &Path,
        arguments: &[&str],
    ) -> Result<Server> {
        let mut command = Command::new(Program::Operator.build()?);
        command
            .arg("operator")
            .args(["--namespace", &self.namespace])
            .args(["--listen", "127.0.0.1:0"])
            .args(arguments)
            .env("KUBECONFIG", kubeconfig);
        Server::start(name, &command, self.cluster.run.path())
    }

    pub(crate) fn operator_log(&self) -> String {
        self.operator.as_ref().map_or(String::new(), Server::output)
    }

    pub(crate) fn operator_memory(&self) -> Result<Memory> {
        self.operator.as_ref().context("no operator")?.memory()
    }

    /// At once, as `kill -9` does.
    pub(crate) fn kill_operator(&mut self) {
        self.operator = None;
    }

    pub(crate) fn control_plane(&self) -> &ControlPlane {
        &self.cluster.control_plane
    }

    pub(crate) async fn kubectl(&self, arguments: &[&str]) -> Result<String> {
        let control_plane = self.control_plane();
        control_plane.kubectl_in(&self.namespace, arguments).await
    }

    pub(crate) async fn apply(&self, object: &Value) -> Result<String> {
        let control_plane = self.control_plane();
        let manifest = object.to_string();
        control_plane.apply_in(&self.namespace, &manifest).await
    }

    /// Without server-side apply, which takes no list with two items of one key.
    pub(crate) async fn apply_on_the_client(&self, object: &Value) -> Result<String> {
        let path = self
            .cluster
            .run
            .path()
            .join(format!("{}.json", self.namespace));
        std::fs::write(&path, object.to_string())?;
        let path = path.to_str().context("a path in UTF-8")?;
        self.kubectl(&["create", "-f", path]).await
    }

    pub(crate) async fn get(&self, resource: &str) -> Result<Value> {
        let text = self.kubectl(&["get", resource, "-o", "json"]).await?;
        Ok(serde_json::from_str(&text)?)
    }

    pub(crate) async fn list(&self, resource: &str, selector: &str) -> Result<Vec<Value>> {
        let get = ["get", resource, "-l", selector, "-o", "json"];
        let list: Value = serde_json::from_str(&self.kubectl(&get).await?)?;
        Ok(list["items"].as_array().cloned().unwrap_or_default())
    }

    /// Patches the status of an object, as a kubelet or a controller would.
    pub(crate) async fn patch_status(&self, resource: &str, status: &Value) -> Result<()> {
        let patch = json!({ "status": status }).to_string();
        let kind = "--type=merge";
        let arguments = [
            "patch",
            resource,
            "--subresource=status",
            kind,
            "-p",
            &patch,
        ];
        self.kubectl(&arguments).await?;
        Ok(())
    }

    /// Waits until `resource` satisfies a test, and answers it as it was then.
    pub(crate) async fn until(
        &self,
        resource: &str,
        limit: Duration,
        is_so: impl Fn(&Value) -> bool,
    ) -> Result<Value> {
        let started = Instant::now();
        loop {
            let object = self.get(resource).await;
            match object {
                Ok(object) if is_so(&object) => return Ok(object),
                Ok(object) if started.elapsed() > limit => {
                    bail!("not so after {limit:?}: {}", object["status"])
                }
                Err(error) if started.elapsed() > limit => return Err(error),
                Ok(_) | Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        }
    }

    /// Waits for the pods of a PlanescapeJob; the one pod.
    pub(crate) async fn pod(&self, job: &str) -> Result<String> {
        let selector = format!("planescape.io/job={job}");
        let started = Instant::now();
        while started.elapsed() < Duration::from_secs(60) {
            if let [pod] = &self.list("pods", &selector).await?[..] {
                return Ok(name(pod).to_owned());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        bail!("{job} has no pod after a minute")
    }

    /// The events about a PlanescapeJob: reason and note.
    pub(crate) async fn events(&self, job: &str) -> Result<Vec<(String, String)>> {
        let about = format!("regarding.name={job}");
        let get = [
            "get",
            "events.v1.events.k8s.io",
            "--field-selector",
            &about,
            "-o",
            "json",
        ];
        let list: Value = serde_json::from_str(&self.kubectl(&get).await?)?;
        let events = list["items"].as_array().context("a list")?;
        let text = |event: &Value, field: &str| event[field].as_str().unwrap_or("").to_owned();
        Ok(events
            .iter()
            .map(|event| (text(event, "reason"), text(event, "note")))
            .collect())
    }
}

/// A one-time PlanescapeJob.
pub(crate) fn once(name: &str) -> Value {
    json!({
        "apiVersion": "planescape.io/v1alpha1",
        "kind": "PlanescapeJob",
        "metadata": { "name": name },
        "spec": { "schedule": "@once", "jobTemplate": { "spec": { "template": { "spec": {
            "containers": [{ "name": "main", "image": "busybox:1.35", "command": ["true"] }],
        } } } } },
    })
}

/// The same with the agent beside it.
pub(crate) fn once_with_secret(name: &str) -> Value {
    let mut job = once(name);
    job["spec"]["jobTemplate"]["spec"]["template"]["metadata"] = json!({ "annotations": {
        "vault.hashicorp.com/agent-inject": "true",
        "vault.hashicorp.com/role": "database-reader",
        "vault.hashicorp.com/agent-inject-secret-db": "database/creds/readonly",
    } });
    job
}

pub(crate) fn name(object: &Value) -> &str {
    object["metadata"]["name"].as_str().unwrap_or("")
}

/// Status, reason and message of a condition.
pub(crate) fn condition<'a>(object: &'a Value, kind: &str) -> (&'a str, &'a str, &'a str) {
    let conditions = object["status"]["conditions"].as_array();
    let condition = conditions
        .into_iter()
        .flatten()
        .find(|condition| condition["type"] == kind)
        .unwrap_or(&Value::Null);
    let text = |field: &str| condition[field].as_str().unwrap_or("");
    (text("status"), text("reason"), text("message"))
}

//! A testbed of our own, whose parts are killed and come back.

use std::fs;

use anyhow::Result;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use planescape_tests::deployment;
use planescape_tests::testbed::{NAMESPACE, Testbed};
use serde_json::{Value, json};

use crate::table::Trouble;

pub(crate) struct Bed {
    pub(crate) testbed: Testbed,
}

impl Bed {
    pub(crate) async fn start() -> Result<Self> {
        let testbed = Testbed::start_with_vault_on_disk().await?;
        deployment::deploy(&testbed).await?;
        testbed.vault.let_runs_in("runs", &json!({})).await?;
        until_collected(&testbed).await?;
        Ok(Self { testbed })
    }

    /// Kills somebody, or takes them out of reach.
    pub(crate) async fn begin(&mut self, trouble: Trouble) -> Result<()> {
        match trouble {
            // Each with its run.
            Trouble::Nobody | Trouble::Agent => {}
            Trouble::Kubelet => self.testbed.node.kill_kubelet(),
            Trouble::Operators => self.kill("planescape-operator").await?,
            Trouble::Credentials => self.kill("planescape-credentials").await?,
            Trouble::Vault => self.testbed.vault.seal().await?,
            Trouble::VaultKilled => self.testbed.vault.kill().await?,
            Trouble::Network => self.testbed.node.cut_cable()?,
        }
        Ok(())
    }

    /// Everybody is there again.
    pub(crate) async fn end(&mut self, trouble: Trouble) -> Result<()> {
        let Testbed {
            node,
            vault,
            control_plane,
            run,
            ..
        } = &mut self.testbed;
        match trouble {
            Trouble::Nobody | Trouble::Agent | Trouble::Operators | Trouble::Credentials => {}
            Trouble::Kubelet => node.start_kubelet(run, control_plane)?,
            Trouble::Vault => vault.unseal().await?,
            Trouble::VaultKilled => vault.start_again().await?,
            Trouble::Network => node.mend_cable()?,
        }
        Ok(())
    }

    /// Kills every pod of a Deployment of ours.
    async fn kill(&self, deployment: &str) -> Result<()> {
        let selector = format!("app.kubernetes.io/name={deployment}");
        let get = ["get", "pods", "-l", &selector, "-o", "json"];
        let pods = self
            .testbed
            .control_plane
            .kubectl_in(NAMESPACE, &get)
            .await?;
        let pods: Value = serde_json::from_str(&pods)?;
        for pod in pods["items"].as_array().into_iter().flatten() {
            let uid = pod["metadata"]["uid"].as_str().unwrap_or_default();
            for process in processes(uid, "planescape") {
                kill(Pid::from_raw(process), Signal::SIGKILL)?;
            }
        }
        Ok(())
    }
}

/// The garbage collector learns of a new kind within half a minute: until it has deleted what a deleted PlanescapeJob
/// owned.
async fn until_collected(testbed: &Testbed) -> Result<()> {
    let cluster = &testbed.control_plane;
    let kubectl = async |arguments: &[&str]| cluster.kubectl_in("default", arguments).await;
    cluster.apply_in("default", OWNER).await?;
    let get = ["get", "pjob", "owner", "-o", "jsonpath={.metadata.uid}"];
    let owned = OWNED.replace("UID", &kubectl(&get).await?);
    cluster.apply_in("default", &owned).await?;
    kubectl(&["delete", "pjob", "owner"]).await?;
    kubectl(&["wait", "--for=delete", "configmap/owned", "--timeout=90s"]).await?;
    Ok(())
}

const OWNER: &str = r#"
apiVersion: planescape.io/v1alpha1
kind: PlanescapeJob
metadata: {name: owner}
spec:
  schedule: "@once"
  suspend: true
  jobTemplate: {spec: {template: {spec: {containers: [{name: main, image: "busybox:1.35"}]}}}}
"#;

const OWNED: &str = r#"
apiVersion: v1
kind: ConfigMap
metadata:
  name: owned
  ownerReferences:
  - {apiVersion: planescape.io/v1alpha1, kind: PlanescapeJob, name: owner, uid: UID}
"#;

/// The processes of a pod's cgroup whose name begins so.
pub(crate) fn processes(uid: &str, name: &str) -> Vec<i32> {
    let all = fs::read_dir("/proc").into_iter().flatten().flatten();
    let all = all.filter_map(|process| process.file_name().to_str()?.parse::<i32>().ok());
    let of_pod = all.filter(|pid| {
        let read = |file: &str| fs::read_to_string(format!("/proc/{pid}/{file}"));
        read("cgroup").is_ok_and(|cgroup| cgroup.contains(uid))
            && read("comm").is_ok_and(|comm| comm.starts_with(name))
    });
    of_pod.collect()
}

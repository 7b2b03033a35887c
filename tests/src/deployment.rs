//! The operator on the testbed's node, from the manifests and images that users get.

use std::path::Path;

use anyhow::{Context, Result};
use tokio::sync::OnceCell;

use crate::control_plane::ControlPlane;
use crate::programs::Program;
use crate::testbed::{NAMESPACE, Testbed};

/// The folder with the manifests.
pub const MANIFESTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy");

/// A testbed with the operator running on it, shared by all tests of a process.
pub async fn shared() -> Result<&'static Testbed> {
    static DEPLOYED: OnceCell<()> = OnceCell::const_new();
    let bed = Testbed::shared().await?;
    DEPLOYED.get_or_try_init(|| deploy(bed)).await?;
    Ok(bed)
}

/// Loads our images and applies the manifests as they are; returns when the programs are ready.
pub async fn deploy(bed: &Testbed) -> Result<()> {
    let (agent, operator) = tokio::task::spawn_blocking(|| {
        Ok::<_, anyhow::Error>((Program::Agent.image()?, Program::Operator.image()?))
    })
    .await??;
    tokio::try_join!(bed.node.load(&agent), bed.node.load(&operator))?;
    apply(bed, Path::new(MANIFESTS)).await?;
    let cluster = &bed.control_plane;
    cluster
        .kubectl(&[
            "wait",
            "--for=condition=Established",
            "crd/planescapejobs.planescape.io",
            "--timeout=30s",
        ])
        .await?;
    for program in ["planescape-operator", "planescape-credentials"] {
        let deployment = format!("deployment/{program}");
        let rollout = ["rollout", "status", &deployment, "--timeout=60s"];
        if let Err(error) = cluster.kubectl_in(NAMESPACE, &rollout).await {
            let pods = cluster.kubectl_in(NAMESPACE, &["describe", "pods"]).await;
            return Err(error).with_context(|| format!("{program} does not start: {pods:?}"));
        }
    }
    Ok(())
}

async fn apply(bed: &Testbed, folder: &Path) -> Result<()> {
    let folder = folder.to_str().context("a path that is text")?;
    bed.control_plane.kubectl(&["apply", "-f", folder]).await?;
    Ok(())
}

/// Lets `planescape credentials` make tokens and Secrets in a namespace, as its owner does.
pub async fn let_credentials_in(cluster: &ControlPlane, namespace: &str) -> Result<()> {
    const ACCOUNT: &str = "planescape-credentials";
    let account = format!("--serviceaccount={NAMESPACE}:{ACCOUNT}");
    let role = "--clusterrole=planescape-credentials-runs";
    let bind = ["create", "rolebinding", ACCOUNT, role, &account];
    cluster.kubectl_in(namespace, &bind).await?;
    Ok(())
}

//! What our agent adds to a job's time from `kubectl apply` to `Complete`, beside the same job with a
//! container in its place that does nothing.
//!
//! ```text
//! cargo bench -p planescape-tests --bench overhead
//! ```

#![expect(clippy::print_stdout, reason = "it reports to a terminal")]

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use planescape_tests::deployment;
use planescape_tests::testbed::Testbed;

const PAIRS: usize = 5;
const NAMESPACE: &str = "overhead";

/// Stands where the native sidecar would: started, gated by a hook, ended by a signal.
const IDLE_SIDECAR: &str = r#"
          initContainers:
          - name: stand-in
            image: busybox:1.35
            restartPolicy: Always
            command: [sh, -c, "trap 'exit 0' TERM; sleep 1000 & wait"]
            lifecycle: {postStart: {exec: {command: ["true"]}}}"#;

const IDLE_INIT: &str = r#"
          initContainers:
          - name: stand-in
            image: busybox:1.35
            command: ["true"]"#;

const ANNOTATIONS: &str = r#"
        metadata:
          annotations:
            vault.hashicorp.com/agent-inject: "true"
            vault.hashicorp.com/role: "database-reader"
            vault.hashicorp.com/agent-inject-template-db: |
              {{ with secret "database/creds/readonly" }}{{ .Data.username }}{{ end }}"#;

const INIT_ONLY: &str = "\n            vault.hashicorp.com/agent-pre-populate-only: \"true\"";

#[tokio::main]
async fn main() -> Result<()> {
    let bed = Testbed::start().await?;
    deployment::deploy(&bed).await?;
    bed.prepare(NAMESPACE).await?;

    let cores = thread::available_parallelism()?;
    println!("{cores} cores, median of {PAIRS} pairs, from apply to Complete");
    println!("| Container | does nothing | our agent | more |");
    println!("| --- | --- | --- | --- |");
    for (name, idle, annotations) in [
        ("native sidecar", IDLE_SIDECAR, ANNOTATIONS.to_owned()),
        (
            "init container",
            IDLE_INIT,
            format!("{ANNOTATIONS}{INIT_ONLY}"),
        ),
    ] {
        let (mut without, mut with) = (Vec::new(), Vec::new());
        for pair in 0..PAIRS {
            without.push(time(&bed, &format!("idle-{pair}"), "", idle).await?);
            with.push(time(&bed, &format!("agent-{pair}"), &annotations, "").await?);
        }
        let (without, with) = (median(without), median(with));
        let more = with.as_secs_f64() - without.as_secs_f64();
        println!(
            "| {name} | {:.2} s | {:.2} s | {more:+.2} s |",
            without.as_secs_f64(),
            with.as_secs_f64()
        );
    }
    Ok(())
}

/// Runs one job to its end and removes it.
async fn time(bed: &Testbed, name: &str, metadata: &str, containers: &str) -> Result<Duration> {
    let manifest = format!(
        r#"
apiVersion: planescape.io/v1alpha1
kind: PlanescapeJob
metadata: {{name: {name}}}
spec:
  schedule: "@once"
  jobTemplate:
    spec:
      template:{metadata}
        spec:{containers}
          containers:
          - name: main
            image: busybox:1.35
            command: [sleep, "2"]
"#
    );
    let cluster = &bed.control_plane;
    let object = format!("planescapejob/{name}");
    let wait = ["wait", &object, "--for=condition=Complete", "--timeout=60s"];
    let start = Instant::now();
    cluster.apply_in(NAMESPACE, &manifest).await?;
    cluster
        .kubectl_in(NAMESPACE, &wait)
        .await
        .with_context(|| format!("{name} does not complete"))?;
    let elapsed = start.elapsed();
    cluster
        .kubectl_in(NAMESPACE, &["delete", &object, "--wait=true"])
        .await?;
    Ok(elapsed)
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

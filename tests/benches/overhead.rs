//! The time that our agent adds to a job from `kubectl apply` to its first line of output and to `Complete`, beside the
//! same job with a container in its place that does nothing; and what a Secret of the run's own adds, beside one made by
//! hand, and between which steps.
//!
//! ```text
//! cargo bench -p planescape-tests --bench overhead                # or only: -- Secret
//! ```

#![expect(clippy::print_stdout, reason = "it reports to a terminal")]

use std::fs;
use std::thread;

use anyhow::{Context, Result};
use jiff::Timestamp;
use planescape_tests::deployment;
use planescape_tests::testbed::Testbed;
use serde_json::json;

const PAIRS: usize = 7;
const NAMESPACE: &str = "overhead";

/// A container in the place of the native sidecar: started, gated by a hook, ended by a signal.
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

const VAULT: &str = r#"
  vault:
    role: runs
    secrets:
    - {name: db, path: database/creds/readonly, secretName: creds}"#;

const FROM_SECRET: &str = r#"
            envFrom: [{secretRef: {name: creds}}]"#;

/// The fields in which the jobs differ.
#[derive(Clone, Copy, Default)]
struct Job<'a> {
    vault: &'a str,
    metadata: &'a str,
    containers: &'a str,
    environment: &'a str,
}

#[tokio::main]
async fn main() -> Result<()> {
    let bed = Testbed::start().await?;
    deployment::deploy(&bed).await?;
    bed.prepare(NAMESPACE).await?;
    prepare_secrets(&bed).await?;

    let asked = std::env::args().skip(1);
    let asked: Vec<String> = asked.filter(|it| !it.starts_with('-')).collect();
    let cores = thread::available_parallelism()?;
    println!("{cores} cores, medians of {PAIRS} pairs, seconds from apply");
    println!("| What | Until | without us | with us | more |");
    println!("| --- | --- | ---: | ---: | ---: |");
    let init_only = format!("{ANNOTATIONS}{INIT_ONLY}");
    let idle = |containers| Job {
        containers,
        ..Job::default()
    };
    let agent = |metadata| Job {
        metadata,
        ..Job::default()
    };
    let secret = |vault| Job {
        vault,
        environment: FROM_SECRET,
        ..Job::default()
    };
    for (name, without, with) in [
        ("native sidecar", idle(IDLE_SIDECAR), agent(ANNOTATIONS)),
        ("init container", idle(IDLE_INIT), agent(&init_only)),
        ("Secret", secret(""), secret(VAULT)),
    ] {
        let is_asked = asked.is_empty() || asked.iter().any(|it| it == name);
        if !is_asked {
            continue;
        }
        let (mut all_without, mut all_with) = (Vec::new(), Vec::new());
        for pair in 0..PAIRS {
            all_without.push(time(&bed, &format!("without-{pair}"), without).await?);
            all_with.push(time(&bed, &format!("with-{pair}"), with).await?);
        }
        for (index, step) in STEPS.into_iter().enumerate() {
            let median = |all: &[Times]| median(all.iter().map(|times| times[index]).collect());
            let (without, with) = (median(&all_without), median(&all_with));
            let more = with - without;
            println!("| {name} | {step} | {without:.2} | {with:.2} | {more:+.2} |");
        }
    }
    Ok(())
}

/// When each of these was done, in seconds from apply.
const STEPS: [&str; 6] = [
    "the Job is made",
    "the pod is made",
    "it is bound to its node",
    "its first line of output",
    "it is Complete",
    "all its Secrets and leases are gone",
];

type Times = [f64; STEPS.len()];

/// The Secret that is made by hand, and what runs need to get one of their own.
async fn prepare_secrets(bed: &Testbed) -> Result<()> {
    let cluster = &bed.control_plane;
    bed.vault.let_runs_in("runs", &json!({})).await?;
    let create = [
        "create",
        "secret",
        "generic",
        "creds",
        "--from-literal=username=svc",
    ];
    cluster.kubectl_in(NAMESPACE, &create).await?;
    deployment::let_credentials_in(cluster, NAMESPACE).await
}

/// Runs one job to its end and removes it.
async fn time(bed: &Testbed, name: &str, job: Job<'_>) -> Result<Times> {
    let Job {
        vault,
        metadata,
        containers,
        environment,
    } = job;
    let manifest = format!(
        r#"
apiVersion: planescape.io/v1alpha1
kind: PlanescapeJob
metadata: {{name: {name}}}
spec:
  schedule: "@once"{vault}
  jobTemplate:
    spec:
      template:{metadata}
        spec:{containers}
          containers:
          - name: main
            image: busybox:1.35
            command: [sh, -c, "cat /proc/uptime; sleep 2"]{environment}
"#
    );
    let cluster = &bed.control_plane;
    let object = format!("planescapejob/{name}");
    let wait = ["wait", &object, "--for=condition=Complete", "--timeout=60s"];
    let (start, clock) = (
        uptime(&fs::read_to_string("/proc/uptime")?)?,
        Timestamp::now(),
    );
    cluster.apply_in(NAMESPACE, &manifest).await?;
    cluster
        .kubectl_in(NAMESPACE, &wait)
        .await
        .with_context(|| format!("{name} does not complete"))?;
    let complete = uptime(&fs::read_to_string("/proc/uptime")?)? - start;
    let selector = format!("job-name={name}");
    let log = ["logs", "-l", &selector, "-c", "main"];
    let first = uptime(&cluster.kubectl_in(NAMESPACE, &log).await?)? - start;
    while !bed
        .vault
        .leases("database/creds/readonly")
        .await?
        .is_empty()
    {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    let gone = uptime(&fs::read_to_string("/proc/uptime")?)? - start;
    let calls = cluster.calls()?;
    let made = |kind: &str| {
        let mut calls = calls
            .iter()
            .filter(|call| call.object.namespace == NAMESPACE);
        let call = calls.find(|call| call.at >= clock && call.kind() == kind);
        call.map_or(f64::NAN, |call| call.at.duration_since(clock).as_secs_f64())
    };
    let times = [
        made("create jobs"),
        made("create pods"),
        made("create pods/binding"),
        first,
        complete,
        gone,
    ];
    cluster
        .kubectl_in(NAMESPACE, &["delete", &object, "--wait=true"])
        .await?;
    Ok(times)
}

/// The first number of `/proc/uptime`, which is the same in every container.
fn uptime(text: &str) -> Result<f64> {
    let word = text.split_whitespace().next().context("a number")?;
    Ok(word.parse()?)
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

//! The operator's cost while nothing is due: memory with its peak from the start on, processor time, and how soon a
//! restarted one decides. Each PlanescapeJob has more than 3 KB with what `kubectl apply` keeps of it, three runs that
//! succeeded and one that failed, each a Job with a pod.
//!
//! ```text
//! cargo bench --profile dev -p planescape-tests --bench idle             # 5,000 and 10,000
//! cargo bench --profile dev -p planescape-tests --bench idle -- 200
//! ```
//!
//! The controllers of Kubernetes stand still: all that is measured is there before the operator is.

#![expect(clippy::print_stdout, reason = "it reports to a terminal")]

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{ApiResource, DynamicObject, Patch, PatchParams, PostParams};
use kube::core::GroupVersionKind;
use kube::{Api, Client};
use planescape_tests::control_plane::{ControlPlane, User};
use planescape_tests::process::Server;
use planescape_tests::programs::Program;
use planescape_tests::testbed::Cluster;
use serde_json::{Value, json};

const SIZES: [u32; 2] = [5_000, 10_000];

const NAMESPACE: &str = "idle";

const RESOURCE_DEFINITION: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../deploy/10-planescapejobs.yaml"
);

/// The API server takes this many new objects at once.
const WRITERS: usize = 32;

/// A PlanescapeJob has at least so many bytes.
const BYTES: usize = 3 << 10;

/// How many days ago the newest run was: its pods alone are found by the PlanescapeJob's name.
const NEWEST: i64 = 1;

/// How long processor time is counted.
const REST: Duration = Duration::from_secs(60);

/// The one-time job by which a restarted operator shows that it decides.
const FIRST: &str = "first";

#[tokio::main]
async fn main() -> Result<()> {
    let arguments = std::env::args().skip(1);
    let mut sizes: Vec<u32> = arguments.flat_map(|it| it.parse()).collect();
    if sizes.is_empty() {
        sizes.extend(SIZES);
    }
    let program = Program::Operator.build()?;
    println!(
        "| PlanescapeJobs | Jobs | Memory, first start | at most | Memory, restarted | at most | Processor | First decision |"
    );
    println!("| ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |");
    for size in sizes {
        measure(size, &program).await?;
    }
    Ok(())
}

async fn measure(size: u32, program: &Path) -> Result<()> {
    let mut cluster = Cluster::start().await?;
    let control_plane = &mut cluster.control_plane;
    let define = ["apply", "--server-side", "-f", RESOURCE_DEFINITION];
    control_plane.kubectl(&define).await?;
    let established = ["wait", "--for=condition=Established", "crd", "--all"];
    // It fails as long as there is no condition at all.
    while control_plane.kubectl(&established).await.is_err() {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let create = ["create", "namespace", NAMESPACE];
    control_plane.kubectl(&create).await?;
    control_plane
        .service_account_token(NAMESPACE, "default")
        .await?;
    control_plane.stand_still();
    let client = control_plane.client().await?;
    let started = Instant::now();
    stream::iter(0..size)
        .map(|number| create_all_of(&client, number))
        .buffer_unordered(WRITERS)
        .try_collect::<()>()
        .await?;
    eprintln!("made in {:.0} s", started.elapsed().as_secs_f64());

    let first = start_operator(&cluster, program, "first")?;
    settle(&cluster.control_plane, size).await?;
    let before = first.memory()?;
    drop(first);
    create_job(&client, &once()).await?;
    let started = Instant::now();
    let operator = start_operator(&cluster, program, "restarted")?;
    let decided = until_decided(&client, started).await?;
    tokio::time::sleep(Duration::from_secs(10)).await;
    let used = operator.processor_time()?;
    tokio::time::sleep(REST).await;
    let used = operator.processor_time()? - used;
    let after = operator.memory()?;
    println!(
        "| {size} | {} | {} | {} | {} | {} | {:.2} % of a core | {:.2} s |",
        4 * size,
        mebibytes(before.now),
        mebibytes(before.most),
        mebibytes(after.now),
        mebibytes(after.most),
        100.0 * used.as_secs_f64() / REST.as_secs_f64(),
        decided.as_secs_f64(),
    );
    Ok(())
}

fn mebibytes(kibibytes: u64) -> String {
    format!(
        "{}.{} MiB",
        kibibytes / 1_024,
        kibibytes % 1_024 * 10 / 1_024
    )
}

/// Until every PlanescapeJob has its status and nothing more is written.
async fn settle(control_plane: &ControlPlane, size: u32) -> Result<()> {
    let mut before = 0;
    loop {
        tokio::time::sleep(Duration::from_secs(10)).await;
        let calls = control_plane.calls()?;
        let calls = calls.iter().filter(|call| {
            call.is_operators() && call.is_write() && call.object.resource != "leases"
        });
        let writes = calls.count();
        if writes == before && writes >= usize::try_from(size)? {
            return Ok(());
        }
        before = writes;
    }
}

async fn until_decided(client: &Client, started: Instant) -> Result<Duration> {
    let kind = planescape_job();
    let jobs: Api<DynamicObject> = Api::namespaced_with(client.clone(), NAMESPACE, &kind);
    loop {
        let job = jobs.get(FIRST).await?;
        if job.data["status"]["lastScheduleTime"].is_string() {
            return Ok(started.elapsed());
        }
        ensure!(started.elapsed().as_secs() < 300, "nothing is decided");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn start_operator(cluster: &Cluster, program: &Path, name: &str) -> Result<Server> {
    let mut command = Command::new(program);
    command
        .args(["operator", "--namespace", NAMESPACE])
        .args(["--listen", "127.0.0.1:0", "--leader-elect=false"])
        .args(["--vault-address", "https://vault.example:8200"])
        .env("KUBECONFIG", cluster.control_plane.kubeconfig(User::Admin));
    Server::start(&format!("operator-{name}"), &command, cluster.run.path())
}

async fn create_all_of(client: &Client, number: u32) -> Result<()> {
    let object = recurring(number);
    let uid = create_job(client, &object).await?;
    for (age, succeeds) in [(4, false), (3, true), (2, true), (NEWEST, true)] {
        create_run(client, &object, &uid, (age, succeeds)).await?;
    }
    Ok(())
}

async fn create_job(client: &Client, object: &Value) -> Result<String> {
    let kind = planescape_job();
    let jobs: Api<DynamicObject> = Api::namespaced_with(client.clone(), NAMESPACE, &kind);
    let object = serde_json::from_value(object.clone())?;
    let created = jobs.create(&PostParams::default(), &object).await?;
    created.metadata.uid.context("a UID")
}

/// A run that is over and recorded: its Job without our finalizer, and its pod.
async fn create_run(
    client: &Client,
    owner: &Value,
    uid: &str,
    (days, succeeds): (i64, bool),
) -> Result<()> {
    let owner_name = owner["metadata"]["name"].as_str().context("a name")?;
    let tick = 1_774_980_000 - days * 86_400;
    let name = format!("{owner_name}-{}", tick / 60);
    let at = jiff::Timestamp::from_second(tick)?.to_string();
    let labels = json!({
        "planescape.io/job": owner_name, "planescape.io/run-uid": format!("{uid}-{tick}"),
        "job-name": owner_name,
    });
    let template = &owner["spec"]["jobTemplate"]["spec"]["template"];
    let mut pod_spec = template["spec"].clone();
    pod_spec["restartPolicy"] = json!("Never");
    let job = json!({
        "metadata": {
            "name": name, "labels": labels,
            "annotations": { "planescape.io/scheduled-at": at },
            "ownerReferences": [owner_reference("planescape.io/v1alpha1", "PlanescapeJob", owner_name, uid)],
        },
        "spec": {
            "manualSelector": true,
            "selector": { "matchLabels": { "planescape.io/run-uid": labels["planescape.io/run-uid"] } },
            "template": { "metadata": { "labels": labels }, "spec": pod_spec },
        },
    });
    let condition =
        |kind: &str| json!({ "type": kind, "status": "True", "lastTransitionTime": at });
    let status = if succeeds {
        json!({ "succeeded": 1, "startTime": at, "completionTime": at,
            "conditions": [condition("SuccessCriteriaMet"), condition("Complete")] })
    } else {
        json!({ "failed": 1, "startTime": at,
            "conditions": [condition("FailureTarget"), condition("Failed")] })
    };
    let jobs: Api<Job> = Api::namespaced(client.clone(), NAMESPACE);
    let options = PostParams::default();
    let created = jobs.create(&options, &serde_json::from_value(job)?).await?;
    let ends = Patch::Merge(json!({ "status": status }));
    jobs.patch_status(&name, &PatchParams::default(), &ends)
        .await?;
    let job_uid = created.metadata.uid.context("a UID")?;
    let mut pod = json!({
        "metadata": {
            "name": format!("{name}-abcde"), "labels": labels,
            "ownerReferences": [owner_reference("batch/v1", "Job", &name, &job_uid)],
        },
        "spec": pod_spec,
    });
    let pods: Api<Pod> = Api::namespaced(client.clone(), NAMESPACE);
    if days > NEWEST {
        pod["metadata"]["labels"]["job-name"] = json!(name);
    }
    let created = pods.create(&options, &serde_json::from_value(pod)?).await?;
    let phase = if succeeds { "Succeeded" } else { "Failed" };
    let ends = Patch::Merge(json!({ "status": { "phase": phase } }));
    let name = created.metadata.name.context("a name")?;
    pods.patch_status(&name, &PatchParams::default(), &ends)
        .await?;
    Ok(())
}

fn owner_reference(version: &str, kind: &str, name: &str, uid: &str) -> Value {
    json!({ "apiVersion": version, "kind": kind, "name": name, "uid": uid,
        "controller": true, "blockOwnerDeletion": true })
}

fn planescape_job() -> ApiResource {
    let kind = GroupVersionKind::gvk("planescape.io", "v1alpha1", "PlanescapeJob");
    ApiResource::from_gvk(&kind)
}

/// A PlanescapeJob like the guide's for a database, once a year, and as large as people's manifests are.
fn recurring(number: u32) -> Value {
    let template = "{{- with secret \"database/creds/readonly\" -}}\nexport PGUSER=\"{{ .Data.username }}\"\n{{- end -}}";
    let mut object = json!({
        "apiVersion": "planescape.io/v1alpha1",
        "kind": "PlanescapeJob",
        "metadata": { "name": format!("database-job-{number}"), "namespace": NAMESPACE },
        "spec": {
            "schedule": format!("{} {} 1 1 *", number % 60, number / 60 % 24),
            "timeZone": "Europe/Berlin",
            "concurrencyPolicy": "Forbid",
            "jobTemplate": { "spec": { "template": {
                "metadata": { "annotations": {
                    "vault.hashicorp.com/agent-inject": "true",
                    "vault.hashicorp.com/role": "database-reader",
                    "vault.hashicorp.com/agent-inject-secret-db": "database/creds/readonly",
                    "vault.hashicorp.com/agent-inject-template-db": template,
                } },
                "spec": { "containers": [{
                    "name": "db-query", "image": "postgres:15-alpine", "command": ["/bin/sh"],
                    "args": ["-c", "source /vault/secrets/db\npsql -h postgresql -d planescape -c 'SELECT 1'"],
                    "env": [],
                    "resources": { "limits": { "memory": "128Mi", "cpu": "500m" } },
                }] },
            } } },
        },
    });
    // The copy that `kubectl apply` keeps doubles it.
    while object.to_string().len() < BYTES / 2 {
        let env = "/spec/jobTemplate/spec/template/spec/containers/0/env";
        let env = object.pointer_mut(env).and_then(Value::as_array_mut);
        if let Some(env) = env {
            let variable = format!("SETTING_{}", env.len());
            env.push(json!({ "name": variable, "value": "as it is set in production" }));
        }
    }
    let applied = object.to_string();
    object["metadata"]["annotations"] =
        json!({ "kubectl.kubernetes.io/last-applied-configuration": applied });
    object
}

fn once() -> Value {
    json!({
        "apiVersion": "planescape.io/v1alpha1",
        "kind": "PlanescapeJob",
        "metadata": { "name": FIRST, "namespace": NAMESPACE },
        "spec": { "schedule": "@once", "jobTemplate": { "spec": { "template": { "spec": {
            "containers": [{ "name": "main", "image": "busybox:1.35" }],
        } } } } },
    })
}

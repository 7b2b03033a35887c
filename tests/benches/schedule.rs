//! How late runs start when many are due at the same minute: our operator and Kubernetes' own CronJobs,
//! in turns on one control plane. Their Jobs are suspended, so that no pod is in the way.
//!
//! ```text
//! cargo bench -p planescape-tests --bench schedule
//! ```

#![expect(clippy::print_stdout, reason = "it reports to a terminal")]

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::batch::v1::Job;
use kube::api::{ApiResource, DynamicObject, ListParams, PostParams, WatchEvent, WatchParams};
use kube::core::GroupVersionKind;
use kube::{Api, Client};
use planescape_tests::control_plane::{ControlPlane, User};
use planescape_tests::process::Server;
use planescape_tests::programs::Program;
use planescape_tests::testbed::Cluster;
use serde_json::{Value, json};

const SIZES: [u32; 3] = [100, 1_000, 5_000];

const RESOURCE_DEFINITION: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../deploy/10-planescapejobs.yaml"
);

/// The API server takes this many new objects at once.
const WRITERS: usize = 16;

/// In seconds; the API server ends a watch after five minutes.
const LONGEST_WATCH: u32 = 280;

/// What starts Jobs.
#[derive(Clone, Copy)]
enum Side {
    PlanescapeJob,
    CronJob,
}

/// How long after the minute each Job was there, the earliest first; and how many there should be.
struct Delays(Vec<SignedDuration>, usize);

#[tokio::main]
async fn main() -> Result<()> {
    let cluster = Cluster::start().await?;
    let control_plane = &cluster.control_plane;
    let define = ["apply", "--server-side", "-f", RESOURCE_DEFINITION];
    control_plane.kubectl(&define).await?;
    let established = ["wait", "--for=condition=Established", "crd", "--all"];
    control_plane.kubectl(&established).await?;
    let cores = thread::available_parallelism()?;
    println!("{cores} cores; from the minute until the Job is there");
    println!("| Due at once | Of | Half | 99 % | All | Operator's CPU | memory |");
    println!("| ---: | --- | ---: | ---: | ---: | ---: | ---: |");
    for size in SIZES {
        let theirs = measure(control_plane, Side::CronJob, size).await?;
        println!("| {size} | CronJob | {} | | |", theirs.row());
        let operator = start_operator(&cluster, size)?;
        let ours = measure(control_plane, Side::PlanescapeJob, size).await?;
        let cost = cost(&operator)?;
        println!("| {size} | PlanescapeJob | {} | {cost} |", ours.row());
    }
    Ok(())
}

/// Makes objects that are due together, and watches their Jobs appear.
async fn measure(control_plane: &ControlPlane, side: Side, size: u32) -> Result<Delays> {
    let namespace = side.namespace(size);
    let create = ["create", "namespace", &namespace];
    control_plane.kubectl(&create).await?;
    let client = control_plane.client().await?;
    let tick = due(size)?;
    let objects = Api::<DynamicObject>::namespaced_with(client.clone(), &namespace, &side.kind());
    stream::iter(0..size)
        .map(|number| create_one(&objects, side, number, tick))
        .buffer_unordered(WRITERS)
        .try_collect::<()>()
        .await?;
    ensure!(
        Timestamp::now() < tick,
        "{size} objects take too long to make"
    );
    let delays = watch(client, &namespace, tick, size).await?;
    let delete = ["delete", "namespace", &namespace, "--wait=false"];
    control_plane.kubectl(&delete).await?;
    Ok(delays)
}

/// A minute by which so many objects are made and known.
fn due(size: u32) -> Result<Timestamp> {
    let preparation = SignedDuration::from_secs(60 + i64::from(size) / 20);
    let earliest = Timestamp::now() + preparation;
    let minutes = earliest.as_second().div_euclid(60) + 1;
    Ok(Timestamp::from_second(minutes * 60)?)
}

async fn create_one(
    objects: &Api<DynamicObject>,
    side: Side,
    number: u32,
    tick: Timestamp,
) -> Result<()> {
    let object = serde_json::from_value(side.object(number, tick))?;
    objects.create(&PostParams::default(), &object).await?;
    Ok(())
}

async fn watch(client: Client, namespace: &str, tick: Timestamp, size: u32) -> Result<Delays> {
    let jobs: Api<Job> = Api::namespaced(client, namespace);
    let wait = tick.duration_since(Timestamp::now()) - SignedDuration::from_secs(2);
    tokio::time::sleep(Duration::try_from(wait).unwrap_or_default()).await;
    let before = jobs.list(&ListParams::default()).await?;
    ensure!(before.items.is_empty(), "a Job is there before its minute");
    let version = before.metadata.resource_version.unwrap_or_default();
    let parameters = WatchParams::default().timeout(LONGEST_WATCH);
    let expected = usize::try_from(size)?;
    let mut changes = Box::pin(jobs.watch(&parameters, &version).await?);
    let mut seen = BTreeSet::new();
    let mut delays = Vec::new();
    while let Some(change) = changes.try_next().await? {
        if let WatchEvent::Added(job) = change
            && seen.insert(job.metadata.name)
        {
            delays.push(Timestamp::now().duration_since(tick));
        }
        if delays.len() == expected {
            break;
        }
    }
    Ok(Delays(delays, expected))
}

impl Side {
    fn namespace(self, size: u32) -> String {
        match self {
            Self::PlanescapeJob => format!("ours-{size}"),
            Self::CronJob => format!("theirs-{size}"),
        }
    }

    fn kind(self) -> ApiResource {
        ApiResource::from_gvk(&match self {
            Self::PlanescapeJob => {
                GroupVersionKind::gvk("planescape.io", "v1alpha1", "PlanescapeJob")
            }
            Self::CronJob => GroupVersionKind::gvk("batch", "v1", "CronJob"),
        })
    }

    fn object(self, number: u32, tick: Timestamp) -> Value {
        let kind = self.kind();
        let schedule = tick.to_zoned(TimeZone::UTC).strftime("%-M %-H * * *");
        json!({
            "apiVersion": kind.api_version,
            "kind": kind.kind,
            "metadata": { "name": format!("job-{number}") },
            "spec": { "schedule": schedule.to_string(), "timeZone": "Etc/UTC", "jobTemplate": { "spec": {
                "suspend": true,
                "template": { "spec": {
                    "restartPolicy": "Never",
                    "containers": [{ "name": "main", "image": "busybox:1.35" }],
                } },
            } } },
        })
    }
}

fn start_operator(cluster: &Cluster, size: u32) -> Result<Server> {
    let mut command = Command::new(Program::Operator.build()?);
    let kubeconfig = cluster.control_plane.kubeconfig(User::Admin);
    command
        .arg("operator")
        .args(["--namespace", &Side::PlanescapeJob.namespace(size)])
        .args(["--listen", "127.0.0.1:0"])
        .env("KUBECONFIG", kubeconfig);
    Server::start(&format!("operator-{size}"), &command, cluster.run.path())
}

/// CPU time and largest memory since the operator started.
fn cost(operator: &Server) -> Result<String> {
    let id = operator.id().context("the operator has ended")?;
    let stat = fs::read_to_string(format!("/proc/{id}/stat"))?;
    let (_, fields) = stat.rsplit_once(')').context("a name in brackets")?;
    let ticks: Vec<u64> = fields
        .split_whitespace()
        .skip(11)
        .take(2)
        .map(str::parse)
        .collect::<Result<_, _>>()?;
    let status = fs::read_to_string(format!("/proc/{id}/status"))?;
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let peak: u64 = peak
        .and_then(|peak| peak.split_whitespace().next())
        .context("a peak of memory")?
        .parse()?;
    // The kernel counts hundredths of a second.
    let seconds = ticks.iter().sum::<u64>() / 100;
    Ok(format!("{seconds} s | {} MiB", peak / 1024))
}

impl Delays {
    fn row(&self) -> String {
        let at = |share: usize| {
            let last = (self.1 * share).div_ceil(100).saturating_sub(1);
            match self.0.get(last) {
                Some(delay) => format!("{:.2} s", delay.as_secs_f64()),
                None => format!("over {LONGEST_WATCH} s"),
            }
        };
        [50, 99, 100].map(at).join(" | ")
    }
}

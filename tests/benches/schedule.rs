//! How late runs start when many are due at the same minute: our operator and Kubernetes' own CronJobs,
//! in turns on one control plane. Their Jobs are suspended, so that no pod is in the way.
//!
//! ```text
//! cargo bench -p planescape-tests --bench schedule
//! cargo bench -p planescape-tests --bench schedule -- 1000 --ours
//! ```
//!
//! Times and numbers of calls come from the API server's audit log.

#![expect(clippy::print_stdout, reason = "it reports to a terminal")]

use std::collections::BTreeMap;
use std::process::Command;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use kube::Api;
use kube::api::{ApiResource, DynamicObject, PostParams};
use kube::core::GroupVersionKind;
use planescape_tests::control_plane::audit::Call;
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

/// How long Jobs are waited for.
const LONGEST: SignedDuration = SignedDuration::from_mins(5);

/// Between two looks at the audit log, which cost as much as many calls.
const LOOK: Duration = Duration::from_secs(10);

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
    // It fails as long as there is no condition at all.
    while control_plane.kubectl(&established).await.is_err() {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let cores = thread::available_parallelism()?;
    println!("{cores} cores; from the minute until the API server has the Job");
    println!(
        "| Due at once | Of | First | Half | 99 % | All | Operator's CPU | memory before | at most |"
    );
    println!("| ---: | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |");
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let mut sizes: Vec<u32> = arguments.iter().flat_map(|it| it.parse()).collect();
    if sizes.is_empty() {
        sizes.extend(SIZES);
    }
    for size in sizes {
        if !arguments.iter().any(|it| it == "--ours") {
            let tick = prepare(control_plane, Side::CronJob, size).await?;
            let theirs = wait_for_jobs(control_plane, Side::CronJob, tick, size).await?;
            println!("| {size} | CronJob | {} | | | |", theirs.row());
            clear(control_plane, Side::CronJob, size).await?;
        }
        let mut operator = start_operator(&cluster, size)?;
        let tick = prepare(control_plane, Side::PlanescapeJob, size).await?;
        let wait = tick.duration_since(Timestamp::now()) - SignedDuration::from_secs(2);
        tokio::time::sleep(Duration::try_from(wait).unwrap_or_default()).await;
        let idle = operator.memory()?.now / 1_024;
        let ours = wait_for_jobs(control_plane, Side::PlanescapeJob, tick, size).await?;
        settle(control_plane).await?;
        ensure!(
            operator.is_running(),
            "the operator has ended: {}",
            operator.last_words()
        );
        let cost = format!(
            "{:.1} s | {idle} MiB | {} MiB",
            operator.processor_time()?.as_secs_f64(),
            operator.memory()?.most / 1_024
        );
        println!("| {size} | PlanescapeJob | {} | {cost} |", ours.row());
        print_calls(control_plane, size)?;
        clear(control_plane, Side::PlanescapeJob, size).await?;
    }
    Ok(())
}

/// Waits until the operator has nothing left to write.
async fn settle(control_plane: &ControlPlane) -> Result<()> {
    let mut before = 0;
    loop {
        tokio::time::sleep(LOOK).await;
        let calls = control_plane.calls()?;
        let writes = calls.iter().filter(|call| is_of_a_run(call)).count();
        if writes == before {
            return Ok(());
        }
        before = writes;
    }
}

fn is_of_a_run(call: &Call) -> bool {
    call.is_operators() && call.is_write() && call.object.resource != "leases"
}

/// What the operator asked from the minute on, per run.
fn print_calls(control_plane: &ControlPlane, size: u32) -> Result<()> {
    let namespace = Side::PlanescapeJob.namespace(size);
    let calls = control_plane.calls()?;
    let is_job = |call: &&Call| call.kind() == "create jobs" && call.object.namespace == namespace;
    let ticks = calls.iter().filter(is_job).map(|call| call.at).min();
    let tick = ticks.context("no Job was made")? - SignedDuration::from_secs(2);
    let mut counts: BTreeMap<String, u32> = BTreeMap::new();
    for call in calls
        .iter()
        .filter(|call| call.is_operators() && call.at > tick)
    {
        if call.object.resource != "leases" && call.verb != "watch" {
            *counts.entry(call.kind()).or_default() += 1;
        }
    }
    for (kind, count) in counts {
        println!(
            "  {kind}: {count}, {:.2} a run",
            f64::from(count) / f64::from(size)
        );
    }
    Ok(())
}

/// Makes objects that are due together; when that is.
async fn prepare(control_plane: &ControlPlane, side: Side, size: u32) -> Result<Timestamp> {
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
    Ok(tick)
}

async fn clear(control_plane: &ControlPlane, side: Side, size: u32) -> Result<()> {
    let namespace = side.namespace(size);
    let delete = ["delete", "namespace", &namespace, "--wait=false"];
    control_plane.kubectl(&delete).await?;
    Ok(())
}

/// A minute by which so many objects are made and known.
fn due(size: u32) -> Result<Timestamp> {
    let preparation = SignedDuration::from_secs(20 + i64::from(size) / 25);
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

/// Looks at the audit log now and then: a watch of ours would take its share of the machine.
async fn wait_for_jobs(
    control_plane: &ControlPlane,
    side: Side,
    tick: Timestamp,
    size: u32,
) -> Result<Delays> {
    let namespace = side.namespace(size);
    let expected = usize::try_from(size)?;
    let wait = tick.duration_since(Timestamp::now()) + SignedDuration::from_secs(5);
    tokio::time::sleep(Duration::try_from(wait).unwrap_or_default()).await;
    loop {
        let calls = control_plane.calls()?;
        let made = calls.iter().filter(|call| {
            call.kind() == "create jobs"
                && call.object.namespace == namespace
                && call.answer.code == 201
        });
        let mut delays: Vec<SignedDuration> =
            made.map(|call| call.at.duration_since(tick)).collect();
        delays.sort();
        let is_late = Timestamp::now().duration_since(tick) > LONGEST;
        if delays.len() >= expected || is_late {
            let first = delays.first().is_none_or(|first| !first.is_negative());
            ensure!(first, "a Job is there before its minute");
            return Ok(Delays(delays, expected));
        }
        tokio::time::sleep(LOOK).await;
    }
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

impl Delays {
    fn row(&self) -> String {
        let first = self.0.first().copied().unwrap_or_default();
        let at = |share: usize| {
            let last = (self.1 * share).div_ceil(100).saturating_sub(1);
            match self.0.get(last) {
                Some(delay) => format!("{:.2} s", delay.as_secs_f64()),
                None => format!("over {:.0} s", LONGEST.as_secs_f64()),
            }
        };
        let row = [50, 99, 100].map(at).join(" | ");
        format!("{:.2} s | {row}", first.as_secs_f64())
    }
}

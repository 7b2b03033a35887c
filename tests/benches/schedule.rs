//! How late runs start when many are due at the same minute: our operator and Kubernetes' own CronJobs,
//! in turns on one control plane. Their Jobs are suspended, so that no pod is in the way; before the next minute they are
//! ended as a Job controller would, so that what a run costs is counted to its end.
//!
//! ```text
//! cargo bench -p planescape-tests --bench schedule
//! cargo bench -p planescape-tests --bench schedule -- 1000 --ours
//! cargo bench -p planescape-tests --bench schedule -- 5000 --namespaces=100 --policy=Forbid --ticks=5
//! ```
//!
//! It prints the worst of several ticks. Times and numbers of calls come from the API server's audit log.

#![expect(clippy::print_stdout, reason = "it reports to a terminal")]

use std::collections::BTreeMap;
use std::fmt;
use std::process::Command;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::batch::v1::Job;
use kube::api::{ApiResource, DynamicObject, ListParams, Patch, PatchParams, PostParams};
use kube::core::GroupVersionKind;
use kube::{Api, Client};
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
const LONGEST: SignedDuration = SignedDuration::from_mins(15);

/// Between two looks at the audit log, which cost as much as many calls.
const LOOK: Duration = Duration::from_secs(10);

/// The kinds of object that start Jobs.
#[derive(Clone, Copy)]
enum Side {
    PlanescapeJob,
    CronJob,
}

/// How many are due, where, how often, and what they do about each other.
#[derive(Clone, Copy)]
struct Load {
    size: u32,
    namespaces: u32,
    ticks: u32,
    policy: &'static str,
}

/// How long after the minute each Job was there, the earliest first; and how many there should be.
#[derive(Clone)]
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
    println!("| Due at once | Of | First | Half | 99 % | All | Operator's CPU | Memory at most |");
    println!("| ---: | --- | ---: | ---: | ---: | ---: | ---: | ---: |");
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let option = |name: &str| arguments.iter().find_map(|it| it.strip_prefix(name));
    let number = |name: &str| option(name).map_or(Ok(1), str::parse);
    let mut sizes: Vec<u32> = arguments.iter().flat_map(|it| it.parse()).collect();
    if sizes.is_empty() {
        sizes.extend(SIZES);
    }
    for size in sizes {
        let load = Load {
            size,
            namespaces: number("--namespaces=")?,
            ticks: number("--ticks=")?,
            policy: match option("--policy=") {
                None | Some("Allow") => "Allow",
                Some("Forbid") => "Forbid",
                Some(other) => bail!("--policy={other}: write Allow or Forbid"),
            },
        };
        if !arguments.iter().any(|it| it == "--ours") {
            let theirs = measure(control_plane, Side::CronJob, load).await?;
            println!("| {load} | CronJob | {} | | |", theirs.row());
            clear(control_plane, Side::CronJob, load).await?;
        }
        measure_ours(&cluster, load).await?;
        clear(control_plane, Side::PlanescapeJob, load).await?;
    }
    Ok(())
}

async fn measure_ours(cluster: &Cluster, load: Load) -> Result<()> {
    let control_plane = &cluster.control_plane;
    let mut operator = start_operator(cluster, load)?;
    let ours = measure(control_plane, Side::PlanescapeJob, load).await?;
    ensure!(
        operator.is_running(),
        "the operator has ended: {}",
        operator.last_words()
    );
    let cost = format!(
        "{:.1} s | {} MiB",
        operator.processor_time()?.as_secs_f64(),
        operator.memory()?.most / 1_024
    );
    println!("| {load} | PlanescapeJob | {} | {cost} |", ours.row());
    print_calls(control_plane, load)
}

/// The worst of all ticks.
async fn measure(control_plane: &ControlPlane, side: Side, load: Load) -> Result<Delays> {
    let first = prepare(control_plane, side, load).await?;
    let mut worst: Option<Delays> = None;
    for number in 0..load.ticks {
        let tick = first + SignedDuration::from_mins(i64::from(number * load.spacing(side)));
        let delays = wait_for_jobs(control_plane, side, tick, load).await?;
        settle(control_plane).await?;
        finish(control_plane, side, load).await?;
        settle(control_plane).await?;
        let is_worse = |before: &Delays| delays.last() > before.last();
        if worst.as_ref().is_none_or(is_worse) {
            worst = Some(delays);
        }
    }
    worst.context("no tick")
}

/// Ends every Job as the Job controller would.
async fn finish(control_plane: &ControlPlane, side: Side, load: Load) -> Result<()> {
    let client = control_plane.client().await?;
    let all: Api<Job> = Api::all(client.clone());
    let jobs = all.list(&ListParams::default()).await?;
    let prefix = side.prefix(load);
    let is_open = |job: &Job| {
        let status = job.status.as_ref();
        status.is_none_or(|status| status.completion_time.is_none())
    };
    let of_side = jobs.into_iter().filter(|job| {
        let namespace = job.metadata.namespace.as_deref();
        is_open(job) && namespace.is_some_and(|namespace| namespace.starts_with(&prefix))
    });
    stream::iter(of_side)
        .map(|job| finish_one(client.clone(), job))
        .buffer_unordered(WRITERS)
        .try_collect()
        .await
}

async fn finish_one(client: Client, job: Job) -> Result<()> {
    let now = Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    let condition =
        |kind: &str| json!({ "type": kind, "status": "True", "lastTransitionTime": now });
    let status = json!({
        "succeeded": 1, "startTime": now, "completionTime": now,
        "conditions": [condition("SuccessCriteriaMet"), condition("Complete")],
    });
    let namespace = job.metadata.namespace.context("a namespace")?;
    let name = job.metadata.name.context("a name")?;
    let jobs: Api<Job> = Api::namespaced(client, &namespace);
    let patch = Patch::Merge(json!({ "status": status }));
    jobs.patch_status(&name, &PatchParams::default(), &patch)
        .await?;
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

/// Prints the operator's calls from the first minute to the end of the last run, per run.
fn print_calls(control_plane: &ControlPlane, load: Load) -> Result<()> {
    let prefix = Side::PlanescapeJob.prefix(load);
    let calls = control_plane.calls()?;
    let is_job =
        |call: &&Call| call.kind() == "create jobs" && call.object.namespace.starts_with(&prefix);
    let ticks = calls.iter().filter(is_job).map(|call| call.at).min();
    let tick = ticks.context("no Job was made")? - SignedDuration::from_secs(2);
    let of_runs: Vec<&Call> = calls
        .iter()
        .filter(|call| call.is_operators() && call.at > tick)
        .filter(|call| call.object.resource != "leases" && call.verb != "watch")
        .collect();
    let mut counts: BTreeMap<String, u32> = BTreeMap::new();
    for call in &of_runs {
        *counts.entry(call.kind()).or_default() += 1;
    }
    let runs = f64::from(load.size * load.ticks);
    for (kind, count) in counts {
        println!("  {kind}: {count}, {:.2} a run", f64::from(count) / runs);
    }
    // Deletions of old runs and events are counted beside.
    let is_beside = |call: &Call| call.object.resource == "events" || call.verb == "delete";
    let writes = of_runs.iter().filter(|call| {
        call.is_write() && !call.is_dry() && !is_beside(call) && call.object.resource != "pods"
    });
    let writes = u32::try_from(writes.count())?;
    println!(
        "  writes to the end of each run: {:.2} a run",
        f64::from(writes) / runs
    );
    Ok(())
}

/// Makes objects that are due together; returns when that is first.
async fn prepare(control_plane: &ControlPlane, side: Side, load: Load) -> Result<Timestamp> {
    for number in 0..load.namespaces {
        let namespace = side.namespace(load, number);
        let create = ["create", "namespace", &namespace];
        control_plane.kubectl(&create).await?;
    }
    let client = control_plane.client().await?;
    let tick = due(load.size)?;
    stream::iter(0..load.size)
        .map(|number| create_one(client.clone(), side, (number, load), tick))
        .buffer_unordered(WRITERS)
        .try_collect::<()>()
        .await?;
    ensure!(
        Timestamp::now() < tick,
        "{} objects take too long to make",
        load.size
    );
    Ok(tick)
}

async fn clear(control_plane: &ControlPlane, side: Side, load: Load) -> Result<()> {
    for number in 0..load.namespaces {
        let namespace = side.namespace(load, number);
        let delete = ["delete", "namespace", &namespace, "--wait=false"];
        control_plane.kubectl(&delete).await?;
    }
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
    client: Client,
    side: Side,
    (number, load): (u32, Load),
    tick: Timestamp,
) -> Result<()> {
    let namespace = side.namespace(load, number % load.namespaces);
    let objects = Api::<DynamicObject>::namespaced_with(client, &namespace, &side.kind());
    let object = serde_json::from_value(side.object((number, load), tick)?)?;
    objects.create(&PostParams::default(), &object).await?;
    Ok(())
}

/// Looks at the audit log now and then: a watch of ours would take its share of the machine.
async fn wait_for_jobs(
    control_plane: &ControlPlane,
    side: Side,
    tick: Timestamp,
    load: Load,
) -> Result<Delays> {
    let prefix = side.prefix(load);
    let expected = usize::try_from(load.size)?;
    let wait = tick.duration_since(Timestamp::now()) + SignedDuration::from_secs(5);
    tokio::time::sleep(Duration::try_from(wait).unwrap_or_default()).await;
    loop {
        let calls = control_plane.calls()?;
        let made = calls.iter().filter(|call| {
            call.kind() == "create jobs"
                && call.object.namespace.starts_with(&prefix)
                && call.answer.code == 201
                && call.at > tick - SignedDuration::from_secs(30)
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
    fn namespace(self, load: Load, number: u32) -> String {
        format!("{}{number}", self.prefix(load))
    }

    /// The start of the names of a load's namespaces.
    fn prefix(self, load: Load) -> String {
        match self {
            Self::PlanescapeJob => format!("ours-{}-", load.size),
            Self::CronJob => format!("theirs-{}-", load.size),
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

    fn object(self, (number, load): (u32, Load), tick: Timestamp) -> Result<Value> {
        let kind = self.kind();
        let spacing = load.spacing(self);
        ensure!(
            spacing * load.ticks <= 60,
            "fewer ticks than {} fit into an hour",
            load.ticks
        );
        let first = tick.to_zoned(TimeZone::UTC).minute();
        let minutes = (0..load.ticks).map(|number| {
            let minute = u32::try_from(first).unwrap_or_default() + number * spacing;
            (minute % 60).to_string()
        });
        let minutes = minutes.collect::<Vec<_>>().join(",");
        Ok(json!({
            "apiVersion": kind.api_version,
            "kind": kind.kind,
            "metadata": { "name": format!("job-{number}") },
            "spec": { "schedule": format!("{minutes} * * * *"), "timeZone": "Etc/UTC",
                "concurrencyPolicy": load.policy, "jobTemplate": { "spec": {
                "suspend": true,
                "template": { "spec": {
                    "restartPolicy": "Never",
                    "containers": [{ "name": "main", "image": "busybox:1.35" }],
                } },
            } } },
        }))
    }
}

fn start_operator(cluster: &Cluster, load: Load) -> Result<Server> {
    let mut command = Command::new(Program::Operator.build()?);
    let kubeconfig = cluster.control_plane.kubeconfig(User::Admin);
    command
        .arg("operator")
        .args(["--listen", "127.0.0.1:0"])
        .env("KUBECONFIG", kubeconfig);
    if load.namespaces == 1 {
        let namespace = Side::PlanescapeJob.namespace(load, 0);
        command.args(["--namespace", &namespace]);
    }
    let name = format!("operator-{}", load.size);
    Server::start(&name, &command, cluster.run.path())
}

impl Load {
    /// Minutes from one tick to the next, which are enough for all Jobs of one, and for their end.
    fn spacing(self, side: Side) -> u32 {
        match side {
            Side::PlanescapeJob => 2 + self.size / 1_000,
            Side::CronJob => 2 + self.size / 200,
        }
    }
}

impl fmt::Display for Load {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            size,
            namespaces,
            policy,
            ..
        } = self;
        match namespaces {
            1 => write!(f, "{size}, {policy}"),
            _ => write!(f, "{size} in {namespaces} namespaces, {policy}"),
        }
    }
}

impl Delays {
    /// When the last of all Jobs was there; if one is missing, a time later than any.
    fn last(&self) -> SignedDuration {
        let last = self.0.last().copied().unwrap_or(SignedDuration::MAX);
        if self.0.len() < self.1 {
            SignedDuration::MAX
        } else {
            last
        }
    }

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

//! An operator that loses each of its writes in turn, the request or the answer, and watches that lose what came: every run
//! starts once, its end is told, and nothing is held.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::batch::v1::Job;
use kube::Api;
use kube::api::ListParams;
use planescape_operator_core::api::PlanescapeJob;
use planescape_operator_core::api::v1alpha1::Outcome;
use planescape_tests::faults::{Fault, Proxy};
use planescape_tests::process::Server;
use planescape_tests::testbed::Cluster;
use serde_json::{Value, json};

use super::crashes::{Created, watch};
use super::network::kubeconfig;
use super::running::{Bed, name, once};
use super::way::{Loss, Way};

/// The next operator is not to wait for the term of one that was killed.
const ALONE: [&str; 3] = [
    "--leader-elect=false",
    "--vault-address",
    "http://vault:8200",
];

/// A run needs four writes, a one-time job one more, and a late run one as well.
const FEWEST_WRITES: usize = 8;

const MOST_WRITES: usize = 40;

const LIMIT: Duration = Duration::from_secs(60);

/// The fate of an operator whose write is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// It is killed, as `kill -9` does, and another one is started.
    Killed,
    /// All its connections are cut, and it goes on.
    Cut,
}

#[tokio::test]
async fn an_operator_that_is_killed_at_any_of_its_writes_starts_each_run_once() {
    at_each_write(Fate::Killed).await.unwrap();
}

#[tokio::test]
async fn an_operator_that_is_cut_off_at_any_of_its_writes_starts_each_run_once() {
    at_each_write(Fate::Cut).await.unwrap();
}

#[tokio::test]
async fn what_came_before_a_watch_is_told_that_it_is_too_old_is_found_by_the_next_list() {
    let cluster = Cluster::shared().await.unwrap();
    let bed = Bed::new(cluster, "expired").await.unwrap();
    let way = Way::start(bed.control_plane(), None).await.unwrap();
    let operator = operator(&bed, "expired", way.address()).unwrap();
    let mut edited = once("edited");
    edited["spec"]["suspend"] = json!(true);
    let mut gone = once("gone");
    // Its Job is held until its end is told.
    gone["spec"]["jobTemplate"]["spec"]["ttlSecondsAfterFinished"] = json!(3_600);
    bed.apply(&edited).await.unwrap();
    bed.apply(&gone).await.unwrap();
    for object in ["pjob/edited", "pjob/gone"] {
        let is_told = |job: &Value| job["status"]["conditions"].is_array();
        bed.until(object, LIMIT, is_told).await.unwrap();
    }
    bed.pod("gone").await.unwrap();
    let held = bed.list("jobs", "job-name=gone").await.unwrap();

    way.hold_watches();
    let resume = r#"{"spec":{"suspend":false}}"#;
    let resume = ["patch", "pjob", "edited", "--type=merge", "-p", resume];
    bed.kubectl(&resume).await.unwrap();
    bed.apply(&once("new")).await.unwrap();
    let delete = ["delete", "pjob", "gone", "--wait=false"];
    bed.kubectl(&delete).await.unwrap();
    tokio::time::sleep(Duration::from_secs(2)).await;
    let unheard = bed.list("jobs", "job-name=new").await.unwrap();
    assert!(unheard.is_empty(), "{unheard:?}");
    way.expire_watches();

    for started in ["edited", "new"] {
        bed.pod(started).await.unwrap();
        let selector = format!("job-name={started}");
        assert_eq!(bed.list("jobs", &selector).await.unwrap().len(), 1);
    }
    let held = format!("job/{}", name(&held[0]));
    let released = ["wait", "--for=delete", &held, "--timeout=60s"];
    let released = bed.kubectl(&released).await;
    released.unwrap_or_else(|error| panic!("{error:#}\n{}", operator.last_words()));
    // The watches of PlanescapeJobs, Jobs and pods.
    assert!(way.expired() >= 3, "{}", way.expired());
}

async fn at_each_write(fate: Fate) -> Result<()> {
    let cluster = Cluster::shared().await?;
    let (requests, answers) = tokio::join!(
        lose_each(cluster, Loss::Request, fate),
        lose_each(cluster, Loss::Answer, fate)
    );
    for writes in [requests, answers] {
        let writes = writes?;
        ensure!(writes >= FEWEST_WRITES, "{writes} writes alone");
    }
    Ok(())
}

/// Loses the first write of an operator, the second of another one, and so on; returns how many there are.
async fn lose_each(cluster: &Cluster, loss: Loss, fate: Fate) -> Result<usize> {
    for number in 1..=MOST_WRITES {
        let lost = lose(cluster, (number, loss), fate).await;
        let lost = lost.with_context(|| format!("write {number}, {loss:?} lost, {fate:?}"))?;
        let Some(write) = lost else {
            return Ok(number - 1);
        };
        eprintln!("write {number:>2}, {loss:?} lost, {fate:?}: each run once ({write})");
    }
    bail!("there is no end to its writes")
}

/// Returns the write that was lost, unless there is none of this number.
async fn lose(
    cluster: &Cluster,
    (number, loss): (usize, Loss),
    fate: Fate,
) -> Result<Option<String>> {
    let bed = Bed::new(cluster, "loses").await?;
    let client = bed.control_plane().client().await?;
    let jobs: Api<Job> = Api::namespaced(client.clone(), &bed.namespace);
    let all: Api<PlanescapeJob> = Api::namespaced(client, &bed.namespace);
    let created = Created::default();
    let watching = tokio::spawn(watch(jobs.clone(), created.clone()));
    make_jobs(&bed).await?;
    let way = Way::start(bed.control_plane(), Some((number, loss))).await?;
    let network = Proxy::start(IpAddr::V4(Ipv4Addr::LOCALHOST), way.address()).await?;
    let first = format!("{}-a", bed.namespace);
    let mut running = operator(&bed, &first, network.address())?;
    let lost = tokio::select! {
        write = way.struck() => Some(write),
        settled = until_settled(&all, &jobs) => {
            settled.with_context(|| running.last_words())?;
            None
        }
    };
    if lost.is_some() {
        match fate {
            Fate::Killed => {
                drop(running);
                let second = format!("{}-b", bed.namespace);
                running = bed.start_another(&second, &ALONE)?;
            }
            // Any setting cuts the open connections.
            Fate::Cut => network.set(Fault::None),
        }
    }
    let settled = until_settled(&all, &jobs).await;
    settled.with_context(|| format!("{lost:?}\n{}", running.last_words()))?;
    // Another one of the same run would come by now.
    tokio::time::sleep(Duration::from_millis(500)).await;
    watching.abort();
    let created = created.lock().expect("nobody panics with it");
    let counts: BTreeMap<&str, usize> = created
        .iter()
        .map(|(name, jobs)| (name.as_str(), jobs.len()))
        .collect();
    let expected = BTreeMap::from([("late", 1), ("once", 1)]);
    ensure!(counts == expected, "{lost:?}: {created:?}");
    Ok(lost)
}

/// An operator whose way to the API server begins there.
fn operator(bed: &Bed<'_>, name: &str, server: SocketAddr) -> Result<Server> {
    let kubeconfig = kubeconfig(bed, name, &format!("http://{server}"))?;
    bed.start_another_with(name, &kubeconfig, &ALONE)
}

/// A one-time job, and one under Forbid of which one run is late.
async fn make_jobs(bed: &Bed<'_>) -> Result<()> {
    let now = Timestamp::now().as_second();
    let tick = now - now.rem_euclid(60) - 120;
    let (hour, minute) = (tick / 3_600 % 24, tick / 60 % 60);
    let schedule = format!("{minute} {hour} * * *");
    let mut late = brief("late");
    late["spec"]["schedule"] = json!(schedule);
    late["spec"]["concurrencyPolicy"] = json!("Forbid");
    bed.apply(&late).await?;
    let since = Timestamp::from_second(tick)? - SignedDuration::from_secs(30);
    let reference = json!({ "schedule": format!("{schedule} UTC"), "since": since.to_string() });
    let status = json!({ "scheduleReference": reference });
    bed.patch_status("pjob/late", &status).await?;
    bed.apply(&brief("once")).await?;
    Ok(())
}

/// Its Job ends by its deadline, without a pod, and goes as soon as it may.
fn brief(name: &str) -> Value {
    let mut job = once(name);
    let spec = &mut job["spec"]["jobTemplate"]["spec"];
    spec["parallelism"] = json!(0);
    spec["activeDeadlineSeconds"] = json!(1);
    spec["ttlSecondsAfterFinished"] = json!(0);
    job
}

/// Returns when the one run of each is told to its end, and no Job is left.
async fn until_settled(all: &Api<PlanescapeJob>, jobs: &Api<Job>) -> Result<()> {
    let everything = ListParams::default();
    let mut seen = Vec::new();
    for _ in 0..LIMIT.as_millis() / 100 {
        let statuses = all.list(&everything).await?.items.into_iter();
        seen = statuses.map(|job| job.status.unwrap_or_default()).collect();
        let is_told = seen
            .iter()
            .all(|status| matches!(&status.runs[..], [run] if run.outcome == Outcome::Failed));
        if is_told && jobs.list(&everything).await?.items.is_empty() {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    bail!("not settled after {LIMIT:?}: {seen:?}")
}

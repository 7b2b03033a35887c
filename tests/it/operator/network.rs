//! Two operators, the API server, and a network between them that goes wrong: every run starts once, and late by no more than
//! it takes the other one to lead.

use std::collections::BTreeMap;
use std::fs;
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::batch::v1::Job;
use kube::Api;
use kube::api::{ListParams, Patch, PatchParams};
use planescape_operator_core::api::PlanescapeJob;
use planescape_operator_core::api::names::{RUN_TRACKING_FINALIZER, RUN_UID_LABEL};
use planescape_operator_core::api::v1alpha1::ConcurrencyPolicy;
use planescape_tests::control_plane::User;
use planescape_tests::faults::{Fault, Proxy};
use planescape_tests::process::Server;
use planescape_tests::testbed::Cluster;
use serde_json::{Value, json};

use super::leading::until_printed;
use super::running::{Bed, once};

const POLICIES: [&str; 3] = ["Allow", "Forbid", "Replace"];

/// PlanescapeJobs with two runs each.
const COUNT: usize = 15;

/// From the first of the two to the second, in seconds. Nothing may last so long that a third is due.
const INTERVAL: i64 = 300;

/// The time until the first runs are there, and both operators have a status to go by.
const PREPARATION: SignedDuration = SignedDuration::from_secs(25);

/// The lease's time, the retry period, and the time of a busy machine.
const TAKE_OVER: SignedDuration = SignedDuration::from_secs(17 + 3);

/// How late a run may be while nothing goes wrong: another may have to make way.
const LATE: SignedDuration = SignedDuration::from_secs(10);

/// The controllers that make others go need some time to find the API server again.
const CONTROLLERS: SignedDuration = SignedDuration::from_secs(20);

const SOON: Duration = Duration::from_secs(20);

/// Every Job that was ever seen: when it was made, by its UID, by its run.
type Made = Arc<Mutex<BTreeMap<String, BTreeMap<String, Timestamp>>>>;

/// Two operators, each behind a network of its own.
struct Pair<'a> {
    bed: Bed<'a>,
    networks: [Proxy; 2],
    leader: Server,
    standby: Server,
    jobs: Api<Job>,
    planescape_jobs: Api<PlanescapeJob>,
    made: Made,
    /// When the second run of each PlanescapeJob is due.
    second: BTreeMap<String, Timestamp>,
    /// A moment before the first of those.
    begins: Timestamp,
}

#[tokio::test]
async fn a_leader_that_is_cut_off_ends_and_the_other_operator_goes_on() {
    let cluster = Cluster::shared().await.unwrap();
    let mut pair = Pair::start(cluster, "leader-cut").await.unwrap();
    pair.make_jobs(2).await.unwrap();
    let begins = pair.until_it_begins().await.unwrap();

    pair.networks[0].set(Fault::BlackHole);
    tokio::time::sleep(Duration::from_secs(20)).await;
    let goes_on = pair.leader.is_running();
    pair.networks[0].set(Fault::None);

    assert!(!goes_on, "it still runs: {}", pair.leader.last_words());
    pair.check(begins + TAKE_OVER).await.unwrap();
}

#[tokio::test]
async fn operators_that_are_both_cut_off_go_on_where_they_were() {
    let cluster = Cluster::shared().await.unwrap();
    let mut pair = Pair::start(cluster, "both-cut").await.unwrap();
    pair.make_jobs(3).await.unwrap();
    let begins = pair.until_it_begins().await.unwrap();

    pair.set_both(Fault::BlackHole);
    tokio::time::sleep(Duration::from_secs(15)).await;
    pair.set_both(Fault::None);

    let back = begins + SignedDuration::from_secs(15);
    pair.check(back + TAKE_OVER).await.unwrap();
}

/// News of that time reaches nobody; work that was known before is done in time all the same.
#[tokio::test]
async fn watches_that_are_silent_for_a_minute_double_nothing_and_lose_nothing() {
    let cluster = Cluster::shared().await.unwrap();
    let mut pair = Pair::start(cluster, "silent").await.unwrap();
    let mut edited = once("edited");
    edited["spec"]["suspend"] = json!(true);
    pair.bed.apply(&edited).await.unwrap();
    pair.make_jobs(6).await.unwrap();
    let begins = pair.until_it_begins().await.unwrap();

    pair.set_both(Fault::Silent);
    let resume = r#"{"spec":{"suspend":false}}"#;
    let resume = ["patch", "pjob", "edited", "--type=merge", "-p", resume];
    pair.bed.kubectl(&resume).await.unwrap();
    pair.bed.apply(&once("new")).await.unwrap();
    tokio::time::sleep(Duration::from_secs(60)).await;
    pair.set_both(Fault::None);

    let back = begins + SignedDuration::from_secs(60);
    pair.check(back + TAKE_OVER).await.unwrap();
}

#[tokio::test]
async fn an_api_server_that_is_killed_and_comes_back_finds_everything_done_once() {
    // Others need theirs.
    let cluster = Cluster::start().await.unwrap();
    let mut pair = Pair::start(&cluster, "restart").await.unwrap();
    pair.make_jobs(3).await.unwrap();
    pair.until_it_begins().await.unwrap();

    cluster.control_plane.kill_api_server();
    tokio::time::sleep(Duration::from_secs(3)).await;
    cluster.control_plane.start_api_server().await.unwrap();

    let back = Timestamp::now() + CONTROLLERS;
    pair.check(back + TAKE_OVER).await.unwrap();
}

impl<'a> Pair<'a> {
    async fn start(cluster: &'a Cluster, name: &str) -> Result<Self> {
        let bed = Bed::new(cluster, name).await?;
        let server = bed.control_plane().address();
        let ip = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let networks = [
            Proxy::start(ip, server).await?,
            Proxy::start(ip, server).await?,
        ];
        let leader = operator(&bed, &format!("{name}-a"), &networks[0])?;
        until_printed(&leader, "leads").await?;
        let standby = operator(&bed, &format!("{name}-b"), &networks[1])?;
        for word in ["ready", "stands by"] {
            until_printed(&standby, word).await?;
        }
        let client = bed.control_plane().client().await?;
        let jobs: Api<Job> = Api::namespaced(client.clone(), &bed.namespace);
        let made = Made::default();
        tokio::spawn(look(jobs.clone(), made.clone()));
        Ok(Self {
            planescape_jobs: Api::namespaced(client, &bed.namespace),
            bed,
            networks,
            leader,
            standby,
            jobs,
            made,
            second: BTreeMap::new(),
            begins: Timestamp::MIN,
        })
    }

    /// PlanescapeJobs as if they had been there for a while: one run of each is due at once, and a second one after all
    /// are prepared, one every so many seconds.
    async fn make_jobs(&mut self, pause: i64) -> Result<()> {
        let names: Vec<String> = (0..COUNT).map(|number| format!("job-{number}")).collect();
        let policies = POLICIES.iter().cycle();
        let all = names.iter().zip(policies);
        let all: Vec<Value> = all.map(|(name, policy)| recurring(name, policy)).collect();
        let list = json!({ "apiVersion": "v1", "kind": "List", "items": all });
        self.bed.apply(&list).await?;
        let is_seen = |job: &PlanescapeJob| {
            let status = job.status.as_ref();
            status.is_some_and(|status| status.schedule_reference.is_some())
        };
        self.until_all("they are seen", is_seen).await?;
        let now = Timestamp::from_second(Timestamp::now().as_second())?;
        self.begins = now + PREPARATION;
        let mut next = self.begins + SignedDuration::from_secs(1);
        for name in names {
            let since = next - SignedDuration::from_secs(INTERVAL + 5);
            let anchor = next - SignedDuration::from_secs(2 * INTERVAL);
            let reference = json!({ "since": since.to_string(), "anchor": anchor.to_string() });
            let patch = Patch::Merge(json!({ "status": { "scheduleReference": reference } }));
            self.planescape_jobs
                .patch_status(&name, &PatchParams::default(), &patch)
                .await?;
            self.second.insert(name, next);
            next += SignedDuration::from_secs(pause);
        }
        let has_run = |job: &PlanescapeJob| {
            let status = job.status.as_ref();
            status.is_some_and(|status| status.last_schedule_time.is_some())
        };
        self.until_all("their first runs are recorded", has_run)
            .await
    }

    /// Waits until it is so of all whose second run is to be watched.
    async fn until_all(&self, what: &str, is_so: impl Fn(&PlanescapeJob) -> bool) -> Result<()> {
        let everything = ListParams::default();
        for _ in 0..SOON.as_millis() / 100 {
            let all = self.planescape_jobs.list(&everything).await?.items;
            let recurring = all.iter().filter(|job| job.spec.schedule != "@once");
            if recurring.filter(|job| is_so(job)).count() == COUNT {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        bail!("not after {SOON:?}: {what}; {}", self.leader.last_words())
    }

    async fn until_it_begins(&self) -> Result<Timestamp> {
        let left = until(self.begins);
        ensure!(!left.is_zero(), "this machine is too slow to prepare it");
        tokio::time::sleep(left).await;
        Ok(self.begins)
    }

    fn set_both(&self, fault: Fault) {
        for network in &self.networks {
            network.set(fault);
        }
    }

    /// Every run has started once, none later than an operator that led since `back` could start it, and nothing is held.
    async fn check(&self, back: Timestamp) -> Result<()> {
        let due = self.due_runs().await?;
        let last = due.values().flatten().max().copied();
        let last = last.context("no run is due")?.max(back);
        while !due.keys().all(|run| self.is_made(run)) && !until(last + LATE).is_zero() {
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        // Another one of the same run would come by now.
        tokio::time::sleep(Duration::from_secs(5)).await;
        let words = format!(
            "{}\n{}",
            self.leader.last_words(),
            self.standby.last_words()
        );
        let made = self.made.lock().expect("nobody panics with it").clone();
        let counts: BTreeMap<&String, usize> =
            made.iter().map(|(run, jobs)| (run, jobs.len())).collect();
        let expected: BTreeMap<&String, usize> = due.keys().map(|run| (run, 1)).collect();
        assert_eq!(counts, expected, "{words}");
        for (run, due) in &due {
            let made = made[run].values().max().copied();
            let (Some(due), Some(made)) = (*due, made) else {
                continue;
            };
            let late = made.duration_since(due.max(back));
            assert!(late <= LATE, "{run} starts at {made}, due {due}\n{words}");
        }
        self.nothing_is_held().await
    }

    /// The label of each run that is due in this test, and the instant of each that is to be watched.
    async fn due_runs(&self) -> Result<BTreeMap<String, Option<Timestamp>>> {
        let mut due = BTreeMap::new();
        for job in self.planescape_jobs.list(&ListParams::default()).await? {
            let uid = job.metadata.uid.context("a UID")?;
            let name = job.metadata.name.context("a name")?;
            let Some(second) = self.second.get(&name) else {
                due.insert(format!("{uid}-once"), None);
                continue;
            };
            let first = second.as_second() - INTERVAL;
            due.insert(format!("{uid}-{first}"), None);
            // The first run goes on: no node has a place for its pod.
            if job.spec.concurrency_policy != Some(ConcurrencyPolicy::Forbid) {
                due.insert(format!("{uid}-{}", second.as_second()), Some(*second));
            }
        }
        Ok(due)
    }

    fn is_made(&self, run: &str) -> bool {
        let made = self.made.lock().expect("nobody panics with it");
        made.contains_key(run)
    }

    /// No Job bears our finalizer once its run is recorded, and each instant of Forbid is skipped and told; all can be deleted.
    async fn nothing_is_held(&self) -> Result<()> {
        let mut held = Vec::new();
        for _ in 0..SOON.as_millis() / 100 {
            let jobs = self.jobs.list(&ListParams::default()).await?.items;
            held = jobs.into_iter().filter(is_held).collect();
            if held.is_empty() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        ensure!(held.is_empty(), "our finalizer is left on {held:?}");
        let is_told = |job: &PlanescapeJob| {
            let skipped = job.status.as_ref().map_or(0, |it| it.skipped.forbid);
            let skips = job.spec.concurrency_policy == Some(ConcurrencyPolicy::Forbid);
            skipped == i64::from(skips)
        };
        self.until_all("skipped once under Forbid, and nowhere else", is_told)
            .await?;
        let delete = ["delete", "pjob", "--all", "--timeout=60s"];
        self.bed.kubectl(&delete).await?;
        for _ in 0..600 {
            if self
                .jobs
                .list(&ListParams::default())
                .await?
                .items
                .is_empty()
            {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        bail!("Jobs are left a minute after their PlanescapeJobs were deleted")
    }
}

/// An operator whose way to the API server leads through a proxy.
fn operator(bed: &Bed<'_>, name: &str, network: &Proxy) -> Result<Server> {
    let server = format!("https://{}", network.address());
    let kubeconfig = kubeconfig(bed, name, &server)?;
    let elects = ["--leader-elect-namespace", &bed.namespace];
    bed.start_another_with(name, &kubeconfig, &elects)
}

/// An administrator's, for a server of this address.
pub(super) fn kubeconfig(bed: &Bed<'_>, name: &str, server: &str) -> Result<PathBuf> {
    let admin = fs::read(bed.control_plane().kubeconfig(User::Admin))?;
    let mut config: Value = serde_json::from_slice(&admin)?;
    config["clusters"][0]["cluster"]["server"] = json!(server);
    let file = format!("{name}.kubeconfig");
    let path = bed.cluster.run.path().join(file);
    fs::write(&path, config.to_string())?;
    Ok(path)
}

fn recurring(name: &str, policy: &str) -> Value {
    let mut job = once(name);
    job["spec"]["schedule"] = json!(format!("@every {INTERVAL}s"));
    job["spec"]["concurrencyPolicy"] = json!(policy);
    job
}

fn is_held(job: &Job) -> bool {
    let mut finalizers = job.metadata.finalizers.iter().flatten();
    finalizers.any(|finalizer| finalizer == RUN_TRACKING_FINALIZER)
}

/// How long it is until then; nothing when it is over.
fn until(instant: Timestamp) -> Duration {
    let left = instant.duration_since(Timestamp::now());
    let milliseconds = u64::try_from(left.as_millis()).unwrap_or(0);
    Duration::from_millis(milliseconds)
}

/// Looks at all Jobs five times a second: none goes as soon as it was made.
async fn look(jobs: Api<Job>, made: Made) {
    loop {
        // The API server may be away.
        let list = jobs.list(&ListParams::default()).await;
        let list = list.map_or_else(|_| Vec::new(), |list| list.items);
        for job in list {
            note(&job, &made);
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

fn note(job: &Job, made: &Made) {
    let labels = job.metadata.labels.as_ref();
    let run = labels.and_then(|labels| labels.get(RUN_UID_LABEL));
    let uid = job.metadata.uid.as_ref();
    let created = job.metadata.creation_timestamp.as_ref();
    if let (Some(run), Some(uid), Some(created)) = (run, uid, created) {
        let mut made = made.lock().expect("nobody panics with it");
        let jobs = made.entry(run.clone()).or_default();
        jobs.insert(uid.clone(), created.0);
    }
}

//! Two operators of which one leads: every run starts once, whoever is killed, stopped or told to end.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use k8s_openapi::api::batch::v1::Job;
use kube::Api;
use nix::sys::signal::Signal;
use planescape_tests::process::Server;
use planescape_tests::testbed::Cluster;
use serde_json::Value;

use super::crashes::{Created, watch};
use super::running::{Bed, once, once_with_secret};

/// The lease duration, the retry period, and the time of a busy machine.
const AFTER_A_CRASH: Duration = Duration::from_secs(17 + 3);

/// Far less than the lease duration.
const AFTER_A_RELEASE: Duration = Duration::from_secs(5);

/// Two operators, a leader and one that is ready to lead, and the Jobs that ever were.
struct Pair<'a> {
    bed: Bed<'a>,
    leader: Option<Server>,
    standby: Server,
    created: Created,
    names: Vec<String>,
}

#[tokio::test]
async fn an_operator_that_is_told_to_end_hands_over_at_once() {
    let mut pair = Pair::start("hand-over").await.unwrap();
    pair.make_jobs(3).await.unwrap();
    let before = pair.holder().await.unwrap();

    let asked = Instant::now();
    pair.signal_leader(Signal::SIGTERM).unwrap();
    pair.make_jobs(3).await.unwrap();
    let holder = pair
        .until_held_by_another(&before, AFTER_A_RELEASE)
        .await
        .unwrap();

    eprintln!(
        "handed over from {before} to {holder} after {:?}",
        asked.elapsed()
    );
    pair.until_leader_has_ended().await.unwrap();
    pair.make_jobs(3).await.unwrap();
    pair.check_each_started_once().await.unwrap();
}

#[tokio::test]
async fn a_killed_leader_is_followed_within_the_leases_time() {
    let mut pair = Pair::start("take-over").await.unwrap();
    pair.make_jobs(3).await.unwrap();
    let before = pair.holder().await.unwrap();

    let killed = Instant::now();
    pair.leader = None;
    pair.make_jobs(3).await.unwrap();
    let holder = pair
        .until_held_by_another(&before, AFTER_A_CRASH)
        .await
        .unwrap();

    eprintln!(
        "taken over from {before} by {holder} after {:?}",
        killed.elapsed()
    );
    pair.make_jobs(3).await.unwrap();
    pair.check_each_started_once().await.unwrap();
}

#[tokio::test]
async fn a_leader_that_stood_still_ends_instead_of_going_on() {
    let mut pair = Pair::start("stopped").await.unwrap();
    pair.make_jobs(3).await.unwrap();
    let before = pair.holder().await.unwrap();

    pair.signal_leader(Signal::SIGSTOP).unwrap();
    pair.make_jobs(3).await.unwrap();
    pair.until_held_by_another(&before, AFTER_A_CRASH)
        .await
        .unwrap();
    tokio::time::sleep(Duration::from_secs(5)).await;
    pair.make_jobs(3).await.unwrap();
    pair.signal_leader(Signal::SIGCONT).unwrap();

    pair.until_leader_has_ended().await.unwrap();
    pair.make_jobs(3).await.unwrap();
    pair.check_each_started_once().await.unwrap();
}

/// Each says another thing of the same PlanescapeJob.
#[tokio::test]
async fn operators_with_other_settings_do_not_write_over_each_other_for_ever() {
    let cluster = Cluster::shared().await.unwrap();
    let bed = Bed::new(cluster, "rivals").await.unwrap();
    let alone = "--leader-elect=false";
    let vault = ["--vault-address", "http://vault:8200", alone];
    let one = bed.start_another("rivals-a", &vault).unwrap();
    let other = bed.start_another("rivals-b", &[alone]).unwrap();
    let mut job = once_with_secret("my-job");
    job["spec"]["suspend"] = true.into();
    bed.apply(&job).await.unwrap();
    let is_told = |job: &Value| job["status"]["conditions"].is_array();
    let soon = Duration::from_secs(15);
    bed.until("pjob/my-job", soon, is_told).await.unwrap();

    let mut versions = BTreeSet::new();
    let started = Instant::now();
    while started.elapsed() < Duration::from_secs(15) {
        let job = bed.get("pjob/my-job").await.unwrap();
        versions.insert(job["metadata"]["resourceVersion"].to_string());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }

    // Three at once, and after pauses of 1, 2, 4 and 8 seconds, of each.
    assert!((3..=20).contains(&versions.len()), "{}", versions.len());
    let words = "is there a second operator?";
    let is_warned = [one, other].iter().any(|it| it.output().contains(words));
    assert!(is_warned, "neither says why");
}

impl<'a> Pair<'a> {
    async fn start(name: &str) -> Result<Self> {
        let cluster = Cluster::shared().await?;
        let bed = Bed::new(cluster, name).await?;
        let created = Created::default();
        let jobs: Api<Job> = Api::namespaced(bed.control_plane().client().await?, &bed.namespace);
        tokio::spawn(watch(jobs, created.clone()));
        let elects = ["--leader-elect-namespace", &bed.namespace];
        let leader = bed.start_another(&format!("{name}-a"), &elects)?;
        until_printed(&leader, "leads").await?;
        let standby = bed.start_another(&format!("{name}-b"), &elects)?;
        for word in ["ready", "stands by"] {
            until_printed(&standby, word).await?;
        }
        Ok(Self {
            bed,
            leader: Some(leader),
            standby,
            created,
            names: Vec::new(),
        })
    }

    async fn make_jobs(&mut self, count: usize) -> Result<()> {
        for _ in 0..count {
            let name = format!("job-{}", self.names.len());
            let mut job = once(&name);
            job["spec"]["jobTemplate"]["spec"]["ttlSecondsAfterFinished"] = 0.into();
            self.bed.apply(&job).await?;
            self.names.push(name);
        }
        Ok(())
    }

    async fn holder(&self) -> Result<String> {
        let lease = format!("lease/planescape-operator-{}", self.bed.namespace);
        let lease: Value = self.bed.get(&lease).await?;
        let holder = lease["spec"]["holderIdentity"].as_str();
        Ok(holder.unwrap_or_default().to_owned())
    }

    async fn until_held_by_another(&self, before: &str, limit: Duration) -> Result<String> {
        let started = Instant::now();
        loop {
            let holder = self.holder().await?;
            if !holder.is_empty() && holder != before {
                return Ok(holder);
            }
            ensure!(started.elapsed() < limit, "nobody leads after {limit:?}");
        }
    }

    fn signal_leader(&self, signal: Signal) -> Result<()> {
        let leader = self.leader.as_ref().context("no leader is left")?;
        leader.signal(signal)
    }

    async fn until_leader_has_ended(&mut self) -> Result<()> {
        let leader = self.leader.as_mut().context("no leader is left")?;
        for _ in 0..500 {
            if !leader.is_running() {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        bail!("it goes on: {}", leader.last_words());
    }

    async fn check_each_started_once(&self) -> Result<()> {
        for name in &self.names {
            self.bed.pod(name).await?;
        }
        let expected: BTreeMap<String, usize> =
            self.names.iter().map(|name| (name.clone(), 1)).collect();
        let created = self.created.lock().expect("nobody panics with it");
        let counts: BTreeMap<String, usize> = created
            .iter()
            .map(|(name, uids)| (name.clone(), BTreeSet::len(uids)))
            .collect();
        assert_eq!(counts, expected, "{}", self.standby.last_words());
        Ok(())
    }
}

pub(super) async fn until_printed(server: &Server, text: &str) -> Result<()> {
    for _ in 0..1_000 {
        if server.output().contains(text) {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    bail!("it does not say {text}: {}", server.last_words());
}

//! Many runs in flight: what the program takes, how often it writes, and what a crash leaves.
//!
//! ```text
//! PLANESCAPE_FLIGHT=1000 cargo test -p planescape-tests --test it credentials::flight -- --nocapture
//! ```

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use planescape_tests::testbed::{Cluster, NAMESPACE};
use serde_json::{Value, json};

use super::place::{ACCOUNT, CREDENTIALS, Place, guides, no_user_but_forgotten_ones};

/// How long the slowest of these may take.
const LONG: Duration = Duration::from_secs(900);

/// How many requests to one Vault are on their way at once: so many leases may be without a record when the program is
/// killed. Their tokens have one.
const AT_ONCE: usize = 16;

#[tokio::test]
async fn a_crash_among_many_runs_leaves_no_lease_when_they_have_ended() {
    let runs = std::env::var("PLANESCAPE_FLIGHT");
    let runs: usize = runs.map_or(40, |runs| runs.parse().unwrap());
    let cluster = Cluster::start().await.unwrap();
    let mut place = Place::without_program(&cluster, "flight").await.unwrap();
    place.let_in().await.unwrap();
    let jobs: Vec<Value> = (0..runs).map(|it| guides(&format!("job-{it}"))).collect();
    for items in jobs.chunks(100) {
        let list = json!({ "apiVersion": "v1", "kind": "List", "items": items });
        place.bed.apply(&list).await.unwrap();
    }
    place.start().await.unwrap();
    println!("| {runs} runs | memory | most of it |");
    until_leases(&cluster, |leases| leases >= runs / 2)
        .await
        .unwrap();
    println!("{}", memory(&place, "half of them are supplied"));

    place.kill();
    place.start().await.unwrap();
    until_supplied(&place, runs).await.unwrap();
    println!(
        "{}",
        memory(&place, "all are supplied, after a crash at half")
    );
    let leases = cluster.vault.leases(CREDENTIALS).await.unwrap().len();
    println!("{leases} leases of {runs} runs");
    assert!((runs..=runs + AT_ONCE).contains(&leases), "{leases} leases");
    println!("{}", writes(&cluster, runs).unwrap());

    place.kill();
    place.start().await.unwrap();
    let started = Instant::now();
    while !place.log().contains("RenewToken") {
        assert!(started.elapsed() < LONG, "{}", place.log());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    tokio::time::sleep(Duration::from_secs(10)).await;
    println!(
        "{}",
        memory(&place, "10 s after a crash with all in flight")
    );

    let delete = ["delete", "pjob", "--all", "--wait=false"];
    place.bed.kubectl(&delete).await.unwrap();
    let started = Instant::now();
    until_leases(&cluster, |leases| leases == 0).await.unwrap();
    println!("no lease {:?} after all were deleted", started.elapsed());
    println!("{}", memory(&place, "all are gone"));
    no_user_but_forgotten_ones(&cluster).await.unwrap();
}

async fn until_leases(cluster: &Cluster, is_so: impl Fn(usize) -> bool) -> Result<()> {
    let started = Instant::now();
    loop {
        let leases = cluster.vault.leases(CREDENTIALS).await?.len();
        if is_so(leases) {
            return Ok(());
        }
        ensure!(started.elapsed() < LONG, "{leases} leases");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

async fn until_supplied(place: &Place<'_>, runs: usize) -> Result<()> {
    let started = Instant::now();
    loop {
        let jobs = place.bed.list("jobs", "planescape.io/job").await?;
        let supplied = jobs.iter().filter(|job| job["spec"]["suspend"] == false);
        let supplied = supplied.count();
        if supplied == runs {
            return Ok(());
        }
        ensure!(started.elapsed() < LONG, "{supplied} are supplied");
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

/// A line with what the program holds, and what it held at most.
fn memory(place: &Place<'_>, when: &str) -> String {
    let memory = |field: &str| {
        let kib = place.memory(field).expect("the program runs");
        format!("{:.1} MiB", kib / 1024.0)
    };
    format!("| {when} | {} | {} |", memory("VmRSS:"), memory("VmHWM:"))
}

/// The calls of the program's account to the API server, by kind, a line each.
fn writes(cluster: &Cluster, runs: usize) -> Result<String> {
    let user = format!("system:serviceaccount:{NAMESPACE}:{ACCOUNT}");
    let calls = cluster.control_plane.calls().context("an audit log")?;
    let mut kinds: BTreeMap<String, usize> = BTreeMap::new();
    for call in calls {
        if call.user.username == user && call.verb != "watch" {
            *kinds.entry(call.kind()).or_default() += 1;
        }
    }
    let lines = kinds.into_iter();
    let lines =
        lines.map(|(kind, count)| format!("| {kind} | {:.2} a run |", count as f64 / runs as f64));
    Ok(lines.collect::<Vec<_>>().join("\n"))
}

//! Many runs at once, and a Vault that goes away in the middle.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use planescape_tests::testbed::Cluster;
use serde_json::{Value, json};

use super::place::{Place, guides};
use crate::operator::running::{condition, name};

const RUNS: usize = 60;

#[tokio::test]
async fn a_storm_loses_no_run_and_doubles_no_login_though_vault_is_sealed_in_the_middle() {
    let cluster = Cluster::start().await.unwrap();
    let namespace = {
        let mut place = Place::without_program(&cluster, "storm").await.unwrap();
        place.let_in().await.unwrap();
        for number in 0..RUNS {
            place
                .bed
                .apply(&guides(&format!("job-{number}")))
                .await
                .unwrap();
        }
        until_made(&place, RUNS).await;
        place.start().await.unwrap();
        while let_go(&place).await.len() < RUNS / 6 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        cluster.vault.seal().await.unwrap();
        tokio::time::sleep(Duration::from_secs(2)).await;
        place.bed.namespace.clone()
    };
    cluster.vault.unseal().await.unwrap();
    let place = Place::again(&cluster, namespace).await.unwrap();

    let started = Instant::now();
    while let_go(&place).await.len() < RUNS {
        assert!(
            started.elapsed() < Duration::from_secs(120),
            "{}",
            place.log()
        );
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    println!("all let go {:?} after Vault was back", started.elapsed());

    let requests = cluster.vault.requests().unwrap();
    let logins = requests.iter();
    let logins = logins.filter(|it| it.is("update", "auth/kubernetes/login") && it.error.is_none());
    let logins = logins.count();
    // A run whose program was killed after a login and before its record logs in once more.
    assert!((RUNS..=RUNS + 16).contains(&logins), "{logins} logins");
    let users = cluster.postgres.vault_roles().await.unwrap().len();
    assert!((RUNS..=RUNS + 32).contains(&users), "{users} users");
}

async fn until_made(place: &Place<'_>, runs: usize) {
    let made = async || place.bed.list("jobs", "planescape.io/job").await;
    while made().await.expect("the API server answers").len() < runs {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// How many runs, and for how many seconds Vault is sealed: `PLANESCAPE_STORM=500:20` for the long way.
fn storm() -> (usize, u64) {
    let asked = std::env::var("PLANESCAPE_STORM").unwrap_or_default();
    let asked = asked.split_once(':');
    let asked = asked.and_then(|(runs, seconds)| Some((runs.parse().ok()?, seconds.parse().ok()?)));
    asked.unwrap_or((60, 2))
}

#[tokio::test]
async fn vault_is_asked_for_no_more_logins_than_it_may_be_and_runs_go_on_when_it_is_back() {
    const RATE: usize = 20;
    let (runs, seconds) = storm();
    let cluster = Cluster::start().await.unwrap();
    let mut place = Place::without_program(&cluster, "bounded").await.unwrap();
    place.let_in().await.unwrap();
    let items: Vec<Value> = (0..runs).map(|it| guides(&format!("job-{it}"))).collect();
    let list = json!({ "apiVersion": "v1", "kind": "List", "items": items });
    place.bed.apply(&list).await.unwrap();
    until_made(&place, runs).await;
    place.start().await.unwrap();
    let started = Instant::now();
    while let_go(&place).await.len() < runs / 3 {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    cluster.vault.seal().await.unwrap();
    let waits = |job: &&Value| condition(job, "Ready").1 == "WaitingForVault";
    let mut waiting = 0;
    for _ in 0..seconds * 2 {
        tokio::time::sleep(Duration::from_millis(500)).await;
        let jobs = place.bed.list("pjob", "").await.unwrap();
        waiting = waiting.max(jobs.iter().filter(waits).count());
    }
    cluster.vault.unseal().await.unwrap();
    let back = Instant::now();

    while let_go(&place).await.len() < runs {
        assert!(back.elapsed() < Duration::from_secs(180), "{}", place.log());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    println!(
        "{runs} runs: all let go {:?} after the start, {:?} after Vault was back; {waiting} waited for it",
        started.elapsed(),
        back.elapsed()
    );
    let requests = cluster.vault.requests().unwrap();
    let logins = requests
        .iter()
        .filter(|it| it.is("update", "auth/kubernetes/login"));
    let mut times: Vec<Timestamp> = logins.clone().map(|it| it.time.parse().unwrap()).collect();
    times.sort();
    let busiest = times.iter().map(|time| {
        let within = |it: &&Timestamp| it.duration_since(*time) < SignedDuration::from_secs(1);
        times
            .iter()
            .filter(|it| *it >= time)
            .take_while(within)
            .count()
    });
    let busiest = busiest.max().unwrap();
    // As many as in two seconds: some came at once, and others followed.
    assert!(busiest <= 2 * RATE, "{busiest} logins in a second");
    let made = logins.filter(|it| it.error.is_none()).count();
    // An answer may be lost while Vault is sealed.
    assert!((runs..=runs + 16).contains(&made), "{made} logins");
    assert!(waiting > 0, "{}", place.log());
    println!(
        "at most {busiest} logins in a second, {} in all",
        times.len()
    );
    let users = cluster.postgres.vault_roles().await.unwrap().len();
    assert!((runs..=runs + 16).contains(&users), "{users} users");
}

async fn let_go(place: &Place<'_>) -> BTreeSet<String> {
    let jobs = place.bed.list("jobs", "planescape.io/job").await;
    let jobs = jobs.expect("Jobs can be listed");
    let jobs = jobs.iter().filter(|job| job["spec"]["suspend"] == false);
    jobs.map(|job| name(job).to_owned()).collect()
}

//! Many runs at once, and a Vault that goes away in the middle.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use planescape_tests::testbed::Cluster;

use super::place::{Place, guides};
use crate::operator::running::name;

const RUNS: usize = 60;

#[tokio::test]
async fn a_storm_loses_no_run_and_doubles_no_login_though_vault_is_sealed_in_the_middle() {
    let mut cluster = Cluster::start().await.unwrap();
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
        while place
            .bed
            .list("jobs", "planescape.io/job")
            .await
            .unwrap()
            .len()
            < RUNS
        {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
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
    // Who was killed after a login and before its record logs in once more.
    assert!((RUNS..=RUNS + 16).contains(&logins), "{logins} logins");
    let users = cluster.postgres.vault_roles().await.unwrap().len();
    assert!((RUNS..=RUNS + 32).contains(&users), "{users} users");
}

async fn let_go(place: &Place<'_>) -> BTreeSet<String> {
    let jobs = place.bed.list("jobs", "planescape.io/job").await;
    let jobs = jobs.expect("Jobs can be listed");
    let jobs = jobs.iter().filter(|job| job["spec"]["suspend"] == false);
    jobs.map(|job| name(job).to_owned()).collect()
}

//! Runs that a queue lets start, as Kueue does: it acts on Jobs that bear its label, and on no others. The queue is the test.

use std::time::{Duration, Instant};

use anyhow::Result;
use planescape_tests::testbed::Cluster;
use serde_json::{Value, json};

use super::guard::as_program;
use super::place::{CREDENTIALS, LIMIT, Place, guides};
use crate::operator::running::condition;

const LABEL: &str = "kueue.x-k8s.io/queue-name";

#[tokio::test]
async fn a_run_with_secrets_waits_in_its_queue_and_keeps_them_when_it_has_to_wait_again() {
    let cluster = Cluster::start().await.unwrap();
    let mut place = Place::without_program(&cluster, "queue").await.unwrap();
    place.let_in().await.unwrap();
    let mut planescape_job = guides("my-job");
    planescape_job["spec"]["jobTemplate"]["metadata"] = json!({ "labels": { LABEL: "reports" } });
    place.bed.apply(&planescape_job).await.unwrap();
    let job = format!("job/{}", place.job("my-job").await.unwrap());

    let before = place.bed.get(&job).await.unwrap();
    assert_eq!(before["metadata"]["labels"][LABEL], Value::Null, "{before}");
    assert_eq!(before["spec"]["suspend"], true, "{before}");

    place.start().await.unwrap();
    let is_queued = |job: &Value| job["metadata"]["labels"][LABEL] == "reports";
    let queued = place.bed.until(&job, LIMIT, is_queued).await;
    let queued = queued.unwrap_or_else(|error| panic!("{error:#}\n{}", place.log()));
    assert_eq!(queued["spec"]["suspend"], true, "{queued}");
    let name = job.trim_start_matches("job/");
    let secret = format!("secret/{name}-vault-db-creds");
    place.bed.get(&secret).await.unwrap();
    let status = place.until_lease("my-job", "Held").await.unwrap();
    assert_eq!(condition(&status, "VaultReady").1, "Supplied", "{status}");
    // It would have let it go with the label.
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(place.bed.get(&job).await.unwrap()["spec"]["suspend"], true);
    assert!(pods(&place).await.unwrap().is_empty());
    let go_round: Vec<String> = ["patch", "job", name, "--type=merge", "-p"]
        .into_iter()
        .chain([r#"{"spec":{"suspend":false}}"#])
        .map(str::to_owned)
        .collect();
    let refused = as_program(&place, &go_round, "").await.unwrap_err();
    assert!(refused.contains("leaves that to its queue"), "{refused}");

    admit(&place, &job, true).await.unwrap();
    place.until_let_go("my-job").await.unwrap();
    // A run of more weight takes its place.
    admit(&place, &job, false).await.unwrap();
    let started = Instant::now();
    while !pods(&place).await.unwrap().is_empty() {
        assert!(started.elapsed() < LIMIT, "the Job controller stops them");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let status = place.until_lease("my-job", "Held").await.unwrap();
    assert_eq!(status["status"]["activeCount"], 1, "{status}");
    assert_eq!(cluster.vault.leases(CREDENTIALS).await.unwrap().len(), 1);
    admit(&place, &job, true).await.unwrap();
    place.end("my-job").await.unwrap();
    place.until_lease("my-job", "Revoked").await.unwrap();

    assert_eq!(cluster.vault.leases(CREDENTIALS).await.unwrap(), [""; 0]);
    let requests = cluster.vault.requests().unwrap();
    let reads = requests.iter().filter(|it| it.is("read", CREDENTIALS));
    assert_eq!(reads.count(), 1, "a run that waits again keeps its user");
}

/// If a namespace has a queue for all Jobs, Kueue puts them into it when they are created.
#[tokio::test]
async fn a_run_that_a_queue_lets_go_too_early_gets_its_secrets_and_stays_in_that_queue() {
    let cluster = Cluster::shared().await.unwrap();
    let mut place = Place::without_program(cluster, "early").await.unwrap();
    place.let_in().await.unwrap();
    let mut planescape_job = guides("my-job");
    planescape_job["spec"]["jobTemplate"]["metadata"] = json!({ "labels": { LABEL: "reports" } });
    place.bed.apply(&planescape_job).await.unwrap();
    let job = format!("job/{}", place.job("my-job").await.unwrap());
    let label = format!("{LABEL}=default");
    place.bed.kubectl(&["label", &job, &label]).await.unwrap();
    admit(&place, &job, true).await.unwrap();
    place.until_let_go("my-job").await.unwrap();

    place.start().await.unwrap();
    let is_supplied =
        |job: &Value| job["metadata"]["annotations"]["planescape.io/supplied"] == "true";
    let supplied = place.bed.until(&job, LIMIT, is_supplied).await;
    let supplied = supplied.unwrap_or_else(|error| panic!("{error:#}\n{}", place.log()));

    assert_eq!(supplied["metadata"]["labels"][LABEL], "default");
    let name = job.trim_start_matches("job/");
    let secret = format!("secret/{name}-vault-db-creds");
    place.bed.get(&secret).await.unwrap();
    place.end("my-job").await.unwrap();
    place.until_lease("my-job", "Revoked").await.unwrap();
}

/// Treats a Job as a queue does: one that has room for it, or one that has none any more.
async fn admit(place: &Place<'_>, job: &str, has_room: bool) -> Result<()> {
    let change = json!({ "spec": { "suspend": !has_room } }).to_string();
    let patch = ["patch", job, "--type=merge", "-p", &change];
    place.bed.kubectl(&patch).await?;
    Ok(())
}

async fn pods(place: &Place<'_>) -> Result<Vec<Value>> {
    place.bed.list("pods", "planescape.io/job=my-job").await
}

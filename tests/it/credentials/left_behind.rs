//! A run whose PlanescapeJob goes without it, and one that loses our label.

use std::time::Duration;

use anyhow::Result;
use planescape_tests::testbed::Cluster;
use planescape_tests::vault::Role;
use serde_json::{Value, json};

use super::place::{LIMIT, Place, guides};

#[tokio::test]
async fn a_run_that_its_planescapejob_leaves_behind_is_held_until_its_lease_is_revoked() {
    let cluster = Cluster::shared().await.unwrap();
    let mut place = Place::new(cluster, "left-behind").await.unwrap();
    let job = held(&place, "left-behind").await.unwrap();
    let delete = ["delete", "pjob", "my-job", "--cascade=orphan"];
    place.bed.kubectl(&delete).await.unwrap();
    // Nobody remembers whose it was.
    place.kill();
    place.start().await.unwrap();
    assert_eq!(leases(cluster, "left-behind").await.unwrap().len(), 1);

    place.end("my-job").await.unwrap();

    until_free(&place, &job).await;
    assert_eq!(leases(cluster, "left-behind").await.unwrap(), [""; 0]);
}

#[tokio::test]
async fn a_run_that_somebody_takes_our_label_off_is_let_go_with_its_lease() {
    let cluster = Cluster::shared().await.unwrap();
    let place = Place::new(cluster, "unlabelled").await.unwrap();
    let job = held(&place, "unlabelled").await.unwrap();

    let label = ["label", "job", &job, "planescape.io/credentials-"];
    place.bed.kubectl(&label).await.unwrap();

    until_free(&place, &job).await;
    place.until_lease("my-job", "Revoked").await.unwrap();
    assert_eq!(leases(cluster, "unlabelled").await.unwrap(), [""; 0]);
    // It would be held anew at once.
    tokio::time::sleep(Duration::from_secs(1)).await;
    let log = place.log();
    assert!(!log.contains("cannot hold a Job"), "{log}");
    assert!(!place.has_record(&job).await.unwrap());
    // Its pods work with revoked credentials: no other token makes that good.
    let label = ["label", "job", &job, "planescape.io/credentials=true"];
    place.bed.kubectl(&label).await.unwrap();
    tokio::time::sleep(Duration::from_secs(2)).await;
    place.until_lease("my-job", "Revoked").await.unwrap();
    assert!(!place.has_record(&job).await.unwrap());
}

/// The Job of a run that has a user of its own role of the database.
async fn held(place: &Place<'_>, role: &'static str) -> Result<String> {
    let role = Role {
        name: role,
        default_ttl: "1h",
        max_ttl: "1h",
    };
    let path = format!("database/creds/{}", role.name);
    let vault = &place.bed.cluster.vault;
    vault.set_database_role(role).await?;
    let mut planescape_job = guides("my-job");
    planescape_job["spec"]["vault"]["secrets"][0]["path"] = json!(path);
    place.bed.apply(&planescape_job).await?;
    let job = place.until_let_go("my-job").await?;
    place.until_lease("my-job", "Held").await?;
    Ok(job)
}

async fn until_free(place: &Place<'_>, job: &str) {
    let is_free = |job: &Value| {
        let finalizers = job["metadata"]["finalizers"].to_string();
        !finalizers.contains("planescape.io/vault-lease")
    };
    let freed = place.bed.until(&format!("job/{job}"), LIMIT, is_free).await;
    freed.unwrap_or_else(|error| panic!("{error:#}\n{}", place.log()));
}

async fn leases(cluster: &Cluster, role: &str) -> Result<Vec<String>> {
    let path = format!("database/creds/{role}");
    cluster.vault.leases(&path).await
}

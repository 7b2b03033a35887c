//! A run whose PlanescapeJob goes without it.

use planescape_tests::testbed::Cluster;
use planescape_tests::vault::Role;
use serde_json::{Value, json};

use super::place::{LIMIT, Place, guides};

const PATH: &str = "database/creds/left-behind";

#[tokio::test]
async fn a_run_that_its_planescapejob_leaves_behind_is_held_until_its_lease_is_revoked() {
    let cluster = Cluster::shared().await.unwrap();
    let mut place = Place::new(cluster, "left-behind").await.unwrap();
    let role = Role {
        name: "left-behind",
        default_ttl: "1h",
        max_ttl: "1h",
    };
    cluster.vault.set_database_role(role).await.unwrap();
    let mut planescape_job = guides("my-job");
    planescape_job["spec"]["vault"]["secrets"][0]["path"] = json!(PATH);
    place.bed.apply(&planescape_job).await.unwrap();
    let job = place.until_let_go("my-job").await.unwrap();
    place.until_lease("my-job", "Held").await.unwrap();
    let delete = ["delete", "pjob", "my-job", "--cascade=orphan"];
    place.bed.kubectl(&delete).await.unwrap();
    // Nobody remembers whose it was.
    place.kill();
    place.start().await.unwrap();
    assert_eq!(cluster.vault.leases(PATH).await.unwrap().len(), 1);

    place.end("my-job").await.unwrap();

    let is_free = |job: &Value| {
        let finalizers = job["metadata"]["finalizers"].to_string();
        !finalizers.contains("planescape.io/vault-lease")
    };
    let freed = place.bed.until(&format!("job/{job}"), LIMIT, is_free).await;
    freed.unwrap_or_else(|error| panic!("{error:#}\n{}", place.log()));
    assert_eq!(cluster.vault.leases(PATH).await.unwrap(), [""; 0]);
}

//! A role whose tokens may not revoke themselves.

use planescape_tests::testbed::Cluster;
use serde_json::json;

use super::place::{Place, guides};

#[tokio::test]
async fn a_token_that_may_not_revoke_itself_is_revoked_by_its_accessor() {
    let cluster = Cluster::shared().await.unwrap();
    let place = Place::new(cluster, "denied").await.unwrap();
    let narrow = json!({ "token_no_default_policy": true });
    cluster.vault.let_runs_in("narrow", &narrow).await.unwrap();
    let mut job = guides("my-job");
    job["spec"]["vault"]["role"] = json!("narrow");
    place.bed.apply(&job).await.unwrap();
    place.until_let_go("my-job").await.unwrap();

    place.end("my-job").await.unwrap();

    place.until_lease("my-job", "Revoked").await.unwrap();
}

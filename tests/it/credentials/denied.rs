//! A role whose tokens may not revoke themselves.

use planescape_tests::testbed::Cluster;
use serde_json::json;

use super::place::{Place, guides};

#[tokio::test]
async fn tokens_that_may_not_revoke_themselves_are_revoked_by_their_accessors() {
    let cluster = Cluster::start().await.unwrap();
    let place = Place::new(&cluster, "denied").await.unwrap();
    let narrow = json!({ "token_no_default_policy": true });
    cluster.vault.let_runs_in("narrow", &narrow).await.unwrap();
    let mut job = guides("my-job");
    job["spec"]["vault"]["role"] = json!("narrow");
    place.bed.apply(&job).await.unwrap();
    place.until_let_go("my-job").await.unwrap();

    place.end("my-job").await.unwrap();

    place.until_lease("my-job", "Revoked").await.unwrap();
    // That of a preflight neither; who revokes them goes on.
    let tokens = cluster.vault.leases("auth/kubernetes/login").await.unwrap();
    assert_eq!(tokens.len(), 1, "{tokens:?}");
}

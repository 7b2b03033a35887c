//! The report about Vault before a first run.

use std::time::{Duration, Instant};

use planescape_tests::testbed::Cluster;
use planescape_tests::vault::Entry;
use serde_json::{Value, json};

use super::place::{CREDENTIALS, LIMIT, Place, guides};
use crate::operator::running::condition;

#[tokio::test]
async fn a_role_that_lets_runs_have_everything_is_tried_once_and_nothing_is_left() {
    let cluster = Cluster::start().await.unwrap();
    let place = Place::new(&cluster, "preflight").await.unwrap();
    place
        .bed
        .apply(&yearly("my-job", &json!({})))
        .await
        .unwrap();

    let told = until(&place, "True", "Ok").await;
    assert!(
        told.contains("preflight-") && told.contains("/default"),
        "{told}"
    );
    let label = r#"{"metadata":{"labels":{"a":"b"}}}"#;
    let patch = ["patch", "pjob", "my-job", "--type=merge", "-p", label];
    place.bed.kubectl(&patch).await.unwrap();
    tokio::time::sleep(Duration::from_secs(3)).await;

    let requests = cluster.vault.requests().unwrap();
    let logins: Vec<&Entry> = (requests.iter())
        .filter(|entry| entry.is("update", "auth/kubernetes/login"))
        .collect();
    assert_eq!(logins.len(), 1, "{requests:?}");
    let own = requests
        .iter()
        .filter(|it| it.accessor == logins[0].accessor);
    let own: Vec<&str> = own.map(|entry| entry.path.as_str()).collect();
    assert_eq!(own.last(), Some(&"auth/token/revoke-self"), "{own:?}");
    assert!(
        own.contains(&"sys/capabilities-self") && !own.contains(&CREDENTIALS),
        "{own:?}"
    );
    let jobs = place.bed.list("jobs", "planescape.io/job").await.unwrap();
    assert!(jobs.is_empty());
}

#[tokio::test]
async fn what_keeps_runs_from_their_secrets_is_told_before_there_is_one() {
    let cluster = Cluster::start().await.unwrap();
    let place = Place::new(&cluster, "lacks").await.unwrap();
    let denied = json!({ "secrets": [
        { "name": "db", "path": "database/roles/readonly", "secretName": "vault-db-creds" },
    ] });
    place.bed.apply(&yearly("my-job", &denied)).await.unwrap();
    let told = until(&place, "False", "PermissionDenied").await;
    assert!(
        told.contains("path \"database/roles/readonly\" { capabilities = [\"read\"] }"),
        "{told}"
    );
    let events = place.bed.events("my-job").await.unwrap();
    let told_of = |(reason, note): &(String, String)| {
        reason == "VaultPermissionDenied" && note.contains("database/roles/readonly")
    };
    assert!(events.iter().any(told_of), "{events:?}");

    let unknown = json!({ "role": "nobody" });
    place.bed.apply(&yearly("other", &unknown)).await.unwrap();
    let says_so = |job: &Value| condition(job, "VaultReady").1 == "RoleNotFound";
    let told = place.bed.until("pjob/other", LIMIT, says_so).await;
    told.unwrap_or_else(|error| panic!("{error:#} {}", place.log()));
}

#[tokio::test]
async fn a_namespace_that_does_not_let_it_in_is_left_alone() {
    let cluster = Cluster::start().await.unwrap();
    let mut place = Place::without_program(&cluster, "closed").await.unwrap();
    place.start().await.unwrap();
    place
        .bed
        .apply(&yearly("my-job", &json!({})))
        .await
        .unwrap();
    tokio::time::sleep(Duration::from_secs(3)).await;

    let job = place.bed.get("pjob/my-job").await.unwrap();
    assert_eq!(condition(&job, "VaultReady").1, "Pending", "{job}");
    let requests = cluster.vault.requests().unwrap();
    let login = |entry: &Entry| entry.is("update", "auth/kubernetes/login");
    assert!(!requests.iter().any(login));
}

#[tokio::test]
async fn a_token_that_may_not_revoke_itself_is_not_left_either() {
    let cluster = Cluster::start().await.unwrap();
    let place = Place::new(&cluster, "narrow").await.unwrap();
    let narrow = json!({ "token_no_default_policy": true });
    cluster.vault.let_runs_in("narrow", &narrow).await.unwrap();
    for name in ["my-job", "other"] {
        let narrow = json!({ "role": "narrow" });
        place.bed.apply(&yearly(name, &narrow)).await.unwrap();
        let resource = format!("pjob/{name}");
        let is_well = |job: &Value| condition(job, "VaultReady").1 == "Ok";
        let told = place.bed.until(&resource, LIMIT, is_well).await;
        told.unwrap_or_else(|error| panic!("{error:#} {}", place.log()));
    }

    // Each job has had a token. The one that is left belongs to the program, which has revoked the others.
    let started = Instant::now();
    loop {
        let tokens = cluster.vault.leases("auth/kubernetes/login").await.unwrap();
        if tokens.len() == 1 {
            return;
        }
        let log = place.log();
        assert!(started.elapsed() < LIMIT, "{tokens:?}\n{log}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// The guide's job, as one that does not run before long.
fn yearly(name: &str, vault: &Value) -> Value {
    let mut job = guides(name);
    job["spec"]["schedule"] = json!("0 0 1 1 *");
    for (field, value) in vault.as_object().into_iter().flatten() {
        job["spec"]["vault"][field] = value.clone();
    }
    job
}

async fn until(place: &Place<'_>, status: &str, reason: &str) -> String {
    let says_so = |job: &Value| {
        let condition = condition(job, "VaultReady");
        (condition.0, condition.1) == (status, reason)
    };
    let found = place.bed.until("pjob/my-job", LIMIT, says_so).await;
    let job = found.unwrap_or_else(|error| panic!("{error:#}\n{}", place.log()));
    condition(&job, "VaultReady").2.to_owned()
}

//! Databases that are away while runs hold users of them.

use std::time::{Duration, Instant};

use planescape_tests::testbed::Cluster;
use planescape_tests::vault::Role;
use serde_json::{Value, json};

use super::place::{CREDENTIALS, LIMIT, Place, guides};

/// Nobody may look for leases here, so that Vault's answer about this one is the last that is known.
#[tokio::test]
async fn a_database_that_is_down_at_the_end_is_told_with_a_digest_and_keeps_no_token_alive() {
    let cluster = Cluster::start().await.unwrap();
    let place = Place::new(&cluster, "down").await.unwrap();
    place.bed.apply(&guides("my-job")).await.unwrap();
    let job = place.until_let_go("my-job").await.unwrap();
    cluster.postgres.shut_vault_out().await.unwrap();

    place.end("my-job").await.unwrap();
    let status = place.until_lease("my-job", "RevokeFailed").await.unwrap();

    let events = place.bed.events("my-job").await.unwrap();
    let told = events.iter().find(|(reason, _)| reason == "RevokeFailed");
    let (_, note) = told.unwrap_or_else(|| panic!("{events:?} {status}"));
    let leases = cluster.vault.leases(CREDENTIALS).await.unwrap();
    assert!(
        note.contains("cannot revoke lease") && !note.contains(&leases[0]),
        "{note}"
    );
    let is_free = |job: &Value| job["metadata"]["finalizers"].is_null();
    let freed = place.bed.until(&format!("job/{job}"), LIMIT, is_free).await;
    freed.unwrap_or_else(|error| panic!("{error:#} {}", place.log()));
    let requests = cluster.vault.requests().unwrap();
    let mut revoked = requests.iter();
    assert!(revoked.any(|it| it.is("update", "auth/token/revoke-self")));
    cluster.postgres.let_vault_in().await.unwrap();
    let started = Instant::now();
    while !cluster.postgres.vault_roles().await.unwrap().is_empty() {
        assert!(started.elapsed() < LIMIT, "Vault does not come to it");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Vault answers a renewal with the status of a mistake where the database is away.
#[tokio::test]
async fn a_database_that_is_away_at_a_renewal_ends_no_renewals() {
    let cluster = Cluster::start().await.unwrap();
    let mut place = Place::without_program(&cluster, "away").await.unwrap();
    place.let_in().await.unwrap();
    let arguments = ["--listen", "127.0.0.1:0", "--outage", "1m"];
    place.start_with(&arguments).await.unwrap();
    // The life that renewals ask for: the first one comes after a third of it.
    let role = Role {
        name: "readonly",
        default_ttl: "90s",
        max_ttl: "24h",
    };
    cluster.vault.set_database_role(role).await.unwrap();
    place.bed.apply(&guides("my-job")).await.unwrap();
    place.until_let_go("my-job").await.unwrap();

    cluster.postgres.shut_vault_out().await.unwrap();
    let message = place.until_refused("my-job", "RequestRefused").await;
    let message = message.unwrap_or_else(|error| panic!("{error:#}"));
    cluster.postgres.let_vault_in().await.unwrap();

    place.until_lease("my-job", "Held").await.unwrap();
    let leases = cluster.vault.leases(CREDENTIALS).await.unwrap();
    assert_eq!(leases.len(), 1);
    let lease = json!({ "lease_id": leases[0] });
    let started = Instant::now();
    loop {
        let known = cluster.vault.write("sys/leases/lookup", &lease).await;
        let left = known.unwrap()["data"]["ttl"].as_u64();
        if left > Some(65) {
            return;
        }
        let log = place.log();
        assert!(started.elapsed() < LIMIT, "{left:?}: {message}\n{log}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// Vault says that a token is revoked before it comes to its leases.
#[tokio::test]
async fn a_lease_that_outlives_its_token_is_told_until_it_is_gone() {
    let cluster = Cluster::start().await.unwrap();
    let place = Place::new(&cluster, "outlives").await.unwrap();
    let vault = &cluster.vault;
    let policy = json!({ "policy": "path \"database/creds/*\" { capabilities = [\"read\"] }" });
    vault.write("sys/policies/acl/runs", &policy).await.unwrap();
    let policy = json!({ "policy": concat!(
        "path \"auth/token/revoke-accessor\" { capabilities = [\"update\"] }\n",
        "path \"sys/leases/lookup\" { capabilities = [\"update\"] }",
    ) });
    let path = "sys/policies/acl/planescape-revocation";
    vault.write(path, &policy).await.unwrap();
    place.bed.apply(&guides("my-job")).await.unwrap();
    place.until_let_go("my-job").await.unwrap();
    cluster.postgres.shut_vault_out().await.unwrap();

    place.end("my-job").await.unwrap();
    let status = place.until_lease("my-job", "RevokeFailed").await.unwrap();

    let leases = vault.leases("database/creds/readonly").await.unwrap();
    assert_eq!(leases.len(), 1);
    let told = place.tells_of_a_living_lease("my-job", &leases[0]).await;
    told.unwrap_or_else(|error| panic!("{error:#} {status}"));
    cluster.postgres.let_vault_in().await.unwrap();
    place.until_lease("my-job", "Revoked").await.unwrap();
    assert_eq!(cluster.postgres.vault_roles().await.unwrap(), [""; 0]);
}

/// Three Secrets of one database, which takes a minute to drop each of their users.
#[tokio::test]
async fn a_database_that_hangs_at_the_end_keeps_the_token_for_seconds_however_many_leases_it_made()
{
    let cluster = Cluster::start().await.unwrap();
    let place = Place::new(&cluster, "hangs").await.unwrap();
    let mut job = guides("my-job");
    let secrets = &mut job["spec"]["vault"]["secrets"];
    for name in ["second", "third"] {
        let path = "database/creds/readonly";
        let secret = json!({ "name": name, "path": path, "secretName": name });
        secrets.as_array_mut().unwrap().push(secret);
    }
    let pod = &mut job["spec"]["jobTemplate"]["spec"]["template"]["spec"];
    let refer = |name: &str| json!({ "secretRef": { "name": name } });
    pod["containers"][0]["envFrom"] = json!([refer("second"), refer("third")]);
    place.bed.apply(&job).await.unwrap();
    place.until_let_go("my-job").await.unwrap();
    let slow = json!({ "revocation_statements": ["select pg_sleep(60)"] });
    let role = "database/roles/readonly";
    cluster.vault.write(role, &slow).await.unwrap();

    place.end("my-job").await.unwrap();

    let ended = Instant::now();
    let is_revoked = || {
        let requests = cluster.vault.requests().unwrap();
        let mut requests = requests.iter();
        requests.any(|it| it.is("update", "auth/token/revoke-self"))
    };
    while !is_revoked() {
        let log = place.log();
        assert!(ended.elapsed() < Duration::from_secs(15), "{log}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

//! Vault and Postgres together.

use planescape_tests::postgres::REVOCATION;
use planescape_tests::testbed::Secrets;
use planescape_tests::vault::{Entry, Role, Tls, Vault};
use serde_json::json;
use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};

#[tokio::test]
async fn credentials_work_until_they_are_revoked_and_the_audit_log_shows_both() {
    let bed = Secrets::start().await.unwrap();
    let answer = bed.vault.read("database/creds/readonly").await.unwrap();
    let user = answer["data"]["username"].as_str().unwrap();
    let password = answer["data"]["password"].as_str().unwrap();
    let lease = answer["lease_id"].as_str().unwrap();

    assert!(bed.postgres.admits(user, password).await.unwrap());
    assert!(!bed.postgres.admits(user, "a guess").await.unwrap());
    assert_eq!(bed.postgres.vault_roles().await.unwrap(), [user]);
    let leases = bed.vault.leases("database/creds/readonly").await.unwrap();
    assert_eq!(leases, [lease]);

    let body = json!({"lease_id": lease});
    bed.vault.write("sys/leases/revoke", &body).await.unwrap();
    until_no_roles(&bed).await;
    assert!(!bed.postgres.admits(user, password).await.unwrap());

    let requests = bed.vault.requests().unwrap();
    let read = find(&requests, "read", "database/creds/readonly");
    assert_eq!(read.lease_id.as_deref(), Some(lease));
    assert_eq!(read.remote_address, "127.0.0.1");
    assert!(read.time < find(&requests, "update", "sys/leases/revoke").time);
}

#[tokio::test]
async fn a_database_role_can_be_given_a_short_life() {
    let bed = Secrets::start().await.unwrap();
    let role = Role {
        name: "brief",
        default_ttl: "1s",
        max_ttl: "2s",
    };
    bed.vault.set_database_role(role).await.unwrap();
    let answer = bed.vault.read("database/creds/brief").await.unwrap();
    assert_eq!(answer["lease_duration"], 1);
    tokio::time::sleep(Duration::from_secs(1)).await;
    until_no_roles(&bed).await;
}

#[tokio::test]
async fn a_sealed_vault_answers_503_until_it_is_unsealed() {
    let bed = Secrets::start().await.unwrap();
    bed.vault
        .put("app", &json!({"key": "value"}))
        .await
        .unwrap();
    bed.vault.seal().await.unwrap();
    let (status, _) = bed.vault.read_as("root", "kv/data/app").await.unwrap();
    assert_eq!(status, 503);
    bed.vault.unseal().await.unwrap();
    let answer = bed.vault.read("kv/data/app").await.unwrap();
    assert_eq!(answer["data"]["data"]["key"], "value");
}

#[tokio::test]
async fn a_frozen_vault_answers_nothing_until_it_is_thawed() {
    let bed = Secrets::start().await.unwrap();
    bed.vault.freeze().unwrap();
    let read = bed.vault.read("sys/policies/acl/database-reader");
    let patience = Duration::from_millis(300);
    assert!(tokio::time::timeout(patience, read).await.is_err());
    bed.vault.thaw().unwrap();
    bed.vault
        .read("sys/policies/acl/database-reader")
        .await
        .unwrap();
}

#[tokio::test]
async fn a_second_vault_in_the_same_run_can_speak_tls() {
    let bed = Secrets::start().await.unwrap();
    let loopback = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let vault = Vault::start(&bed.run, loopback, Tls::On).await.unwrap();
    assert!(vault.url().starts_with("https://"));
    vault.put("app", &json!({"key": "value"})).await.unwrap();
    assert!(bed.vault.read("kv/data/app").await.is_err());
    let client = reqwest::Client::builder()
        .tls_certs_only([])
        .build()
        .unwrap();
    let health = format!("{}/v1/sys/health", vault.url());
    assert!(client.get(health).send().await.is_err(), "trusted unasked");
}

fn find<'a>(requests: &'a [Entry], operation: &str, path: &str) -> &'a Entry {
    let mut found = requests.iter().filter(|entry| entry.is(operation, path));
    let first = found.next();
    assert!(found.next().is_none(), "{operation} {path} more than once");
    first.unwrap_or_else(|| panic!("no {operation} {path} in {requests:#?}"))
}

async fn until_no_roles(bed: &Secrets) {
    let started = Instant::now();
    while !bed
        .postgres
        .vault_roles()
        .await
        .expect("a query")
        .is_empty()
    {
        assert!(started.elapsed() < REVOCATION, "the role is still there");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

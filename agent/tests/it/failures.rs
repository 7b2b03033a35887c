//! Refusals by Vault, and the pod's report of them.

use planescape_tests::run_folder::RunFolder;
use planescape_tests::scripted_vault::{Answer, ScriptedVault};
use planescape_tests::testbed::Cluster;
use planescape_tests::vault::{Tls, Vault};
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use crate::agent::{DATABASE, Place, until};

#[tokio::test]
async fn a_role_that_does_not_exist_is_reported() {
    let cluster = Cluster::shared().await.unwrap();
    let place = Place::new(cluster)
        .await
        .role("nobody")
        .template("db", DATABASE);

    let output = place.run().await;

    assert_eq!(output.status.code(), Some(77));
    let report = place.report();
    assert_eq!(report["phase"], "login");
    assert_eq!(report["reason"], "RoleNotFound");
    assert_eq!(report["role"], "nobody");
    assert_eq!(report["status"], 400);
}

#[tokio::test]
async fn a_token_that_vault_does_not_trust_is_reported() {
    let cluster = Cluster::shared().await.unwrap();
    let place = Place::new(cluster).await.template("db", DATABASE);
    let token = place.read("jwt");
    std::fs::write(place.path("jwt"), &token[..token.len() - 4]).unwrap();

    let output = place.run().await;

    assert_eq!(output.status.code(), Some(77));
    assert_eq!(place.report()["reason"], "LoginDenied");
    assert_eq!(place.report()["status"], 403);
    let log = String::from_utf8_lossy(&output.stderr);
    assert!(!log.contains(&token[..40]), "{log}");
}

#[tokio::test]
async fn a_path_that_the_policy_denies_is_reported_and_the_token_revoked() {
    let cluster = Cluster::shared().await.unwrap();
    let place = Place::new(cluster)
        .await
        .template("other", r#"{{ with secret "kv/data/other" }}x{{ end }}"#);

    let output = place.run().await;

    assert_eq!(output.status.code(), Some(77));
    let report = place.report();
    assert_eq!(report["phase"], "read");
    assert_eq!(report["reason"], "PermissionDenied");
    assert_eq!(report["path"], "kv/data/other");
    assert_eq!(report["status"], 403);
    let token = place.read("token");
    let lookup = cluster
        .vault
        .read_as(token.trim(), "auth/token/lookup-self");
    assert_eq!(lookup.await.unwrap().0, 403);
}

#[tokio::test]
async fn a_secret_that_is_not_there_is_reported() {
    let cluster = Cluster::shared().await.unwrap();
    let place = Place::new(cluster)
        .await
        .role("key-value-reader")
        .template("x", r#"{{ with secret "kv/data/nothing" }}x{{ end }}"#);

    let output = place.run().await;

    assert_eq!(output.status.code(), Some(77));
    assert_eq!(place.report()["reason"], "SecretNotFound");
    assert_eq!(place.report()["status"], 404);
    assert!(!place.path("x").exists());
}

#[tokio::test]
async fn a_vault_that_nobody_vouches_for_is_not_trusted() {
    let run = RunFolder::create().unwrap();
    let loopback = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let vault = Vault::start(&run, loopback, Tls::On).await.unwrap();
    let other = Vault::start(&run, loopback, Tls::On).await.unwrap();
    let place = Place::offline(&vault.url())
        .template("db", DATABASE)
        .variable("VAULT_CACERT", &other.authority().display().to_string())
        .setting(r#"planescape { give_up_after = "2s" termination_log = "FOLDER/report" }"#);
    std::fs::write(place.path("jwt"), "x").unwrap();

    let output = place.run().await;

    assert_eq!(output.status.code(), Some(69));
    assert_eq!(place.report()["reason"], "TLSError", "{}", place.report());
    let address = vault.url().replace("https://", "");
    let message = place.report()["message"].to_string();
    assert!(message.contains(&address), "{message} names {address}");
}

#[tokio::test]
async fn a_vault_with_the_right_authority_is_trusted() {
    let run = RunFolder::create().unwrap();
    let loopback = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let vault = Vault::start(&run, loopback, Tls::On).await.unwrap();
    let place = Place::offline(&vault.url())
        .template("db", DATABASE)
        .variable("VAULT_CACERT", &vault.authority().display().to_string());
    std::fs::write(place.path("jwt"), "x").unwrap();

    place.run().await;

    assert_eq!(place.report()["status"], 403, "{}", place.report());
}

#[tokio::test]
async fn a_vault_that_is_not_there_is_waited_for_and_reported() {
    let place = Place::offline("http://127.0.0.1:9")
        .template("db", DATABASE)
        .setting(r#"planescape { give_up_after = "2s" termination_log = "FOLDER/report" }"#);
    std::fs::write(place.path("jwt"), "x").unwrap();

    let output = place.run().await;

    assert_eq!(output.status.code(), Some(69));
    assert_eq!(place.report()["reason"], "Unreachable");
    let message = place.report()["message"].to_string();
    assert!(message.contains("vault at 127.0.0.1:9"), "{message}");
}

#[tokio::test]
async fn a_sealed_vault_is_waited_for_and_reported() {
    let run = RunFolder::create().unwrap();
    let loopback = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let vault = Vault::start(&run, loopback, Tls::Off).await.unwrap();
    vault.seal().await.unwrap();
    let place = Place::offline(&vault.url())
        .template("db", DATABASE)
        .setting(r#"planescape { give_up_after = "2s" termination_log = "FOLDER/report" }"#);
    std::fs::write(place.path("jwt"), "x").unwrap();

    let output = place.run().await;

    assert_eq!(output.status.code(), Some(69));
    assert_eq!(place.report()["reason"], "Sealed");
    assert_eq!(place.report()["status"], 503);
}

#[tokio::test]
async fn a_revocation_that_vault_does_not_answer_is_tried_again() {
    let vault = ScriptedVault::start().await.unwrap();
    let login = Answer::login("t1", "a1", 3600);
    let late = Answer::empty().after(Duration::from_secs(60));
    vault
        .on("PUT", "/v1/auth/kubernetes/login", login)
        .on("PUT", "/v1/auth/token/revoke-self", late)
        .on("PUT", "/v1/auth/token/revoke-self", Answer::empty());
    let place = Place::offline(&vault.url()).template("static", "text");
    std::fs::write(place.path("jwt"), "x").unwrap();
    let agent = place.start();
    assert!(place.wait().await.success());

    agent.terminate().await;

    assert_eq!(place.report()["reason"], "Revoked", "{}", place.report());
    assert_eq!(vault.count("PUT", "/v1/auth/token/revoke-self"), 2);
}

#[tokio::test]
async fn a_token_file_that_comes_late_is_waited_for() {
    let cluster = Cluster::shared().await.unwrap();
    let place = Place::new(cluster).await.template("db", DATABASE);
    let token = place.read("jwt");
    std::fs::remove_file(place.path("jwt")).unwrap();
    let agent = place.start();
    until("it runs", async || place.path("ready.sock").exists()).await;

    std::fs::write(place.path("jwt"), token).unwrap();

    assert!(place.wait().await.success());
    agent.terminate().await;
}

#[tokio::test]
async fn a_destination_that_cannot_be_written_is_reported() {
    let cluster = Cluster::shared().await.unwrap();
    let place = Place::new(cluster).await.template("db", DATABASE);
    std::fs::create_dir(place.path("db")).unwrap();

    let output = place.run().await;

    assert_eq!(output.status.code(), Some(74));
    assert_eq!(place.report()["phase"], "write");
}

//! Whom the agent talks to, and whom it must not.

use std::io::Read;
use std::net::{IpAddr, Ipv4Addr, TcpListener};

use planescape_tests::run_folder::RunFolder;
use planescape_tests::scripted_vault::{Answer, ScriptedVault};
use planescape_tests::vault::{Tls, Vault};
use serde_json::Value;

use crate::agent::Place;

const SHORT: &str = r#"exit_after_auth = true
    planescape { give_up_after = "2s" revoke_on_exit = true termination_log = "FOLDER/report" }"#;

#[tokio::test]
async fn the_servers_name_is_asked_for_in_the_handshake() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let hello = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut bytes = vec![0; 4096];
        let length = stream.read(&mut bytes).unwrap();
        bytes.truncate(length);
        bytes
    });
    let place = place(&format!("https://{address}"))
        .variable("VAULT_TLS_SERVER_NAME", "vault.internal.example")
        .variable("VAULT_SKIP_VERIFY", "true");

    place.run().await;

    let hello = hello.join().unwrap();
    let name = b"vault.internal.example";
    assert!(hello.windows(name.len()).any(|part| part == name));
}

#[tokio::test]
async fn the_servers_name_is_verified_instead_of_the_addresss_host() {
    let run = RunFolder::create().unwrap();
    let loopback = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let vault = Vault::start(&run, loopback, Tls::On).await.unwrap();
    let authority = vault.authority().display().to_string();
    for (name, reason) in [
        ("127.0.0.1", "LoginDenied"),
        ("elsewhere.example", "TLSError"),
    ] {
        let place = place(&vault.url())
            .variable("VAULT_TLS_SERVER_NAME", name)
            .variable("VAULT_CACERT", &authority);

        place.run().await;

        assert_eq!(place.report()["reason"], reason, "{}", place.report());
    }
}

#[tokio::test]
async fn a_redirect_from_http_to_a_server_that_nobody_vouches_for_gets_no_token() {
    let run = RunFolder::create().unwrap();
    let loopback = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let other = Vault::start(&run, loopback, Tls::On).await.unwrap();
    let vault = redirecting(&format!("{}/v1/auth/kubernetes/login", other.url())).await;
    let place = place(&vault.url());

    place.run().await;

    assert_eq!(place.report()["reason"], "TLSError", "{}", place.report());
    let reached = other.requests().unwrap();
    assert!(
        !reached
            .iter()
            .any(|entry| entry.is("update", "auth/kubernetes/login"))
    );
}

#[tokio::test]
async fn one_redirect_is_followed_and_none_where_they_are_switched_off() {
    let active = ScriptedVault::start().await.unwrap();
    active.on(
        "PUT",
        "/v1/auth/kubernetes/login",
        Answer::login("t1", "a1", 60),
    );
    let target = format!("{}/v1/auth/kubernetes/login", active.url());
    let standby = redirecting(&target).await;

    place(&standby.url()).run().await;
    assert!(active.count("PUT", "/v1/auth/kubernetes/login") > 0);

    let before = active.requests().len();
    let refusing = place(&standby.url()).variable("VAULT_DISABLE_REDIRECTS", "true");
    refusing.run().await;
    assert_eq!(active.requests().len(), before);
    assert_eq!(refusing.report()["status"], 307, "{}", refusing.report());

    let middle = redirecting(&target).await;
    let first = redirecting(&format!("{}/v1/auth/kubernetes/login", middle.url())).await;
    place(&first.url()).run().await;
    assert!(middle.count("PUT", "/v1/auth/kubernetes/login") > 0);
    assert_eq!(
        active.requests().len(),
        before,
        "a second redirect is not followed"
    );
}

#[tokio::test]
async fn loopback_is_reached_without_a_proxy() {
    let vault = ScriptedVault::start().await.unwrap();
    vault.on(
        "PUT",
        "/v1/auth/kubernetes/login",
        Answer::login("t1", "a1", 60),
    );
    let place = place(&vault.url())
        .variable("HTTP_PROXY", "http://127.0.0.1:9")
        .variable("http_proxy", "http://127.0.0.1:9");

    place.run().await;

    assert_eq!(vault.count("PUT", "/v1/auth/kubernetes/login"), 1);
}

#[tokio::test]
async fn an_odd_answer_to_a_login_brings_a_token_that_is_revoked() {
    let vault = ScriptedVault::start().await.unwrap();
    let odd = r#"{"auth":{"client_token":"t1","accessor":null,"lease_duration":3600.5,"renewable":true}}"#;
    let body: Value = serde_json::from_str(odd).unwrap();
    vault
        .on("PUT", "/v1/auth/kubernetes/login", Answer::ok(&body))
        .on("PUT", "/v1/auth/token/revoke-self", Answer::empty());
    let place = Place::offline(&vault.url()).template("static", "text");
    std::fs::write(place.path("jwt"), "x").unwrap();
    let agent = place.start();
    assert!(place.wait().await.success());

    agent.terminate().await;

    assert_eq!(vault.count("PUT", "/v1/auth/token/revoke-self"), 1);
}

#[tokio::test]
async fn a_vault_behind_a_unix_socket_is_reached() {
    let vault = ScriptedVault::start().await.unwrap();
    vault
        .on(
            "PUT",
            "/v1/auth/kubernetes/login",
            Answer::login("t1", "a1", 3600),
        )
        .on("PUT", "/v1/auth/token/revoke-self", Answer::empty());
    let between = Place::offline(&vault.url())
        .template("static", "text")
        .setting("planescape { revoke_on_exit = true ready_socket = \"FOLDER/ready.sock\" }")
        .setting("listener \"unix\" { address = \"FOLDER/agent.sock\" tls_disable = true }");
    std::fs::write(between.path("jwt"), "x").unwrap();
    let proxy = between.start();
    assert!(between.wait().await.success());
    let address = format!("unix://{}", between.path("agent.sock").display());
    let place = Place::offline(&address).template("static", "text");
    std::fs::write(place.path("jwt"), "x").unwrap();

    let agent = place.start();
    assert!(place.wait().await.success());
    agent.terminate().await;
    proxy.terminate().await;

    assert_eq!(vault.count("PUT", "/v1/auth/kubernetes/login"), 2);
    assert_eq!(vault.count("PUT", "/v1/auth/token/revoke-self"), 2);
    assert!(!between.path("agent.sock").exists());
}

async fn redirecting(target: &str) -> ScriptedVault {
    let vault = ScriptedVault::start().await.unwrap();
    let answer = Answer {
        headers: vec![("location", target.to_owned())],
        ..Answer::status(307, &Value::Null)
    };
    vault.on("PUT", "/v1/auth/kubernetes/login", answer);
    vault
}

fn place(address: &str) -> Place {
    let place = Place::offline(address)
        .template("static", "text")
        .setting(SHORT);
    std::fs::write(place.path("jwt"), "x").unwrap();
    place
}

//! The remains of an agent that was killed.

use std::fs;
use std::time::Duration;

use nix::sys::signal::Signal;
use planescape_tests::scripted_vault::{Answer, ScriptedVault};
use planescape_tests::testbed::Cluster;
use serde_json::json;

use crate::agent::{DATABASE, Place, requests_of, until};

#[tokio::test]
async fn an_agent_that_was_killed_twice_revokes_every_token_in_its_third_life() {
    let cluster = Cluster::shared().await.unwrap();
    let place = Place::new(cluster).await.template("db", DATABASE);
    let mut tokens = Vec::new();
    let mut file = String::new();
    for _ in 0..2 {
        let killed = place.start();
        until("the file is rendered", async || {
            let now = place.read("db");
            !now.is_empty() && now != file
        })
        .await;
        file = place.read("db");
        tokens.push(place.read("token"));
        killed.signal(Signal::SIGKILL);
        killed.output().await;
    }
    assert_eq!(place.read("ledger").matches("\"token\"").count(), 2);

    let agent = place.start();
    until("the file is rendered again", async || {
        place.read("db") != file
    })
    .await;
    assert!(place.wait().await.success());
    tokens.push(place.read("token"));
    agent.terminate().await;

    assert_eq!(place.report()["reason"], "Revoked", "{}", place.report());
    for token in tokens {
        let lookup = cluster
            .vault
            .read_as(token.trim(), "auth/token/lookup-self");
        assert_eq!(lookup.await.unwrap().0, 403);
    }
    assert_eq!(place.files(), ["agent.hcl", "db", "jwt", "report", "token"]);
}

#[tokio::test]
async fn a_killed_agent_has_said_who_it_was_before_it_read_anything() {
    let cluster = Cluster::shared().await.unwrap();
    let place = Place::new(cluster).await.template("db", DATABASE);
    let killed = place.start();
    until("it is logged in", async || {
        place.report()["accessor"].is_string()
    })
    .await;

    killed.signal(Signal::SIGKILL);
    killed.output().await;

    let report = place.report();
    assert_eq!(report["phase"], "running", "{report}");
    assert_eq!(report["unrevoked"][0], report["accessor"]);
    let accessor = report["accessor"].as_str().unwrap();
    assert!(!requests_of(cluster, accessor).is_empty());
    // The next life of this agent cleans up.
    let agent = place.start();
    assert!(place.wait().await.success());
    agent.terminate().await;
    assert_eq!(place.report()["reason"], "Revoked");
}

#[tokio::test]
async fn a_life_that_ends_before_its_login_names_what_earlier_ones_have_left() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    // Nobody answers there: it would never log in.
    let place = Place::offline(&format!("http://{address}")).template("db", DATABASE);
    fs::write(place.path("jwt"), "a.b.c").unwrap();
    let line = r#"{"token":"t-1","accessor":"accessor-1"}"#;
    fs::write(place.path("ledger"), line).unwrap();

    let killed = place.start();
    until("it has said whose token it must revoke", async || {
        place.report()["unrevoked"][0] == "accessor-1"
    })
    .await;
    killed.signal(Signal::SIGKILL);
    killed.output().await;
    assert_eq!(place.report()["phase"], "running");

    let folder = place.path("");
    let place = place
        .setting(&format!(
            "planescape {{ ledger = \"{0}/ledger\" termination_log = \"{0}/report\" }}",
            folder.display()
        ))
        .setting(&format!(
            "listener \"tcp\" {{ address = \"{address}\" tls_disable = true }}"
        ));
    place.run().await;
    let report = place.report();
    assert_eq!(report["reason"], "InvalidConfig", "{report}");
    assert_eq!(report["unrevoked"][0], "accessor-1");
}

#[tokio::test]
async fn whatever_is_wrong_with_the_configuration_what_earlier_lives_have_left_is_named() {
    let no_source = r#"template { source = "FOLDER/missing" destination = "FOLDER/out" }"#;
    let no_destination = r#"template { contents = "x" }"#;
    for wrong in [no_source, no_destination] {
        let place = Place::offline("http://127.0.0.1:9")
            .setting(r#"planescape { ledger = "FOLDER/ledger" termination_log = "FOLDER/report" }"#)
            .setting(wrong);
        let line = r#"{"token":"t-1","accessor":"accessor-1"}"#;
        fs::write(place.path("ledger"), line).unwrap();

        place.run().await;

        let report = place.report();
        assert_eq!(report["reason"], "InvalidConfig", "{wrong}: {report}");
        assert_eq!(report["unrevoked"][0], "accessor-1", "{wrong}: {report}");
    }
}

#[tokio::test]
async fn a_question_about_an_agent_says_nothing_in_its_place() {
    let place = Place::offline("http://127.0.0.1:9")
        .setting(r#"planescape { termination_log = "FOLDER/report" }"#);
    let told = r#"{"phase":"running","reason":"LoggedIn","unrevoked":["accessor-1"]}"#;
    fs::write(place.path("report"), told).unwrap();

    for question in ["wait", "ready", "status"] {
        let output = place.ask(question).await;

        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{question}: {said}");
        assert!(said.contains("planescape.ready_socket"), "{said}");
        assert_eq!(place.read("report"), told, "{question}");
    }
}

#[tokio::test]
async fn who_cannot_read_the_ledger_does_not_claim_that_all_is_revoked() {
    let vault = ScriptedVault::start().await.unwrap();
    vault
        .on(
            "PUT",
            "/v1/auth/kubernetes/login",
            Answer::login("t1", "a1", 3600),
        )
        .on("PUT", "/v1/auth/token/revoke-self", Answer::empty());
    let place = Place::offline(&vault.url()).template("static", "text");
    fs::write(place.path("jwt"), "x").unwrap();
    fs::create_dir(place.path("ledger")).unwrap();
    let agent = place.start();
    assert!(place.wait().await.success());

    agent.terminate().await;

    let report = place.report();
    assert_eq!(report["reason"], "RevokeFailed", "{report}");
    assert!(place.path("ledger").exists());
    assert_eq!(vault.count("PUT", "/v1/auth/token/revoke-self"), 1);
}

/// A policy may keep a token from looking itself up.
#[tokio::test]
async fn a_token_that_is_handed_on_and_denied_is_revoked_at_the_end() {
    const REVOCATION: &str = "/v1/auth/token/revoke-self";
    const READ: &str = "/v1/kv/a";
    let vault = ScriptedVault::start().await.unwrap();
    let secret = Answer::ok(&json!({"data": {"a": "b"}}));
    let denied = Answer::error(403, "permission denied");
    vault
        .on(
            "PUT",
            "/v1/auth/kubernetes/login",
            Answer::login("t0", "a0", 3600),
        )
        .on(
            "PUT",
            "/v1/auth/kubernetes/login",
            Answer::login("t1", "a1", 3600),
        )
        .on("GET", "/v1/auth/token/lookup-self", denied)
        .on("GET", READ, secret.clone().after(Duration::from_secs(60)))
        .on("GET", READ, secret)
        .on("PUT", REVOCATION, Answer::empty());
    let place = Place::offline(&vault.url())
        .template("text", r#"{{ with secret "kv/a" }}{{ .Data.a }}{{ end }}"#)
        .setting(
            r#"cache { persist "kubernetes" {
              path = "FOLDER/cache"
              service_account_token_file = "FOLDER/jwt"
            } }"#,
        )
        .revoking();
    fs::create_dir(place.path("cache")).unwrap();
    fs::write(place.path("jwt"), "x").unwrap();
    let killed = place.start();
    let cache = place.path("cache/vault-agent-cache.db");
    until(
        "the token is handed on, and something is read",
        async || cache.exists() && vault.count("GET", READ) == 1,
    )
    .await;
    killed.signal(Signal::SIGKILL);
    killed.output().await;

    let agent = place.start();
    until("it has a token of its own", async || {
        place.read("token").trim() == "t1"
    })
    .await;
    assert!(place.wait().await.success());
    agent.terminate().await;

    let requests = vault.requests();
    let revoked = requests.iter().filter(|it| it.path == REVOCATION);
    let mut revoked: Vec<_> = revoked.filter_map(|it| it.token.as_deref()).collect();
    revoked.sort_unstable();
    assert_eq!(revoked, ["t0", "t1"]);
    let report = place.report();
    assert_eq!(
        (&report["reason"], &report["more_leases"]),
        (&json!("Revoked"), &json!(1)),
        "nobody knows what the first one has leased"
    );
}

/// A policy may keep a token from revoking itself, and let it revoke its leases.
#[tokio::test]
async fn a_lease_that_is_revoked_is_not_taken_by_the_next_life_of_a_token_that_is_not() {
    const READ: &str = "/v1/database/creds/app";
    let vault = ScriptedVault::start().await.unwrap();
    let known = json!({"data": {"id": "t0", "accessor": "a0", "ttl": 3600, "renewable": false}});
    let first = Answer::leased("database/creds/app/1", 3600, &json!({"username": "first"}));
    let second = Answer::leased("database/creds/app/2", 3600, &json!({"username": "second"}));
    let denied = Answer::error(403, "permission denied");
    vault
        .on(
            "PUT",
            "/v1/auth/kubernetes/login",
            Answer::login("t0", "a0", 3600),
        )
        .on("GET", "/v1/auth/token/lookup-self", Answer::ok(&known))
        .on("GET", READ, first)
        .on("GET", READ, second)
        .on("PUT", "/v1/sys/leases/revoke", Answer::empty())
        .on("PUT", "/v1/auth/token/revoke-self", denied);
    let place = Place::offline(&vault.url())
        .template(
            "text",
            r#"{{ with secret "database/creds/app" }}{{ .Data.username }}{{ end }}"#,
        )
        .setting(
            r#"cache { persist "kubernetes" {
              path = "FOLDER/cache"
              keep_after_import = true
              service_account_token_file = "FOLDER/jwt"
            } }"#,
        )
        .revoking();
    fs::create_dir(place.path("cache")).unwrap();
    fs::write(place.path("jwt"), "x").unwrap();
    for expected in ["first", "second"] {
        let agent = place.start();
        assert!(place.wait().await.success());
        assert_eq!(place.read("text").trim(), expected);
        agent.terminate().await;
        assert_eq!(place.report()["reason"], "RevokeFailed");
    }
    assert_eq!(vault.count("PUT", "/v1/auth/kubernetes/login"), 1);
}

//! What the agent says of its leases at the end is what Vault says of them.

use std::fs;
use std::time::Duration;

use nix::sys::signal::Signal;
use planescape_tests::scripted_vault::{Answer, ScriptedVault};
use planescape_tests::testbed::Cluster;
use serde_json::json;
use tokio::process::Command;

use crate::agent::{Agent, DATABASE, Place, count, requests_of, until};
use crate::clients::half_closed;

/// Without `sys/leases/revoke`.
const NARROW: &str = r#"path "database/creds/*" { capabilities = ["read"] }"#;

const LEASES: &str = "database/creds/readonly";

#[tokio::test]
async fn its_lease_is_gone_when_it_says_that_all_is_revoked() {
    let cluster = Cluster::start().await.unwrap();
    let (place, agent) = at_work(&cluster).await;

    let output = agent.terminate().await;

    assert_eq!(cluster.vault.leases(LEASES).await.unwrap(), [""; 0]);
    assert_eq!(cluster.postgres.vault_roles().await.unwrap(), [""; 0]);
    assert_eq!(output.status.code(), Some(0));
    let report = place.report();
    assert_eq!(report["reason"], "Revoked");
    assert_eq!(
        (&report["leases"], &report["more_leases"]),
        (&json!(null), &json!(null))
    );
    let requests = requests_of(&cluster, report["accessor"].as_str().unwrap());
    assert_eq!(count(&requests, "update", "sys/leases/revoke"), 1);
}

#[tokio::test]
async fn a_lease_of_a_database_that_is_down_is_named_when_it_ends() {
    let cluster = Cluster::start().await.unwrap();
    let (place, agent) = at_work(&cluster).await;
    cluster.postgres.shut_vault_out().await.unwrap();

    let output = agent.terminate().await;

    let leases = cluster.vault.leases(LEASES).await.unwrap();
    assert_eq!(leases.len(), 1);
    let report = place.report();
    assert_eq!(
        (&report["reason"], &report["leases"]),
        (&json!("Revoked"), &json!(leases))
    );
    let message = report["message"].as_str().unwrap();
    assert!(
        message.contains("cannot revoke lease") && !message.contains(&leases[0]),
        "{message}"
    );
    assert_eq!(output.status.code(), Some(0));
    let log = String::from_utf8_lossy(&output.stderr);
    assert!(
        log.contains("cannot revoke lease") && !log.contains(&leases[0]),
        "{log}"
    );
    // Nobody can do anything with an id whose token is revoked.
    let renewal = json!({ "lease_id": leases[0], "increment": 3600 });
    let refused = cluster
        .vault
        .write("sys/leases/renew", &renewal)
        .await
        .unwrap_err();
    assert!(refused.to_string().contains("lease expired"), "{refused}");
}

#[tokio::test]
async fn a_lease_that_its_policy_does_not_let_it_revoke_is_named() {
    let cluster = Cluster::start().await.unwrap();
    let vault = &cluster.vault;
    let policy = json!({ "policy": NARROW });
    vault
        .write("sys/policies/acl/database-reader", &policy)
        .await
        .unwrap();
    let (place, agent) = at_work(&cluster).await;
    let leases = cluster.vault.leases(LEASES).await.unwrap();

    agent.terminate().await;

    let report = place.report();
    assert_eq!(
        (&report["reason"], &report["leases"]),
        (&json!("Revoked"), &json!(leases))
    );
    assert_eq!(report["message"], json!(null));
}

#[tokio::test]
async fn what_a_listener_has_handed_out_is_counted() {
    let cluster = Cluster::shared().await.unwrap();
    let port = planescape_tests::address::free([127, 0, 0, 1].into()).unwrap();
    let place = Place::new(cluster)
        .await
        .template("static", "text")
        .setting("api_proxy { use_auto_auth_token = true }")
        .revoking()
        .listening(port);
    let agent = place.start();
    assert!(place.wait().await.success());
    let mut asked = Command::new("curl");
    asked.args(["-sSf", &format!("http://{port}/v1/database/creds/readonly")]);
    assert!(asked.output().await.unwrap().status.success());

    agent.terminate().await;

    let report = place.report();
    assert_eq!(
        (&report["reason"], &report["more_leases"]),
        (&json!("Revoked"), &json!(1))
    );
}

/// A database that hangs may make a user when nobody waits for it any more.
#[tokio::test]
async fn what_a_listener_may_have_handed_out_unheard_is_counted() {
    const READ: &str = "/v1/database/creds/readonly";
    let vault = ScriptedVault::start().await.unwrap();
    let late = Answer::leased("database/creds/readonly/1", 60, &json!({}));
    vault
        .on(
            "PUT",
            "/v1/auth/kubernetes/login",
            Answer::login("t1", "a1", 3600),
        )
        .on("GET", READ, late.after(Duration::from_secs(60)))
        .on("PUT", "/v1/auth/token/revoke-self", Answer::empty());
    let port = planescape_tests::address::free([127, 0, 0, 1].into()).unwrap();
    let place = Place::offline(&vault.url())
        .variable("VAULT_CLIENT_TIMEOUT", "1s")
        .template("static", "text")
        .setting("api_proxy { use_auto_auth_token = true }")
        .revoking()
        .listening(port);
    fs::write(place.path("jwt"), "x").unwrap();
    let agent = place.start();
    assert!(place.wait().await.success());

    let answer = half_closed(&port.to_string(), READ, "").await;
    assert!(answer.starts_with("HTTP/1.1 500 "), "{answer}");
    agent.terminate().await;

    let report = place.report();
    assert_eq!(
        (&report["reason"], &report["more_leases"]),
        (&json!("Revoked"), &json!(1))
    );
}

#[tokio::test]
async fn a_template_that_changes_keeps_its_user_and_one_that_is_gone_leaves_it_to_the_end() {
    let cluster = Cluster::start().await.unwrap();
    let (place, agent) = at_work(&cluster).await;
    let users = cluster.postgres.vault_roles().await.unwrap();
    let (before, config) = (place.read("db"), place.path("agent.hcl"));
    let text = fs::read_to_string(&config).unwrap();

    let changed = text.replace("{{ .Data.username }}", "user={{ .Data.username }}");
    fs::write(&config, changed).unwrap();
    agent.signal(Signal::SIGHUP);
    let after = format!("user={before}");
    until("the other text is there", async || {
        place.read("db") == after
    })
    .await;
    fs::write(&config, text.replace(DATABASE, "static")).unwrap();
    agent.signal(Signal::SIGHUP);
    until("the last text is there", async || {
        place.read("db").trim() == "static"
    })
    .await;

    assert_eq!(cluster.postgres.vault_roles().await.unwrap(), users);
    agent.terminate().await;
    assert_eq!(cluster.postgres.vault_roles().await.unwrap(), [""; 0]);
    let report = place.report();
    let requests = requests_of(&cluster, report["accessor"].as_str().unwrap());
    assert_eq!(count(&requests, "read", LEASES), 1);
    assert_eq!(count(&requests, "update", "sys/leases/revoke"), 1);
}

/// An agent with a lease.
async fn at_work(cluster: &Cluster) -> (Place, Agent) {
    let place = Place::new(cluster).await.template("db", DATABASE);
    let agent = place.start();
    assert!(place.wait().await.success());
    (place, agent)
}

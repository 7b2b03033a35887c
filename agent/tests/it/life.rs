//! From the login to the revocation.

use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use planescape_tests::testbed::Cluster;
use planescape_tests::vault::Role;
use serde_json::json;

use crate::agent::{DATABASE, Place, count, requests_of, until};

#[tokio::test]
async fn one_login_one_read_one_revocation_and_nothing_is_left() {
    let cluster = Cluster::shared().await.unwrap();
    let place = Place::new(cluster).await.template("db", DATABASE);
    let agent = place.start();

    assert!(place.wait().await.success());
    let file = place.read("db");
    let (user, password) = file.trim_end().split_once(' ').unwrap();
    assert!(cluster.postgres.admits(user, password).await.unwrap());
    let mode = std::fs::metadata(place.path("db"))
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o7777, 0o644);

    let output = agent.terminate().await;
    assert_eq!(output.status.code(), Some(0));
    let report = place.report();
    assert_eq!(report["phase"], "done");
    assert_eq!(report["reason"], "Revoked");
    assert_eq!(report["role"], "database-reader");
    let read = &report["reads"][0];
    assert_eq!(
        (&read["path"], &read["user"]),
        (&json!("database/creds/readonly"), &json!(user))
    );
    assert!(read["ttl_seconds"].as_u64().unwrap() > 0 && read["lease"].is_string());
    let audit = cluster.vault.requests().unwrap();
    for (id, operation) in [
        (&report["login_request"], "update"),
        (&read["request"], "read"),
    ] {
        let known = audit.iter().find(|entry| json!(entry.id) == *id);
        assert_eq!(
            known.map(|entry| entry.operation.as_str()),
            Some(operation),
            "{report}"
        );
    }
    assert!(!report.to_string().contains(password), "{report}");
    let requests = requests_of(cluster, report["accessor"].as_str().unwrap());
    assert_eq!(count(&requests, "update", "auth/kubernetes/login"), 1);
    assert_eq!(count(&requests, "read", "database/creds/readonly"), 1);
    assert_eq!(count(&requests, "update", "auth/token/revoke-self"), 1);
    until("the database user is gone", async || {
        !cluster
            .postgres
            .vault_roles()
            .await
            .unwrap()
            .contains(&user.to_owned())
    })
    .await;
    let log = String::from_utf8_lossy(&output.stderr);
    let token = place.read("token");
    assert!(
        !log.contains(password) && !log.contains(token.trim()),
        "{log}"
    );
}

#[tokio::test]
async fn it_says_how_fresh_its_files_are() {
    let cluster = Cluster::shared().await.unwrap();
    let place = Place::new(cluster).await.template("db", DATABASE);
    let place = place.template("plain", "no secret");
    assert_eq!(place.ask("ready").await.status.code(), Some(1));
    assert!(!place.ask("status").await.status.success());
    let agent = place.start();
    assert!(place.wait().await.success());

    assert!(place.ask("ready").await.status.success());
    let said = place.ask("status").await;
    let status: serde_json::Value = serde_json::from_slice(&said.stdout).unwrap();

    assert_eq!(status["phase"], "ready");
    assert!(status["token"]["expires_in_seconds"].as_u64().unwrap() > 0);
    let [db, plain] = [&status["templates"][0], &status["templates"][1]];
    assert!(db["path"].as_str().unwrap().ends_with("/db"));
    assert!(db["age_seconds"].as_u64().unwrap() < 30);
    assert!((3500..=3600).contains(&db["expires_in_seconds"].as_u64().unwrap()));
    assert_eq!(plain["expires_in_seconds"], serde_json::Value::Null);
    assert_eq!(agent.terminate().await.status.code(), Some(0));
}

#[tokio::test]
async fn a_lease_is_renewed_until_its_maximum_and_then_replaced() {
    let cluster = Cluster::shared().await.unwrap();
    let role = Role {
        name: "short",
        default_ttl: "3s",
        max_ttl: "8s",
    };
    cluster.vault.set_database_role(role).await.unwrap();
    let place = Place::new(cluster)
        .await
        .template("db", &DATABASE.replace("readonly", "short"));
    let agent = place.start();
    assert!(place.wait().await.success());
    let first = place.read("db");

    let mut users = vec![first.clone()];
    for _ in 0..50 {
        let file = place.read("db");
        let (user, password) = file.trim_end().split_once(' ').unwrap();
        assert!(
            cluster.postgres.admits(user, password).await.unwrap(),
            "{file}"
        );
        if users.last() != Some(&file) {
            users.push(file.clone());
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }

    agent.terminate().await;
    assert_eq!(users.len(), 2, "one rotation in ten seconds");
    let requests = requests_of(cluster, place.report()["accessor"].as_str().unwrap());
    assert_eq!(count(&requests, "read", "database/creds/short"), 2);
    assert!(count(&requests, "update", "sys/leases/renew") >= 3);
    assert_eq!(count(&requests, "update", "auth/kubernetes/login"), 1);
}

#[tokio::test]
async fn told_to_end_after_rendering_it_does_and_keeps_the_lease() {
    let cluster = Cluster::shared().await.unwrap();
    let place = Place::new(cluster)
        .await
        .template("db", DATABASE)
        .setting("exit_after_auth = true\nplanescape { revoke_on_exit = true }");

    let output = place.run().await;

    assert_eq!(output.status.code(), Some(0));
    let file = place.read("db");
    let (user, password) = file.trim_end().split_once(' ').unwrap();
    assert!(cluster.postgres.admits(user, password).await.unwrap());
}

#[tokio::test]
async fn key_value_secrets_of_both_versions_render() {
    let cluster = Cluster::shared().await.unwrap();
    cluster
        .vault
        .put("agent-test", &json!({"user": "svc", "port": 5432}))
        .await
        .unwrap();
    let place = Place::new(cluster)
        .await
        .role("key-value-reader")
        .template("short", r#"{{ with secret "kv/agent-test" }}{{ .Data.data.user }}:{{ .Data.data.port }}{{ end }}"#)
        .template("long", r#"{{ with secret "kv/data/agent-test" }}{{ .Data.metadata.version }}{{ end }}"#);
    let agent = place.start();

    assert!(place.wait().await.success());

    assert_eq!(place.read("short"), "svc:5432\n");
    assert_eq!(place.read("long"), "1\n");
    agent.terminate().await;
}

#[tokio::test]
async fn an_end_before_anything_is_rendered_leaves_no_lease() {
    let cluster = Cluster::shared().await.unwrap();
    for delay in [0, 5, 10, 20, 40, 80] {
        let place = Place::new(cluster).await.template("db", DATABASE);
        let agent = place.start();
        until("it listens to signals", async || {
            place.path("ready.sock").exists()
        })
        .await;
        tokio::time::sleep(Duration::from_millis(delay)).await;

        let output = agent.terminate().await;

        let report = place.report();
        let expected = match output.status.code() {
            Some(0) => "Revoked",
            _ => "Terminated",
        };
        assert_eq!(report["reason"], expected, "after {delay} ms");
        if let Some(accessor) = report["accessor"].as_str() {
            let requests = requests_of(cluster, accessor);
            assert_eq!(count(&requests, "update", "auth/token/revoke-self"), 1);
        }
    }
}

#[tokio::test]
async fn a_handlebars_template_gets_what_vault_really_answers() {
    let cluster = Cluster::shared().await.unwrap();
    cluster
        .vault
        .put(
            "agent-handlebars",
            &json!({"user": "svc", "port": 5432, "key": "AP8="}),
        )
        .await
        .unwrap();
    let block = |contents: &str, file: &str, more: &str| {
        format!(
            "template {{ contents = <<EOT\n{contents}\nEOT\n destination = \"FOLDER/{file}\" engine = \"handlebars\" {more} }}"
        )
    };
    let place = Place::new(cluster)
        .await
        .role("key-value-reader")
        .setting(&block(
            r#"{{#with (secret "kv/agent-handlebars") as |s|}}{{s.data.user}}:{{s.data.port}} v{{s.metadata.version}}{{/with}}"#,
            "text",
            "",
        ))
        .setting(&block(
            r#"{{kv "kv/agent-handlebars" "key"}}"#,
            "binary",
            "output = \"base64-decoded\"",
        ))
        .setting("exit_after_auth = true");

    let output = place.run().await;

    let log = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{log}");
    assert_eq!(place.read("text"), "svc:5432 v1\n");
    assert_eq!(std::fs::read(place.path("binary")).unwrap(), [0, 255]);
}

//! How long the leases of an agent live that nobody can end: neither it nor anybody else knows its token.

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use planescape_tests::testbed::Cluster;
use planescape_tests::vault::{Role, Vault};
use serde_json::{Value, json};

use crate::agent::{Place, until};

const SETTINGS: &str = r#"planescape {
    revoke_on_exit = true
    lease_guard = "1m"
    termination_log = "FOLDER/report"
}"#;

#[tokio::test]
async fn token_and_user_of_a_killed_agent_are_gone_when_its_guard_is_over() {
    let cluster = Cluster::shared().await.unwrap();
    let gone = ends_with_its_guard(cluster, &cluster.vault, "guarded").await;
    println!("gone {gone:?} after the kill");
}

#[tokio::test]
async fn the_guard_holds_at_an_openbao_as_well() {
    let cluster = Cluster::shared().await.unwrap();
    let ip = cluster.vault.address().ip();
    let bao = Vault::start_openbao(&cluster.run, ip).await.unwrap();
    bao.serve_credentials_of(&cluster.postgres).await.unwrap();
    let control_plane = &cluster.control_plane;
    let reviewer = control_plane.token_reviewer().await.unwrap();
    let authority = control_plane.authority().unwrap();
    let api_server = control_plane.url();
    let trust = bao.trust(&api_server, &authority, &reviewer);
    trust.await.unwrap();

    let gone = ends_with_its_guard(cluster, &bao, "guarded-too").await;
    println!("gone {gone:?} after the kill");
}

/// How long after the kill they were gone.
async fn ends_with_its_guard(cluster: &Cluster, vault: &Vault, name: &str) -> Duration {
    let role = Role {
        name,
        default_ttl: "1h",
        max_ttl: "24h",
    };
    vault.set_database_role(role).await.unwrap();
    let path = format!("database/creds/{name}");
    let template = format!("{{{{ with secret \"{path}\" }}}}{{{{ .Data.username }}}}{{{{ end }}}}");
    let place = Place::new(cluster)
        .await
        .at(&vault.url())
        .template("db", &template);
    let place = place.setting(SETTINGS);
    let agent = place.start();
    until("the file is rendered and the token shortened", async || {
        !place.read("db").is_empty() && place.report()["ttl_seconds"] == 60
    })
    .await;
    let accessor = place.report()["accessor"].clone();

    agent.signal(Signal::SIGKILL);
    let killed = Instant::now();

    let user = place.read("db");
    loop {
        let leases = vault.leases(&path).await.unwrap();
        let roles = cluster.postgres.vault_roles().await.unwrap();
        if leases.is_empty() && !roles.contains(&user) {
            break;
        }
        assert!(killed.elapsed() < Duration::from_secs(65), "{leases:?}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let gone = killed.elapsed();
    let lookup = json!({ "accessor": accessor });
    let lookup = vault.write("auth/token/lookup-accessor", &lookup);
    assert!(lookup.await.is_err());
    gone
}

/// What the table in the guide says of roles.
#[tokio::test]
async fn the_guard_holds_for_service_tokens_and_says_where_it_does_not() {
    let cluster = Cluster::shared().await.unwrap();
    for (name, change, ttl) in [
        ("service", json!({}), Some(60)),
        (
            "explicit",
            json!({ "token_explicit_max_ttl": "30m" }),
            Some(60),
        ),
        ("periodic", json!({ "token_period": "20m" }), None),
        ("batch", json!({ "token_type": "batch" }), None),
        ("limited", json!({ "token_num_uses": 50 }), None),
        ("denied", json!({ "token_no_default_policy": true }), None),
    ] {
        let mut role = json!({
            "bound_service_account_names": "default",
            "bound_service_account_namespaces": "*",
            "token_policies": "database-reader",
            "token_ttl": "10m",
        });
        for (field, value) in change.as_object().unwrap() {
            role[field] = value.clone();
        }
        let path = format!("auth/kubernetes/role/guard-{name}");
        cluster.vault.write(&path, &role).await.unwrap();
        let place = Place::new(cluster).await.template("db", "static");
        let place = place.role(&format!("guard-{name}")).setting(SETTINGS);
        let agent = place.start();
        until(&format!("{name}: {ttl:?} {}", place.report()), async || {
            let told = place.report()["ttl_seconds"].clone();
            let has_rendered = !place.read("db").is_empty() && !told.is_null();
            has_rendered && ttl.is_none_or(|ttl: u64| told == ttl)
        })
        .await;
        // One that can be renewed and takes no notice has answered by now.
        tokio::time::sleep(Duration::from_millis(500)).await;
        let report = place.report();
        let left = left(cluster, &report).await;
        let output = agent.terminate().await;

        let log = String::from_utf8_lossy(&output.stderr).into_owned()
            + &String::from_utf8_lossy(&output.stdout);
        let is_told = log.contains("the lease guard has no effect");
        assert_eq!(is_told, ttl.is_none(), "{name}: {log}");
        if let (Some(ttl), Some(left)) = (ttl, left) {
            assert!(left <= ttl, "{name}: {left}");
        }
        if let (None, Some(left)) = (ttl, left) {
            assert!(left > 60, "{name}: {left}");
        }
    }
}

/// How many seconds Vault says that a token has left; none of one without an accessor.
async fn left(cluster: &Cluster, report: &Value) -> Option<u64> {
    let accessor = json!({ "accessor": report["accessor"].as_str()? });
    let answer = cluster.vault.write("auth/token/lookup-accessor", &accessor);
    answer.await.unwrap()["data"]["ttl"].as_u64()
}

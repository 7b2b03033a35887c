//! The guide's job, and what must be gone after each kind of end.

use std::time::Duration;

use planescape_tests::vault::Role;
use serde_json::json;

use crate::jobs::{Place, count, database_job, gone_within, until};

const DATABASE_JOB: &str = include_str!("../../examples/jobs/database-job.yaml");
const CREDENTIALS: &str = "database/creds/readonly";

#[tokio::test]
async fn the_guides_job_reads_the_database_with_credentials_of_its_own() {
    let place = Place::new("guide").await;
    place.apply(DATABASE_JOB).await;
    place.wait("database-job", "Complete").await;

    let log = place.logs("database-job").await;
    assert!(log.contains("\n     3\n"), "{log}");
    let requests = place.requests("database-job").await;
    assert_eq!(count(&requests, "update", "auth/kubernetes/login"), 1);
    assert_eq!(count(&requests, "read", CREDENTIALS), 1);
    assert_eq!(count(&requests, "update", "auth/token/revoke-self"), 1);
    let lease = requests
        .iter()
        .find_map(|entry| entry.lease_id.clone())
        .unwrap();
    let leases = place.bed.vault.leases(CREDENTIALS).await.unwrap();
    assert!(!leases.contains(&lease), "{leases:?}");
}

#[tokio::test]
async fn the_database_user_is_gone_two_seconds_after_the_main_container() {
    let place = Place::new("gone").await;
    let script = "echo $PGUSER; . /vault/secrets/db; echo \"user $PGUSER\"";
    place.apply(&database_job("gone", "readonly", script)).await;
    let ended = until("the main container ends", 60, async || {
        let pods = place.get("pods").await;
        let state = &pods["items"][0]["status"]["containerStatuses"][0]["state"];
        state["terminated"]["finishedAt"]
            .as_str()
            .map(str::to_owned)
    })
    .await;

    tokio::time::sleep(Duration::from_secs(2)).await;

    let log = place.logs("gone").await;
    let user = log
        .lines()
        .find_map(|line| line.strip_prefix("user "))
        .unwrap();
    let roles = place.bed.postgres.vault_roles().await.unwrap();
    assert!(
        !roles.contains(&user.to_owned()),
        "{user} still there, ended {ended}"
    );
}

#[tokio::test]
async fn a_long_job_keeps_one_credential_alive() {
    let place = Place::new("long").await;
    let role = Role {
        name: "long",
        default_ttl: "10s",
        max_ttl: "60s",
    };
    place.bed.vault.set_database_role(role).await.unwrap();
    let script = "for i in $(seq 40); do . /vault/secrets/db\n psql -Atc 'select 1' >/dev/null || exit 1\n sleep 1; done";
    place.apply(&database_job("long", "long", script)).await;
    place.wait("long", "VaultReady").await;
    let job = place.get("pjob/long").await;
    assert_eq!(job["status"]["runs"][0]["lease"], "Held");
    place.wait("long", "Complete").await;

    let requests = place.requests("long").await;
    assert_eq!(count(&requests, "read", "database/creds/long"), 1);
    assert!(count(&requests, "update", "sys/leases/renew") >= 5);
    assert_eq!(count(&requests, "update", "auth/token/revoke-self"), 1);
}

#[tokio::test]
async fn a_job_reads_a_file_that_handlebars_has_rendered() {
    let place = Place::new("handlebars").await;
    let data = json!({"user": "svc", "pass": "p&q<1>"});
    place.bed.vault.put("handlebars", &data).await.unwrap();
    let job = database_job("handlebars", "readonly", "cat /vault/secrets/app")
        .replace("\"database-reader\"", "\"key-value-reader\"");
    let (head, rest) = job
        .split_once("            vault.hashicorp.com/agent-inject-template-db")
        .unwrap();
    let (_, tail) = rest.split_once("        spec:").unwrap();
    let job = format!(
        r#"{head}            vault.hashicorp.com/agent-inject-template-engine-app: "handlebars"
            vault.hashicorp.com/agent-inject-template-app: |
              {{{{#with (secret "kv/handlebars")}}}}{{{{data.user}}}}:{{{{data.pass}}}}{{{{/with}}}}
        spec:{tail}"#
    );
    place.apply(&job).await;
    place.wait("handlebars", "Complete").await;

    assert_eq!(place.logs("handlebars").await, "svc:p&q<1>\n");
}

#[tokio::test]
async fn a_job_that_is_not_held_back_is_vault_ready_once_its_files_are_there() {
    let place = Place::new("ungated").await;
    let script = "until [ -s /vault/secrets/db ]; do sleep 1; done; sleep 10";
    let job = database_job("ungated", "readonly", script).replacen(
        "vault.hashicorp.com/role:",
        "vault.hashicorp.com/agent-pre-populate: \"false\"\n            vault.hashicorp.com/role:",
        1,
    );
    place.apply(&job).await;

    place.wait("ungated", "VaultReady").await;

    let job = place.get("pjob/ungated").await;
    assert_eq!(job["status"]["runs"][0]["lease"], "Held", "{job}");
    place.wait("ungated", "Complete").await;
}

#[tokio::test]
async fn an_init_container_renders_once_and_leaves_the_lease_to_its_ttl() {
    let place = Place::new("init").await;
    let script = ". /vault/secrets/db; psql -Atc 'select count(*) from users'";
    let job = database_job("init", "readonly", script).replace(
        "vault.hashicorp.com/role:",
        "vault.hashicorp.com/agent-pre-populate-only: \"true\"\n            vault.hashicorp.com/role:",
    );
    place.apply(&job).await;
    place.wait("init", "Complete").await;

    assert_eq!(place.logs("init").await, "3\n");
    let requests = place.requests("init").await;
    assert_eq!(count(&requests, "read", CREDENTIALS), 1);
    assert_eq!(count(&requests, "update", "auth/token/revoke-self"), 0);
}

#[tokio::test]
async fn a_failing_job_leaves_no_lease() {
    let place = Place::new("failing").await;
    place
        .apply(&database_job("failing", "readonly", "exit 3"))
        .await;
    place.wait("failing", "Failed").await;

    revoked_within_five_seconds(&place, "failing").await;
}

#[tokio::test]
async fn a_job_over_its_deadline_leaves_no_lease() {
    let place = Place::new("deadline").await;
    let job = database_job("deadline", "readonly", "sleep 300").replace(
        "backoffLimit: 0",
        "backoffLimit: 0\n      activeDeadlineSeconds: 6",
    );
    place.apply(&job).await;
    let user = only_user(&place, "deadline").await;
    place.wait("deadline", "Failed").await;

    gone_within(&place, &user, 5).await;
}

#[tokio::test]
async fn deleting_a_running_job_leaves_no_lease() {
    let place = Place::new("deleted").await;
    let script = "trap 'exit 0' TERM; sleep 300 & wait";
    place
        .apply(&database_job("deleted", "readonly", script))
        .await;
    let user = only_user(&place, "deleted").await;

    place.kubectl(&["delete", "planescapejob", "deleted"]).await;

    gone_within(&place, &user, 5).await;
    until("the Job and its pod are gone", 40, async || {
        let left = place.get("jobs,pods").await;
        left["items"].as_array()?.is_empty().then_some(())
    })
    .await;
}

/// The database user in the job's file, once its main container runs.
async fn only_user(place: &Place, name: &str) -> String {
    let read = ["exec", "-c", "main"];
    until("the job has its credentials", 30, async || {
        let pods = place
            .try_kubectl(&[
                "get",
                "pods",
                "-l",
                &format!("job-name={name}"),
                "-o",
                "name",
            ])
            .await
            .ok()?;
        let pod = pods.lines().next()?.to_owned();
        let arguments = [&read[..], &[&pod, "--", "cat", "/vault/secrets/db"]].concat();
        let file = place.try_kubectl(&arguments).await.ok()?;
        Some(file.split('"').nth(1)?.to_owned())
    })
    .await
}

async fn revoked_within_five_seconds(place: &Place, name: &str) {
    let requests = until("the token is revoked", 5, async || {
        let requests = place.requests(name).await;
        (count(&requests, "update", "auth/token/revoke-self") == 1).then_some(requests)
    })
    .await;
    let lease = requests
        .iter()
        .find_map(|entry| entry.lease_id.clone())
        .unwrap();
    let leases = place.bed.vault.leases(CREDENTIALS).await.unwrap();
    assert!(!leases.contains(&lease), "{leases:?}");
}

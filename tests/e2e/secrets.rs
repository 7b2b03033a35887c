//! Runs that get their credentials as Kubernetes Secrets.

use std::time::Instant;

use planescape_tests::deployment;
use planescape_tests::vault::Role;
use serde_json::json;

use crate::jobs::{Place, gone_within, until};

const GUIDE: &str = include_str!("../../docs/job-management-guide.md");

/// A job with the variables of the guide.
const JOB: &str = r#"
apiVersion: planescape.io/v1alpha1
kind: PlanescapeJob
metadata: {name: NAME}
spec:
  schedule: "@once"
  vault:
    role: runs
    secrets:
    - name: db
      path: database/creds/ROLE
      secretName: vault-db-creds
  jobTemplate:
    spec:
      backoffLimit: 0
      template:
        spec:
          containers:
          - name: main
            image: postgres:15-alpine
            command: ["/bin/sh", "-c"]
            args: ["SCRIPT"]
            "#;

#[tokio::test]
async fn the_guides_variables_let_psql_read_the_database() {
    let place = place("snippet").await;
    let job = job(
        "snippet",
        "readonly",
        "psql -c 'SELECT COUNT(*) FROM users;'; echo user $PGUSER",
    );
    assert!(
        job.contains("name: vault-db-creds\n                  key: username\n"),
        "{job}"
    );

    place.apply(&job).await;
    place.wait("snippet", "Complete").await;

    let log = place.logs("snippet").await;
    assert!(log.contains("     3\n(1 row)"), "{log}");
    let user = log
        .lines()
        .find_map(|line| line.strip_prefix("user "))
        .unwrap();
    gone_within(&place, user, 5).await;
    until("the status says so", 10, async || {
        let job = place.get("pjob/snippet").await;
        (job["status"]["runs"][0]["lease"] == "Revoked").then_some(())
    })
    .await;
}

#[tokio::test]
async fn credentials_are_gone_five_seconds_after_each_kind_of_end() {
    let place = place("ends").await;
    for (name, script, change) in [
        ("fails", "echo user $PGUSER; exit 3", None),
        (
            "late",
            "echo user $PGUSER; sleep 300",
            Some("activeDeadlineSeconds: 5"),
        ),
        ("evicted", "echo user $PGUSER; sleep 300", None),
        ("deleted", "echo user $PGUSER; sleep 300", None),
    ] {
        let mut job = job(name, "readonly", script);
        if let Some(change) = change {
            job = job.replace(
                "backoffLimit: 0",
                &format!("backoffLimit: 0\n      {change}"),
            );
        }
        place.apply(&job).await;
        let user = user(&place, name).await;
        let selector = format!("job-name={name}");
        match name {
            "deleted" => {
                let delete = ["delete", "pjob", name, "--wait=false"];
                place.kubectl(&delete).await;
            }
            "evicted" => {
                let pods = ["delete", "pods", "-l", &selector];
                let at_once = ["--force", "--grace-period=0"];
                place.kubectl(&[&pods[..], &at_once].concat()).await;
            }
            _ => place.wait(name, "Failed").await,
        }
        let ended = Instant::now();
        gone_within(&place, &user, 5).await;
        println!("{name}: gone {:?} after the end was seen", ended.elapsed());
    }
}

#[tokio::test]
async fn a_run_keeps_its_user_while_the_program_that_gave_it_is_restarted() {
    let place = place("outage").await;
    let role = Role {
        name: "short",
        default_ttl: "20s",
        max_ttl: "24h",
    };
    place.bed.vault.set_database_role(role).await.unwrap();
    let script = "for i in $(seq 40); do psql -Atc 'select 1' >/dev/null || exit 1; sleep 1; done";
    place.apply(&job("outage", "short", script)).await;
    until("it runs", 60, async || {
        let pods = place.get("pods").await;
        (pods["items"][0]["status"]["phase"] == "Running").then_some(())
    })
    .await;

    let restart = ["rollout", "restart", "deployment/planescape-credentials"];
    let cluster = &place.bed.control_plane;
    cluster
        .kubectl_in("planescape-system", &restart)
        .await
        .unwrap();

    place.wait("outage", "Complete").await;
    until("the lease is revoked", 20, async || {
        let leases = place
            .bed
            .vault
            .leases("database/creds/short")
            .await
            .unwrap();
        leases.is_empty().then_some(())
    })
    .await;
}

/// A namespace whose owner lets the program in, and a role for its runs.
async fn place(name: &str) -> Place {
    let place = Place::new(name).await;
    let vault = &place.bed.vault;
    vault.let_runs_in("runs", &json!({})).await.unwrap();
    let cluster = &place.bed.control_plane;
    deployment::let_credentials_in(cluster, name).await.unwrap();
    place
}

/// The job with the guide's snippet, byte for byte, at the place of a container's variables.
fn job(name: &str, role: &str, script: &str) -> String {
    let (_, rest) = GUIDE
        .split_once("### Dynamic database credentials")
        .unwrap();
    let (_, rest) = rest.split_once("```yaml\nenv:\n").unwrap();
    let (snippet, _) = rest.split_once("```").unwrap();
    let indented: Vec<String> = format!("env:\n{snippet}")
        .lines()
        .map(|line| format!("            {line}"))
        .collect();
    let head = JOB.trim_end().replace("NAME", name).replace("ROLE", role);
    format!(
        "{}\n{}\n",
        head.replace("SCRIPT", script),
        indented.join("\n")
    )
}

/// The database user that a run was given.
async fn user(place: &Place, name: &str) -> String {
    until(&format!("{name} says who it is"), 60, async || {
        let selector = format!("job-name={name}");
        let logs = place.try_kubectl(&["logs", "-l", &selector]).await.ok()?;
        let user = logs.lines().find_map(|line| line.strip_prefix("user "));
        user.map(str::to_owned)
    })
    .await
}

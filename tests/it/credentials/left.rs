//! Tokens and leases that killed agents have left.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use planescape_tests::testbed::Cluster;
use serde_json::{Value, json};

use super::place::{CREDENTIALS, LIMIT, MANIFESTS, Place, until_leases};
use crate::operator::running::{condition, name, once_with_secret};

#[tokio::test]
async fn the_token_that_a_killed_agent_has_left_is_revoked_for_it_and_told() {
    let cluster = Cluster::start().await.unwrap();
    let place = Place::new(&cluster, "left").await.unwrap();
    place.bed.apply(&once_with_secret("my-job")).await.unwrap();
    let accessor = token_with_a_lease(&cluster).await.unwrap();
    let other = token_with_a_lease(&cluster).await.unwrap();

    kill_agent(&place, "my-job", &accessor).await.unwrap();
    let killed = Instant::now();

    until_leases(&cluster, 1).await.unwrap();
    println!(
        "revoked {:?} after the end of the container",
        killed.elapsed()
    );
    let job = place.until_lease("my-job", "RevokedByOperator").await;
    let job = job.unwrap();
    assert_eq!(job["status"]["runs"][0]["holders"], Value::Null);
    assert_eq!(condition(&job, "VaultReady").1, "RevokedByOperator");
    assert!(lives(&cluster, &other).await, "that of somebody else");
    let requests = cluster.vault.requests().unwrap();
    let paths =
        |entry: &&planescape_tests::vault::Entry| entry.is("update", "auth/token/revoke-accessor");
    assert_eq!(requests.iter().filter(paths).count(), 1);
}

#[tokio::test]
async fn what_was_left_while_nobody_looked_is_found_again() {
    const ALL: [&str; 3] = ["pod-stays", "pod-goes", "job-goes"];
    let cluster = Cluster::start().await.unwrap();
    let mut place = Place::new(&cluster, "sweep").await.unwrap();
    let mut pods = Vec::new();
    for job in ALL {
        place.bed.apply(&once_with_secret(job)).await.unwrap();
        pods.push(place.bed.pod(job).await.unwrap());
    }
    place.kill();
    for job in ALL {
        let accessor = token_with_a_lease(&cluster).await.unwrap();
        kill_agent(&place, job, &accessor).await.unwrap();
        place.until_lease(job, "Unknown").await.unwrap();
    }
    let run = place.job("job-goes").await.unwrap();
    for pod in &pods[1..] {
        let delete = ["delete", "pod", pod, "--force", "--grace-period=0"];
        place.bed.kubectl(&delete).await.unwrap();
    }
    let delete = ["delete", "job", &run];
    place.bed.kubectl(&delete).await.unwrap();

    place.start().await.unwrap();

    until_leases(&cluster, 0).await.unwrap();
    for job in ["pod-stays", "pod-goes"] {
        place.until_lease(job, "RevokedByOperator").await.unwrap();
    }
}

#[tokio::test]
async fn what_became_of_a_token_is_told_however_often_the_api_server_refuses() {
    let cluster = Cluster::start().await.unwrap();
    let place = Place::new(&cluster, "untold").await.unwrap();
    place.bed.apply(&once_with_secret("my-job")).await.unwrap();
    let accessor = token_with_a_lease(&cluster).await.unwrap();
    let control_plane = &cluster.control_plane;
    let nothing = r#"{"rules":[{"apiGroups":["batch"],"resources":["jobs"],"verbs":["get","list","watch"]},
        {"apiGroups":[""],"resources":["pods"],"verbs":["list","watch"]},
        {"apiGroups":["planescape.io"],"resources":["planescapejobs"],"verbs":["get","list","watch"]}]}"#;
    let role = "clusterrole/planescape-credentials";
    let patch = ["patch", role, "--type=merge", "-p", nothing];
    control_plane.kubectl(&patch).await.unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;

    kill_agent(&place, "my-job", &accessor).await.unwrap();
    until_leases(&cluster, 0).await.unwrap();
    // By then the program has looked at the tokens that the status remembers, too.
    tokio::time::sleep(Duration::from_secs(8)).await;
    let log = place.log();
    assert!(log.contains("cannot tell of a revocation"), "{log}");
    let again = [
        "apply",
        "--server-side",
        "--force-conflicts",
        "-f",
        MANIFESTS[0],
    ];
    control_plane.kubectl(&again).await.unwrap();

    place
        .until_lease("my-job", "RevokedByOperator")
        .await
        .unwrap();
}

#[tokio::test]
async fn says_what_its_policy_lacks_and_goes_on_trying() {
    let cluster = Cluster::start().await.unwrap();
    let place = Place::new(&cluster, "denied").await.unwrap();
    let policy = "sys/policies/acl/planescape-revocation";
    let nothing = json!({ "policy": "path \"nothing\" { capabilities = [\"read\"] }" });
    cluster.vault.write(policy, &nothing).await.unwrap();
    place.bed.apply(&once_with_secret("my-job")).await.unwrap();
    let accessor = token_with_a_lease(&cluster).await.unwrap();
    kill_agent(&place, "my-job", &accessor).await.unwrap();

    let message = place.until_refused("my-job", "AgentKilled").await;
    let says_so = |job: &Value| {
        let message = condition(job, "VaultReady").2;
        message.contains("path \"auth/token/revoke-accessor\" { capabilities = [\"update\"] }")
    };
    let told = place.bed.until("pjob/my-job", LIMIT, says_so).await;
    told.unwrap_or_else(|error| panic!("{error:#} {message:?} {}", place.log()));
    let job = place.bed.get("pjob/my-job").await.unwrap();
    assert_eq!(job["status"]["runs"][0]["lease"], "Unknown");
    assert!(lives(&cluster, &accessor).await);

    cluster
        .vault
        .let_revoker_in(planescape_tests::testbed::NAMESPACE)
        .await
        .unwrap();

    until_leases(&cluster, 0).await.unwrap();
    place
        .until_lease("my-job", "RevokedByOperator")
        .await
        .unwrap();
}

/// Vault says that a token is revoked before it comes to its leases.
#[tokio::test]
async fn a_lease_that_outlives_the_token_of_an_agent_is_told_until_it_is_gone() {
    let cluster = Cluster::start().await.unwrap();
    let place = Place::new(&cluster, "outlived").await.unwrap();
    place
        .bed
        .apply(&once_with_secret("nobody-may-look"))
        .await
        .unwrap();
    place.bed.apply(&once_with_secret("my-job")).await.unwrap();
    let accessor = token_with_a_lease(&cluster).await.unwrap();
    let vault = &cluster.vault;
    let leases = vault.leases(CREDENTIALS).await.unwrap();
    cluster.postgres.shut_vault_out().await.unwrap();
    let revoke = json!({ "accessor": accessor });
    vault
        .write("auth/token/revoke-accessor", &revoke)
        .await
        .unwrap();
    let report =
        json!({ "phase": "done", "reason": "Revoked", "accessor": accessor, "leases": leases });
    let ended = json!({ "terminated": { "exitCode": 0, "message": report.to_string() } });

    let pod = place.bed.pod("nobody-may-look").await.unwrap();
    says(&place, &pod, "Succeeded", &ended).await;
    place
        .until_lease("nobody-may-look", "TokenRevoked")
        .await
        .unwrap();
    until_looked(&cluster).await.unwrap();
    let policy = json!({ "policy": concat!(
        "path \"auth/token/revoke-accessor\" { capabilities = [\"update\"] }\n",
        "path \"sys/leases/lookup\" { capabilities = [\"update\"] }",
    ) });
    vault
        .write("sys/policies/acl/planescape-revocation", &policy)
        .await
        .unwrap();
    let pod = place.bed.pod("my-job").await.unwrap();
    says(&place, &pod, "Succeeded", &ended).await;
    let status = place.until_lease("my-job", "RevokeFailed").await.unwrap();

    let told = place.tells_of_a_living_lease("my-job", &leases[0]).await;
    told.unwrap_or_else(|error| panic!("{error:#} {status}"));
    assert!(
        !status["status"].to_string().contains(&leases[0]),
        "{status}"
    );
    cluster.postgres.let_vault_in().await.unwrap();
    place.until_lease("my-job", "Revoked").await.unwrap();
    until_leases(&cluster, 0).await.unwrap();
    let other = place.bed.get("pjob/nobody-may-look").await.unwrap();
    assert_eq!(other["status"]["runs"][0]["lease"], "TokenRevoked");
}

#[tokio::test]
async fn a_lease_that_a_killed_agent_has_named_is_told_until_it_is_gone() {
    let cluster = Cluster::start().await.unwrap();
    let place = Place::new(&cluster, "named").await.unwrap();
    let vault = &cluster.vault;
    let policy = json!({ "policy": concat!(
        "path \"auth/token/revoke-accessor\" { capabilities = [\"update\"] }\n",
        "path \"sys/leases/lookup\" { capabilities = [\"update\"] }",
    ) });
    vault
        .write("sys/policies/acl/planescape-revocation", &policy)
        .await
        .unwrap();
    place.bed.apply(&once_with_secret("my-job")).await.unwrap();
    let accessor = token_with_a_lease(&cluster).await.unwrap();
    let leases = vault.leases(CREDENTIALS).await.unwrap();
    assert_eq!(leases.len(), 1);
    cluster.postgres.shut_vault_out().await.unwrap();

    let report = json!({ "phase": "running", "reason": "LoggedIn", "accessor": accessor,
        "unrevoked": [accessor], "leases": leases, "names_leases": true });
    kill_agent_after(&place, "my-job", &report).await.unwrap();

    let status = place.until_lease("my-job", "RevokeFailed").await.unwrap();
    assert!(
        !status["status"].to_string().contains(&leases[0]),
        "{status}"
    );
    assert!(!lives(&cluster, &accessor).await);
    cluster.postgres.let_vault_in().await.unwrap();
    place.until_lease("my-job", "Revoked").await.unwrap();
    until_leases(&cluster, 0).await.unwrap();
}

/// Waits until somebody has asked for a lease, whatever Vault said.
async fn until_looked(cluster: &Cluster) -> Result<()> {
    let started = Instant::now();
    loop {
        let requests = cluster.vault.requests()?;
        if requests
            .iter()
            .any(|entry| entry.is("update", "sys/leases/lookup"))
        {
            return Ok(());
        }
        ensure!(started.elapsed() < LIMIT, "nobody looks for the lease");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn a_pod_that_is_gone_is_not_forgotten_when_another_one_of_its_run_revokes() {
    let cluster = Cluster::shared().await.unwrap();
    let place = Place::new(cluster, "several").await.unwrap();
    let mut job = once_with_secret("my-job");
    let spec = &mut job["spec"]["jobTemplate"]["spec"];
    spec["completionMode"] = json!("Indexed");
    (spec["parallelism"], spec["completions"]) = (json!(2), json!(2));
    place.bed.apply(&job).await.unwrap();
    let first = until_pods(&place, &[]).await;
    for pod in &first {
        says(&place, pod, "Running", &json!({ "running": {} })).await;
    }
    let holds_both =
        |job: &Value| job["status"]["runs"][0]["holders"].as_array().map(Vec::len) == Some(2);
    place
        .bed
        .until("pjob/my-job", LIMIT, holds_both)
        .await
        .unwrap();

    let delete = ["delete", "pod", &first[0], "--force", "--grace-period=0"];
    place.bed.kubectl(&delete).await.unwrap();
    let report = json!({ "phase": "done", "reason": "Revoked", "accessor": "a" });
    let revoked = json!({ "terminated": { "exitCode": 0, "message": report.to_string() } });
    for pod in until_pods(&place, &first[..1]).await {
        says(&place, &pod, "Succeeded", &revoked).await;
    }
    let is_complete = |job: &Value| condition(job, "Complete").0 == "True";
    let job = place.bed.until("pjob/my-job", LIMIT, is_complete).await;

    let run = job.unwrap()["status"]["runs"][0].clone();
    assert_eq!(run["lease"], "Unknown", "{run}");
    assert_eq!(run["holders"][0]["pod"], first[0].as_str(), "{run}");
    assert_eq!(run["holders"].as_array().map(Vec::len), Some(1), "{run}");
}

/// The two pods of the run, without one that is gone.
async fn until_pods(place: &Place<'_>, gone: &[String]) -> Vec<String> {
    let started = Instant::now();
    loop {
        let pods = place.bed.list("pods", "planescape.io/job=my-job").await;
        let pods = pods.expect("the API server answers");
        let names = pods.iter().map(|pod| name(pod).to_owned());
        let names: Vec<String> = names.filter(|pod| !gone.contains(pod)).collect();
        if names.len() == 2 && pods.len() == 2 {
            return names;
        }
        assert!(started.elapsed() < LIMIT, "{names:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Says what a kubelet says of a pod and of its agent.
async fn says(place: &Place<'_>, pod: &str, phase: &str, state: &Value) {
    let works = state["running"].is_object();
    let status = json!({ "phase": phase, "initContainerStatuses": [{
        "name": "vault-agent", "image": "agent", "imageID": "", "restartCount": 0,
        "ready": works, "started": works, "state": state,
    }] });
    let pod = format!("pod/{pod}");
    let patched = place.bed.patch_status(&pod, &status).await;
    patched.expect("a pod has a status");
}

/// The accessor of a token that has leased a database user, as an agent's has.
async fn token_with_a_lease(cluster: &Cluster) -> Result<String> {
    let vault = &cluster.vault;
    let policies = json!({ "policies": ["database-reader"], "ttl": "1h" });
    let made = vault.write("auth/token/create", &policies).await?;
    let text = |field: &str| made["auth"][field].as_str().context("a new token");
    let (status, _) = vault.read_as(text("client_token")?, CREDENTIALS).await?;
    ensure!(status == 200, "reading credentials: {status}");
    Ok(text("accessor")?.to_owned())
}

async fn lives(cluster: &Cluster, accessor: &str) -> bool {
    let body = json!({ "accessor": accessor });
    let answer = cluster.vault.write("auth/token/lookup-accessor", &body);
    answer.await.is_ok()
}

/// Says what a kubelet says of a pod whose agent was killed after its login, and is not started again.
async fn kill_agent(place: &Place<'_>, job: &str, accessor: &str) -> Result<()> {
    let report = json!({ "phase": "running", "reason": "LoggedIn", "accessor": accessor,
        "unrevoked": [accessor] });
    kill_agent_after(place, job, &report).await
}

/// The same after it has said this.
async fn kill_agent_after(place: &Place<'_>, job: &str, report: &Value) -> Result<()> {
    let pod = format!("pod/{}", place.bed.pod(job).await?);
    let time = "2026-11-24T10:00:00Z";
    let status = json!({ "phase": "Failed", "initContainerStatuses": [{
        "name": "vault-agent", "image": "agent", "imageID": "", "ready": false, "restartCount": 0,
        "state": { "terminated": { "exitCode": 137, "reason": "Error", "startedAt": time,
            "finishedAt": time, "message": report.to_string() } },
    }] });
    place.bed.patch_status(&pod, &status).await
}

//! Receipts: who logged in for a run, and what was read.

use planescape_tests::testbed::Cluster;
use planescape_tests::vault::{Entry, Role};
use serde_json::{Value, json};

use super::place::{CREDENTIALS, LIMIT, Place, guides};
use crate::operator::running::condition;

#[tokio::test]
async fn a_run_tells_who_read_what_as_whom_and_until_when() {
    let cluster = Cluster::start().await.unwrap();
    let place = Place::new(&cluster, "receipt").await.unwrap();
    cluster
        .vault
        .put("receipt", &json!({ "key": "canary" }))
        .await
        .unwrap();
    let mut job = guides("my-job");
    let more = json!({ "name": "app", "path": "kv/receipt", "secretName": "app" });
    job["spec"]["vault"]["secrets"]
        .as_array_mut()
        .unwrap()
        .push(more);
    let container = "/spec/jobTemplate/spec/template/spec/containers/0";
    let container = job.pointer_mut(container).unwrap();
    container["envFrom"] = json!([{ "secretRef": { "name": "app" } }]);
    place.bed.apply(&job).await.unwrap();
    let job = place.until_let_go("my-job").await.unwrap();
    place.until_lease("my-job", "Held").await.unwrap();
    let data = place
        .secret(&format!("{job}-vault-db-creds"))
        .await
        .unwrap();
    let (password, user) = (&data[0].1, &data[1].1);

    let leases = place.bed.planescape(&["leases"]).unwrap();
    let line = leases.lines().nth(1).unwrap();
    for cell in [job.as_str(), user, CREDENTIALS, "Held"] {
        assert!(line.contains(cell), "{leases}");
    }
    place.end("my-job").await.unwrap();
    let status = place.until_lease("my-job", "Revoked").await.unwrap();

    let receipt = place.bed.planescape(&["receipt", &job]).unwrap();
    assert_eq!(receipt.trim_end().lines().count(), 1);
    let receipt: Value = serde_json::from_str(&receipt).unwrap();
    let audit = cluster.vault.requests().unwrap();
    is_whole(&receipt, (&place.bed.namespace, user), &audit);
    let summary = &status["status"]["runs"][0]["receipt"];
    assert_eq!(summary["paths"], json!([CREDENTIALS, "kv/receipt@1"]));
    assert!(summary["revokedTime"].is_string(), "{summary}");
    let accessors = audit.iter().filter_map(|entry| entry.accessor.clone());
    for told in [
        receipt.to_string(),
        status.to_string(),
        leases,
        place.operator_log(),
    ] {
        assert!(
            !told.contains(password.as_str()) && !told.contains("canary"),
            "{told}"
        );
        assert!(
            !accessors.clone().any(|accessor| told.contains(&accessor)),
            "{told}"
        );
    }
    assert!(
        place
            .operator_log()
            .contains("the credentials of a run ended")
    );
    let leases = place.bed.planescape(&["leases"]).unwrap();
    assert_eq!(leases.lines().count(), 1, "{leases}");
    let unknown = place.bed.planescape(&["receipt", "other"]).unwrap_err();
    assert!(
        unknown.to_string().contains("no PlanescapeJob"),
        "{unknown}"
    );
}

/// Whether it says who read what, with the ids that stand in Vault's audit log.
fn is_whole(receipt: &Value, (namespace, user): (&str, &str), audit: &[Entry]) {
    let login = &receipt["logins"][0];
    let account = format!("{}/default", namespace);
    assert_eq!(
        (&login["by"], &login["serviceAccount"]),
        (&json!("credentials"), &json!(account))
    );
    assert_eq!(
        (&login["role"], &receipt["lease"]),
        (&json!("runs"), &json!("Revoked"))
    );
    let reads = &login["reads"];
    assert_eq!(reads[0]["user"], json!(user));
    assert_eq!(
        (&reads[1]["path"], &reads[1]["version"]),
        (&json!("kv/receipt"), &json!(1))
    );
    for id in [
        &login["request"],
        &reads[0]["request"],
        &reads[1]["request"],
    ] {
        assert!(
            audit.iter().any(|entry| json!(entry.id) == *id),
            "{id} {receipt}"
        );
    }
}

#[tokio::test]
async fn says_that_credentials_may_end_before_the_run() {
    let cluster = Cluster::start().await.unwrap();
    let place = Place::new(&cluster, "fit").await.unwrap();
    let brief = Role {
        name: "readonly",
        default_ttl: "10m",
        max_ttl: "10m",
    };
    cluster.vault.set_database_role(brief).await.unwrap();
    let mut job = guides("my-job");
    job["spec"]["jobTemplate"]["spec"]["activeDeadlineSeconds"] = json!(3600);
    place.bed.apply(&job).await.unwrap();

    let says_so = |job: &Value| condition(job, "VaultReady").1 == "LeaseMayExpireDuringRun";
    let told = place.bed.until("pjob/my-job", LIMIT, says_so).await;
    let told = told.unwrap_or_else(|error| panic!("{error:#} {}", place.log()));

    let (status, _, message) = condition(&told, "VaultReady");
    assert_eq!(status, "True");
    assert!(
        message.contains("at most") && message.contains("1h"),
        "{message}"
    );
    let events = place.bed.events("my-job").await.unwrap();
    let events: Vec<_> = events.iter().map(|(reason, _)| reason.as_str()).collect();
    assert!(events.contains(&"LeaseMayExpireDuringRun"), "{events:?}");
}

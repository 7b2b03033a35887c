//! The record of a run's token, when it cannot be written, and when somebody deletes it.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use planescape_tests::testbed::{Cluster, NAMESPACE};
use planescape_tests::vault::Role;
use serde_json::{Value, json};

use super::place::{LIMIT, Place, guides};

const PATH: &str = "database/creds/unrecorded";

/// Each read makes a user of the database.
#[tokio::test]
async fn what_was_read_is_not_read_again_while_its_record_cannot_be_written() {
    let cluster = Cluster::shared().await.unwrap();
    let place = Place::new(cluster, "unrecorded").await.unwrap();
    let role = Role {
        name: "unrecorded",
        default_ttl: "1h",
        max_ttl: "1h",
    };
    cluster.vault.set_database_role(role).await.unwrap();
    let [policy, binding] = policy();
    for object in [&policy, &binding] {
        place.bed.apply(object).await.unwrap();
    }
    until_enforced(&place).await.unwrap();
    let mut job = guides("unrecorded");
    job["spec"]["vault"]["secrets"][0]["path"] = json!(PATH);
    place.bed.apply(&job).await.unwrap();

    place
        .until_refused("unrecorded", "KubernetesRefused")
        .await
        .unwrap();
    // The program has tried again by then.
    tokio::time::sleep(Duration::from_secs(8)).await;
    let delete = [
        "delete",
        "validatingadmissionpolicybinding",
        "unrecorded",
        "--wait=true",
    ];
    place.bed.kubectl(&delete).await.unwrap();

    place.until_let_go("unrecorded").await.unwrap();
    let requests = cluster.vault.requests().unwrap();
    let reads = requests.iter().filter(|entry| entry.is("read", PATH));
    assert_eq!(reads.count(), 1, "{}", place.log());
}

#[tokio::test]
async fn a_run_whose_record_was_deleted_says_so_in_the_end() {
    let cluster = Cluster::shared().await.unwrap();
    let mut place = Place::new(cluster, "forgotten").await.unwrap();
    place.bed.apply(&guides("my-job")).await.unwrap();
    let job = place.until_let_go("my-job").await.unwrap();
    place.until_lease("my-job", "Held").await.unwrap();
    place.kill();
    let record = place.record(&job).await.unwrap();
    let delete = ["delete", "secret", &record];
    let control_plane = place.bed.control_plane();
    control_plane.kubectl_in(NAMESPACE, &delete).await.unwrap();
    place.end("my-job").await.unwrap();
    let has_ended = |job: &Value| job["status"]["succeeded"] == 1;
    let object = format!("job/{job}");
    place.bed.until(&object, LIMIT, has_ended).await.unwrap();

    place.start().await.unwrap();

    let job = place.until_lease("my-job", "RevokeFailed").await.unwrap();
    let conditions = job["status"]["conditions"].to_string();
    assert!(conditions.contains("deleted the record"), "{conditions}");
}

/// As `kubectl delete --cascade=orphan` does, while nobody looks.
#[tokio::test]
async fn a_job_that_lost_its_planescapejob_is_let_go_when_its_lease_is_revoked() {
    let cluster = Cluster::shared().await.unwrap();
    let mut place = Place::new(cluster, "orphan").await.unwrap();
    let role = Role {
        name: "orphan",
        default_ttl: "1h",
        max_ttl: "1h",
    };
    cluster.vault.set_database_role(role).await.unwrap();
    let path = "database/creds/orphan";
    let mut object = guides("my-job");
    object["spec"]["vault"]["secrets"][0]["path"] = json!(path);
    place.bed.apply(&object).await.unwrap();
    let job = place.until_let_go("my-job").await.unwrap();
    assert_eq!(cluster.vault.leases(path).await.unwrap().len(), 1);
    place.kill();
    let alone = json!({ "metadata": { "ownerReferences": null } }).to_string();
    let patch = ["patch", "job", &job, "--type=merge", "-p", &alone];
    place.bed.kubectl(&patch).await.unwrap();
    place.start().await.unwrap();

    place.end("my-job").await.unwrap();

    let is_let_go = |job: &Value| {
        let finalizers = job["metadata"]["finalizers"].to_string();
        job["status"]["succeeded"] == 1 && !finalizers.contains("vault-lease")
    };
    let object = format!("job/{job}");
    let let_go = place.bed.until(&object, LIMIT, is_let_go).await;
    let_go.unwrap_or_else(|error| panic!("{error:#} {}", place.log()));
    assert!(cluster.vault.leases(path).await.unwrap().is_empty());
}

/// Refuses changes of the records of one PlanescapeJob's runs.
fn policy() -> [Value; 2] {
    let version = "admissionregistration.k8s.io/v1";
    let of_job = "'planescape.io/job' in object.metadata.?labels.orValue({}) && object.metadata.labels['planescape.io/job'] == 'unrecorded'";
    let policy = json!({
        "apiVersion": version, "kind": "ValidatingAdmissionPolicy",
        "metadata": { "name": "unrecorded" },
        "spec": {
            "failurePolicy": "Fail",
            "matchConstraints": { "resourceRules": [{
                "apiGroups": [""], "apiVersions": ["v1"], "resources": ["secrets"],
                "operations": ["UPDATE"],
            }] },
            "matchConditions": [{ "name": "of-the-job", "expression": of_job }],
            "validations": [{ "expression": "false", "message": "no records for now" }],
        },
    });
    let binding = json!({
        "apiVersion": version, "kind": "ValidatingAdmissionPolicyBinding",
        "metadata": { "name": "unrecorded" },
        "spec": { "policyName": "unrecorded", "validationActions": ["Deny"] },
    });
    [policy, binding]
}

/// The API server takes a policy up some moments after it is written.
async fn until_enforced(place: &Place<'_>) -> Result<()> {
    let probe = json!({ "apiVersion": "v1", "kind": "Secret", "metadata": {
        "name": "probe", "labels": { "planescape.io/job": "unrecorded" },
    } });
    place.bed.apply(&probe).await?;
    let started = Instant::now();
    for number in 0.. {
        let label = format!("tried={number}");
        let change = ["label", "secret", "probe", "--overwrite", &label];
        let changed = place.bed.kubectl(&change).await;
        if changed.is_err_and(|error| error.to_string().contains("no records for now")) {
            break;
        }
        ensure!(started.elapsed() < LIMIT, "the policy is not enforced");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    Ok(())
}

//! Attempts to make `planescape credentials` talk to somebody else, or as somebody else. Each was possible with its
//! check taken away. The limits of its account stand in `guard.rs`, the refusals of Vault in `faults.rs`.

use planescape_tests::scripted_vault::{Answer, ScriptedVault};
use planescape_tests::testbed::{Cluster, NAMESPACE};
use planescape_tests::vault::Role;
use serde_json::{Value, json};

use super::place::{ACCOUNT, LIMIT, Place, guides};
use crate::operator::running::once;

/// Somebody writes the order of a run by hand, with a Vault that nobody lists.
#[tokio::test]
async fn an_order_that_somebody_forged_reaches_no_address_that_nobody_lists() {
    let cluster = Cluster::shared().await.unwrap();
    let place = Place::new(cluster, "forged").await.unwrap();
    let foreign = ScriptedVault::start().await.unwrap();
    let mut owner = once("owner");
    owner["spec"]["suspend"] = json!(true);
    place.bed.apply(&owner).await.unwrap();
    let uid = place.bed.get("pjob/owner").await.unwrap()["metadata"]["uid"].clone();
    let order = json!({
        "address": foreign.url(), "authPath": "auth/kubernetes", "role": "runs",
        "secrets": [{ "path": "database/creds/readonly", "secretName": "db", "content": "all" }],
    });
    let job = json!({
        "apiVersion": "batch/v1", "kind": "Job",
        "metadata": {
            "name": "forged", "labels": { "planescape.io/credentials": "true" },
            "annotations": { "planescape.io/vault-order": order.to_string() },
            "ownerReferences": [{ "apiVersion": "planescape.io/v1alpha1", "kind": "PlanescapeJob",
                "name": "owner", "uid": uid, "controller": true }],
        },
        "spec": { "suspend": true, "template": { "spec": { "restartPolicy": "Never",
            "containers": [{ "name": "main", "image": "busybox:1.35" }] } } },
    });
    place.bed.apply(&job).await.unwrap();

    let told = until_told(&place, "forged").await;

    assert!(told.contains("AddressRefused"), "{told}");
    assert_eq!(foreign.requests(), []);
}

#[tokio::test]
async fn a_vault_that_is_listed_sends_nobody_to_one_that_is_not() {
    let cluster = Cluster::shared().await.unwrap();
    let mut place = Place::without_program(cluster, "redirect").await.unwrap();
    place.let_in().await.unwrap();
    let (listed, foreign) =
        tokio::try_join!(ScriptedVault::start(), ScriptedVault::start()).unwrap();
    let path = "/v1/auth/kubernetes/login";
    let mut elsewhere = Answer::empty();
    elsewhere.status = 307;
    elsewhere.headers = vec![("location", format!("{}{path}", foreign.url()))];
    for method in ["POST", "PUT"] {
        listed.on(method, path, elsewhere.clone());
    }
    let addresses = ["--vault-addresses", &listed.url()];
    let arguments = [&["--listen", "127.0.0.1:0"], &addresses[..]].concat();
    place.start_with(&arguments).await.unwrap();
    let mut job = guides("my-job");
    job["spec"]["vault"]["address"] = json!(listed.url());
    place.bed.apply(&job).await.unwrap();
    let job = place.job("my-job").await.unwrap();

    until_told(&place, &job).await;

    assert!(!listed.requests().is_empty());
    assert_eq!(foreign.requests(), []);
}

/// The first Vault alone knows the run's token; another one would call it unknown, as if it were revoked.
#[tokio::test]
async fn an_order_that_is_edited_while_its_run_goes_on_moves_no_token_to_another_vault() {
    let cluster = Cluster::shared().await.unwrap();
    let mut place = Place::without_program(cluster, "edited").await.unwrap();
    place.let_in().await.unwrap();
    let other = ScriptedVault::start().await.unwrap();
    let addresses = format!("{},{}", cluster.vault.url(), other.url());
    let arguments = ["--listen", "127.0.0.1:0", "--vault-addresses", &addresses];
    place.start_with(&arguments).await.unwrap();
    let role = Role {
        name: "edited",
        default_ttl: "1h",
        max_ttl: "1h",
    };
    cluster.vault.set_database_role(role).await.unwrap();
    let path = "database/creds/edited";
    let mut object = guides("my-job");
    object["spec"]["vault"]["secrets"][0]["path"] = json!(path);
    place.bed.apply(&object).await.unwrap();
    let job = place.until_let_go("my-job").await.unwrap();
    assert_eq!(cluster.vault.leases(path).await.unwrap().len(), 1);
    let live = place.bed.get(&format!("job/{job}")).await.unwrap();
    let order = live["metadata"]["annotations"]["planescape.io/vault-order"].as_str();
    let mut order: Value = serde_json::from_str(order.unwrap()).unwrap();
    order["address"] = json!(other.url());
    let edit = json!({ "metadata": {
        "annotations": { "planescape.io/vault-order": order.to_string() },
    } });
    let edit = edit.to_string();
    let edit = ["patch", "job", &job, "--type=merge", "-p", &edit];
    place.bed.kubectl(&edit).await.unwrap();

    place.kill();
    place.start_with(&arguments).await.unwrap();
    place.end("my-job").await.unwrap();

    place.until_lease("my-job", "Revoked").await.unwrap();
    assert!(cluster.vault.leases(path).await.unwrap().is_empty());
    assert_eq!(other.requests(), []);
}

/// The owner of a namespace may name the accounts whose tokens are made.
#[tokio::test]
async fn no_token_is_made_of_an_account_that_the_owner_of_the_namespace_did_not_name() {
    let cluster = Cluster::shared().await.unwrap();
    let mut place = Place::without_program(cluster, "named").await.unwrap();
    let role = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role",
        "metadata": { "name": "named" },
        "rules": [
            { "apiGroups": [""], "resources": ["secrets"], "verbs": ["get", "create"] },
            { "apiGroups": [""], "resources": ["serviceaccounts/token"], "verbs": ["create"],
                "resourceNames": ["default"] },
        ],
    });
    let binding = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
        "metadata": { "name": "named" },
        "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "named" },
        "subjects": [{ "kind": "ServiceAccount", "name": ACCOUNT, "namespace": NAMESPACE }],
    });
    for object in [&role, &binding] {
        place.bed.apply(object).await.unwrap();
    }
    let create = ["create", "serviceaccount", "other"];
    place.bed.kubectl(&create).await.unwrap();
    place.start().await.unwrap();
    place.bed.apply(&guides("mine")).await.unwrap();
    let mut other = guides("other");
    other["spec"]["jobTemplate"]["spec"]["template"]["spec"]["serviceAccountName"] = json!("other");
    place.bed.apply(&other).await.unwrap();

    place.until_let_go("mine").await.unwrap();
    place.until_refused("other", "NotGranted").await.unwrap();
}

/// The program's report on a Job.
async fn until_told(place: &Place<'_>, job: &str) -> String {
    let report =
        |job: &Value| job["metadata"]["annotations"]["planescape.io/vault-report"].is_string();
    let told = place.bed.until(&format!("job/{job}"), LIMIT, report).await;
    let told = told.unwrap_or_else(|error| panic!("{error:#} {}", place.log()));
    told["metadata"]["annotations"].to_string()
}

//! A fault that keeps a run from its Secrets is told before a pod exists, and mended without another try of the Job.

use std::time::Duration;

use planescape_tests::testbed::Cluster;
use serde_json::{Value, json};

use super::place::{LIMIT, Place, guides};
use crate::operator::running::name;

#[tokio::test]
async fn a_namespace_that_lets_nobody_in_is_told_what_to_apply() {
    let cluster = Cluster::shared().await.unwrap();
    let mut place = Place::without_program(cluster, "closed").await.unwrap();
    place.start().await.unwrap();
    place.bed.apply(&guides("my-job")).await.unwrap();

    let message = place.until_refused("my-job", "NotGranted").await.unwrap();

    let command = format!(
        "kubectl create rolebinding planescape-credentials -n {}",
        place.bed.namespace
    );
    assert!(message.contains(&command), "{message}");
    assert_eq!(
        place
            .bed
            .list("pods", "planescape.io/job=my-job")
            .await
            .unwrap(),
        [Value::Null; 0]
    );
    place.let_in().await.unwrap();
    place.until_let_go("my-job").await.unwrap();
}

#[tokio::test]
async fn what_vault_refuses_is_said_with_its_remedy() {
    let cluster = Cluster::shared().await.unwrap();
    let place = Place::new(cluster, "refusals").await.unwrap();
    cluster
        .vault
        .let_runs_in("other-audience", &json!({ "audience": "other" }))
        .await
        .unwrap();
    cluster
        .vault
        .let_runs_in("batch", &json!({ "token_type": "batch" }))
        .await
        .unwrap();
    for (role, change) in [
        ("few-uses", json!({ "token_num_uses": 50 })),
        (
            "elsewhere",
            json!({ "bound_service_account_namespaces": "elsewhere" }),
        ),
        (
            "somebody",
            json!({ "bound_service_account_names": "somebody" }),
        ),
    ] {
        cluster.vault.let_runs_in(role, &change).await.unwrap();
    }
    let account = format!("{}/default", place.bed.namespace);
    for (job, field, value, reason, words) in refusals(&account) {
        let mut object = guides(job);
        match field {
            "path" => object["spec"]["vault"]["secrets"][0]["path"] = value,
            other => object["spec"]["vault"][other] = value,
        }
        place.bed.apply(&object).await.unwrap();
        let message = place.until_refused(job, reason).await.unwrap();
        assert!(message.contains(words), "{job}: {message}");
    }
    assert_eq!(
        place.bed.list("pods", "planescape.io/job").await.unwrap(),
        [Value::Null; 0]
    );
}

/// A name, what is wrong in `spec.vault`, the reason of the refusal and words of its message.
fn refusals(account: &str) -> Vec<(&str, &str, Value, &str, &str)> {
    vec![
        (
            "no-path",
            "path",
            json!("secret-v1/app"),
            "PermissionDenied",
            "path \"secret-v1/app\" { capabilities",
        ),
        (
            "nothing",
            "path",
            json!("kv/nothing-here"),
            "SecretNotFound",
            "nothing is at this path",
        ),
        (
            "no-role",
            "role",
            json!("no-such-role"),
            "RoleNotFound",
            "role",
        ),
        (
            "audience",
            "role",
            json!("other-audience"),
            "AudienceMismatch",
            "audience",
        ),
        (
            "of-another-namespace",
            "role",
            json!("elsewhere"),
            "LoginDenied",
            account,
        ),
        (
            "of-another-account",
            "role",
            json!("somebody"),
            "LoginDenied",
            account,
        ),
        (
            "batch",
            "role",
            json!("batch"),
            "BatchToken",
            "token_type=service",
        ),
        (
            "few-uses",
            "role",
            json!("few-uses"),
            "LimitedUses",
            "token_num_uses=0",
        ),
        (
            "address",
            "address",
            json!("http://127.0.0.1:1"),
            "AddressRefused",
            "PLANESCAPE_VAULT_ADDRESSES",
        ),
    ]
}

#[tokio::test]
async fn a_service_account_that_does_not_exist_is_named() {
    let cluster = Cluster::shared().await.unwrap();
    let place = Place::new(cluster, "account").await.unwrap();
    let mut object = guides("account");
    object["spec"]["jobTemplate"]["spec"]["template"]["spec"]["serviceAccountName"] =
        json!("nobody");
    place.bed.apply(&object).await.unwrap();
    let message = place
        .until_refused("account", "ServiceAccountNotFound")
        .await
        .unwrap();
    assert!(
        message.contains("create ServiceAccount nobody"),
        "{message}"
    );
}

#[tokio::test]
async fn a_foreign_secret_is_left_alone() {
    let cluster = Cluster::shared().await.unwrap();
    let mut place = Place::without_program(cluster, "foreign").await.unwrap();
    place.let_in().await.unwrap();
    place.bed.apply(&guides("my-job")).await.unwrap();
    let job = place.job("my-job").await.unwrap();
    let secret = format!("{job}-vault-db-creds");
    let create = [
        "create",
        "secret",
        "generic",
        &secret,
        "--from-literal=mine=yes",
    ];
    place.bed.kubectl(&create).await.unwrap();
    place.start().await.unwrap();

    let message = place
        .until_refused("my-job", "SecretConflict")
        .await
        .unwrap();

    assert!(message.contains(&secret), "{message}");
    let held = place.secret(&secret).await.unwrap();
    assert_eq!(held, [("mine".to_owned(), "yes".to_owned())]);
    place
        .bed
        .kubectl(&["delete", "secret", &secret])
        .await
        .unwrap();
    place.until_let_go("my-job").await.unwrap();
}

#[tokio::test]
async fn a_vault_that_is_sealed_burns_nothing_and_the_run_starts_when_it_is_back() {
    let cluster = Cluster::start().await.unwrap();
    let url = cluster.vault.url();
    let (namespace, job) = {
        let place = Place::new(&cluster, "sealed").await.unwrap();
        cluster.vault.seal().await.unwrap();
        place.bed.apply(&guides("my-job")).await.unwrap();
        let message = place.until_refused("my-job", "Sealed").await.unwrap();
        assert!(
            message.contains("sealed") && !message.contains(&url),
            "{message}"
        );
        let job = place
            .bed
            .list("jobs", "planescape.io/job=my-job")
            .await
            .unwrap();
        assert_eq!(job[0]["spec"]["suspend"], true);
        (place.bed.namespace.clone(), name(&job[0]).to_owned())
    };
    cluster.vault.unseal().await.unwrap();
    let place = Place::again(&cluster, namespace).await.unwrap();

    assert_eq!(place.until_let_go("my-job").await.unwrap(), job);
    let failed = place.bed.get(&format!("job/{job}")).await.unwrap()["status"]["failed"].clone();
    assert!(failed.is_null(), "{failed}");
}

#[tokio::test]
async fn a_token_that_ends_while_its_run_waits_is_followed_by_another() {
    let cluster = Cluster::start().await.unwrap();
    let place = Place::new(&cluster, "waits").await.unwrap();
    let brief = json!({ "token_ttl": "3s", "token_max_ttl": "3s" });
    cluster.vault.let_runs_in("brief", &brief).await.unwrap();
    let mut job = guides("my-job");
    job["spec"]["vault"]["role"] = json!("brief");
    job["spec"]["vault"]["secrets"][0]["path"] = json!("kv/late");
    job["spec"]["vault"]["secrets"][0]["keys"] =
        json!({ "username": "username", "password": "password" });
    place.bed.apply(&job).await.unwrap();
    place
        .until_refused("my-job", "SecretNotFound")
        .await
        .unwrap();
    tokio::time::sleep(Duration::from_secs(4)).await;

    let late = json!({ "username": "late", "password": "late" });
    cluster.vault.put("late", &late).await.unwrap();

    place.until_let_go("my-job").await.unwrap();
}

#[tokio::test]
async fn a_run_that_may_not_start_any_more_fails_without_a_pod() {
    let cluster = Cluster::start().await.unwrap();
    let place = Place::new(&cluster, "late").await.unwrap();
    cluster.vault.seal().await.unwrap();
    let mut job = guides("my-job");
    job["spec"]["startingDeadlineSeconds"] = json!(3);
    place.bed.apply(&job).await.unwrap();

    let has_ended = |job: &Value| job["status"]["runs"][0]["reason"] == "VaultUnavailable";
    let ended = place.bed.until("pjob/my-job", LIMIT, has_ended).await;
    let ended = ended.unwrap_or_else(|error| panic!("{error:#} {}", place.log()));

    assert_eq!(ended["status"]["runs"][0]["outcome"], "Failed");
    let pods = place.bed.list("pods", "planescape.io/job=my-job").await;
    assert!(pods.unwrap().is_empty());
}

//! Messages that users see when something is wrong.

use crate::jobs::{Place, database_job, until};

#[tokio::test]
async fn a_refused_login_shows_role_and_status_and_no_secret() {
    let place = Place::new("refused").await;
    let job =
        database_job("refused", "readonly", "true").replace("\"database-reader\"", "\"nobody\"");
    place.apply(&job).await;

    let condition = place
        .condition("refused", "VaultReady", "RoleNotFound")
        .await;

    assert_eq!(condition["status"], "False");
    let message = condition["message"].as_str().unwrap();
    assert!(
        message.contains("nobody") && message.contains("400"),
        "{message}"
    );
    until("a Warning event says so", 5, async || {
        let events = place.events("refused").await;
        (events.contains("Warning") && events.contains("nobody")).then_some(())
    })
    .await;
    let described = place.kubectl(&["describe", "pjob", "refused"]).await;
    assert!(described.contains("RoleNotFound"), "{described}");
}

#[tokio::test]
async fn a_denied_path_shows_path_and_status() {
    let place = Place::new("denied").await;
    let job = database_job("denied", "readonly", "true")
        .replace("database/creds/readonly", "kv/data/other");
    place.apply(&job).await;

    let condition = place
        .condition("denied", "VaultReady", "PermissionDenied")
        .await;

    let message = condition["message"].as_str().unwrap();
    assert!(
        message.contains("kv/data/other") && message.contains("403"),
        "{message}"
    );
}

#[tokio::test]
async fn a_missing_secret_shows_its_path() {
    let place = Place::new("missing").await;
    let job = database_job("missing", "readonly", "true")
        .replace("database/creds/readonly", "kv/data/nothing")
        .replace("\"database-reader\"", "\"key-value-reader\"");
    place.apply(&job).await;

    let condition = place
        .condition("missing", "VaultReady", "SecretNotFound")
        .await;

    let message = condition["message"].as_str().unwrap();
    assert!(
        message.contains("kv/data/nothing") && message.contains("404"),
        "{message}"
    );
}

#[tokio::test]
async fn a_vault_that_is_not_there_delays_the_pod_and_is_named() {
    let place = Place::new("nowhere").await;
    let job = database_job("nowhere", "readonly", "true").replace(
        "vault.hashicorp.com/role:",
        "vault.hashicorp.com/service: \"http://127.0.0.1:9\"\n            vault.hashicorp.com/role:",
    );
    place.apply(&job).await;

    let message = until("the condition says so", 60, async || {
        let job = place.get("planescapejob/nowhere").await;
        let conditions = job["status"]["conditions"].as_array()?.clone();
        conditions
            .into_iter()
            .find(|condition| condition["reason"] == "Unreachable")
            .map(|condition| condition["message"].to_string())
    })
    .await;

    assert!(message.contains("cannot reach vault"), "{message}");
    let job = place.get("planescapejob/nowhere").await;
    let failed = job["status"]["conditions"]
        .as_array()
        .unwrap()
        .iter()
        .any(|condition| condition["type"] == "Failed" && condition["status"] == "True");
    assert!(!failed, "{job:#}");
}

/// The kubelet ends a pod at its own deadline as it does when the node is short of memory or disk: by itself,
/// and while the hook that waits for the secrets still runs.
#[tokio::test]
async fn a_pod_that_waits_for_its_secrets_ends_when_the_kubelet_wants_it() {
    let place = Place::new("waiting").await;
    let job = database_job("waiting", "readonly", "true")
        .replace(
            "vault.hashicorp.com/role:",
            "vault.hashicorp.com/service: \"http://127.0.0.1:9\"\n            vault.hashicorp.com/role:",
        )
        .replace(
            "        spec:\n          containers:",
            "        spec:\n          activeDeadlineSeconds: 10\n          terminationGracePeriodSeconds: 5\n          containers:",
        );
    place.apply(&job).await;

    until(
        "the pod has failed and nothing of it runs",
        60,
        async || {
            let pods = place.get("pods").await;
            let status = pods["items"].as_array()?.first()?["status"].clone();
            let lists = ["initContainerStatuses", "containerStatuses"];
            let mut containers = lists
                .iter()
                .filter_map(|list| status[list].as_array())
                .flatten();
            let is_over = containers.all(|container| container["state"]["running"].is_null());
            (status["reason"] == "DeadlineExceeded" && is_over).then_some(())
        },
    )
    .await;
}

#[tokio::test]
async fn a_template_that_does_not_parse_creates_no_job() {
    let place = Place::new("unparsable").await;
    let job = database_job("unparsable", "readonly", "true").replace("with secret", "with secrte");
    place.apply(&job).await;

    let condition = place
        .condition("unparsable", "Ready", "InvalidTemplate")
        .await;

    let message = condition["message"].as_str().unwrap();
    assert!(message.contains("agent-inject-template-db"), "{message}");
    assert!(message.contains("secrte"), "{message}");
    assert_eq!(
        place.get("jobs").await["items"].as_array().unwrap().len(),
        0
    );
}

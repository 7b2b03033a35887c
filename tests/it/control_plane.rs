//! Vault and Postgres beside a control plane without nodes.

use planescape_tests::testbed::Cluster;
use serde_json::{Value, json};

async fn log_in(bed: &Cluster, role: &str, jwt: &str) -> anyhow::Result<Value> {
    let body = json!({"role": role, "jwt": jwt});
    let answer = bed.vault.write("auth/kubernetes/login", &body).await?;
    Ok(answer["auth"].clone())
}

#[tokio::test]
async fn vault_trusts_the_service_accounts_of_the_cluster_and_no_others() {
    let bed = Cluster::start().await.unwrap();
    let jwt = bed
        .control_plane
        .service_account_token("planescape-system", "default")
        .await
        .unwrap();

    let auth = log_in(&bed, "database-reader", &jwt).await.unwrap();
    let token = auth["client_token"].as_str().unwrap();
    let path = "database/creds/readonly";
    let (status, credentials) = bed.vault.read_as(token, path).await.unwrap();
    assert_eq!(status, 200);
    let user = credentials["data"]["username"].as_str().unwrap();
    assert_eq!(bed.postgres.vault_roles().await.unwrap(), [user]);

    let requests = bed.vault.requests().unwrap();
    let login = requests
        .iter()
        .find(|entry| entry.is("update", "auth/kubernetes/login"));
    assert_eq!(
        login.unwrap().accessor.as_deref(),
        auth["accessor"].as_str()
    );

    let (status, _) = bed.vault.read_as(token, "kv/data/app").await.unwrap();
    assert_eq!(status, 403);
    let forged = format!("{}AAAA", &jwt[..jwt.len() - 4]);
    let refused = log_in(&bed, "database-reader", &forged).await.unwrap_err();
    assert!(refused.to_string().contains("403"), "{refused}");
}

#[tokio::test]
async fn the_controllers_make_pods_of_a_job() {
    let bed = Cluster::start().await.unwrap();
    let create = [
        "create",
        "job",
        "once",
        "--image=busybox:1.35",
        "--",
        "true",
    ];
    bed.control_plane.kubectl(&create).await.unwrap();
    let wait = [
        "wait",
        "--for=create",
        "pod",
        "-l",
        "job-name=once",
        "--timeout=10s",
    ];
    bed.control_plane.kubectl(&wait).await.unwrap();
}

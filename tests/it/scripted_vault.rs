//! The stand-in for Vault.

use planescape_tests::scripted_vault::{Answer, ScriptedVault};
use serde_json::{Value, json};

#[tokio::test]
async fn answers_come_in_order_and_the_last_one_stays() {
    let vault = ScriptedVault::start().await.unwrap();
    let path = "/v1/database/creds/readonly";
    vault
        .on("GET", path, Answer::error(503, "Vault is sealed"))
        .on(
            "GET",
            path,
            Answer::leased("l1", 60, &json!({"username": "u"})),
        );
    let url = format!("{}{path}", vault.url());
    let mut statuses = Vec::new();
    for _ in 0..3 {
        let answer = reqwest::get(&url).await.unwrap();
        statuses.push(answer.status().as_u16());
    }
    assert_eq!(statuses, [503, 200, 200]);
    assert_eq!(vault.count("GET", path), 3);
}

#[tokio::test]
async fn what_is_not_scripted_is_not_found_and_every_request_is_kept() {
    let vault = ScriptedVault::start().await.unwrap();
    let answer = reqwest::Client::new()
        .post(format!("{}/v1/sys/leases/renew?x=1", vault.url()))
        .header("X-Vault-Token", "t")
        .header("X-Vault-Namespace", "team")
        .json(&json!({"lease_id": "l1"}))
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), 404);
    assert_eq!(answer.json::<Value>().await.unwrap(), json!({"errors": []}));
    let requests = vault.requests();
    assert_eq!(requests[0].path, "/v1/sys/leases/renew?x=1");
    assert_eq!(requests[0].token.as_deref(), Some("t"));
    assert_eq!(requests[0].namespace.as_deref(), Some("team"));
    assert_eq!(requests[0].body, json!({"lease_id": "l1"}));
}

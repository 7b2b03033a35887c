//! A value that is planted in every secret is told nowhere.

use std::net::TcpListener;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use planescape_tests::testbed::{Cluster, NAMESPACE};
use serde_json::{Value, json};

use super::place::{Place, guides};

const CANARY: &str = "canary-4f1e";

#[tokio::test]
async fn no_value_token_or_password_is_in_any_log_event_status_metric_or_audit_of_ours() {
    let cluster = Cluster::start().await.unwrap();
    let mut place = Place::without_program(&cluster, "canary").await.unwrap();
    place.let_in().await.unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let listen = listener.local_addr().unwrap().to_string();
    drop(listener);
    place.start_with(&["--listen", &listen]).await.unwrap();
    let long = CANARY.repeat(60_000);
    let data = json!({ "one": long, "two": long });
    cluster.vault.put("canary-long", &data).await.unwrap();
    let data = json!({ "key": CANARY });
    cluster.vault.put("canary", &data).await.unwrap();
    place
        .bed
        .apply(&with_canary("well", &json!({ "keys": { "KEY": "key" } })))
        .await
        .unwrap();
    // Each of these fails over the value.
    let misfits = [
        (
            "parsed",
            json!({ "keyTemplates": { "n": "{{ .Data.data.key | parseInt }}" } }),
        ),
        (
            "indexed",
            json!({ "keyTemplates": { "n": "{{ index .Data.data.key 99 }}" } }),
        ),
        ("missing", json!({ "keys": { "NONE": "no-such-key" } })),
        ("long", json!({ "path": "kv/canary-long" })),
    ];
    for (name, content) in &misfits {
        place.bed.apply(&with_canary(name, content)).await.unwrap();
    }
    let mut needles = vec![
        CANARY.to_owned(),
        BASE64_STANDARD.encode(CANARY),
        "eyJhbGci".to_owned(),
    ];
    let job = place.until_let_go("well").await.unwrap();
    for (name, _) in &misfits {
        place.until_refused(name, "SecretMisfit").await.unwrap();
    }
    let secret = place
        .secret(&format!("{job}-vault-db-creds"))
        .await
        .unwrap();
    needles.push(secret[0].1.clone());
    needles.push(token(&place, &job).await);

    let metrics = reqwest_text(&format!("http://{listen}/metrics")).await;
    place.end("well").await.unwrap();
    place.until_lease("well", "Revoked").await.unwrap();

    let everything = ["get", "pjob,jobs,pods,events", "-o", "yaml"];
    let audit = cluster.control_plane.audit_log().unwrap();
    for (what, text) in [
        ("log of credentials", place.log()),
        ("log of the operator", place.operator_log()),
        ("objects", place.bed.kubectl(&everything).await.unwrap()),
        ("metrics", metrics),
        ("audit", audit),
        ("receipt", place.bed.planescape(&["receipt", &job]).unwrap()),
        (
            "leases",
            place.bed.planescape(&["leases", "--revoked"]).unwrap(),
        ),
    ] {
        assert!(text.len() > 100, "{what}: {text}");
        for needle in &needles {
            let line = text.lines().find(|line| line.contains(needle.as_str()));
            assert_eq!(line, None, "{what}");
        }
    }
}

/// The guide's job, with a Secret of a store besides.
fn with_canary(name: &str, content: &Value) -> Value {
    let mut job = guides(name);
    let mut secret = json!({ "name": "app", "path": "kv/canary", "secretName": "app" });
    for (field, value) in content.as_object().into_iter().flatten() {
        secret[field] = value.clone();
    }
    let secrets = job["spec"]["vault"]["secrets"].as_array_mut();
    secrets.into_iter().for_each(|all| all.push(secret.clone()));
    let container = "/spec/jobTemplate/spec/template/spec/containers/0";
    if let Some(container) = job.pointer_mut(container) {
        container["envFrom"] = json!([{ "secretRef": { "name": "app" } }]);
    }
    job
}

/// The Vault token of a run.
async fn token(place: &Place<'_>, job: &str) -> String {
    let record = place.record(job).await.expect("a Job has a UID");
    let get = ["get", "secret", &record, "-o", "jsonpath={.data.token}"];
    let control_plane = place.bed.control_plane();
    let token = control_plane.kubectl_in(NAMESPACE, &get).await;
    let token = BASE64_STANDARD.decode(token.expect("it has a record"));
    String::from_utf8(token.expect("base64")).expect("text")
}

async fn reqwest_text(url: &str) -> String {
    let client = reqwest::Client::builder().no_proxy().build();
    let answer = client.expect("a client").get(url).send().await;
    answer
        .expect("it listens")
        .text()
        .await
        .expect("metrics are text")
}

//! A pod as the Vault Agent Injector writes it, with our image in the place of Vault's.

use planescape_tests::deployment;
use serde_json::{Value, json};

/// The injector's command for the shell of the image.
const LINE: &str = "echo ${VAULT_CONFIG?} | base64 -d > /home/vault/config.json && vault agent -config=/home/vault/config.json";

#[tokio::test]
async fn a_pod_of_the_injector_runs_with_our_image() {
    let bed = deployment::shared().await.unwrap();
    bed.prepare("injected").await.unwrap();
    bed.vault
        .put("injected", &json!({"user": "ann"}))
        .await
        .unwrap();
    let cluster = &bed.control_plane;

    cluster
        .apply_in("injected", &manifest().to_string())
        .await
        .unwrap();

    let ready = ["wait", "pod/app", "--for=condition=Ready", "--timeout=60s"];
    if let Err(error) = cluster.kubectl_in("injected", &ready).await {
        let described = cluster
            .kubectl_in("injected", &["describe", "pod/app"])
            .await;
        let log = ["logs", "app", "-c", "vault-agent-init"];
        let log = cluster.kubectl_in("injected", &log).await;
        panic!("{error:#}\n{described:?}\n{log:?}");
    }
    let read = [
        "exec",
        "app",
        "-c",
        "app",
        "--",
        "cat",
        "/vault/secrets/user",
    ];
    let file = cluster.kubectl_in("injected", &read).await.unwrap();
    assert_eq!(file, "ann");
    let stop = ["delete", "pod/app", "--timeout=60s"];
    cluster.kubectl_in("injected", &stop).await.unwrap();
    let requests = bed.vault.requests().unwrap();
    let revoked = requests
        .iter()
        .any(|entry| entry.is("update", "auth/token/revoke-self"));
    assert!(revoked, "the hook before the end revokes the token");
}

fn manifest() -> Value {
    let volumes = json!([
        {"name": "home-init", "emptyDir": {"medium": "Memory"}},
        {"name": "home-sidecar", "emptyDir": {"medium": "Memory"}},
        {"name": "vault-secrets", "emptyDir": {"medium": "Memory"}},
    ]);
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "app"},
        "spec": {
            "terminationGracePeriodSeconds": 20,
            "volumes": volumes,
            "initContainers": [agent("vault-agent-init", "home-init", true)],
            "containers": [
                {
                    "name": "app",
                    "image": "busybox:1.35",
                    "command": ["sh", "-c", "trap 'exit 0' TERM; while :; do sleep 0.2; done"],
                    "volumeMounts": [{"name": "vault-secrets", "mountPath": "/vault/secrets"}],
                },
                agent("vault-agent", "home-sidecar", false),
            ],
        },
    })
}

fn agent(name: &str, home: &str, is_init: bool) -> Value {
    let config = json!({
        "auto_auth": {
            "method": {
                "type": "kubernetes",
                "mount_path": "auth/kubernetes",
                "config": {
                    "role": "key-value-reader",
                    "token_path": "/var/run/secrets/kubernetes.io/serviceaccount/token",
                },
            },
            "sink": [{"type": "file", "config": {"path": "/home/vault/.vault-token"}}],
        },
        "exit_after_auth": is_init,
        "pid_file": "/home/vault/.pid",
        "vault": {"address": "http://vault:8200"},
        "template": [{
            "destination": "/vault/secrets/user",
            "contents": "{{ with secret \"kv/data/injected\" }}{{ .Data.data.user }}{{ end }}",
            "left_delimiter": "{{",
            "right_delimiter": "}}",
        }],
        "template_config": {"exit_on_retry_failure": true},
    });
    let encoded = base64::Engine::encode(&base64::prelude::BASE64_STANDARD, config.to_string());
    let mut container = json!({
        "name": name,
        "image": "planescape/planescape-agent:0.1.0",
        "command": ["/bin/sh", "-ec"],
        "args": [LINE],
        "env": [
            {"name": "VAULT_LOG_LEVEL", "value": "info"},
            {"name": "VAULT_LOG_FORMAT", "value": "standard"},
            {"name": "VAULT_CONFIG", "value": encoded},
        ],
        "volumeMounts": [
            {"name": home, "mountPath": "/home/vault"},
            {"name": "vault-secrets", "mountPath": "/vault/secrets"},
        ],
        "securityContext": {
            "allowPrivilegeEscalation": false,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": true,
            "runAsGroup": 1000,
            "runAsNonRoot": true,
            "runAsUser": 100,
        },
    });
    if !is_init {
        let line = "/bin/sleep 1 && /bin/vault token revoke -address=http://vault:8200 -self";
        container["lifecycle"] = json!({"preStop": {"exec": {"command": ["/bin/sh", "-c", line]}}});
    }
    container
}

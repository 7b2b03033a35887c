//! The Vault Agent Injector itself, with our image in the place of Vault's: pods that it writes.

use planescape_tests::image::{Image, Layer};
use planescape_tests::programs::{self, Program};
use planescape_tests::servers;
use planescape_tests::testbed::Testbed;
use serde_json::{Value, json};

const NAMESPACE: &str = "of-the-injector";
const PORT: u16 = 8443;

#[tokio::test]
async fn pods_that_the_injector_writes_run_with_our_image() {
    let bed = Testbed::shared().await.unwrap();
    bed.prepare(NAMESPACE).await.unwrap();
    let images = tokio::task::spawn_blocking(|| {
        let with_shell = programs::agent_image_with_shell().unwrap();
        [Program::Agent.image().unwrap(), with_shell]
    });
    for image in images.await.unwrap() {
        bed.node.load(&image).await.unwrap();
    }
    bed.vault
        .put("injector", &json!({"user": "ann", "password": "p-1"}))
        .await
        .unwrap();
    start_injector(bed).await;
    let cluster = &bed.control_plane;
    for (name, annotations) in pods() {
        let manifest = pod(name, &annotations).to_string();
        cluster.apply_in(NAMESPACE, &manifest).await.unwrap();
    }

    for (name, _) in pods() {
        ready(bed, name).await;
    }

    assert_eq!(file(bed, "templated", "user").await, "ann");
    assert_eq!(file(bed, "templated", "made").await, "");
    let dump = file(bed, "plain", "app").await;
    assert!(
        dump.starts_with(
            "data: map[password:p-1 user:ann]
metadata: map["
        ),
        "{dump}"
    );
    assert_eq!(file(bed, "init-only", "user").await, "ann");
    assert_eq!(file(bed, "cached", "user").await.lines().count(), 1);
    let images = [
        "get",
        "pods",
        "-o",
        "jsonpath={.items[*].spec.initContainers[*].image}",
    ];
    let images = cluster.kubectl_in(NAMESPACE, &images).await.unwrap();
    assert_eq!(images.matches("planescape-agent").count(), 6, "{images}");
    text_of_a_shell_needs_the_second_image(bed).await;
    one_user_for_the_cached_pod(bed).await;
    let stop = ["delete", "pods", "--all", "--timeout=90s"];
    cluster.kubectl_in(NAMESPACE, &stop).await.unwrap();
    let requests = bed.vault.requests().unwrap();
    let revoked = requests
        .iter()
        .filter(|entry| entry.is("update", "auth/token/revoke-self"));
    assert!(
        revoked.count() > 0,
        "the injector's hook before the end revokes the token"
    );
}

/// The annotations of each pod, by its name.
fn pods() -> Vec<(&'static str, Value)> {
    let text = |name: &str| format!("vault.hashicorp.com/{name}");
    let with = |more: &[(&str, &str)]| {
        let mut annotations = serde_json::Map::new();
        for (name, value) in [("agent-inject", "true"), ("role", "key-value-reader")] {
            annotations.insert(text(name), value.into());
        }
        for (name, value) in more {
            annotations.insert(text(name), (*value).into());
        }
        Value::Object(annotations)
    };
    let user = r#"{{ with secret "kv/data/injector" }}{{ .Data.data.user }}{{ end }}"#;
    let copies =
        "if [ -f /vault/secrets/user ]; then cp /vault/secrets/user /vault/secrets/copy; fi";
    let with_shell_text = |more: &[(&str, &str)]| {
        let about = [
            ("agent-pre-populate-only", "true"),
            ("agent-requests-cpu", "50m"),
            ("agent-inject-secret-user", "kv/data/injector"),
            ("agent-inject-template-user", user),
            ("agent-inject-command-user", copies),
        ];
        with(&[&about[..], more].concat())
    };
    let database = r#"{{ with secret "database/creds/readonly" }}{{ .Data.username }}{{ end }}"#;
    vec![
        (
            "templated",
            with(&[
                ("agent-inject-secret-user", "kv/data/injector"),
                ("agent-inject-template-user", user),
                ("agent-inject-perms-user", "0440"),
                ("agent-inject-command-user", "touch /vault/secrets/made"),
                ("agent-revoke-on-shutdown", "true"),
                ("agent-revoke-grace", "1"),
                ("log-format", "json"),
                ("log-level", "debug"),
            ]),
        ),
        (
            "plain",
            with(&[
                ("agent-inject-secret-app", "kv/data/injector"),
                ("agent-run-as-same-user", "true"),
                ("agent-limits-mem", "64Mi"),
                ("template-static-secret-render-interval", "10s"),
            ]),
        ),
        (
            "init-only",
            with(&[
                ("agent-pre-populate-only", "true"),
                ("agent-inject-secret-user", "kv/data/injector"),
                ("agent-inject-template-user", user),
                ("auth-min-backoff", "1s"),
                ("auth-max-backoff", "2s"),
            ]),
        ),
        (
            "cached",
            with(&[
                ("role", "database-reader"),
                ("agent-cache-enable", "true"),
                ("agent-cache-use-auto-auth-token", "true"),
                ("agent-init-first", "true"),
                ("agent-inject-secret-user", "database/creds/readonly"),
                ("agent-inject-template-user", database),
            ]),
        ),
        ("shell-refused", with_shell_text(&[])),
        (
            "shell-served",
            with_shell_text(&[("agent-image", "planescape/planescape-agent-busybox:0.1.0")]),
        ),
    ]
}

fn pod(name: &str, annotations: &Value) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "annotations": annotations},
        "spec": {
            "terminationGracePeriodSeconds": 20,
            "securityContext": {"fsGroup": 1001},
            "containers": [{
                "name": "app",
                "image": "busybox:1.35",
                "securityContext": {"runAsUser": 1001, "runAsGroup": 1001},
                "command": ["sh", "-c", "trap 'exit 0' TERM; while :; do sleep 0.2; done"],
            }],
        },
    })
}

async fn ready(bed: &Testbed, name: &str) {
    let cluster = &bed.control_plane;
    let pod = format!("pod/{name}");
    let wait = ["wait", &pod, "--for=condition=Ready", "--timeout=90s"];
    if let Err(error) = cluster.kubectl_in(NAMESPACE, &wait).await {
        let described = cluster.kubectl_in(NAMESPACE, &["describe", &pod]).await;
        let log = ["logs", name, "--all-containers", "--prefix"];
        let log = cluster.kubectl_in(NAMESPACE, &log).await;
        panic!("{error:#}\n{}\n{}", described.unwrap(), log.unwrap());
    }
}

async fn file(bed: &Testbed, pod: &str, name: &str) -> String {
    let path = format!("/vault/secrets/{name}");
    let read = ["exec", pod, "-c", "app", "--", "cat", &path];
    bed.control_plane
        .kubectl_in(NAMESPACE, &read)
        .await
        .unwrap()
}

/// The agent alone refuses such text with a sentence, and goes on; beside a busybox it runs.
async fn text_of_a_shell_needs_the_second_image(bed: &Testbed) {
    assert_eq!(file(bed, "shell-served", "copy").await, "ann");

    assert_eq!(file(bed, "shell-refused", "user").await, "ann");
    let cluster = &bed.control_plane;
    let list = [
        "exec",
        "shell-refused",
        "-c",
        "app",
        "--",
        "ls",
        "/vault/secrets",
    ];
    let files = cluster.kubectl_in(NAMESPACE, &list).await.unwrap();
    assert_eq!(files.trim_end(), "user");
    let log = ["logs", "shell-refused", "-c", "vault-agent-init"];
    let log = cluster.kubectl_in(NAMESPACE, &log).await.unwrap();
    let sentence = "sh: `[` means nothing here; use an image with a shell for this";
    assert!(log.contains(sentence), "{log}");
}

/// The init container hands its credentials to the sidecar.
async fn one_user_for_the_cached_pod(bed: &Testbed) {
    let address = ["get", "pod", "cached", "-o", "jsonpath={.status.podIP}"];
    let address = bed
        .control_plane
        .kubectl_in(NAMESPACE, &address)
        .await
        .unwrap();
    let requests = bed.vault.requests().unwrap();
    let reads = requests.iter().filter(|entry| {
        entry.is("read", "database/creds/readonly") && entry.remote_address == address
    });
    assert_eq!(reads.count(), 1, "by {address}");
}

/// Its pod makes its own certificate, and tells it to the API server.
async fn start_injector(bed: &Testbed) {
    let program =
        tokio::task::spawn_blocking(|| servers::INJECTOR.build().unwrap().join("vault-k8s"));
    let mut layer = Layer::new();
    layer
        .add_program("/bin/vault-k8s", &program.await.unwrap())
        .unwrap();
    let image = Image::new("hashicorp/vault-k8s:1.6.2", layer).unwrap();
    bed.node.load(&image).await.unwrap();
    let address = bed.node.address().to_string();
    let cluster = &bed.control_plane;
    for manifest in injector(&address) {
        cluster
            .apply_in(NAMESPACE, &manifest.to_string())
            .await
            .unwrap();
    }
    let wait = [
        "wait",
        "pod/injector",
        "--for=condition=Ready",
        "--timeout=60s",
    ];
    cluster.kubectl_in(NAMESPACE, &wait).await.unwrap();
    // The certificate is there a moment later.
    let authority = [
        "wait",
        "mutatingwebhookconfiguration/of-the-injector",
        "--for=jsonpath={.webhooks[0].clientConfig.caBundle}",
        "--timeout=60s",
    ];
    cluster.kubectl(&authority).await.unwrap();
}

fn injector(address: &str) -> [Value; 5] {
    let named = json!({"name": NAMESPACE});
    let variables = [
        ("AGENT_INJECT_LISTEN", format!(":{PORT}")),
        ("AGENT_INJECT_VAULT_ADDR", "http://vault:8200".to_owned()),
        ("AGENT_INJECT_VAULT_AUTH_PATH", "auth/kubernetes".to_owned()),
        (
            "AGENT_INJECT_VAULT_IMAGE",
            "planescape/planescape-agent:0.1.0".to_owned(),
        ),
        ("AGENT_INJECT_TLS_AUTO", NAMESPACE.to_owned()),
        ("AGENT_INJECT_TLS_AUTO_HOSTS", address.to_owned()),
    ];
    let variables = variables.map(|(name, value)| json!({"name": name, "value": value}));
    [
        json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "injector"}}),
        json!({
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "ClusterRole",
            "metadata": named,
            "rules": [{
                "apiGroups": ["admissionregistration.k8s.io"],
                "resources": ["mutatingwebhookconfigurations"],
                "verbs": ["get", "list", "watch", "patch"],
            }],
        }),
        json!({
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "ClusterRoleBinding",
            "metadata": named,
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": NAMESPACE},
            "subjects": [{"kind": "ServiceAccount", "name": "injector", "namespace": NAMESPACE}],
        }),
        json!({
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": "MutatingWebhookConfiguration",
            "metadata": named,
            "webhooks": [{
                "name": "vault.hashicorp.com",
                "clientConfig": {"url": format!("https://{address}:{PORT}/mutate")},
                "rules": [{
                    "apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods"], "operations": ["CREATE"],
                }],
                "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": NAMESPACE}},
                "objectSelector": {"matchExpressions": [{"key": "is-the-injector", "operator": "DoesNotExist"}]},
                "sideEffects": "None",
                "admissionReviewVersions": ["v1"],
                "failurePolicy": "Fail",
            }],
        }),
        json!({
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": "injector", "labels": {"is-the-injector": "true"}},
            "spec": {
                "serviceAccountName": "injector",
                "hostNetwork": true,
                "containers": [{
                    "name": "injector",
                    "image": "hashicorp/vault-k8s:1.6.2",
                    "command": ["/bin/vault-k8s", "agent-inject"],
                    "env": variables,
                    "readinessProbe": {
                        "httpGet": {"path": "/health/ready", "port": PORT, "scheme": "HTTPS"},
                        "periodSeconds": 1,
                    },
                }],
            },
        }),
    ]
}

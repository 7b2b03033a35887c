//! The Vault Agent Injector itself, with our image in the place of Vault's: pods that it writes.

use std::path::Path;
use std::time::Duration;

use planescape_tests::image::{Image, Layer};
use planescape_tests::programs::{self, Program};
use planescape_tests::servers;
use planescape_tests::testbed::Testbed;
use planescape_tests::tls::{Certificate, TlsFront};
use serde_json::{Value, json};

const NAMESPACE: &str = "of-the-injector";
const PORT: u16 = 8443;

/// The mount of AppRole for these pods, with a role and its secret id.
const APPROLE: &str = "auth/approle-of-the-injector";
const ROLE_ID: &str = "role-of-the-injector";
const SECRET_ID: &str = "secret-id-of-the-injector";
/// An annotation names it.
const LISTENER: &str = "http://127.0.0.1:8300/agent/v1";

const USER: &str = r#"{{ with secret "kv/data/injector" }}{{ .Data.data.user }}{{ end }}"#;

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
    let vault = bed.vault.address();
    let front = TlsFront::start_at(vault.ip(), vault, Certificate::Good);
    let front = front.await.unwrap();
    prepare_approle(bed).await;
    let cluster = &bed.control_plane;
    for manifest in mounted(front.authority()) {
        let manifest = manifest.to_string();
        cluster.apply_in(NAMESPACE, &manifest).await.unwrap();
    }
    let pods = pods(&front.url());
    for (name, annotations) in &pods {
        let manifest = pod(name, annotations).to_string();
        cluster.apply_in(NAMESPACE, &manifest).await.unwrap();
    }

    for (name, _) in &pods {
        ready(bed, name).await;
    }

    check_files(bed).await;
    let images = [
        "get",
        "pods",
        "-o",
        "jsonpath={.items[*].spec.initContainers[*].image}",
    ];
    let images = cluster.kubectl_in(NAMESPACE, &images).await.unwrap();
    let ours = images.matches("planescape-agent").count();
    assert_eq!(ours, pods.len(), "{images}");
    text_of_a_shell_needs_the_second_image(bed).await;
    one_user_for_the_cached_pod(bed).await;
    an_agent_tells_its_metrics_and_quits(bed).await;
    let stop = ["delete", "pods", "--all", "--timeout=90s"];
    cluster.kubectl_in(NAMESPACE, &stop).await.unwrap();
    let requests = bed.vault.requests().unwrap();
    let revoked = requests
        .iter()
        .filter(|entry| entry.is("update", "auth/token/revoke-self"));
    assert!(
        revoked.count() >= 2,
        "the injector's hooks before the end revoke the tokens, over TLS, too"
    );
}

async fn check_files(bed: &Testbed) {
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
    assert_eq!(file(bed, "configured", "user").await, "ann");
    let elsewhere = file(bed, "secured", "/vault/elsewhere/account.txt");
    assert_eq!(elsewhere.await, "ann");
    assert_eq!(file(bed, "patched", "user").await, "ann of-a-patch extra");
    assert_eq!(file(bed, "quitting", "user").await, "ann");
    let shares = "jsonpath={.spec.shareProcessNamespace}";
    let shares = ["get", "pod", "patched", "-o", shares];
    let cluster = &bed.control_plane;
    let shares = cluster.kubectl_in(NAMESPACE, &shares).await.unwrap();
    assert_eq!(shares, "true");
}

async fn prepare_approle(bed: &Testbed) {
    let role = format!("{APPROLE}/role/app");
    let (role_id, secret_id) = (
        format!("{role}/role-id"),
        format!("{role}/custom-secret-id"),
    );
    for (path, body) in [
        (format!("sys/{APPROLE}"), json!({"type": "approle"})),
        (role, json!({"token_policies": "key-value-reader"})),
        (role_id, json!({"role_id": ROLE_ID})),
        (secret_id, json!({"secret_id": SECRET_ID})),
    ] {
        bed.vault.write(&path, &body).await.unwrap();
    }
}

/// The ConfigMaps and Secrets that annotations and the pods themselves mount.
fn mounted(authority: &str) -> [Value; 4] {
    let config = format!(
        r#"
        pid_file = "/home/vault/.pid"
        auto_auth {{
          method "kubernetes" {{
            mount_path = "auth/kubernetes"
            config {{ role = "key-value-reader" }}
          }}
          sink "file" {{ config {{ path = "/home/vault/.vault-token" }} }}
        }}
        template {{
          contents = {USER:?}
          destination = "/vault/secrets/user"
        }}"#
    );
    let text = format!(r#"{USER} {{{{ env "WORD" }}}} {{{{ file "/vault/custom/word" }}}}"#);
    [
        object("ConfigMap", "texts", "data", json!({"user.ctmpl": text})),
        object(
            "ConfigMap",
            "agent-config",
            "data",
            json!({
                "config-init.hcl": format!("exit_after_auth = true\n{config}"),
                "config.hcl": config,
            }),
        ),
        object(
            "Secret",
            "extra",
            "stringData",
            json!({"word": "extra", "role-id": ROLE_ID, "secret-id": SECRET_ID}),
        ),
        object(
            "Secret",
            "authority",
            "stringData",
            json!({"ca.pem": authority}),
        ),
    ]
}

fn object(kind: &str, name: &str, field: &str, data: Value) -> Value {
    json!({"apiVersion": "v1", "kind": kind, "metadata": {"name": name}, field: data})
}

/// The annotations of each pod, by its name.
fn pods(https: &str) -> Vec<(&'static str, Value)> {
    let mut pods = usual_pods();
    pods.extend(pods_with_shell_text());
    pods.extend(pods_of_seldom_annotations(https));
    pods
}

/// Its annotations, with those that are nearly always there.
fn annotated(more: &[(&str, &str)]) -> Value {
    // All of them have to fit on one node.
    let usual = [
        ("agent-inject", "true"),
        ("agent-requests-cpu", "10m"),
        ("role", "key-value-reader"),
    ];
    // Other methods have no role.
    let has_method = more.iter().any(|(name, _)| *name == "auth-type");
    let usual = usual
        .iter()
        .filter(|(name, _)| !has_method || *name != "role");
    let annotations = usual.chain(more).map(|(name, value)| {
        let name = format!("vault.hashicorp.com/{name}");
        (name, Value::from(*value))
    });
    annotations.collect()
}

fn usual_pods() -> Vec<(&'static str, Value)> {
    let database = r#"{{ with secret "database/creds/readonly" }}{{ .Data.username }}{{ end }}"#;
    vec![
        (
            "templated",
            annotated(&[
                ("agent-inject-secret-user", "kv/data/injector"),
                ("agent-inject-template-user", USER),
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
            annotated(&[
                ("agent-inject-secret-app", "kv/data/injector"),
                ("agent-run-as-same-user", "true"),
                ("agent-limits-mem", "64Mi"),
                ("template-static-secret-render-interval", "10s"),
            ]),
        ),
        (
            "init-only",
            annotated(&[
                ("agent-pre-populate-only", "true"),
                ("agent-inject-secret-user", "kv/data/injector"),
                ("agent-inject-template-user", USER),
                ("auth-min-backoff", "1s"),
                ("auth-max-backoff", "2s"),
            ]),
        ),
        (
            "cached",
            annotated(&[
                ("role", "database-reader"),
                ("agent-cache-enable", "true"),
                ("agent-cache-use-auto-auth-token", "true"),
                ("agent-init-first", "true"),
                ("agent-inject-secret-user", "database/creds/readonly"),
                ("agent-inject-template-user", database),
            ]),
        ),
    ]
}

fn pods_with_shell_text() -> [(&'static str, Value); 2] {
    let copies =
        "if [ -f /vault/secrets/user ]; then cp /vault/secrets/user /vault/secrets/copy; fi";
    let with = |more: &[(&str, &str)]| {
        let about = [
            ("agent-pre-populate-only", "true"),
            ("agent-inject-secret-user", "kv/data/injector"),
            ("agent-inject-template-user", USER),
            ("agent-inject-command-user", copies),
        ];
        annotated(&[&about[..], more].concat())
    };
    let second = "planescape/planescape-agent-busybox:0.1.0";
    [
        ("shell-refused", with(&[])),
        ("shell-served", with(&[("agent-image", second)])),
    ]
}

fn pods_of_seldom_annotations(https: &str) -> Vec<(&'static str, Value)> {
    let word =
        r#"[{"op": "add", "path": "/env/-", "value": {"name": "WORD", "value": "of-a-patch"}}]"#;
    vec![
        (
            "configured",
            annotated(&[("agent-configmap", "agent-config")]),
        ),
        (
            "secured",
            annotated(&[
                ("service", https),
                ("tls-secret", "authority"),
                ("ca-cert", "/vault/tls/ca.pem"),
                ("secret-volume-path", "/vault/elsewhere"),
                ("agent-inject-secret-user", "kv/data/injector"),
                ("agent-inject-template-user", USER),
                ("agent-inject-file-user", "account.txt"),
                ("agent-revoke-on-shutdown", "true"),
                ("agent-revoke-grace", "1"),
            ]),
        ),
        (
            "patched",
            annotated(&[
                ("agent-inject-secret-user", "kv/data/injector"),
                ("agent-inject-template-file-user", "/templates/user.ctmpl"),
                ("agent-copy-volume-mounts", "app"),
                ("agent-extra-secret", "extra"),
                ("agent-json-patch", word),
                ("agent-init-json-patch", word),
                ("agent-share-process-namespace", "true"),
            ]),
        ),
        (
            "quitting",
            annotated(&[
                ("auth-type", "approle"),
                ("auth-path", APPROLE),
                ("agent-extra-secret", "extra"),
                ("auth-config-role-id-file-path", "/vault/custom/role-id"),
                ("auth-config-secret-id-file-path", "/vault/custom/secret-id"),
                ("auth-config-remove-secret-id-file-after-reading", "false"),
                ("agent-inject-secret-user", "kv/data/injector"),
                ("agent-inject-template-user", USER),
                ("agent-enable-quit", "true"),
                ("agent-cache-listener-port", "8300"),
                ("agent-telemetry-prometheus-retention-time", "24h"),
                ("agent-telemetry-disable-hostname", "true"),
            ]),
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
            "volumes": [{"name": "texts", "configMap": {"name": "texts"}}],
            "containers": [{
                "name": "app",
                "image": "busybox:1.35",
                "securityContext": {"runAsUser": 1001, "runAsGroup": 1001},
                "volumeMounts": [{"name": "texts", "mountPath": "/templates"}],
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

/// A file by its path, or by its name in the usual place.
async fn file(bed: &Testbed, pod: &str, name: &str) -> String {
    let path = Path::new("/vault/secrets").join(name);
    in_app(bed, pod, &["cat", &path.to_string_lossy()]).await
}

async fn in_app(bed: &Testbed, pod: &str, words: &[&str]) -> String {
    let words = [&["exec", pod, "-c", "app", "--"], words].concat();
    let said = bed.control_plane.kubectl_in(NAMESPACE, &words);
    said.await.unwrap()
}

/// The kubelet starts it again.
async fn an_agent_tells_its_metrics_and_quits(bed: &Testbed) {
    let metrics = format!("{LISTENER}/metrics?format=prometheus");
    let metrics = in_app(bed, "quitting", &["wget", "-qO-", &metrics]).await;
    assert!(
        metrics.contains("vault_agent_authenticated 1\n"),
        "{metrics}"
    );
    let quit = format!("{LISTENER}/quit");
    let quit = ["wget", "-qO-", "--post-data", "", &quit];
    in_app(bed, "quitting", &quit).await;
    let state = r#"jsonpath={range .status.containerStatuses[?(@.name=="vault-agent")]}{.lastState.terminated.exitCode}{.state.terminated.exitCode}{end}"#;
    let state = ["get", "pod", "quitting", "-o", state];
    for _ in 0..60 {
        let code = bed.control_plane.kubectl_in(NAMESPACE, &state);
        let code = code.await.unwrap();
        if !code.is_empty() {
            assert_eq!(code, "0");
            return;
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    panic!("the agent goes on after it was asked to quit");
}

/// The agent alone refuses such text with a sentence, and goes on; with a busybox beside the agent the text runs.
async fn text_of_a_shell_needs_the_second_image(bed: &Testbed) {
    assert_eq!(file(bed, "shell-served", "copy").await, "ann");

    assert_eq!(file(bed, "shell-refused", "user").await, "ann");
    let files = in_app(bed, "shell-refused", &["ls", "/vault/secrets"]).await;
    assert_eq!(files.trim_end(), "user");
    let cluster = &bed.control_plane;
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

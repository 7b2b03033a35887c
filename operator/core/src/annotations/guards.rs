//! Every annotation that is accepted does something: it changes the pod that is made.

use serde_json::{Value, json};

use super::keys;
use super::*;
use crate::inject::inject;

/// A value for each key, other than what holds without it; with a suffix where the key takes one.
const SAMPLES: &[(&str, &str)] = &[
    ("agent-auto-auth-exit-on-err", "true"),
    ("agent-image", "other:1"),
    ("agent-init-first", "false"),
    ("agent-inject", "false"),
    ("agent-inject-containers", "second"),
    ("agent-inject-default-template", "json"),
    ("agent-inject-default-template-engine", "handlebars"),
    ("agent-inject-file-db", "other"),
    ("agent-inject-perms-db", "0400"),
    ("agent-inject-secret-more", "kv/data/more"),
    ("agent-inject-status", "injected"),
    ("agent-inject-template-db", "text"),
    ("agent-inject-template-engine-app", "handlebars"),
    ("agent-inject-template-output-app", "base64-decoded"),
    ("agent-limits-cpu", "2"),
    ("agent-limits-ephemeral", "2Gi"),
    ("agent-limits-mem", "2Gi"),
    ("agent-pre-populate", "false"),
    ("agent-pre-populate-only", "true"),
    ("agent-requests-cpu", "2"),
    ("agent-requests-ephemeral", "1Gi"),
    ("agent-requests-mem", "1Gi"),
    ("agent-revoke-on-shutdown", "false"),
    ("agent-run-as-group", "7"),
    ("agent-run-as-same-user", "true"),
    ("agent-run-as-user", "7"),
    ("agent-service-account-token-volume-name", "token"),
    ("agent-set-security-context", "false"),
    ("agent-template-left-delim-app", "<<"),
    ("agent-template-right-delim-app", ">>"),
    ("auth-audience", "vault"),
    ("auth-config-token-path", "/x"),
    ("auth-max-backoff", "1h"),
    ("auth-min-backoff", "7s"),
    ("auth-path", "other"),
    ("auth-type", "kubernetes"),
    ("ca-cert", "/ca.pem"),
    ("ca-key", "/cas"),
    ("client-cert", "/cert.pem"),
    ("client-key", "/key.pem"),
    ("error-on-missing-key-db", "true"),
    ("lease-guard", "5m"),
    ("log-format", "json"),
    ("log-level", "debug"),
    ("namespace", "team"),
    ("preserve-secret-case", "true"),
    ("preserve-secret-case-Upper", "true"),
    ("agent-inject-command-db", "kill -HUP 1"),
    ("role", "other"),
    ("secret-volume-path", "/secrets"),
    ("secret-volume-path-db", "/secrets"),
    ("service", "https://other:8200"),
    ("template-config-exit-on-retry-failure", "false"),
    ("template-lease-renewal-threshold", "0.5"),
    ("template-max-connections-per-host", "3"),
    ("template-static-secret-render-interval", "1h"),
    ("tls-secret", "tls"),
    ("tls-server-name", "vault"),
    ("tls-skip-verify", "true"),
];

/// The only method there is: naming it changes nothing yet.
const SAYS_WHAT_HOLDS: &[&str] = &["auth-type"];

#[test]
fn every_key_that_is_accepted_has_a_sample() {
    let mut missing: Vec<&str> = keys::built_names().collect();
    missing.retain(|key| {
        let is_of = |sample: &&(&str, &str)| keys::find(sample.0).is_some_and(|it| it.name == *key);
        !SAMPLES.iter().any(|sample| is_of(&sample))
    });

    assert_eq!(missing, [""; 0]);
}

#[test]
fn every_annotation_that_is_accepted_changes_the_pod() {
    let usual = made(&[]);
    for sample in SAMPLES {
        let is_same = made(&[*sample]) == usual;

        assert_eq!(is_same, SAYS_WHAT_HOLDS.contains(&sample.0), "{sample:?}");
    }
}

/// The pod that is made, without its annotations.
fn made(annotations: &[(&str, &str)]) -> Value {
    let mut all = json!({});
    let usual = [
        ("agent-inject", "true"),
        ("role", "reader"),
        ("agent-inject-secret-db", "kv/data/db"),
        ("agent-inject-secret-Upper", "kv/data/upper"),
        ("agent-inject-template-app", "text"),
    ];
    for (name, value) in usual.iter().chain(annotations) {
        all[format!("vault.hashicorp.com/{name}")] = json!(value);
    }
    let template = json!({
        "metadata": { "annotations": all },
        "spec": {
            "securityContext": { "runAsUser": 42 },
            "initContainers": [{ "name": "proxy" }],
            "containers": [{ "name": "first" }, { "name": "second" }],
            "volumes": [{ "name": "token", "projected": { "sources": [
                { "serviceAccountToken": { "path": "t" } },
            ] } }],
        },
    });
    let defaults = Defaults {
        vault_address: Some("https://vault:8200".into()),
        ..Defaults::default()
    };
    let injection = read(&template, None, &defaults).unwrap();
    let mut pod = match &injection {
        Some(injection) => inject(template, injection),
        None => template,
    };
    pod["metadata"] = Value::Null;
    pod
}

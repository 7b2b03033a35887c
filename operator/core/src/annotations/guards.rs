//! Every annotation that is accepted does something: it changes the pod that is made.

use serde_json::{Value, json};

use super::keys;
use super::*;
use crate::inject::inject;

/// Their example is what holds in a pod without them.
const SAYS_WHAT_HOLDS: &[&str] = &["agent-inject", "auth-type"];

/// Names of secrets, files and settings: each key with a name says something about one of them.
const NAMES: &[&str] = &["db", "app", "Upper", "token-path"];

#[test]
fn every_annotation_that_is_accepted_changes_the_pod() {
    let usual = made(&[]);
    assert!(usual.is_some());
    for key in keys::built_keys() {
        let names: &[&str] = if key.takes_suffix { NAMES } else { &[""] };
        let changes = |name: &&str| {
            let annotation = format!("{}{name}", key.name);
            let made = made(&[(annotation.as_str(), key.example)]);
            made.is_some() && made != usual
        };

        let holds = SAYS_WHAT_HOLDS.contains(&key.name);
        assert_eq!(!names.iter().any(changes), holds, "{}", key.name);
    }
}

/// The pod that is made, without its annotations; none where they are refused.
fn made(annotations: &[(&str, &str)]) -> Option<Value> {
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
            "containers": [{ "name": "first" }, { "name": "app" }],
            "volumes": [{ "name": "token", "projected": { "sources": [
                { "serviceAccountToken": { "path": "t" } },
            ] } }],
        },
    });
    let defaults = Defaults {
        vault_address: Some("https://vault:8200".into()),
        ..Defaults::default()
    };
    let injection = read(&template, None, &defaults).ok()?;
    let mut pod = match &injection {
        Some(injection) => inject(template, injection),
        None => template,
    };
    pod["metadata"] = Value::Null;
    Some(pod)
}

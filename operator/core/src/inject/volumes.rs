//! The volumes that an injected pod gets, and where they are mounted.

use serde_json::{Value, json};

use crate::annotations::{Injection, Mode};

/// The agent's own folder.
pub(super) const HOME: &str = "/home/vault";

const TLS: &str = "/vault/tls";
const TOKEN: &str = "/var/run/secrets/vault.hashicorp.com/serviceaccount";
const TOKEN_VOLUME: &str = "vault-token";

/// All volumes to add.
pub(super) fn all(injection: &Injection) -> Vec<Value> {
    let mut volumes: Vec<Value> = secret_volumes(injection)
        .map(|(name, _)| in_memory(&name))
        .collect();
    volumes.push(in_memory(home(injection.mode)));
    if injection.token_volume.is_none() {
        let mut token = json!({ "path": "token" });
        if let Some(audience) = &injection.audience {
            token["audience"] = json!(audience);
        }
        volumes.push(json!({
            "name": TOKEN_VOLUME,
            "projected": { "sources": [{ "serviceAccountToken": token }] },
        }));
    }
    if let Some(secret) = &injection.server.tls_secret {
        volumes.push(json!({
            "name": "vault-tls-secrets",
            "secret": { "secretName": secret },
        }));
    }
    volumes
}

/// The mounts of containers that read the secrets.
pub(super) fn of_secrets(injection: &Injection) -> Vec<Value> {
    secret_volumes(injection)
        .map(|(name, path)| json!({ "name": name, "mountPath": path }))
        .collect()
}

/// The mounts of the agent.
pub(super) fn of_agent(injection: &Injection) -> Vec<Value> {
    let token = match &injection.token_volume {
        Some(volume) => volume.name.as_str(),
        None => TOKEN_VOLUME,
    };
    let mut mounts = vec![
        json!({ "name": home(injection.mode), "mountPath": HOME }),
        json!({ "name": token, "mountPath": TOKEN, "readOnly": true }),
    ];
    mounts.extend(of_secrets(injection));
    if injection.server.tls_secret.is_some() {
        mounts.push(json!({ "name": "vault-tls-secrets", "mountPath": TLS, "readOnly": true }));
    }
    mounts
}

/// The file in which the agent finds the token to log in with.
pub(super) fn token_path(injection: &Injection) -> String {
    match &injection.token_volume {
        Some(volume) => format!("{TOKEN}/{}", volume.path),
        None => format!("{TOKEN}/token"),
    }
}

fn home(mode: Mode) -> &'static str {
    match mode {
        Mode::Sidecar { .. } => "home-sidecar",
        Mode::Init { .. } => "home-init",
    }
}

/// The common volume, then one for each path of its own.
fn secret_volumes(injection: &Injection) -> impl Iterator<Item = (String, &str)> {
    let name = |index: usize| match index {
        0 => "vault-secrets".to_owned(),
        custom => format!("vault-secrets-custom-{}", custom - 1),
    };
    let paths = injection.mounts.iter().enumerate();
    paths.map(move |(index, path)| (name(index), path.as_str()))
}

fn in_memory(name: &str) -> Value {
    json!({ "name": name, "emptyDir": { "medium": "Memory" } })
}

//! The agent's container.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde_json::{Value, json};

use super::{document, volumes};
use crate::annotations::{Identity, Injection, Mode};

const BINARY: &str = "/planescape-agent";

pub(super) fn agent(injection: &Injection) -> Value {
    let mut container = json!({
        "name": injection.mode.container_name(),
        "image": injection.image,
        "command": [BINARY],
        "env": environment(injection),
        "resources": {
            "limits": injection.resources.limits,
            "requests": injection.resources.requests,
        },
        "volumeMounts": volumes::of_agent(injection),
    });
    if let Mode::Sidecar { gates } = injection.mode {
        container["restartPolicy"] = json!("Always");
        if gates {
            container["lifecycle"] = gate();
        } else {
            container["readinessProbe"] = probe();
        }
    }
    if injection.identity.sets_security_context {
        container["securityContext"] = security_context(injection.identity);
    }
    container
}

/// The kubelet starts the next container when this hook returns.
fn gate() -> Value {
    json!({ "postStart": { "exec": { "command": [BINARY, "wait"] } } })
}

/// If no container waits for the files, we learn from the kubelet's status that they are there.
fn probe() -> Value {
    json!({ "exec": { "command": [BINARY, "wait"] }, "periodSeconds": 5, "timeoutSeconds": 1 })
}

fn environment(injection: &Injection) -> Value {
    let config = json!({ "name": "VAULT_CONFIG", "value": configuration(injection) });
    let mut environment = vec![config];
    if let Some(certificates) = &injection.server.ca_bytes {
        environment.push(json!({ "name": "VAULT_CACERT_BYTES", "value": certificates }));
    }
    for (name, value) in &injection.log {
        environment.push(json!({ "name": name, "value": value }));
    }
    Value::Array(environment)
}

/// The agent's configuration as its environment carries it.
pub(super) fn configuration(injection: &Injection) -> String {
    let document = serde_json::to_vec(&document::of(injection)).expect("a document is plain data");
    BASE64_STANDARD.encode(document)
}

/// Follows the restricted Pod Security standard.
fn security_context(identity: Identity) -> Value {
    json!({
        "allowPrivilegeEscalation": false,
        "capabilities": { "drop": ["ALL"] },
        "readOnlyRootFilesystem": true,
        "runAsGroup": identity.group,
        "runAsNonRoot": identity.user != 0,
        "runAsUser": identity.user,
        "seccompProfile": { "type": "RuntimeDefault" },
    })
}

//! Writes the agent into a pod template.
//!
//! The template stays JSON: what we do not know about a pod, we do not touch.

mod check;
mod containers;
mod document;
mod volumes;

use serde_json::{Map, Value, json};

use crate::annotations::{Injection, Mode, STATUS_ANNOTATION};

/// The agent's container where it runs beside the job.
pub const SIDECAR: &str = "vault-agent";

/// The agent's container where it ends before the job begins.
pub const INIT_CONTAINER: &str = "vault-agent-init";

const DEFAULT_CONTAINER_ANNOTATION: &str = "kubectl.kubernetes.io/default-container";

impl Mode {
    /// The name of the agent's container.
    pub fn container_name(self) -> &'static str {
        match self {
            Self::Sidecar { .. } => SIDECAR,
            Self::Init { .. } => INIT_CONTAINER,
        }
    }
}

/// The pod template with the agent in it.
///
/// The agent is the first init container, so that the job's own can read the files too, unless it
/// is to come last, as behind the proxy of a mesh.
pub fn inject(mut template: Value, injection: &Injection) -> Value {
    annotate(&mut template);
    let mounts = volumes::of_secrets(injection);
    let is_listed = |name: &Value| match &injection.containers {
        Some(listed) => listed.iter().any(|listed| name == listed.as_str()),
        None => true,
    };
    for container in list(&mut template, "containers") {
        if is_listed(&container["name"]) {
            extend(container, "volumeMounts", &mounts);
        }
    }
    let init_containers = list(&mut template, "initContainers");
    for container in init_containers.iter_mut() {
        extend(container, "volumeMounts", &mounts);
    }
    let place = if injection.comes_first {
        0
    } else {
        init_containers.len()
    };
    init_containers.insert(place, containers::agent(injection));
    list(&mut template, "volumes").extend(volumes::all(injection));
    template
}

/// The agent's configuration, as its environment carries it in base64.
pub fn configuration(injection: &Injection) -> Value {
    serde_json::to_value(document::of(injection)).expect("a document is plain data")
}

/// How many bytes the agent's configuration takes in its environment.
pub fn configuration_size(injection: &Injection) -> usize {
    containers::configuration(injection).len()
}

/// Settings that the agent would refuse: an annotation's name without prefix, and the mistake.
pub fn refusals(injection: &Injection) -> Vec<(String, String)> {
    check::refusals(injection)
}

/// Keeps a real injector away, and lets `kubectl logs` find the job's own container.
fn annotate(template: &mut Value) {
    let first = template.pointer("/spec/containers/0/name").cloned();
    let annotations = object(object(template, "metadata"), "annotations");
    annotations[STATUS_ANNOTATION] = json!("injected");
    let annotations = annotations.as_object_mut().expect("just made an object");
    if let Some(first) = first {
        annotations
            .entry(DEFAULT_CONTAINER_ANNOTATION)
            .or_insert(first);
    }
}

fn object<'value>(parent: &'value mut Value, field: &str) -> &'value mut Value {
    let child = &mut parent[field];
    if !child.is_object() {
        *child = Value::Object(Map::new());
    }
    child
}

fn list<'value>(template: &'value mut Value, field: &str) -> &'value mut Vec<Value> {
    array(object(template, "spec"), field)
}

fn extend(parent: &mut Value, field: &str, items: &[Value]) {
    if parent.is_object() {
        array(parent, field).extend_from_slice(items);
    }
}

fn array<'value>(parent: &'value mut Value, field: &str) -> &'value mut Vec<Value> {
    let child = &mut parent[field];
    if !child.is_array() {
        *child = Value::Array(Vec::new());
    }
    child.as_array_mut().expect("just made an array")
}

#[cfg(test)]
mod tests;

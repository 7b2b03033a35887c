//! Finds settings that the agent would refuse, before there is a pod.

use planescape_agent_contract::{Config, Overrides, Tree};

use super::document;
use crate::annotations::Injection;

/// The agent's settings, and the annotations that they come from.
const ANNOTATIONS: &[(&str, &str)] = &[
    ("auto_auth.method.min_backoff", "auth-min-backoff"),
    ("auto_auth.method.max_backoff", "auth-max-backoff"),
    ("vault.address", "service"),
    ("vault.client_cert", "client-cert"),
    ("vault.client_key", "client-key"),
    (
        "template_config.lease_renewal_threshold",
        "template-lease-renewal-threshold",
    ),
    (
        "template_config.max_connections_per_host",
        "template-max-connections-per-host",
    ),
    (
        "template_config.static_secret_render_interval",
        "template-static-secret-render-interval",
    ),
];

/// Name of an annotation, without prefix, and what the agent says of it.
pub(super) fn refusals(injection: &Injection) -> Vec<(String, String)> {
    let document = document::of(injection);
    let text = serde_json::to_string(&document).expect("a document is plain data");
    let tree = match Tree::parse(&text) {
        Ok(tree) => tree,
        Err(error) => return vec![("agent-inject".to_owned(), error.to_string())],
    };
    let overrides = Overrides {
        ca_cert_bytes: injection.server.ca_bytes.clone(),
        ..Overrides::default()
    };
    let Err(problems) = Config::new(&[tree], &overrides) else {
        return Vec::new();
    };
    let problems = problems.as_slice().iter();
    problems
        .map(|problem| match annotation(&problem.field, injection) {
            Some(name) => (name, problem.reason.clone()),
            None => ("agent-inject".to_owned(), problem.to_string()),
        })
        .collect()
}

fn annotation(field: &str, injection: &Injection) -> Option<String> {
    let mut known = ANNOTATIONS.iter();
    if let Some((_, name)) = known.find(|(setting, _)| *setting == field) {
        return Some((*name).to_owned());
    }
    let (index, _) = field.strip_prefix("template[")?.split_once(']')?;
    let secret = injection.secrets.get(index.parse::<usize>().ok()?)?;
    Some(format!("agent-inject-template-{}", secret.name))
}

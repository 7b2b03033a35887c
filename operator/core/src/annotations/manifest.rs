//! The templates of any object that carries annotations, in its own metadata or deeper: pods,
//! workloads with a pod template, PlanescapeJobs.

use serde_json::{Value, json};

use super::keys;
use super::reader::Reader;
use super::secrets::{self, Secret};

/// Every templated secret of an object, under the full key of the annotation that holds its text.
pub fn templates(object: &Value) -> Vec<(String, Secret)> {
    let mut found = Vec::new();
    visit(object, &mut found);
    found
}

fn visit(value: &Value, found: &mut Vec<(String, Secret)>) {
    match value {
        Value::Object(fields) => {
            if let Some(annotations) = value.pointer("/metadata/annotations") {
                found.extend(of(annotations));
            }
            fields.values().for_each(|field| visit(field, found));
        }
        Value::Array(items) => items.iter().for_each(|item| visit(item, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn of(annotations: &Value) -> Vec<(String, Secret)> {
    let mut reader = Reader::new(&json!({"metadata": {"annotations": annotations}}));
    let (secrets, _) = secrets::read(&mut reader);
    secrets
        .into_iter()
        .filter_map(|secret| {
            let name = format!("agent-inject-template-{}", secret.name);
            let mut keys = keys::PREFIXES
                .iter()
                .map(|prefix| format!("{prefix}{name}"));
            let key = keys.find(|key| annotations.get(key).is_some())?;
            Some((key, secret))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_templates_of_any_object_that_carries_annotations() {
        let annotations = json!({
            "vault.hashicorp.com/agent-inject-secret-db": "database/creds/demo",
            "openbao.org/agent-inject-template-db": "x",
        });
        let pod = json!({ "metadata": { "annotations": annotations } });
        let list = json!({ "items": [{ "spec": { "template": pod } }] });

        let found = templates(&list);

        let found: Vec<_> = found
            .iter()
            .map(|(key, secret)| (key.as_str(), secret.template.as_str()))
            .collect();
        assert_eq!(found, [("openbao.org/agent-inject-template-db", "x")]);
    }
}

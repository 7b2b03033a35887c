//! Finds the places in a pod template that refer to a Secret, and makes them refer to the run's own.

use serde_json::Value;

use super::order::{Order, name_for};

/// A place in a pod template that names a Secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reference {
    /// The place of the name, as a JSON pointer from the template.
    pub pointer: String,
    /// The name.
    pub name: String,
    /// The places of the keys that it needs, and those keys.
    pub keys: Vec<(String, String)>,
    /// Whether the pod starts without the Secret or the key.
    pub is_optional: bool,
}

/// Every reference of a pod template to a Secret that a container can read: variables and volumes.
#[must_use]
pub fn of(template: &Value) -> Vec<Reference> {
    let mut found = Finder {
        template,
        references: Vec::new(),
    };
    for list in ["initContainers", "containers", "ephemeralContainers"] {
        for container in found.items(&format!("/spec/{list}")) {
            for variable in found.items(&format!("{container}/env")) {
                let key_ref = format!("{variable}/valueFrom/secretKeyRef");
                found.take(&key_ref, "name", &[format!("{key_ref}/key")]);
            }
            for source in found.items(&format!("{container}/envFrom")) {
                found.take(&format!("{source}/secretRef"), "name", &[]);
            }
        }
    }
    for volume in found.items("/spec/volumes") {
        let secret = format!("{volume}/secret");
        let keys = found.item_keys(&secret);
        found.take(&secret, "secretName", &keys);
        for source in found.items(&format!("{volume}/projected/sources")) {
            let secret = format!("{source}/secret");
            let keys = found.item_keys(&secret);
            found.take(&secret, "name", &keys);
        }
    }
    found.references
}

/// Makes a pod template refer to the Secrets of one run.
pub fn rewrite(template: &mut Value, order: &Order, job: &str) {
    let is_ordered = |name: &str| order.secrets.iter().any(|it| it.secret_name == name);
    for reference in of(template) {
        if let Some(name) = template.pointer_mut(&reference.pointer)
            && is_ordered(&reference.name)
        {
            *name = Value::String(name_for(job, &reference.name));
        }
    }
}

/// How an author writes a place of the pod template.
#[must_use]
pub fn field(pointer: &str) -> String {
    let mut field = "spec.jobTemplate.spec.template".to_owned();
    for part in pointer.split('/').skip(1) {
        if part.parse::<usize>().is_ok() {
            field.push_str(&format!("[{part}]"));
        } else {
            field.push('.');
            field.push_str(part);
        }
    }
    field
}

struct Finder<'a> {
    template: &'a Value,
    references: Vec<Reference>,
}

impl Finder<'_> {
    fn items(&self, pointer: &str) -> Vec<String> {
        let items = self.template.pointer(pointer).and_then(Value::as_array);
        let count = items.map_or(0, Vec::len);
        (0..count)
            .map(|index| format!("{pointer}/{index}"))
            .collect()
    }

    fn item_keys(&self, secret: &str) -> Vec<String> {
        let items = self.items(&format!("{secret}/items"));
        items.iter().map(|item| format!("{item}/key")).collect()
    }

    fn text(&self, pointer: &str) -> Option<String> {
        let text = self.template.pointer(pointer)?.as_str()?;
        Some(text.to_owned())
    }

    fn take(&mut self, place: &str, name: &str, keys: &[String]) {
        let pointer = format!("{place}/{name}");
        let Some(name) = self.text(&pointer) else {
            return;
        };
        let keys = keys.iter();
        let keys = keys.filter_map(|key| Some((key.clone(), self.text(key)?)));
        let optional = self.template.pointer(&format!("{place}/optional"));
        self.references.push(Reference {
            pointer,
            name,
            keys: keys.collect(),
            is_optional: optional == Some(&Value::Bool(true)),
        });
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::credentials::{Content, OrderedSecret};

    #[test]
    fn every_way_to_refer_to_a_secret_leads_to_the_runs_own() {
        let mut template = template("vault-db-creds", "other");

        rewrite(&mut template, &order(), "my-job-1");

        assert_eq!(template, self::template("my-job-1-vault-db-creds", "other"));
    }

    #[test]
    fn an_author_finds_the_field() {
        let references = of(&template("vault-db-creds", "other"));

        let fields: Vec<String> = references.iter().map(|it| field(&it.pointer)).collect();
        let pod = "spec.jobTemplate.spec.template.spec";
        assert_eq!(
            fields,
            [
                format!("{pod}.initContainers[0].envFrom[1].secretRef.name"),
                format!("{pod}.initContainers[0].envFrom[2].secretRef.name"),
                format!("{pod}.containers[0].env[1].valueFrom.secretKeyRef.name"),
                format!("{pod}.ephemeralContainers[0].env[0].valueFrom.secretKeyRef.name"),
                format!("{pod}.volumes[1].secret.secretName"),
                format!("{pod}.volumes[2].projected.sources[1].secret.name"),
            ]
        );
        assert_eq!(references[2].keys[0].1, "username");
        assert_eq!(references[4].keys[0].1, "password");
        assert!(references[3].is_optional && !references[2].is_optional);
    }

    fn template(name: &str, other: &str) -> Value {
        json!({ "metadata": { "labels": { "name": "vault-db-creds" } }, "spec": {
            "initContainers": [{ "name": "a", "envFrom": [
                { "configMapRef": { "name": "vault-db-creds" } },
                { "secretRef": { "name": name } },
                { "secretRef": { "name": other } },
            ] }],
            "containers": [{ "name": "b", "env": [
                { "name": "PLAIN", "value": "vault-db-creds" },
                { "name": "PGUSER", "valueFrom": { "secretKeyRef": { "name": name, "key": "username" } } },
            ] }],
            "ephemeralContainers": [{ "name": "c", "env": [
                { "name": "U", "valueFrom": { "secretKeyRef": { "name": name, "key": "username", "optional": true } } },
            ] }],
            "volumes": [
                { "name": "v", "configMap": { "name": "vault-db-creds" } },
                { "name": "w", "secret": { "secretName": name, "items": [{ "key": "password", "path": "p" }] } },
                { "name": "x", "projected": { "sources": [
                    { "configMap": { "name": "vault-db-creds" } },
                    { "secret": { "name": name } },
                ] } },
            ],
        } })
    }

    fn order() -> Order {
        Order {
            address: "http://vault:8200".into(),
            namespace: None,
            auth_path: "auth/kubernetes".into(),
            role: "reader".into(),
            secrets: vec![OrderedSecret {
                path: "database/creds/readonly".into(),
                params: Default::default(),
                secret_name: "vault-db-creds".into(),
                content: Content::All,
            }],
        }
    }
}

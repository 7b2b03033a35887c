//! From `spec.vault.secrets` to an [`Order`], or to everything that is wrong with it.

use std::collections::BTreeSet;

use planescape_templates::{Options, Template};
use planescape_vault::path::percent_decoded;
use serde_json::Value;

use super::order::{Content, Order, OrderedSecret};
use super::references::{self, Reference};
use crate::annotations;
use crate::api::v1alpha1::{PlanescapeJobSpec, VaultBlock, VaultSecret};
use crate::defaults::Defaults;
use crate::problem::Problem;

/// Kubernetes takes annotations of 256 KiB in all.
const LARGEST_ORDER: usize = 128 << 10;

/// Reads the block. `None`: nothing is ordered.
///
/// # Errors
/// Everything that keeps a run from getting what is ordered.
pub fn read(spec: &PlanescapeJobSpec, defaults: &Defaults) -> Result<Option<Order>, Vec<Problem>> {
    let block = spec.vault.as_ref().filter(|block| block.enabled);
    let Some(block) = block.filter(|block| !block.secrets.is_empty()) else {
        return Ok(None);
    };
    let mut reading = Reading::default();
    let order = reading.order(block, defaults);
    reading.compare_with_template(&order, &spec.job_template);
    if reading.problems.is_empty() {
        return Ok(Some(order));
    }
    Err(reading.problems)
}

#[derive(Default)]
struct Reading {
    problems: Vec<Problem>,
}

impl Reading {
    fn refuse(&mut self, field: impl Into<String>, message: impl Into<String>) {
        self.problems.push(Problem::template(field, message));
    }

    fn order(&mut self, block: &VaultBlock, defaults: &Defaults) -> Order {
        let role = block.role.clone().unwrap_or_default();
        if role.is_empty() {
            self.refuse("spec.vault.role", "is missing: the Vault role to log in as");
        }
        let address = match &block.address {
            Some(address) => annotations::vault_address(address).unwrap_or_else(|message| {
                self.refuse("spec.vault.address", message);
                String::new()
            }),
            None => defaults.vault_address.clone().unwrap_or_else(|| {
                self.refuse(
                    "spec.vault.address",
                    "is missing: the address of Vault, for which the operator has no default either",
                );
                String::new()
            }),
        };
        let auth_path = block.auth_path.as_deref();
        let auth_path = auth_path.filter(|path| !path.is_empty());
        if let Some(Err(message)) = auth_path.map(auth_mount) {
            self.refuse("spec.vault.authPath", message);
        }
        let namespace = block.namespace.clone().or(defaults.namespace.clone());
        let order = Order {
            address,
            namespace: namespace.filter(|namespace| !namespace.is_empty()),
            auth_path: auth_path
                .map_or_else(|| defaults.auth_path.clone(), annotations::below_auth),
            role,
            secrets: self.secrets(&block.secrets),
        };
        let size = serde_json::to_vec(&order).map_or(0, |text| text.len());
        if size > LARGEST_ORDER {
            let message = format!(
                "takes {size} bytes, and an annotation holds {LARGEST_ORDER} at most; write shorter templates"
            );
            self.refuse("spec.vault.secrets", message);
        }
        order
    }

    fn secrets(&mut self, secrets: &[VaultSecret]) -> Vec<OrderedSecret> {
        let mut seen = BTreeSet::new();
        let mut ordered = Vec::new();
        for (index, secret) in secrets.iter().enumerate() {
            let field = format!("spec.vault.secrets[{index}]");
            if !seen.insert(&secret.secret_name) {
                let message = format!(
                    "`{}` is the name of another entry's Secret; give each its own",
                    secret.secret_name
                );
                self.refuse(format!("{field}.secretName"), message);
            }
            self.check_path(&secret.path, &field);
            ordered.push(OrderedSecret {
                path: secret.path.trim_matches('/').to_owned(),
                params: secret.params.clone(),
                secret_name: secret.secret_name.clone(),
                content: self.content(secret, &field),
            });
        }
        ordered
    }

    fn check_path(&mut self, path: &str, field: &str) {
        let trimmed = path.trim_matches('/');
        if !is_path(trimmed) {
            let message =
                format!("`{path}` is not a path: write for example database/creds/readonly");
            self.refuse(format!("{field}.path"), message);
        } else if trimmed.starts_with("v1/") {
            let message = format!("`{path}` begins with v1/, which is added for you; leave it out");
            self.refuse(format!("{field}.path"), message);
        }
    }

    fn content(&mut self, secret: &VaultSecret, field: &str) -> Content {
        let (keys, templates) = (&secret.keys, &secret.key_templates);
        if !keys.is_empty() && !templates.is_empty() {
            let message = "and keyTemplates exclude each other; a template such as {{ .Data.username }} does for a field";
            self.refuse(format!("{field}.keys"), message);
        }
        for (list, keys) in [("keys", keys), ("keyTemplates", templates)] {
            for key in keys.keys().filter(|key| !is_key(key)) {
                let message = "is not a key of a Secret: letters, digits, `-`, `_` and `.` alone, at most 253 of them";
                self.refuse(format!("{field}.{list}[{key}]"), message);
            }
        }
        for (key, text) in templates {
            if let Err(error) = Template::parse(text.as_bytes(), &Options::default()) {
                self.refuse(format!("{field}.keyTemplates[{key}]"), error.to_string());
            }
        }
        match (keys.is_empty(), templates.is_empty()) {
            (false, _) => Content::Fields(keys.clone()),
            (true, false) => Content::Templates(templates.clone()),
            (true, true) => Content::All,
        }
    }

    /// An order that the pod template does not use has a wrong name, and costs a database user all the same.
    fn compare_with_template(&mut self, order: &Order, job_template: &Value) {
        let suspend = job_template.pointer("/spec/suspend");
        if suspend == Some(&Value::Bool(true)) {
            self.refuse(
                "spec.jobTemplate.spec.suspend",
                "is set by the operator until the Secrets of spec.vault.secrets exist; take it away",
            );
        }
        let pod = job_template.pointer("/spec/template");
        let references = references::of(pod.unwrap_or(&Value::Null));
        for (index, secret) in order.secrets.iter().enumerate() {
            let is_it = |reference: &&Reference| reference.name == secret.secret_name;
            if !references.iter().any(|reference| is_it(&reference)) {
                let message = format!(
                    "nothing in the pod template refers to a Secret `{}`; use it in env, envFrom or volumes, or take the entry away",
                    secret.secret_name
                );
                self.refuse(format!("spec.vault.secrets[{index}].secretName"), message);
            }
            let Some(known) = secret.content.keys() else {
                continue;
            };
            for reference in references.iter().filter(is_it) {
                let keys = reference.keys.iter();
                let missing = keys.filter(|(_, key)| !known.contains(&key.as_str()));
                for (pointer, key) in missing.filter(|_| !reference.is_optional) {
                    let message = format!(
                        "spec.vault.secrets[{index}] gives its Secret no key `{key}`; it has: {}",
                        known.join(", ")
                    );
                    self.refuse(references::field(pointer), message);
                }
            }
        }
    }
}

/// The mount of an auth method, without the slashes around it.
///
/// # Errors
/// It is no path.
pub(crate) fn auth_mount(text: &str) -> Result<&str, String> {
    let path = text.trim_matches('/');
    if is_path(path) {
        return Ok(path);
    }
    Err(format!(
        "`{text}` is not a path: write for example auth/kubernetes"
    ))
}

/// Whether it names one place in Vault, and no other once its escapes are resolved.
pub(super) fn is_path(path: &str) -> bool {
    let holds_odd = path.contains(|c: char| c.is_whitespace() || matches!(c, '?' | '#'));
    let path = percent_decoded(path);
    let is_odd = |part: &str| matches!(part, "" | "." | "..");
    // Escapes that are left would be resolved once more on their way, and backslashes taken for slashes.
    let is_other = path.contains(|c: char| c.is_control() || matches!(c, '%' | '\\'));
    !(holds_odd || is_other || path.split('/').any(is_odd))
}

/// As Kubernetes checks keys of Secrets.
pub(super) fn is_key(key: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    (1..=253).contains(&key.len())
        && key.bytes().all(is_allowed)
        && key != "."
        && !key.starts_with("..")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_guides_block_is_read_with_the_operators_settings() {
        let order = order(&usual(), &pod("vault-db-creds")).unwrap().unwrap();

        assert_eq!(order.address, "http://vault:8200");
        assert_eq!(order.auth_path, "auth/kubernetes");
        assert_eq!(order.role, "reader");
        assert_eq!(order.secrets[0].path, "database/creds/readonly");
        assert_eq!(order.secrets[0].name_for("a-1"), "a-1-vault-db-creds");
        assert_eq!(order.secrets[0].content, Content::All);
    }

    #[test]
    fn what_the_block_says_wins() {
        let mut block = usual();
        block["address"] = json!("https://other:8200/");
        block["authPath"] = json!("team");
        block["namespace"] = json!("ns");

        let order = order(&block, &pod("vault-db-creds")).unwrap().unwrap();

        assert_eq!(order.auth_path, "auth/team");
        assert_eq!(order.namespace.as_deref(), Some("ns"));
        assert!(order.address.starts_with("https://other:8200"), "{order:?}");
    }

    #[test]
    fn the_slashes_around_an_auth_path_are_no_part_of_it() {
        for path in ["auth/team", "/auth/team", "/team/", "auth/team/"] {
            let mut block = usual();
            block["authPath"] = json!(path);

            let order = order(&block, &pod("vault-db-creds")).unwrap().unwrap();

            assert_eq!(order.auth_path, "auth/team", "{path}");
        }
    }

    #[test]
    fn a_block_that_is_off_or_only_a_file_orders_nothing() {
        let mut off = usual();
        off["enabled"] = json!(false);
        assert_eq!(order(&off, &pod("x")), Ok(None));
        let file = json!({ "role": "reader", "path": "kv/app" });
        assert_eq!(order(&file, &pod("x")), Ok(None));
    }

    #[test]
    fn every_mistake_is_told_with_its_field() {
        let block = json!({ "secrets": [
            { "name": "a", "path": "/v1/kv/app", "secretName": "x",
              "keys": { "PG USER": "username" }, "keyTemplates": { "URL": "{{ .Data" } },
            { "name": "b", "path": "kv/../app", "secretName": "x" },
        ] });

        let problems = order(&block, &pod("y")).unwrap_err();

        let fields: Vec<&str> = problems.iter().map(|it| it.field.as_str()).collect();
        assert_eq!(
            fields,
            [
                "spec.vault.role",
                "spec.vault.secrets[0].path",
                "spec.vault.secrets[0].keys",
                "spec.vault.secrets[0].keys[PG USER]",
                "spec.vault.secrets[0].keyTemplates[URL]",
                "spec.vault.secrets[1].secretName",
                "spec.vault.secrets[1].path",
                "spec.vault.secrets[0].secretName",
                "spec.vault.secrets[1].secretName",
            ]
        );
    }

    #[test]
    fn a_path_that_becomes_another_on_its_way_is_refused() {
        for path in [
            "kv/%2e%2e/sys/mounts",
            "kv/%2E%2e%2fsys",
            "kv/%252e%252e/sys",
            "a/..\\b",
        ] {
            let mut block = usual();
            block["secrets"][0]["path"] = json!(path);
            let problems = order(&block, &pod("vault-db-creds")).unwrap_err();
            assert_eq!(problems[0].field, "spec.vault.secrets[0].path", "{path}");
            let mut block = usual();
            block["authPath"] = json!(path);
            let problems = order(&block, &pod("vault-db-creds")).unwrap_err();
            assert_eq!(problems[0].field, "spec.vault.authPath", "{path}");
        }
        let mut block = usual();
        block["secrets"][0]["path"] = json!("kv/my%20app");
        assert!(order(&block, &pod("vault-db-creds")).is_ok());
    }

    #[test]
    fn a_key_that_the_secret_will_not_have_is_found_before_the_pod_waits_for_it() {
        let mut block = usual();
        block["secrets"][0]["keys"] = json!({ "user": "username" });

        let problems = order(&block, &pod("vault-db-creds")).unwrap_err();

        assert_eq!(
            problems[0].to_string(),
            "spec.jobTemplate.spec.template.spec.containers[0].env[0].valueFrom.secretKeyRef.key: \
             spec.vault.secrets[0] gives its Secret no key `username`; it has: user"
        );
    }

    #[test]
    fn a_key_that_a_pod_can_do_without_may_be_missing() {
        let mut block = usual();
        block["secrets"][0]["keys"] = json!({ "user": "username" });
        let mut template = pod("vault-db-creds");
        let variable = "/spec/template/spec/containers/0/env/0/valueFrom/secretKeyRef";
        template.pointer_mut(variable).unwrap()["optional"] = json!(true);

        assert!(order(&block, &template).is_ok());
    }

    #[test]
    fn a_key_is_what_kubernetes_takes_for_one() {
        let longest = "k".repeat(253);
        for key in ["a", "A-b_c.9", ".a", longest.as_str()] {
            assert!(is_key(key), "{key}");
        }
        let longer = "k".repeat(254);
        for key in ["", ".", "..", "..a", "a b", "a/b", "ä", longer.as_str()] {
            assert!(!is_key(key), "{key}");
        }
    }

    #[test]
    fn an_order_that_no_annotation_holds_is_refused() {
        let mut block = usual();
        let text = "x".repeat(LARGEST_ORDER);
        block["secrets"][0]["keyTemplates"] = json!({ "username": text });

        let problems = order(&block, &pod("vault-db-creds")).unwrap_err();

        let mut fields = problems.iter().map(|it| it.field.as_str());
        assert!(fields.any(|it| it == "spec.vault.secrets"), "{problems:?}");
    }

    #[test]
    fn a_job_that_is_suspended_by_its_author_is_refused() {
        let mut template = pod("vault-db-creds");
        template["spec"]["suspend"] = json!(true);

        let problems = order(&usual(), &template).unwrap_err();

        assert_eq!(problems[0].field, "spec.jobTemplate.spec.suspend");
    }

    fn usual() -> Value {
        json!({ "role": "reader", "secrets": [
            { "name": "db", "path": "database/creds/readonly", "secretName": "vault-db-creds" },
        ] })
    }

    fn pod(secret: &str) -> Value {
        json!({ "spec": { "template": { "spec": { "containers": [{ "name": "main", "env": [
            { "name": "PGUSER", "valueFrom": { "secretKeyRef": { "name": secret, "key": "username" } } },
        ] }] } } } })
    }

    fn order(block: &Value, job_template: &Value) -> Result<Option<Order>, Vec<Problem>> {
        let spec = json!({ "vault": block, "jobTemplate": job_template });
        let defaults = Defaults {
            vault_address: Some("http://vault:8200".into()),
            ..Defaults::default()
        };
        read(&serde_json::from_value(spec).unwrap(), &defaults)
    }
}

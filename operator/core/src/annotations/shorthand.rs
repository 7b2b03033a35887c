//! `spec.vault`: one secret in a few words, read as the annotations it stands for.

use super::reader::Reader;
use super::values;
use crate::api::v1alpha1::VaultBlock;

/// The name of the one secret, and of its file.
const SECRET: &str = "creds";

pub(super) fn add_to(reader: &mut Reader, shorthand: &VaultBlock) {
    let mut add = |name: &str, field: &str, value: &str| {
        reader.add(name, format!("spec.vault.{field}"), value);
    };
    add("agent-inject", "enabled", "true");
    if let Some(role) = &shorthand.role {
        add("role", "role", role);
    }
    if let Some(path) = &shorthand.path {
        add(&format!("agent-inject-secret-{SECRET}"), "path", path);
        let template = key_value_lines(path);
        add(
            &format!("agent-inject-template-{SECRET}"),
            "path",
            &template,
        );
    }
    if let Some(address) = &shorthand.address {
        add("service", "address", address);
    }
    if let Some(path) = &shorthand.auth_path {
        add("auth-path", "authPath", path);
    }
    if let Some(namespace) = &shorthand.namespace {
        add("namespace", "namespace", namespace);
    }
    if let Some(ttl) = &shorthand.ttl {
        add("ttl", "ttl", ttl);
        reader.parse("ttl", values::duration);
        reader.forget("ttl");
    }
}

fn key_value_lines(path: &str) -> String {
    format!(
        "{{{{- with secret {path:?} -}}}}\n\
         username={{{{ .Data.username }}}}\n\
         password={{{{ .Data.password }}}}\n\
         {{{{ end -}}}}\n"
    )
}

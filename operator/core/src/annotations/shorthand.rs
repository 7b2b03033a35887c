//! `spec.vault`: one secret in a few words, read as the annotations it stands for.

use super::reader::Reader;
use super::values;
use crate::api::v1alpha1::VaultBlock;

/// The name of the one secret, and of its file.
const SECRET: &str = "creds";

/// The annotations that fields of it stand for.
const FIELDS: [(&str, &str); 3] = [
    ("role", "spec.vault.role"),
    ("service", "spec.vault.address"),
    (SECRET_ANNOTATION, "spec.vault.path"),
];

const SECRET_ANNOTATION: &str = "agent-inject-secret-creds";

/// The field that stands for an annotation which an author may have forgotten.
pub(super) fn field(annotation: &str) -> Option<&'static str> {
    let mut fields = FIELDS.iter();
    let found = fields.find(|(name, _)| *name == annotation);
    found.map(|(_, field)| *field)
}

pub(super) fn add_to(reader: &mut Reader, shorthand: &VaultBlock) {
    reader.expect_shorthand();
    let has_secrets = ["agent-inject-secret-", "agent-inject-template-"]
        .iter()
        .any(|prefix| !reader.suffixed(prefix).is_empty());
    if shorthand.path.is_none() && shorthand.secrets.is_empty() && !has_secrets {
        reader.refuse(
            SECRET_ANNOTATION,
            "is missing: write a path of Vault for a file, such as database/creds/readonly, or spec.vault.secrets for Secrets of Kubernetes",
        );
    }
    let mut add = |name: &str, field: &str, value: &str| {
        reader.add(name, format!("spec.vault.{field}"), value);
    };
    add("agent-inject", "enabled", "true");
    if let Some(role) = &shorthand.role {
        add("role", "role", role);
    }
    if let Some(path) = &shorthand.path {
        add(SECRET_ANNOTATION, "path", path);
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

//! `spec.vault.secrets`: secrets of Vault that each run gets as Kubernetes Secrets.
#![expect(
    unreachable_pub,
    reason = "the schema derive copies each struct into a function"
)]

use std::collections::BTreeMap;

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

const CONTENT_RULE: &str = "!has(self.keys) || !has(self.keyTemplates)";

/// One secret of Vault that each run gets as a Kubernetes Secret of its own.
#[derive(KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[x_kube(validation = Rule::new(CONTENT_RULE).message("keys and keyTemplates exclude each other"))]
#[serde(rename_all = "camelCase")]
pub struct VaultSecret {
    /// What messages call it.
    #[schemars(
        length(min = 1, max = 63),
        regex(pattern = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")
    )]
    pub name: String,
    /// The path in Vault, for example database/creds/readonly.
    #[schemars(length(min = 1, max = 1024))]
    pub path: String,
    /// What to send with the request, which then is a write.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "texts")]
    pub params: BTreeMap<String, String>,
    /// The name that the pod template refers to. Each run's Secret is called after its Job: JOB-NAME.
    #[schemars(
        length(min = 1, max = 180),
        regex(pattern = "^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$")
    )]
    pub secret_name: String,
    /// Whose the Secret is: each run has one of its own.
    #[serde(default, skip_serializing_if = "is_run")]
    pub scope: Scope,
    /// The Secret's keys, each with the field of Vault's answer that it holds. All fields, under their own names, when absent.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "texts")]
    pub keys: BTreeMap<String, String>,
    /// The Secret's keys, each with a template over Vault's answer, such as postgres://{{ .Data.username }}:{{ .Data.password }}@db/app.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "texts")]
    pub key_templates: BTreeMap<String, String>,
}

/// Whose a Secret is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Scope {
    /// Each run has one of its own, which is gone with it.
    #[default]
    Run,
}

fn is_run(scope: &Scope) -> bool {
    *scope == Scope::Run
}

/// A map of texts whose size is bounded, so that the API server can tell what its rules cost.
fn texts(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({
        "type": "object",
        "maxProperties": 64,
        "additionalProperties": { "type": "string", "maxLength": 8192 },
    })
}

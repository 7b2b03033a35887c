//! The interface for users: the PlanescapeJob resource, and the labels, annotations and
//! finalizer that tie Jobs and pods to it.

pub mod names;
pub mod scheduling;
pub mod schema;
pub mod v1alpha1;
mod vault_secrets;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::CustomResourceExt as _;
use serde_json::Value;

pub use v1alpha1::PlanescapeJob;

/// The resource definition that a cluster needs before it accepts a PlanescapeJob.
pub fn custom_resource_definition() -> CustomResourceDefinition {
    PlanescapeJob::crd()
}

/// The UID of an object that no API server has stored.
const NO_UID: &str = "00000000-0000-0000-0000-000000000000";

/// A manifest's PlanescapeJob with the name of a namespace and the UID that an API server would give it, without a status,
/// and without fields that are null, which it takes for absent.
///
/// # Errors
/// A field has a value of another kind.
pub fn as_stored(manifest: &Value) -> serde_json::Result<PlanescapeJob> {
    let mut manifest = manifest.clone();
    if let Some(fields) = manifest.as_object_mut() {
        fields.remove("status");
    }
    drop_nulls(&mut manifest);
    let mut job: PlanescapeJob = serde_json::from_value(manifest)?;
    let metadata = &mut job.metadata;
    let namespace = &mut metadata.namespace;
    namespace.get_or_insert_with(|| "default".to_owned());
    metadata.uid.get_or_insert_with(|| NO_UID.to_owned());
    Ok(job)
}

fn drop_nulls(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|_, field| !field.is_null());
            fields.values_mut().for_each(drop_nulls);
        }
        Value::Array(items) => items.iter_mut().for_each(drop_nulls),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[cfg(test)]
mod tests;
#[cfg(test)]
mod upgrade_tests;

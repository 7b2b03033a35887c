//! What users write and read: the PlanescapeJob resource, and the labels, annotations and
//! finalizer that tie Jobs and pods to it.

pub mod names;
pub mod scheduling;
pub mod schema;
pub mod v1alpha1;
mod vault_secrets;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::CustomResourceExt as _;

pub use v1alpha1::PlanescapeJob;

/// The resource definition that a cluster needs before it accepts a PlanescapeJob.
pub fn custom_resource_definition() -> CustomResourceDefinition {
    PlanescapeJob::crd()
}

#[cfg(test)]
mod tests;

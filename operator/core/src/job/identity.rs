//! Which PlanescapeJob is meant, and which one an object belongs to.
//!
//! Anybody who may create an object writes its labels and owner references, so a UID alone proves
//! nothing: an object belongs to a PlanescapeJob only if its controlling owner's group, kind,
//! name and UID, and its own namespace, all fit.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};

use serde::{Deserialize, Serialize};

use crate::api::names::GROUP;

/// One PlanescapeJob of a cluster's whole history.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Identity {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its UID.
    pub uid: String,
}

impl Identity {
    /// The identity of a PlanescapeJob that the API server has stored; others lack a part of it.
    pub fn of(metadata: &ObjectMeta) -> Option<Self> {
        Some(Self {
            namespace: metadata.namespace.clone()?,
            name: metadata.name.clone()?,
            uid: metadata.uid.clone()?,
        })
    }

    /// The identity of the PlanescapeJob that controls an object, as the object says.
    pub fn of_owner(metadata: &ObjectMeta) -> Option<Self> {
        let owner = controller(metadata, GROUP, "PlanescapeJob")?;
        Some(Self {
            namespace: metadata.namespace.clone()?,
            name: owner.name.clone(),
            uid: owner.uid.clone(),
        })
    }

    /// Whether this PlanescapeJob controls an object.
    pub fn owns(&self, metadata: &ObjectMeta) -> bool {
        Self::of_owner(metadata).as_ref() == Some(self)
    }
}

/// The controlling owner, if it is of this group and kind.
fn controller<'a>(metadata: &'a ObjectMeta, group: &str, kind: &str) -> Option<&'a OwnerReference> {
    let mut owners = metadata.owner_references.iter().flatten();
    owners.find(|owner| owner.controller == Some(true) && is_of_kind(owner, group, kind))
}

/// Whether an owner is of this group and kind, in whatever version.
pub(super) fn is_of_kind(owner: &OwnerReference, group: &str, kind: &str) -> bool {
    let owner_group = owner.api_version.split_once('/').map(|(group, _)| group);
    owner.kind == kind && owner_group == Some(group)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn an_object_belongs_to_no_job_that_only_a_part_of_its_owner_names() {
        let mine = Identity {
            namespace: "team".into(),
            name: "my-job".into(),
            uid: "u".into(),
        };
        assert!(mine.owns(&metadata(&json!({}), &json!({}))));

        for (object, owner) in [
            (json!({ "namespace": "other" }), json!({})),
            (json!({}), json!({ "apiVersion": "elsewhere.io/v1alpha1" })),
            (json!({}), json!({ "apiVersion": "planescape.io" })),
            (json!({}), json!({ "kind": "CronJob" })),
            (json!({}), json!({ "name": "other" })),
            (json!({}), json!({ "uid": "other" })),
            (json!({}), json!({ "controller": false })),
        ] {
            assert!(!mine.owns(&metadata(&object, &owner)), "{object} {owner}");
        }
    }

    fn metadata(object: &Value, owner: &Value) -> ObjectMeta {
        let mut metadata = json!({ "namespace": "team", "ownerReferences": [{
            "apiVersion": "planescape.io/v1alpha1", "kind": "PlanescapeJob",
            "name": "my-job", "uid": "u", "controller": true,
        }] });
        for (key, value) in object.as_object().unwrap() {
            metadata[key] = value.clone();
        }
        for (key, value) in owner.as_object().unwrap() {
            metadata["ownerReferences"][0][key] = value.clone();
        }
        serde_json::from_value(metadata).unwrap()
    }
}

//! Jobs and pods as they are watched: without the parts that no decision needs. Those are most of an object, and
//! reading them took most of the time of a start.

use std::borrow::Cow;
use std::collections::BTreeMap;

use k8s_openapi::api::batch::v1::{Job, JobSpec, JobStatus};
use k8s_openapi::api::core::v1::{Container, EnvVar, Pod, PodSpec, PodStatus, PodTemplateSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{
    ManagedFieldsEntry, ObjectMeta, OwnerReference, Time,
};
use kube::Resource;
use serde::{Deserialize, Deserializer};

/// An object with only the parts that are named here.
#[derive(Clone, Debug)]
pub(crate) struct Slim<K>(pub(crate) K);

#[derive(Deserialize)]
struct JobParts {
    metadata: MetadataParts,
    #[serde(default)]
    spec: JobSpecParts,
    status: Option<JobStatus>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct JobSpecParts {
    managed_by: Option<String>,
    parallelism: Option<i32>,
    suspend: Option<bool>,
    ttl_seconds_after_finished: Option<i32>,
    template: TemplateParts,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct TemplateParts {
    spec: PodSpecParts,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct PodSpecParts {
    service_account_name: Option<String>,
    termination_grace_period_seconds: Option<i64>,
}

#[derive(Deserialize)]
struct PodParts {
    metadata: MetadataParts,
    spec: Option<AgentParts>,
    status: Option<PodStatus>,
}

/// The init containers. One of them is the agent, whose configuration says where its tokens are.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct AgentParts {
    init_containers: Option<Vec<ContainerParts>>,
}

#[derive(Deserialize)]
struct ContainerParts {
    name: String,
    env: Option<Vec<EnvVar>>,
}

/// All but which fields somebody wrote.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct MetadataParts {
    name: Option<String>,
    namespace: Option<String>,
    uid: Option<String>,
    resource_version: Option<String>,
    labels: Option<BTreeMap<String, String>>,
    annotations: Option<BTreeMap<String, String>>,
    finalizers: Option<Vec<String>>,
    owner_references: Option<Vec<OwnerReference>>,
    creation_timestamp: Option<Time>,
    deletion_timestamp: Option<Time>,
    managed_fields: Option<Vec<WriterParts>>,
}

#[derive(Deserialize)]
struct WriterParts {
    subresource: Option<String>,
    time: Option<Time>,
}

impl<'de> Deserialize<'de> for Slim<Job> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let job = JobParts::deserialize(deserializer)?;
        Ok(Self(Job {
            metadata: job.metadata.into(),
            spec: Some(job.spec.into()),
            status: job.status,
        }))
    }
}

impl<'de> Deserialize<'de> for Slim<Pod> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let pod = PodParts::deserialize(deserializer)?;
        Ok(Self(Pod {
            metadata: ObjectMeta {
                managed_fields: None,
                ..pod.metadata.into()
            },
            spec: pod.spec.map(PodSpec::from),
            status: pod.status,
        }))
    }
}

impl From<JobSpecParts> for JobSpec {
    fn from(parts: JobSpecParts) -> Self {
        let pod = PodSpec {
            service_account_name: parts.template.spec.service_account_name,
            termination_grace_period_seconds: parts.template.spec.termination_grace_period_seconds,
            ..PodSpec::default()
        };
        Self {
            managed_by: parts.managed_by,
            parallelism: parts.parallelism,
            suspend: parts.suspend,
            ttl_seconds_after_finished: parts.ttl_seconds_after_finished,
            template: PodTemplateSpec {
                metadata: None,
                spec: Some(pod),
            },
            ..Self::default()
        }
    }
}

impl From<AgentParts> for PodSpec {
    fn from(parts: AgentParts) -> Self {
        let containers = parts.init_containers;
        let containers = containers.map(|all| all.into_iter().map(Container::from).collect());
        Self {
            init_containers: containers,
            ..Self::default()
        }
    }
}

impl From<ContainerParts> for Container {
    fn from(parts: ContainerParts) -> Self {
        Self {
            name: parts.name,
            env: parts.env,
            ..Self::default()
        }
    }
}

impl From<WriterParts> for ManagedFieldsEntry {
    fn from(parts: WriterParts) -> Self {
        Self {
            subresource: parts.subresource,
            time: parts.time,
            ..Self::default()
        }
    }
}

impl From<MetadataParts> for ObjectMeta {
    fn from(parts: MetadataParts) -> Self {
        let writers = parts.managed_fields;
        let writers = writers.map(|all| all.into_iter().map(ManagedFieldsEntry::from).collect());
        Self {
            managed_fields: writers,
            name: parts.name,
            namespace: parts.namespace,
            uid: parts.uid,
            resource_version: parts.resource_version,
            labels: parts.labels,
            annotations: parts.annotations,
            finalizers: parts.finalizers,
            owner_references: parts.owner_references,
            creation_timestamp: parts.creation_timestamp,
            deletion_timestamp: parts.deletion_timestamp,
            ..Self::default()
        }
    }
}

impl<K: Resource> Resource for Slim<K> {
    type DynamicType = K::DynamicType;
    type Scope = K::Scope;

    fn kind(dynamic: &Self::DynamicType) -> Cow<'_, str> {
        K::kind(dynamic)
    }

    fn group(dynamic: &Self::DynamicType) -> Cow<'_, str> {
        K::group(dynamic)
    }

    fn version(dynamic: &Self::DynamicType) -> Cow<'_, str> {
        K::version(dynamic)
    }

    fn plural(dynamic: &Self::DynamicType) -> Cow<'_, str> {
        K::plural(dynamic)
    }

    fn meta(&self) -> &ObjectMeta {
        self.0.meta()
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        self.0.meta_mut()
    }
}

#[cfg(test)]
mod tests {
    use planescape_operator_core::job::observed::{KnownJob, KnownPod};
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_kept_of_a_slim_object_is_what_is_kept_of_the_whole() {
        let metadata = json!({
            "name": "a-1", "namespace": "team", "uid": "u", "resourceVersion": "7", "generation": 1,
            "creationTimestamp": "2026-11-24T10:00:00Z", "deletionTimestamp": "2026-11-24T11:00:00Z",
            "labels": { "planescape.io/job": "a", "planescape.io/run-uid": "u-1774980000", "job-name": "a-1" },
            "annotations": {
                "planescape.io/scheduled-at": "2026-11-24T10:00:00Z",
                "planescape.io/ended-because": "it was told to", "planescape.io/template": "t",
                "planescape.io/vault-order": "{}",
                "planescape.io/vault-report": r#"{"phase":"done","reason":"Revoked"}"#,
            },
            "finalizers": ["planescape.io/run-tracking"],
            "ownerReferences": [{ "apiVersion": "planescape.io/v1alpha1", "kind": "PlanescapeJob",
                "name": "a", "uid": "o", "controller": true }],
            "managedFields": [{ "manager": "m", "fieldsType": "FieldsV1", "fieldsV1": { "f:spec": {} },
                "subresource": "status", "time": "2026-11-24T10:00:09Z" }],
        });
        let container =
            json!({ "name": "main", "image": "i", "env": [{ "name": "A", "value": "1" }] });
        let mut job = json!({
            "metadata": metadata,
            "spec": {
                "managedBy": "someone.example/else", "parallelism": 0, "suspend": true,
                "ttlSecondsAfterFinished": 0, "backoffLimit": 1,
                "template": { "metadata": { "labels": { "a": "b" } }, "spec": {
                    "serviceAccountName": "reader", "terminationGracePeriodSeconds": 7,
                    "containers": [container],
                } },
            },
            "status": { "startTime": "2026-11-24T10:00:01Z", "failed": 1, "conditions": [{
                "type": "Failed", "status": "True", "reason": "BackoffLimitExceeded", "message": "m",
                "lastTransitionTime": "2026-11-24T10:00:09Z" }] },
        });
        let status = json!({ "name": "vault-agent", "image": "", "imageID": "", "ready": false, "restartCount": 1,
            "state": { "waiting": { "reason": "ErrImagePull", "message": "m" } },
            "lastState": { "terminated": { "exitCode": 137,
                "message": r#"{"phase":"running","reason":"LoggedIn","unrevoked":["a1"]}"# } } });
        let mut pod = job.clone();
        pod["metadata"]["ownerReferences"][0]["apiVersion"] = json!("batch/v1");
        pod["metadata"]["ownerReferences"][0]["kind"] = json!("Job");
        let configuration = concat!(
            "eyJ2YXVsdCI6eyJhZGRyZXNzIjoiaHR0cHM6Ly92YXVsdDo4MjAwIn0sImF1dG9fYXV0aCI6eyJtZXRo",
            "b2QiOnsidHlwZSI6Imt1YmVybmV0ZXMifX0sInBsYW5lc2NhcGUiOnsicmV2b2tlX29uX2V4aXQiOnRydWV9fQ==",
        );
        let variable = json!({ "name": "VAULT_CONFIG", "value": configuration });
        let agent = json!({ "name": "vault-agent", "image": "i", "env": [variable] });
        let containers = [container];
        pod["spec"] =
            json!({ "containers": containers, "initContainers": [agent], "nodeName": "n" });
        pod["status"] = json!({ "phase": "Pending", "initContainerStatuses": [status] });

        // Each hides whether the next is read.
        for hides in ["", "suspend", "parallelism"] {
            job["spec"].as_object_mut().unwrap().remove(hides);
            let slim: Slim<Job> = serde_json::from_value(job.clone()).unwrap();
            let whole: Job = serde_json::from_value(job.clone()).unwrap();
            assert_eq!(KnownJob::of(&slim.0), KnownJob::of(&whole));
        }
        job["status"]["conditions"] = json!([]);
        let slim: Slim<Job> = serde_json::from_value(job).unwrap();
        let known = KnownJob::of(&slim.0).unwrap();
        assert!(known.run.podless_since.is_some());
        let slim: Slim<Pod> = serde_json::from_value(pod.clone()).unwrap();
        let whole: Pod = serde_json::from_value(pod).unwrap();
        let known = KnownPod::of(&slim.0);
        assert_eq!(known, KnownPod::of(&whole));
        let place = known.and_then(|known| known.pod.agent?.place);
        assert_eq!(place.unwrap().address, "https://vault:8200");
        assert_eq!(slim.meta().managed_fields, None);
    }
}

//! A PlanescapeJob as it is kept in memory: without what its Jobs are made of, which is read again before
//! a Job is made.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ManagedFieldsEntry, ObjectMeta};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::validate::{Material, ValidatedJob, validate};
use crate::api::PlanescapeJob;
use crate::api::names::{ONCE_STARTED_ANNOTATION, PREFLIGHT_ANNOTATION, RERUN_ANNOTATION};
use crate::api::v1alpha1::ONCE;
use crate::defaults::Defaults;
use crate::problem::Problem;

/// A PlanescapeJob as it is kept in memory.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Known {
    /// Without its job template, its vault block and foreign metadata.
    pub job: PlanescapeJob,
    /// The validation of the whole object.
    pub validated: Result<ValidatedJob, Vec<Problem>>,
}

/// A whole PlanescapeJob, validated.
#[derive(Debug)]
pub struct Whole {
    /// As the API server has it, without its job template, foreign metadata, and what is written where.
    pub job: PlanescapeJob,
    /// Its validation.
    pub validated: Result<ValidatedJob, Vec<Problem>>,
    /// The material of its Jobs; none if it has problems.
    pub material: Option<Material>,
}

impl Known {
    /// Keeps the part of a PlanescapeJob that decisions need.
    pub fn of(mut job: PlanescapeJob, defaults: &Defaults, now: Timestamp) -> Self {
        let validated = validate(&job, defaults, now).map(|(validated, _)| validated);
        job.metadata = kept(job.metadata);
        job.spec.job_template = Value::Null;
        job.spec.vault = None;
        Self { job, validated }
    }

    /// Whether its status says that a run is due, announced or pending, or it is to run once and has not: its plan says the rest.
    pub fn is_due(&self, now: Timestamp) -> bool {
        let status = self.job.status.as_ref();
        if self.job.spec.suspend || self.validated.is_err() {
            return false;
        }
        if self.job.spec.schedule == ONCE {
            return status.is_none_or(|status| status.last_schedule_time.is_none());
        }
        status.is_some_and(|status| {
            let next = status.next_schedule_time.as_ref();
            let is_next = next.is_some_and(|next| next.0 <= now);
            is_next || status.announced_run.is_some() || status.pending_schedule_time.is_some()
        })
    }
}

impl Whole {
    /// A PlanescapeJob as the API server has it.
    pub fn of(mut job: PlanescapeJob, defaults: &Defaults, now: Timestamp) -> Self {
        let (validated, material) = match validate(&job, defaults, now) {
            Ok((validated, material)) => (Ok(validated), Some(material)),
            Err(problems) => (Err(problems), None),
        };
        // The material has the template, and many may wait for their turn with theirs.
        job.spec.job_template = Value::Null;
        let written = job.metadata.managed_fields.take();
        job.metadata = kept(job.metadata);
        job.metadata.managed_fields = written.map(writers_of_spec);
        Self {
            job,
            validated,
            material,
        }
    }
}

/// The writers of the spec and their times, without what was written.
fn writers_of_spec(entries: Vec<ManagedFieldsEntry>) -> Vec<ManagedFieldsEntry> {
    let of_spec = entries.into_iter().filter_map(|mut entry| {
        let fields = entry.fields_v1.as_mut()?;
        fields.0.get("f:spec")?;
        fields.0 = json!({ "f:spec": {} });
        Some(entry)
    });
    of_spec.collect()
}

fn kept(metadata: ObjectMeta) -> ObjectMeta {
    let mut annotations = metadata.annotations.unwrap_or_default();
    let kept = [
        ONCE_STARTED_ANNOTATION,
        RERUN_ANNOTATION,
        PREFLIGHT_ANNOTATION,
    ];
    annotations.retain(|key, _| kept.contains(&key.as_str()));
    ObjectMeta {
        annotations: (!annotations.is_empty()).then_some(annotations),
        creation_timestamp: metadata.creation_timestamp,
        deletion_timestamp: metadata.deletion_timestamp,
        generation: metadata.generation,
        name: metadata.name,
        namespace: metadata.namespace,
        resource_version: metadata.resource_version,
        uid: metadata.uid,
        ..ObjectMeta::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::observed::Observed;
    use crate::job::plan::plan;

    #[test]
    fn is_due_when_its_status_says_so_or_it_is_to_run_once() {
        let now: Timestamp = "2026-11-24T12:00:00Z".parse().unwrap();
        let is_due = |spec: Value, status: Value| {
            let mut job = json!({
                "metadata": { "name": "my-job", "namespace": "team", "uid": "u" },
                "spec": { "jobTemplate": { "spec": { "template": { "spec": {
                    "containers": [{ "name": "main" }],
                } } } } },
                "status": status,
            });
            for (field, value) in spec.as_object().unwrap() {
                job["spec"][field] = value.clone();
            }
            let job = serde_json::from_value(job).unwrap();
            Known::of(job, &Defaults::default(), now).is_due(now)
        };
        let hourly = json!({ "schedule": "@hourly" });
        let next = |at: &str| json!({ "nextScheduleTime": at });

        assert!(is_due(hourly.clone(), next("2026-11-24T12:00:00Z")));
        assert!(!is_due(hourly.clone(), next("2026-11-24T12:00:01Z")));
        assert!(!is_due(hourly.clone(), Value::Null));
        let mut announced = next("2026-11-24T13:00:00Z");
        announced["announcedRun"] = json!({ "rerun": "1", "since": "2026-11-24T11:59:58Z" });
        assert!(is_due(hourly.clone(), announced));
        let mut pending = next("2026-11-24T13:00:00Z");
        pending["pendingScheduleTime"] = json!("2026-11-24T11:00:00Z");
        assert!(is_due(hourly, pending));
        let once = json!({ "schedule": "@once" });
        assert!(is_due(once.clone(), Value::Null));
        let started = json!({ "lastScheduleTime": "2026-11-24T11:00:00Z" });
        assert!(!is_due(once, started));
        let suspended = json!({ "schedule": "@once", "suspend": true });
        assert!(!is_due(suspended, Value::Null));
        let invalid = json!({ "schedule": "?" });
        assert!(!is_due(invalid, next("2026-11-24T11:00:00Z")));
    }

    #[test]
    fn keeps_when_somebody_wrote_to_the_spec_and_not_what() {
        let written = |fields: Value| {
            json!({ "manager": "kubectl", "operation": "Apply",
                "time": "2026-11-24T11:30:00Z", "fieldsType": "FieldsV1", "fieldsV1": fields })
        };
        let job: PlanescapeJob = serde_json::from_value(json!({
            "metadata": {
                "name": "my-job", "namespace": "team", "uid": "u", "generation": 3,
                "creationTimestamp": "2026-11-24T10:00:00Z", "labels": { "a": "b" },
                "managedFields": [
                    written(json!({ "f:spec": { "f:schedule": {} } })),
                    written(json!({ "f:metadata": { "f:labels": {} } })),
                ],
            },
            "spec": { "schedule": "@hourly", "jobTemplate": { "spec": { "template": { "spec": {
                "containers": [{ "name": "main" }],
            } } } } },
        }))
        .unwrap();
        let defaults = Defaults::default();
        let now = "2026-11-24T12:00:01Z".parse().unwrap();

        let whole = Whole::of(job.clone(), &defaults, now);

        let kept = whole.job.metadata.managed_fields.clone().unwrap();
        let fields: Vec<_> = kept.iter().filter_map(|it| it.fields_v1.as_ref()).collect();
        assert_eq!(fields.len(), 1);
        assert_eq!(fields[0].0, json!({ "f:spec": {} }));
        assert!(whole.job.metadata.labels.is_none());
        let validated = whole.validated.as_ref().map_err(Vec::as_slice);
        let plan_of =
            |job: &PlanescapeJob| plan(job, validated, &Observed::default(), &defaults, now);
        assert_eq!(plan_of(&whole.job), plan_of(&job));
    }

    #[test]
    fn decides_the_same_without_what_is_not_kept() {
        let job: PlanescapeJob = serde_json::from_value(json!({
            "metadata": {
                "name": "my-job", "namespace": "team", "uid": "u", "generation": 3,
                "resourceVersion": "7", "creationTimestamp": "2026-11-24T10:00:00Z",
                "labels": { "a": "b" },
                "annotations": { "c": "d", ONCE_STARTED_ANNOTATION: "u/v" },
            },
            "spec": { "schedule": "5 3 * * 1-5", "timeZone": "Europe/Berlin",
                "jobTemplate": { "spec": { "template": {
                "metadata": { "annotations": {
                    "vault.hashicorp.com/agent-inject": "true",
                    "vault.hashicorp.com/role": "reader",
                    "vault.hashicorp.com/service": "https://vault:8200",
                    "vault.hashicorp.com/agent-inject-secret-db": "database/creds/readonly",
                } },
                "spec": { "hostNetwork": true, "containers": [{ "name": "main" }] },
            } } } },
            "status": { "lastScheduleTime": "2026-11-24T11:00:00Z" },
        }))
        .unwrap();
        let defaults = Defaults::default();
        let now = "2026-11-24T12:00:01Z".parse().unwrap();
        let plan_of = |job: &PlanescapeJob, validated: &Result<ValidatedJob, Vec<Problem>>| {
            let validated = validated.as_ref().map_err(Vec::as_slice);
            plan(job, validated, &Observed::default(), &defaults, now)
        };

        let whole = Whole::of(job.clone(), &defaults, now);
        let known = Known::of(job, &defaults, now);
        let written = serde_json::to_string(&known).unwrap();
        let known: Known = serde_json::from_str(&written).unwrap();

        assert_eq!(
            plan_of(&known.job, &known.validated),
            plan_of(&whole.job, &whole.validated)
        );
        let agent = known.validated.unwrap().agent.unwrap();
        assert!(
            agent.knows_no_names && agent.vault_host == "vault:8200",
            "{agent:?}"
        );
        assert!(known.job.spec.job_template.is_null() && known.job.metadata.labels.is_none());
        assert!(whole.material.unwrap().injection.is_some());
    }
}

//! The Job of one run, from `spec.jobTemplate`.

use jiff::Zoned;
use serde_json::{Map, Value, json};

use super::name;
use super::rerun::{Occasion, rerun_id};
use crate::api::names::{
    CREDENTIALS_LABEL, CRONJOB_TIMESTAMP_ANNOTATION, GROUP, JOB_LABEL, KUBERNETES_JOB_NAME_LABEL,
    KUEUE_LABEL, LEGACY_JOB_NAME_LABEL, MANAGED_BY_LABEL, MANAGER, ORDER_ANNOTATION,
    QUEUE_ANNOTATION, RUN_TRACKING_FINALIZER, RUN_UID_LABEL, SCHEDULED_AT_ANNOTATION,
    TEMPLATE_ANNOTATION,
};
use crate::api::v1alpha1::DisruptionPolicy;
use crate::credentials::references;
use crate::inject::inject;
use crate::job::identity::Identity;
use crate::job::validate::{Material, ValidatedJob};
use crate::schedule::Schedule;

/// The Job to create.
///
/// It selects its pods by a label of ours instead of the generated one, which leaves the label
/// `job-name` free to name the PlanescapeJob.
pub fn build(validated: &ValidatedJob, material: &Material, occasion: &Occasion<'_>) -> Value {
    let Identity {
        namespace,
        name: owner,
        uid,
    } = &validated.identity;
    let mut template = material.template.clone();
    let mut spec = template["spec"].take();
    let (tick, name, run_uid) = match occasion {
        Occasion::Tick(tick) => {
            let is_once = validated.schedule.is_once();
            let name = name::job_name(owner, uid, *tick, is_once);
            (*tick, name, name::run_uid(uid, *tick, is_once))
        }
        Occasion::Rerun { at, request } => {
            request.change(&mut spec["template"]);
            let id = rerun_id(uid, &request.token);
            let (name, run_uid) = name::of_rerun(owner, uid, &id);
            (*at, name, run_uid)
        }
    };
    spec["manualSelector"] = json!(true);
    spec["selector"] = json!({ "matchLabels": { RUN_UID_LABEL: run_uid } });
    spec["template"] = pod_template(spec["template"].take(), material);
    if material.disruption == DisruptionPolicy::Ignore {
        ignore_disruptions(map(&mut spec, "podFailurePolicy"));
    }
    let pod_labels = map(map(&mut spec["template"], "metadata"), "labels");
    let labels: [(&str, &str); 3] = [
        (LEGACY_JOB_NAME_LABEL, owner),
        (JOB_LABEL, owner),
        (RUN_UID_LABEL, &run_uid),
    ];
    set(pod_labels, &labels);
    set(pod_labels, &[(KUBERNETES_JOB_NAME_LABEL, &name)]);

    let mut metadata = json!({
        "name": name,
        "namespace": namespace,
        "labels": template["metadata"]["labels"].take(),
        "annotations": own_annotations(&mut template),
        "finalizers": [RUN_TRACKING_FINALIZER],
        "ownerReferences": [{
            "apiVersion": "planescape.io/v1alpha1",
            "kind": "PlanescapeJob",
            "name": owner,
            "uid": uid,
            "controller": true,
            "blockOwnerDeletion": true,
        }],
    });
    let job_labels = map(&mut metadata, "labels");
    set(job_labels, &labels);
    if job_labels.get(MANAGED_BY_LABEL).is_none() {
        set(job_labels, &[(MANAGED_BY_LABEL, MANAGER)]);
    }
    let annotations = map(&mut metadata, "annotations");
    set(annotations, &[(SCHEDULED_AT_ANNOTATION, &tick.to_string())]);
    set(annotations, &[(TEMPLATE_ANNOTATION, &validated.digest)]);
    if let Some(order) = &material.order {
        // The name is taken; pods follow once the Secrets exist.
        spec["suspend"] = json!(true);
        references::rewrite(&mut spec["template"], order, &name);
        let order = serde_json::to_string(order).expect("an order is plain data");
        set(annotations, &[(ORDER_ANNOTATION, &order)]);
        let labels = map(&mut metadata, "labels");
        set(labels, &[(CREDENTIALS_LABEL, "true")]);
        // A queue that knows it may let it have pods before its Secrets are there. One without a name is none for Kueue.
        let queue = labels.as_object_mut().and_then(|it| it.remove(KUEUE_LABEL));
        let is_named = |queue: &Value| queue.as_str().is_some_and(|name| !name.is_empty());
        if let Some(queue) = queue.filter(is_named) {
            map(&mut metadata, "annotations")[QUEUE_ANNOTATION] = queue;
        }
    }
    let annotations = map(&mut metadata, "annotations");
    if let (Schedule::Calendar(calendar), Occasion::Tick(_)) = (&validated.schedule, occasion) {
        let local = as_go_writes(&tick.to_zoned(calendar.zone().clone()));
        set(annotations, &[(CRONJOB_TIMESTAMP_ANNOTATION, &local)]);
    }
    json!({ "apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": spec })
}

/// RFC 3339 as the controller of CronJobs writes it.
fn as_go_writes(instant: &Zoned) -> String {
    let format = match instant.offset().is_zero() {
        true => "%Y-%m-%dT%H:%M:%SZ",
        false => "%Y-%m-%dT%H:%M:%S%:z",
    };
    instant.strftime(format).to_string()
}

/// A template that was made of a run's Job tells of that run, such as that it has its Secrets.
fn own_annotations(template: &mut Value) -> Value {
    let mut annotations = template["metadata"]["annotations"].take();
    if let Some(annotations) = annotations.as_object_mut() {
        let is_ours = |key: &str| key.split_once('/').is_some_and(|(group, _)| group == GROUP);
        annotations.retain(|key, _| !is_ours(key));
    }
    annotations
}

/// The first of the author's rules that fits holds, so that ours comes first.
fn ignore_disruptions(policy: &mut Value) {
    let rule = json!({ "action": "Ignore", "onPodConditions": [{ "type": "DisruptionTarget", "status": "True" }] });
    if let Some(rules) = policy["rules"].as_array_mut() {
        rules.insert(0, rule);
    } else {
        policy["rules"] = json!([rule]);
    }
}

fn pod_template(template: Value, material: &Material) -> Value {
    let mut template = match &material.injection {
        Some(injection) => inject(template, injection),
        None => template,
    };
    let pod = map(&mut template, "spec");
    if pod["restartPolicy"].is_null() {
        pod["restartPolicy"] = json!("Never");
    }
    template
}

/// A field that is an object, also when it was absent or null.
fn map<'value>(parent: &'value mut Value, field: &str) -> &'value mut Value {
    let child = &mut parent[field];
    if !child.is_object() {
        *child = Value::Object(Map::new());
    }
    child
}

fn set(object: &mut Value, pairs: &[(&str, &str)]) {
    for (key, value) in pairs {
        object[*key] = json!(value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::names::SUPPLIED_ANNOTATION;
    use crate::defaults::Defaults;
    use crate::job::validate::validate;
    use crate::run::Request;

    #[test]
    fn a_run_with_secrets_is_in_its_queue_only_once_it_has_them() {
        let db = json!({ "name": "db", "path": "database/creds/readonly", "secretName": "db" });
        let asks = json!({ "role": "runs", "secrets": [db] });
        let nowhere = built(&asks, "");
        let asks = built(&asks, "reports");
        let asks_nothing = built(&Value::Null, "reports");

        let (labels, annotations) = (
            &asks["metadata"]["labels"],
            &asks["metadata"]["annotations"],
        );
        assert_eq!(labels[KUEUE_LABEL], Value::Null);
        assert_eq!(annotations[QUEUE_ANNOTATION], "reports");
        assert_eq!(labels["kueue.x-k8s.io/priority-class"], "high");
        assert_eq!(asks["spec"]["suspend"], true);
        let metadata = &asks_nothing["metadata"];
        assert_eq!(metadata["labels"][KUEUE_LABEL], "reports");
        assert_eq!(metadata["annotations"][QUEUE_ANNOTATION], Value::Null);
        assert_eq!(asks_nothing["spec"]["suspend"], Value::Null);
        let annotations = &nowhere["metadata"]["annotations"];
        assert_eq!(
            annotations[QUEUE_ANNOTATION],
            Value::Null,
            "nobody lifts it"
        );
    }

    #[test]
    fn what_a_template_tells_of_another_run_is_left_out() {
        let built = built(&Value::Null, "reports");

        let annotations = &built["metadata"]["annotations"];
        assert_eq!(annotations[SUPPLIED_ANNOTATION], Value::Null);
        assert_eq!(annotations["example.com/note"], "mine");
    }

    #[test]
    fn a_run_by_hand_is_made_as_it_was_asked_for_and_is_of_no_instant() {
        let at = "2026-11-24T10:00:30Z".parse().unwrap();
        let (validated, material) = validated(&Value::Null, "");
        let request = Request {
            token: "t".into(),
            args: Some(vec!["up".into()]),
            ..Request::default()
        };
        let id = rerun_id("u", "t");

        let by_hand = build(
            &validated,
            &material,
            &Occasion::Rerun {
                at,
                request: &request,
            },
        );

        let metadata = &by_hand["metadata"];
        assert_eq!(metadata["name"], format!("my-job-{id}"));
        let pod = &by_hand["spec"]["template"];
        let run_uid = pod["metadata"]["labels"][RUN_UID_LABEL].as_str().unwrap();
        assert_eq!(name::rerun_of(run_uid), Some(id.as_str()));
        assert_eq!(pod["spec"]["containers"][0]["args"], json!(["up"]));
        let annotations = &metadata["annotations"];
        assert_eq!(annotations[SCHEDULED_AT_ANNOTATION], "2026-11-24T10:00:30Z");
        assert_eq!(annotations[CRONJOB_TIMESTAMP_ANNOTATION], Value::Null);
    }

    fn built(vault: &Value, queue: &str) -> Value {
        let tick = "2026-11-24T10:00:00Z".parse().unwrap();
        let (validated, material) = validated(vault, queue);
        build(&validated, &material, &Occasion::Tick(tick))
    }

    fn validated(vault: &Value, queue: &str) -> (ValidatedJob, Material) {
        let job = json!({
            "apiVersion": "planescape.io/v1alpha1",
            "kind": "PlanescapeJob",
            "metadata": { "name": "my-job", "namespace": "team", "uid": "u" },
            "spec": { "schedule": "@hourly", "vault": vault, "jobTemplate": {
                "metadata": {
                    "labels": { KUEUE_LABEL: queue, "kueue.x-k8s.io/priority-class": "high" },
                    "annotations": { SUPPLIED_ANNOTATION: "true", "example.com/note": "mine" },
                },
                "spec": { "template": { "spec": { "containers": [{
                    "name": "main", "image": "busybox:1.35",
                    "envFrom": [{ "secretRef": { "name": "db" } }],
                }] } } },
            } },
        });
        let job = serde_json::from_value(job).unwrap();
        let defaults = Defaults {
            vault_address: Some("http://vault:8200".to_owned()),
            ..Defaults::default()
        };
        let now = "2026-11-24T10:00:00Z".parse().unwrap();
        validate(&job, &defaults, now).unwrap()
    }
}

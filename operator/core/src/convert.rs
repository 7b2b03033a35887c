//! Converts a CronJob to a PlanescapeJob that does the same, and tells what still differs.

use serde_json::{Map, Value, json};

use crate::problem::{Kind, Problem};

/// A CronJob as a PlanescapeJob.
#[derive(Clone, Debug, PartialEq)]
pub struct Converted {
    /// The PlanescapeJob.
    pub job: Value,
    /// Differences, certain and possible, in sentences.
    pub notes: Vec<String>,
}

/// Fields that mean the same in both.
const SAME: [&str; 4] = [
    "suspend",
    "startingDeadlineSeconds",
    "successfulJobsHistoryLimit",
    "failedJobsHistoryLimit",
];

/// Annotations that the API server or a client of it has written.
const FOREIGN_ANNOTATIONS: [&str; 1] = ["kubectl.kubernetes.io/last-applied-configuration"];

/// Maps whose entries are no fields: null is an empty text there.
const TEXTS_BY_NAME: [&str; 4] = ["labels", "annotations", "matchLabels", "nodeSelector"];

/// Converts a CronJob. Its fields are not checked here: the PlanescapeJob's are.
pub fn cron_job(cron_job: &Value) -> Result<Converted, Vec<Problem>> {
    let mut notes = Vec::new();
    let mut problems = Vec::new();
    let from = &cron_job["spec"];
    let mut spec = Map::new();
    if let Err(problem) = add_schedule(from, &mut spec, &mut notes) {
        problems.push(problem);
    }
    let policy = from.get("concurrencyPolicy");
    let policy = policy.filter(|policy| !policy.is_null());
    let policy = policy.cloned().unwrap_or_else(|| json!("Allow"));
    match policy.as_str() {
        Some("Forbid") => {
            spec.insert("forbidBehavior".into(), json!("Queue"));
            notes.push(
                "spec.forbidBehavior: Queue starts a run late when the previous one ends, as the CronJob does; leave it out to skip that run".to_owned(),
            );
        }
        Some("Replace") => notes.push(
            "spec.concurrencyPolicy: the new run starts when the pods of the old one are gone; a CronJob starts it at once".to_owned(),
        ),
        _ => {}
    }
    spec.insert("concurrencyPolicy".into(), policy);
    for field in SAME {
        if let Some(value) = from.get(field).filter(|value| !value.is_null()) {
            spec.insert(field.into(), value.clone());
        }
    }
    let mut template = from["jobTemplate"].clone();
    leave_nulls_out(&mut template);
    spec.insert("jobTemplate".into(), template);
    let known = ["schedule", "timeZone", "concurrencyPolicy", "jobTemplate"];
    for field in from.as_object().into_iter().flat_map(Map::keys) {
        if !known.contains(&field.as_str()) && !SAME.contains(&field.as_str()) {
            let message = "is not a field of a PlanescapeJob: leave it out";
            problems.push(Problem::new(
                Kind::Template,
                format!("spec.{field}"),
                message,
            ));
        }
    }
    if !problems.is_empty() {
        return Err(problems);
    }
    notes.push(
        "metadata.name: the CronJob makes Jobs of the same names; suspend or delete it before this is applied".to_owned(),
    );
    notes.push(
        "spec.suspend: what was due while it was true does not run afterwards; a CronJob that is resumed makes up for the latest of it".to_owned(),
    );
    notes.push(
        "labels: Jobs and pods also bear job-name with the PlanescapeJob's name, and pods have no controller-uid".to_owned(),
    );
    Ok(Converted {
        job: json!({
            "apiVersion": "planescape.io/v1alpha1",
            "kind": "PlanescapeJob",
            "metadata": metadata(&cron_job["metadata"]),
            "spec": spec,
        }),
        notes,
    })
}

/// Leaves out nulls, which charts write. In the fields of a CronJob null is absent; a server-side apply of a
/// PlanescapeJob refuses it.
fn leave_nulls_out(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|_, value| !value.is_null());
            for (name, value) in fields.iter_mut() {
                let texts = value.as_object_mut();
                match texts.filter(|_| TEXTS_BY_NAME.contains(&name.as_str())) {
                    Some(texts) => {
                        let nulls = texts.values_mut().filter(|text| text.is_null());
                        nulls.for_each(|text| *text = json!(""));
                    }
                    None => leave_nulls_out(value),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(leave_nulls_out),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// Only what an author writes.
fn metadata(from: &Value) -> Value {
    let mut metadata = Map::new();
    for field in ["name", "namespace", "labels", "annotations"] {
        if let Some(value) = from.get(field).filter(|value| !value.is_null()) {
            metadata.insert(field.into(), value.clone());
        }
    }
    if let Some(annotations) = metadata
        .get_mut("annotations")
        .and_then(Value::as_object_mut)
    {
        annotations.retain(|key, _| !FOREIGN_ANNOTATIONS.contains(&key.as_str()));
        if annotations.is_empty() {
            metadata.remove("annotations");
        }
    }
    Value::Object(metadata)
}

/// A CronJob may name its zone in either of two fields.
fn add_schedule(
    from: &Value,
    spec: &mut Map<String, Value>,
    notes: &mut Vec<String>,
) -> Result<(), Problem> {
    let problem = |message: String| Problem::new(Kind::Schedule, "spec.schedule", message);
    let (zone_in_schedule, schedule) = schedule(&from["schedule"]);
    if schedule.is_null() {
        // Without one a PlanescapeJob would run once.
        return Err(problem("is missing".to_owned()));
    }
    spec.insert("schedule".into(), schedule);
    let zone = match (zone_in_schedule, &from["timeZone"]) {
        (Some(zone), Value::Null) => {
            notes.push(format!(
                "spec.schedule: its zone {zone} is in spec.timeZone now"
            ));
            json!(zone)
        }
        (Some(zone), _) => {
            return Err(problem(format!(
                "names the zone {zone}, and spec.timeZone names one, too, which Kubernetes refuses: leave one of them out"
            )));
        }
        (None, zone) => zone.clone(),
    };
    if zone.is_null() {
        notes.push(
            "spec.timeZone: the CronJob has none and follows the clock of kube-controller-manager, which is usually UTC; a PlanescapeJob without one follows UTC".to_owned(),
        );
        return Ok(());
    }
    if zone != "UTC" && zone != "Etc/UTC" {
        notes.push(
            "spec.dstPolicy: where the clock is turned each reading runs once; write `dstPolicy: Kubernetes` to leave out and to double runs as the CronJob does".to_owned(),
        );
    }
    spec.insert("timeZone".into(), zone);
    Ok(())
}

/// The zone in it, and the rest. A value that is no text stays for others to refuse.
fn schedule(written: &Value) -> (Option<String>, Value) {
    let Some(text) = written.as_str() else {
        return (None, written.clone());
    };
    let (zone, fields) = split_zone(text);
    // A CronJob's fields may stand apart by tabs, a PlanescapeJob's by blanks alone.
    let blanks = |c: char| if c.is_whitespace() { ' ' } else { c };
    let fields: String = fields.chars().map(blanks).collect();
    (zone.map(str::to_owned), json!(fields))
}

/// `TZ=Zone` or `CRON_TZ=Zone` before the fields, and the fields.
fn split_zone(schedule: &str) -> (Option<&str>, &str) {
    let prefix = ["TZ=", "CRON_TZ="];
    let rest = prefix.into_iter().find_map(|it| schedule.strip_prefix(it));
    match rest.and_then(|rest| rest.split_once(' ')) {
        Some((zone, fields)) => (Some(zone), fields.trim()),
        None => (None, schedule),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_what_a_cronjob_does_and_says_what_differs() {
        let converted = cron_job(&json!({
            "apiVersion": "batch/v1",
            "kind": "CronJob",
            "metadata": {
                "name": "backup", "namespace": "team", "uid": "u", "resourceVersion": "7",
                "labels": { "team": "blue" },
                "annotations": { "kubectl.kubernetes.io/last-applied-configuration": "{}" },
            },
            "spec": {
                "schedule": "CRON_TZ=Europe/Berlin  0 2 * * *",
                "concurrencyPolicy": "Forbid",
                "startingDeadlineSeconds": 60,
                "jobTemplate": { "spec": { "backoffLimit": 2, "template": {} } },
            },
            "status": { "active": [] },
        }))
        .unwrap();

        insta::assert_json_snapshot!(converted.job);
        insta::assert_json_snapshot!(converted.notes);
    }

    #[test]
    fn says_the_policy_that_a_cronjob_has_without_one() {
        let job = |policy: Value| {
            let spec = json!({ "schedule": "@daily", "concurrencyPolicy": policy });
            cron_job(&json!({ "spec": spec })).unwrap().job
        };

        assert_eq!(job(json!(null))["spec"]["concurrencyPolicy"], "Allow");
        assert_eq!(
            job(json!("Replace"))["spec"]["concurrencyPolicy"],
            "Replace"
        );
        assert_eq!(job(json!("Replace"))["spec"]["forbidBehavior"], json!(null));
    }

    #[test]
    fn leaves_out_what_a_chart_has_left_empty() {
        let template = json!({ "metadata": { "creationTimestamp": null, "labels": null }, "spec": {
            "containers": [null, { "env": null, "command": [], "resources": {} }],
            "nodeSelector": { "disk": null }, "volumes": null,
        } });
        let spec =
            json!({ "schedule": "@daily", "jobTemplate": { "spec": { "template": template } } });

        let job = cron_job(&json!({ "spec": spec })).unwrap().job;

        let expected = json!({ "metadata": {}, "spec": {
            "containers": [null, { "command": [], "resources": {} }],
            "nodeSelector": { "disk": "" },
        } });
        assert_eq!(job["spec"]["jobTemplate"]["spec"]["template"], expected);
    }

    #[test]
    fn parts_fields_by_blanks_as_the_resource_definition_wants_them() {
        let tabs = json!({ "spec": { "schedule": "0\t2 * *\t*" } });

        let job = cron_job(&tabs).unwrap().job;

        assert_eq!(job["spec"]["schedule"], "0 2 * * *");
    }

    #[test]
    fn refuses_two_zones_and_a_schedule_that_is_missing() {
        let told = |spec: Value| cron_job(&json!({ "spec": spec })).unwrap_err()[0].to_string();

        assert_eq!(
            told(json!({ "schedule": "TZ=Europe/Berlin 0 0 * * *", "timeZone": "UTC" })),
            "spec.schedule: names the zone Europe/Berlin, and spec.timeZone names one, too, which Kubernetes refuses: leave one of them out"
        );
        assert_eq!(
            told(json!({ "schedule": null })),
            "spec.schedule: is missing"
        );
    }

    #[test]
    fn takes_null_for_absent_and_leaves_what_is_no_text_for_its_field_to_refuse() {
        let spec = json!({
            "schedule": 5, "timeZone": null, "concurrencyPolicy": 7,
            "successfulJobsHistoryLimit": null, "failedJobsHistoryLimit": 2,
        });

        let job = cron_job(&json!({ "spec": spec })).unwrap().job;

        let mut spec = job["spec"].clone();
        spec.as_object_mut().unwrap().remove("jobTemplate");
        let expected =
            json!({ "schedule": 5, "concurrencyPolicy": 7, "failedJobsHistoryLimit": 2 });
        assert_eq!(spec, expected);
    }

    #[test]
    fn names_fields_that_nobody_reads() {
        let wrong = json!({ "spec": { "schedule": "@daily", "jobTemplat": {} } });

        let problems = cron_job(&wrong).unwrap_err();

        assert_eq!(
            problems[0].to_string(),
            "spec.jobTemplat: is not a field of a PlanescapeJob: leave it out"
        );
    }
}

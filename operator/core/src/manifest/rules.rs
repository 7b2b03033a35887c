//! What the API server asks of names, and what the definition's rules say of fields that depend on each other.

use serde_json::Value;

use super::fits::is_label;
use crate::api::v1alpha1::ONCE;
use crate::problem::Problem;

const LABEL: &str =
    "must be of lower-case letters, digits and hyphens, with a letter or digit at both ends";

/// Labels that the operator sets itself.
const RESERVED: [&str; 2] = ["job-name", "controller-uid"];
const RESERVED_PREFIXES: [&str; 2] = ["batch.kubernetes.io/", "planescape.io/"];

pub(super) fn problems(manifest: &Value) -> Vec<Problem> {
    let mut problems = Vec::new();
    if manifest["apiVersion"] != "planescape.io/v1alpha1" {
        let message = "write planescape.io/v1alpha1";
        problems.push(Problem::template("apiVersion", message));
    }
    problems.extend(of_name(&manifest["metadata"]["name"]));
    let namespace = &manifest["metadata"]["namespace"];
    if *namespace != "" {
        problems.extend(of_label("metadata.namespace", namespace));
    }
    problems.extend(of_schedule(&manifest["spec"]));
    let template = &manifest["spec"]["jobTemplate"];
    let pod = &template["spec"]["template"];
    for (field, metadata) in [
        ("spec.jobTemplate", &template["metadata"]),
        ("spec.jobTemplate.spec.template", &pod["metadata"]),
    ] {
        problems.extend(of_labels(&format!("{field}.metadata.labels"), metadata));
    }
    for list in ["initContainers", "containers", "volumes"] {
        let items = pod["spec"][list].as_array().into_iter().flatten();
        for (position, item) in items.enumerate() {
            let field = format!("spec.jobTemplate.spec.template.spec.{list}[{position}].name");
            problems.extend(of_label(&field, &item["name"]));
        }
    }
    problems
}

fn of_name(name: &Value) -> Option<Problem> {
    let field = "metadata.name";
    match name {
        Value::String(text) if (1..=52).contains(&text.len()) => of_label(field, name),
        Value::String(_) | Value::Null => {
            let message = "write a name of 1 to 52 characters, which Jobs and pods are named after";
            Some(Problem::template(field, message))
        }
        Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

/// Of a name that is there; what is no text is told by its field.
fn of_label(field: &str, name: &Value) -> Option<Problem> {
    let name = name.as_str()?;
    if name.len() > 63 {
        let message = format!("has {} characters, and may have 63 at most", name.len());
        return Some(Problem::template(field, message));
    }
    (!is_label(name)).then(|| Problem::template(field, LABEL))
}

fn of_schedule(spec: &Value) -> Vec<Problem> {
    let mut problems = Vec::new();
    let schedule = &spec["schedule"];
    let is_once = schedule.is_null() || schedule == ONCE;
    if is_once && !spec["timeZone"].is_null() {
        let message = "has no meaning with schedule @once; leave it out";
        problems.push(Problem::template("spec.timeZone", message));
    }
    if schedule.as_str().is_some_and(is_parted_otherwise) {
        let message = "parts its fields by a tab or a line end: write blanks";
        problems.push(Problem::template("spec.schedule", message));
    }
    problems
}

/// Whether there are five fields, but not with blanks between them.
fn is_parted_otherwise(schedule: &str) -> bool {
    let by_blanks = schedule.split(' ').filter(|field| !field.is_empty());
    schedule.split_whitespace().count() == 5 && by_blanks.count() != 5
}

fn of_labels(field: &str, metadata: &Value) -> Vec<Problem> {
    let labels = metadata["labels"].as_object();
    let keys = labels.into_iter().flat_map(|labels| labels.keys());
    let reserved = keys.filter(|key| {
        let mut prefixes = RESERVED_PREFIXES.iter();
        RESERVED.contains(&key.as_str()) || prefixes.any(|prefix| key.starts_with(prefix))
    });
    let message = "is set by the operator; leave it out";
    reserved
        .map(|key| Problem::template(format!("{field}[{key}]"), message))
        .collect()
}

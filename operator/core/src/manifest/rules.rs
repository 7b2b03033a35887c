//! The API server's rules for names, and the definition's rules for fields that depend on each other.

use serde_json::Value;

use super::fits::is_label;
use crate::api::v1alpha1::ONCE;
use crate::problem::Problem;

const LABEL: &str =
    "must be of lower-case letters, digits and hyphens, with a letter or digit at both ends";

const KEY: &str = "is not a name that it may have: 63 letters, digits, `-`, `_` and `.` at most, with a letter or digit at both ends, \
    perhaps behind a domain and one slash";
const VALUE: &str =
    "may hold letters, digits, `-`, `_` and `.` alone, with a letter or digit at both ends";

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
        ("metadata", &manifest["metadata"]),
        ("spec.jobTemplate.metadata", &template["metadata"]),
        ("spec.jobTemplate.spec.template.metadata", &pod["metadata"]),
    ] {
        let is_template = field != "metadata";
        problems.extend(of_labels(field, &metadata["labels"], is_template));
        problems.extend(of_annotations(field, &metadata["annotations"]));
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

/// The problem of a name that is there. A name that is no text is told by its field.
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

fn of_labels(field: &str, labels: &Value, is_template: bool) -> Vec<Problem> {
    let labels = labels.as_object().into_iter().flatten();
    let wrong = labels.filter_map(|(key, value)| {
        let message = if is_template && is_reserved(key) {
            "is set by the operator; leave it out"
        } else if !is_key(key) {
            KEY
        } else if value.as_str().is_some_and(|text| !is_value(text)) {
            VALUE
        } else {
            return None;
        };
        let field = format!("{field}.labels[{key}]");
        Some(Problem::template(field, message))
    });
    wrong.collect()
}

fn of_annotations(field: &str, annotations: &Value) -> Vec<Problem> {
    let annotations = annotations.as_object().into_iter().flatten();
    // The API server takes capitals in the domain of an annotation, too.
    let wrong = annotations.filter(|(key, _)| !is_key(&key.to_ascii_lowercase()));
    wrong
        .map(|(key, _)| Problem::template(format!("{field}.annotations[{key}]"), KEY))
        .collect()
}

fn is_reserved(key: &str) -> bool {
    let mut prefixes = RESERVED_PREFIXES.iter();
    RESERVED.contains(&key) || prefixes.any(|prefix| key.starts_with(prefix))
}

/// A name, perhaps behind a domain.
fn is_key(key: &str) -> bool {
    let (domain, name) = match key.split_once('/') {
        Some((domain, name)) => (Some(domain), name),
        None => (None, key),
    };
    let is_domain = |domain: &str| domain.len() <= 253 && domain.split('.').all(is_label);
    domain.is_none_or(is_domain) && (1..=63).contains(&name.len()) && is_value(name)
}

/// Whether a label may have this value, but for its length.
fn is_value(text: &str) -> bool {
    let is_usual = |letter: char| letter.is_ascii_alphanumeric();
    let is_within = |letter: char| is_usual(letter) || "-_.".contains(letter);
    let has_ends = text.starts_with(is_usual) && text.ends_with(is_usual);
    text.is_empty() || (has_ends && text.chars().all(is_within))
}

//! Fields that the definition does not have: the API server drops them, and nobody notices.

use planescape_templates::spelling::closest;
use serde_json::{Map, Value};

use crate::api::custom_resource_definition;
use crate::problem::Problem;

/// Fields that a PlanescapeJob does not have; and, as warnings, fields of a Job that only a newer cluster may know.
pub(super) fn unknown(manifest: &Value) -> (Vec<Problem>, Vec<String>) {
    let definition = serde_json::to_value(custom_resource_definition());
    let definition = definition.expect("a definition is plain data");
    let schema = definition.pointer("/spec/versions/0/schema/openAPIV3Schema");
    let schema = schema.expect("the definition has one version with a schema");
    let mut found = Found::default();
    found.walk(&manifest["spec"], &schema["properties"]["spec"], "spec");
    (found.problems, found.warnings)
}

#[derive(Default)]
struct Found {
    problems: Vec<Problem>,
    warnings: Vec<String>,
}

impl Found {
    fn walk(&mut self, value: &Value, schema: &Value, path: &str) {
        match value {
            Value::Object(fields) => self.walk_fields(fields, schema, path),
            Value::Array(items) => {
                for (position, item) in items.iter().enumerate() {
                    self.walk(item, &schema["items"], &format!("{path}[{position}]"));
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }

    fn walk_fields(&mut self, fields: &Map<String, Value>, schema: &Value, path: &str) {
        let Some(known) = schema["properties"].as_object() else {
            return;
        };
        let is_open = schema["x-kubernetes-preserve-unknown-fields"] == true;
        for (name, value) in fields {
            let path = format!("{path}.{name}");
            match known.get(name) {
                Some(schema) => self.walk(value, schema, &path),
                None if is_open => self.warnings.push(format!(
                    "{path}: is not a field that Planescape knows{}; the API server refuses a Job with one that it does not know",
                    guess(name, known)
                )),
                None => {
                    let message = format!("is not a field of a PlanescapeJob{}", guess(name, known));
                    self.problems.push(Problem::template(path, message));
                }
            }
        }
    }
}

fn guess(name: &str, known: &Map<String, Value>) -> String {
    let close = closest(name, known.keys().map(String::as_str));
    close.map_or_else(String::new, |close| format!(": did you mean `{close}`?"))
}

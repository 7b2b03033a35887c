//! Checks each field by the definition. The API server refuses an object with a value that does not fit, and may drop
//! a field that the definition does not have without a word.

use std::sync::LazyLock;

use planescape_templates::spelling::closest;
use serde_json::{Map, Value, json};

use super::fits;
use crate::api::custom_resource_definition;
use crate::problem::Problem;

/// Fields of every object's metadata beside labels and annotations, and what they hold. A pod template has them, too.
const METADATA: [(&str, &str); 13] = [
    ("creationTimestamp", "string"),
    ("deletionGracePeriodSeconds", "integer"),
    ("deletionTimestamp", "string"),
    ("finalizers", "array"),
    ("generateName", "string"),
    ("generation", "integer"),
    ("managedFields", "array"),
    ("name", "string"),
    ("namespace", "string"),
    ("ownerReferences", "array"),
    ("resourceVersion", "string"),
    ("selfLink", "string"),
    ("uid", "string"),
];

/// The schema of a manifest. To make it takes longer than to check a manifest, and a file may hold many.
static OBJECT: LazyLock<Value> = LazyLock::new(object);

/// Values that do not fit the definition; and, as warnings, fields of a Job that only a newer cluster may know.
pub(super) fn check(manifest: &Value) -> (Vec<Problem>, Vec<String>) {
    let mut found = Found::default();
    found.walk(manifest, &OBJECT, "");
    (found.problems, found.warnings)
}

fn object() -> Value {
    let definition = serde_json::to_value(custom_resource_definition());
    let definition = definition.expect("a definition is plain data");
    let schema = definition.pointer("/spec/versions/0/schema/openAPIV3Schema");
    let schema = schema.expect("the definition has one version with a schema");
    // The status is not the author's.
    json!({
        "type": "object",
        "required": ["spec"],
        "properties": {
            "apiVersion": {},
            "kind": {},
            "metadata": metadata(),
            "spec": schema["properties"]["spec"],
            "status": {},
        },
    })
}

/// The API server's schema of any object's metadata.
fn metadata() -> Value {
    let mut fields: Map<String, Value> = METADATA
        .iter()
        .map(|(name, kind)| ((*name).to_owned(), json!({ "type": kind })))
        .collect();
    for (texts, text) in [
        ("annotations", json!({ "type": "string" })),
        ("labels", json!({ "type": "string", "maxLength": 63 })),
    ] {
        let schema = json!({ "type": "object", "additionalProperties": text });
        fields.insert(texts.to_owned(), schema);
    }
    json!({ "type": "object", "properties": fields })
}

#[derive(Default)]
struct Found {
    problems: Vec<Problem>,
    warnings: Vec<String>,
}

impl Found {
    fn walk(&mut self, value: &Value, schema: &Value, path: &str) {
        if let Err(message) = fits::check(value, schema) {
            self.problems.push(Problem::template(path, message));
            return;
        }
        match value {
            Value::Object(fields) => self.walk_fields(fields, schema, path),
            Value::Array(items) => {
                for (position, item) in items.iter().enumerate() {
                    let path = format!("{path}[{position}]");
                    self.walk(item, &schema["items"], &path);
                    self.refuse_twin(item, &items[..position], (schema, path.as_str()));
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }

    /// The API server takes a field that is null for one that is absent.
    fn walk_fields(&mut self, fields: &Map<String, Value>, schema: &Value, path: &str) {
        for name in texts(&schema["required"]) {
            if fields.get(name).is_none_or(Value::is_null) {
                self.problems
                    .push(Problem::template(below(path, name), "is missing"));
            }
        }
        let known = schema["properties"].as_object();
        let each = &schema["additionalProperties"];
        for (name, value) in fields.iter().filter(|(_, value)| !value.is_null()) {
            match known {
                None => self.walk(value, each, &format!("{path}[{name}]")),
                Some(known) => match known.get(name) {
                    Some(schema) => self.walk(value, schema, &below(path, name)),
                    None => self.miss(name, known, (schema, path)),
                },
            }
        }
    }

    fn miss(&mut self, name: &str, known: &Map<String, Value>, (schema, path): (&Value, &str)) {
        let is_open = schema["x-kubernetes-preserve-unknown-fields"] == true;
        let mut metadata = METADATA.iter();
        if is_open && path.ends_with(".metadata") && metadata.any(|(known, _)| *known == name) {
            return;
        }
        let close = closest(name, known.keys().map(String::as_str));
        let guess = close.map_or_else(String::new, |close| format!(": did you mean `{close}`?"));
        let path = below(path, name);
        if is_open {
            self.warnings.push(format!(
                "{path}: is not a field that Planescape knows{guess}; the API server refuses a Job with one that it does not know"
            ));
        } else {
            let message = format!("is not a field of a PlanescapeJob{guess}");
            self.problems.push(Problem::template(path, message));
        }
    }

    /// Of some lists no two items may be called the same.
    fn refuse_twin(&mut self, item: &Value, earlier: &[Value], (schema, path): (&Value, &str)) {
        for key in texts(&schema["x-kubernetes-list-map-keys"]) {
            let is_twin = |other: &Value| !item[key].is_null() && other[key] == item[key];
            if earlier.iter().any(is_twin) {
                let message = "is that of an earlier item, too: each has its own";
                self.problems
                    .push(Problem::template(below(path, key), message));
            }
        }
    }
}

fn below(path: &str, name: &str) -> String {
    if path.is_empty() {
        return name.to_owned();
    }
    format!("{path}.{name}")
}

fn texts(list: &Value) -> impl Iterator<Item = &str> {
    list.as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
}

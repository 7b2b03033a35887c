//! The schema of `spec.jobTemplate`: that of a Job, without descriptions, with the merge keys that
//! Kubernetes' own types have, and open to fields that only newer clusters know.

use k8s_openapi::api::batch::v1::JobSpec;
use schemars::{Schema, SchemaGenerator};
use serde_json::{Map, Value, json};

/// Lists whose items have an identity that a Job may not give twice, and the fields that make it.
const MERGE_KEYS: &[(&str, &[&str])] = &[
    ("containers", &["name"]),
    ("ephemeralContainers", &["name"]),
    ("initContainers", &["name"]),
    ("volumeDevices", &["devicePath"]),
    ("volumeMounts", &["mountPath"]),
    ("volumes", &["name"]),
];

const RESERVED_LABEL_RULE: &str = "self.all(key, !(key in ['job-name', 'controller-uid']) \
    && !key.startsWith('batch.kubernetes.io/') && !key.startsWith('planescape.io/'))";

/// The schema of `spec.jobTemplate`.
pub fn job_template(generator: &mut SchemaGenerator) -> Schema {
    let mut spec = generator.subschema_for::<JobSpec>().to_value();
    prune(&mut spec);
    keep_unknown_fields(&mut spec, "");
    keep_unknown_fields(&mut spec, "/properties/template");
    keep_unknown_fields(&mut spec, "/properties/template/properties/spec");
    for containers in ["containers", "ephemeralContainers", "initContainers"] {
        let items = format!("/properties/template/properties/spec/properties/{containers}/items");
        keep_unknown_fields(&mut spec, &items);
    }
    at(&mut spec, "/properties/template/properties").insert("metadata".into(), metadata());
    at(&mut spec, "/properties/template").insert("required".into(), json!(["spec"]));
    at(
        &mut spec,
        "/properties/template/properties/spec/properties/restartPolicy",
    )
    .insert("enum".into(), json!(["Never", "OnFailure"]));
    at(&mut spec, "").insert("x-kubernetes-validations".into(), selector_rules());
    describe(&mut spec);

    Schema::try_from(json!({
        "description": "The Job to create for each run, as in a CronJob. Its fields are described by: kubectl explain job.spec",
        "type": "object",
        "required": ["spec"],
        "properties": { "metadata": metadata(), "spec": spec },
    }))
    .expect("an object is a schema")
}

/// Labels and annotations are typed, because the API server drops what a schema does not name.
fn metadata() -> Value {
    json!({
        "type": "object",
        "x-kubernetes-preserve-unknown-fields": true,
        "properties": {
            "annotations": {
                "type": "object",
                "additionalProperties": { "type": "string" },
            },
            "labels": {
                "type": "object",
                "maxProperties": 256,
                "additionalProperties": { "type": "string", "maxLength": 63 },
                "x-kubernetes-validations": [{
                    "rule": RESERVED_LABEL_RULE,
                    "message": "job-name, controller-uid, batch.kubernetes.io/ and planescape.io/ labels are set by the operator",
                }],
            },
        },
    })
}

fn selector_rules() -> Value {
    json!([
        {
            "rule": "!has(self.selector)",
            "message": "is set by the operator",
            "fieldPath": ".selector",
        },
        {
            "rule": "!has(self.manualSelector) || !self.manualSelector",
            "message": "is set by the operator",
            "fieldPath": ".manualSelector",
        },
    ])
}

fn keep_unknown_fields(schema: &mut Value, pointer: &str) {
    at(schema, pointer).insert("x-kubernetes-preserve-unknown-fields".into(), json!(true));
}

fn at<'schema>(schema: &'schema mut Value, pointer: &str) -> &'schema mut Map<String, Value> {
    schema
        .pointer_mut(pointer)
        .and_then(Value::as_object_mut)
        .expect("a Job's schema has had these fields since batch/v1")
}

/// Fields that a Job fills in, although its schema asks for them.
const DEFAULTED: &[(&str, &str)] = &[("onPodConditions", "status")];

/// Fields that hold quantities: a text, or a number such as 0.5.
const QUANTITIES: &[&str] = &[
    "capacity",
    "divisor",
    "limits",
    "overhead",
    "requests",
    "sizeLimit",
];

/// Drops every description and adds the merge keys, all the way down.
fn prune(schema: &mut Value) {
    let Some(object) = schema.as_object_mut() else {
        return;
    };
    object.remove("description");
    if let Some(properties) = object.get_mut("properties").and_then(Value::as_object_mut) {
        for (name, property) in properties {
            prune(property);
            add_merge_keys(name, property);
            ask_for_nothing_that_a_job_fills_in(name, property);
            if QUANTITIES.contains(&name.as_str()) {
                take_any_quantity(property);
            }
        }
    }
    for nested in ["items", "additionalProperties"] {
        if let Some(schema) = object.get_mut(nested) {
            prune(schema);
        }
    }
}

/// Says of the fields that people ask for where they are described.
fn describe(spec: &mut Value) {
    let pod = "/properties/template/properties/spec";
    for (pointer, path) in [
        (String::new(), ""),
        (pod.to_owned(), ".template.spec"),
        (
            format!("{pod}/properties/containers/items"),
            ".template.spec.containers",
        ),
        (
            format!("{pod}/properties/initContainers/items"),
            ".template.spec.initContainers",
        ),
    ] {
        let object = at(spec, &pointer);
        object.insert("description".into(), described(path).into());
        let properties = at(spec, &format!("{pointer}/properties"));
        for (name, property) in properties {
            property["description"] = described(&format!("{path}.{name}")).into();
        }
    }
}

fn described(path: &str) -> String {
    format!("As in a Job; see: kubectl explain job.spec{path}")
}

fn ask_for_nothing_that_a_job_fills_in(name: &str, property: &mut Value) {
    for (list, field) in DEFAULTED.iter().filter(|(list, _)| *list == name) {
        let required = property.pointer_mut("/items/required");
        let required = required.and_then(Value::as_array_mut);
        let required = required.unwrap_or_else(|| panic!("{list} has required fields"));
        required.retain(|required| required != field);
    }
}

/// The schema language knows no "number or text": the Job's own check has to do.
fn take_any_quantity(property: &mut Value) {
    let quantity = match property.get_mut("additionalProperties") {
        Some(each) => each,
        None => property,
    };
    if quantity.get("x-kubernetes-int-or-string").is_some() {
        *quantity = json!({ "x-kubernetes-preserve-unknown-fields": true });
    }
}

fn add_merge_keys(name: &str, property: &mut Value) {
    let Some((_, keys)) = MERGE_KEYS.iter().find(|(list, _)| *list == name) else {
        return;
    };
    let has_keys = property
        .pointer("/items/properties")
        .is_some_and(|fields| keys.iter().all(|key| fields.get(key).is_some()));
    if !has_keys {
        return;
    }
    property["x-kubernetes-list-type"] = json!("map");
    property["x-kubernetes-list-map-keys"] = json!(keys);
}

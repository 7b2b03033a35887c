use std::sync::LazyLock;

use kube::core::cel::Validator;
use serde_json::{Value, json};

use super::*;

#[test]
fn keeps_the_annotations_of_the_pod_template() {
    let metadata = schema_at("/properties/template/properties/metadata");

    assert_eq!(
        metadata.pointer("/properties/annotations/additionalProperties/type"),
        Some(&json!("string"))
    );
    assert_eq!(
        metadata.pointer("/properties/labels/additionalProperties/type"),
        Some(&json!("string"))
    );
}

#[test]
fn keeps_unknown_fields_of_job_pod_and_containers() {
    let pod = "/properties/template/properties/spec";
    let open = [
        String::new(),
        "/properties/template".into(),
        pod.into(),
        format!("{pod}/properties/containers/items"),
        format!("{pod}/properties/initContainers/items"),
        format!("{pod}/properties/ephemeralContainers/items"),
    ];

    for pointer in open {
        assert_eq!(
            schema_at(&pointer)["x-kubernetes-preserve-unknown-fields"],
            true,
            "at {pointer}"
        );
    }
}

#[test]
fn merges_containers_by_their_names_and_takes_repeated_variables() {
    let container = "/properties/template/properties/spec/properties/containers";

    assert_eq!(
        schema_at(container)["x-kubernetes-list-map-keys"],
        json!(["name"])
    );
    // A Job may have two of a name.
    for list in ["env", "ports"] {
        let list = schema_at(&format!("{container}/items/properties/{list}"));
        assert_eq!(list["x-kubernetes-list-type"], Value::Null);
    }
}

#[test]
fn fits_into_the_annotation_that_kubectl_apply_writes() {
    let text = serde_json::to_string(&custom_resource_definition()).unwrap();

    // It holds 262,144 bytes, and what kubectl adds.
    assert!(text.len() < 100_000, "{} bytes", text.len());
}

#[test]
fn accepts_what_a_schedule_may_look_like() {
    for schedule in [
        "@hourly",
        "@annually",
        "@every 1h30m",
        "@every 90s",
        "@every 1.5h",
        "@every .5h",
        "@every 1.h",
        "@every +1h",
        "@every 59s1000ms",
        "@every 60000000us",
        "@every 1m1ns",
        "0 2 * * *",
        "30 6-16/4 * * 1-5",
        " 0  0 * JAN,jun,DEC * ",
        "0 0 15 * *,MON",
    ] {
        assert_eq!(rejections(&with_spec("schedule", json!(schedule))), [""; 0]);
    }
    assert_eq!(rejections(&job()), [""; 0]);
}

#[test]
fn rejects_a_schedule_of_the_wrong_shape_with_its_path() {
    for schedule in [
        "@Hourly",
        "@reboot",
        "0 2 * *",
        "0 2 * * * *",
        "@every -1h",
        "@every .h",
        "@every 1h+1h",
        "@every +",
        "@every 1d",
        "@every  1h",
        "@every 59s",
        "@every 59s999ms",
        "@every 60000us",
        "TZ=UTC 0 0 * *",
    ] {
        let rejections = rejections(&with_spec("schedule", json!(schedule)));

        assert_eq!(rejections, ["spec.schedule"], "{schedule}");
    }
}

#[test]
fn rejects_a_zone_that_is_no_name_of_a_zone() {
    for zone in [
        "Local",
        "/Europe",
        "Europe/",
        "-Bad",
        "../etc/passwd",
        " UTC",
        ".",
    ] {
        let rejections = rejections(&zoned(zone));

        assert_eq!(rejections, ["spec.timeZone"], "{zone}");
    }
    for zone in ["UTC", "Etc/GMT-14", "America/Argentina/ComodRivadavia"] {
        assert_eq!(rejections(&zoned(zone)), [""; 0], "{zone}");
    }
}

#[test]
fn rejects_a_zone_beside_once() {
    let job = with_spec("timeZone", json!("UTC"));

    assert_eq!(rejections(&job), ["spec.timeZone"]);
}

#[test]
fn rejects_labels_and_selectors_that_are_ours() {
    for label in [
        "job-name",
        "controller-uid",
        "batch.kubernetes.io/job-name",
        "planescape.io/run-uid",
    ] {
        let labels = json!({ "labels": { label: "x" } });

        let path = "/spec/jobTemplate/spec/template/metadata";
        assert_eq!(
            rejections(&with(path, labels.clone())),
            ["spec.jobTemplate.spec.template.metadata.labels"]
        );
        assert_eq!(
            rejections(&with("/spec/jobTemplate/metadata", labels)),
            ["spec.jobTemplate.metadata.labels"]
        );
    }
    assert_eq!(
        rejections(&with("/spec/jobTemplate/spec/manualSelector", json!(true))),
        ["spec.jobTemplate.spec.manualSelector"]
    );
    assert_eq!(
        rejections(&with("/spec/jobTemplate/spec/manualSelector", json!(false))),
        [""; 0]
    );
    assert_eq!(
        rejections(&with(
            "/spec/jobTemplate/spec/selector",
            json!({ "matchLabels": {} })
        )),
        ["spec.jobTemplate.spec.selector"]
    );
}

#[test]
fn rejects_a_restart_policy_that_a_job_cannot_have() {
    let policy = schema_at("/properties/template/properties/spec/properties/restartPolicy");

    assert_eq!(policy["enum"], json!(["Never", "OnFailure"]));
}

#[test]
fn rejects_a_name_that_leaves_no_room_for_the_time() {
    let named = |name: &str| with("/metadata/name", json!(name));

    assert_eq!(rejections(&named(&"a".repeat(53))), [""]);
    assert_eq!(rejections(&named("a.b")), [""]);
    assert_eq!(rejections(&named(&"a".repeat(52))), [""; 0]);
}

#[test]
fn rejects_a_change_between_once_and_recurring() {
    let once = job();
    let hourly = with_spec("schedule", json!("@hourly"));
    let daily = with_spec("schedule", json!("@daily"));

    assert_eq!(rejections_of_update(&hourly, &once), ["spec.schedule"]);
    assert_eq!(rejections_of_update(&once, &hourly), ["spec.schedule"]);
    assert_eq!(rejections_of_update(&hourly, &daily), [""; 0]);
}

#[test]
fn rejects_a_vault_block_without_role_or_path() {
    let block = json!({ "enabled": true, "role": "reader" });

    assert_eq!(rejections(&with_spec("vault", block)), ["spec.vault"]);
    let off = json!({ "enabled": false });
    assert_eq!(rejections(&with_spec("vault", off)), [""; 0]);
}

fn job() -> Value {
    json!({
        "apiVersion": "planescape.io/v1alpha1",
        "kind": "PlanescapeJob",
        "metadata": { "name": "my-job" },
        "spec": {
            "schedule": "@once",
            "jobTemplate": { "spec": { "template": { "spec": {
                "containers": [{ "name": "main", "image": "busybox:1.35" }],
            } } } },
        },
    })
}

fn with_spec(field: &str, value: Value) -> Value {
    with(&format!("/spec/{field}"), value)
}

fn zoned(zone: &str) -> Value {
    let mut job = with_spec("schedule", json!("@daily"));
    job["spec"]["timeZone"] = json!(zone);
    job
}

fn with(pointer: &str, value: Value) -> Value {
    let mut job = job();
    let (parent, field) = pointer.rsplit_once('/').unwrap();
    job.pointer_mut(parent).unwrap()[field] = value;
    job
}

fn rejections(job: &Value) -> Vec<String> {
    validate(job, None)
}

fn rejections_of_update(new: &Value, old: &Value) -> Vec<String> {
    validate(new, Some(old))
}

fn validate(new: &Value, old: Option<&Value>) -> Vec<String> {
    let errors = Validator::new().validate(schema(), new, old).err();
    let mut paths: Vec<String> = errors
        .into_iter()
        .flatten()
        .map(|error| error.field_path)
        .collect();
    paths.dedup();
    paths
}

fn schema_at(pointer: &str) -> Value {
    let job_spec = "/properties/spec/properties/jobTemplate/properties/spec";
    schema()
        .pointer(&format!("{job_spec}{pointer}"))
        .unwrap()
        .clone()
}

fn schema() -> &'static Value {
    static SCHEMA: LazyLock<Value> = LazyLock::new(|| {
        let crd = serde_json::to_value(custom_resource_definition()).unwrap();
        crd.pointer("/spec/versions/0/schema/openAPIV3Schema")
            .unwrap()
            .clone()
    });
    &SCHEMA
}

#[test]
fn asks_for_nothing_that_a_job_fills_in_and_takes_quantities_as_numbers() {
    let conditions =
        "/properties/podFailurePolicy/properties/rules/items/properties/onPodConditions";
    let container = "/properties/template/properties/spec/properties/containers/items";
    let limits = format!("{container}/properties/resources/properties/limits");

    assert_eq!(schema_at(conditions)["items"]["required"], json!(["type"]));
    let quantity = &schema_at(&limits)["additionalProperties"];
    assert_eq!(quantity["x-kubernetes-int-or-string"], Value::Null);
    assert_eq!(quantity["x-kubernetes-preserve-unknown-fields"], true);
    let described = schema_at(container)["properties"]["image"]["description"].clone();
    assert!(
        described
            .as_str()
            .is_some_and(|it| it.contains("kubectl explain job.spec"))
    );
}

use kube::core::cel::Validator;
use serde_json::json;

use super::*;
use crate::api::custom_resource_definition;

const POD: &str = "/spec/jobTemplate/spec/template";

/// A place of the manifest, what stands there instead, and what is told of it.
const WRONG: &[(&str, &str, &str)] = &[
    (
        "/spec/jitterSeconds",
        "-1",
        "spec.jitterSeconds: must be at least 0",
    ),
    (
        "/spec/jitterSeconds",
        "999999",
        "spec.jitterSeconds: must be at most 86400",
    ),
    (
        "/spec/maxActiveRuns",
        "3000000000",
        "spec.maxActiveRuns: must be within -2147483648 to 2147483647",
    ),
    (
        "/spec/stuckAfterSeconds",
        "\"600\"",
        "spec.stuckAfterSeconds: must be a whole number: take the quotes away",
    ),
    (
        "/spec/stuckAfterSeconds",
        "1.5",
        "spec.stuckAfterSeconds: must be a whole number",
    ),
    (
        "/spec/suspend",
        "\"true\"",
        "spec.suspend: must be true or false: take the quotes away",
    ),
    (
        "/spec/schedule",
        "5",
        "spec.schedule: must be a text: put the value in quotes",
    ),
    (
        "/spec/concurrencyPolicy",
        "\"forbid\"",
        "spec.concurrencyPolicy: must be Allow, Forbid or Replace; did you mean Forbid?",
    ),
    ("/spec/jobTemplate", "null", "spec.jobTemplate: is missing"),
    (
        "/spec/vault",
        r#"{"role": "r", "path": "kv/app", "secrets": []}"#,
        "spec.vault.secrets: has 0 items, and needs at least 1",
    ),
    (
        "/metadata/name",
        "\"Abc\"",
        "metadata.name: must be of lower-case letters, digits and hyphens, with a letter or digit at both ends",
    ),
    (
        "/metadata/name",
        "\"a-\"",
        "metadata.name: must be of lower-case letters, digits and hyphens, with a letter or digit at both ends",
    ),
    (
        "/metadata/name",
        "null",
        "metadata.name: write a name of 1 to 52 characters, which Jobs and pods are named after",
    ),
    (
        "/metadata/name",
        "7",
        "metadata.name: must be a text: put the value in quotes",
    ),
    (
        "/metadata/labels",
        r#"{"v": 1.1}"#,
        "metadata.labels[v]: must be a text: put the value in quotes",
    ),
    (
        "/metadata/labels",
        r#"{"v": "a b"}"#,
        "metadata.labels[v]: may hold letters, digits, `-`, `_` and `.` alone, with a letter or digit at both ends",
    ),
    (
        "pod/metadata/annotations",
        r#"{"a/b/c": "x"}"#,
        "spec.jobTemplate.spec.template.metadata.annotations[a/b/c]: is not a name that it may have: 63 letters, digits, `-`, `_` and `.` at most, with a letter or digit at both ends, perhaps behind a domain and one slash",
    ),
    (
        "/metadata/finalizers",
        "\"x\"",
        "metadata.finalizers: must be a list: begin each of its items with a hyphen",
    ),
    (
        "/metadata/lables",
        "{}",
        "metadata.lables: is not a field of a PlanescapeJob: did you mean `labels`?",
    ),
    (
        "/sepc",
        "{}",
        "sepc: is not a field of a PlanescapeJob: did you mean `spec`?",
    ),
    (
        "pod/metadata/annotations",
        r#"{"vault.hashicorp.com/agent-inject": true}"#,
        "spec.jobTemplate.spec.template.metadata.annotations[vault.hashicorp.com/agent-inject]: must be a text: put the value in quotes",
    ),
    (
        "pod/metadata/labels",
        r#"{"job-name": "x"}"#,
        "spec.jobTemplate.spec.template.metadata.labels[job-name]: is set by the operator; leave it out",
    ),
    (
        "pod/metadata/labels",
        r#"{"v": "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"}"#,
        "spec.jobTemplate.spec.template.metadata.labels[v]: has 64 characters, and may have 63 at most",
    ),
    (
        "pod/spec/containers",
        "[null]",
        "spec.jobTemplate.spec.template.spec.containers[0]: must be an object with fields, and is empty: fill it in, or leave it out",
    ),
    (
        "pod/spec/containers/0/name",
        "null",
        "spec.jobTemplate.spec.template.spec.containers[0].name: is missing",
    ),
    (
        "pod/spec/containers/0/name",
        "\"My_Job\"",
        "spec.jobTemplate.spec.template.spec.containers[0].name: must be of lower-case letters, digits and hyphens, with a letter or digit at both ends",
    ),
    (
        "pod/spec/containers/0/env",
        r#"[{"name": "PORT", "value": 8200}]"#,
        "spec.jobTemplate.spec.template.spec.containers[0].env[0].value: must be a text: put the value in quotes",
    ),
    (
        "pod/spec/containers/0/command",
        "\"true\"",
        "spec.jobTemplate.spec.template.spec.containers[0].command: must be a list: begin each of its items with a hyphen",
    ),
    (
        "pod/spec/volumes",
        r#"[{"name": "a", "emptyDir": {}}, {"name": "a", "emptyDir": {}}]"#,
        "spec.jobTemplate.spec.template.spec.volumes[1].name: is that of an earlier item, too: each has its own",
    ),
];

#[test]
fn names_what_the_api_server_refuses_with_its_field_and_the_cure() {
    for (place, value, expected) in WRONG {
        let told = told(&with(place, serde_json::from_str(value).unwrap()));

        assert_eq!(told, [*expected], "{place} {value}");
    }
}

#[test]
fn takes_what_the_api_server_takes() {
    for (place, value) in [
        ("/spec/suspend", "null"),
        ("/spec/jobTemplate/spec/manualSelector", "false"),
        ("/spec/successfulJobsHistoryLimit", "null"),
        ("/spec/timeZone", "null"),
        ("/spec/maxActiveRuns", "2147483647"),
        ("/metadata/namespace", "\"\""),
        ("/metadata/labels", r#"{"v": "1.10", "w": null}"#),
        (
            "/metadata/labels",
            r#"{"app.kubernetes.io/name": "A_b.c", "empty": ""}"#,
        ),
        (
            "pod/metadata/annotations",
            r#"{"Example.com/A_b": "any text: at all"}"#,
        ),
        ("/metadata/managedFields", "[{}]"),
        ("/status", r#"{"runs": 7}"#),
        ("pod/metadata/name", "\"x\""),
        ("pod/metadata/creationTimestamp", "null"),
        ("pod/spec/restartPolicy", "null"),
        (
            "pod/spec/containers/0/resources",
            r#"{"limits": {"cpu": 0.5, "memory": "64Mi"}}"#,
        ),
        (
            "pod/spec/containers/0/livenessProbe",
            r#"{"tcpSocket": {"port": "http"}}"#,
        ),
        (
            "pod/spec/containers/0/env",
            r#"[{"name": "A", "value": "1"}, {"name": "A", "value": "2"}]"#,
        ),
        ("pod/spec/nodeSelector", r#"{"disk": "ssd"}"#),
        (
            "pod/spec/volumes",
            r#"[{"name": "a", "emptyDir": null}, {"name": "b", "emptyDir": {}}]"#,
        ),
    ] {
        let manifest = with(place, serde_json::from_str(value).unwrap());
        let read = Manifest::read(&manifest, &defaults(), now()).unwrap();

        assert_eq!(read.warnings, [""; 0], "{place}");
    }
}

/// The rules between fields are written down twice: for the API server, and here.
#[test]
fn refuses_what_the_rules_of_the_definition_refuse() {
    let definition = serde_json::to_value(custom_resource_definition()).unwrap();
    let schema = definition.pointer("/spec/versions/0/schema/openAPIV3Schema");
    let refuses = |manifest: &Value| {
        let validated = Validator::new().validate(schema.unwrap(), manifest, None);
        validated.is_err()
    };
    assert!(!refuses(&job()));

    for (place, value) in [
        ("/metadata/name", json!("a.b")),
        ("/spec/schedule", json!("@once")),
        ("/spec/schedule", json!("0\t2 * * *")),
        ("/spec/schedule", json!("@every 59s")),
        ("/spec/schedule", json!("TZ=UTC 0 2 * * *")),
        ("/spec/timeZone", json!("Local")),
        ("/spec/exclusionWindows", json!([{ "duration": "1h" }])),
        ("/spec/vault", json!({ "enabled": true, "role": "r" })),
        (
            "/spec/jobTemplate/metadata",
            json!({ "labels": { "planescape.io/run": "x" } }),
        ),
        ("/spec/jobTemplate/spec/manualSelector", json!(true)),
        ("/spec/jobTemplate/spec/selector", json!({})),
    ] {
        let manifest = with(place, value);

        assert!(refuses(&manifest), "{manifest}");
        assert!(!told(&manifest).is_empty(), "{manifest}");
    }
}

#[test]
fn names_all_that_is_wrong_and_nothing_twice() {
    let mut manifest = with("pod/spec/restartPolicy", json!("Always"));
    manifest["apiVersion"] = json!("planescape.io/v1");
    manifest["spec"]["timeZone"] = json!("Mars/Base");
    manifest["spec"]["jitterSeconds"] = json!(-1);

    let fields: Vec<String> = Manifest::read(&manifest, &defaults(), now())
        .unwrap_err()
        .into_iter()
        .map(|problem| problem.field)
        .collect();

    assert_eq!(
        fields,
        [
            "apiVersion",
            "spec.jitterSeconds",
            "spec.jobTemplate.spec.template.spec.restartPolicy",
            "spec.timeZone",
        ]
    );
}

#[test]
fn names_what_is_wrong_with_the_rest_where_fields_cannot_be_read() {
    let mut manifest = with("/spec/jobTemplate", Value::Null);
    manifest["spec"]["schedule"] = json!(5);
    manifest["spec"]["suspend"] = json!("true");
    manifest["spec"]["timeZone"] = json!("Mars/Base");
    manifest["spec"]["exclusionWindows"] = json!([{ "schedule": "@every 1h", "duration": "1h" }]);
    manifest["spec"]["vault"] = json!({ "enabled": true, "role": "r", "secrets": [
        { "name": "db", "path": "/", "secretName": "db" },
    ] });

    let mut told = told(&manifest);

    told.sort();
    let fields: Vec<&str> = told.iter().filter_map(|it| it.split(": ").next()).collect();
    assert_eq!(
        fields,
        [
            "spec.exclusionWindows[0].schedule",
            "spec.jobTemplate",
            "spec.schedule",
            "spec.suspend",
            "spec.timeZone",
            "spec.vault.secrets[0].path",
        ]
    );
}

fn told(manifest: &Value) -> Vec<String> {
    let problems = Manifest::read(manifest, &defaults(), now()).unwrap_err();
    problems.iter().map(Problem::to_string).collect()
}

/// The usual manifest with something else at one place.
fn with(place: &str, value: Value) -> Value {
    let place = place.replace("pod/", &format!("{POD}/"));
    let (parent, name) = place.rsplit_once('/').unwrap();
    let mut manifest = job();
    manifest.pointer_mut(parent).unwrap()[name] = value;
    manifest
}

fn job() -> Value {
    json!({
        "apiVersion": "planescape.io/v1alpha1",
        "kind": "PlanescapeJob",
        "metadata": { "name": "nightly" },
        "spec": {
            "schedule": "0 2 * * *",
            "timeZone": "Europe/Berlin",
            "jobTemplate": { "spec": { "template": {
                "metadata": {},
                "spec": { "containers": [{ "name": "main", "image": "busybox:1.35" }] },
            } } },
        },
    })
}

fn defaults() -> Defaults {
    Defaults {
        vault_address: Some("https://vault:8200".to_owned()),
        ..Defaults::default()
    }
}

fn now() -> Timestamp {
    "2026-10-23T12:00:00Z".parse().unwrap()
}

//! Our resource definition in a real API server.

use std::path::Path;

use planescape_tests::testbed::Cluster;
use serde_json::{Value, json};

use super::running::{Bed, once};

#[tokio::test]
async fn the_deployed_manifests_and_the_examples_are_accepted() {
    let cluster = Cluster::shared().await.unwrap();
    let bed = Bed::new(cluster, "examples").await.unwrap();
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

    for folder in ["deploy", "examples/jobs"] {
        let path = Path::new(root).join(folder).canonicalize().unwrap();
        let apply = ["apply", "--server-side", "-f", path.to_str().unwrap()];
        let applied = bed.control_plane().kubectl(&apply).await.unwrap();
        assert!(applied.contains("serverside-applied"), "{applied}");
    }
}

#[tokio::test]
async fn a_refusal_names_the_field() {
    let cluster = Cluster::shared().await.unwrap();
    let bed = Bed::new(cluster, "refusals").await.unwrap();
    let template = "/spec/jobTemplate/spec/template";
    let labels = format!("{template}/metadata");

    for (pointer, value, expected) in [
        (
            "/metadata/name".into(),
            json!("a".repeat(53)),
            "at most 52 characters",
        ),
        ("/spec/schedule".into(), json!("@reboot"), "spec.schedule"),
        (
            "/spec/schedule".into(),
            json!("@every 59s"),
            "spec.schedule",
        ),
        (
            "/spec/schedule".into(),
            json!("0 2 * * * *"),
            "spec.schedule",
        ),
        (
            "/spec/timeZone".into(),
            json!("Europe/Rome"),
            "spec.timeZone",
        ),
        (
            "/spec/startingDeadlineSeconds".into(),
            json!(-1),
            "spec.startingDeadlineSeconds",
        ),
        (
            "/spec/successfulJobsHistoryLimit".into(),
            json!(-1),
            "spec.successfulJobsHistoryLimit",
        ),
        (
            "/spec/concurrencyPolicy".into(),
            json!("Never"),
            "spec.concurrencyPolicy",
        ),
        (
            "/spec/vault".into(),
            json!({ "enabled": true }),
            "spec.vault",
        ),
        (
            labels.clone(),
            json!({ "labels": { "job-name": "x" } }),
            "template.metadata.labels",
        ),
        (
            labels,
            json!({ "labels": { "planescape.io/x": "x" } }),
            "template.metadata.labels",
        ),
        (
            "/spec/jobTemplate/spec/selector".into(),
            json!({}),
            "spec.jobTemplate.spec.selector",
        ),
        (
            "/spec/jobTemplate/spec/manualSelector".into(),
            json!(true),
            "spec.manualSelector",
        ),
        (
            format!("{template}/spec/restartPolicy"),
            json!("Always"),
            "template.spec.restartPolicy",
        ),
    ] {
        let refused = bed.apply(&with(&pointer, value)).await.unwrap_err();

        assert!(
            refused.to_string().contains(expected),
            "{pointer}: {refused}"
        );
    }
}

#[tokio::test]
async fn a_job_does_not_change_its_kind() {
    let cluster = Cluster::shared().await.unwrap();
    let bed = Bed::new(cluster, "kinds").await.unwrap();
    bed.apply(&once("my-job")).await.unwrap();

    let mut hourly = once("my-job");
    hourly["spec"]["schedule"] = json!("@hourly");
    let refused = bed.apply(&hourly).await.unwrap_err();

    assert!(refused.to_string().contains("spec.schedule"), "{refused}");
}

#[tokio::test]
async fn nothing_a_user_writes_is_dropped() {
    let cluster = Cluster::shared().await.unwrap();
    let bed = Bed::new(cluster, "fields").await.unwrap();
    let mut job = once("my-job");
    let template = &mut job["spec"]["jobTemplate"]["spec"]["template"];
    template["metadata"] = json!({ "annotations": { "a": "b" }, "labels": { "c": "d" } });
    template["spec"]["aFieldOfTomorrow"] = json!({ "deep": [1] });
    template["spec"]["containers"][0]["another"] = json!(true);
    template["spec"]["containers"][0]["resources"] = json!({ "limits": { "memory": "64Mi" } });

    bed.apply(&job).await.unwrap();
    let kept = bed.get("planescapejob/my-job").await.unwrap();

    assert_eq!(kept["spec"]["jobTemplate"], job["spec"]["jobTemplate"]);
}

fn with(pointer: &str, value: Value) -> Value {
    let mut job = once("my-job");
    let (parent, field) = pointer.rsplit_once('/').expect("a pointer has a slash");
    job.pointer_mut(parent).expect("the parent exists")[field] = value;
    job
}

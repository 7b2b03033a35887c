//! The operator's account may do nothing to Jobs and pods that are not its own.

use std::time::Duration;

use planescape_tests::testbed::Cluster;
use serde_json::{Value, json};

use super::running::{Bed, name, once};

const ACCOUNT: &str = "--as=system:serviceaccount:planescape-system:planescape-operator";

const MANIFESTS: [&str; 2] = [
    concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/20-access.yaml"),
    concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/25-policy.yaml"),
];

#[tokio::test]
async fn the_operator_is_held_to_its_own_jobs_and_pods() {
    let cluster = Cluster::shared().await.unwrap();
    let bed = Bed::with_operator(cluster, "guard").await.unwrap();
    for manifest in MANIFESTS {
        let apply = ["apply", "--server-side", "-f", manifest];
        bed.control_plane().kubectl(&apply).await.unwrap();
    }
    bed.apply(&once("mine")).await.unwrap();
    let own_pod = bed.pod("mine").await.unwrap();
    let own_job = bed.list("jobs", "planescape.io/job=mine").await.unwrap();
    let own_job = name(&own_job[0]);
    bed.apply(&somebody_elses("other")).await.unwrap();
    let pod = json!({ "apiVersion": "v1", "kind": "Pod", "metadata": {
        "name": "other", "labels": { "planescape.io/job": "mine", "job-name": "mine" },
    }, "spec": containers() });
    bed.apply(&pod).await.unwrap();
    // kubectl reads what it patches; the operator does not.
    let read = ["create", "role", "read", "--verb=get", "--resource=pods"];
    bed.kubectl(&read).await.unwrap();
    let account = "--serviceaccount=planescape-system:planescape-operator";
    let bind = ["create", "rolebinding", "read", "--role=read", account];
    bed.kubectl(&bind).await.unwrap();
    until_enforced(&bed).await;

    for (arguments, words) in [
        (
            &["patch", "job", "other", "--type=merge", "-p", LABEL][..],
            "changes only Jobs",
        ),
        (&["delete", "job", "other"], "deletes only Jobs"),
        (
            &["patch", "pod", "other", "--type=merge", "-p", JOB_NAME],
            "changes only pods of its own Jobs",
        ),
        (
            &["patch", "pod", &own_pod, "--type=merge", "-p", LABEL],
            "no more of a pod than its label job-name",
        ),
        (
            &["patch", "pod", &own_pod, "--type=merge", "-p", IMAGE],
            "no more of a pod than its label job-name",
        ),
        (
            &["patch", "pod", &own_pod, "--type=merge", "-p", ANNOTATION],
            "no more of a pod than its label job-name",
        ),
    ] {
        let refused = as_operator(&bed, arguments).await.unwrap_err();
        assert!(refused.contains(words), "{arguments:?}: {refused}");
    }
    for arguments in [
        &["patch", "pod", &own_pod, "--type=merge", "-p", JOB_NAME][..],
        &["patch", "job", own_job, "--type=merge", "-p", ANNOTATION],
        &["delete", "job", own_job, "--wait=false"],
    ] {
        as_operator(&bed, arguments).await.unwrap();
    }
}

const LABEL: &str = r#"{"metadata":{"labels":{"app":"web"}}}"#;
const JOB_NAME: &str = r#"{"metadata":{"labels":{"job-name":"another"}}}"#;
const ANNOTATION: &str = r#"{"metadata":{"annotations":{"a":"b"}}}"#;
const IMAGE: &str = r#"{"spec":{"activeDeadlineSeconds":5}}"#;

/// The API server takes a policy up some moments after it is written.
async fn until_enforced(bed: &Bed<'_>) {
    let manifest = somebody_elses("refused").to_string();
    let mut answer = String::new();
    for _ in 0..100 {
        let control_plane = bed.control_plane();
        let arguments = [
            "-n",
            &bed.namespace,
            ACCOUNT,
            "create",
            "--dry-run=server",
            "-f",
            "-",
        ];
        match control_plane
            .kubectl_with_input(&arguments, &manifest)
            .await
        {
            Err(error) if error.to_string().contains("creates only Jobs") => return,
            answered => answer = format!("{answered:?}"),
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("the policy is not enforced: {answer}");
}

async fn as_operator(bed: &Bed<'_>, arguments: &[&str]) -> Result<String, String> {
    let arguments = [&[ACCOUNT], arguments].concat();
    let done = bed.kubectl(&arguments).await;
    done.map_err(|error| error.to_string())
}

fn somebody_elses(name: &str) -> Value {
    json!({ "apiVersion": "batch/v1", "kind": "Job", "metadata": {
        "name": name,
    }, "spec": { "suspend": true, "template": { "spec": containers() } } })
}

fn containers() -> Value {
    json!({
        "restartPolicy": "Never",
        "containers": [{ "name": "main", "image": "busybox:1.35" }],
    })
}

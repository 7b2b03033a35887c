//! The manifests allow the operator the calls that it makes, and no others.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use nix::sys::signal::Signal;
use planescape_tests::deployment::MANIFESTS;
use planescape_tests::process::Server;
use planescape_tests::programs::Program;
use planescape_tests::testbed::{Cluster, NAMESPACE};
use serde_json::{Value, json};

use super::leading::until_printed;
use super::running::{Bed, once};

const ACCOUNT: &str = "planescape-operator";

/// Calls that are made only after a conflict or by a standby, and calls that admission makes on the operator's
/// behalf.
const RARELY: [&str; 6] = [
    "get jobs",
    "get leases",
    "get pods",
    "patch pods",
    "update planescapejobs/finalizers",
    "watch leases",
];

#[tokio::test]
async fn the_manifests_allow_what_the_operator_asks_for_and_no_more() {
    let cluster = Cluster::start().await.unwrap();
    for (manifest, kind) in [
        ("20-access.yaml", "clusterrole"),
        ("one-namespace/20-access.yaml", "role"),
    ] {
        let bed = Bed::new(&cluster, "access").await.unwrap();
        let is_for_all = kind == "clusterrole";
        allow(&bed, manifest).await.unwrap();
        let operator = start(&bed, is_for_all).await.unwrap();
        until_printed(&operator, "leads").await.unwrap();

        go_through_a_run(&bed).await.unwrap();
        operator.signal(Signal::SIGTERM).unwrap();
        until_printed(&operator, "released the lease")
            .await
            .unwrap();

        let user = format!("system:serviceaccount:{NAMESPACE}:{ACCOUNT}");
        let mut calls = bed.control_plane().calls().unwrap();
        calls.retain(|call| call.user.username == user && call.is_operators());
        let refused: Vec<_> = calls.iter().filter(|it| it.answer.code == 403).collect();
        assert!(refused.is_empty(), "{manifest}: {refused:?}");
        let asked: BTreeSet<String> = calls
            .iter()
            .map(|call| call.kind().replace(" (dry run)", ""))
            .collect();
        let allowed = allowed(&bed, kind).await.unwrap();
        let superfluous: Vec<&String> = allowed
            .difference(&asked)
            .filter(|kind| !RARELY.contains(&kind.as_str()))
            .collect();
        assert!(superfluous.is_empty(), "{manifest}: {superfluous:?}");
        drop(operator);
        let delete = [
            "delete",
            "clusterrolebinding",
            ACCOUNT,
            "--ignore-not-found",
        ];
        bed.control_plane().kubectl(&delete).await.unwrap();
    }
}

/// The manifest, for the namespace of the test.
async fn allow(bed: &Bed<'_>, manifest: &str) -> Result<()> {
    let text = fs::read_to_string(Path::new(MANIFESTS).join(manifest))?;
    let text = text
        .replace("namespace: team", &format!("namespace: {}", bed.namespace))
        .replace("operator-team", &format!("operator-{}", bed.namespace));
    bed.control_plane().apply(&text).await?;
    Ok(())
}

async fn start(bed: &Bed<'_>, is_for_all: bool) -> Result<Server> {
    let account = bed
        .control_plane()
        .kubeconfig_of_account(NAMESPACE, ACCOUNT);
    let mut command = Command::new(Program::Operator.build()?);
    command
        .args(["operator", "--listen", "127.0.0.1:0"])
        .env("KUBECONFIG", account.await?);
    if !is_for_all {
        command.args(["--namespace", &bed.namespace]);
    }
    let name = format!("operator-{}", bed.namespace);
    Server::start(&name, &command, bed.cluster.run.path())
}

/// Follows a run from its beginning to the deletion of its Job, which history does not keep.
async fn go_through_a_run(bed: &Bed<'_>) -> Result<()> {
    let mut job = once("my-job");
    job["spec"]["successfulJobsHistoryLimit"] = json!(0);
    bed.apply(&job).await?;
    let mut nightly = once("nightly");
    nightly["spec"]["schedule"] = json!("@yearly");
    bed.apply(&nightly).await?;
    let pod = format!("pod/{}", bed.pod("my-job").await?);
    let succeeded = json!({ "phase": "Succeeded" });
    bed.patch_status(&pod, &succeeded).await?;
    let has_ended = |job: &Value| job["status"]["lastResult"] == "Succeeded";
    let limit = Duration::from_secs(20);
    bed.until("pjob/my-job", limit, has_ended).await?;
    let started = Instant::now();
    let own = "planescape.io/job=my-job";
    while !bed.list("jobs", own).await?.is_empty() {
        ensure!(started.elapsed() < limit, "the Job is not deleted");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Ok(())
}

/// `verb resource` of everything that the roles allow.
async fn allowed(bed: &Bed<'_>, kind: &str) -> Result<BTreeSet<String>> {
    let control_plane = bed.control_plane();
    let lease_role = match kind {
        "clusterrole" => ACCOUNT.to_owned(),
        _ => format!("{ACCOUNT}-{}", bed.namespace),
    };
    let get = |namespace: &str, kind: &str, name: &str| {
        ["-n", namespace, "get", kind, name, "-o", "json"].map(str::to_owned)
    };
    let mut allowed = BTreeSet::new();
    for arguments in [
        get(&bed.namespace, kind, ACCOUNT),
        get(NAMESPACE, "role", &lease_role),
    ] {
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let role: Value = serde_json::from_str(&control_plane.kubectl(&arguments).await?)?;
        for rule in role["rules"].as_array().into_iter().flatten() {
            let texts = |field: &str| rule[field].as_array().cloned().unwrap_or_default();
            for resource in texts("resources") {
                let resource = resource.as_str().unwrap_or_default();
                let verbs = texts("verbs");
                let verbs = verbs.iter().filter_map(Value::as_str);
                allowed.extend(verbs.map(|verb| format!("{verb} {resource}")));
            }
        }
    }
    Ok(allowed)
}

//! Writes that the cluster refuses, holds up or has made already: each is told with what to do, happens once when it
//! may, and troubles nobody else.

use std::net::TcpListener;
use std::time::Duration;

use anyhow::{Result, ensure};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use jiff::{SignedDuration, Timestamp};
use kube::Api;
use kube::api::PostParams;
use planescape_operator_core::api::PlanescapeJob;
use planescape_tests::testbed::Cluster;
use serde_json::{Value, json};

use super::running::{Bed, condition, name, once};

const SOON: Duration = Duration::from_secs(20);

/// A run that was refused is tried again after at most a minute.
const AGAIN: Duration = Duration::from_secs(75);

/// How many objects are made at once.
const WRITERS: usize = 32;

#[tokio::test]
async fn a_quota_that_is_freed_lets_the_run_start_once() {
    let cluster = Cluster::shared().await.unwrap();
    let bed = Bed::with_operator(cluster, "freed").await.unwrap();
    let create = ["create", "quota", "none", "--hard=count/jobs.batch=0"];
    bed.kubectl(&create).await.unwrap();
    let is_known = |quota: &Value| quota["status"]["hard"]["count/jobs.batch"] == "0";
    bed.until("quota/none", SOON, is_known).await.unwrap();
    bed.apply(&once("my-job")).await.unwrap();

    told(&bed, "my-job", "exceeded quota").await.unwrap();

    let patch = r#"{"spec":{"hard":{"count/jobs.batch":"9"}}}"#;
    bed.kubectl(&["patch", "quota", "none", "-p", patch])
        .await
        .unwrap();
    starts_once(&bed, "my-job").await.unwrap();
}

#[tokio::test]
async fn a_policy_that_refuses_is_named_and_others_start() {
    // Its policy would be everybody's.
    let cluster = Cluster::start().await.unwrap();
    let bed = Bed::with_operator(&cluster, "policy").await.unwrap();
    enforce(&bed, "no-team", ("red", "CREATE")).await.unwrap();
    bed.apply(&of_a_team("my-job")).await.unwrap();
    bed.apply(&once("good")).await.unwrap();

    bed.pod("good").await.unwrap();
    told(&bed, "my-job", "teams write their name in capitals")
        .await
        .unwrap();
    // A policy may think better of it.
    let job = bed.get("pjob/my-job").await.unwrap();
    assert_eq!(condition(&job, "Stalled"), ("", "", ""));

    let delete = ["delete", "validatingadmissionpolicybinding", "no-team"];
    bed.kubectl(&delete).await.unwrap();
    starts_once(&bed, "my-job").await.unwrap();
}

#[tokio::test]
async fn a_webhook_that_does_not_answer_holds_up_no_other_job() {
    let cluster = Cluster::start().await.unwrap();
    let mut bed = Bed::new(&cluster, "slow").await.unwrap();
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    bed.apply(&json!({
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingWebhookConfiguration",
        "metadata": { "name": "silent" },
        "webhooks": [{
            "name": "silent.example.com",
            "rules": [{ "apiGroups": ["batch"], "apiVersions": ["v1"], "resources": ["jobs"],
                "operations": ["CREATE"] }],
            "objectSelector": { "matchLabels": { "team": "red" } },
            "clientConfig": { "url": format!("https://{}/", silent.local_addr().unwrap()) },
            "sideEffects": "None", "admissionReviewVersions": ["v1"], "timeoutSeconds": 3,
        }],
    }))
    .await
    .unwrap();
    tokio::time::sleep(Duration::from_secs(2)).await;
    bed.start_operator().unwrap();
    // More of them than may be created at once.
    let names: Vec<String> = (0..40).map(|number| format!("held-{number}")).collect();
    let held: Vec<Value> = names.iter().map(|name| of_a_team(name)).collect();
    let list = json!({ "apiVersion": "v1", "kind": "List", "items": held });
    bed.apply(&list).await.unwrap();
    bed.apply(&once("good")).await.unwrap();

    bed.pod("good").await.unwrap();
    told(&bed, "held-0", "silent.example.com").await.unwrap();

    let delete = ["delete", "validatingwebhookconfiguration", "silent"];
    bed.kubectl(&delete).await.unwrap();
    for name in [&names[0], &names[39]] {
        starts_once(&bed, name).await.unwrap();
    }
}

#[tokio::test]
async fn pods_that_pod_security_refuses_are_told() {
    let cluster = Cluster::shared().await.unwrap();
    let bed = Bed::with_operator(cluster, "security").await.unwrap();
    let enforce = "pod-security.kubernetes.io/enforce=restricted";
    let namespace = bed.namespace.clone();
    bed.kubectl(&["label", "namespace", &namespace, enforce])
        .await
        .unwrap();
    bed.apply(&once("my-job")).await.unwrap();

    let is_told = |job: &Value| condition(job, "Ready").1 == "NoPods";
    let job = bed.until("pjob/my-job", SOON, is_told).await.unwrap();

    let run = job["status"]["runs"][0]["job"].as_str().unwrap();
    let describe = ["describe", "job", run];
    assert!(condition(&job, "Ready").2.contains(&describe.join(" ")));
    let described = bed.kubectl(&describe).await.unwrap();
    assert!(described.contains("violates PodSecurity"), "{described}");
    assert_eq!(bed.list("jobs", "job-name=my-job").await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_job_of_somebody_else_by_that_name_is_left_alone() {
    let cluster = Cluster::shared().await.unwrap();
    let mut bed = Bed::new(cluster, "taken").await.unwrap();
    let minute = Timestamp::now().as_second() / 60;
    // A CronJob of the same name makes Jobs of the same names.
    let cron_job = json!({
        "apiVersion": "batch/v1", "kind": "CronJob", "metadata": { "name": "my-job" },
        "spec": { "schedule": "0 0 31 12 *", "jobTemplate": { "spec": somebodys()["spec"] } },
    });
    bed.apply(&cron_job).await.unwrap();
    let uid = bed.get("cronjob/my-job").await.unwrap()["metadata"]["uid"].clone();
    for minute in [minute, minute + 1] {
        let mut job = somebodys();
        job["metadata"]["name"] = json!(format!("my-job-{minute}"));
        job["metadata"]["ownerReferences"] = json!([{ "apiVersion": "batch/v1", "kind": "CronJob",
            "name": "my-job", "uid": uid, "controller": true }]);
        bed.apply(&job).await.unwrap();
    }
    let mut job = once("my-job");
    job["spec"]["schedule"] = json!("* * * * *");
    bed.apply(&job).await.unwrap();
    // As if it had run until two minutes ago: the first run is due at once.
    let ago = Timestamp::now() - SignedDuration::from_mins(2);
    let schedule = json!({ "schedule": "* * * * * UTC", "since": ago.to_string() });
    let status = json!({ "scheduleReference": schedule });
    bed.patch_status("pjob/my-job", &status).await.unwrap();
    bed.start_operator().unwrap();
    bed.apply(&once("good")).await.unwrap();

    bed.pod("good").await.unwrap();
    let is_skipped = |job: &Value| job["status"]["skipped"]["conflict"].as_i64() >= Some(1);
    let told = bed.until("pjob/my-job", SOON, is_skipped).await.unwrap();

    let events = bed.events("my-job").await.unwrap();
    let note = events.iter().find(|(reason, _)| reason == "NameConflict");
    let (_, note) = note.unwrap_or_else(|| panic!("{events:?}"));
    assert!(
        note.contains("such as a CronJob of the same name"),
        "{note}"
    );
    assert!(told["status"]["lastScheduleTime"].is_string(), "{told}");
    let conditions = told["status"]["conditions"].as_array().unwrap();
    let ready = conditions.iter().find(|it| it["type"] == "Ready").unwrap();
    assert_eq!(ready["reason"], "NameConflict", "{ready}");
    let message = ready["message"].as_str().unwrap();
    assert!(events.iter().any(|(_, note)| note == message), "{events:?}");
    let theirs = bed.get(&format!("job/my-job-{minute}")).await.unwrap();
    assert_eq!(theirs["metadata"]["ownerReferences"][0]["kind"], "CronJob");
    assert!(theirs["metadata"]["finalizers"].is_null(), "{theirs}");
    assert_eq!(bed.list("jobs", "job-name=my-job").await.unwrap().len(), 0);
}

#[tokio::test]
async fn a_namespace_that_is_deleted_is_not_held() {
    let cluster = Cluster::shared().await.unwrap();
    let bed = Bed::with_operator(cluster, "going").await.unwrap();
    for number in 0..5 {
        bed.apply(&once(&format!("job-{number}"))).await.unwrap();
    }
    bed.pod("job-4").await.unwrap();

    let namespace = bed.namespace.clone();
    let delete = ["delete", "namespace", &namespace, "--timeout=60s"];
    bed.control_plane().kubectl(&delete).await.unwrap();

    let log = bed.operator_log();
    assert!(!log.contains("panicked"), "{log}");
}

#[tokio::test]
async fn ten_thousand_that_cannot_run_leave_one_that_can_alone() {
    const COUNT: usize = 10_000;
    let cluster = Cluster::start().await.unwrap();
    let mut bed = Bed::new(&cluster, "many").await.unwrap();
    make_invalid_ones(&bed, COUNT).await.unwrap();
    bed.start_operator().unwrap();

    bed.apply(&once("good")).await.unwrap();
    bed.pod("good").await.unwrap();
    let is_told = |job: &Value| condition(job, "Ready").0 == "False";
    for number in [0, COUNT / 2, COUNT - 1] {
        let object = format!("pjob/bad-{number}");
        let limit = Duration::from_secs(120);
        let job = bed.until(&object, limit, is_told).await.unwrap();
        let (_, _, message) = condition(&job, "Ready");
        assert!(message.contains("never fires"), "{message}");
    }
    // Each is told once, and then left alone.
    let writes = until_quiet(&bed).await.unwrap();
    assert!(writes > COUNT, "{writes} writes");
    assert!(writes <= 2 * (COUNT + 1), "{writes} writes");
    let most = bed.operator_memory().unwrap().most;
    assert!(most < 160 << 10, "{most} KiB");
}

/// One after the other, as kubectl creates them, they would take minutes.
async fn make_invalid_ones(bed: &Bed<'_>, count: usize) -> Result<()> {
    let client = bed.control_plane().client().await?;
    let jobs: Api<PlanescapeJob> = Api::namespaced(client, &bed.namespace);
    let create = |number: usize| {
        let jobs = jobs.clone();
        async move {
            let mut job = once(&format!("bad-{number}"));
            job["spec"]["schedule"] = json!("0 0 30 2 *");
            let job: PlanescapeJob = serde_json::from_value(job)?;
            jobs.create(&PostParams::default(), &job).await?;
            anyhow::Ok(())
        }
    };
    stream::iter((0..count).map(create))
        .buffer_unordered(WRITERS)
        .try_collect()
        .await
}

#[tokio::test]
async fn a_run_costs_four_writes() {
    let cluster = Cluster::start().await.unwrap();
    let bed = Bed::with_operator(&cluster, "writes").await.unwrap();
    let mut job = once("my-job");
    job["spec"]["schedule"] = json!("* * * * *");
    // It ends by its deadline, without a pod.
    job["spec"]["jobTemplate"]["spec"]["parallelism"] = json!(0);
    job["spec"]["jobTemplate"]["spec"]["activeDeadlineSeconds"] = json!(3);
    bed.apply(&job).await.unwrap();

    let has_ended = |job: &Value| job["status"]["runs"][0]["outcome"] == "Failed";
    let limit = Duration::from_secs(90);
    let job = bed.until("pjob/my-job", limit, has_ended).await.unwrap();
    // The finalizer may go a moment later.
    tokio::time::sleep(Duration::from_secs(2)).await;

    let tick: Timestamp = job["status"]["lastScheduleTime"]
        .as_str()
        .unwrap()
        .parse()
        .unwrap();
    let finish = job["status"]["runs"][0]["finishTime"].as_str().unwrap();
    let finish: Timestamp = finish.parse().unwrap();
    let calls = bed.control_plane().calls().unwrap();
    let of_run = calls.iter().filter(|call| {
        let is_write = call.is_operators() && call.is_write() && !call.is_dry();
        let is_event = call.object.resource == "events";
        let until = finish + SignedDuration::from_secs(2);
        is_write && !is_event && call.at >= tick && call.at <= until
    });
    let mut kinds: Vec<String> = of_run.map(|call| call.kind()).collect();
    kinds.sort_unstable();
    let expected = [
        "create jobs",
        "patch jobs",
        "update planescapejobs/status",
        "update planescapejobs/status",
    ];
    assert_eq!(kinds, expected);
}

/// Waits until a job says that its run is refused, with these words, in its condition and in an event.
async fn told(bed: &Bed<'_>, job: &str, words: &str) -> Result<()> {
    let is_told = |job: &Value| condition(job, "Ready").1 == "FailedCreate";
    let object = bed.until(&format!("pjob/{job}"), SOON, is_told).await?;
    let (status, _, message) = condition(&object, "Ready");
    ensure!(status == "False" && message.contains(words), "{message}");
    let events = bed.events(job).await?;
    let is_told =
        |(reason, note): &(String, String)| reason == "FailedCreate" && note.contains(words);
    ensure!(events.iter().any(is_told), "{events:?}");
    Ok(())
}

/// Waits for the one run of a job that was refused before.
async fn starts_once(bed: &Bed<'_>, job: &str) -> Result<()> {
    let is_started = |job: &Value| job["status"]["lastScheduleTime"].is_string();
    let object = format!("pjob/{job}");
    bed.until(&object, AGAIN, is_started).await?;
    let selector = format!("job-name={job}");
    let jobs = bed.list("jobs", &selector).await?;
    let names: Vec<&str> = jobs.iter().map(name).collect();
    ensure!(names.len() == 1, "{names:?}");
    Ok(())
}

/// Waits until the operator writes nothing for some seconds; returns how often it has written, events aside.
async fn until_quiet(bed: &Bed<'_>) -> Result<usize> {
    let mut before = 0;
    loop {
        tokio::time::sleep(Duration::from_secs(4)).await;
        let calls = bed.control_plane().calls()?;
        let writes = calls.iter().filter(|call| {
            let is_other = matches!(&*call.object.resource, "leases" | "events");
            call.is_operators() && call.is_write() && !call.is_dry() && !is_other
        });
        let writes = writes.count();
        if writes == before {
            return Ok(writes);
        }
        before = writes;
    }
}

#[tokio::test]
async fn history_that_may_not_be_deleted_is_told_and_goes_when_it_may() {
    let cluster = Cluster::start().await.unwrap();
    let bed = Bed::with_operator(&cluster, "history").await.unwrap();
    enforce(&bed, "no-delete", ("red", "DELETE")).await.unwrap();
    let mut job = of_a_team("my-job");
    // It ends by its deadline, without a pod.
    job["spec"]["failedJobsHistoryLimit"] = json!(0);
    job["spec"]["jobTemplate"]["spec"]["parallelism"] = json!(0);
    job["spec"]["jobTemplate"]["spec"]["activeDeadlineSeconds"] = json!(1);
    bed.apply(&job).await.unwrap();
    let has_ended = |job: &Value| job["status"]["runs"][0]["outcome"] == "Failed";
    bed.until("pjob/my-job", SOON, has_ended).await.unwrap();
    tokio::time::sleep(Duration::from_secs(3)).await;

    let events = bed.events("my-job").await.unwrap();
    let told: Vec<_> = events
        .iter()
        .filter(|(it, _)| it == "FailedDelete")
        .collect();
    assert_eq!(told.len(), 1, "{events:?}");
    assert!(
        told[0].1.contains("teams write their name in capitals"),
        "{told:?}"
    );

    let delete = ["delete", "validatingadmissionpolicybinding", "no-delete"];
    bed.kubectl(&delete).await.unwrap();
    let started = std::time::Instant::now();
    while !bed
        .list("jobs", "job-name=my-job")
        .await
        .unwrap()
        .is_empty()
    {
        assert!(started.elapsed() < AGAIN, "it is still there");
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

fn of_a_team(name: &str) -> Value {
    let mut job = once(name);
    job["spec"]["jobTemplate"]["metadata"] = json!({ "labels": { "team": "red" } });
    job
}

/// A policy that refuses to do something to the Jobs of a team.
async fn enforce(bed: &Bed<'_>, name: &str, (team, operation): (&str, &str)) -> Result<()> {
    bed.apply(&json!({
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingAdmissionPolicy",
        "metadata": { "name": name },
        "spec": {
            "failurePolicy": "Fail",
            "matchConstraints": {
                "objectSelector": { "matchLabels": { "team": team } },
                "resourceRules": [{ "apiGroups": ["batch"], "apiVersions": ["v1"],
                    "operations": [operation], "resources": ["jobs"] }],
            },
            "validations": [{ "expression": "false", "message": "teams write their name in capitals" }],
        },
    }))
    .await?;
    bed.apply(&json!({
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingAdmissionPolicyBinding",
        "metadata": { "name": name },
        "spec": { "policyName": name, "validationActions": ["Deny"] },
    }))
    .await?;
    // The API server takes up a policy a moment later.
    tokio::time::sleep(Duration::from_secs(3)).await;
    Ok(())
}

/// A Job that is none of ours.
fn somebodys() -> Value {
    json!({
        "apiVersion": "batch/v1", "kind": "Job", "metadata": {},
        "spec": { "suspend": true, "template": { "spec": {
            "restartPolicy": "Never",
            "containers": [{ "name": "main", "image": "busybox:1.35" }],
        } } },
    })
}

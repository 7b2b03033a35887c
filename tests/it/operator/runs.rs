//! From a PlanescapeJob to its Jobs, and back to its status.

use std::time::{Duration, Instant};

use planescape_tests::testbed::Cluster;
use serde_json::{Value, json};

use super::running::{Bed, condition, name, once};

const SOON: Duration = Duration::from_secs(10);

#[tokio::test]
async fn a_one_time_job_starts_within_a_second() {
    let cluster = Cluster::shared().await.unwrap();
    let bed = Bed::with_operator(cluster, "latency").await.unwrap();
    bed.apply(&once("first")).await.unwrap();
    bed.pod("first").await.unwrap();

    let mut slowest = Duration::ZERO;
    for number in 0..20 {
        let job = format!("job-{number}");
        bed.apply(&once(&job)).await.unwrap();
        let created = Instant::now();
        let selector = format!("job-name={job}");
        while bed.list("jobs", &selector).await.unwrap().is_empty() {}
        slowest = slowest.max(created.elapsed());
    }

    assert!(slowest < Duration::from_secs(1), "{slowest:?}");
}

#[tokio::test]
async fn kubectl_waits_for_the_end_of_a_one_time_job() {
    let cluster = Cluster::shared().await.unwrap();
    let bed = Bed::with_operator(cluster, "complete").await.unwrap();
    bed.apply(&once("my-job")).await.unwrap();
    let pod = bed.pod("my-job").await.unwrap();

    bed.patch_status(&format!("pod/{pod}"), &json!({ "phase": "Succeeded" }))
        .await
        .unwrap();

    let wait = [
        "wait",
        "--for=condition=Complete",
        "planescapejob/my-job",
        "--timeout=20s",
    ];
    bed.kubectl(&wait).await.unwrap();
    let job = bed.get("pjob/my-job").await.unwrap();
    assert_eq!(job["status"]["lastResult"], "Succeeded");
    assert_eq!(job["status"]["activeCount"], 0);
    let reasons: Vec<String> = bed
        .events("my-job")
        .await
        .unwrap()
        .into_iter()
        .map(|(reason, _)| reason)
        .collect();
    assert!(reasons.contains(&"SuccessfulCreate".into()), "{reasons:?}");
    assert!(reasons.contains(&"SawCompletedJob".into()), "{reasons:?}");
    let jobs = bed.list("jobs", "job-name=my-job").await.unwrap();
    assert_eq!(jobs[0]["metadata"]["finalizers"], json!(null));
}

#[tokio::test]
async fn a_one_time_job_never_starts_again() {
    let cluster = Cluster::shared().await.unwrap();
    let mut bed = Bed::with_operator(cluster, "once").await.unwrap();
    bed.apply(&once("my-job")).await.unwrap();
    bed.pod("my-job").await.unwrap();
    let is_marked =
        |job: &Value| job["metadata"]["annotations"]["planescape.io/once-started"].is_string();
    bed.until("pjob/my-job", SOON, is_marked).await.unwrap();

    bed.kubectl(&["delete", "jobs", "--all"]).await.unwrap();
    bed.patch_status("pjob/my-job", &json!(null)).await.unwrap();
    bed.kill_operator();
    bed.start_operator().unwrap();
    let seen = |job: &Value| condition(job, "Ready").0 == "True";
    bed.until("pjob/my-job", SOON, seen).await.unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;

    assert_eq!(bed.list("jobs", "job-name=my-job").await.unwrap().len(), 0);
}

#[tokio::test]
async fn a_run_by_hand_has_its_own_arguments_and_happens_once() {
    let cluster = Cluster::shared().await.unwrap();
    let mut bed = Bed::with_operator(cluster, "by-hand").await.unwrap();
    let mut job = once("my-job");
    job["spec"]["schedule"] = json!("@yearly");
    job["spec"]["suspend"] = json!(true);
    bed.apply(&job).await.unwrap();
    let is_seen = |job: &Value| job["status"]["scheduleReference"].is_object();
    bed.until("pjob/my-job", SOON, is_seen).await.unwrap();

    let printed = bed
        .planescape(&[
            "run",
            "my-job",
            "--args",
            "up",
            "--args",
            "1",
            "--env",
            "LEVEL=debug",
        ])
        .unwrap();
    let has_run = |job: &Value| job["status"]["reruns"].is_array();
    let job = bed.until("pjob/my-job", SOON, has_run).await.unwrap();

    let name = printed.trim();
    assert_eq!(job["status"]["runs"][0]["job"], name);
    assert_eq!(job["status"]["lastScheduleTime"], json!(null));
    let jobs = bed.list("jobs", "job-name=my-job").await.unwrap();
    let main = &jobs[0]["spec"]["template"]["spec"]["containers"][0];
    assert_eq!(main["args"], json!(["up", "1"]));
    assert_eq!(main["env"], json!([{ "name": "LEVEL", "value": "debug" }]));

    bed.kubectl(&["delete", "jobs", "--all"]).await.unwrap();
    bed.kill_operator();
    bed.start_operator().unwrap();
    let is_over = |job: &Value| job["status"]["runs"][0]["outcome"] == "Deleted";
    bed.until("pjob/my-job", SOON, is_over).await.unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(bed.list("jobs", "job-name=my-job").await.unwrap().len(), 0);
    let error = bed.planescape(&["run", "other"]).unwrap_err().to_string();
    assert!(error.contains("there is no PlanescapeJob other"), "{error}");
}

#[tokio::test]
async fn labels_find_the_history_and_the_latest_run() {
    let cluster = Cluster::shared().await.unwrap();
    let mut bed = Bed::new(cluster, "labels").await.unwrap();
    let mut job = once("my-job");
    job["spec"]["schedule"] = json!("* * * * *");
    job["spec"]["concurrencyPolicy"] = json!("Allow");
    bed.apply(&job).await.unwrap();
    // As if it had run until two minutes ago: the first run is due at once.
    let ago = jiff::Timestamp::now() - jiff::SignedDuration::from_mins(2);
    let schedule = json!({ "schedule": "* * * * * UTC", "since": ago.to_string() });
    bed.patch_status("pjob/my-job", &json!({ "scheduleReference": schedule }))
        .await
        .unwrap();
    bed.start_operator().unwrap();
    let first = bed.pod("my-job").await.unwrap();

    let minute = Duration::from_secs(61);
    let has_two = |job: &Value| job["status"]["activeCount"] == 2;
    let job = bed.until("pjob/my-job", minute, has_two).await.unwrap();

    let late = jiff::Timestamp::now().as_second() % 60;
    assert!(late <= 1, "{late} s after the minute");
    let jobs = bed.list("jobs", "job-name=my-job").await.unwrap();
    assert_eq!(jobs.len(), 2);
    tokio::time::sleep(Duration::from_secs(2)).await;
    let newest = bed.list("pods", "job-name=my-job").await.unwrap();
    let run = job["status"]["runs"][0]["job"].as_str().unwrap();
    assert_eq!(newest.len(), 1);
    assert!(name(&newest[0]).starts_with(run), "{}", name(&newest[0]));
    let older = job["status"]["runs"][1]["job"].as_str().unwrap();
    let older = bed
        .list("pods", &format!("job-name={older}"))
        .await
        .unwrap();
    assert_eq!(name(&older[0]), first);
}

#[tokio::test]
async fn an_annotation_that_nobody_reads_is_told_also_when_it_comes_later() {
    let cluster = Cluster::shared().await.unwrap();
    let bed = Bed::with_operator(cluster, "misspelt").await.unwrap();
    let mut job = once("my-job");
    let pod = &mut job["spec"]["jobTemplate"]["spec"]["template"];
    pod["metadata"] = json!({ "annotations": { "planescape.io/leas-guard": "5m" } });
    bed.apply(&job).await.unwrap();
    let tells = |words: &'static str| {
        move |job: &Value| {
            let (status, reason, message) = condition(job, "TemplateValid");
            (status, reason) == ("True", "UnknownAnnotation") && message.contains(words)
        }
    };

    bed.pod("my-job").await.unwrap();
    let nearest = "did you mean planescape.io/lease-guard?";
    bed.until("pjob/my-job", SOON, tells(nearest))
        .await
        .unwrap();
    let annotate = ["annotate", "pjob/my-job", "planescape.io/rerunn=1"];
    bed.kubectl(&annotate).await.unwrap();

    let nearest = "did you mean planescape.io/rerun?";
    bed.until("pjob/my-job", SOON, tells(nearest))
        .await
        .unwrap();
    let events = bed.events("my-job").await.unwrap();
    let told = events
        .iter()
        .filter(|(reason, _)| reason == "UnknownAnnotation");
    assert_eq!(told.count(), 2, "{events:?}");
}

#[tokio::test]
async fn what_cannot_run_says_why_and_leaves_the_others_alone() {
    let cluster = Cluster::shared().await.unwrap();
    let bed = Bed::with_operator(cluster, "invalid").await.unwrap();
    let mut schedule = once("bad-schedule");
    schedule["spec"]["schedule"] = json!("0 0 30 2 *");
    let mut zone = once("bad-zone");
    zone["spec"]["schedule"] = json!("@daily");
    zone["spec"]["timeZone"] = json!("Europe/Atlantis");
    let mut template = once("bad-template");
    template["spec"]["jobTemplate"]["spec"]["template"]["metadata"] = json!({ "annotations": {
        "vault.hashicorp.com/agent-inject": "true",
        "vault.hashicorp.com/rol": "reader",
        "vault.hashicorp.com/agent-inject-template-db": "{{ with secret \"x\" }}\n{{ nosuch }}",
    } });
    let mut field = once("bad-field");
    field["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containerz"] = json!([]);
    for job in [&schedule, &zone, &template, &field, &once("good")] {
        bed.apply(job).await.unwrap();
    }

    bed.pod("good").await.unwrap();
    for (job, kind, reason, words) in [
        (
            "bad-schedule",
            "ScheduleValid",
            "InvalidSchedule",
            &["never fires"][..],
        ),
        (
            "bad-zone",
            "ScheduleValid",
            "UnknownTimeZone",
            &["Europe/Atlantis"],
        ),
        (
            "bad-template",
            "Ready",
            "InvalidTemplate",
            &[
                "agent-inject-template-db]: line 2",
                "did you mean role?",
                "/role]: is missing",
            ],
        ),
        ("bad-field", "Ready", "FailedCreate", &["containerz"]),
    ] {
        let is_told = |job: &Value| condition(job, kind).0 == "False";
        let object = format!("pjob/{job}");
        let object = bed.until(&object, SOON, is_told).await.unwrap();

        let (_, told, message) = condition(&object, kind);
        assert_eq!(told, reason);
        for word in words {
            assert!(message.contains(word), "{message}");
        }
        let jobs = bed.list("jobs", &format!("job-name={job}")).await.unwrap();
        assert_eq!(jobs.len(), 0, "{job}");
    }
}

#[tokio::test]
async fn a_job_whose_pods_are_refused_says_so() {
    let cluster = Cluster::shared().await.unwrap();
    let bed = Bed::with_operator(cluster, "quota").await.unwrap();
    bed.kubectl(&["create", "quota", "none", "--hard=pods=0"])
        .await
        .unwrap();
    let is_known = |quota: &Value| quota["status"]["hard"]["pods"] == "0";
    bed.until("quota/none", SOON, is_known).await.unwrap();
    bed.apply(&once("my-job")).await.unwrap();

    let is_told = |job: &Value| condition(job, "Ready").1 == "NoPods";
    let limit = Duration::from_secs(20);
    let job = bed.until("pjob/my-job", limit, is_told).await.unwrap();

    let run = job["status"]["runs"][0]["job"].as_str().unwrap();
    let describe = ["describe", "job", run];
    assert!(condition(&job, "Ready").2.contains(&describe.join(" ")));
    let described = bed.kubectl(&describe).await.unwrap();
    assert!(described.contains("exceeded quota"), "{described}");
    let events = bed.events("my-job").await.unwrap();
    let told = events.iter().filter(|(reason, _)| reason == "NoPods");
    assert_eq!(told.count(), 1, "{events:?}");
}

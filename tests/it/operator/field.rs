//! Manifests that misled, were refused or were left waiting in the field, and what is said of them now.

use std::net::TcpListener;
use std::time::Duration;

use planescape_tests::testbed::Cluster;
use serde_json::{Value, json};

use super::running::{Bed, condition, once, once_with_secret};

const SOON: Duration = Duration::from_secs(15);

#[tokio::test]
async fn a_jobs_own_examples_are_accepted() {
    let cluster = Cluster::shared().await.unwrap();
    let bed = Bed::with_operator(cluster, "accepted").await.unwrap();
    let mut job = once("my-job");
    job["spec"]["jobTemplate"]["spec"]["podFailurePolicy"] = json!({ "rules": [
        { "action": "Ignore", "onPodConditions": [{ "type": "DisruptionTarget" }] },
    ] });
    let container = "/spec/jobTemplate/spec/template/spec/containers/0";
    let container = job.pointer_mut(container).unwrap();
    container["resources"] = json!({ "limits": { "cpu": 0.5, "memory": 134_217_728 } });
    container["env"] = json!([{ "name": "A", "value": "1" }, { "name": "A", "value": "2" }]);

    bed.apply_on_the_client(&job).await.unwrap();

    bed.pod("my-job").await.unwrap();
    let jobs = bed.list("jobs", "job-name=my-job").await.unwrap();
    let container = &jobs[0]["spec"]["template"]["spec"]["containers"][0];
    assert_eq!(container["resources"]["limits"]["cpu"], "500m");
    assert_eq!(container["env"].as_array().map(Vec::len), Some(2));
}

#[tokio::test]
async fn a_one_time_job_that_has_started_takes_no_other_template() {
    let cluster = Cluster::shared().await.unwrap();
    let bed = Bed::with_operator(cluster, "immutable").await.unwrap();
    bed.apply(&once("my-job")).await.unwrap();
    bed.pod("my-job").await.unwrap();
    let is_recorded = |job: &Value| job["status"]["lastScheduleTime"].is_string();
    bed.until("pjob/my-job", SOON, is_recorded).await.unwrap();

    let mut edited = once("my-job");
    edited["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"][0]["image"] =
        json!("busybox:1.36");
    let refused = bed.apply(&edited).await.unwrap_err();

    assert!(
        refused.to_string().contains("field is immutable"),
        "{refused}"
    );
    let mut suspended = once("my-job");
    suspended["spec"]["suspend"] = json!(true);
    bed.apply(&suspended).await.unwrap();
}

#[tokio::test]
async fn a_recurring_job_that_no_job_could_be_is_told_before_it_is_due() {
    let cluster = Cluster::shared().await.unwrap();
    let bed = Bed::with_operator(cluster, "nightly").await.unwrap();
    let containers = "/spec/jobTemplate/spec/template/spec/containers";
    for (name, pointer, value, told) in [
        (
            "name",
            format!("{containers}/0/name"),
            json!("Main_1"),
            "containers[0].name",
        ),
        (
            "image",
            format!("{containers}/0/image"),
            json!(""),
            "containers[0].image",
        ),
        (
            "quantity",
            format!("{containers}/0/resources"),
            json!({ "limits": { "memory": "512MB!" } }),
            "quantit",
        ),
        (
            "limit",
            "/spec/jobTemplate/spec/backoffLimit".to_owned(),
            json!(-1),
            "spec.jobTemplate.spec.backoffLimit",
        ),
        (
            "volume",
            format!("{containers}/0/volumeMounts"),
            json!([{ "name": "nosuch", "mountPath": "/x" }]),
            "containers[0].volumeMounts[0].name",
        ),
    ] {
        let mut job = nightly(name);
        let (parent, field) = pointer.rsplit_once('/').unwrap();
        job.pointer_mut(parent).unwrap()[field] = value;
        bed.apply(&job).await.unwrap();

        let is_told = |job: &Value| condition(job, "TemplateValid").0 == "False";
        let object = format!("pjob/{name}");
        let job = bed.until(&object, SOON, is_told).await.unwrap();

        let (_, _, message) = condition(&job, "TemplateValid");
        assert!(message.contains(told), "{name}: {message}");
        assert_eq!(condition(&job, "Ready").0, "False", "{name}");
        assert_eq!(condition(&job, "Stalled").0, "True", "{name}");
    }
    bed.apply(&nightly("good")).await.unwrap();
    let is_checked = |job: &Value| condition(job, "TemplateValid").0 == "True";
    let good = bed.until("pjob/good", SOON, is_checked).await.unwrap();
    assert_eq!(condition(&good, "Ready").0, "True");
}

#[tokio::test]
async fn a_copied_mark_of_a_one_time_run_is_named() {
    let cluster = Cluster::shared().await.unwrap();
    let bed = Bed::with_operator(cluster, "copied").await.unwrap();
    let mut job = once("my-job");
    job["metadata"]["annotations"] = json!({ "planescape.io/once-started": "x/y" });
    bed.apply(&job).await.unwrap();

    let is_stalled = |job: &Value| condition(job, "Stalled").1 == "StartedElsewhere";
    let told = bed.until("pjob/my-job", SOON, is_stalled).await.unwrap();

    assert_eq!(condition(&told, "Ready").0, "False");
    let mark = ["annotate", "pjob", "my-job", "planescape.io/once-started-"];
    bed.kubectl(&mark).await.unwrap();
    bed.pod("my-job").await.unwrap();
}

#[tokio::test]
async fn a_restored_job_is_adopted_and_not_run_again() {
    let cluster = Cluster::shared().await.unwrap();
    let mut bed = Bed::with_operator(cluster, "restored").await.unwrap();
    bed.apply(&once("my-job")).await.unwrap();
    bed.pod("my-job").await.unwrap();
    let ready = |job: &Value| job["status"]["activeCount"] == 1;
    bed.until("pjob/my-job", SOON, ready).await.unwrap();
    bed.kill_operator();
    bed.kubectl(&["delete", "pjob", "my-job", "--cascade=orphan"])
        .await
        .unwrap();
    bed.apply(&once("my-job")).await.unwrap();
    bed.start_operator().unwrap();

    let is_adopted = |job: &Value| job["status"]["activeCount"] == 1;
    bed.until("pjob/my-job", SOON, is_adopted).await.unwrap();

    let jobs = bed.list("jobs", "job-name=my-job").await.unwrap();
    let owner = &jobs[0]["metadata"]["ownerReferences"][0]["uid"];
    let own = bed.get("pjob/my-job").await.unwrap()["metadata"]["uid"].clone();
    assert_eq!((jobs.len(), owner), (1, &own));
}

#[tokio::test]
async fn a_pod_that_waits_for_its_image_shows() {
    let cluster = Cluster::shared().await.unwrap();
    let bed = Bed::with_operator(cluster, "image").await.unwrap();
    bed.apply(&once_with_secret("my-job")).await.unwrap();
    let pod = format!("pod/{}", bed.pod("my-job").await.unwrap());
    bed.patch_status(
        &pod,
        &json!({ "phase": "Pending", "containerStatuses": [{
            "name": "main", "image": "busybox:1.35", "imageID": "", "ready": false,
            "restartCount": 0,
            "state": { "waiting": { "reason": "ImagePullBackOff", "message": "no such image" } },
        }] }),
    )
    .await
    .unwrap();

    let is_told = |job: &Value| condition(job, "Ready").1 == "PodsWaiting";
    let job = bed.until("pjob/my-job", SOON, is_told).await.unwrap();

    let (_, _, message) = condition(&job, "Ready");
    assert!(message.contains("container main") && message.contains("ImagePullBackOff"));
}

#[tokio::test]
async fn a_webhook_that_fails_shows() {
    // Its webhook would be everybody's.
    let cluster = Cluster::start().await.unwrap();
    let mut bed = Bed::new(&cluster, "webhook").await.unwrap();
    bed.apply(&failing("CREATE")).await.unwrap();
    tokio::time::sleep(Duration::from_secs(2)).await;
    bed.start_operator().unwrap();
    bed.apply(&once("my-job")).await.unwrap();

    let is_told = |job: &Value| condition(job, "Ready").1 == "FailedCreate";
    let job = bed.until("pjob/my-job", SOON, is_told).await.unwrap();

    let (status, _, message) = condition(&job, "Ready");
    assert_eq!(status, "False");
    assert!(message.contains("fails.example.com"), "{message}");
    let events = bed.events("my-job").await.unwrap();
    assert!(
        events.iter().any(|(reason, _)| reason == "FailedCreate"),
        "{events:?}"
    );
    bed.kubectl(&["delete", "validatingwebhookconfiguration", "fails"])
        .await
        .unwrap();
    bed.pod("my-job").await.unwrap();
}

#[tokio::test]
async fn a_job_that_cannot_be_adopted_shows() {
    let cluster = Cluster::start().await.unwrap();
    let mut bed = Bed::with_operator(&cluster, "unadopted").await.unwrap();
    bed.apply(&once("my-job")).await.unwrap();
    bed.pod("my-job").await.unwrap();
    bed.kill_operator();
    bed.kubectl(&["delete", "pjob", "my-job", "--cascade=orphan"])
        .await
        .unwrap();
    bed.apply(&failing("UPDATE")).await.unwrap();
    tokio::time::sleep(Duration::from_secs(2)).await;
    bed.apply(&once("my-job")).await.unwrap();
    bed.start_operator().unwrap();

    let is_told = |job: &Value| condition(job, "Ready").1 == "FailedAdopt";
    let job = bed.until("pjob/my-job", SOON, is_told).await.unwrap();

    let (status, _, message) = condition(&job, "Ready");
    assert_eq!(status, "False");
    assert!(
        message.starts_with("Job my-job-") && message.contains("cannot adopt"),
        "{message}"
    );
    let delete = ["delete", "validatingwebhookconfiguration", "fails"];
    bed.kubectl(&delete).await.unwrap();
    let is_mended = |job: &Value| job["status"]["activeCount"] == 1;
    bed.until("pjob/my-job", SOON, is_mended).await.unwrap();
}

/// Each release takes five seconds here; nothing waits for them.
#[tokio::test]
async fn former_jobs_that_cannot_be_let_go_delay_no_run() {
    let cluster = Cluster::start().await.unwrap();
    let mut bed = Bed::new(&cluster, "former").await.unwrap();
    let former: Vec<Value> = (0..48).map(former_job).collect();
    let list = json!({ "apiVersion": "v1", "kind": "List", "items": former });
    bed.apply(&list).await.unwrap();
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut webhook = failing("UPDATE");
    webhook["webhooks"][0]["clientConfig"]["url"] =
        json!(format!("https://{}/", silent.local_addr().unwrap()));
    webhook["webhooks"][0]["timeoutSeconds"] = json!(30);
    bed.apply(&webhook).await.unwrap();
    tokio::time::sleep(Duration::from_secs(2)).await;
    bed.start_operator().unwrap();

    bed.apply(&once("my-job")).await.unwrap();

    // Their releases alone take thirty.
    let is_started = |job: &Value| job["status"]["lastScheduleTime"].is_string();
    let limit = Duration::from_secs(15);
    bed.until("pjob/my-job", limit, is_started).await.unwrap();
    let left = bed.list("jobs", "former=yes").await.unwrap();
    assert_eq!(left.len(), former.len(), "none of them is let go");
    let delete = ["delete", "validatingwebhookconfiguration", "fails"];
    bed.kubectl(&delete).await.unwrap();
    let delete = ["delete", "jobs", "-l", "former=yes", "--timeout=60s"];
    bed.kubectl(&delete).await.unwrap();
}

/// A Job with our labels and finalizer, of a PlanescapeJob that is gone.
fn former_job(number: u32) -> Value {
    json!({
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": format!("former-{number}"),
            "labels": { "planescape.io/job": "my-job", "former": "yes" },
            "finalizers": ["planescape.io/run-tracking"],
            "ownerReferences": [{ "apiVersion": "planescape.io/v1alpha1", "kind": "PlanescapeJob",
                "name": "my-job", "uid": "00000000-0000-0000-0000-000000000001" }],
        },
        "spec": { "suspend": true, "template": { "spec": {
            "restartPolicy": "Never",
            "containers": [{ "name": "main", "image": "busybox:1.35" }],
        } } },
    })
}

/// A webhook for this operation on Jobs that nobody answers.
fn failing(operation: &str) -> Value {
    json!({
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingWebhookConfiguration",
        "metadata": { "name": "fails" },
        "webhooks": [{
            "name": "fails.example.com",
            "rules": [{ "apiGroups": ["batch"], "apiVersions": ["v1"], "resources": ["jobs"],
                "operations": [operation] }],
            "clientConfig": { "url": "https://127.0.0.1:1/nothing" },
            "sideEffects": "None", "admissionReviewVersions": ["v1"], "timeoutSeconds": 1,
        }],
    })
}

fn nightly(name: &str) -> Value {
    let mut job = once(name);
    job["spec"]["schedule"] = json!("0 3 31 12 *");
    job
}

//! Runs whose pods failed, as their status tells of them.

use crate::jobs::{Place, database_job, until};

#[tokio::test]
async fn the_status_keeps_how_a_container_failed_when_its_pod_is_deleted() {
    let place = Place::new("lost-log").await;
    let script = "echo no such table >/dev/termination-log; exit 3";
    let job = database_job("lost-log", "readonly", script);
    let job = job.replace(
        "          containers:",
        "          restartPolicy: OnFailure\n          containers:",
    );
    place.apply(&job).await;

    place.wait("lost-log", "Failed").await;

    until("the pod is deleted", 30, async || {
        let pods = place.get("pods").await;
        pods["items"].as_array()?.is_empty().then_some(())
    })
    .await;
    let job = place.get("pjob/lost-log").await;
    let failure = &job["status"]["runs"][0]["failure"];
    assert_eq!(failure["container"], "main", "{job:#}");
    assert_eq!(failure["exitCode"], 3);
    assert_eq!(failure["message"], "no such table");
}

#[tokio::test]
async fn an_eviction_ends_no_run_that_leaves_disruptions_out_of_account() {
    let place = Place::new("evicted").await;
    let script = "trap 'exit 1' TERM\n sleep 6 & wait";
    let job = database_job("evicted", "readonly", script);
    let job = job.replace(
        "  jobTemplate:",
        "  disruptionPolicy: Ignore\n  jobTemplate:",
    );
    place.apply(&job).await;
    let pod = until("it runs", 60, async || {
        let pods = place.get("pods").await;
        let pod = &pods["items"][0];
        let is_running = !pod["status"]["containerStatuses"][0]["state"]["running"].is_null();
        is_running.then(|| pod["metadata"]["name"].as_str().unwrap().to_owned())
    })
    .await;

    let eviction = format!(
        r#"{{"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {{"name": "{pod}"}}}}"#
    );
    let path = format!("/api/v1/namespaces/evicted/pods/{pod}/eviction");
    let cluster = &place.bed.control_plane;
    let post = ["create", "--raw", &path, "-f", "-"];
    cluster.kubectl_with_input(&post, &eviction).await.unwrap();

    place.wait("evicted", "Complete").await;
    let jobs = place.get("jobs").await;
    let status = &jobs["items"][0]["status"];
    assert_eq!(status["succeeded"], 1, "{status:#}");
    let pods = place.get("pods").await;
    let names = pods["items"].as_array().unwrap().iter();
    let mut names = names.map(|pod| pod["metadata"]["name"].as_str().unwrap());
    assert!(names.any(|name| name != pod), "{pods:#}");
}

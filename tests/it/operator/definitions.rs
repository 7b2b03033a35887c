//! A definition of PlanescapeJobs and an operator of different ages.

use std::time::{Duration, Instant};

use planescape_tests::testbed::Cluster;
use serde_json::json;

use super::running::{Bed, once};

const SOON: Duration = Duration::from_secs(30);

#[tokio::test]
async fn a_definition_that_is_older_than_the_operator_is_told() {
    let cluster = Cluster::start().await.unwrap();
    let mut bed = Bed::new(&cluster, "older").await.unwrap();
    let status = "/spec/versions/0/schema/openAPIV3Schema/properties/status";
    let remove = |what: &str| json!({ "op": "remove", "path": format!("{status}{what}") });
    let patch = json!([
        remove("/x-kubernetes-preserve-unknown-fields"),
        remove("/properties/announcedRun"),
    ]);
    let patch = [
        "patch",
        "crd",
        "planescapejobs.planescape.io",
        "--type=json",
        "-p",
        &patch.to_string(),
    ];
    bed.control_plane().kubectl(&patch).await.unwrap();
    let mut job = once("my-job");
    job["spec"]["schedule"] = json!("0 * * * *");
    bed.apply(&job).await.unwrap();
    let ago = jiff::Timestamp::now() - jiff::SignedDuration::from_hours(2);
    let schedule = json!({ "schedule": "0 * * * * UTC", "since": ago.to_string() });
    let late = json!({ "scheduleReference": schedule });
    bed.patch_status("pjob/my-job", &late).await.unwrap();

    bed.start_operator().unwrap();

    let started = Instant::now();
    loop {
        let events = bed.events("my-job").await.unwrap();
        let mut reasons = events.iter().map(|(reason, _)| reason.as_str());
        if reasons.any(|reason| reason == "OutdatedDefinition") {
            break;
        }
        assert!(started.elapsed() < SOON, "{events:?}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(bed.operator_log().contains("deploy/10-planescapejobs.yaml"));
}

#[tokio::test]
async fn what_a_younger_operator_has_written_stays() {
    let cluster = Cluster::shared().await.unwrap();
    let mut bed = Bed::new(cluster, "younger").await.unwrap();
    bed.apply(&once("my-job")).await.unwrap();
    let unknown = json!({ "ofTomorrow": { "a": 1 } });
    bed.patch_status("pjob/my-job", &unknown).await.unwrap();

    bed.start_operator().unwrap();

    let is_recorded = |job: &serde_json::Value| !job["status"]["runs"][0].is_null();
    let job = bed.until("pjob/my-job", SOON, is_recorded).await.unwrap();
    assert_eq!(job["status"]["ofTomorrow"], json!({ "a": 1 }));
}

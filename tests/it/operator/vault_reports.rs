//! Reports of the agent reach the PlanescapeJob. They are written by hand here, where
//! there is no kubelet.

use std::time::{Duration, Instant};

use planescape_tests::testbed::Cluster;
use serde_json::{Value, json};

use super::running::{Bed, condition, once_with_secret};

#[tokio::test]
async fn a_denied_path_shows_within_five_seconds() {
    let cluster = Cluster::shared().await.unwrap();
    let bed = Bed::with_operator(cluster, "denied").await.unwrap();
    bed.apply(&once_with_secret("my-job")).await.unwrap();
    let pod = format!("pod/{}", bed.pod("my-job").await.unwrap());
    let report = json!({
        "phase": "read", "reason": "PermissionDenied", "message": "permission denied",
        "role": "database-reader", "path": "database/creds/readonly", "status": 403,
    });

    let reported = Instant::now();
    bed.patch_status(&pod, &failed(&report)).await.unwrap();
    let is_told = |job: &Value| condition(job, "VaultReady").0 == "False";
    let limit = Duration::from_secs(5);
    let job = bed.until("pjob/my-job", limit, is_told).await.unwrap();

    assert!(reported.elapsed() < limit);
    let (_, reason, message) = condition(&job, "VaultReady");
    assert_eq!(reason, "PermissionDenied");
    for part in ["database-reader", "database/creds/readonly", "HTTP 403"] {
        assert!(message.contains(part), "{message}");
    }
    let mut events = bed.events("my-job").await.unwrap().into_iter();
    let event = events.find(|(reason, _)| reason == "VaultPermissionDenied");
    assert_eq!(event.map(|(_, note)| note).as_deref(), Some(message));
}

fn failed(report: &Value) -> Value {
    json!({
        "phase": "Pending",
        "initContainerStatuses": [{
            "name": "vault-agent",
            "image": "planescape/planescape-agent:0.1.0",
            "imageID": "",
            "ready": false,
            "restartCount": 1,
            "state": { "waiting": { "reason": "CrashLoopBackOff" } },
            "lastState": { "terminated": { "exitCode": 77, "message": report.to_string() } },
        }],
    })
}

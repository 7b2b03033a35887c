//! An object that cannot be read, because it was written under another resource definition.

use std::time::Duration;

use planescape_tests::testbed::Cluster;
use serde_json::{Value, json};

use super::running::{Bed, name, once};

#[tokio::test]
async fn an_unreadable_object_does_not_stop_the_others() {
    let cluster = Cluster::start().await.unwrap();
    let mut bed = Bed::with_operator(&cluster, "broken").await.unwrap();
    let mut started = once("started");
    started["spec"]["jobTemplate"]["spec"]["ttlSecondsAfterFinished"] = json!(3_600);
    bed.apply(&started).await.unwrap();
    bed.pod("started").await.unwrap();
    bed.kill_operator();
    let anything = json!([{ "op": "replace", "path": "/spec/versions/0/schema/openAPIV3Schema",
        "value": { "type": "object", "x-kubernetes-preserve-unknown-fields": true } }])
    .to_string();
    let definition = "crd/planescapejobs.planescape.io";
    bed.kubectl(&["patch", definition, "--type=json", "-p", &anything])
        .await
        .unwrap();
    let mut broken = once("broken");
    broken["spec"]["schedule"] = json!({ "every": "day" });
    while bed.apply(&broken).await.is_err() {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let unreadable = r#"{"spec":{"schedule":{"every":"day"}}}"#;
    bed.kubectl(&["patch", "pjob", "started", "--type=merge", "-p", unreadable])
        .await
        .unwrap();

    bed.start_operator().unwrap();
    bed.apply(&once("good")).await.unwrap();

    bed.pod("good").await.unwrap();
    let events = bed.events("broken").await.unwrap();
    let [(reason, note)] = &events[..] else {
        panic!("{events:?}");
    };
    assert_eq!(reason, "Unreadable");
    assert!(
        note.ends_with("a field is not what it should be: a string"),
        "{note}"
    );
    let is_untouched = |job: &Value| job["status"].is_null();
    let object = bed.get("pjob/broken").await.unwrap();
    assert!(is_untouched(&object), "{object}");
    // It bears our finalizer until its end is recorded, and nobody will record that.
    let run = bed.list("jobs", "job-name=started").await.unwrap();
    let run = format!("job/{}", name(&run[0]));
    bed.kubectl(&["delete", &run, "--timeout=30s"])
        .await
        .unwrap();
    let owner = bed.get("pjob/started").await.unwrap();
    assert!(owner["status"]["lastScheduleTime"].is_string(), "{owner}");
}

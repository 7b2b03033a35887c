//! An operator that is killed at any moment starts every run once.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::TryStreamExt as _;
use k8s_openapi::api::batch::v1::Job;
use kube::Api;
use kube::api::{WatchEvent, WatchParams};
use planescape_tests::testbed::Cluster;

use super::running::{Bed, name, once};

/// The UIDs of the Jobs that ever were, by PlanescapeJob.
pub(super) type Created = Arc<Mutex<BTreeMap<String, BTreeSet<String>>>>;

#[tokio::test]
async fn a_killed_operator_never_doubles_a_run() {
    let cluster = Cluster::shared().await.unwrap();
    let mut bed = Bed::new(cluster, "crashes").await.unwrap();
    let created = Created::default();
    let watching = tokio::spawn(watch(
        Api::namespaced(bed.control_plane().client().await.unwrap(), &bed.namespace),
        created.clone(),
    ));

    let mut names = Vec::new();
    for round in 0..12_u64 {
        for number in 0..3 {
            names.push(format!("job-{round}-{number}"));
        }
        bed.start_operator().unwrap();
        for name in &names[names.len() - 3..] {
            let mut job = once(name);
            job["spec"]["jobTemplate"]["spec"]["ttlSecondsAfterFinished"] = 0.into();
            bed.apply(&job).await.unwrap();
        }
        tokio::time::sleep(Duration::from_millis(round * 17)).await;
        bed.kill_operator();
    }
    bed.start_operator().unwrap();
    for name in &names {
        bed.pod(name).await.unwrap();
    }
    watching.abort();

    let created = created.lock().unwrap();
    for name in &names {
        assert_eq!(created[name].len(), 1, "{name}");
    }
}

#[tokio::test]
async fn a_job_that_outlives_its_planescapejob_can_be_deleted() {
    let cluster = Cluster::shared().await.unwrap();
    let mut bed = Bed::with_operator(cluster, "orphans").await.unwrap();
    let mut job = once("my-job");
    job["spec"]["jobTemplate"]["spec"]["ttlSecondsAfterFinished"] = 3_600.into();
    bed.apply(&job).await.unwrap();
    bed.pod("my-job").await.unwrap();
    let run = bed.list("jobs", "job-name=my-job").await.unwrap();
    let run = format!("job/{}", name(&run[0]));

    bed.kill_operator();
    bed.kubectl(&["delete", "pjob", "my-job", "--cascade=orphan"])
        .await
        .unwrap();
    let is_kept = |job: &serde_json::Value| job["metadata"]["ownerReferences"].is_null();
    let limit = Duration::from_secs(10);
    let kept = bed.until(&run, limit, is_kept).await.unwrap();
    assert!(kept["metadata"]["finalizers"].is_array(), "{kept}");
    bed.start_operator().unwrap();

    bed.kubectl(&["delete", &run, "--timeout=20s"])
        .await
        .unwrap();
}

pub(super) async fn watch(jobs: Api<Job>, created: Created) -> anyhow::Result<()> {
    let mut changes = Box::pin(jobs.watch(&WatchParams::default(), "0").await?);
    while let Some(change) = changes.try_next().await? {
        if let WatchEvent::Added(job) = change {
            let labels = job.metadata.labels.unwrap_or_default();
            let name = labels["job-name"].clone();
            let uid = job.metadata.uid.unwrap_or_default();
            let mut created = created.lock().expect("nobody panics with it");
            created.entry(name).or_default().insert(uid);
        }
    }
    Ok(())
}

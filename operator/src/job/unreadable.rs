//! Lets Jobs go whose PlanescapeJob cannot be read: it was written under another resource definition. Nothing
//! else is done for it, and yet its Jobs can be deleted.
//!
//! A run whose instant the status does not tell yet is recorded first, so that it does not start again when
//! the object can be read again.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::Api;
use kube::api::{ApiResource, DynamicObject};
use planescape_operator_core::api::PlanescapeJob;
use planescape_operator_core::api::v1alpha1::PlanescapeJobStatus;
use planescape_operator_core::job::observed::KnownJob;
use planescape_operator_core::job::plan::is_recorded;
use serde_json::{Value, json};
use tracing::warn;

use super::error::{Error, within};
use super::{Context, apply, post_params};
use crate::cluster::gate::Class;

/// How long one may take.
const LONGEST_RELEASE: Duration = Duration::from_secs(5);

/// One after the other: there are few, if any.
pub(super) async fn release_all(context: &Context) {
    let jobs = &context.kinds.jobs;
    for job in jobs.outstanding(|job| is_unreadable(job, context)) {
        if let Err(error) = within(LONGEST_RELEASE, release(&job, context)).await {
            let KnownJob { namespace, run, .. } = &job;
            warn!(job = run.name, namespace, "cannot let it go: {error}");
        }
    }
}

fn is_unreadable(job: &KnownJob, context: &Context) -> bool {
    let Some(owner) = job.owner.as_ref().filter(|_| job.run.is_tracked) else {
        return false;
    };
    let place = (job.namespace.clone(), owner.name.clone());
    let known = context.kinds.planescape_jobs.get(&place);
    known.is_some_and(|known| known.read.is_err())
}

async fn release(job: &KnownJob, context: &Context) -> Result<(), Error> {
    let Some(owner) = &job.owner else {
        return Ok(());
    };
    let kind = ApiResource::erase::<PlanescapeJob>(&());
    let client = context.clients.of(Class::Tidy);
    let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), &job.namespace, &kind);
    let read = api.get_opt(&owner.name).await;
    let live = read.map_err(Error::reading("the PlanescapeJob"))?;
    let same = live.filter(|live| live.metadata.uid.as_ref() == Some(&owner.uid));
    let is_going = |live: &DynamicObject| live.metadata.deletion_timestamp.is_some();
    if let Some(mut live) = same.filter(|live| !is_going(live)) {
        let status = live.data.get("status").cloned().unwrap_or_default();
        let known = serde_json::from_value::<PlanescapeJobStatus>(status);
        if !known.is_ok_and(|status| is_recorded(&status, &job.run)) {
            record(&mut live.data, job);
            let written = api.replace_status(&owner.name, &post_params(), &live).await;
            written.map_err(Error::writing("write the status"))?;
        }
    }
    let released = apply::release(client, &job.namespace, &job.run.name, &job.run.uid);
    released.await.map(drop)
}

/// The rest of the status stays, and so does a later instant.
fn record(object: &mut Value, job: &KnownJob) {
    let known = object["status"]["lastScheduleTime"].as_str();
    let known = known.and_then(|known| known.parse::<Timestamp>().ok());
    if known.is_some_and(|known| known >= job.run.tick) {
        return;
    }
    if !object["status"].is_object() {
        object["status"] = json!({});
    }
    object["status"]["lastScheduleTime"] = json!(Time(job.run.tick));
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::batch::v1::Job;

    use super::*;

    #[test]
    fn records_an_instant_and_leaves_the_rest_of_a_status() {
        let job: Job = serde_json::from_value(json!({ "metadata": {
            "namespace": "team", "name": "run", "uid": "run",
            "annotations": { "planescape.io/scheduled-at": "2026-11-24T10:00:00Z" },
        } }))
        .unwrap();
        let job = KnownJob::of(&job).unwrap();
        let mut object = json!({ "status": { "activeCount": "?" }, "spec": 1 });

        record(&mut object, &job);

        let tick = "2026-11-24T10:00:00Z";
        let status = json!({ "activeCount": "?", "lastScheduleTime": tick });
        assert_eq!(object, json!({ "status": status, "spec": 1 }));
        let later = json!({ "status": { "lastScheduleTime": "2026-11-24T11:00:00Z" } });
        let mut recorded = later.clone();
        record(&mut recorded, &job);
        assert_eq!(recorded, later);
        let mut empty = json!({});
        record(&mut empty, &job);
        assert_eq!(empty["status"]["lastScheduleTime"], tick);
    }
}

//! Lets Jobs go whose PlanescapeJob is gone: their run will not be recorded.
//!
//! In a task of its own, which no reconciliation waits for: deleting a namespace orphans many.

use std::time::Duration;

use futures::{StreamExt as _, stream};
use kube::Api;
use planescape_operator_core::api::PlanescapeJob;
use planescape_operator_core::job::identity::Identity;
use planescape_operator_core::job::observed::KnownJob;
use tokio::sync::mpsc;
use tokio::time::MissedTickBehavior;
use tracing::warn;

use super::error::{Error, within};
use super::{Context, Name, apply, unreadable};
use crate::cluster::gate::Class;
use crate::cluster::index::{Kept as _, Key};

/// Between two looks at all Jobs.
const PAUSE: Duration = Duration::from_secs(10);

/// How many Jobs are let go at once.
const AT_ONCE: usize = 8;

/// How long one may take.
const LONGEST_RELEASE: Duration = Duration::from_secs(5);

/// Asks to let go what belonged to a former PlanescapeJob of this name, if there is any.
pub(super) fn notice(identity: &Identity, context: &Context) {
    let name = Key::PlanescapeJob(identity.namespace.clone(), identity.name.clone());
    let labelled = context.kinds.jobs.find(&name);
    let is_former = |job: &KnownJob| job.run.is_tracked && !job.is_of(identity);
    if labelled.iter().any(is_former) {
        // It fails only when the operator ends.
        let name = (identity.namespace.clone(), identity.name.clone());
        let _ = context.orphans.send(name);
    }
}

/// Lets go, in a task of its own, the Jobs of the PlanescapeJobs that are named, and now and
/// then all Jobs without an owner. No change of ours leads to those that were kept when their
/// PlanescapeJob was deleted.
pub(super) async fn tend(context: &Context, mut former: mpsc::UnboundedReceiver<Name>) {
    let mut pause = tokio::time::interval(PAUSE);
    pause.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let jobs = tokio::select! {
            _ = pause.tick() => {
                unreadable::release_all(context).await;
                context.kinds.jobs.outstanding(|job| is_orphan(job, context))
            }
            Some((namespace, name)) = former.recv() => {
                let labelled = context.kinds.jobs.find(&Key::PlanescapeJob(namespace, name));
                let orphans = labelled.into_iter().filter(|job| is_orphan(job, context));
                orphans.collect()
            }
        };
        release_all(jobs, context).await;
    }
}

fn is_orphan(job: &KnownJob, context: &Context) -> bool {
    job.run.is_tracked && !seems_owned(job, context)
}

/// A failed release does not stop the other releases.
async fn release_all(jobs: Vec<KnownJob>, context: &Context) {
    let releases: Vec<_> = jobs
        .into_iter()
        .map(|job| release_or_warn(job, context))
        .collect();
    let mut releases = std::pin::pin!(stream::iter(releases).buffer_unordered(AT_ONCE));
    while releases.next().await.is_some() {}
}

async fn release_or_warn(job: KnownJob, context: &Context) {
    if let Err(error) = within(LONGEST_RELEASE, release(&job, context)).await {
        let KnownJob { namespace, run, .. } = &job;
        warn!(job = run.name, namespace, "cannot let it go: {error}");
    }
}

/// Makes sure, because what we keep in memory may be old.
async fn release(job: &KnownJob, context: &Context) -> Result<(), Error> {
    let client = context.clients.of(Class::Tidy);
    if let Some(owner) = Owner::of(job) {
        let api: Api<PlanescapeJob> = Api::namespaced(client.clone(), &job.namespace);
        let live = api
            .get_metadata_opt(owner.name)
            .await
            .map_err(Error::reading("the PlanescapeJob"))?;
        if live.is_some_and(|live| owner.is(live.metadata.uid.as_deref())) {
            return Ok(());
        }
    }
    let released = apply::release(client, &job.namespace, &job.run.name, &job.run.uid);
    released.await.map(drop)
}

fn seems_owned(job: &KnownJob, context: &Context) -> bool {
    let Some(owner) = Owner::of(job) else {
        return false;
    };
    let place = (job.namespace.clone(), owner.name.to_owned());
    let known = context.kinds.planescape_jobs.get(&place);
    known.is_some_and(|known| owner.is(Some(known.uid())))
}

/// The PlanescapeJob that a Job was made for.
#[derive(Debug, PartialEq)]
struct Owner<'a> {
    name: &'a str,
    /// None where the Job was kept when the PlanescapeJob was deleted.
    uid: Option<&'a str>,
}

impl<'a> Owner<'a> {
    fn of(job: &'a KnownJob) -> Option<Self> {
        if let Some(owner) = &job.owner {
            return Some(Self {
                name: &owner.name,
                uid: Some(&owner.uid),
            });
        }
        let name = job.label.as_deref()?;
        Some(Self { name, uid: None })
    }

    fn is(&self, uid: Option<&str>) -> bool {
        self.uid.is_some() && self.uid == uid
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::batch::v1::Job;
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn a_job_that_was_kept_belongs_to_nobody_of_its_owners_name() {
        let kept = job(&json!({ "labels": { "planescape.io/job": "my-job" } }));
        let owned = job(&json!({ "ownerReferences": [{
            "apiVersion": "planescape.io/v1alpha1", "kind": "PlanescapeJob",
            "name": "my-job", "uid": "u",
        }] }));

        let kept = Owner::of(&kept).unwrap();
        let owned = Owner::of(&owned).unwrap();

        assert_eq!((kept.name, owned.name), ("my-job", "my-job"));
        assert!(owned.is(Some("u")) && !owned.is(Some("other")) && !owned.is(None));
        assert!(!kept.is(Some("u")) && !kept.is(None));
    }
    fn job(more: &Value) -> KnownJob {
        let mut metadata = json!({
            "namespace": "team", "name": "run", "uid": "run", "creationTimestamp": "2026-11-24T10:00:00Z",
        });
        for (key, value) in more.as_object().unwrap() {
            metadata[key] = value.clone();
        }
        let job: Job = serde_json::from_value(json!({ "metadata": metadata })).unwrap();
        KnownJob::of(&job).unwrap()
    }
}

//! Lets Jobs go whose PlanescapeJob is gone: nobody will record their run.
//!
//! At once where the loop notices, and now and then for all that it cannot notice or that failed.

use std::convert::Infallible;
use std::time::Duration;

use k8s_openapi::api::batch::v1::Job;
use kube::runtime::controller::Error as ControllerError;
use kube::runtime::reflector::ObjectRef;
use kube::runtime::watcher;
use kube::{Api, Resource as _, ResourceExt as _};
use planescape_operator_core::api::PlanescapeJob;
use planescape_operator_core::api::names::JOB_LABEL;
use planescape_operator_core::job::observed::is_tracked;
use tracing::warn;

use super::error_policy::{Error, within};
use super::{Context, LONGEST_LOOK, apply};

const PAUSE: Duration = Duration::from_secs(10);

/// Looks at what became of one reconciliation: a Job may have asked for a PlanescapeJob that does
/// not exist any more.
pub(super) async fn look_after<T>(
    result: Result<T, ControllerError<Error, watcher::Error>>,
    context: &Context,
) {
    match result {
        Ok(_) | Err(ControllerError::ReconcilerFailed(..)) => {}
        Err(ControllerError::ObjectNotFound(object)) => {
            let namespace = object.namespace.as_deref().unwrap_or_default();
            context.backoff.forget(namespace, &object.name);
            release_former(namespace, &object.name, context).await;
        }
        Err(ControllerError::QueueError(error)) => warn!("a watch failed: {error}"),
        Err(ControllerError::RunnerError(error)) => warn!("the controller failed: {error}"),
    }
}

/// Lets go, again and again, whatever nobody owns: also Jobs that were kept when their
/// PlanescapeJob was deleted, which no change of ours leads to.
pub(super) async fn tend(context: &Context) -> Infallible {
    loop {
        release_all(context, |_| true).await;
        tokio::time::sleep(PAUSE).await;
    }
}

/// Lets go what belonged to a former PlanescapeJob of this name.
pub(super) async fn release_former(namespace: &str, name: &str, context: &Context) {
    let is_meant = |job: &Job| {
        job.metadata.namespace.as_deref() == Some(namespace)
            && Owner::of(job).is_some_and(|owner| owner.name == name)
    };
    release_all(context, is_meant).await;
}

/// One that cannot be let go keeps none of the others.
async fn release_all(context: &Context, is_meant: impl Fn(&Job) -> bool) {
    let is_orphan =
        |job: &Job| is_tracked(&job.metadata) && is_meant(job) && !seems_owned(job, context);
    for job in context.jobs.state_filter(is_orphan) {
        if let Err(error) = within(LONGEST_LOOK, release(&job, context)).await {
            let namespace = job.namespace();
            warn!(job = job.name_any(), namespace, "cannot let it go: {error}");
        }
    }
}

/// Makes sure, because what we keep in memory may be old.
async fn release(job: &Job, context: &Context) -> Result<(), Error> {
    let namespace = job.metadata.namespace.as_deref().unwrap_or("default");
    if let Some(owner) = Owner::of(job) {
        let api: Api<PlanescapeJob> = Api::namespaced(context.client.clone(), namespace);
        let live = api
            .get_metadata_opt(owner.name)
            .await
            .map_err(Error::reading("the PlanescapeJob"))?;
        if live.is_some_and(|live| owner.is(live.metadata.uid.as_deref())) {
            return Ok(());
        }
    }
    let uid = job.uid().unwrap_or_default();
    apply::release(&context.client, namespace, &job.name_any(), &uid).await
}

fn seems_owned(job: &Job, context: &Context) -> bool {
    let Some(owner) = Owner::of(job) else {
        return false;
    };
    let namespace = job.metadata.namespace.as_deref().unwrap_or_default();
    let object = ObjectRef::new(owner.name).within(namespace);
    let known = context.planescape_jobs.get(&object);
    known.is_some_and(|known| owner.is(known.meta().uid.as_deref()))
}

/// The PlanescapeJob that a Job was made for.
#[derive(Debug, PartialEq)]
struct Owner<'a> {
    name: &'a str,
    /// None where the Job was kept when the PlanescapeJob was deleted.
    uid: Option<&'a str>,
}

impl<'a> Owner<'a> {
    fn of(job: &'a Job) -> Option<Self> {
        let mut owners = job.owner_references().iter();
        if let Some(owner) = owners.find(|owner| owner.kind == "PlanescapeJob") {
            return Some(Self {
                name: &owner.name,
                uid: Some(&owner.uid),
            });
        }
        let name = job.labels().get(JOB_LABEL)?;
        Some(Self { name, uid: None })
    }

    fn is(&self, uid: Option<&str>) -> bool {
        self.uid.is_some() && self.uid == uid
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_job_that_was_kept_belongs_to_nobody_of_its_owners_name() {
        let kept: Job = serde_json::from_value(json!({ "metadata": {
            "labels": { "planescape.io/job": "my-job" },
        } }))
        .unwrap();
        let owned: Job = serde_json::from_value(json!({ "metadata": { "ownerReferences": [{
            "apiVersion": "planescape.io/v1alpha1", "kind": "PlanescapeJob",
            "name": "my-job", "uid": "u",
        }] } }))
        .unwrap();

        let kept = Owner::of(&kept).unwrap();
        let owned = Owner::of(&owned).unwrap();

        assert_eq!((kept.name, owned.name), ("my-job", "my-job"));
        assert!(owned.is(Some("u")) && !owned.is(Some("other")) && !owned.is(None));
        assert!(!kept.is(Some("u")) && !kept.is(None));
    }
}

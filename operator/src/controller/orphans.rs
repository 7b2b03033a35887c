//! Lets Jobs go whose PlanescapeJob is gone: nobody will record their run.

use k8s_openapi::api::batch::v1::Job;
use kube::core::DynamicObject;
use kube::runtime::controller::Error as ControllerError;
use kube::runtime::reflector::ObjectRef;
use kube::runtime::watcher;
use kube::{Api, ResourceExt as _};
use planescape_operator_core::api::PlanescapeJob;
use planescape_operator_core::observed::is_tracked;
use tracing::warn;

use super::Context;
use super::apply;
use super::error_policy::Error;

/// Looks at what became of one reconciliation: a Job may have asked for a PlanescapeJob that does
/// not exist any more.
pub(super) async fn look_after<T>(
    result: Result<T, ControllerError<Error, watcher::Error>>,
    context: &Context,
) {
    match result {
        Ok(_) | Err(ControllerError::ReconcilerFailed(..)) => {}
        Err(ControllerError::ObjectNotFound(object)) => {
            if let Err(error) = release_all(&object, context).await {
                warn!(%object, "cannot let its Jobs go: {error}");
            }
        }
        Err(ControllerError::QueueError(error)) => warn!("a watch failed: {error}"),
        Err(ControllerError::RunnerError(error)) => warn!("the controller failed: {error}"),
    }
}

async fn release_all(object: &ObjectRef<DynamicObject>, context: &Context) -> Result<(), Error> {
    let namespace = object.namespace.as_deref().unwrap_or("default");
    let orphans = former_jobs(&object.name, namespace, None, context);
    if orphans.is_empty() {
        return Ok(());
    }
    let api: Api<PlanescapeJob> = Api::namespaced(context.client.clone(), namespace);
    let owner = api
        .get_metadata_opt(&object.name)
        .await
        .map_err(Error::reading("the PlanescapeJob"))?;
    let uid = owner.and_then(|owner| owner.metadata.uid);
    for job in former_jobs(&object.name, namespace, uid.as_deref(), context) {
        let job_uid = job.uid().unwrap_or_default();
        apply::release(&context.client, namespace, &job.name_any(), &job_uid).await?;
    }
    Ok(())
}

/// Lets go what belonged to a former PlanescapeJob of the same name.
pub(super) async fn release_former(job: &PlanescapeJob, context: &Context) -> Result<(), Error> {
    let namespace = super::namespace(job);
    let uid = job.uid();
    for job in former_jobs(&job.name_any(), namespace, uid.as_deref(), context) {
        let job_uid = job.uid().unwrap_or_default();
        apply::release(&context.client, namespace, &job.name_any(), &job_uid).await?;
    }
    Ok(())
}

/// Tracked Jobs that name a PlanescapeJob of this name, but not of this UID, as their owner.
fn former_jobs(
    name: &str,
    namespace: &str,
    uid: Option<&str>,
    context: &Context,
) -> Vec<std::sync::Arc<Job>> {
    let mut jobs = context.jobs.state();
    jobs.retain(|job| {
        let mut owners = job.owner_references().iter();
        job.metadata.namespace.as_deref() == Some(namespace)
            && is_tracked(&job.metadata)
            && owners.any(|owner| {
                owner.kind == "PlanescapeJob"
                    && owner.name == name
                    && Some(owner.uid.as_str()) != uid
            })
    });
    jobs
}

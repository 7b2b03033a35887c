//! Does what a plan says about runs and records, in its order.

use std::time::Instant;

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{DeleteParams, Patch, PatchParams, Preconditions};
use kube::{Api, Client, Resource, ResourceExt as _};
use planescape_operator_core::api::PlanescapeJob;
use planescape_operator_core::api::names::{
    ENDED_ANNOTATION, ENDED_AS_ANNOTATION, LEGACY_JOB_NAME_LABEL, MANAGER, ONCE_STARTED_ANNOTATION,
    RUN_TRACKING_FINALIZER,
};
use planescape_operator_core::job::observed::KnownJob;
use planescape_operator_core::job::plan::{Action, Deletion, Ending, Priority};
use planescape_operator_core::job::status::{Applied, Failure};
use planescape_operator_core::run::Occasion;
use serde::de::DeserializeOwned;
use serde_json::json;

use super::error::Error;
use super::{Attempt, Context, create};
use crate::cluster::gate::Class;

/// Does everything that must be done before the status is written. The first error: a failure keeps
/// nothing else from being tried.
pub(super) async fn apply(
    attempt: &Attempt,
    applied: &mut Applied,
    context: &Context,
) -> Option<Error> {
    let mut trouble = None;
    let mut actions: Vec<&Action> = attempt.plan.actions.iter().collect();
    actions.retain(|action| action.priority() != Priority::Tidy);
    actions.sort_by_key(|action| action.priority());
    for action in actions {
        if let Err(error) = act(attempt, action, context, applied).await {
            if !error.is_conflict() {
                let failure = failure(action, &error);
                applied.failure = applied.failure.take().or(failure);
            }
            trouble = trouble.or(Some(error));
        }
    }
    trouble
}

/// Tells of a failure that keeps runs from starting or ending.
fn failure(action: &Action, error: &Error) -> Option<Failure> {
    let (reason, message) = match action {
        Action::Create { .. } | Action::Rerun { .. } => ("FailedCreate", error.to_string()),
        Action::MarkStarted { .. } => ("FailedMark", error.to_string()),
        Action::Adopt { job, .. } => ("FailedAdopt", format!("Job {job}: {error}")),
        Action::End { job, .. } => ("FailedEnd", format!("Job {job}: {error}")),
        Action::Delete { job, .. } => ("FailedDelete", format!("Job {job}: {error}")),
        Action::Check { .. } | Action::Relabel { .. } | Action::Release { .. } => return None,
    };
    Some(Failure {
        reason,
        message,
        is_lasting: false,
    })
}

/// Does one thing.
pub(super) async fn act(
    attempt: &Attempt,
    action: &Action,
    context: &Context,
    applied: &mut Applied,
) -> Result<(), Error> {
    match action {
        Action::Create { tick } => {
            create::create(attempt, &Occasion::Tick(*tick), context, applied).await
        }
        Action::Rerun { at, request, .. } => {
            let occasion = Occasion::Rerun { at: *at, request };
            create::create(attempt, &occasion, context, applied).await
        }
        Action::Check { tick } => {
            let checked = create::check(attempt, *tick, context).await;
            let (name, version) = (attempt.name(), attempt.version());
            let now = Instant::now();
            context.rechecks.take(name, version, &checked, now);
            applied.checked = Some(checked);
            Ok(())
        }
        Action::Adopt { job, uid } => {
            if adopt(attempt, job, uid, context).await? {
                applied.adopted.push(job.clone());
            }
            Ok(())
        }
        Action::End {
            job,
            uid,
            ending,
            why,
        } => {
            if end(attempt, (job, uid), (*ending, why), context).await? {
                applied.ended.push((job.clone(), *ending, why.clone()));
            }
            Ok(())
        }
        Action::Delete {
            job,
            uid,
            version,
            why,
        } => {
            let as_read = Preconditions {
                uid: Some(uid.clone()),
                resource_version: version.as_deref().map(str::to_owned),
            };
            if delete(attempt, (job, uid), as_read, *why, context).await? {
                applied.deleted.push((job.clone(), *why));
            }
            Ok(())
        }
        Action::Relabel { pod, uid, job } => relabel(attempt, pod, uid, job, context).await,
        Action::MarkStarted { job_uid } => mark_started(attempt, job_uid, context).await,
        Action::Release { job, uid } => {
            let client = context.clients.of(Class::Tidy);
            let released = release(client, &attempt.identity.namespace, job, uid).await?;
            if let Some(known) = released.as_ref().and_then(KnownJob::of) {
                context.kinds.jobs.learn(&known);
            }
            Ok(())
        }
    }
}

/// Takes our finalizer off a Job, and leaves the others; the Job as it is then, unless it is gone.
pub(super) async fn release(
    client: Client,
    namespace: &str,
    job: &str,
    uid: &str,
) -> Result<Option<Job>, Error> {
    let patch = json!({ "metadata": {
        "uid": uid,
        "$deleteFromPrimitiveList/finalizers": [RUN_TRACKING_FINALIZER],
    } });
    let api: Api<Job> = Api::namespaced(client, namespace);
    let result = api
        .patch(job, &PatchParams::default(), &Patch::Strategic(patch))
        .await;
    unless_gone(result, &api, (job, uid), "release a Job").await
}

/// Whether there was something to delete. A Job that is not as it was read is a conflict: it may have ended.
async fn delete(
    attempt: &Attempt,
    (job, uid): (&str, &str),
    as_read: Preconditions,
    why: Deletion,
    context: &Context,
) -> Result<bool, Error> {
    let how = match why {
        Deletion::History => DeleteParams::background(),
        // The Job stays until its pods are gone.
        Deletion::Replace => DeleteParams::foreground(),
    };
    let how = how.preconditions(as_read);
    let class = match why {
        Deletion::History => Class::Tidy,
        Deletion::Replace => Class::Run,
    };
    let client = context.clients.of(class);
    let api: Api<Job> = Api::namespaced(client, &attempt.identity.namespace);
    let result = api.delete(job, &how).await;
    let deleted = unless_gone(result, &api, (job, uid), "delete a Job").await?;
    Ok(deleted.is_some())
}

/// Whether it was still there.
async fn adopt(attempt: &Attempt, job: &str, uid: &str, context: &Context) -> Result<bool, Error> {
    let identity = &attempt.identity;
    let patch = json!({ "metadata": {
        "uid": uid,
        "ownerReferences": [{
            "apiVersion": "planescape.io/v1alpha1",
            "kind": "PlanescapeJob",
            "name": identity.name,
            "uid": identity.uid,
            "controller": true,
            "blockOwnerDeletion": true,
        }],
    } });
    let api: Api<Job> = Api::namespaced(context.clients.of(Class::Run), &identity.namespace);
    let result = api.patch(job, &manager(), &Patch::Strategic(patch)).await;
    let adopted = unless_gone(result, &api, (job, uid), "adopt a Job").await?;
    Ok(adopted.is_some())
}

/// A Job whose time is up is ended by its controller, and says that it failed.
async fn end(
    attempt: &Attempt,
    (job, uid): (&str, &str),
    (ending, why): (Ending, &str),
    context: &Context,
) -> Result<bool, Error> {
    let annotations = json!({ ENDED_ANNOTATION: why, ENDED_AS_ANNOTATION: ending.reason() });
    let is_waiting = attempt
        .observed
        .jobs
        .iter()
        .any(|run| run.uid == uid && run.waits_for_secrets.is_some());
    // The clock of a suspended Job stands still. A Job that is let go without its Secrets must make no pod.
    let spec = if is_waiting {
        json!({ "activeDeadlineSeconds": 1, "suspend": false, "parallelism": 0 })
    } else {
        json!({ "activeDeadlineSeconds": 1 })
    };
    let patch = json!({
        "metadata": { "uid": uid, "annotations": annotations },
        "spec": spec,
    });
    let api: Api<Job> =
        Api::namespaced(context.clients.of(Class::Run), &attempt.identity.namespace);
    let result = api.patch(job, &manager(), &Patch::Merge(patch)).await;
    let ended = unless_gone(result, &api, (job, uid), "end a Job").await?;
    Ok(ended.is_some())
}

async fn mark_started(attempt: &Attempt, job_uid: &str, context: &Context) -> Result<(), Error> {
    let owner = &attempt.identity;
    let patch = json!({ "metadata": {
        "uid": owner.uid,
        "annotations": { ONCE_STARTED_ANNOTATION: format!("{}/{job_uid}", owner.uid) },
    } });
    let client = context.clients.of(Class::Record);
    let api: Api<PlanescapeJob> = Api::namespaced(client, &owner.namespace);
    let result = api
        .patch(&owner.name, &manager(), &Patch::Merge(patch))
        .await;
    unless_gone(
        result,
        &api,
        (&owner.name, &owner.uid),
        "mark a one-time job",
    )
    .await
    .map(|_| ())
}

async fn relabel(
    attempt: &Attempt,
    pod: &str,
    uid: &str,
    job: &str,
    context: &Context,
) -> Result<(), Error> {
    let patch = json!({ "metadata": { "uid": uid, "labels": { LEGACY_JOB_NAME_LABEL: job } } });
    let api: Api<Pod> =
        Api::namespaced(context.clients.of(Class::Tidy), &attempt.identity.namespace);
    let result = api.patch(pod, &manager(), &Patch::Merge(patch)).await;
    unless_gone(result, &api, (pod, uid), "relabel a pod")
        .await
        .map(|_| ())
}

fn manager() -> PatchParams {
    PatchParams {
        field_manager: Some(MANAGER.to_owned()),
        ..PatchParams::default()
    }
}

/// An object that is gone, or has another UID by now, needs nothing any more. A conflict alone does not say so.
async fn unless_gone<T, K>(
    result: kube::Result<T>,
    api: &Api<K>,
    (name, uid): (&str, &str),
    what: &'static str,
) -> Result<Option<T>, Error>
where
    K: Resource + Clone + std::fmt::Debug + DeserializeOwned,
{
    match result {
        Ok(done) => Ok(Some(done)),
        Err(kube::Error::Api(status)) if status.is_not_found() => Ok(None),
        Err(kube::Error::Api(status)) if status.is_conflict() => {
            let live = api.get_metadata_opt(name).await;
            let live = live.map_err(Error::reading("an object"))?;
            match live {
                Some(live) if live.uid().as_deref() == Some(uid) => {
                    Err(Error::writing(what)(kube::Error::Api(status)))
                }
                Some(_) | None => Ok(None),
            }
        }
        Err(error) => Err(Error::writing(what)(error)),
    }
}

#[cfg(test)]
mod tests {
    use http::{Request, Response};
    use kube::client::Body;

    use super::*;

    #[tokio::test]
    async fn a_conflict_says_that_an_object_is_gone_only_where_its_name_is_anothers() {
        assert!(after_a_conflict("mine").await.is_err());
        assert!(matches!(after_a_conflict("anothers").await, Ok(None)));
    }

    /// The result of a change of `mine` that meets a conflict, while an object of this UID bears the name.
    async fn after_a_conflict(uid: &'static str) -> Result<Option<Job>, Error> {
        let server = tower::service_fn(move |_: Request<Body>| async move {
            let found = json!({
                "apiVersion": "meta.k8s.io/v1", "kind": "PartialObjectMetadata",
                "metadata": { "name": "job", "uid": uid },
            });
            let body = serde_json::to_vec(&found).expect("JSON is JSON");
            Ok::<_, std::convert::Infallible>(Response::new(Body::from(body)))
        });
        let api: Api<Job> = Api::namespaced(Client::new(server, "team"), "team");
        let conflict = kube::core::Status::failure("somebody was quicker", "Conflict");
        let conflict = kube::Error::Api(conflict.with_code(409).boxed());
        unless_gone(Err(conflict), &api, ("job", "mine"), "adopt a Job").await
    }
}

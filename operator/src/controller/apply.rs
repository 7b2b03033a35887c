//! Does what a plan says, in its order.

use http::Uri;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{DeleteParams, Patch, PatchParams, Preconditions, Request};
use kube::core::Status;
use kube::{Api, Client, Resource, ResourceExt as _};
use planescape_operator_core::api::names::{
    LEGACY_JOB_NAME_LABEL, MANAGER, ONCE_STARTED_ANNOTATION, RUN_TRACKING_FINALIZER,
};
use planescape_operator_core::api::v1alpha1::ONCE;
use planescape_operator_core::job::observed::is_owned_by;
use planescape_operator_core::job::plan::{Action, Deletion};
use planescape_operator_core::job::status::{Applied, Failure, Started};
use serde_json::{Value, json};

use super::error_policy::Error;
use super::{Context, Turn, namespace, post_params};

/// What was done, and the first thing that could not be. One failure keeps nothing else from
/// being tried: a run must start even if an older one cannot be tidied up.
pub(super) async fn apply(turn: &Turn, context: &Context) -> (Applied, Option<Error>) {
    let mut applied = Applied::default();
    let mut trouble = None;
    for action in &turn.plan.actions {
        if let Err(error) = act(turn, action, context, &mut applied).await {
            tracing::warn!(job = turn.job.name_any(), "{error}");
            trouble = trouble.or(Some(error));
        }
    }
    (applied, trouble)
}

async fn act(
    turn: &Turn,
    action: &Action,
    context: &Context,
    applied: &mut Applied,
) -> Result<(), Error> {
    match action {
        Action::Create { job, tick } => create(turn, job, *tick, context, applied).await,
        Action::Delete { job, uid, why } => {
            if delete(turn, job, uid, *why, context).await? {
                applied.deleted.push((job.clone(), *why));
            }
            Ok(())
        }
        Action::Relabel { pod, uid, job } => relabel(turn, pod, uid, job, context).await,
        Action::MarkStarted { job_uid } => mark_started(turn, job_uid, context).await,
        Action::Release { job, uid } => {
            release(&context.client, namespace(&turn.job), job, uid).await
        }
    }
}

/// Takes our finalizer off a Job, whatever others it bears.
pub(super) async fn release(
    client: &Client,
    namespace: &str,
    job: &str,
    uid: &str,
) -> Result<(), Error> {
    let patch = json!({ "metadata": {
        "uid": uid,
        "$deleteFromPrimitiveList/finalizers": [RUN_TRACKING_FINALIZER],
    } });
    let api: Api<Job> = Api::namespaced(client.clone(), namespace);
    let result = api
        .patch(job, &PatchParams::default(), &Patch::Strategic(patch))
        .await;
    unless_gone(result, "release a Job").map(|_| ())
}

async fn create(
    turn: &Turn,
    job: &Value,
    tick: jiff::Timestamp,
    context: &Context,
    applied: &mut Applied,
) -> Result<(), Error> {
    let namespace = namespace(&turn.job);
    let created = match context
        .client
        .request::<Job>(request(namespace, job)?)
        .await
    {
        Ok(created) => created,
        Err(kube::Error::Api(status)) if status.is_already_exists() => {
            let name = job["metadata"]["name"].as_str().unwrap_or_default();
            match existing(turn, name, context).await? {
                Some(ours) => ours,
                None => {
                    settle_conflict(turn, name, tick, applied);
                    return Ok(());
                }
            }
        }
        Err(kube::Error::Api(status)) if is_refusal(&status) => {
            if !is_namespace_going(&status) {
                applied.failure = Some(refusal(&status));
            }
            return Ok(());
        }
        Err(error) => return Err(Error::writing("create a Job")(error)),
    };
    tracing::info!(job = created.name_any(), namespace, %tick, "created a Job");
    applied.started = Some(Started {
        name: created.name_any(),
        uid: created.uid().unwrap_or_default(),
        tick,
    });
    Ok(())
}

/// Strict, because a field that we keep and the API server does not know is a typing mistake.
fn request(namespace: &str, job: &Value) -> Result<http::Request<Vec<u8>>, Error> {
    let body = serde_json::to_vec(job).expect("JSON is JSON");
    let url = Job::url_path(&(), Some(namespace));
    let mut request = Request::new(url)
        .create(&post_params(), body)
        .map_err(|error| Error::writing("create a Job")(kube::Error::BuildRequest(error)))?;
    let strict = format!("{}&fieldValidation=Strict", request.uri());
    *request.uri_mut() = Uri::try_from(strict).expect("a query is added to a valid path");
    Ok(request)
}

/// The Job that bears the name, if it is ours: an earlier attempt has succeeded unseen.
async fn existing(turn: &Turn, name: &str, context: &Context) -> Result<Option<Job>, Error> {
    let api: Api<Job> = Api::namespaced(context.client.clone(), namespace(&turn.job));
    let existing = api.get(name).await.map_err(Error::reading("a Job"))?;
    let uid = turn.job.uid().unwrap_or_default();
    if is_owned_by(&existing.metadata, &uid) {
        return Ok(Some(existing));
    }
    let mut owners = existing.owner_references().iter();
    let was_ours = owners.any(|it| it.kind == "PlanescapeJob" && it.name == turn.job.name_any());
    if was_ours {
        return Err(Error::NotGoneYet(name.to_owned()));
    }
    Ok(None)
}

/// A tick passes; a one-time run waits until the name is free.
fn settle_conflict(turn: &Turn, name: &str, tick: jiff::Timestamp, applied: &mut Applied) {
    if turn.job.spec.schedule == ONCE {
        applied.failure = Some(Failure {
            reason: "NameConflict",
            message: format!("Job {name} exists and belongs to somebody else"),
        });
    } else {
        applied.conflict = Some(tick);
    }
}

/// Whether trying again is of no use before somebody changes something: not so when the API server
/// was too slow (408), too busy (429), or somebody else, such as a quota's controller, was quicker
/// (409).
fn is_refusal(status: &Status) -> bool {
    (400..500).contains(&status.code) && !matches!(status.code, 408 | 409 | 429)
}

/// What the API server says, with the paths of a PlanescapeJob.
fn refusal(status: &Status) -> Failure {
    let causes = status.details.iter().flat_map(|details| &details.causes);
    let causes: Vec<String> = causes
        .filter(|cause| cause.field.starts_with("spec."))
        .map(|cause| format!("spec.jobTemplate.{}: {}", cause.field, cause.message))
        .collect();
    Failure {
        reason: "FailedCreate",
        message: if causes.is_empty() {
            status.message.clone()
        } else {
            causes.join("\n")
        },
    }
}

fn is_namespace_going(status: &Status) -> bool {
    let mut causes = status.details.iter().flat_map(|details| &details.causes);
    causes.any(|cause| cause.reason == "NamespaceTerminating")
}

/// Whether there was something to delete.
async fn delete(
    turn: &Turn,
    job: &str,
    uid: &str,
    why: Deletion,
    context: &Context,
) -> Result<bool, Error> {
    let how = match why {
        Deletion::History => DeleteParams::background(),
        // The Job stays until its pods are gone.
        Deletion::Replace => DeleteParams::foreground(),
    };
    let how = how.preconditions(Preconditions {
        uid: Some(uid.to_owned()),
        ..Preconditions::default()
    });
    let api: Api<Job> = Api::namespaced(context.client.clone(), namespace(&turn.job));
    let deleted = unless_gone(api.delete(job, &how).await, "delete a Job")?;
    Ok(deleted.is_some())
}

async fn mark_started(turn: &Turn, job_uid: &str, context: &Context) -> Result<(), Error> {
    let patch = json!({ "metadata": {
        "uid": turn.job.uid(),
        "annotations": { ONCE_STARTED_ANNOTATION: job_uid },
    } });
    let result = turn
        .planescape_jobs(&context.client)
        .patch(&turn.job.name_any(), &manager(), &Patch::Merge(patch))
        .await;
    unless_gone(result, "mark a one-time job").map(|_| ())
}

async fn relabel(
    turn: &Turn,
    pod: &str,
    uid: &str,
    job: &str,
    context: &Context,
) -> Result<(), Error> {
    let patch = json!({ "metadata": { "uid": uid, "labels": { LEGACY_JOB_NAME_LABEL: job } } });
    let api: Api<Pod> = Api::namespaced(context.client.clone(), namespace(&turn.job));
    let result = api.patch(pod, &manager(), &Patch::Merge(patch)).await;
    unless_gone(result, "relabel a pod").map(|_| ())
}

fn manager() -> PatchParams {
    PatchParams {
        field_manager: Some(MANAGER.to_owned()),
        ..PatchParams::default()
    }
}

/// What is gone, or has another UID by now, needs nothing any more.
fn unless_gone<T>(result: kube::Result<T>, what: &'static str) -> Result<Option<T>, Error> {
    match result {
        Ok(done) => Ok(Some(done)),
        Err(kube::Error::Api(status)) if status.is_not_found() || status.is_conflict() => Ok(None),
        Err(error) => Err(Error::writing(what)(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_no_passing_trouble_for_a_refusal() {
        let is_refused = |code: u16| {
            is_refusal(&Status {
                code,
                ..Status::default()
            })
        };

        assert!([400, 403, 404, 422].into_iter().all(is_refused));
        assert!(![408, 409, 429, 500, 503].into_iter().any(is_refused));
    }
}

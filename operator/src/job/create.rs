//! Makes the Job of a run, or asks whether it would be taken.

use http::Uri;
use jiff::Timestamp;
use k8s_openapi::api::batch::v1::Job;
use kube::api::{PostParams, Request};
use kube::core::Status;
use kube::{Api, Client, Resource as _, ResourceExt as _};
use planescape_operator_core::api::v1alpha1::ONCE;
use planescape_operator_core::job::identity::Identity;
use planescape_operator_core::job::observed::KnownJob;
use planescape_operator_core::job::plan::RefusedRerun;
use planescape_operator_core::job::status::{Applied, Checked, Failure, Started, Taken};
use planescape_operator_core::run::{self, Occasion};
use serde_json::Value;

use super::error::Error;
use super::{Attempt, Context, post_params};
use crate::cluster::gate::Class;

/// Starts a run. The status tells of a failure, unless somebody was quicker and the next attempt is due at once.
pub(super) async fn create(
    attempt: &Attempt,
    occasion: &Occasion<'_>,
    context: &Context,
    applied: &mut Applied,
) -> Result<(), Error> {
    let Some(job) = built(attempt, occasion) else {
        return Ok(());
    };
    let created = match post_in_turn(attempt, (occasion, &job), context).await {
        Ok(created) => created,
        Err(error) if error.is_already_exists() => {
            let name = job["metadata"]["name"].as_str().unwrap_or_default();
            match existing(attempt, name, context).await? {
                Some(ours) => ours,
                None => {
                    settle_conflict(attempt, name, occasion, applied);
                    return Ok(());
                }
            }
        }
        Err(error) => {
            if error.status().is_none() && !error.is_conflict() {
                let name = job["metadata"]["name"].as_str().unwrap_or_default();
                context.begun.keep_unanswered(attempt.name(), name);
            }
            return refused(attempt, error, (occasion, &job), applied);
        }
    };
    if let Some(known) = KnownJob::of(&created) {
        context.kinds.jobs.expect(&known);
    }
    let (tick, rerun) = match occasion {
        Occasion::Tick(tick) => (*tick, None),
        Occasion::Rerun { at, request } => (
            *at,
            Some(run::rerun_id(&attempt.identity.uid, &request.token)),
        ),
    };
    let late = match occasion {
        Occasion::Tick(_) => attempt.lateness(tick),
        // It starts when it may.
        Occasion::Rerun { .. } => None,
    };
    context.metrics.created(late);
    let namespace = &attempt.identity.namespace;
    tracing::info!(job = created.name_any(), namespace, %tick, "created a Job");
    applied.started = Some(Started {
        name: created.name_any(),
        uid: created.uid().unwrap_or_default(),
        tick,
        rerun,
    });
    Ok(())
}

fn refused(
    attempt: &Attempt,
    error: Error,
    (occasion, job): (&Occasion<'_>, &Value),
    applied: &mut Applied,
) -> Result<(), Error> {
    let status = error.status();
    if status.is_some_and(is_namespace_going) {
        return Ok(());
    }
    if error.is_conflict() {
        return Err(error);
    }
    let is_refusal = status.is_some_and(is_refusal);
    let is_lasting = status.is_some_and(is_invalid);
    let message = match status {
        Some(status) => told(attempt, status, job),
        None => error.to_string(),
    };
    if let Occasion::Rerun { request, .. } = occasion
        && is_lasting
    {
        // It may be the request's own arguments that are wrong: the runs of the schedule know nothing of them.
        let id = run::rerun_id(&attempt.identity.uid, &request.token);
        applied.refused_rerun = Some(RefusedRerun::by_the_api_server(id, &message));
        return Ok(());
    }
    applied.failure = Some(Failure {
        reason: "FailedCreate",
        message,
        is_lasting,
    });
    // A run that was not refused is tried again soon.
    if is_refusal { Ok(()) } else { Err(error) }
}

/// The Job, of a PlanescapeJob that was read as a whole and can run.
fn built(attempt: &Attempt, occasion: &Occasion<'_>) -> Option<Value> {
    let validated = attempt.validated.as_ref().ok()?;
    Some(run::build(validated, attempt.material.as_ref()?, occasion))
}

/// The API server's answer to a dry run of a Job.
pub(super) async fn check(attempt: &Attempt, tick: Timestamp, context: &Context) -> Checked {
    let Some(job) = &built(attempt, &Occasion::Tick(tick)) else {
        return Checked::Unknown("the template was not read".to_owned());
    };
    let client = context.clients.of(Class::Tidy);
    let error = match post(attempt, job, true, &client).await {
        Ok(_) => return Checked::Accepted,
        // Names are looked at last.
        Err(error) if error.is_already_exists() => return Checked::Accepted,
        Err(error) => error,
    };
    let Some(status) = error.status() else {
        return Checked::Unknown(error.to_string());
    };
    let message = told(attempt, status, job);
    // A webhook may refuse to be asked, and a quota may be free when the run is due.
    let is_unanswered = message.contains("dry run") || message.contains("exceeded quota");
    if is_unanswered || !is_refusal(status) {
        Checked::Unknown(message)
    } else if is_invalid(status) {
        Checked::Invalid(message)
    } else {
        Checked::Refused(message)
    }
}

/// Posts the Job in its turn, which may take some time. A PlanescapeJob that was suspended, edited or deleted meanwhile
/// starts no run, nor does an instant that is too late by then.
async fn post_in_turn(
    attempt: &Attempt,
    (occasion, job): (&Occasion<'_>, &Value),
    context: &Context,
) -> Result<Job, Error> {
    let identity = &attempt.identity;
    let turn = context.clients.turn(Class::Run, &identity.namespace);
    let (_slot, client) = turn.await;
    let place = (identity.namespace.clone(), identity.name.clone());
    let known = context.kinds.planescape_jobs.get(&place);
    if known.is_none_or(|known| known.outdates(&attempt.job)) {
        return Err(Error::Outdated);
    }
    if let Occasion::Tick(tick) = occasion
        && !attempt.may_still_start(*tick)
    {
        return Err(Error::Outdated);
    }
    post(attempt, job, false, &client).await
}

async fn post(attempt: &Attempt, job: &Value, is_dry: bool, client: &Client) -> Result<Job, Error> {
    let request = request(&attempt.identity.namespace, job, is_dry)?;
    let posted = client.request::<Job>(request).await;
    posted.map_err(Error::writing("create a Job"))
}

/// Strict, because a field that we keep and the API server does not know is a typing mistake.
fn request(namespace: &str, job: &Value, is_dry: bool) -> Result<http::Request<Vec<u8>>, Error> {
    let body = serde_json::to_vec(job).expect("JSON is JSON");
    let url = Job::url_path(&(), Some(namespace));
    let parameters = PostParams {
        dry_run: is_dry,
        ..post_params()
    };
    let mut request = Request::new(url)
        .create(&parameters, body)
        .map_err(|error| Error::writing("create a Job")(kube::Error::BuildRequest(error)))?;
    let strict = format!("{}&fieldValidation=Strict", request.uri());
    *request.uri_mut() = Uri::try_from(strict).expect("a query is added to a valid path");
    Ok(request)
}

/// The Job that bears the name, if it is ours: an earlier attempt has succeeded unseen.
async fn existing(attempt: &Attempt, name: &str, context: &Context) -> Result<Option<Job>, Error> {
    let client = context.clients.of(Class::Run);
    let api: Api<Job> = Api::namespaced(client, &attempt.identity.namespace);
    let existing = api.get(name).await.map_err(Error::reading("a Job"))?;
    if attempt.identity.owns(&existing.metadata) {
        return Ok(Some(existing));
    }
    let former = Identity::of_owner(&existing.metadata);
    if former.is_some_and(|former| former.name == attempt.identity.name) {
        return Err(Error::NotGoneYet(name.to_owned()));
    }
    Ok(None)
}

/// A tick passes; a one-time run waits until the name is free.
fn settle_conflict(attempt: &Attempt, name: &str, occasion: &Occasion<'_>, applied: &mut Applied) {
    match occasion {
        Occasion::Tick(tick) if attempt.job.spec.schedule != ONCE => {
            applied.conflict = Some(Taken {
                tick: *tick,
                job: name.to_owned(),
            });
        }
        Occasion::Tick(_) | Occasion::Rerun { .. } => {
            applied.failure = Some(Failure {
                reason: "NameConflict",
                message: format!(
                    "Job {name} exists and belongs to somebody else: delete or rename it"
                ),
                is_lasting: false,
            });
        }
    }
}

/// Whether trying again is of no use before somebody changes something: not so when the API server
/// was too slow (408), too busy (429), or somebody else, such as a quota's controller, was quicker
/// (409).
fn is_refusal(status: &Status) -> bool {
    (400..500).contains(&status.code) && !matches!(status.code, 408 | 409 | 429)
}

/// Whether the same Job will never be taken: a field of it is wrong, or it cannot be read. Policies and webhooks answer with
/// the same codes, and may think better of it.
fn is_invalid(status: &Status) -> bool {
    let mut causes = status.details.iter().flat_map(|details| &details.causes);
    let is_field = |field: &str| field.starts_with("spec.") || field.starts_with("metadata.");
    let names_a_field = causes.any(|cause| is_field(&cause.field));
    let is_unread = status.message.contains("cannot be handled as a Job");
    matches!(status.code, 400 | 422) && (names_a_field || is_unread)
}

/// The API server's message, with the paths of a PlanescapeJob, and without the values of the Job.
fn told(attempt: &Attempt, status: &Status, job: &Value) -> String {
    let comes_first = attempt.validated.as_ref().is_ok_and(|validated| {
        let agent = validated.agent.as_ref();
        agent.is_some_and(|agent| agent.comes_first)
    });
    let causes = status.details.iter().flat_map(|details| &details.causes);
    let causes: Vec<String> = causes
        .filter(|cause| cause.field.starts_with("spec."))
        .map(|cause| {
            let field = run::written_at(&cause.field, comes_first);
            format!("{field}: {}", cause.message)
        })
        .collect();
    let message = if causes.is_empty() {
        status.message.clone()
    } else {
        causes.join("\n")
    };
    run::without_values(&message, job)
}

fn is_namespace_going(status: &Status) -> bool {
    let mut causes = status.details.iter().flat_map(|details| &details.causes);
    causes.any(|cause| cause.reason == "NamespaceTerminating")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

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

    #[test]
    fn takes_no_policys_word_for_the_last_one() {
        let is_lasting = |code: u16, message: &str, causes: &[&str]| {
            let causes: Vec<_> = causes
                .iter()
                .map(|field| json!({ "field": field }))
                .collect();
            let status =
                json!({ "code": code, "message": message, "details": { "causes": causes } });
            is_invalid(&serde_json::from_value(status).unwrap())
        };
        let unknown = "Job in version \"v1\" cannot be handled as a Job: strict decoding error: unknown field \"spec.x\"";

        assert!(is_lasting(
            422,
            "Job is invalid",
            &["spec.template.spec.containers[0].image"]
        ));
        assert!(is_lasting(422, "Job is invalid", &["metadata.annotations"]));
        assert!(is_lasting(400, unknown, &[]));
        let policy =
            "ValidatingAdmissionPolicy 'no-team' with binding 'no-team' denied request: no";
        for (code, causes) in [(422, &[""][..]), (422, &[]), (400, &[])] {
            assert!(!is_lasting(code, policy, causes), "{code}");
        }
        assert!(!is_lasting(403, "forbidden", &["spec.x"]));
    }
}

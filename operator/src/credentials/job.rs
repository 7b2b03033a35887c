//! Writes on the Job of a run.

use k8s_openapi::api::batch::v1::Job;
use kube::Api;
use kube::api::{Patch, PatchParams};
use planescape_agent_contract::Report;
use planescape_operator_core::api::names::{
    CREDENTIALS_ANNOTATION, KUEUE_LABEL, LEASE_FINALIZER, REVOKED_ANNOTATION_PREFIX,
    SUPPLIED_ANNOTATION,
};
use planescape_operator_core::credentials::left::{Left, Revocation};
use planescape_operator_core::credentials::run::{Lock, Run};
use serde_json::{Value, json};

use crate::cluster::client::Clients;
use crate::cluster::gate::Class;

/// Makes the Job stay until its lease is revoked.
pub(super) async fn claim(clients: &Clients, run: &Run) -> kube::Result<Option<Job>> {
    let change = json!({ "metadata": { "finalizers": [LEASE_FINALIZER] } });
    patch(clients, run, Class::Run, change).await
}

/// Lets the Job go.
pub(super) async fn release(clients: &Clients, run: &Run) -> kube::Result<Option<Job>> {
    let change =
        json!({ "metadata": { "$deleteFromPrimitiveList/finalizers": [LEASE_FINALIZER] } });
    let released = patch(clients, run, Class::Record, change).await;
    match released {
        Err(error) if is_never_taken(&error) || is_forbidden(&error) => {
            let client = clients.of(Class::Record);
            let api = Api::namespaced(client, &run.owner.namespace);
            unless_free(error, &api, target(run)).await
        }
        released => released,
    }
}

/// A Job that has lost label, owner and finalizer is none of ours, and a policy keeps us from writing on it: that it is free is
/// all that was wanted.
async fn unless_free(
    refused: kube::Error,
    api: &Api<Job>,
    target: Target<'_>,
) -> kube::Result<Option<Job>> {
    let live = api.get_metadata_opt(target.name).await?;
    let is_held = live.is_some_and(|live| {
        let is_same = live.metadata.uid.as_deref() == Some(target.uid);
        let mut finalizers = live.metadata.finalizers.iter().flatten();
        is_same && finalizers.any(|it| it == LEASE_FINALIZER)
    });
    if is_held { Err(refused) } else { Ok(None) }
}

/// Lets the Job have pods; if a queue decides when, hands it over to the queue.
pub(super) async fn let_go(
    clients: &Clients,
    run: &Run,
    report: &Report,
) -> kube::Result<Option<Job>> {
    let mut change = told(report);
    change["metadata"]["annotations"][SUPPLIED_ANNOTATION] = json!("true");
    match &run.lock {
        Lock::Suspended => change["spec"] = json!({ "suspend": false }),
        Lock::Queue(queue) => change["metadata"]["labels"] = json!({ KUEUE_LABEL: queue }),
        Lock::Open => {}
    }
    patch(clients, run, Class::Run, change).await
}

/// Tells what the status says.
pub(super) async fn tell(
    clients: &Clients,
    run: &Run,
    report: &Report,
) -> kube::Result<Option<Job>> {
    patch(clients, run, Class::Record, told(report)).await
}

/// Whether the API server refuses what is written itself, such as annotations that others have filled up.
pub(super) fn is_never_taken(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if matches!(status.code, 413 | 422))
}

/// Whether the API server forbids us to write on the Job. Its passing failures do not count.
pub(super) fn is_forbidden(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.is_forbidden())
}

/// Tells what became of the tokens that the agent of a pod has left, if the Job is still there.
pub(super) async fn tell_revocation(
    clients: &Clients,
    left: &Left,
    outcome: &Revocation,
) -> kube::Result<()> {
    let text = serde_json::to_string(outcome).expect("an outcome is plain data");
    let key = format!("{REVOKED_ANNOTATION_PREFIX}{}", left.pod);
    let change = json!({ "metadata": { "annotations": { key: text } } });
    let job = Target {
        namespace: &left.namespace,
        name: &left.job,
        uid: &left.job_uid,
    };
    change_job(clients, job, Class::Record, change)
        .await
        .map(drop)
}

fn told(report: &Report) -> Value {
    let report = serde_json::to_string(report).expect("a report is plain data");
    json!({ "metadata": { "annotations": { CREDENTIALS_ANNOTATION: report } } })
}

async fn patch(
    clients: &Clients,
    run: &Run,
    class: Class,
    change: Value,
) -> kube::Result<Option<Job>> {
    change_job(clients, target(run), class, change).await
}

fn target(run: &Run) -> Target<'_> {
    Target {
        namespace: &run.owner.namespace,
        name: &run.job,
        uid: &run.uid,
    }
}

/// A Job, which may be gone.
#[derive(Clone, Copy)]
struct Target<'a> {
    namespace: &'a str,
    name: &'a str,
    uid: &'a str,
}

/// The Job as it is then; none where it is gone, or another one has its name.
async fn change_job(
    clients: &Clients,
    target: Target<'_>,
    class: Class,
    mut change: Value,
) -> kube::Result<Option<Job>> {
    change["metadata"]["uid"] = json!(target.uid);
    let api: Api<Job> = Api::namespaced(clients.of(class), target.namespace);
    let parameters = PatchParams::default();
    let change = Patch::Strategic(change);
    match api.patch(target.name, &parameters, &change).await {
        Ok(job) => Ok(Some(job)),
        Err(kube::Error::Api(status)) if status.is_not_found() => Ok(None),
        Err(kube::Error::Api(status)) if status.is_conflict() => {
            let live = api.get_metadata_opt(target.name).await?;
            match live.and_then(|live| live.metadata.uid) {
                Some(uid) if uid == target.uid => Err(kube::Error::Api(status)),
                Some(_) | None => Ok(None),
            }
        }
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use http::{Request, Response};
    use kube::Client;
    use kube::client::Body;

    use super::*;

    #[tokio::test]
    async fn a_job_that_nobody_may_write_on_is_let_go_only_where_nobody_holds_it() {
        let held = json!({ "uid": "mine", "finalizers": ["foregroundDeletion", LEASE_FINALIZER] });
        let free = json!({ "uid": "mine", "finalizers": ["foregroundDeletion"] });
        let anothers = json!({ "uid": "anothers", "finalizers": [LEASE_FINALIZER] });

        assert!(after_a_refusal(held).await.is_err());
        assert!(matches!(after_a_refusal(free).await, Ok(None)));
        assert!(matches!(after_a_refusal(anothers).await, Ok(None)));
    }

    /// The result of a refused release of `mine`, while the Job of that name is like this.
    async fn after_a_refusal(mut metadata: Value) -> kube::Result<Option<Job>> {
        metadata["name"] = json!("job");
        let found = json!({
            "apiVersion": "meta.k8s.io/v1", "kind": "PartialObjectMetadata", "metadata": metadata,
        });
        let body = serde_json::to_vec(&found).unwrap();
        let server = tower::service_fn(move |_: Request<Body>| {
            let answer = Response::new(Body::from(body.clone()));
            async move { Ok::<_, std::convert::Infallible>(answer) }
        });
        let api: Api<Job> = Api::namespaced(Client::new(server, "team"), "team");
        let refused = kube::core::Status::failure("changes only Jobs that it holds", "Invalid");
        let refused = kube::Error::Api(refused.with_code(422).boxed());
        let target = Target {
            namespace: "team",
            name: "job",
            uid: "mine",
        };
        unless_free(refused, &api, target).await
    }

    #[test]
    fn what_the_api_server_cannot_answer_just_now_is_asked_again() {
        let error = |code: u16, reason: &str| {
            let status = kube::core::Status::failure("no", reason);
            kube::Error::Api(status.with_code(code).boxed())
        };

        assert!(is_forbidden(&error(403, "Forbidden")));
        assert!(is_never_taken(&error(422, "Invalid")));
        for (code, reason) in [
            (401, "Unauthorized"),
            (409, "Conflict"),
            (429, "TooManyRequests"),
            (500, "InternalError"),
            (503, "ServiceUnavailable"),
            (504, "Timeout"),
        ] {
            let passing = error(code, reason);
            assert!(
                !is_forbidden(&passing) && !is_never_taken(&passing),
                "{code}"
            );
        }
    }
}

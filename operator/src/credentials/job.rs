//! What is written on the Job of a run.

use k8s_openapi::api::batch::v1::Job;
use kube::Api;
use kube::api::{Patch, PatchParams};
use planescape_agent_contract::Report;
use planescape_operator_core::api::names::{
    CREDENTIALS_ANNOTATION, LEASE_FINALIZER, SUPPLIED_ANNOTATION,
};
use planescape_operator_core::credentials::run::Run;
use serde_json::{Value, json};

use super::record::within;
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
    patch(clients, run, Class::Record, change).await
}

/// Lets the Job have pods.
pub(super) async fn let_go(
    clients: &Clients,
    run: &Run,
    report: &Report,
) -> kube::Result<Option<Job>> {
    let mut change = told(report);
    change["metadata"]["annotations"][SUPPLIED_ANNOTATION] = json!("true");
    change["spec"] = json!({ "suspend": false });
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

fn told(report: &Report) -> Value {
    let report = serde_json::to_string(report).expect("a report is plain data");
    json!({ "metadata": { "annotations": { CREDENTIALS_ANNOTATION: report } } })
}

/// The Job as it is then; none where it is gone, or another one has its name.
async fn patch(
    clients: &Clients,
    run: &Run,
    class: Class,
    mut change: Value,
) -> kube::Result<Option<Job>> {
    change["metadata"]["uid"] = json!(run.uid);
    let api: Api<Job> = Api::namespaced(clients.of(class), &run.owner.namespace);
    let parameters = PatchParams::default();
    let change = Patch::Strategic(change);
    match within(api.patch(&run.job, &parameters, &change)).await {
        Ok(job) => Ok(Some(job)),
        Err(kube::Error::Api(status)) if status.is_not_found() => Ok(None),
        Err(kube::Error::Api(status)) if status.is_conflict() => {
            let live = within(api.get_metadata_opt(&run.job)).await?;
            match live.and_then(|live| live.metadata.uid) {
                Some(uid) if uid == run.uid => Err(kube::Error::Api(status)),
                Some(_) | None => Ok(None),
            }
        }
        Err(error) => Err(error),
    }
}

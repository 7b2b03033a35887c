//! The Secrets of a run.

use std::collections::BTreeMap;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use kube::Api;
use planescape_operator_core::api::names::{
    JOB_LABEL, MANAGED_BY_LABEL, MANAGER, SECRET_NAME_ANNOTATION,
};
use planescape_operator_core::credentials::OrderedSecret;
use planescape_operator_core::credentials::content::Contents;
use planescape_operator_core::credentials::run::Run;

use crate::cluster::client::Clients;
use crate::cluster::gate::Class;
use crate::job::post_params;

/// The owner of a Secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    Nothing,
    Ours,
    Foreign,
}

/// Looks for a Secret of a run, by name, without what it holds.
pub(super) async fn look(
    clients: &Clients,
    run: &Run,
    ordered: &OrderedSecret,
) -> kube::Result<Found> {
    let api = api(clients, run);
    let name = ordered.name_for(&run.job);
    let Some(found) = api.get_metadata_opt(&name).await? else {
        return Ok(Found::Nothing);
    };
    let is_going = found.metadata.deletion_timestamp.is_some();
    let labels = found.metadata.labels.unwrap_or_default();
    let is_labelled = labels.get(MANAGED_BY_LABEL).is_some_and(|it| it == MANAGER);
    let mut owners = found.metadata.owner_references.into_iter().flatten();
    let is_owned = owners.any(|owner| owner.kind == "Job" && owner.uid == run.uid);
    Ok(match (is_labelled && is_owned, is_going) {
        (false, _) => Found::Foreign,
        (true, true) => Found::Nothing,
        (true, false) => Found::Ours,
    })
}

/// Creates a Secret of a run: of no type that means anything, and owned by the Job. Whether the name was free.
pub(super) async fn create(
    clients: &Clients,
    run: &Run,
    ordered: &OrderedSecret,
    contents: &Contents,
) -> kube::Result<bool> {
    let data = contents.iter();
    let data = data.map(|(key, value)| (key.clone(), ByteString(value.to_vec())));
    let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
    let secret = Secret {
        metadata: ObjectMeta {
            name: Some(ordered.name_for(&run.job)),
            labels: Some(BTreeMap::from([
                pair(MANAGED_BY_LABEL, MANAGER),
                pair(JOB_LABEL, &run.owner.name),
            ])),
            annotations: Some(BTreeMap::from([pair(
                SECRET_NAME_ANNOTATION,
                &ordered.secret_name,
            )])),
            owner_references: Some(vec![OwnerReference {
                api_version: "batch/v1".to_owned(),
                kind: "Job".to_owned(),
                name: run.job.clone(),
                uid: run.uid.clone(),
                controller: Some(true),
                block_owner_deletion: Some(false),
            }]),
            ..ObjectMeta::default()
        },
        immutable: Some(true),
        data: Some(data.collect()),
        type_: Some("Opaque".to_owned()),
        ..Secret::default()
    };
    let api = api(clients, run);
    match api.create(&post_params(), &secret).await {
        Ok(_) => Ok(true),
        Err(kube::Error::Api(status)) if status.is_already_exists() => Ok(false),
        Err(error) => Err(error),
    }
}

fn api(clients: &Clients, run: &Run) -> Api<Secret> {
    Api::namespaced(clients.of(Class::Run), &run.owner.namespace)
}

//! Jobs that are held, and that somebody has taken our label off while no program saw it: the watch shows none of them.

use std::time::Duration;

use k8s_openapi::api::batch::v1::Job;
use kube::ResourceExt as _;
use kube::api::ListParams;
use planescape_operator_core::api::names::{
    CREDENTIALS_LABEL, LEASE_FINALIZER, MANAGED_BY_LABEL, MANAGER,
};
use tracing::warn;

use crate::cluster::client::scoped;
use crate::credentials::Program;

const PAGE: u32 = 100;
const SHORTEST_RETRY: Duration = Duration::from_secs(1);
const LONGEST_RETRY: Duration = Duration::from_secs(60);

/// Finds them, however often that takes.
pub(super) async fn find(program: &Program, scope: Option<&str>) -> Vec<Job> {
    let mut wait = SHORTEST_RETRY;
    loop {
        match list(program, scope).await {
            Ok(jobs) => return jobs,
            Err(error) => warn!(retry = ?wait, "cannot look for Jobs that lost our label: {error}"),
        }
        tokio::time::sleep(wait).await;
        wait = (wait * 2).min(LONGEST_RETRY);
    }
}

async fn list(program: &Program, scope: Option<&str>) -> kube::Result<Vec<Job>> {
    let api = scoped::<Job>(program.clients.for_lists(), scope);
    let unlabelled = format!("{MANAGED_BY_LABEL}={MANAGER},{CREDENTIALS_LABEL}!=true");
    let mut page = ListParams::default().labels(&unlabelled).limit(PAGE);
    let mut held = Vec::new();
    loop {
        let list = api.list(&page).await?;
        held.extend(list.items.into_iter().filter(is_held));
        match list.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => page = page.continue_token(&token),
            None => return Ok(held),
        }
    }
}

fn is_held(job: &Job) -> bool {
    job.finalizers().iter().any(|it| it == LEASE_FINALIZER)
}

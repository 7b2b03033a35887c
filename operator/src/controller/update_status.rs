//! Writes the status, if it changed, and tells of the change in events.

use kube::ResourceExt as _;
use planescape_operator_core::job::status::{Applied, events, status};

use super::error_policy::Error;
use super::{Context, Turn, post_params};

/// The write fails when somebody else wrote in between; we then look again.
pub(super) async fn update_status(
    turn: &Turn,
    applied: &Applied,
    context: &Context,
) -> Result<(), Error> {
    let facts = turn.facts(applied);
    let after = status(&facts);
    if turn.job.status.as_ref() != Some(&after) {
        let mut job = turn.job.clone();
        job.status = Some(after.clone());
        turn.planescape_jobs(&context.client)
            .replace_status(&job.name_any(), &post_params(), &job)
            .await
            .map_err(Error::writing("write the status"))?;
    }
    for event in events(&facts, &after) {
        context.events.publish(&turn.job, event).await;
    }
    Ok(())
}

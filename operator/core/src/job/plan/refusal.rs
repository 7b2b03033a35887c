//! Ends a run that Vault refuses for good: its pod would be tried again for ever.

use jiff::Timestamp;

use super::{Action, Ending, Plan};
use crate::api::PlanescapeJob;
use crate::defaults::Defaults;
use crate::job::observed::Observed;
use crate::job::status::lasting_refusal;

pub(super) fn end(
    plan: &mut Plan,
    job: &PlanescapeJob,
    observed: &Observed,
    defaults: &Defaults,
    now: Timestamp,
) {
    let Some(limit) = defaults.refused_run_limit else {
        return;
    };
    let conditions = job.status.iter().flat_map(|status| &status.conditions);
    let told = conditions
        .filter(|it| it.type_ == "VaultReady" && it.status == "False")
        .map(|it| it.last_transition_time.0)
        .next();
    let newest = observed.jobs.first();
    let active = newest.filter(|run| run.end.is_none() && !run.is_deleting() && !run.is_ended);
    // The clock of a suspended Job stands still, and it burns nothing.
    let active = active.filter(|run| !run.is_suspended);
    let (Some(told), Some(run)) = (told, active) else {
        return;
    };
    let Some(report) = lasting_refusal(run) else {
        return;
    };
    let since = run.started.map_or(told, |started| started.max(told));
    let Ok(due) = since.checked_add(limit) else {
        return;
    };
    if due > now {
        plan.wake_by(Some(due));
        return;
    }
    let why = format!("Vault has refused it since {since}: {report}");
    plan.actions.push(Action::End {
        job: run.name.clone(),
        uid: run.uid.clone(),
        ending: Ending::VaultRefused,
        why,
    });
}

//! Ends a run that Vault refuses for good: its pod would be tried again for ever.

use jiff::Timestamp;

use super::{Action, Ending, Plan};
use crate::api::PlanescapeJob;
use crate::defaults::Defaults;
use crate::job::observed::{Observed, ObservedJob};
use crate::job::status::{lasting_refusal, said};
use crate::job::validate::ValidatedJob;

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
    // Whoever suspends a run means it; one that waits for its Secrets is suspended by us.
    let active = active.filter(|run| !run.is_suspended || run.waits_for_secrets);
    let (Some(told), Some(run)) = (told, active) else {
        return;
    };
    let Some(report) = lasting_refusal(run) else {
        return;
    };
    let since = run.started.unwrap_or(run.tick).max(told);
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

/// Ends runs whose Secrets are not there by the deadline for their start: nothing of them has started.
pub(super) fn end_late(
    plan: &mut Plan,
    validated: &ValidatedJob,
    observed: &Observed,
    now: Timestamp,
) {
    let Some(deadline) = validated.deadline else {
        return;
    };
    let waiting = observed.active().filter(|run| run.waits_for_secrets);
    let is_open = |run: &&ObservedJob| !run.is_deleting() && !run.is_ended && !ends(plan, run);
    let open: Vec<_> = waiting.filter(is_open).collect();
    for run in open {
        let late = run.tick.checked_add(validated.delay);
        let Ok(due) = late.and_then(|start| start.checked_add(deadline)) else {
            continue;
        };
        if due > now {
            plan.wake_by(Some(due));
            continue;
        }
        let why = match &run.credentials {
            Some(report) => said(report),
            None => "`planescape credentials` has said nothing of it".to_owned(),
        };
        plan.actions.push(Action::End {
            job: run.name.clone(),
            uid: run.uid.clone(),
            ending: Ending::VaultUnavailable,
            why: format!("its Secrets were not there within startingDeadlineSeconds: {why}"),
        });
    }
}

fn ends(plan: &Plan, run: &ObservedJob) -> bool {
    let mut actions = plan.actions.iter();
    actions.any(|action| matches!(action, Action::End { uid, .. } if *uid == run.uid))
}

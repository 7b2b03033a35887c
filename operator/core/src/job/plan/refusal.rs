//! Ends a run that Vault refuses for good: its pod would be tried again for ever.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::{Action, Ending, Plan};
use crate::api::PlanescapeJob;
use crate::api::v1alpha1::Run;
use crate::defaults::Defaults;
use crate::job::observed::{Observed, ObservedJob};
use crate::job::status::{lasting_refusal, said};
use crate::job::validate::ValidatedJob;

/// No run has its Secrets at the very instant, so that a part of a second is not late: a start is judged alike.
const PART_OF_A_SECOND: SignedDuration = SignedDuration::from_secs(1);

pub(super) fn end(
    plan: &mut Plan,
    job: &PlanescapeJob,
    observed: &Observed,
    defaults: &Defaults,
    now: Timestamp,
) {
    let open = observed
        .active()
        .filter(|run| !run.is_deleting() && !run.is_ended);
    // A suspended run is left alone, since somebody means that. One that waits for its Secrets is suspended by us, or
    // by its queue.
    for run in open.filter(|run| !run.is_suspended || run.waits_for_secrets.is_some()) {
        let Some(refusal) = lasting_refusal(run) else {
            continue;
        };
        let mut recorded = job.status.iter().flat_map(|status| &status.runs);
        let told = recorded.find(|told| told.uid == run.uid);
        let since = |field: fn(&Run) -> Option<&Time>| {
            let since = told.and_then(field);
            since.map_or(now, |since| since.0)
        };
        let refused_since = since(|run| run.refused_since.as_ref());
        let (limit, since) = match refusal.is_denied {
            true => (
                defaults.denied_run_limit,
                since(|run| run.denied_since.as_ref()),
            ),
            false => (defaults.refused_run_limit, refused_since),
        };
        let Some(mut due) = limit.and_then(|limit| since.checked_add(limit).ok()) else {
            continue;
        };
        // A refusal that was heard before anybody counted may be past: the run waits for the agent's next attempt.
        if refusal.heard.is_some_and(|heard| heard <= since)
            && let Some(limit) = defaults.refused_run_limit
        {
            due = refused_since
                .checked_add(limit)
                .map_or(due, |late| due.max(late));
        }
        if plan.has_come(due, now) {
            let why = format!(
                "it has been without its secrets since {since}, and trying again does not help: {}",
                refusal.said
            );
            plan.end(run, Ending::VaultRefused, why);
        }
    }
}

/// Ends runs whose Secrets are not there by the deadline for their start: nothing of them has started. A one-time job
/// that was suspended, and a run for which another had to make way, start later: they have as long from then on.
pub(super) fn end_late(
    plan: &mut Plan,
    validated: &ValidatedJob,
    observed: &Observed,
    now: Timestamp,
) {
    let Some(deadline) = validated.deadline else {
        return;
    };
    let is_open = |run: &&ObservedJob| {
        // Its Secrets are there, and the status does not say so yet.
        let works = run.pods.iter().any(|pod| pod.has_begun);
        !run.is_deleting() && !run.is_ended && !works && !ends(plan, run)
    };
    let open = observed.active().filter(is_open);
    let waiting = open.filter_map(|run| Some((run, run.waits_for_secrets?)));
    let waiting: Vec<_> = waiting.collect();
    for (run, since) in waiting {
        let limit = |start: Timestamp| start.checked_add(deadline).ok();
        let late = run.tick.checked_add(validated.delay).ok();
        let Some(due) = late.and_then(limit) else {
            continue;
        };
        // Kubernetes cuts the time of creation to whole seconds.
        let due = match since >= due {
            true => limit(since).unwrap_or(due),
            false => due,
        };
        let due = due.saturating_add(PART_OF_A_SECOND).unwrap_or(due);
        if plan.has_come(due, now) {
            let why = match &run.credentials {
                Some(report) => said(report),
                None => "`planescape credentials` has said nothing of it".to_owned(),
            };
            let why = format!("its Secrets were not there within startingDeadlineSeconds: {why}");
            plan.end(run, Ending::VaultUnavailable, why);
        }
    }
}

fn ends(plan: &Plan, run: &ObservedJob) -> bool {
    let mut actions = plan.actions.iter();
    actions.any(|action| matches!(action, Action::End { uid, .. } if *uid == run.uid))
}

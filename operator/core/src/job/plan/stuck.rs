//! Ends runs whose pods do not start: a Forbid job would wait for them for ever.

use jiff::{SignedDuration, Timestamp};

use super::{Ending, LONGEST_GAP, Plan};
use crate::api::PlanescapeJob;
use crate::job::observed::{Observed, ObservedJob, ObservedPod};

pub(super) fn end(plan: &mut Plan, job: &PlanescapeJob, observed: &Observed, now: Timestamp) {
    let Some(limit) = job.spec.stuck_after_seconds.map(SignedDuration::from_secs) else {
        return;
    };
    for run in observed.active() {
        if run.is_deleting() || run.is_ended {
            continue;
        }
        let Some((since, why)) = stuck(run) else {
            continue;
        };
        let limit = match gap(run) {
            Some(_) => limit.max(LONGEST_GAP),
            None => limit,
        };
        let Ok(due) = since.checked_add(limit) else {
            continue;
        };
        if plan.has_come(due, now) {
            let why = format!("none of its pods has started since {since}: {why}");
            plan.end(run, Ending::Stuck, why);
        }
    }
}

/// Since when another pod has not taken the place of the last one, some time after which it does.
pub(super) fn gap(run: &ObservedJob) -> Option<Timestamp> {
    let is_left = run.pods.iter().any(|pod| !pod.is_over);
    run.podless_since.filter(|_| !is_left)
}

/// Since when, and why, where none of its pods gets on.
fn stuck(run: &ObservedJob) -> Option<(Timestamp, String)> {
    let started = run.started.filter(|_| run.expects_pods)?;
    let live: Vec<_> = run.pods.iter().filter(|pod| !pod.is_over).collect();
    let Some(newest) = live.last() else {
        if let Some(since) = gap(run) {
            let why = "no other one has taken the place of the Job's last pod";
            return Some((since, why.to_owned()));
        }
        let is_podless = run.pods.is_empty() && !run.has_had_pods;
        return is_podless.then(|| (started, "the Job has no pod".to_owned()));
    };
    let is_stuck = |pod: &ObservedPod| {
        let waiting = pod.waiting.as_ref();
        waiting.is_some_and(|it| !it.has_run) || pod.prepared_since.is_some()
    };
    if !live.iter().copied().all(is_stuck) {
        return None;
    }
    let since = newest.created.map_or(started, |made| made.max(started));
    let why = match &newest.waiting {
        Some(waiting) => format!("{}: {}", waiting.reason, waiting.message),
        None => "its node has started nothing of it".to_owned(),
    };
    Some((since, format!("pod {}: {why}", newest.name)))
}

//! `status.runs`: the runs that are seen, and the memory of runs that are gone.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::vault::Fate;
use super::{Facts, Started, holders, vault};
use crate::api::v1alpha1::{Lease, Outcome, PlanescapeJobStatus, PodFailure, Run, RunReceipt};
use crate::job::observed::ObservedJob;
use crate::job::plan::{Settled, is_recorded};
use crate::receipt;

const MOST_RUNS: usize = 20;

/// An object of Kubernetes holds a megabyte, and `active` lists them too.
pub(crate) const MOST_RUNNING: usize = 50;

const LONGEST_MESSAGE: usize = 256;

/// Newest first.
pub(super) fn merge(facts: &Facts<'_>, before: &PlanescapeJobStatus) -> Vec<Run> {
    let observed = &facts.observed.jobs;
    let recorded = |uid: &str| before.runs.iter().find(|run| run.uid == uid);
    let mut runs: Vec<Run> = observed
        .iter()
        .map(|job| of_job(job, recorded(&job.uid), facts.now))
        .collect();
    let is_listed = |runs: &[Run], uid: &str| runs.iter().any(|run| run.uid == uid);
    if let Some(started) = &facts.applied.started
        && !is_listed(&runs, &started.uid)
        && !is_forgotten(facts, before, started)
    {
        runs.push(Run {
            job: started.name.clone(),
            uid: started.uid.clone(),
            scheduled_time: Time(started.tick),
            rerun: started.rerun.clone(),
            start_time: None,
            finish_time: None,
            outcome: Outcome::Running,
            reason: None,
            message: None,
            refused_since: None,
            denied_since: None,
            failure: None,
            lease: None,
            lease_until: None,
            receipt: None,
            holders: Vec::new(),
            template: facts.validated.ok().map(|it| it.digest.clone()),
        });
    }
    let unowned = &facts.observed.unowned;
    for run in &before.runs {
        if is_listed(&runs, &run.uid) {
            continue;
        }
        // It runs on, and is adopted or left behind.
        let is_there = unowned.iter().any(|job| job.uid == run.uid);
        runs.push(if is_there {
            run.clone()
        } else {
            gone(run.clone(), facts.now)
        });
    }
    runs.sort_by(|a, b| (b.scheduled_time.0, &b.job).cmp(&(a.scheduled_time.0, &a.job)));
    runs
}

/// Whether another operator has told of the run, to its end, and has forgotten it for younger ones.
fn is_forgotten(facts: &Facts<'_>, before: &PlanescapeJobStatus, started: &Started) -> bool {
    let is_told = match &started.rerun {
        Some(id) => before.reruns.contains(id),
        None => Settled::of(Some(before), facts.now).last >= Some(started.tick),
    };
    is_told && !facts.applied.has_made(facts.plan) && facts.plan.clock_was_at.is_none()
}

fn of_job(job: &ObservedJob, recorded: Option<&Run>, now: Timestamp) -> Run {
    let end = job.end.as_ref();
    let outcome = match end {
        None => Outcome::Running,
        Some(end) if end.is_success => Outcome::Succeeded,
        Some(_) => Outcome::Failed,
    };
    let failure = end.filter(|end| !end.is_success);
    let known = recorded.map(|run| run.holders.as_slice());
    let holders = holders::of(job, known.unwrap_or_default());
    let Fate { lease, until } = vault::fate(job, &holders, recorded);
    let refusal = vault::lasting_refusal(job).filter(|_| outcome == Outcome::Running);
    // A new pod is another attempt, and has not said anything yet.
    let is_tried_again = refusal.is_none() && outcome == Outcome::Running && vault::is_tried(job);
    let since = |known: fn(&Run) -> Option<&Time>, holds: bool| {
        let known = recorded.and_then(known);
        let holds = holds || (is_tried_again && known.is_some());
        holds.then(|| known.cloned().unwrap_or(Time(now)))
    };
    Run {
        job: job.name.clone(),
        uid: job.uid.clone(),
        scheduled_time: Time(job.tick),
        rerun: job.rerun.clone(),
        start_time: job.started.map(Time),
        finish_time: end.and_then(|end| end.at).map(Time),
        outcome,
        reason: failure.and_then(|end| end.reason.clone()),
        message: failure.and_then(|end| Some(shortened(end.message.as_deref()?))),
        refused_since: since(|run| run.refused_since.as_ref(), refusal.is_some()),
        denied_since: since(
            |run| run.denied_since.as_ref(),
            refusal.is_some_and(|it| it.is_denied),
        ),
        failure: pod_failure(job, recorded).filter(|_| outcome != Outcome::Succeeded),
        lease,
        lease_until: until.map(Time),
        receipt: receipt(job, recorded),
        holders: holders::unsettled(holders),
        template: job.template.clone(),
    }
}

/// The last one. Pods go before their Jobs, and then it is remembered.
fn pod_failure(job: &ObservedJob, recorded: Option<&Run>) -> Option<PodFailure> {
    let known = recorded.and_then(|run| run.failure.as_ref());
    let seen = job.pods.iter().filter_map(|pod| pod.failure.as_deref());
    let ended = |failure: &&PodFailure| failure.finish_time.as_ref().map(|time| time.0);
    known.into_iter().chain(seen).max_by_key(ended).cloned()
}

/// The receipt as seen now, unless it says less than the one before: pods go before their Jobs.
fn receipt(job: &ObservedJob, recorded: Option<&Run>) -> Option<RunReceipt> {
    let known = recorded.and_then(|run| run.receipt.clone());
    let Some(seen) = receipt::summary(job) else {
        return known;
    };
    let Some(known) = known else {
        return Some(seen);
    };
    Some(if seen.accessors.len() < known.accessors.len() {
        RunReceipt {
            revoked_time: seen.revoked_time.or(known.revoked_time),
            ..known
        }
    } else {
        seen
    })
}

/// The shell has made sure that the Job is really gone.
fn gone(mut run: Run, now: Timestamp) -> Run {
    if run.outcome == Outcome::Running {
        run.outcome = Outcome::Deleted;
        run.finish_time = Some(Time(now));
        run.reason = Some("JobDeleted".to_owned());
        run.message = Some("the Job was deleted before it ended".to_owned());
    }
    // The end of its agents was not seen.
    if run.lease == Some(Lease::Held) {
        run.lease = Some(Lease::Unknown);
    }
    for holder in &mut run.holders {
        if holder.lease == Lease::Held {
            holder.lease = Lease::Unknown;
        }
    }
    run
}

/// As many as the history keeps, and of those that are running as many as an object can hold. A run whose end is not
/// told yet stays until it is: under Allow the oldest may be the last to end.
pub(super) fn forget(facts: &Facts<'_>, before: &PlanescapeJobStatus, runs: &mut Vec<Run>) {
    let spec = &facts.job.spec;
    let limit = spec
        .successful_jobs_history_limit
        .saturating_add(spec.failed_jobs_history_limit);
    let mut room = usize::try_from(limit).unwrap_or(0).clamp(1, MOST_RUNS);
    let by_hand = usize::try_from(spec.rerun_jobs_history_limit).unwrap_or(0);
    let mut room_for_reruns = by_hand.clamp(1, MOST_RUNS);
    let mut room_for_running = MOST_RUNNING;
    runs.retain(|run| {
        let room = match run.outcome {
            Outcome::Succeeded | Outcome::Failed | Outcome::Deleted if run.rerun.is_some() => {
                &mut room_for_reruns
            }
            Outcome::Running => &mut room_for_running,
            Outcome::Succeeded | Outcome::Failed | Outcome::Deleted => &mut room,
        };
        let is_kept = *room > 0 || ends_now(facts, before, run);
        *room = room.saturating_sub(1);
        is_kept
    });
}

/// Whether a run has ended, and no status has told it.
fn ends_now(facts: &Facts<'_>, before: &PlanescapeJobStatus, run: &Run) -> bool {
    if run.outcome == Outcome::Running {
        return false;
    }
    let known = before.runs.iter().find(|known| known.uid == run.uid);
    let seen = facts.observed.jobs.iter().find(|seen| seen.uid == run.uid);
    match (known, seen) {
        (Some(known), _) => known.outcome == Outcome::Running,
        (None, Some(seen)) => !is_recorded(before, seen),
        (None, None) => false,
    }
}

fn shortened(text: &str) -> String {
    text.chars().take(LONGEST_MESSAGE).collect()
}

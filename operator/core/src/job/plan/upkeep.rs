//! Keeps the runs that exist in order. That is due even while the spec has problems.

use super::due::is_marked;
use super::{Action, Deletion};
use crate::api::PlanescapeJob;
use crate::api::v1alpha1::{ONCE, Outcome, PlanescapeJobStatus};
use crate::defaults::Defaults;
use crate::job::observed::{Observed, ObservedJob};

/// The actions that keep the runs that exist in order.
pub(super) fn upkeep(job: &PlanescapeJob, observed: &Observed, defaults: &Defaults) -> Vec<Action> {
    let mut actions = Vec::new();
    let Some(status) = &job.status else {
        return actions;
    };
    actions.extend(mark_started(job, status, observed));
    actions.extend(release(job, status, observed));
    actions.extend(prune(job, status, observed));
    if defaults.relabels_pods {
        actions.extend(relabel(job, observed));
    }
    actions
}

fn is_once(job: &PlanescapeJob) -> bool {
    job.spec.schedule == ONCE
}

/// The status may be lost with a backup; the annotation is not.
fn mark_started(
    job: &PlanescapeJob,
    status: &PlanescapeJobStatus,
    observed: &Observed,
) -> Option<Action> {
    if !is_once(job) || is_marked(job) || job.metadata.deletion_timestamp.is_some() {
        return None;
    }
    let mut recorded = observed
        .jobs
        .iter()
        .filter(|it| it.rerun.is_none() && is_recorded(status, it));
    recorded.next().map(|started| Action::MarkStarted {
        job_uid: started.uid.clone(),
    })
}

/// A Job is let go once its run is recorded; one that has ended or deletes itself, once its end is.
fn release(job: &PlanescapeJob, status: &PlanescapeJobStatus, observed: &Observed) -> Vec<Action> {
    let is_going = job.metadata.deletion_timestamp.is_some();
    let may_go = |run: &&ObservedJob| {
        let is_marked = !is_once(job) || is_marked(job) || run.rerun.is_some();
        let is_complete = match run.end {
            // A Job without our label is not seen again once its end is told. The end is told before the Job is let go.
            Some(_) => run.is_hidden || is_end_recorded(status, run),
            None => run.is_deleting() || !run.has_ttl,
        };
        is_going || (is_recorded(status, run) && is_marked && is_complete)
    };
    let tracked = observed.jobs.iter().filter(|run| run.is_tracked);
    tracked
        .filter(may_go)
        .map(|run| Action::Release {
            job: run.name.clone(),
            uid: run.uid.clone(),
        })
        .collect()
}

/// Ended runs beyond the history limits, the oldest first to go.
fn prune(job: &PlanescapeJob, status: &PlanescapeJobStatus, observed: &Observed) -> Vec<Action> {
    let surplus = |counts: &dyn Fn(&ObservedJob, bool) -> bool, limit: i32| {
        let mut ended: Vec<&ObservedJob> = observed
            .jobs
            .iter()
            .filter(|run| {
                run.end
                    .as_ref()
                    .is_some_and(|end| counts(run, end.is_success))
            })
            .filter(|run| !run.is_deleting() && is_end_recorded(status, run))
            .collect();
        ended.sort_by_key(|run| (run.started.is_none(), run.started, run.name.clone()));
        let keep = usize::try_from(limit).unwrap_or(0);
        let surplus = ended.len().saturating_sub(keep);
        ended.truncate(surplus);
        ended
    };
    let spec = &job.spec;
    let scheduled =
        |wanted: bool| move |run: &ObservedJob, success| run.rerun.is_none() && success == wanted;
    let by_hand = |run: &ObservedJob, _: bool| run.rerun.is_some();
    surplus(&scheduled(true), spec.successful_jobs_history_limit)
        .into_iter()
        .chain(surplus(&scheduled(false), spec.failed_jobs_history_limit))
        .chain(surplus(&by_hand, spec.rerun_jobs_history_limit))
        .map(|run| Action::Delete {
            job: run.name.clone(),
            uid: run.uid.clone(),
            version: None,
            why: Deletion::History,
        })
        .collect()
}

/// Only the newest run's pods answer to the PlanescapeJob's name.
fn relabel(job: &PlanescapeJob, observed: &Observed) -> Vec<Action> {
    let name = job.metadata.name.as_deref();
    let older = observed.jobs.iter().skip(1);
    older
        .flat_map(|run| run.pods.iter().map(move |pod| (run, pod)))
        .filter(|(_, pod)| pod.job_name_label.as_deref() == name)
        .map(|(run, pod)| Action::Relabel {
            pod: pod.name.clone(),
            uid: pod.uid.clone(),
            job: run.name.clone(),
        })
        .collect()
}

/// Whether the status tells of a run, or of a later instant of the schedule.
pub fn is_recorded(status: &PlanescapeJobStatus, run: &ObservedJob) -> bool {
    if status.runs.iter().any(|recorded| recorded.uid == run.uid) {
        return true;
    }
    match &run.rerun {
        Some(id) => status.reruns.contains(id),
        None => status
            .last_schedule_time
            .as_ref()
            .is_some_and(|last| last.0 >= run.tick),
    }
}

/// Whether the status tells how the run ended, or has forgotten it for younger ones.
fn is_end_recorded(status: &PlanescapeJobStatus, run: &ObservedJob) -> bool {
    let mut recorded = status
        .runs
        .iter()
        .filter(|recorded| recorded.uid == run.uid);
    let is_told = match recorded.next() {
        Some(recorded) => recorded.outcome != Outcome::Running,
        None => status.runs.iter().any(|it| it.scheduled_time.0 >= run.tick),
    };
    is_told && run.end.is_some() && is_recorded(status, run)
}

//! Which Jobs are read again before anything is decided.
//!
//! The watch of Jobs and that of PlanescapeJobs do not wait for each other, so that a status may tell more than the Jobs
//! that are kept in memory: a Job that seems to run may have ended long ago.

use std::borrow::Borrow;

use jiff::Timestamp;

use super::observed::{KnownJob, ObservedJob};
use super::plan::is_recorded;
use super::status::MOST_RUNNING;
use crate::api::PlanescapeJob;
use crate::api::v1alpha1::{Outcome, PlanescapeJobStatus};

/// The Jobs of one PlanescapeJob.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reading<J> {
    /// Jobs that are taken as they are kept in memory.
    pub kept: Vec<J>,
    /// Name and UID of the Jobs that are read.
    pub read: Vec<(String, String)>,
}

impl<J: Borrow<KnownJob>> Reading<J> {
    /// Reads a Job that the status calls running and memory does not have: it was just created, lacks our label, or is
    /// gone. Also reads a Job that seems to run although the status has told of its end; with `reads_active`, every one
    /// that seems to run.
    pub fn of(job: &PlanescapeJob, known: Vec<J>, reads_active: bool) -> Self {
        let status = job.status.as_ref();
        let mut read = status.map_or_else(Vec::new, |status| unseen(status, &known));
        let oldest = oldest_told(&known);
        let is_doubtful = |run: &ObservedJob| {
            let is_told = |status| Some(run.tick) >= oldest && is_told(status, run);
            run.end.is_none() && (reads_active || status.is_some_and(is_told))
        };
        let (doubtful, kept): (Vec<J>, Vec<J>) = known
            .into_iter()
            .partition(|job| is_doubtful(&job.borrow().run));
        let doubtful = doubtful.iter().map(|job| &job.borrow().run);
        read.extend(doubtful.map(|run| (run.name.clone(), run.uid.clone())));
        Self { kept, read }
    }
}

fn unseen<J: Borrow<KnownJob>>(status: &PlanescapeJobStatus, known: &[J]) -> Vec<(String, String)> {
    let is_known = |uid: &str| known.iter().any(|job| job.borrow().run.uid == uid);
    let running = status.runs.iter().filter(|run| is_running(run.outcome));
    let unseen = running.filter(|run| !is_known(&run.uid));
    unseen
        .map(|run| (run.job.clone(), run.uid.clone()))
        .collect()
}

/// Whether the status has told that a run ended, and may have forgotten it since.
fn is_told(status: &PlanescapeJobStatus, run: &ObservedJob) -> bool {
    let mut recorded = status.runs.iter().filter(|it| it.uid == run.uid);
    is_recorded(status, run) && !recorded.any(|it| is_running(it.outcome))
}

/// The instant of the last run that a status has room for, where more run. Older ones it does not name, so that nothing
/// wrong can be said of them.
fn oldest_told<J: Borrow<KnownJob>>(known: &[J]) -> Option<Timestamp> {
    let runs = known.iter().map(|job| &job.borrow().run);
    let active = runs.filter(|run| run.end.is_none());
    let mut ticks: Vec<Timestamp> = active.map(|run| run.tick).collect();
    ticks.sort_unstable_by(|a, b| b.cmp(a));
    ticks.get(MOST_RUNNING - 1).copied()
}

fn is_running(outcome: Outcome) -> bool {
    outcome == Outcome::Running
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::batch::v1::Job;
    use serde_json::{Value, json};

    use super::*;

    const LAST: &str = "2026-11-24T12:00:00Z";

    #[test]
    fn a_run_that_the_watch_does_not_show_is_looked_for_while_the_status_says_that_it_runs() {
        let job = told(&[
            recorded("hidden", "Running"),
            recorded("ended", "Succeeded"),
        ]);

        // A Job that somebody takes our label off is hidden from the watch.
        let reading = Reading::<KnownJob>::of(&job, Vec::new(), false);

        assert_eq!(reading.read, [name("hidden")]);
    }

    #[test]
    fn what_seems_to_run_is_read_again_where_the_status_has_told_of_its_end() {
        let job = told(&[recorded("running", "Running"), recorded("ended", "Failed")]);
        let known = || {
            let names = ["running", "ended", "forgotten"].map(|name| known(name, LAST));
            let new = known("new", "2026-11-24T12:01:00Z");
            names.into_iter().chain([new]).collect::<Vec<KnownJob>>()
        };

        let some = Reading::of(&job, known(), false);
        let all = Reading::of(&job, known(), true);

        assert_eq!(some.read, [name("ended"), name("forgotten")]);
        assert_eq!((some.kept.len(), all.kept.len()), (2, 0));
    }

    #[test]
    fn of_thousands_that_run_only_those_are_read_that_a_status_has_room_for() {
        let ticks = (0..1_000).map(|second| Timestamp::from_second(second).unwrap());
        let known = ticks.map(|tick| known(&format!("run-{tick}"), &tick.to_string()));

        let reading = Reading::of(&told(&[]), known.collect(), false);

        assert_eq!(reading.read.len(), MOST_RUNNING);
    }

    fn name(name: &str) -> (String, String) {
        (name.to_owned(), format!("{name}-uid"))
    }

    fn recorded(name: &str, outcome: &str) -> Value {
        json!({ "job": name, "uid": format!("{name}-uid"), "outcome": outcome, "scheduledTime": LAST })
    }

    fn told(runs: &[Value]) -> PlanescapeJob {
        serde_json::from_value(json!({
            "metadata": { "name": "nightly" },
            "spec": { "schedule": "0 3 * * *", "jobTemplate": {} },
            "status": { "runs": runs, "lastScheduleTime": LAST },
        }))
        .unwrap()
    }

    fn known(name: &str, tick: &str) -> KnownJob {
        let job: Job = serde_json::from_value(json!({
            "metadata": {
                "name": name, "namespace": "team", "uid": format!("{name}-uid"),
                "annotations": { "planescape.io/scheduled-at": tick },
            },
        }))
        .unwrap();
        KnownJob::of(&job).unwrap()
    }
}

//! What to do about a PlanescapeJob now, and when to look at it again.
//!
//! A pure function of what is observed: it remembers nothing, and run twice it plans the same.

mod upkeep;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde_json::Value;

use crate::api::PlanescapeJob;
use crate::api::names::ONCE_STARTED_ANNOTATION;
use crate::api::v1alpha1::{ConcurrencyPolicy, PlanescapeJobStatus, ScheduleReference};
use crate::job::observed::{Observed, ObservedJob};
use crate::job::validate::ValidatedJob;
use crate::problem::Problem;
use upkeep::upkeep;

/// What to do, in order, and when to look again.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plan {
    /// What to do.
    pub actions: Vec<Action>,
    /// The instant of the schedule that this plan settles without a run.
    pub skip: Option<Skip>,
    /// How many instants passed unused before the one that this plan settles.
    pub missed: i64,
    /// When the next run is due.
    pub next: Option<Timestamp>,
    /// When to look again, whatever happens.
    pub wake: Option<Timestamp>,
    /// The schedule, and since when it is as it is.
    pub reference: Option<ScheduleReference>,
    /// The instant whose run waits for the end of the run that it replaces.
    pub pending: Option<Timestamp>,
    /// What keeps that run waiting for longer than it should.
    pub blocked_by: Option<Blocker>,
    /// A Job that should have had a pod by now.
    pub podless: Option<String>,
}

/// One thing to do.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Start a run.
    Create {
        /// The Job.
        job: Value,
        /// The instant it is for.
        tick: Timestamp,
    },
    /// Delete a Job.
    Delete {
        /// Its name.
        job: String,
        /// Its UID.
        uid: String,
        /// Why.
        why: Deletion,
    },
    /// Give a pod of an older run its own Job's name as label `job-name`.
    Relabel {
        /// The pod's name.
        pod: String,
        /// The pod's UID.
        uid: String,
        /// Its Job's name.
        job: String,
    },
    /// Write on the PlanescapeJob that its one run has started.
    MarkStarted {
        /// The Job's UID.
        job_uid: String,
    },
    /// Take our finalizer off a Job.
    Release {
        /// Its name.
        job: String,
        /// Its UID.
        uid: String,
    },
}

/// Why a Job is deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deletion {
    /// There are more than the history limit.
    History,
    /// A new run takes its place; its pods must be gone first.
    Replace,
}

/// An instant of the schedule without a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Skip {
    /// The instant.
    pub tick: Timestamp,
    /// Why.
    pub why: Skipped,
}

/// Why an instant has no run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Skipped {
    /// The previous run was active.
    Forbid,
    /// It was noticed later than the deadline allows.
    TooLate,
}

/// A Job that is being deleted and should be gone by now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blocker {
    /// Its name.
    pub job: String,
    /// Since when it is being deleted.
    pub since: Timestamp,
}

/// How long a replaced run may take to end before we look again.
const REPLACEMENT_CHECK: SignedDuration = SignedDuration::from_secs(10);

/// How much longer than its pods' grace period a Job's deletion may take.
const STOPPING_MARGIN: SignedDuration = SignedDuration::from_secs(30);

/// How soon a Job that started has a pod.
const FIRST_POD: SignedDuration = SignedDuration::from_secs(10);

/// Kubernetes cuts the time of creation to whole seconds.
const CUT_OFF_CREATION: SignedDuration = SignedDuration::from_secs(1);

/// A recorded instant this far ahead is the work of a wrong clock.
const TOLERATED_SKEW: SignedDuration = SignedDuration::from_mins(5);

/// Counting what was missed stops here.
const MOST_MISSED: usize = 1_000;

/// Plans for a job that can run, or for one that has problems and starts nothing.
pub fn plan(
    job: &PlanescapeJob,
    validated: Result<&ValidatedJob, &[Problem]>,
    observed: &Observed,
    now: Timestamp,
) -> Plan {
    let mut plan = Plan {
        actions: upkeep(job, observed),
        ..Plan::default()
    };
    if job.metadata.deletion_timestamp.is_some() {
        return plan;
    }
    let reference = reference(job, validated.is_ok(), now);
    let since = reference.since.0;
    plan.reference = Some(reference);
    let Ok(validated) = validated else {
        return plan;
    };
    expect_pods(&mut plan, observed, now);
    if job.spec.suspend {
        return plan;
    }
    let situation = Situation {
        job,
        validated,
        observed,
        since,
        now,
    };
    if let Some(due) = situation.due() {
        plan.missed = situation.missed(&due);
        situation.settle(&mut plan, due.tick);
    }
    plan.next = situation.next(plan.settles());
    plan.wake_by(plan.next);
    plan
}

impl Plan {
    /// Whether a run is to be started.
    pub fn creates(&self) -> bool {
        let mut actions = self.actions.iter();
        actions.any(|action| matches!(action, Action::Create { .. }))
    }

    /// Whether the PlanescapeJob itself is changed, so that what we know of it is old.
    pub fn changes_the_object(&self) -> bool {
        let mut actions = self.actions.iter();
        actions.any(|action| matches!(action, Action::MarkStarted { .. }))
    }

    fn settles(&self) -> bool {
        self.creates() || self.skip.is_some()
    }

    fn wake_by(&mut self, instant: Option<Timestamp>) {
        self.wake = self.wake.into_iter().chain(instant).min();
    }
}

/// Finds a Job without a pod, or plans to look when there should be one.
fn expect_pods(plan: &mut Plan, observed: &Observed, now: Timestamp) {
    for job in observed.active() {
        if !job.expects_pods || job.is_deleting() || !job.pods.is_empty() {
            continue;
        }
        let due = job.started.and_then(|it| it.checked_add(FIRST_POD).ok());
        match due {
            Some(due) if due > now => plan.wake_by(Some(due)),
            Some(_) => plan.podless = plan.podless.take().or(Some(job.name.clone())),
            None => {}
        }
    }
}

/// What a decision about the schedule depends on.
struct Situation<'a> {
    job: &'a PlanescapeJob,
    validated: &'a ValidatedJob,
    observed: &'a Observed,
    /// Since when the schedule is as it is.
    since: Timestamp,
    now: Timestamp,
}

/// An instant that should have been acted upon by now, and was not.
struct Due {
    tick: Timestamp,
    /// The last instant that was settled before.
    after: Timestamp,
}

impl Situation<'_> {
    fn due(&self) -> Option<Due> {
        if self.validated.schedule.is_once() {
            let tick = created(self.job)?;
            let is_open = !has_started(self.job) && self.observed.jobs.is_empty();
            return is_open.then_some(Due { tick, after: tick });
        }
        let status = self.job.status.as_ref();
        let last = status
            .and_then(|status| status.last_schedule_time.as_ref())
            .map(|time| time.0)
            .filter(|last| last.duration_since(self.now) <= TOLERATED_SKEW);
        let after = last.map_or(self.since, |last| last.max(self.since));
        let tick = self.validated.schedule.previous(self.since, self.now)?;
        (tick > after && !self.has_run(tick)).then_some(Due { tick, after })
    }

    fn has_run(&self, tick: Timestamp) -> bool {
        let mut recorded = self.job.status.iter().flat_map(|status| &status.runs);
        self.observed.jobs.iter().any(|job| job.tick == tick)
            || recorded.any(|run| run.scheduled_time.0 == tick)
    }

    fn missed(&self, due: &Due) -> i64 {
        if self.validated.schedule.is_once() {
            return 0;
        }
        let next = |tick: Timestamp| self.validated.schedule.next(self.since, tick);
        let passed = std::iter::successors(next(due.after), |tick| next(*tick));
        let passed = passed.take(MOST_MISSED).take_while(|it| *it < due.tick);
        i64::try_from(passed.count()).unwrap_or(i64::MAX)
    }

    /// Decides about an instant that is due.
    fn settle(&self, plan: &mut Plan, tick: Timestamp) {
        let is_promised = self.is_promised(tick);
        plan.pending = is_promised.then_some(tick);
        if !is_promised && self.is_too_late(tick) {
            let why = Skipped::TooLate;
            plan.skip = Some(Skip { tick, why });
            return;
        }
        let is_busy = self.observed.active().next().is_some();
        match self.validated.policy {
            ConcurrencyPolicy::Forbid if is_busy => {
                let why = Skipped::Forbid;
                plan.skip = Some(Skip { tick, why });
            }
            ConcurrencyPolicy::Replace if is_busy => self.make_way(plan, tick),
            ConcurrencyPolicy::Allow | ConcurrencyPolicy::Forbid | ConcurrencyPolicy::Replace => {
                let job = crate::run::build(self.job, self.validated, tick);
                plan.actions.push(Action::Create { job, tick });
            }
        }
    }

    /// Stops what runs; the run of `tick` starts when all of it is gone.
    fn make_way(&self, plan: &mut Plan, tick: Timestamp) {
        let running = self.observed.active().filter(|old| !old.is_deleting());
        plan.actions.extend(running.map(|old| Action::Delete {
            job: old.name.clone(),
            uid: old.uid.clone(),
            why: Deletion::Replace,
        }));
        plan.pending = Some(tick);
        plan.blocked_by = self.observed.active().find_map(|old| self.overdue(old));
        plan.wake_by(self.now.checked_add(REPLACEMENT_CHECK).ok());
    }

    fn overdue(&self, old: &ObservedJob) -> Option<Blocker> {
        let since = old.deleting_since?;
        let limit = old.grace.saturating_add(STOPPING_MARGIN);
        (self.now.duration_since(since) > limit).then(|| Blocker {
            job: old.name.clone(),
            since,
        })
    }

    /// Whether an old run is stopped, or has been, to make way for this one: it then starts however
    /// long that takes.
    fn is_promised(&self, tick: Timestamp) -> bool {
        let status = self.job.status.as_ref();
        let pending = status.and_then(|status| status.pending_schedule_time.as_ref());
        let mut active = self.observed.active();
        self.validated.policy == ConcurrencyPolicy::Replace
            && (pending.is_some_and(|pending| pending.0 == tick)
                || active.any(ObservedJob::is_deleting))
    }

    fn is_too_late(&self, tick: Timestamp) -> bool {
        let (from, tolerance) = if self.validated.schedule.is_once() {
            (tick.max(self.since), CUT_OFF_CREATION)
        } else {
            (tick, SignedDuration::ZERO)
        };
        let lateness = self.now.duration_since(from).saturating_sub(tolerance);
        self.validated
            .deadline
            .is_some_and(|deadline| lateness > deadline)
    }

    fn next(&self, is_settled: bool) -> Option<Timestamp> {
        let is_over = is_settled || has_started(self.job);
        if self.validated.schedule.is_once() && is_over {
            return None;
        }
        self.validated.schedule.next(self.since, self.now)
    }
}

/// Since when the schedule is as it is: an edit, a correction or a resumption never starts a run for an instant
/// that lies before it.
fn reference(job: &PlanescapeJob, is_valid: bool, now: Timestamp) -> ScheduleReference {
    let schedule = schedule_text(job, is_valid);
    let status = job.status.as_ref();
    let since = match status.and_then(|status| status.schedule_reference.as_ref()) {
        Some(reference) if reference.schedule == schedule => reference.since.0,
        Some(_) => now,
        None => created(job).unwrap_or(now),
    };
    ScheduleReference {
        schedule,
        since: Time(since),
    }
}

/// What the schedule depends on, in one text.
fn schedule_text(job: &PlanescapeJob, is_valid: bool) -> String {
    let spec = &job.spec;
    let zone = spec.time_zone.as_deref().unwrap_or("UTC");
    let suspended = if spec.suspend { " (suspended)" } else { "" };
    let invalid = if is_valid { "" } else { " (invalid)" };
    format!("{} {zone}{suspended}{invalid}", spec.schedule)
}

/// Whether a one-time job has had its run, or missed it.
fn has_started(job: &PlanescapeJob) -> bool {
    let annotations = job.metadata.annotations.as_ref();
    let is_marked = annotations.is_some_and(|all| all.contains_key(ONCE_STARTED_ANNOTATION));
    let is_recorded = |status: &PlanescapeJobStatus| status.last_schedule_time.is_some();
    is_marked || job.status.as_ref().is_some_and(is_recorded)
}

fn created(job: &PlanescapeJob) -> Option<Timestamp> {
    Some(job.metadata.creation_timestamp.as_ref()?.0)
}

#[cfg(test)]
mod tests;

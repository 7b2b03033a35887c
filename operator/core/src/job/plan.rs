//! Decides what to do about a PlanescapeJob now, and when to reconcile it again.
//!
//! A pure function of what is observed: it remembers nothing, and run twice it plans the same.

mod announce;
mod check;
mod dropped;
mod due;
mod reference;
mod refusal;
mod rerun;
mod settled;
mod stuck;
mod upkeep;
mod windows;

use jiff::{SignedDuration, Timestamp};

use crate::api::PlanescapeJob;
use crate::api::v1alpha1::ScheduleReference;
use crate::defaults::Defaults;
use crate::job::observed::{Observed, ObservedJob};
use crate::job::validate::ValidatedJob;
use crate::problem::Problem;
use crate::run::Request;
pub use announce::Announced;
pub use check::RECHECK;
pub(crate) use check::was_invalid;
use due::Situation;
pub use due::{has_run_elsewhere, lateness, may_still_start};
pub(crate) use reference::SUSPENDED;
pub use rerun::{RefusedRerun, waiting_rerun};
pub(crate) use settled::{Settled, TOLERATED_SKEW};
pub use upkeep::is_recorded;
use upkeep::upkeep;
use windows::Passed;

/// Things to do, in order, and when to reconcile again.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plan {
    /// Things to do.
    pub actions: Vec<Action>,
    /// The instant of the schedule that this plan settles without a run.
    pub skip: Option<Skip>,
    /// The instant whose run was due and had not started when the schedule was changed, or the job suspended.
    pub dropped: Option<Timestamp>,
    /// How many instants passed unused before the one that this plan settles, exclusion windows aside.
    pub missed: i64,
    /// How many instants passed before that one in exclusion windows.
    pub excluded: i64,
    /// An instant whose run exists, and that the status does not tell of.
    pub found: Option<Found>,
    /// How many instants passed before that one in exclusion windows.
    pub excluded_before_found: i64,
    /// When the next run is due.
    pub next: Option<Timestamp>,
    /// When to reconcile again, whatever happens.
    pub wake: Option<Timestamp>,
    /// When the next instant has to be acted upon, if only to be skipped. Nothing puts that off.
    pub due: Option<Timestamp>,
    /// The schedule, and since when it is as it is.
    pub reference: Option<ScheduleReference>,
    /// The instant whose run waits for the end of the run that it replaces, or comes after.
    pub pending: Option<Timestamp>,
    /// The deleted Job that keeps that run waiting for longer than it should.
    pub blocked_by: Option<Blocker>,
    /// The run that starts out of turn, now or soon.
    pub announced: Option<Announced>,
    /// A Job that should have had a pod by now.
    pub podless: Option<String>,
    /// A pod whose node should have started a container of it by now.
    pub unprepared: Option<String>,
    /// A request for a run by hand that gets none.
    pub refused_rerun: Option<RefusedRerun>,
    /// An instant that was acted upon, and lies so far ahead that the clock was wrong.
    pub clock_was_at: Option<Timestamp>,
    /// Until when every instant was acted upon, by a status that cannot be true.
    pub unbelieved: Option<Timestamp>,
}

/// An instant whose run exists, and that the status does not tell of: the operator that made it came no further.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found {
    /// The instant.
    pub tick: Timestamp,
    /// How many instants passed unused before it, exclusion windows aside.
    pub missed: i64,
}

/// When to look again although something failed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wakes {
    /// When to reconcile again, whatever happens.
    pub wake: Option<Timestamp>,
    /// When the next instant has to be acted upon.
    pub due: Option<Timestamp>,
}

/// In which order things are done, by all PlanescapeJobs together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Priority {
    /// A run waits for it.
    Run,
    /// It must not be forgotten.
    Record,
    /// It can wait.
    Tidy,
}

/// One thing to do.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Become the owner of a Job that has none: a backup was restored, or its PlanescapeJob was
    /// deleted without it.
    Adopt {
        /// Its name.
        job: String,
        /// Its UID.
        uid: String,
    },
    /// Make the Job controller end a Job that does not get on.
    End {
        /// Its name.
        job: String,
        /// Its UID.
        uid: String,
        /// Why, in a word.
        ending: Ending,
        /// Why, in a sentence.
        why: String,
    },
    /// Ask the API server whether it would take the Job of the next run.
    Check {
        /// The instant it would be for.
        tick: Timestamp,
    },
    /// Start a run.
    Create {
        /// The instant it is for.
        tick: Timestamp,
    },
    /// Start a run that somebody asked for by hand.
    Rerun {
        /// The digits in its Job's name.
        id: String,
        /// When.
        at: Timestamp,
        /// The request.
        request: Request,
    },
    /// Delete a Job.
    Delete {
        /// Its name.
        job: String,
        /// Its UID.
        uid: String,
        /// The resourceVersion that the decision rests on: if it has another by now it may have ended.
        version: Option<Box<str>>,
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

impl Action {
    /// When its turn is.
    pub fn priority(&self) -> Priority {
        match self {
            Self::Create { .. } | Self::Rerun { .. } | Self::Adopt { .. } | Self::End { .. } => {
                Priority::Run
            }
            Self::Delete { why, .. } => match why {
                Deletion::Replace => Priority::Run,
                Deletion::History => Priority::Tidy,
            },
            Self::MarkStarted { .. } | Self::Check { .. } => Priority::Record,
            Self::Relabel { .. } | Self::Release { .. } => Priority::Tidy,
        }
    }
}

/// Why a Job is deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deletion {
    /// There are more than the history limit.
    History,
    /// A new run takes its place; its pods must be gone first.
    Replace,
}

/// Why a run is ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Vault refuses its agent for good.
    VaultRefused,
    /// Its Secrets were not there before it was too late to start.
    VaultUnavailable,
    /// None of its pods starts.
    Stuck,
}

impl Ending {
    /// In a word, as the Job and events say it.
    pub fn reason(self) -> &'static str {
        match self {
            Self::VaultRefused => "VaultRefused",
            Self::VaultUnavailable => "VaultUnavailable",
            Self::Stuck => "Stuck",
        }
    }
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
    /// As many runs as may be were active.
    TooMany,
    /// No run may start then.
    Excluded,
    /// It was noticed late, and what is missed shall not run.
    Missed,
}

/// A Job that is being deleted and should be gone by now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blocker {
    /// Its name.
    pub job: String,
    /// Since when it is being deleted.
    pub since: Timestamp,
}

/// How soon a Job that started has a pod.
const FIRST_POD: SignedDuration = SignedDuration::from_secs(10);

/// How long the Job controller may wait before another pod takes the place of one that is gone: ten minutes by the clock of
/// that one's node, and its queue.
const LONGEST_GAP: SignedDuration = SignedDuration::from_mins(15);

/// How long a node may take to prepare a pod's volumes and network. The kubelet tries again every two minutes
/// at most.
const PREPARATION: SignedDuration = SignedDuration::from_secs(30);

/// How long the end of a run may go unseen that somebody took our label off.
const HIDDEN_END: SignedDuration = SignedDuration::from_mins(1);

/// How long a change of the schedule may go unread.
const UNTOLD_EDIT: SignedDuration = SignedDuration::from_secs(5);

/// Plans for a job that can run, or for one that has problems and starts nothing.
pub fn plan(
    job: &PlanescapeJob,
    validated: Result<&ValidatedJob, &[Problem]>,
    observed: &Observed,
    defaults: &Defaults,
    now: Timestamp,
) -> Plan {
    let mut plan = match job.metadata.deletion_timestamp {
        None => Plan::of_runs(job, validated, observed, defaults, now),
        Some(_) => Plan::default(),
    };
    plan.actions.extend(upkeep(job, observed, defaults));
    plan
}

impl Plan {
    /// Plans for runs to come and runs that go on.
    fn of_runs(
        job: &PlanescapeJob,
        validated: Result<&ValidatedJob, &[Problem]>,
        observed: &Observed,
        defaults: &Defaults,
        now: Timestamp,
    ) -> Self {
        let mut plan = Self::default();
        let adopted = observed.unowned.iter().map(|unowned| Action::Adopt {
            job: unowned.name.clone(),
            uid: unowned.uid.clone(),
        });
        plan.actions.extend(adopted);
        let reference = reference::reference(job, validated.is_ok(), now);
        let settled = Settled::of(job.status.as_ref(), now);
        plan.clock_was_at = settled.clock_was_at;
        plan.unbelieved = settled.unbelieved;
        plan.reference = Some(reference.clone());
        refusal::end(&mut plan, job, observed, defaults, now);
        stuck::end(&mut plan, job, observed, now);
        if observed.active().any(|run| run.is_hidden) {
            plan.wake_by(now.checked_add(HIDDEN_END).ok());
        }
        let Ok(validated) = validated else {
            return plan;
        };
        refusal::end_late(&mut plan, validated, observed, now);
        expect_pods(&mut plan, observed, now);
        let situation = Situation {
            job,
            validated,
            observed,
            since: reference.since.0,
            anchor: reference.anchor.as_ref().unwrap_or(&reference.since).0,
            settled,
            now,
        };
        plan.dropped = situation.dropped();
        // A Job that nobody owns is a run of ours as soon as it is adopted.
        if !job.spec.suspend && observed.unowned.is_empty() {
            if let Some(tick) = situation.found() {
                let Passed { missed, excluded } = situation.passed(tick);
                plan.found = Some(Found { tick, missed });
                plan.excluded_before_found = excluded;
            }
            if let Some(tick) = situation.due() {
                let passed = situation.passed(tick);
                plan.missed = passed.missed;
                plan.excluded = passed.excluded;
                situation.settle(&mut plan, tick);
            }
            plan.next = situation.next();
            plan.due = situation.wake();
            plan.wake_by(plan.due);
            if is_edited(job, &reference) {
                // When it was edited is known once it is read, and a run may be due before that.
                let soon = now.checked_add(UNTOLD_EDIT).ok();
                plan.due = plan.due.into_iter().chain(soon).min();
            }
        }
        rerun::plan(&mut plan, job, validated, observed, now);
        if !plan.creates() {
            plan.check(&situation);
        }
        plan
    }

    /// Whether it needs facts that are not old, or that are not kept in memory: a run starts or is
    /// checked, an instant passes, a Job is stopped or adopted, or the schedule counts from now on.
    pub fn needs_fresh_reading(&self, job: &PlanescapeJob) -> bool {
        let before = job.status.as_ref();
        let before = before.and_then(|status| status.schedule_reference.as_ref());
        let counts_anew = self.reference.is_some()
            && before.map(|it| it.since.0) != self.reference.as_ref().map(|it| it.since.0);
        let is_run = |action: &Action| {
            action.priority() == Priority::Run || matches!(action, Action::Check { .. })
        };
        self.settles() || counts_anew || self.actions.iter().any(is_run)
    }

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

    /// Whether something is to start, now or later.
    pub fn starts_something(&self) -> bool {
        let mut actions = self.actions.iter();
        let is_rerun = |action: &Action| matches!(action, Action::Rerun { .. });
        self.settles() || self.is_held_up() || self.next.is_some() || actions.any(is_rerun)
    }

    /// Leaves every instant as it is: nothing starts, passes or is stopped to make way. If that leaves something to do,
    /// look again by `wake`.
    pub fn postpone(&mut self, wake: Timestamp) {
        let settles = |action: &Action| match action {
            Action::Create { .. } | Action::Rerun { .. } => true,
            Action::Delete { why, .. } => *why == Deletion::Replace,
            Action::Adopt { .. }
            | Action::End { .. }
            | Action::Check { .. }
            | Action::Relabel { .. }
            | Action::MarkStarted { .. }
            | Action::Release { .. } => false,
        };
        if self.skip.is_some() || self.actions.iter().any(settles) {
            self.wake_by(Some(wake));
        }
        self.actions.retain(|action| !settles(action));
        self.skip = None;
        self.missed = 0;
        self.excluded = 0;
    }

    /// Whether the run of an instant is due and waits.
    fn is_held_up(&self) -> bool {
        self.pending.is_some() || self.announced.is_some()
    }

    fn settles(&self) -> bool {
        self.creates() || self.skip.is_some()
    }

    /// When to look again although it failed, and when to act upon the next instant.
    pub fn wakes(&self) -> Wakes {
        Wakes {
            wake: self.wake,
            due: self.due,
        }
    }

    /// Whether a time has come; if not, it is looked at again by then.
    fn has_come(&mut self, due: Timestamp, now: Timestamp) -> bool {
        if due > now {
            self.wake_by(Some(due));
        }
        due <= now
    }

    fn end(&mut self, run: &ObservedJob, ending: Ending, why: String) {
        self.actions.push(Action::End {
            job: run.name.clone(),
            uid: run.uid.clone(),
            ending,
            why,
        });
    }

    fn wake_by(&mut self, instant: Option<Timestamp>) {
        self.wake = self.wake.into_iter().chain(instant).min();
    }
}

/// Whether the schedule has changed since a status told of it, or may have before any did.
fn is_edited(job: &PlanescapeJob, now: &ScheduleReference) -> bool {
    let status = job.status.as_ref();
    let before = status.and_then(|status| status.schedule_reference.as_ref());
    match before {
        Some(before) => before.schedule != now.schedule,
        None => job.metadata.generation > Some(1),
    }
}

/// When to look again after a failure: as backing off says, and never later than the next due instant.
/// An instant that became due meanwhile is due now.
pub fn wake_after_failure(wakes: Wakes, now: Timestamp, wait: SignedDuration) -> Timestamp {
    let again = now.checked_add(wait).unwrap_or(now);
    let wake = wakes.wake.filter(|wake| *wake > now);
    let due = wakes.due.map(|due| due.max(now));
    [wake, due]
        .into_iter()
        .flatten()
        .fold(again, Timestamp::min)
}

/// Finds a Job without a pod, or plans to reconcile when there should be one.
fn expect_pods(plan: &mut Plan, observed: &Observed, now: Timestamp) {
    for job in observed.active() {
        if job.is_deleting() {
            continue;
        }
        expect_start(plan, job, now);
        let has_none_yet = job.pods.is_empty() && !job.has_had_pods;
        let wanting = match stuck::gap(job) {
            Some(since) => Some((since, LONGEST_GAP)),
            None => job
                .started
                .filter(|_| has_none_yet)
                .map(|it| (it, FIRST_POD)),
        };
        let wanting = wanting.filter(|_| job.expects_pods);
        let due = wanting.and_then(|(since, limit)| since.checked_add(limit).ok());
        match due {
            Some(due) if due > now => plan.wake_by(Some(due)),
            Some(_) => plan.podless = plan.podless.take().or(Some(job.name.clone())),
            None => {}
        }
    }
}

/// Finds a pod that its node cannot prepare, or plans to reconcile when it should be.
fn expect_start(plan: &mut Plan, job: &ObservedJob, now: Timestamp) {
    for pod in &job.pods {
        match pod
            .prepared_since
            .and_then(|it| it.checked_add(PREPARATION).ok())
        {
            Some(due) if due > now => plan.wake_by(Some(due)),
            Some(_) => plan.unprepared = plan.unprepared.take().or(Some(pod.name.clone())),
            None => {}
        }
    }
}

fn created(job: &PlanescapeJob) -> Option<Timestamp> {
    Some(job.metadata.creation_timestamp.as_ref()?.0)
}

#[cfg(test)]
mod boundary_tests;
#[cfg(test)]
mod field_tests;
#[cfg(test)]
mod policy_tests;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod window_tests;

//! Which instant of the schedule is due, and what becomes of it.

use jiff::{SignedDuration, Timestamp};

use super::announce::{self, Announced};
use super::settled::{Settled, TOLERATED_SKEW};
use super::{Action, Blocker, Deletion, Plan, Skip, Skipped, created};
use crate::api::PlanescapeJob;
use crate::api::names::ONCE_STARTED_ANNOTATION;
use crate::api::v1alpha1::{
    ConcurrencyPolicy, ForbidBehavior, MissedRunPolicy, ONCE, PlanescapeJobStatus,
};
use crate::job::observed::{Observed, ObservedJob};
use crate::job::validate::ValidatedJob;

/// How long a replaced run may take to end before we look again.
const REPLACEMENT_CHECK: SignedDuration = SignedDuration::from_secs(10);

/// How much longer than its pods' grace period a Job's deletion may take.
const STOPPING_MARGIN: SignedDuration = SignedDuration::from_secs(30);

/// Kubernetes cuts the times of creation and deletion to whole seconds.
const CUT_OFF: SignedDuration = SignedDuration::from_secs(1);

/// How late a run may be if missed runs are not made up for.
const PUNCTUAL: SignedDuration = SignedDuration::from_mins(1);

/// How long after its deadline a run may start that was decided in time: it may have been announced first.
const DECISION: SignedDuration = SignedDuration::from_secs(5);

/// The facts that a decision about the schedule depends on.
pub(super) struct Situation<'a> {
    pub(super) job: &'a PlanescapeJob,
    pub(super) validated: &'a ValidatedJob,
    pub(super) observed: &'a Observed,
    /// Since when the schedule is as it is.
    pub(super) since: Timestamp,
    /// The time that intervals count from.
    pub(super) anchor: Timestamp,
    /// Which instants were acted upon.
    pub(super) settled: Settled,
    pub(super) now: Timestamp,
}

impl Situation<'_> {
    /// The instant that should have been acted upon by now, and was not.
    pub(super) fn due(&self) -> Option<Timestamp> {
        if self.validated.schedule.is_once() {
            let tick = created(self.job)?;
            let mut jobs = self.observed.jobs.iter();
            let is_open = !has_started(self.job) && jobs.all(|run| run.rerun.is_some());
            return is_open.then_some(tick);
        }
        let after = self.settled_until();
        let tick = self
            .validated
            .schedule
            .previous(self.anchor, self.now_undelayed()?)?;
        let is_open = tick > after && !self.settled.includes(tick) && !self.has_run(tick);
        is_open.then_some(tick)
    }

    /// The latest instant whose run exists and that the status does not tell of.
    pub(super) fn found(&self) -> Option<Timestamp> {
        if self.validated.schedule.is_once() {
            return None;
        }
        let horizon = self.now.checked_add(TOLERATED_SKEW).ok()?;
        let found = self.unrecorded().filter(|tick| *tick <= horizon);
        found.max()
    }

    /// The instants after the last one that was settled that have a run.
    pub(super) fn unrecorded(&self) -> impl Iterator<Item = Timestamp> {
        let after = self.settled_until();
        let scheduled = self.observed.jobs.iter().filter(|run| run.rerun.is_none());
        let ticks = scheduled.map(|run| run.tick);
        ticks.filter(move |tick| *tick > after && !self.settled.includes(*tick))
    }

    /// Everything up to this instant is settled, or was never to run.
    pub(super) fn settled_until(&self) -> Timestamp {
        let last = self.settled.last;
        last.map_or(self.since, |last| last.max(self.since))
    }

    pub(super) fn has_run(&self, tick: Timestamp) -> bool {
        let mut recorded = self.job.status.iter().flat_map(|status| &status.runs);
        let mut jobs = self.observed.jobs.iter();
        jobs.any(|run| run.rerun.is_none() && run.tick == tick)
            || recorded.any(|run| run.rerun.is_none() && run.scheduled_time.0 == tick)
    }

    /// Decides about an instant that is due.
    pub(super) fn settle(&self, plan: &mut Plan, tick: Timestamp) {
        let is_promised = self.is_promised(tick);
        plan.pending = is_promised.then_some(tick);
        if !is_promised && let Some(why) = self.refusal(tick, self.now) {
            plan.skip = Some(Skip { tick, why });
            return;
        }
        let active = self.observed.active().count();
        let is_busy = active > 0;
        let is_full = self
            .validated
            .most_active
            .is_some_and(|most| active >= most);
        match self.validated.policy {
            ConcurrencyPolicy::Allow if is_full => {
                let why = Skipped::TooMany;
                plan.skip = Some(Skip { tick, why });
            }
            ConcurrencyPolicy::Forbid
                if is_busy && self.validated.forbid == ForbidBehavior::Queue =>
            {
                plan.pending = Some(tick);
            }
            ConcurrencyPolicy::Forbid if is_busy => {
                let why = Skipped::Forbid;
                plan.skip = Some(Skip { tick, why });
            }
            ConcurrencyPolicy::Replace if is_busy => self.make_way(plan, tick),
            ConcurrencyPolicy::Allow => plan.actions.push(Action::Create { tick }),
            ConcurrencyPolicy::Forbid | ConcurrencyPolicy::Replace => {
                let status = self.job.status.as_ref();
                if self.is_next(tick) || plan.announce(Announced::Tick(tick), status, self.now) {
                    plan.actions.push(Action::Create { tick });
                }
            }
        }
    }

    /// Whether the status names the run of this instant as the next one, or is not ours yet. The status of a suspended
    /// job names none: after its resumption two operators could start one each.
    fn is_next(&self, tick: Timestamp) -> bool {
        let Some(status) = &self.job.status else {
            return true;
        };
        if self.validated.schedule.is_once() {
            return true;
        }
        match (&status.announced_run, &status.pending_schedule_time) {
            (Some(_), _) => false,
            (None, Some(pending)) => pending.0 == tick,
            (None, None) => match &status.next_schedule_time {
                Some(next) => Some(next.0) == self.delayed(tick),
                None => status.schedule_reference.is_none(),
            },
        }
    }

    /// Stops the Jobs that run; the run of `tick` starts when all of them are gone.
    fn make_way(&self, plan: &mut Plan, tick: Timestamp) {
        let running = self.observed.active().filter(|old| !old.is_deleting());
        plan.actions.extend(running.map(|old| Action::Delete {
            job: old.name.clone(),
            uid: old.uid.clone(),
            version: old.version.clone(),
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
        let mut active = self.observed.active();
        self.validated.policy == ConcurrencyPolicy::Replace
            && (self.is_pending(tick) && !self.was_queued()
                || active.any(|old| self.is_stopped_for(old, tick)))
    }

    /// Whether a Job may be deleted for the run of an instant, although nobody came to record that: it was to start then.
    /// Anybody may delete a Job at any other time, and promises nothing by it.
    fn is_stopped_for(&self, old: &ObservedJob, tick: Timestamp) -> bool {
        let (Some(since), Some(due)) = (old.deleting_since, self.delayed(tick)) else {
            return false;
        };
        let began = since.saturating_add(CUT_OFF).unwrap_or(since);
        began > due && self.refusal(tick, since.max(due)).is_none()
    }

    /// Whether what is pending began to wait under another policy than Replace: nothing was stopped for it.
    fn was_queued(&self) -> bool {
        let status = self.job.status.as_ref();
        let resolved = status.and_then(|status| status.resolved.as_ref());
        resolved.is_some_and(|it| it.concurrency_policy != ConcurrencyPolicy::Replace)
    }

    /// Why an instant has no run if that is decided at `then`, other runs aside.
    fn refusal(&self, tick: Timestamp, then: Timestamp) -> Option<Skipped> {
        let due = self.delayed(tick)?;
        if self.is_excluded(due) || self.is_excluded(then) {
            return (!self.validated.schedule.is_once()).then_some(Skipped::Excluded);
        }
        if self.is_too_late(tick, (due, then)) {
            return Some(Skipped::TooLate);
        }
        let is_missed = self.validated.missed == MissedRunPolicy::Skip
            && self.validated.deadline.is_none()
            && !self.is_pending(tick)
            && then.duration_since(due) > PUNCTUAL;
        is_missed.then_some(Skipped::Missed)
    }

    /// The instant whose run waits for the end of another.
    pub(super) fn pending(&self) -> Option<Timestamp> {
        let status = self.job.status.as_ref()?;
        Some(status.pending_schedule_time.as_ref()?.0)
    }

    fn is_pending(&self, tick: Timestamp) -> bool {
        self.pending() == Some(tick)
    }

    /// When the run of an instant starts.
    pub(super) fn delayed(&self, tick: Timestamp) -> Option<Timestamp> {
        tick.checked_add(self.validated.delay).ok()
    }

    /// The instant whose run would start now.
    fn now_undelayed(&self) -> Option<Timestamp> {
        self.now.checked_sub(self.validated.delay).ok()
    }

    fn is_too_late(&self, tick: Timestamp, (due, then): (Timestamp, Timestamp)) -> bool {
        let (from, tolerance) = if self.validated.schedule.is_once() {
            (due.max(self.since), CUT_OFF)
        } else {
            (due, SignedDuration::ZERO)
        };
        let decided = announce::decided(tick, self.job.status.as_ref(), then);
        let lateness = decided.duration_since(from).saturating_sub(tolerance);
        // No run starts at the very instant, so that a part of a second is not late.
        self.validated
            .deadline
            .is_some_and(|deadline| lateness.as_secs() > deadline.as_secs())
    }

    /// When the next instant has to be acted upon, if only to be skipped. The instant of a one-time job is past as soon
    /// as there is one.
    pub(super) fn wake(&self) -> Option<Timestamp> {
        if self.validated.schedule.is_once() {
            return None;
        }
        self.after(self.now)
    }

    /// When the first run starts after an instant.
    pub(super) fn after(&self, instant: Timestamp) -> Option<Timestamp> {
        let delay = self.validated.delay;
        let next = |after| self.validated.schedule.next(self.anchor, after);
        let coming = next(instant.checked_sub(delay).ok()?)?;
        let coming = match &self.settled.ahead {
            Some(ahead) if ahead.contains(&coming) => next(*ahead.end())?,
            Some(_) | None => coming,
        };
        self.delayed(coming)
    }
}

/// How late the run of an instant is that starts now; nothing of one that waited for the end of another run. Before the
/// schedule was as it is, it was not to start.
pub fn lateness(
    job: &PlanescapeJob,
    validated: &ValidatedJob,
    tick: Timestamp,
    now: Timestamp,
) -> Option<SignedDuration> {
    let status = job.status.as_ref();
    let pending = status.and_then(|status| status.pending_schedule_time.as_ref());
    if pending.is_some_and(|pending| pending.0 == tick) {
        return None;
    }
    let reference = status.and_then(|status| status.schedule_reference.as_ref());
    let since = reference.map_or(tick, |reference| reference.since.0);
    let due = tick.checked_add(validated.delay).ok()?;
    Some(now.duration_since(due.max(since)))
}

/// Whether the run of an instant may start that was decided some time ago, and has waited for its turn since.
pub fn may_still_start(
    job: &PlanescapeJob,
    validated: &ValidatedJob,
    tick: Timestamp,
    now: Timestamp,
) -> bool {
    let late = lateness(job, validated, tick, now);
    let limit = validated.deadline.map(|it| it.saturating_add(DECISION));
    late.is_none_or(|late| limit.is_none_or(|limit| late <= limit))
}

/// Whether a one-time job has had its run, or missed it, or bears the mark of a run at all.
pub(super) fn has_started(job: &PlanescapeJob) -> bool {
    has_settled(job) || marker(job).is_some()
}

/// The mark of another PlanescapeJob's run, on a one-time job that has had none: somebody copied the
/// object, or restored it without its status. The operator cannot tell whether the run is still to
/// be made, so it makes none.
pub fn has_run_elsewhere(job: &PlanescapeJob) -> Option<&str> {
    if job.spec.schedule != ONCE || has_settled(job) {
        return None;
    }
    marker(job).filter(|marker| !is_marked_by(marker, job))
}

/// Whether the job bears the mark of its own run.
pub(super) fn is_marked(job: &PlanescapeJob) -> bool {
    marker(job).is_some_and(|marker| is_marked_by(marker, job))
}

fn is_marked_by(marker: &str, job: &PlanescapeJob) -> bool {
    let owner = marker.split_once('/').map(|(owner, _)| owner);
    owner.is_some() && owner == job.metadata.uid.as_deref()
}

fn marker(job: &PlanescapeJob) -> Option<&str> {
    let annotations = job.metadata.annotations.as_ref()?;
    annotations.get(ONCE_STARTED_ANNOTATION).map(String::as_str)
}

fn has_settled(job: &PlanescapeJob) -> bool {
    let is_recorded = |status: &PlanescapeJobStatus| status.last_schedule_time.is_some();
    job.status.as_ref().is_some_and(is_recorded)
}

//! The fates that a spec allows an instant, read by other means than the operator's.

use jiff::{SignedDuration, Timestamp};
use planescape_operator_core::api::v1alpha1::{
    ConcurrencyPolicy, ExclusionWindow, MissedRunPolicy, ONCE, PlanescapeJobSpec,
    PlanescapeJobStatus,
};
use planescape_operator_core::job::known::Whole;
use planescape_operator_core::job::plan::{Skip, Skipped};

/// How much later a run may be than its deadline says: it was announced before it was late.
const ANNOUNCED: i64 = 3;

/// How late a run may be if missed runs are not to be made up for.
const PUNCTUAL: i64 = 60;

/// How long it may take from a decision to the deletion that follows.
const LONGEST_STEP: SignedDuration = SignedDuration::from_secs(60);

pub(crate) struct Rules<'a> {
    spec: &'a PlanescapeJobSpec,
    status: Option<&'a PlanescapeJobStatus>,
    policy: ConcurrencyPolicy,
    delay: SignedDuration,
}

impl<'a> Rules<'a> {
    /// The rules of a PlanescapeJob that can run.
    pub(crate) fn of(whole: &'a Whole) -> Option<Self> {
        let validated = whole.validated.as_ref().ok()?;
        Some(Self {
            spec: &whole.job.spec,
            status: whole.job.status.as_ref(),
            policy: validated.policy,
            delay: validated.delay,
        })
    }

    /// The promise that the run of an instant breaks, where it was decided then and beside so many others.
    pub(crate) fn broken_by_run(
        &self,
        tick: Timestamp,
        now: Timestamp,
        active: usize,
    ) -> Option<&'static str> {
        if self.is_full(active) {
            return Some("no more runs than may be");
        }
        if self.is_promised(tick) {
            return None;
        }
        match self.refusal(tick, now, ANNOUNCED)? {
            Skipped::Excluded => Some("no run in a window"),
            Skipped::TooLate => Some("no run beyond its deadline"),
            Skipped::Missed => Some("no run that makes up for a missed one"),
            Skipped::Forbid | Skipped::TooMany => None,
        }
    }

    /// The same of a run by hand, which knows no time.
    pub(crate) fn broken_by_rerun(&self, active: usize) -> Option<&'static str> {
        self.is_full(active).then_some("no more runs than may be")
    }

    /// Whether an instant may be skipped for this reason, as it was decided then and beside so many runs.
    pub(crate) fn allow_skip(&self, skip: Skip, now: Timestamp, active: usize) -> bool {
        match skip.why {
            Skipped::Forbid => self.policy == ConcurrencyPolicy::Forbid && active > 0,
            Skipped::TooMany => self.is_full(active),
            // A run that is to happen once counts from its resumption.
            Skipped::TooLate if self.spec.schedule == ONCE => {
                self.spec.starting_deadline_seconds.is_some()
            }
            Skipped::Excluded | Skipped::TooLate | Skipped::Missed => {
                self.refusal(skip.tick, now, 0) == Some(skip.why)
            }
        }
    }

    /// Whether the run of an instant may begin to wait for the end of others: then it starts however late that is. Either it
    /// may start now, or one of them is being deleted since a moment when it might.
    pub(crate) fn allow_promise(
        &self,
        tick: Timestamp,
        now: Timestamp,
        mut deletions: impl Iterator<Item = Timestamp>,
    ) -> bool {
        let may_start = |at: Timestamp| self.refusal(tick, at, 0).is_none();
        self.policy != ConcurrencyPolicy::Replace
            || self.is_promised(tick)
            || may_start(now)
            || deletions.any(|since| {
                let before = since - LONGEST_STEP;
                since >= self.due(tick) && (may_start(since) || may_start(before))
            })
    }

    /// Whether as many runs are active as may be.
    fn is_full(&self, active: usize) -> bool {
        let most = self.spec.max_active_runs;
        let most = most.and_then(|most| usize::try_from(most).ok());
        self.policy == ConcurrencyPolicy::Allow && most.is_some_and(|most| active >= most)
    }

    /// Whether its status says that others are stopped to make way for the run of an instant.
    fn is_promised(&self, tick: Timestamp) -> bool {
        let Some(status) = self.status else {
            return false;
        };
        let replaces = |policy: ConcurrencyPolicy| policy == ConcurrencyPolicy::Replace;
        let resolved = status.resolved.as_ref();
        replaces(self.policy)
            && resolved.is_none_or(|resolved| replaces(resolved.concurrency_policy))
            && self.is_pending(tick)
    }

    fn is_pending(&self, tick: Timestamp) -> bool {
        let pending = self.status.and_then(|it| it.pending_schedule_time.as_ref());
        pending.is_some_and(|pending| pending.0 == tick)
    }

    /// Why the run of an instant may not start then, whatever else runs; a few seconds too late do not count.
    fn refusal(&self, tick: Timestamp, at: Timestamp, tolerance: i64) -> Option<Skipped> {
        if self.spec.schedule == ONCE {
            return None;
        }
        let due = self.due(tick);
        if self.is_excluded(due) || self.is_excluded(at) {
            return Some(Skipped::Excluded);
        }
        let late = at.duration_since(due).as_secs();
        if let Some(deadline) = self.spec.starting_deadline_seconds {
            return (late > deadline + tolerance).then_some(Skipped::TooLate);
        }
        let makes_up = self.spec.missed_run_policy == MissedRunPolicy::RunLatest;
        let is_missed = !makes_up && !self.is_pending(tick) && late > PUNCTUAL;
        is_missed.then_some(Skipped::Missed)
    }

    fn due(&self, tick: Timestamp) -> Timestamp {
        tick + self.delay
    }

    fn is_excluded(&self, at: Timestamp) -> bool {
        let mut windows = self.spec.exclusion_windows.iter();
        windows.any(|window| holds(window, at))
    }
}

/// Whether an instant lies in a window: from one instant to another, or so many minutes from each `*/N * * * *` on.
fn holds(window: &ExclusionWindow, at: Timestamp) -> bool {
    if let (Some(from), Some(until)) = (&window.from, &window.until) {
        let instant = |text: &str| text.parse::<Timestamp>().unwrap();
        return (instant(from)..instant(until)).contains(&at);
    }
    let every = number(window.schedule.as_deref());
    let minute = at.as_second().div_euclid(60).rem_euclid(every);
    minute < number(window.duration.as_deref())
}

fn number(text: Option<&str>) -> i64 {
    let digits: String = text.unwrap().chars().filter(char::is_ascii_digit).collect();
    digits.parse().unwrap()
}

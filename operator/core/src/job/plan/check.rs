//! When the API server is asked whether it would take the Job of the next run.

use jiff::{SignedDuration, Timestamp};

use super::due::{Situation, has_started};
use super::{Action, Plan, Priority};
use crate::api::PlanescapeJob;

/// How long a check of the template holds at least that brought no answer.
pub const RECHECK: SignedDuration = SignedDuration::from_mins(1);

impl Plan {
    /// Plans the check of a template that was not checked since the spec changed.
    pub(super) fn check(&mut self, situation: &Situation<'_>) {
        let job = situation.job;
        if has_started(job) && situation.validated.schedule.is_once() {
            return;
        }
        let conditions = job.status.iter().flat_map(|status| &status.conditions);
        let mut known = conditions.filter(|condition| condition.type_ == "TemplateValid");
        if let Some(known) = known.next()
            && known.observed_generation == job.metadata.generation
            && !was_invalid(job)
        {
            let checked = known.last_transition_time.0;
            let again = checked.checked_add(RECHECK).ok();
            // A policy, a quota or a webhook may say something else by then.
            let is_open = known.status == "Unknown" || known.reason == "Refused";
            if !is_open {
                return;
            }
            if again.is_some_and(|again| again > situation.now) {
                self.wake_by(again);
                return;
            }
            self.wake_by(situation.now.checked_add(RECHECK).ok());
        }
        let tick = self.next.unwrap_or(situation.now);
        self.actions.push(Action::Check { tick });
    }

    /// Whether it needs the template for nothing but a check.
    pub fn only_checks(&self) -> bool {
        let mut runs = self.actions.iter();
        self.checks() && !runs.any(|action| action.priority() == Priority::Run)
    }

    /// Whether the template is to be checked.
    pub fn checks(&self) -> bool {
        let mut actions = self.actions.iter();
        actions.any(|action| matches!(action, Action::Check { .. }))
    }

    /// Leaves the check for later: it was made a moment ago, or there is no time for it.
    pub fn put_off_check(&mut self, again: Timestamp) {
        self.actions
            .retain(|action| !matches!(action, Action::Check { .. }));
        self.wake_by(Some(again));
    }
}

/// Whether the status says of this generation that it cannot run. If it can all the same, a setting of the operator
/// has come back, or this operator knows more: the earlier findings hold no more.
pub(crate) fn was_invalid(job: &PlanescapeJob) -> bool {
    let status = job.status.as_ref();
    let reference = status.and_then(|status| status.schedule_reference.as_ref());
    let invalid = reference.and_then(|reference| reference.invalid_generation);
    invalid.is_some_and(|invalid| invalid == job.metadata.generation.unwrap_or_default())
}

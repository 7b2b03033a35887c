//! The run that an edit takes away: it was due, and had to wait for something.

use jiff::Timestamp;

use super::due::Situation;
use super::reference::SUSPENDED;

impl Situation<'_> {
    /// The instant whose run was due and had not started when the schedule was changed, or the job suspended: from then on
    /// it does not start any more.
    pub(super) fn dropped(&self) -> Option<Timestamp> {
        let status = self.job.status.as_ref()?;
        let before = status.schedule_reference.as_ref()?;
        let is_new = self.since > before.since.0;
        // No instant was to run while the job was suspended.
        if !is_new || before.schedule.ends_with(SUSPENDED) || self.validated.schedule.is_once() {
            return None;
        }
        let after = self.settled.last.max(Some(before.since.0));
        let is_open = |tick: &Timestamp| Some(*tick) > after && *tick <= self.since;
        let now = super::reference::text(self.job);
        if now.strip_suffix(SUSPENDED).unwrap_or(&now) == before.schedule {
            // The schedule is the same, and names it.
            let before = Situation {
                since: before.since.0,
                now: self.since,
                settled: self.settled.clone(),
                ..*self
            };
            return before.due().filter(is_open);
        }
        let pending = status.pending_schedule_time.as_ref();
        let announced = status.announced_run.as_ref();
        let announced = announced.and_then(|run| run.scheduled_time.as_ref());
        let waiting = pending.or(announced).map(|waiting| waiting.0);
        waiting.filter(|tick| is_open(tick) && !self.has_run(*tick))
    }
}

//! A schedule that windows leave nothing of.

use super::Facts;

/// The message about it.
pub(super) const NEVER_RUNS: &str = "no run starts: each of the next instants of spec.schedule lies in one of \
    spec.exclusionWindows; shorten a window, or choose another schedule";

/// Whether the windows leave out all that the schedule names.
pub(super) fn never_runs(facts: &Facts<'_>) -> bool {
    let has_windows = facts.validated.is_ok_and(|it| !it.excluded.is_empty());
    // Nothing is planned before a Job without an owner is adopted.
    has_windows && facts.plan.next.is_none() && facts.observed.unowned.is_empty()
}

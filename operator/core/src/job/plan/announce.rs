//! Runs that must not start beside another are named by the status before they start.
//!
//! Kubernetes creates no object on the condition that another one is unchanged. Two operators that both take themselves
//! for the leader make no two Jobs for one instant, because both would have the same name. For two instants they could,
//! where their clocks or their looks differ. So each may only start a run that it has read in the status: that of the
//! next instant, which every status names, or one that is announced in a write that fails if anything has changed.
//! After its announcement an operator waits until a Job that another one was about to make shows.

use jiff::{SignedDuration, Timestamp};

use super::Plan;
use crate::api::v1alpha1::{AnnouncedRun, PlanescapeJobStatus};

/// How long a run is announced before it starts. The status holds whole seconds.
const ANNOUNCED: SignedDuration = SignedDuration::from_secs(2);

/// A run that starts out of turn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Announced {
    /// The run of an instant.
    Tick(Timestamp),
    /// A run that somebody asked for by hand, by the digits in its Job's name.
    Rerun(String),
}

impl Announced {
    /// Whether the status names it.
    pub(crate) fn is(&self, known: &AnnouncedRun) -> bool {
        match self {
            Self::Tick(tick) => known.scheduled_time.as_ref().map(|it| it.0) == Some(*tick),
            Self::Rerun(id) => known.rerun.as_ref() == Some(id),
        }
    }
}

impl Plan {
    /// Announces a run. Whether it may start, as it was announced some time ago.
    pub(super) fn announce(
        &mut self,
        run: Announced,
        status: Option<&PlanescapeJobStatus>,
        now: Timestamp,
    ) -> bool {
        let since = announced_since(&run, status, now).unwrap_or(now);
        self.announced = Some(run);
        let starts = since.checked_add(ANNOUNCED).unwrap_or(now);
        if starts > now {
            self.wake_by(Some(starts));
        }
        starts <= now
    }
}

/// Since when the status names a run.
pub(super) fn announced_since(
    run: &Announced,
    status: Option<&PlanescapeJobStatus>,
    now: Timestamp,
) -> Option<Timestamp> {
    let known = status?.announced_run.as_ref()?;
    // A clock that was ahead has written it: it is announced anew.
    (run.is(known) && known.since.0 <= now).then_some(known.since.0)
}

/// When it was decided that the run of an instant starts, while it is announced.
pub(super) fn decided(
    tick: Timestamp,
    status: Option<&PlanescapeJobStatus>,
    now: Timestamp,
) -> Timestamp {
    let since = announced_since(&Announced::Tick(tick), status, now);
    let long = ANNOUNCED + SignedDuration::from_secs(1);
    since
        .filter(|since| now.duration_since(*since) <= long)
        .unwrap_or(now)
}

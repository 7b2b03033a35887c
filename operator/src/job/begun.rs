//! Runs whose Job is made and whose status is not written yet.
//!
//! Kept in memory alone: what is lost with it is an event. That the run was made shows in its Job, which bears our
//! finalizer until the status tells of it.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use planescape_operator_core::job::status::{Applied, Started};

use super::{Attempt, Name};

/// By PlanescapeJob.
#[derive(Debug, Default)]
pub(super) struct Begun {
    runs: Mutex<HashMap<Name, Run>>,
    /// Jobs that may have been made, because no answer came, and that no watch may show yet.
    unanswered: Mutex<HashMap<Name, String>>,
}

#[derive(Debug)]
struct Run {
    owner: String,
    started: Started,
}

impl Begun {
    /// Remembers the run that an attempt has made, if it has made one.
    pub(super) fn keep(&self, attempt: &Attempt, applied: &Applied) {
        let Some(started) = applied.started.clone() else {
            return;
        };
        let run = Run {
            owner: attempt.identity.uid.clone(),
            started,
        };
        self.runs().insert(attempt.name(), run);
    }

    /// Takes up the run that an earlier attempt has made: as if this one had.
    pub(super) fn resume(&self, attempt: &Attempt) -> Option<Started> {
        let run = self.runs().remove(&attempt.name())?;
        (run.owner == attempt.identity.uid).then_some(run.started)
    }

    /// The object is gone.
    pub(super) fn forget(&self, name: &Name) {
        self.runs().remove(name);
        self.take_unanswered(name);
    }

    /// The API server did not say whether it has made this Job.
    pub(super) fn keep_unanswered(&self, name: Name, job: &str) {
        locked(&self.unanswered).insert(name, job.to_owned());
    }

    /// The Job that may have been made. The caller looks for it.
    pub(super) fn take_unanswered(&self, name: &Name) -> Option<String> {
        locked(&self.unanswered).remove(name)
    }

    fn runs(&self) -> MutexGuard<'_, HashMap<Name, Run>> {
        locked(&self.runs)
    }
}

/// Nothing panics while it holds a lock.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

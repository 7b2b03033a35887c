//! When a template is checked again whose check brought no answer that lasts: ever more rarely.
//!
//! Kept in memory alone: after a restart everything is checked at once.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use planescape_operator_core::job::plan::RECHECK;
use planescape_operator_core::job::status::Checked;

use super::Name;

/// The longest wait between two checks.
const LONGEST: Duration = Duration::from_secs(3_600);

/// The templates of which it is not known yet whether they will be taken.
#[derive(Debug, Default)]
pub(super) struct Rechecks(Mutex<HashMap<Name, Open>>);

/// The checked version: the UID of the object, and its generation.
pub(super) type Version = (String, Option<i64>);

#[derive(Clone, Debug)]
struct Open {
    version: Version,
    since: Instant,
    last: Instant,
}

impl Open {
    fn due(&self) -> Instant {
        let lasted = self.last.duration_since(self.since);
        let shortest = Duration::try_from(RECHECK).unwrap_or(LONGEST);
        self.last + lasted.clamp(shortest, LONGEST)
    }
}

impl Rechecks {
    /// How long to wait before this version is checked, where it was a while ago.
    pub(super) fn wait(&self, name: &Name, version: &Version, now: Instant) -> Option<Duration> {
        let open = self.open();
        let known = open.get(name).filter(|known| known.version == *version)?;
        let wait = known.due().saturating_duration_since(now);
        (!wait.is_zero()).then_some(wait)
    }

    /// Takes in what a check has brought.
    pub(super) fn take(&self, name: Name, version: Version, checked: &Checked, now: Instant) {
        let mut open = self.open();
        match checked {
            Checked::Accepted | Checked::Invalid(_) => {
                open.remove(&name);
            }
            Checked::Refused(_) | Checked::Unknown(_) => {
                let known = open.get(&name).filter(|known| known.version == version);
                let since = known.map_or(now, |known| known.since);
                let checked = Open {
                    version,
                    since,
                    last: now,
                };
                open.insert(name, checked);
            }
        }
    }

    /// Whether it is time to check a template again.
    pub(super) fn is_due(&self, name: &Name, now: Instant) -> bool {
        let open = self.open();
        open.get(name).is_some_and(|known| known.due() <= now)
    }

    /// The object is gone, or the result of a check could not be told.
    pub(super) fn forget(&self, name: &Name) {
        self.open().remove(name);
    }

    /// Nothing panics while it holds the lock.
    fn open(&self) -> MutexGuard<'_, HashMap<Name, Open>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_check_without_an_answer_is_made_ever_more_rarely_and_a_new_spec_at_once() {
        let rechecks = Rechecks::default();
        let name = ("team".to_owned(), "my-job".to_owned());
        let version = |generation: i64| ("u".to_owned(), Some(generation));
        let refused = Checked::Refused("no".to_owned());
        let start = Instant::now();
        let mut checks = 0;
        for second in 0..24 * 3_600 {
            let now = start + Duration::from_secs(second);
            if rechecks.wait(&name, &version(1), now).is_none() {
                checks += 1;
                rechecks.take(name.clone(), version(1), &refused, now);
            }
        }

        assert!((20..=40).contains(&checks), "{checks}");
        let now = start + Duration::from_secs(24 * 3_600);
        assert!(rechecks.wait(&name, &version(1), now).is_some());
        assert_eq!(rechecks.wait(&name, &version(2), now), None);
        let later = now + LONGEST;
        assert!(!rechecks.is_due(&name, now) && rechecks.is_due(&name, later));
        rechecks.take(name.clone(), version(2), &Checked::Accepted, now);
        assert!(!rechecks.is_due(&name, later));
    }
}

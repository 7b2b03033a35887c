//! Since when objects fail, and when to try again.
//!
//! Kept in memory alone: after a restart everything is tried at once.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Namespace and name.
type Key = (String, String);

/// The objects that fail.
#[derive(Default)]
pub(super) struct Backoff(Mutex<HashMap<Key, Failing>>);

struct Failing {
    since: Instant,
    pace: Pace,
}

/// How hurried another attempt is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pace {
    /// It may well succeed.
    Soon,
    /// Somebody has to change something first.
    Refused,
}

impl Pace {
    /// As long as it has lasted, within limits, and up to a quarter less or more by `chance`, which
    /// is between 0 and 1.
    fn wait(self, lasted: Duration, chance: f64) -> Duration {
        let (shortest, longest) = match self {
            Self::Soon => (Duration::from_millis(50), Duration::from_secs(30)),
            Self::Refused => (Duration::from_secs(1), Duration::from_secs(300)),
        };
        let wait = lasted.clamp(shortest, longest);
        wait.mul_f64(0.75 + chance / 2.0)
    }
}

impl Backoff {
    /// How long to wait after a failure that happens now.
    pub(super) fn wait(&self, namespace: &str, name: &str, pace: Pace) -> Duration {
        let mut failing = self.failing();
        let now = Instant::now();
        let fresh = || Failing { since: now, pace };
        let key = (namespace.to_owned(), name.to_owned());
        let known = failing.entry(key).or_insert_with(fresh);
        if known.pace != pace {
            *known = fresh();
        }
        pace.wait(now.duration_since(known.since), chance())
    }

    /// The object does not fail, or is gone.
    pub(super) fn forget(&self, namespace: &str, name: &str) {
        let mut failing = self.failing();
        failing.remove(&(namespace.to_owned(), name.to_owned()));
    }

    /// A panic while it was held has left one entry changed or none.
    fn failing(&self) -> MutexGuard<'_, HashMap<Key, Failing>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Between 0 and 1: the standard library's hash keys are random.
fn chance() -> f64 {
    let dice = RandomState::new().hash_one("planescape");
    f64::from((dice >> 32) as u32) / f64::from(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_as_long_as_it_has_lasted() {
        let wait = |pace: Pace, lasted| pace.wait(Duration::from_millis(lasted), 0.5);

        assert_eq!(wait(Pace::Soon, 0), Duration::from_millis(50));
        assert_eq!(wait(Pace::Soon, 400), Duration::from_millis(400));
        assert_eq!(wait(Pace::Soon, 90_000), Duration::from_secs(30));
        assert_eq!(wait(Pace::Refused, 0), Duration::from_secs(1));
        assert_eq!(wait(Pace::Refused, 20_000), Duration::from_secs(20));
        assert_eq!(wait(Pace::Refused, 9_000_000), Duration::from_secs(300));
    }

    #[test]
    fn spreads_attempts_by_a_quarter() {
        let wait = |chance| Pace::Soon.wait(Duration::from_secs(4), chance);

        assert_eq!(wait(0.0), Duration::from_secs(3));
        assert_eq!(wait(1.0), Duration::from_secs(5));
    }

    #[test]
    fn a_first_refusal_is_tried_again_soon_whatever_failed_before() {
        let backoff = Backoff::default();
        let an_hour = Duration::from_secs(3_600);
        let since = Instant::now().checked_sub(an_hour).unwrap();
        let key = ("team".to_owned(), "my-job".to_owned());
        let pace = Pace::Soon;
        backoff.failing().insert(key, Failing { since, pace });

        let refused = backoff.wait("team", "my-job", Pace::Refused);

        assert!(refused < Duration::from_secs(2), "{refused:?}");
    }
}

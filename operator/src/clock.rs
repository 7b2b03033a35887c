//! Wakes objects by the clock on the wall.
//!
//! A timer follows no clock that is set and does not see a machine that slept. So no sleep is longer
//! than two seconds, and after each the clock is read again.

use std::collections::{BTreeSet, HashMap};
use std::hash::Hash;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tokio::sync::Notify;

/// How late a run may be because a machine slept or a clock was set.
const LONGEST_SLEEP: Duration = Duration::from_secs(2);

/// A clock that is set back further than this leaves waits in the far future.
const TOLERATED_STEP: Duration = Duration::from_secs(2);

/// Which object is to be woken when; one instant for each.
#[derive(Debug)]
pub(crate) struct Clock<K> {
    alarms: Mutex<Alarms<K>>,
    changed: Notify,
}

#[derive(Debug)]
struct Alarms<K> {
    by_time: BTreeSet<(Timestamp, K)>,
    by_object: HashMap<K, Timestamp>,
}

impl<K: Clone + Ord + Hash> Clock<K> {
    /// Without any alarm.
    pub(crate) fn new() -> Self {
        Self {
            alarms: Mutex::new(Alarms {
                by_time: BTreeSet::new(),
                by_object: HashMap::new(),
            }),
            changed: Notify::new(),
        }
    }

    /// Sets the one alarm of an object, or takes it away.
    pub(crate) fn set(&self, object: &K, at: Option<Timestamp>) {
        self.alarms().set(object, at);
        self.changed.notify_one();
    }

    /// The first alarm of all.
    pub(crate) fn next(&self) -> Option<Timestamp> {
        let alarms = self.alarms();
        alarms.by_time.first().map(|(at, _)| *at)
    }

    /// Wakes each object when its time has come.
    pub(crate) async fn run(&self, wake: impl Fn(K)) {
        let mut before = (Timestamp::now(), Instant::now());
        loop {
            let now = (Timestamp::now(), Instant::now());
            let passed = now.1.duration_since(before.1);
            let objects = if is_set_back(before.0, now.0, passed) {
                self.alarms().take_until(Timestamp::MAX)
            } else {
                self.alarms().take_until(now.0)
            };
            before = now;
            for object in objects {
                wake(object);
            }
            let sleep = self.alarms().sleep(now.0);
            tokio::select! {
                () = tokio::time::sleep(sleep) => {}
                () = self.changed.notified() => {}
            }
        }
    }

    /// A panic leaves one alarm half set at worst, and every reconciliation sets it again.
    fn alarms(&self) -> MutexGuard<'_, Alarms<K>> {
        self.alarms.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Clone + Ord + Hash> Alarms<K> {
    fn set(&mut self, object: &K, at: Option<Timestamp>) {
        if let Some(before) = self.by_object.remove(object) {
            self.by_time.remove(&(before, object.clone()));
        }
        if let Some(at) = at {
            self.by_time.insert((at, object.clone()));
            self.by_object.insert(object.clone(), at);
        }
    }

    fn take_until(&mut self, now: Timestamp) -> Vec<K> {
        let mut due = Vec::new();
        while let Some((at, _)) = self.by_time.first()
            && *at <= now
            && let Some((_, object)) = self.by_time.pop_first()
        {
            self.by_object.remove(&object);
            due.push(object);
        }
        due
    }

    fn sleep(&self, now: Timestamp) -> Duration {
        let Some((next, _)) = self.by_time.first() else {
            return LONGEST_SLEEP;
        };
        let left = Duration::try_from(next.duration_since(now)).unwrap_or(Duration::ZERO);
        left.min(LONGEST_SLEEP)
    }
}

/// Whether the wall's clock went back while `passed` went by.
fn is_set_back(before: Timestamp, now: Timestamp, passed: Duration) -> bool {
    let expected = before.checked_add(passed).unwrap_or(Timestamp::MAX);
    let behind = Duration::try_from(expected.duration_since(now)).unwrap_or(Duration::ZERO);
    behind > TOLERATED_STEP
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn never_sleeps_for_longer_than_a_clock_may_be_wrong() {
        let clock = Clock::new();
        clock.set(&"job", Some(at("2026-11-24T12:00:00Z")));
        let alarms = clock.alarms();

        assert_eq!(alarms.sleep(at("2026-11-24T10:00:00Z")), LONGEST_SLEEP);
        let almost = at("2026-11-24T11:59:59.900Z");
        assert_eq!(alarms.sleep(almost), Duration::from_millis(100));
        assert_eq!(alarms.sleep(at("2026-11-24T12:00:01Z")), Duration::ZERO);
    }

    #[test]
    fn wakes_an_object_once_and_at_its_latest_alarm() {
        let clock = Clock::new();
        clock.set(&"job", Some(at("2026-11-24T10:00:00Z")));
        clock.set(&"job", Some(at("2026-11-24T11:00:00Z")));
        clock.set(&"other", Some(at("2026-11-24T10:30:00Z")));
        clock.set(&"gone", Some(at("2026-11-24T10:30:00Z")));
        clock.set(&"gone", None);
        let mut alarms = clock.alarms();

        assert_eq!(alarms.take_until(at("2026-11-24T10:59:59Z")), ["other"]);
        assert_eq!(alarms.take_until(at("2026-11-24T11:00:00Z")), ["job"]);
        assert_eq!(alarms.take_until(Timestamp::MAX), [""; 0]);
    }

    #[test]
    fn notices_a_clock_that_is_set_back_and_no_other() {
        let before = at("2026-11-24T12:00:00Z");
        let second = Duration::from_secs(1);

        assert!(is_set_back(before, at("2026-11-24T11:00:00Z"), second));
        assert!(!is_set_back(before, at("2026-11-24T12:00:01Z"), second));
        assert!(!is_set_back(before, at("2026-11-24T20:00:00Z"), second));
    }

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }
}

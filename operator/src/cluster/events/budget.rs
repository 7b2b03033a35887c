//! How many events each object may have: one that fails again and again does not fill the cluster's store.

use std::collections::HashMap;
use std::time::{Duration, Instant};

/// So many at once.
const BURST: u32 = 30;

/// And one more each time that so much has passed. A job that runs every minute has four in that time.
const PAUSE: Duration = Duration::from_secs(10);

/// Objects that are remembered; the others have all of their events left.
const MOST: usize = 4_096;

/// The events that each object has spent, by its UID.
#[derive(Debug, Default)]
pub(super) struct Budget {
    spent: HashMap<String, Spent>,
}

#[derive(Clone, Copy, Debug)]
struct Spent {
    events: u32,
    since: Instant,
}

impl Spent {
    fn left_after(self, now: Instant) -> Self {
        let pauses = now.saturating_duration_since(self.since).as_secs() / PAUSE.as_secs();
        let pauses = u32::try_from(pauses).unwrap_or(u32::MAX);
        Self {
            events: self.events.saturating_sub(pauses),
            since: self.since + PAUSE * pauses.min(self.events),
        }
    }
}

impl Budget {
    /// Whether an object may have one more event, which it has then.
    pub(super) fn spend(&mut self, uid: &str, now: Instant) -> bool {
        if self.spent.len() >= MOST && !self.spent.contains_key(uid) {
            self.spent
                .retain(|_, spent| spent.left_after(now).events > 0);
        }
        let fresh = Spent {
            events: 0,
            since: now,
        };
        let known = self.spent.get(uid).map(|spent| spent.left_after(now));
        let mut spent = known.filter(|spent| spent.events > 0).unwrap_or(fresh);
        let may = spent.events < BURST;
        spent.events += u32::from(may);
        if self.spent.len() < MOST || self.spent.contains_key(uid) {
            self.spent.insert(uid.to_owned(), spent);
        }
        may
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_has_thirty_events_at_once_and_one_each_ten_seconds() {
        let mut budget = Budget::default();
        let start = Instant::now();
        let spend = |budget: &mut Budget, uid: &str, seconds: u64| {
            budget.spend(uid, start + Duration::from_secs(seconds))
        };

        let at_once = (0..100).filter(|_| spend(&mut budget, "a", 0)).count();
        assert_eq!(at_once, 30);
        assert!(spend(&mut budget, "b", 0), "others have their own");
        assert!(!spend(&mut budget, "a", 9));
        let in_an_hour = (0..3_600)
            .filter(|second| spend(&mut budget, "a", 10 + second))
            .count();
        assert!((355..=365).contains(&in_an_hour), "{in_an_hour}");
        let later = (0..100)
            .filter(|_| spend(&mut budget, "a", 100_000))
            .count();
        assert_eq!(later, 30);
    }

    #[test]
    fn remembers_a_limited_number_of_objects() {
        let mut budget = Budget::default();
        let now = Instant::now();

        for number in 0..3 * MOST {
            assert!(budget.spend(&number.to_string(), now));
        }

        assert_eq!(budget.spent.len(), MOST);
        assert!(budget.spend("late", now + PAUSE));
        assert_eq!(budget.spent.len(), 1);
    }
}

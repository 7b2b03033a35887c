//! Keeps requests apart.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use planescape_vault::Pace;

/// Requests of one client, at a pace.
#[derive(Debug)]
pub(crate) struct Paced {
    pace: Option<Pace>,
    /// When the next request would come if there were no bursts.
    next: Mutex<Option<Instant>>,
}

impl Paced {
    pub(crate) fn new(pace: Option<Pace>) -> Self {
        Self {
            pace,
            next: Mutex::new(None),
        }
    }

    /// Waits for the turn of one more request.
    pub(crate) async fn turn(&self) {
        let wait = self.reserve(Instant::now());
        if !wait.is_zero() {
            tokio::time::sleep(wait).await;
        }
    }

    /// Takes the next turn, and says how far it is.
    fn reserve(&self, now: Instant) -> Duration {
        let Some(Pace { interval, burst }) = self.pace else {
            return Duration::ZERO;
        };
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        let turn = next.map_or(now, |next| next.max(now));
        *next = turn.checked_add(interval);
        (turn - now).saturating_sub(interval.saturating_mul(burst - 1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_go_at_once_and_the_others_at_their_pace() {
        let second = Duration::from_secs(1);
        let pace = Pace {
            interval: second,
            burst: 2,
        };
        let paced = Paced::new(Some(pace));
        let now = Instant::now();

        let waits = [(); 4].map(|()| paced.reserve(now).as_secs());
        assert_eq!(waits, [0, 0, 1, 2]);
        // Requests that were not made in a quiet time may be made at once, but no more than a burst.
        let later = now + 60 * second;
        let waits = [(); 3].map(|()| paced.reserve(later).as_secs());
        assert_eq!(waits, [0, 0, 1]);
    }

    #[test]
    fn without_a_pace_nobody_waits() {
        let paced = Paced::new(None);
        let now = Instant::now();

        assert_eq!(paced.reserve(now) + paced.reserve(now), Duration::ZERO);
    }
}

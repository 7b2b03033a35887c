//! Connections that cannot be accepted, for lack of descriptors for example.

use std::time::{Duration, Instant};

/// The first pause, and the longest: each is twice as long as the one before, as in Go's server.
const SHORTEST: Duration = Duration::from_millis(5);
const LONGEST: Duration = Duration::from_secs(1);
/// Each connection that ends makes room for another, after which the next one fails again.
const SILENCE: Duration = Duration::from_secs(60);

/// The history of failed accepts.
#[derive(Debug, Default)]
pub(crate) struct Accepts {
    /// Zero after an accept that succeeded.
    pause: Duration,
    told: Option<Instant>,
}

impl Accepts {
    pub(crate) fn succeeded(&mut self) {
        self.pause = Duration::ZERO;
    }

    /// Whether a failed accept is told, and how long to wait then.
    pub(crate) fn failed(&mut self, now: Instant) -> (bool, Duration) {
        self.pause = (self.pause * 2).clamp(SHORTEST, LONGEST);
        let is_told = self
            .told
            .is_none_or(|told| now.duration_since(told) >= SILENCE);
        if is_told {
            self.told = Some(now);
        }
        (is_told, self.pause)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_pause_is_longer_until_one_succeeds() {
        let now = Instant::now();
        let mut accepts = Accepts::default();
        let mut pauses = |count: usize| -> Vec<u128> {
            accepts.succeeded();
            let failed = (0..count).map(|_| accepts.failed(now).1.as_millis());
            failed.collect()
        };

        let expected: [u128; 10] = [5, 10, 20, 40, 80, 160, 320, 640, 1000, 1000];
        assert_eq!(pauses(10), expected);
        assert_eq!(pauses(2), [5_u128, 10]);
    }

    #[test]
    fn failures_are_told_once_a_minute_whatever_succeeds_in_between() {
        let begin = Instant::now();
        let mut accepts = Accepts::default();
        let told = (0..120).filter(|second| {
            accepts.succeeded();
            accepts.failed(begin + Duration::from_secs(*second)).0
        });

        assert_eq!(told.collect::<Vec<_>>(), [0_u64, 60]);
    }
}

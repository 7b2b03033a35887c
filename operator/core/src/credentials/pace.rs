//! How fast one Vault is asked for tokens, and which of its errors concern all that ask it.

use std::time::Duration;

use planescape_vault::{Error, Kind};

/// A token bucket: so many a second, and as many at once after a pause of a second.
#[derive(Debug)]
pub struct Pace {
    spacing: Duration,
    burst: Duration,
    /// When the next turn would be if none were at once.
    next: Duration,
}

impl Pace {
    /// So many a second, at least one.
    #[must_use]
    pub fn per_second(count: u32) -> Self {
        let count = count.max(1);
        let spacing = Duration::from_secs(1) / count;
        Self {
            spacing,
            burst: spacing * (count - 1),
            next: Duration::ZERO,
        }
    }

    /// Takes the next turn: how long to wait for it. Times count from any beginning.
    pub fn take(&mut self, now: Duration) -> Duration {
        let turn = self.next.max(now.saturating_sub(self.burst));
        self.next = turn + self.spacing;
        turn.saturating_sub(now)
    }
}

/// Whether an error says that Vault serves nobody, so that others need not ask before it is back.
#[must_use]
pub fn is_outage(error: &Error) -> bool {
    match error {
        Error::Unreachable { .. } | Error::Unresolved { .. } | Error::Silent { .. } => true,
        Error::Refused(refusal) => matches!(refusal.kind(), Kind::Sealed | Kind::Standby),
        Error::Untrusted { .. } | Error::Malformed { .. } | Error::Unsendable { .. } => false,
    }
}

#[cfg(test)]
mod tests {
    use planescape_vault::Refusal;

    use super::*;

    #[test]
    fn many_at_once_go_one_after_another_and_few_at_once() {
        let mut pace = Pace::per_second(20);
        let start = Duration::from_secs(100);
        let waits: Vec<Duration> = (0..500).map(|_| pace.take(start)).collect();

        assert!(waits[..20].iter().all(Duration::is_zero));
        assert_eq!(waits[20], Duration::from_millis(50));
        assert_eq!(waits[499], Duration::from_millis(50 * 480));
        let later = start + Duration::from_secs(60);
        assert_eq!(pace.take(later), Duration::ZERO);
        assert_eq!(Pace::per_second(0).take(Duration::ZERO), Duration::ZERO);
    }

    #[test]
    fn a_path_that_is_refused_is_no_outage() {
        let refused = |status| Error::Refused(planescape_vault::wire::refusal(status, b"", None));
        for status in [403, 404, 500] {
            assert!(!is_outage(&refused(status)), "{status}");
        }
        for (status, message) in [(503, "Vault is sealed"), (472, "")] {
            let refusal = Refusal::new(status, message.to_owned(), None);
            assert!(is_outage(&Error::Refused(refusal)), "{status}");
        }
        assert!(is_outage(&Error::Silent {
            address: "vault:8200".to_owned()
        }));
    }
}

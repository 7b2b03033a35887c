//! Gathers work for a moment before a thread is woken for it: waking a thread takes longer than most of the work.

use std::time::Duration;

use tokio::time::{Instant, sleep_until};

/// How long waiting work is held for more of it.
const MOMENT: Duration = Duration::from_millis(2);

/// Whether more of the kind is on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum More {
    IsToCome,
    Nothing,
}

/// Since when work waits.
#[derive(Debug, Default)]
pub(super) struct Gathering {
    since: Option<Instant>,
}

impl Gathering {
    /// The first of perhaps several pieces of work waits.
    pub(super) fn begin(&mut self) {
        self.since = Some(Instant::now());
    }

    /// Returns when all waiting work is to be taken. The call may be given up and made again.
    pub(super) async fn end(&self, more: More) {
        if more == More::IsToCome
            && let Some(since) = self.since
        {
            sleep_until(since + MOMENT).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_waits_is_held_for_a_moment_where_more_is_to_come_and_not_otherwise() {
        let mut gathering = Gathering::default();
        let begin = Instant::now();
        gathering.begin();

        let held = tokio::time::timeout(Duration::ZERO, gathering.end(More::IsToCome)).await;
        assert!(held.is_err(), "more is to come");
        let at_once = tokio::time::timeout(Duration::ZERO, gathering.end(More::Nothing)).await;
        assert!(at_once.is_ok(), "nothing more is to come");

        gathering.end(More::IsToCome).await;
        assert!(begin.elapsed() >= MOMENT);
        let over = tokio::time::timeout(Duration::ZERO, gathering.end(More::IsToCome)).await;
        assert!(over.is_ok(), "it has waited for a moment");
    }
}

//! Writes the newest state into a place: the report into the termination log, the leases beside the ledger, the
//! persistent cache into its file. A file system that hangs does not hold up the agent.

use planescape_agent_core::Input;
use tokio::sync::{Semaphore, watch};

use super::on_the_blocking_pool;

/// The newest state waits here for its turn.
#[derive(Clone)]
pub(super) struct Newest<T> {
    said: watch::Sender<(u64, Option<T>)>,
    written: watch::Receiver<u64>,
}

impl<T: Clone + Send + Sync + 'static> Newest<T> {
    /// The place, and the work that empties it and never ends by itself.
    pub(super) fn new(
        write: impl Fn(&T) + Clone + Send + 'static,
    ) -> (Self, impl Future<Output = Input> + Send) {
        let (said, mut news) = watch::channel((0, None));
        let (done, written) = watch::channel(0);
        let work = async move {
            let one = Semaphore::new(1);
            while news.changed().await.is_ok() {
                let (number, newest) = news.borrow_and_update().clone();
                let write = write.clone();
                on_the_blocking_pool(&one, move || newest.iter().for_each(write)).await;
                done.send_replace(number);
            }
            std::future::pending().await
        };
        (Self { said, written }, work)
    }

    pub(super) fn say(&self, what: T) {
        self.said.send_modify(|(number, newest)| {
            *number += 1;
            *newest = Some(what);
        });
    }

    /// The number of the state that is the newest now.
    pub(super) fn newest(&self) -> u64 {
        self.said.borrow().0
    }

    /// Returns when the state that is the newest now is written.
    pub(super) fn finished(&self) -> impl Future<Output = ()> + Send + use<T> {
        self.reached(self.newest())
    }

    /// Returns when the state of this number is written, or a later one.
    pub(super) fn reached(&self, number: u64) -> impl Future<Output = ()> + Send + use<T> {
        let mut written = self.written.clone();
        async move {
            // Without the work, the agent has ended.
            let _ = written.wait_for(|it| *it >= number).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use planescape_agent_contract::{Phase, Reason, Report};
    use tokio::sync::Mutex;
    use tokio::task::JoinSet;
    use tokio::time::timeout;

    use super::*;
    use crate::termination::Termination;

    #[tokio::test]
    async fn the_newest_report_is_written_last_and_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let termination = Termination::new(path.to_str().map(str::to_owned));
        let write = move |report: &Report| termination.write(report);
        let (last_words, work) = Newest::new(write);
        let mut tasks = JoinSet::new();
        tasks.spawn(work);
        for round in 0..20 {
            for reason in [Reason::LoggedIn, Reason::Rendered, Reason::Revoked] {
                last_words.say(Report::new(Phase::Running, reason));
                if round % 2 == 0 {
                    tokio::task::yield_now().await;
                }
            }

            last_words.finished().await;

            let text = std::fs::read_to_string(&path).unwrap();
            assert_eq!(text, r#"{"phase":"running","reason":"Revoked"}"#);
            std::fs::write(&path, "").unwrap();
        }
    }

    #[tokio::test]
    async fn who_needs_what_was_said_before_waits_for_nothing_that_came_after_it() {
        let gate = Arc::new(Mutex::new(()));
        let passed = Arc::clone(&gate);
        let write = move |said: &u32| {
            if *said == 2 {
                drop(passed.blocking_lock());
            }
        };
        let (place, work) = Newest::new(write);
        let mut tasks = JoinSet::new();
        tasks.spawn(work);
        place.say(1);
        let before = place.newest();
        place.finished().await;
        let closed = gate.lock().await;
        place.say(2);

        let waited = timeout(Duration::from_secs(5), place.reached(before)).await;
        assert!(waited.is_ok());
        let all = timeout(Duration::from_millis(50), place.finished()).await;
        assert!(all.is_err(), "it cannot be written yet");

        drop(closed);
        place.finished().await;
    }
}

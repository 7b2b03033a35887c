//! Writes what is newest into a place: what the agent says of itself into the termination log and beside the ledger, and
//! the persistent cache into its file. A file system that hangs holds up nobody.

use planescape_agent_core::Input;
use tokio::sync::{Semaphore, watch};

use super::on_the_blocking_pool;

/// The newest waits here for its turn.
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

    /// Returns when what is the newest now is written.
    pub(super) fn finished(&self) -> impl Future<Output = ()> + Send + use<T> {
        let newest = self.said.borrow().0;
        let mut written = self.written.clone();
        async move {
            // Without the work, the agent has ended.
            let _ = written.wait_for(|it| *it >= newest).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use planescape_agent_contract::{Phase, Reason, Report};
    use tokio::task::JoinSet;

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
}

//! Writes the persistent cache, one change after another. Nobody waits for it: a disk that hangs must not hold up what
//! Vault has said.

use std::sync::Arc;

use planescape_agent_core::Input;
use tokio::sync::{Semaphore, mpsc, oneshot};

use super::on_the_blocking_pool;
use crate::persist::Persistent;

type Change = Box<dyn FnOnce(&Persistent) + Send>;

/// Where changes wait for their turn.
#[derive(Clone)]
pub(super) struct Saves {
    persistent: Arc<Persistent>,
    changes: mpsc::UnboundedSender<Change>,
}

impl Saves {
    /// The queue, and the work that empties it and never ends by itself.
    pub(super) fn new(persistent: Arc<Persistent>) -> (Self, impl Future<Output = Input> + Send) {
        let (changes, mut queue) = mpsc::unbounded_channel::<Change>();
        let cache = Arc::clone(&persistent);
        let work = async move {
            let one = Semaphore::new(1);
            while let Some(change) = queue.recv().await {
                let cache = Arc::clone(&cache);
                on_the_blocking_pool(&one, move || change(&cache)).await;
            }
            std::future::pending().await
        };
        let saves = Self {
            persistent,
            changes,
        };
        (saves, work)
    }

    /// Writes a change down, if there is a cache to write.
    pub(super) fn save(&self, change: impl FnOnce(&Persistent) + Send + 'static) {
        if self.persistent.is_written() {
            self.queue(change);
        }
    }

    /// Removes the cache, after what waits to be written into it.
    pub(super) fn forget_all(&self) {
        self.queue(Persistent::forget_all);
    }

    fn queue(&self, change: impl FnOnce(&Persistent) + Send + 'static) {
        // Without the work, the agent has ended.
        let _ = self.changes.send(Box::new(change));
    }

    /// Returns when all that was to be saved is.
    pub(super) async fn finished(&self) {
        let (done, is_done) = oneshot::channel();
        self.queue(move |_| {
            let _ = done.send(());
        });
        let _ = is_done.await;
    }
}

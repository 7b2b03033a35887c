//! Writes tokens into the ledger, and empties it.

use std::sync::Arc;
use std::time::Duration;

use planescape_agent_core::{Failure, Input, Token};
use planescape_vault::SecretText;
use tokio::sync::{Semaphore, oneshot};
use tokio::task::JoinSet;

use super::{Effects, LAST_FILES, file_failure, on_the_blocking_pool};

/// How long a token may take into the ledger before it is used without being there.
const LEDGER: Duration = Duration::from_secs(5);

impl Effects {
    pub(super) fn remember(&mut self, token: Token, accessor: String) {
        let ledger = self.ledger.clone();
        let id = token.id;
        let write = move || {
            let namespace = token.namespace.as_deref();
            ledger.remember(&token.secret, &accessor, namespace)
        };
        let written = in_time(LEDGER, &mut self.ledger_work, &self.ledger_slot, write);
        self.ask(async move {
            Input::Remembered {
                token: id,
                result: written.await,
            }
        });
    }

    /// Leaves tokens out of the ledger, one write at a time. After a failed write they stay in it: the next life tries
    /// more tokens than it has to.
    pub(super) fn forget(&mut self, tokens: Vec<SecretText>) {
        self.vault.saves.save(|cache| cache.forget(&tokens));
        // Those that are done.
        while self.ledger_work.try_join_next().is_some() {}
        let ledger = self.ledger.clone();
        let slot = Arc::clone(&self.ledger_slot);
        self.ledger_work.spawn(async move {
            let written = on_the_blocking_pool(&slot, move || ledger.forget(&tokens)).await;
            if let Err(error) = written {
                tracing::debug!(%error, "cannot leave tokens out of the ledger that have ended");
            }
        });
    }

    /// After what was to be written there and beside it.
    pub(super) fn forget_ledger(&mut self) {
        let ledger = self.ledger.clone();
        let slot = Arc::clone(&self.ledger_slot);
        let named = self.named.finished();
        self.ledger_work.spawn(async move {
            let _ = tokio::time::timeout(LAST_FILES, named).await;
            on_the_blocking_pool(&slot, move || ledger.forget_all()).await;
        });
    }
}

/// A disk that hangs keeps nobody from the secrets, as one that is full does not. What it holds up is written all the same
/// once it goes on.
fn in_time<W>(
    limit: Duration,
    work: &mut JoinSet<()>,
    slot: &Arc<Semaphore>,
    write: W,
) -> impl Future<Output = Result<(), Failure>> + Send + use<W>
where
    W: FnOnce() -> std::io::Result<()> + Send + 'static,
{
    let (done, written) = oneshot::channel();
    let slot = Arc::clone(slot);
    work.spawn(async move {
        // After its time nobody hears of it.
        let _ = done.send(on_the_blocking_pool(&slot, write).await);
    });
    async move {
        let written = match tokio::time::timeout(limit, written).await {
            Ok(Ok(written)) => written,
            Ok(Err(_)) | Err(_) => Err(std::io::ErrorKind::TimedOut.into()),
        };
        written.map_err(|error| file_failure("planescape.ledger", &error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_ledger_that_hangs_is_waited_for_only_so_long_and_written_when_it_goes_on() {
        let limit = Duration::from_millis(20);
        let slot = Arc::new(Semaphore::new(0));
        let (writes, mut written) = tokio::sync::mpsc::unbounded_channel();
        let write = move || writes.send(()).map_err(std::io::Error::other);

        let mut work = JoinSet::new();
        let hung = in_time(limit, &mut work, &slot, write).await;

        let told = hung.unwrap_err().to_string();
        assert_eq!(told, "planescape.ledger: timed out");
        assert!(written.try_recv().is_err());
        slot.add_permits(1);
        assert!(written.recv().await.is_some());
        let long = Duration::from_secs(60);
        let written = in_time(long, &mut work, &slot, || Ok(())).await;
        assert!(written.is_ok());
    }
}

//! Writes tokens into the ledger, and empties it.

use std::sync::Arc;
use std::time::Duration;

use planescape_agent_core::{Failure, Input, Token};
use planescape_vault::SecretText;
use tokio::sync::Semaphore;

use super::{Effects, LAST_FILES, file_failure, on_the_blocking_pool};

/// How long a token may take into the ledger before it is used without.
const LEDGER: Duration = Duration::from_secs(5);

impl Effects {
    pub(super) fn remember(&mut self, token: Token, accessor: String) {
        let ledger = self.ledger.clone();
        let slots = Arc::clone(&self.vault.file_slots);
        self.ask(async move {
            let id = token.id;
            let write = move || {
                let namespace = token.namespace.as_deref();
                ledger.remember(&token.secret, &accessor, namespace)
            };
            let written = on_the_blocking_pool(&slots, write);
            Input::Remembered {
                token: id,
                result: in_time(LEDGER, written).await,
            }
        });
    }

    /// One after another. What cannot be left out stays: the next life tries more tokens than it has to.
    pub(super) fn forget(&mut self, tokens: Vec<SecretText>) {
        self.vault.saves.save(|cache| cache.forget(&tokens));
        // Those that are done.
        while self.forgetting.try_join_next().is_some() {}
        let ledger = self.ledger.clone();
        let slot = Arc::clone(&self.ledger_slot);
        self.forgetting.spawn(async move {
            let written = on_the_blocking_pool(&slot, move || ledger.forget(&tokens)).await;
            if let Err(error) = written {
                tracing::debug!(%error, "cannot leave tokens out of the ledger that have ended");
            }
        });
    }

    /// After what was to be written beside it.
    pub(super) fn forget_ledger(&mut self) {
        let ledger = self.ledger.clone();
        let named = self.named.finished();
        self.forgetting.spawn(async move {
            let _ = tokio::time::timeout(LAST_FILES, named).await;
            on_the_blocking_pool(&Semaphore::new(1), move || ledger.forget_all()).await;
        });
    }
}

/// A disk that hangs keeps nobody from the secrets, as one that is full does not.
async fn in_time(
    limit: Duration,
    written: impl Future<Output = std::io::Result<()>>,
) -> Result<(), Failure> {
    let late = |_| Err(std::io::ErrorKind::TimedOut.into());
    let written = tokio::time::timeout(limit, written).await;
    written
        .unwrap_or_else(late)
        .map_err(|error| file_failure("planescape.ledger", &error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_ledger_that_hangs_is_waited_for_only_so_long() {
        let limit = Duration::from_millis(20);

        let hung = in_time(limit, std::future::pending()).await;

        let told = hung.unwrap_err().to_string();
        assert_eq!(told, "planescape.ledger: timed out");
        assert!(in_time(limit, async { Ok(()) }).await.is_ok());
    }
}

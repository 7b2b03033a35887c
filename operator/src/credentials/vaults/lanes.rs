//! Requests that Vault passes on to an engine that may not answer, such as a database. Each engine has turns of its
//! own, and others for each purpose, so that one that hangs delays only requests for the same purpose.

use std::collections::HashMap;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::timeout;

/// The purpose of a request to an engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(in crate::credentials) enum Purpose {
    Read,
    Renew,
    Revoke,
}

/// The lanes of one Vault.
#[derive(Default)]
pub(super) struct Lanes(Mutex<HashMap<(Purpose, String), Arc<Lane>>>);

/// The requests to one engine for one purpose.
pub(in crate::credentials) struct Lane {
    turns: Semaphore,
    /// Whether it did not answer when it was asked last.
    is_silent: AtomicBool,
}

impl Lanes {
    pub(super) fn of(&self, purpose: Purpose, engine: String) -> Arc<Lane> {
        let mut lanes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Tenants make paths up.
        lanes.retain(|_, lane| Arc::strong_count(lane) > 1 || lane.is_silent());
        lanes.entry((purpose, engine)).or_default().clone()
    }
}

impl Default for Lane {
    fn default() -> Self {
        Self {
            turns: Semaphore::new(super::REQUESTS),
            is_silent: AtomicBool::new(false),
        }
    }
}

impl Lane {
    /// Returns when it is this request's turn. None if that takes longer than `patience` and the engine does not
    /// answer: the caller has other things to do.
    pub(super) async fn turn(&self, patience: Duration) -> Option<SemaphorePermit<'_>> {
        let mut turn = pin!(self.turns.acquire());
        loop {
            match timeout(patience, turn.as_mut()).await {
                Ok(turn) => return Some(turn.expect("it is never closed")),
                Err(_) if self.is_silent() => return None,
                Err(_) => {}
            }
        }
    }

    pub(super) fn answered(&self, is_silent: bool) {
        self.is_silent.store(is_silent, Ordering::Relaxed);
    }

    fn is_silent(&self) -> bool {
        self.is_silent.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;

    const PATIENCE: Duration = Duration::from_millis(50);

    #[test]
    fn a_database_that_hangs_keeps_only_those_waiting_who_want_the_same_of_it() {
        let lanes = Lanes::default();
        let busy = lanes.of(Purpose::Read, "a/".to_owned());
        let held: Vec<_> = (0..super::super::REQUESTS)
            .map(|_| busy.turns.try_acquire().unwrap())
            .collect();

        for (purpose, engine, is_free) in [
            (Purpose::Read, "a/", false),
            (Purpose::Read, "b/", true),
            (Purpose::Renew, "a/", true),
            (Purpose::Revoke, "a/", true),
        ] {
            let lane = lanes.of(purpose, engine.to_owned());
            let has_turn = lane.turns.try_acquire().is_ok();
            assert_eq!(has_turn, is_free, "{purpose:?} {engine}");
        }
        drop(held);
    }

    #[tokio::test]
    async fn who_waits_for_a_database_that_answers_waits_and_for_another_one_not_for_long() {
        let lane = Lane::default();
        let mut held: Vec<_> = (0..super::super::REQUESTS)
            .map(|_| lane.turns.try_acquire().unwrap())
            .collect();

        let waits = timeout(4 * PATIENCE, lane.turn(PATIENCE)).await;
        assert!(waits.is_err(), "it is only slow");
        lane.answered(true);
        assert!(lane.turn(PATIENCE).await.is_none());
        held.pop();
        assert!(lane.turn(PATIENCE).now_or_never().flatten().is_some());
    }

    #[test]
    fn paths_that_tenants_make_up_are_forgotten() {
        let lanes = Lanes::default();
        for number in 0..100 {
            drop(lanes.of(Purpose::Read, format!("made-up-{number}/")));
        }
        assert_eq!(lanes.0.lock().unwrap().len(), 1);
    }
}

//! Refusals that speak of an invalid token: Vault is asked whether it knows the token before they are believed. It may
//! lose the token a moment later, so that the refusal of a new asker, or of one that was answered before, is reason to
//! ask again.

use std::collections::BTreeMap;
use std::time::Duration;

use super::often::Often;
use super::{MINUTE, Session};
use crate::clock::Moment;
use crate::token::TokenId;

/// How long refusals at listeners are not believed again: the other answers there are not heard of here.
const OTHERS: Duration = Duration::from_secs(10);

/// The source of a refused request.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Asker {
    /// A look at the mount of a path.
    Mount(String),
    /// The read of a path.
    Read(String),
    /// The renewal of a path's lease.
    Renewal(String),
    /// Somebody at a listener.
    Others,
}

/// The meaning of a refusal that speaks of an invalid token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Doubt {
    /// Vault is asked whether it knows the token.
    Checking,
    /// It said so just now: the refusal has another cause.
    Unfounded,
}

/// The questions about one token because of refusals.
#[derive(Debug, Default)]
pub(super) struct Doubts {
    /// The refused askers, and when Vault was asked because of each.
    refused: BTreeMap<Asker, Moment>,
    /// When Vault was asked because of our own requests.
    asked: Often,
}

impl Doubts {
    /// Whether a refusal is worth a question: not each time for one asker, and not more often than logins may come.
    fn are_worth_asking(&mut self, asker: Asker, now: Moment) -> bool {
        self.refused.retain(|asker, at| {
            let trust = match asker {
                Asker::Others => OTHERS,
                Asker::Mount(_) | Asker::Read(_) | Asker::Renewal(_) => MINUTE,
            };
            now.since(*at) < trust
        });
        let is_ours = asker != Asker::Others;
        let is_too_often = is_ours && self.asked.wait(now).is_some();
        if is_too_often || self.refused.contains_key(&asker) {
            return false;
        }
        self.refused.insert(asker, now);
        if is_ours {
            self.asked.came(now);
        }
        true
    }
}

impl Session {
    /// A request of somebody else with this token was refused as if Vault did not know it.
    pub(crate) fn refused(&mut self, id: TokenId, now: Moment) {
        if self.is_current(id) {
            self.doubt(Asker::Others, now, now);
        }
    }

    /// Vault answered a request with this token.
    pub(crate) fn prove(&mut self, id: TokenId, asker: &Asker) {
        if let Some(held) = self.current.as_mut().filter(|held| held.token.id == id) {
            held.doubts.refused.remove(asker);
            if !held.is_proven {
                held.is_proven = true;
                self.backoff.succeed();
            }
        }
    }

    /// A request that was sent then was refused as if Vault did not know the token in use.
    pub(crate) fn doubt(&mut self, asker: Asker, sent: Moment, now: Moment) -> Doubt {
        let Some(held) = &mut self.current else {
            return Doubt::Checking;
        };
        if held.is_doubted {
            held.doubts.refused.insert(asker, now);
            return Doubt::Checking;
        }
        // Vault has said since then that it knows the token.
        let is_old = held.known_at.is_some_and(|at| sent < at);
        if is_old || !held.doubts.are_worth_asking(asker, now) {
            return Doubt::Unfounded;
        }
        held.is_doubted = true;
        Doubt::Checking
    }
}

#[cfg(test)]
mod tests {
    use super::super::LOGINS;
    use super::*;

    #[test]
    fn who_is_refused_again_is_no_reason_to_ask_within_a_minute_unless_he_was_answered() {
        let mut doubts = Doubts::default();
        let read = || Asker::Read("a".to_owned());
        assert!(doubts.are_worth_asking(read(), at(0)));
        assert!(!doubts.are_worth_asking(read(), at(59)));
        assert!(doubts.are_worth_asking(Asker::Renewal("a".to_owned()), at(59)));
        doubts.refused.remove(&read());
        assert!(doubts.are_worth_asking(read(), at(59)));
        assert!(doubts.are_worth_asking(read(), at(119)));

        assert!(doubts.are_worth_asking(Asker::Others, at(119)));
        assert!(!doubts.are_worth_asking(Asker::Others, at(128)));
        assert!(doubts.are_worth_asking(Asker::Others, at(129)));
    }

    #[test]
    fn vault_is_asked_no_more_than_six_times_a_minute_however_many_are_refused() {
        let mut doubts = Doubts::default();
        let mut asked =
            |second: u64| doubts.are_worth_asking(Asker::Read(format!("{second}")), at(second));

        let in_a_minute = (0..60).filter(|second| asked(*second)).count();

        assert_eq!(in_a_minute, LOGINS);
        assert!(asked(60));
    }

    fn at(second: u64) -> Moment {
        Moment::since_boot(Duration::from_secs(1000 + second))
    }
}

//! Tells others how long the tokens live.

use std::time::Duration;

use super::Session;
use crate::clock::Moment;
use crate::lease::Lease;
use crate::living::longest;
use crate::status::TokenStatus;

impl Session {
    pub(crate) fn status(&self, now: Moment) -> Option<TokenStatus> {
        let held = self.current.as_ref()?;
        Some(TokenStatus {
            accessor: self.accessor().map(str::to_owned),
            expires_in: held.lease.as_ref().map(|lease| lease.ends_at().since(now)),
        })
    }

    /// How long the tokens may outlive the agent at most, as Vault has said last; from here on it counts as told.
    pub(crate) fn tell_life(&mut self, now: Moment) -> Option<Duration> {
        self.told_ttl = self.lease().map(Lease::ttl);
        self.life(now)
    }

    /// The same, which does not count as told.
    pub(crate) fn life(&self, now: Moment) -> Option<Duration> {
        let retired = self.retired.iter().map(|living| living.left(now));
        // Orphans are renewed, and the report is read when the agent has ended. An orphan of an earlier life is not
        // renewed unless a text takes it.
        let orphans = self.orphans.iter();
        let orphans = orphans.map(|living| living.granted().or_else(|| living.left(now)));
        let current = self
            .current
            .iter()
            .map(|held| Some(held.lease.as_ref()?.ttl()));
        longest(current.chain(orphans).chain(retired))
    }

    /// Whether this is the first attempt to replace a token that is good for a while yet.
    pub(crate) fn is_replacing(&self) -> bool {
        let is_first = self.backoff.failures() == 0;
        is_first && self.current.is_some() && !self.was_for_new_credentials
    }

    /// Whether a renewal has changed what was told.
    pub(crate) fn has_other_ttl(&self) -> bool {
        self.lease().map(Lease::ttl) != self.told_ttl
    }
}

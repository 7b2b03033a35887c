//! The fate of secrets whose token or lease has ended, and of reads that fail.

use planescape_vault::Kind;

use super::entry::{Activity, Hold, lane_of};
use super::{Id, Lane, Secrets, Taken, Trouble};
use crate::clock::Moment;
use crate::dice::Dice;
use crate::failure::{Failure, Remedy};
use crate::token::TokenId;

impl Secrets {
    /// A token has ended, and with it all that it leased.
    pub(crate) fn token_ended(&mut self, token: TokenId, now: Moment) {
        for id in self.leased_by(|by| by == token) {
            self.set_expiry(id, Some(now));
        }
    }

    fn leased_by(&self, is_meant: impl Fn(TokenId) -> bool) -> Vec<Id> {
        let leased = self.entries.iter().filter(|(_, entry)| match &entry.hold {
            Hold::Leased { by: Some(by), .. } => is_meant(*by),
            Hold::Leased { by: None, .. } | Hold::Nothing | Hold::Lost => false,
        });
        leased.map(|(id, _)| *id).collect()
    }

    /// There is another token: the leases of the old one end with it, however long they are. Their secrets are read
    /// again, and so are the requests that were refused to it.
    pub(crate) fn token_replaced(
        &mut self,
        current: TokenId,
        ends_by: impl Fn(TokenId) -> Option<Moment>,
        now: Moment,
    ) {
        self.mounts.token_replaced();
        for id in self.leased_by(|by| by != current) {
            let entry = &self.entries[&id];
            if let Hold::Leased { by: Some(by), .. } = entry.hold
                && let (Some(expires), Some(end)) = (entry.expires, ends_by(by))
                && end < expires
            {
                self.set_expiry(id, Some(end));
            }
            self.lose(id, now);
        }
        let refused = self.entries.iter();
        let refused = refused.filter(|(_, entry)| entry.waits_for_a_token());
        let refused: Vec<Id> = refused.map(|(id, _)| *id).collect();
        for id in refused {
            self.lose(id, now);
        }
    }

    /// An entry is lost once, so that tokens that come and go do not undo its backoff.
    pub(super) fn lose(&mut self, id: Id, now: Moment) {
        let Some(entry) = self.entries.get_mut(&id) else {
            return;
        };
        entry.hold = Hold::Lost;
        if matches!(entry.activity, Activity::Due { .. }) {
            self.schedule(id, now, Lane::Read);
        }
    }

    pub(super) fn failed(
        &mut self,
        id: Id,
        failure: Failure,
        dice: &mut Dice,
        now: Moment,
    ) -> Taken {
        match self.fail(id, failure, dice, now) {
            Some(trouble) => Taken::Failed(trouble),
            None => Taken::Unchanged,
        }
    }

    pub(super) fn fail(
        &mut self,
        id: Id,
        failure: Failure,
        dice: &mut Dice,
        now: Moment,
    ) -> Option<Trouble> {
        let entry = self.entries.get_mut(&id)?;
        let asked = failure.retry_after().unwrap_or_default();
        let mut backoff = entry.backoff.fail(dice);
        let failures = entry.backoff.failures();
        entry.is_refused = matches!(failure.kind(), Some(Kind::Denied | Kind::InvalidToken));
        let request = entry.request.clone();
        // A wait must not outlast what the file still holds.
        if let Some(end) = entry.expires.filter(|end| *end > now) {
            backoff = backoff.min(end.since(now));
        }
        let backoff = backoff.max(asked);
        let at = now + backoff;
        if let Some(lease) = entry.lease_mut() {
            lease.retry_at(at);
        }
        self.schedule(id, at, lane_of(&request));
        if failure.remedy() == Remedy::GiveUp {
            self.mounts.forget(request.path(), now);
        }
        Some(Trouble {
            request,
            failure,
            failures,
            backoff,
        })
    }
}

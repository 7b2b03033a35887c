//! Credentials that live on for a while beside those that have replaced them. A lease is replaced where it can be
//! extended no further, so the old one needs no renewal: it only has to be replaced early enough.

use std::time::Duration;

use planescape_agent_contract::digest;
use planescape_templates::Request;

use super::entry::Activity;
use super::{Lane, Secrets};
use crate::clock::Moment;
use crate::command::{Command, Notice};
use crate::failure::Failure;
use crate::token::Token;

/// How long after a revocation that failed the next one comes.
const PATIENCE: Duration = Duration::from_secs(60);

/// A credential that another one has replaced.
#[derive(Debug)]
pub(super) struct Former {
    request: Request,
    lease_id: String,
    overlap: Duration,
    /// Until when it lives on; `None` while a file may still hold it.
    until: Option<Moment>,
}

impl Secrets {
    /// The id of the lease of a request's answer.
    pub(crate) fn lease_id(&self, request: &Request) -> Option<String> {
        self.entries.get(self.ids.get(request)?)?.lease_id()
    }

    /// The lease before this answer lives on.
    pub(crate) fn replaced(&mut self, request: &Request, before: String, overlap: Duration) {
        if self.lease_id(request).is_none_or(|now| now == before) {
            return;
        }
        self.formers.push(Former {
            request: request.clone(),
            lease_id: before,
            overlap,
            until: None,
        });
    }

    /// Moves the replacement of a lease to so long before its end; that of a new one to the middle of its life at the
    /// earliest.
    pub(crate) fn replace_early(
        &mut self,
        request: &Request,
        overlap: Duration,
        is_new: bool,
        now: Moment,
    ) {
        let Some(&id) = self.ids.get(request) else {
            return;
        };
        let Some(entry) = self.entries.get(&id).filter(|it| it.lease_id().is_some()) else {
            return;
        };
        let Activity::Due {
            at,
            lane: Lane::Read,
        } = entry.activity
        else {
            return;
        };
        let left = entry.expires.map_or(Duration::ZERO, |end| end.since(now));
        let overlap = if is_new {
            overlap.min(left / 2)
        } else {
            overlap
        };
        let early = now + left.saturating_sub(overlap);
        if early < at && !left.is_zero() {
            self.schedule(id, early, Lane::Read);
        }
    }

    /// The revocations that are due. A credential begins to part once every file has the one after it.
    pub(crate) fn part(
        &mut self,
        token: &Token,
        is_written: impl Fn(&Request) -> bool,
        now: Moment,
    ) -> Vec<Command> {
        let leases = &self.leases;
        self.formers
            .retain(|former| leases.may_live(&former.lease_id, now));
        let mut commands = Vec::new();
        for former in &mut self.formers {
            let until = match former.until {
                Some(until) => until,
                None if is_written(&former.request) => now + former.overlap,
                None => continue,
            };
            if until > now {
                former.until = Some(until);
                continue;
            }
            // Vault is asked again unless it does it.
            former.until = Some(now + PATIENCE);
            commands.push(Command::RevokeLease {
                lease_id: former.lease_id.clone(),
                token: token.secret.clone(),
            });
        }
        commands
    }

    /// When the next one parts.
    pub(super) fn next_parting(&self) -> Option<Moment> {
        let formers = self.formers.iter();
        formers.filter_map(|former| former.until).min()
    }

    /// Takes in Vault's answer about a former credential. If a policy does not let us revoke it, its TTL ends it.
    pub(crate) fn parted(&mut self, id: &str, result: Result<(), Failure>) -> Option<Notice> {
        if !self.formers.iter().any(|former| former.lease_id == id) {
            return None;
        }
        let Err(failure) = result else {
            self.leases.ended(id);
            return None;
        };
        if failure.status() == Some(403) {
            self.formers.retain(|former| former.lease_id != id);
        }
        let lease = digest(id);
        Some(Notice::NotParted { lease, failure })
    }
}

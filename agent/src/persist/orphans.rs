//! Tokens that templates have made, and that live on without the agent's.

use std::time::{Duration, SystemTime};

use planescape_agent_core::LeftToken;
use planescape_agent_handover::{Orphan, Plain};
use planescape_vault::Login;

use super::{ENDLESS, Persistent, gone_by, lock, milliseconds};

impl Persistent {
    /// Those of earlier lives that may live, whatever became of the token that made them.
    pub(crate) fn orphans(&self, now: SystemTime) -> Vec<LeftToken> {
        let now = milliseconds(now);
        let Some(file) = &self.file else {
            return Vec::new();
        };
        let state = lock(&file.state);
        let living = state.kept.orphans.iter().filter(|it| it.ends_at > now);
        let left = living.map(|orphan| LeftToken {
            secret: orphan.token.to_secret(),
            accessor: orphan.accessor.clone(),
            namespace: orphan.namespace.clone(),
            is_written: false,
            lasts: (orphan.ends_at < ENDLESS).then(|| Duration::from_millis(orphan.ends_at - now)),
        });
        left.collect()
    }

    /// Another one. One without an accessor cannot be revoked.
    pub(crate) fn keep_orphan(
        &self,
        made: &Login,
        namespace: Option<String>,
        asked_at: SystemTime,
    ) -> bool {
        let now = milliseconds(asked_at);
        let orphan = Orphan {
            token: Plain::new(made.token.expose()),
            accessor: made.accessor.clone(),
            namespace,
            ends_at: gone_by(made.grant, now),
        };
        !orphan.accessor.is_empty()
            && self.change(|state| {
                state.kept.orphans.retain(|it| it.ends_at > now);
                state.kept.orphans.push(orphan);
                true
            })
    }

    /// The token of an accessor is about to ask for more: until the answer is heard nobody knows its end, not even who comes
    /// after a life that is killed meanwhile. Gives its end as it was, where that was known.
    pub(crate) fn renewal_asked(&self, accessor: &str) -> Option<u64> {
        let mut former = None;
        self.change(|state| {
            let mut orphans = state.kept.orphans.iter_mut();
            let known = orphans.find(|it| it.accessor == accessor && it.ends_at < ENDLESS);
            former = known.map(|orphan| std::mem::replace(&mut orphan.ends_at, ENDLESS));
            former.is_some()
        });
        former
    }

    /// Vault has said no: it ends as it would have.
    pub(crate) fn renewal_refused(&self, accessor: &str, ends_at: u64) -> bool {
        self.change(|state| {
            let mut orphans = state.kept.orphans.iter_mut();
            let Some(orphan) = orphans.find(|it| it.accessor == accessor) else {
                return false;
            };
            orphan.ends_at = ends_at;
            true
        })
    }
}

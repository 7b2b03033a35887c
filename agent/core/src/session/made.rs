//! Orphans: tokens that templates have made and that end with no other one. They go with the agent's own.

use planescape_vault::{Grant, Login, SecretText, Text};

use super::Session;
use crate::clock::Moment;
use crate::command::Command;
use crate::failure::Failure;
use crate::living::{LeftToken, Living, leave_out};

impl Session {
    /// Takes an orphan over, once; the command lets the next life find it.
    pub(crate) fn adopt(
        &mut self,
        made: Login,
        namespace: Option<String>,
        now: Moment,
    ) -> Option<Command> {
        if self.token().is_some_and(|own| own.secret == made.token) {
            return None;
        }
        let mut orphans = self.orphans.iter_mut();
        if let Some(known) = orphans.find(|it| it.token.secret == made.token) {
            known.extended(made.grant, now);
            return None;
        }
        self.forgotten.extend(leave_out(&mut self.orphans, now));
        let living = self.living(made, namespace, now);
        let id = living.token.id;
        let remember = self.take_in(living);
        self.unremembered.extend(remember.is_some().then_some(id));
        remember
    }

    /// Whether the next life would find every orphan, as far as the ledger can be written.
    pub(crate) fn has_remembered_orphans(&self) -> bool {
        self.unremembered.is_empty()
    }

    /// An orphan as a token to be revoked at the end.
    pub(crate) fn living(&mut self, made: Login, namespace: Option<String>, now: Moment) -> Living {
        let id = self.new_id();
        let mut living = Living::of_login(made, id, now);
        living.token.namespace = namespace;
        living
    }

    /// Takes over the orphans of earlier lives: files may hold them still, so that they go with our own and not before.
    /// The commands let the next life find them, which may get no cache any more.
    pub(crate) fn inherit(&mut self, left: Vec<LeftToken>, now: Moment) -> Vec<Command> {
        let mut commands = Vec::new();
        for left in left {
            let id = self.new_id();
            commands.extend(self.take_in(Living::of_earlier_life(left, id, now)));
        }
        commands
    }

    fn take_in(&mut self, living: Living) -> Option<Command> {
        // An orphan that the ledger has handed on, too, stands there.
        let is_left = self.unretire(&living.token.secret);
        let remember = self.remember(&living.token, &living.accessor);
        self.orphans.push(living);
        remember.filter(|_| !is_left)
    }

    /// Takes a token out of those that only wait for the end, and says whether it was there.
    pub(super) fn unretire(&mut self, secret: &SecretText) -> bool {
        let before = self.retired.len();
        self.retired.retain(|it| it.token.secret != *secret);
        // Somebody else has extended it.
        self.forgotten.retain(|it| it != secret);
        self.retired.len() < before
    }

    pub(crate) fn has_orphans(&self) -> bool {
        !self.orphans.is_empty()
    }

    /// An orphan is being renewed.
    pub(crate) fn made_renewal_asked(&mut self, made: &SecretText) {
        if let Some(orphan) = self.orphan(made.expose().as_bytes()) {
            orphan.renewal_asked();
        }
    }

    /// An orphan was renewed, or not.
    pub(crate) fn made_renewed(
        &mut self,
        made: &Text,
        result: &Result<Grant, Failure>,
        now: Moment,
    ) {
        let Some(orphan) = self.orphan(made.as_bytes()) else {
            return;
        };
        match result {
            Ok(grant) => orphan.extended(*grant, now),
            Err(failure) => orphan.renewal_failed(failure),
        }
    }

    fn orphan(&mut self, secret: &[u8]) -> Option<&mut Living> {
        let mut orphans = self.orphans.iter_mut();
        orphans.find(|it| it.token.secret.expose().as_bytes() == secret)
    }

    /// The accessors of the tokens that outlive an agent that keeps its own.
    pub(crate) fn outliving(&self) -> Vec<String> {
        let own = self.accessor().map(str::to_owned);
        let orphans = self.orphans.iter().map(|living| living.accessor.clone());
        own.into_iter().chain(orphans).collect()
    }
}

//! Checks of the world after each step, and at the end of a life.

use std::time::Duration;

use planescape_agent_contract::{Reason, Report};
use planescape_agent_core::Command;
use planescape_templates::Request;

use super::{PASSWORD, World};
use crate::start::GUARD;
use crate::vault::ORPHANS;

impl World {
    pub(super) fn check(&mut self) {
        let now = self.now.moment;
        let wake = self.agent.poll_timeout();
        if let Some((at, why)) = wake
            && at <= now
        {
            self.promises.breaks(format!(
                "asks to be woken at a moment that is over: {why:?}"
            ));
        }
        if let Some(since) = self.is_stopping
            && !self.has_ended
            && now.since(since) > Duration::from_secs(21 + 35)
        {
            self.promises.breaks("the end takes longer than its grace");
        }
        if self.is_stopping.is_none() {
            self.look_for_renewals();
            let broken = self.unsaid().or_else(|| self.let_end());
            if let Some(broken) = broken.or_else(|| self.unnamed()) {
                self.promises.breaks(broken);
            }
        }
        self.check_guard();
        if self.chance.once_in(100) {
            let text = format!("{:?}", self.agent);
            if text.contains("hvs.") || text.contains(PASSWORD) {
                self.promises.breaks("a secret in a debug print");
            }
        }
    }

    /// The token ends with the guard, whatever becomes of the agent now.
    fn check_guard(&mut self) {
        if !self.kind.guards {
            return;
        }
        let now = self.now.moment;
        if let Some(token) = self.vault.outlives(GUARD, now) {
            let broken = format!("{token} outlives the guard");
            self.promises.breaks(broken);
        }
    }

    /// A token that is given up because its guard ran out was called endangered before.
    pub(super) fn check_danger(&mut self) {
        let guarded = self.guarded_since.take();
        let has_ended = guarded.is_some_and(|since| since + GUARD <= self.now.moment);
        if has_ended && !self.is_endangered {
            self.promises
                .breaks("a token ended with its guard and nobody said so");
        }
    }

    /// A file whose lease has ended without a word.
    fn unsaid(&self) -> Option<String> {
        let now = self.now.moment;
        let mut untold = self.promises.untold();
        let (template, lease) =
            untold.find(|(_, lease)| self.vault.ended_at(lease, now).is_some())?;
        Some(format!(
            "template[{template}] holds {lease} and nobody says so"
        ))
    }

    /// Whether a renewal is on its way that another one may have to wait for.
    fn look_for_renewals(&mut self) {
        let is_renewal = |command: &Command| matches!(command, Command::RenewMade(_));
        if self.running.iter().any(is_renewal) {
            self.renewing_at = self.now.moment;
        }
    }

    /// A token that a text has made, that a file holds and that Vault would have extended, ended while no renewal was on its
    /// way.
    fn let_end(&self) -> Option<String> {
        let now = self.now.moment;
        let is_let_end = |token: &str| {
            let granted_at = self.vault.let_end(token, &self.own, now);
            granted_at.is_some_and(|at| at >= self.renewing_at) && !self.promises.is_excused(token)
        };
        let mut held = self.promises.held();
        let (_, token) = held.find(|(_, token)| is_let_end(token))?;
        Some(format!(
            "nobody has asked for more of {token}, and it ended"
        ))
    }

    /// A token that lives, and that an agent killed now has not named.
    fn unnamed(&self) -> Option<String> {
        let told = self.told.as_ref()?;
        let token = self.living().find(|token| !self.is_named(token, told))?;
        Some(format!("{token} lives, and the last word does not name it"))
    }

    /// Tokens that are the agent's to revoke, and live.
    fn living(&self) -> impl Iterator<Item = &String> {
        let now = self.now.moment;
        let held = self.held.iter();
        held.filter(move |token| self.vault.knows(token, now))
    }

    fn is_named(&self, token: &str, names: &[String]) -> bool {
        let name = self.vault.accessor(token);
        name.is_some_and(|name| names.iter().any(|it| it == name))
    }

    /// A status never claims what is not so.
    pub(super) fn check_end(&mut self, report: &Report) {
        if let Some(broken) = self.false_claim(report) {
            self.promises.breaks(broken);
        }
    }

    fn false_claim(&self, report: &Report) -> Option<String> {
        let now = self.now.moment;
        if let Some(token) = self
            .living()
            .find(|token| !self.is_named(token, &report.unrevoked))
        {
            let reason = &report.reason;
            return Some(format!("`{reason}`, and {token} lives without a word"));
        }
        if let Some(seconds) = report.ttl_seconds {
            let end = now + Duration::from_secs(seconds);
            let mut living = self.living();
            if let Some(token) = living.find(|token| self.vault.is_granted_beyond(token, end)) {
                return Some(format!("{token} lives for longer than is said"));
            }
        }
        if report.reason != Reason::Revoked {
            return None;
        }
        let mut lost = self.lost.iter();
        let lost = lost.find(|token| self.vault.knows(token, now));
        if let Some(token) = self.living().next().or(lost) {
            return Some(format!("`Revoked`, and {token} lives"));
        }
        if report.more_leases > 0 {
            return None;
        }
        let mut made = self.vault.made_by(&self.held, now);
        if let Some(token) = made.next() {
            return Some(format!("`Revoked`, and {token} lives, which was made"));
        }
        let held = self.held.iter();
        let mut leases = held.flat_map(|it| self.vault.outliving(it, now));
        let lease = leases.find(|it| !report.leases.contains(it))?;
        Some(format!("`Revoked`, and {lease} lives without a word"))
    }

    /// Breaks a promise if a killed life claimed to name all that it leaves, and something without a name lives.
    pub(super) fn check_last_word(&mut self) {
        let now = self.now.moment;
        let Some(named) = self.named.as_ref().filter(|it| it.more == 0) else {
            return;
        };
        let lease = self.vault.unnamed(&self.held, &named.ids, now);
        let mut made = self.vault.made_by(&self.held, now);
        let made = made.find(|token| !self.held.contains(token));
        if let Some(living) = lease.or(made) {
            let broken = format!("killed, and {living} lives without a word");
            self.promises.breaks(broken);
        }
    }

    pub(super) fn check_command(&mut self, command: &Command) {
        match command {
            Command::Read { request, .. } => self.check_made_anew(request),
            Command::Write { contents, .. } => self.check_remembered(contents),
            Command::Revoke { token } => self.check_revocation(token.secret.expose()),
            _ => {}
        }
    }

    /// A next life finds what files and programs hold.
    pub(super) fn check_remembered(&mut self, contents: &[u8]) {
        let mut held = self.held.iter();
        let token = held.find(|token| token.as_bytes() == contents);
        if let Some(token) = token.filter(|token| !self.promises.is_remembered(token)) {
            let broken = format!("{token} is handed out, and stands in no ledger");
            self.promises.breaks(broken);
        }
    }

    /// Tokens that others have made, or that end with another token, are left alone.
    fn check_revocation(&mut self, token: &str) {
        if !self.held.iter().any(|held| held == token) {
            let broken = format!("{token} is revoked, and is not the agent's");
            self.promises.breaks(broken);
        }
    }

    /// An orphan that Vault would extend is not made anew.
    fn check_made_anew(&mut self, request: &Request) {
        if request.path() != ORPHANS {
            return;
        }
        let now = self.now.moment;
        let latest = self.promises.latest.get(request);
        let latest = latest.filter(|token| !self.promises.is_excused(token));
        if let Some(token) = latest.filter(|token| self.vault.would_renew(token, now)) {
            let broken = format!("{token} is made anew, and would have gone on");
            self.promises.breaks(broken);
        }
    }
}

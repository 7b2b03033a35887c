//! How the agent ends.

use planescape_agent_contract::{Phase, Reason, Report};

use super::Agent;
use crate::clock::Moment;
use crate::command::Notice;
use crate::failure::Failure;
use crate::life::Life;
use crate::living::Living;
use crate::shutdown::Shutdown;
use crate::token::TokenId;
use crate::verdict::{End, ExitCode};

impl Agent {
    pub(super) fn terminate(&mut self, now: Moment) {
        self.quit(now);
        let awaits_login = self.awaits_login();
        let Some(shutdown) = self.life.shutdown() else {
            return;
        };
        if let Some(exit) = shutdown.signal(awaits_login, now) {
            self.commands.extend(shutdown.forget());
            self.commands.push_back(exit);
            self.life = Life::Ended;
        }
    }

    /// Whether a login is on its way whose token would have to be revoked.
    pub(super) fn awaits_login(&self) -> bool {
        self.revoke_on_exit && self.session.is_logging_in()
    }

    /// A second request asks for the same as the first.
    pub(super) fn quit(&mut self, now: Moment) {
        let end = if self.is_ready() {
            self.rendered_end(now)
        } else {
            self.verdict.interrupted(self.accessor())
        };
        self.stop(end, now);
    }

    pub(super) fn stop_with(&mut self, end: Option<End>, now: Moment) {
        if let Some(end) = end {
            self.stop(end, now);
        }
    }

    pub(super) fn stop(&mut self, mut end: End, now: Moment) {
        if !self.life.is_working() {
            return;
        }
        self.log(Some(Notice::Stopping));
        end.report.warnings = self.renderer.warnings();
        self.account(&mut end.report);
        let tokens = if self.revoke_on_exit {
            self.session.take_tokens()
        } else {
            Vec::new()
        };
        if let Some(supervisor) = &mut self.supervisor {
            self.commands.extend(supervisor.end(now));
        }
        let shutdown = self.way_out(end, tokens, now);
        self.life = Life::Stopping(Box::new(if self.revoke_on_exit {
            shutdown
        } else {
            shutdown.sparing_tokens()
        }));
    }

    /// A way out that knows whether earlier lives may have left tokens.
    pub(super) fn way_out(&self, end: End, tokens: Vec<Living>, now: Moment) -> Shutdown {
        let shutdown = Shutdown::new(end, tokens, now);
        match self.has_unread_ledger {
            true => shutdown.missing_tokens(),
            false => shutdown,
        }
    }

    pub(super) fn revoked(&mut self, token: TokenId, result: Result<(), Failure>, now: Moment) {
        let dice = &mut self.dice;
        let shutdown = self.life.shutdown();
        let notice = shutdown.and_then(|it| it.revoked(token, result, dice, now));
        self.log(notice);
    }

    pub(super) fn lease_revoked(&mut self, id: &str, result: Result<(), Failure>) {
        if self.life.is_working() {
            let notice = self.secrets.parted(id, result);
            self.log(notice);
            return;
        }
        let shutdown = self.life.shutdown();
        let notice = shutdown.and_then(|it| it.lease_revoked(id, result));
        self.log(notice);
    }

    /// Others may be granted something on the way out, too, when the leases are counted already.
    pub(super) fn granted_to_others(&mut self) {
        self.secrets.granted_to_others();
        if let Some(shutdown) = self.life.shutdown() {
            shutdown.granted_to_others();
        }
    }

    pub(super) fn rendered_end(&self, now: Moment) -> End {
        let accessor = self.accessor();
        let mut end = End {
            code: ExitCode::Done,
            report: Report {
                unrevoked: self.kept(),
                ttl_seconds: self.kept_seconds(now),
                accessor,
                warnings: self.renderer.warnings(),
                ..Report::new(Phase::Done, Reason::Rendered)
            },
        };
        self.account(&mut end.report);
        end
    }

    /// The tokens that outlive the agent, as configured.
    pub(super) fn kept(&self) -> Vec<String> {
        let is_kept = self.exit_after_auth || !self.revoke_on_exit;
        let kept = is_kept.then(|| self.session.outliving());
        kept.unwrap_or_default()
    }

    /// How long they live on.
    pub(super) fn kept_seconds(&self, now: Moment) -> Option<u64> {
        let life = self.session.life(now).filter(|_| !self.kept().is_empty());
        life.map(|life| life.as_secs())
    }
}

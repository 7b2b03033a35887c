//! The consequences of a login.

use planescape_agent_contract::{Phase, Reason, Report};
use planescape_vault::{Grant, Login, Text};

use super::Agent;
use crate::clock::Moment;
use crate::command::{Command, Notice};
use crate::failure::Failure;
use crate::living::Living;
use crate::token::Ticket;
use crate::troubles::Concern;

impl Agent {
    pub(super) fn logged_in(
        &mut self,
        ticket: Ticket,
        result: Result<Login, Failure>,
        now: Moment,
    ) {
        let login = match result {
            Ok(login) => login,
            Err(failure) => return self.login_failed(failure, now),
        };
        if let Some(shutdown) = self.life.shutdown() {
            self.session.login_ended();
            if self.revoke_on_exit {
                let living = Living::of_login(login, ticket.token, now);
                // The pod may be killed before the token is revoked.
                let remember = self.session.remember(&living.token, &living.accessor);
                self.commands.extend(remember);
                shutdown.add(living, now);
            }
            return;
        }
        let commands = self.session.logged_in(login, ticket, &mut self.dice, now);
        self.commands.extend(commands);
        let session = &self.session;
        let ends_by = |token| session.ends_by(token);
        self.secrets.token_replaced(ticket.token, ends_by, now);
        self.sinks.token_replaced();
        self.verdict.mend(&Concern::Login);
        self.introduce(now);
    }

    /// Says who the agent is, and what it holds, in case that it is killed.
    pub(super) fn introduce(&mut self, now: Moment) {
        let mut report = Report {
            accessor: self.accessor(),
            unrevoked: self.session.accessors(),
            ttl_seconds: self.session.tell_life(now).map(|ttl| ttl.as_secs()),
            ..Report::new(Phase::Running, Reason::LoggedIn)
        };
        self.account(&mut report);
        self.has_told_of_reads = !self.is_ready() || self.secrets.is_reading();
        if self.revoke_on_exit {
            self.name_leases(&mut report, now);
        }
        self.commands.push_back(Command::Report(report));
    }

    /// Names the known leases. Coming leases, and those of earlier lives that named none, can only be counted.
    fn name_leases(&self, report: &mut Report, now: Moment) {
        let leases = self.left_leases.with(self.secrets.leases(now), false);
        // A listener may be about to hand one out.
        let unknown = [!self.is_ready(), self.has_unread_ledger, self.offers_token];
        let unknown = unknown.into_iter().filter(|it| *it).count();
        report.names_leases = true;
        report.leases = leases.ids.into_iter().collect();
        report.more_leases = leases.unheard + unknown;
    }

    /// Adds who logged in, and what was read.
    pub(super) fn account(&self, report: &mut Report) {
        let maxima = [self.session.maximum(), self.secrets.maximum()];
        report.role = report.role.take().or_else(|| self.verdict.role.clone());
        report.max_seconds = maxima.into_iter().flatten().min().map(|it| it.as_secs());
        report.login_request = self.session.login_request().map(str::to_owned);
        report.reads = self.secrets.accesses();
    }

    pub(super) fn token_renewed(
        &mut self,
        ticket: Ticket,
        result: Result<Grant, Failure>,
        now: Moment,
    ) {
        let notices = self.session.renewed(ticket, result, &mut self.dice, now);
        self.commands.extend(notices.into_iter().map(Command::Log));
        // On the way out the shutdown names the tokens.
        if self.life.is_working() && self.session.has_other_ttl() {
            self.introduce(now);
        }
    }

    pub(super) fn logged_in_wrapped(&mut self, result: Result<Text, Failure>, now: Moment) {
        match result {
            Ok(wrapped) => {
                self.session.logged_in_wrapped(wrapped);
                self.sinks.token_replaced();
                self.verdict.mend(&Concern::Login);
                self.log(Some(Notice::LoggedInWrapped));
            }
            Err(failure) => self.login_failed(failure, now),
        }
    }

    pub(super) fn login_failed(&mut self, failure: Failure, now: Moment) {
        let wait = self.session.login_failed(&failure, &mut self.dice, now);
        let end = self.verdict.login_failed(&failure);
        let end = end.filter(|_| self.life.is_working());
        let backoff = end.is_none().then_some(wait);
        self.log(Some(Notice::LoginFailed { failure, backoff }));
        self.stop_with(end, now);
    }
}

//! Leaves nothing behind: waits for answers that may bring a token or a lease, revokes every
//! token, ends.

use std::collections::VecDeque;
use std::time::Duration;

use crate::auth::Living;
use crate::backoff::Backoff;
use crate::clock::Moment;
use crate::command::{Command, Notice};
use crate::dice::Dice;
use crate::failure::{Failure, Remedy};
use crate::report::{ExitCode, Phase, Report};

/// How long an answer that may bring a lease may take before its token is revoked.
const SETTLE: Duration = Duration::from_secs(5);
/// How long all of it may take: less than the 30 s that a pod has unless it says otherwise.
const GRACE: Duration = Duration::from_secs(20);

/// The way out.
#[derive(Debug)]
pub(crate) struct Shutdown {
    code: ExitCode,
    report: Report,
    keeps_token: bool,
    tokens: VecDeque<Living>,
    revoking: Option<Living>,
    has_revoked: bool,
    refusal: Option<Failure>,
    backoff: Backoff,
    retry_at: Option<Moment>,
    settle_until: Moment,
    deadline: Moment,
    /// When `advance` has something to do although nothing happened.
    wake_at: Moment,
}

/// What is on its way from Vault.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Awaited {
    /// A token.
    pub(crate) login: bool,
    /// A lease under a token that we have.
    pub(crate) lease: bool,
}

impl Shutdown {
    /// Starts the way out; `tokens` are to be revoked, the first one first.
    pub(crate) fn new(code: ExitCode, report: Report, tokens: Vec<Living>, now: Moment) -> Self {
        Self {
            code,
            report,
            keeps_token: false,
            tokens: tokens.into(),
            revoking: None,
            has_revoked: false,
            refusal: None,
            backoff: Backoff::request(),
            retry_at: None,
            settle_until: now + SETTLE,
            deadline: now + GRACE,
            wake_at: now,
        }
    }

    /// Starts the way out of an agent whose token must outlive it.
    pub(crate) fn keeping(report: Report, now: Moment) -> Self {
        Self {
            keeps_token: true,
            ..Self::new(ExitCode::Done, report, Vec::new(), now)
        }
    }

    /// A login ended after all: its token goes too.
    pub(crate) fn add(&mut self, token: Living) {
        self.tokens.push_front(token);
    }

    /// What to do now.
    pub(crate) fn advance(&mut self, awaited: Awaited, now: Moment) -> Option<Command> {
        self.wake_at = self.deadline;
        self.tokens.retain(|token| !token.is_over(now));
        if now >= self.deadline {
            let is_undone = self.revoking.is_some() || !self.tokens.is_empty() || awaited.login;
            return Some(self.exit(is_undone));
        }
        if self.revoking.is_some() {
            return None;
        }
        let is_settling = awaited.lease && !self.tokens.is_empty();
        let waits = [self.retry_at, is_settling.then_some(self.settle_until)];
        if let Some(until) = waits.into_iter().flatten().find(|until| now < *until) {
            self.wake_at = until.min(self.deadline);
            return None;
        }
        if let Some(token) = self.tokens.pop_front() {
            let secret = token.secret.clone();
            self.revoking = Some(token);
            return Some(Command::Revoke { token: secret });
        }
        (!awaited.login).then(|| self.exit(false))
    }

    pub(crate) fn timeout(&self) -> Moment {
        self.wake_at
    }

    /// A token that Vault does not know is as good as revoked.
    pub(crate) fn revoked(
        &mut self,
        result: Result<(), Failure>,
        dice: &mut Dice,
        now: Moment,
    ) -> Option<Notice> {
        let token = self.revoking.take()?;
        let failure = match result {
            Ok(()) => {
                self.has_revoked = true;
                return None;
            }
            Err(failure) => failure,
        };
        match failure.remedy() {
            Remedy::LogInAgain => {
                self.has_revoked = true;
                return None;
            }
            // The earlier life may have revoked its token itself, and not every server says which
            // tokens it does not know.
            Remedy::GiveUp if token.is_left => {}
            Remedy::GiveUp => self.refusal = Some(failure.clone()),
            Remedy::Retry => {
                self.tokens.push_back(token);
                self.retry_at = Some(now + self.backoff.fail(dice));
            }
        }
        Some(Notice::RevokeFailed { failure })
    }

    /// What went wrong before is worth more than what became of the tokens.
    fn exit(&self, is_undone: bool) -> Command {
        let (mut code, mut report) = (self.code, self.report.clone());
        let is_told = report.phase == Phase::Done && !self.keeps_token;
        let why = match &self.refusal {
            _ if is_undone => Some("the token could not be revoked in time".to_owned()),
            Some(refusal) => Some(format!("the token could not be revoked: {refusal}")),
            None => None,
        };
        if let Some(why) = why.filter(|_| is_told) {
            code = ExitCode::Unavailable;
            report = Report {
                message: Some(format!("{why}; its leases end with their TTL")),
                status: self.refusal.as_ref().and_then(Failure::status),
                accessor: report.accessor,
                ..Report::new(Phase::Done, "RevokeFailed")
            };
        } else if is_told && code == ExitCode::Done && self.has_revoked {
            report.reason = "Revoked";
        }
        Command::Exit { code, report }
    }
}

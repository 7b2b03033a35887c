//! Leaves nothing behind: waits for answers that may bring a token or a lease, revokes every
//! token, ends.

use std::collections::VecDeque;
use std::time::Duration;

use planescape_agent_config::SecretText;

use crate::backoff::Backoff;
use crate::clock::Moment;
use crate::command::{Command, Notice};
use crate::dice::Dice;
use crate::failure::{Failure, Remedy};
use crate::report::{ExitCode, Phase, Report};

/// How long an answer that is on its way may take.
const SETTLE: Duration = Duration::from_secs(5);
/// How long all of it may take: less than the 30 s that a pod has unless it says otherwise.
const GRACE: Duration = Duration::from_secs(20);

/// The way out.
#[derive(Debug)]
pub(crate) struct Shutdown {
    code: ExitCode,
    report: Report,
    tokens: VecDeque<SecretText>,
    is_revoking: bool,
    backoff: Backoff,
    retry_at: Option<Moment>,
    settle_until: Moment,
    deadline: Moment,
}

impl Shutdown {
    /// Starts the way out; `tokens` are to be revoked.
    pub(crate) fn new(
        code: ExitCode,
        report: Report,
        tokens: Vec<SecretText>,
        now: Moment,
    ) -> Self {
        Self {
            code,
            report,
            tokens: tokens.into(),
            is_revoking: false,
            backoff: Backoff::request(),
            retry_at: None,
            settle_until: now + SETTLE,
            deadline: now + GRACE,
        }
    }

    /// A login ended after all: its token goes too.
    pub(crate) fn add(&mut self, token: SecretText) {
        self.tokens.push_back(token);
    }

    /// What to do now. `is_settled` says that no answer is on its way which may bring a token or
    /// a lease.
    pub(crate) fn advance(&mut self, is_settled: bool, now: Moment) -> Option<Command> {
        if now >= self.deadline {
            return Some(self.exit_unrevoked());
        }
        if self.is_revoking || self.retry_at.is_some_and(|moment| now < moment) {
            return None;
        }
        if !is_settled && now < self.settle_until {
            return None;
        }
        match self.tokens.front() {
            Some(token) => {
                self.is_revoking = true;
                Some(Command::Revoke {
                    token: token.clone(),
                })
            }
            None => Some(Command::Exit {
                code: self.code,
                report: self.report.clone(),
            }),
        }
    }

    /// When `advance` has something to do although nothing happened.
    pub(crate) fn timeout(&self) -> Moment {
        match self.retry_at {
            _ if self.is_revoking => self.deadline,
            Some(moment) => moment.min(self.deadline),
            None => self.settle_until,
        }
    }

    /// A token that Vault does not know is as good as revoked.
    pub(crate) fn revoked(
        &mut self,
        result: Result<(), Failure>,
        dice: &mut Dice,
        now: Moment,
    ) -> Option<Notice> {
        self.is_revoking = false;
        let failure = match result {
            Ok(()) => {
                self.tokens.pop_front();
                return None;
            }
            Err(failure) => failure,
        };
        match failure.remedy() {
            Remedy::LogInAgain | Remedy::GiveUp => {
                self.tokens.pop_front();
                None
            }
            Remedy::Retry => {
                self.retry_at = Some(now + self.backoff.fail(dice));
                Some(Notice::RevokeFailed { failure })
            }
        }
    }

    fn exit_unrevoked(&self) -> Command {
        let (code, report) = if self.code == ExitCode::Done {
            let report = Report {
                message: Some(
                    "the token could not be revoked in time; its leases end with their TTL"
                        .to_owned(),
                ),
                accessor: self.report.accessor.clone(),
                ..Report::new(Phase::Done, "RevokeFailed")
            };
            (ExitCode::Unavailable, report)
        } else {
            (self.code, self.report.clone())
        };
        Command::Exit { code, report }
    }
}

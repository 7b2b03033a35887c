//! Keeps a token: logs in, renews, logs in again when the token ends or is lost.

use planescape_agent_contract::Auth;
use planescape_vault::SecretText;

use crate::backoff::Backoff;
use crate::clock::Moment;
use crate::command::{Command, Notice};
use crate::dice::Dice;
use crate::failure::{Failure, Remedy};
use crate::input::{Grant, Login};
use crate::lease::{Lease, Step};

/// The token and what is being done about it.
#[derive(Debug)]
pub(crate) struct Session {
    current: Option<Held>,
    activity: Activity,
    backoff: Backoff,
    /// Tokens that were replaced and may still live, with leases that programs still use.
    retired: Vec<Living>,
}

/// A token that may live, to be revoked at the end.
#[derive(Debug)]
pub(crate) struct Living {
    pub(crate) secret: SecretText,
    /// When Vault forgets it by itself; `None`: never, or not known.
    ends_at: Option<Moment>,
    /// Whether an earlier life of this agent left it.
    pub(crate) is_left: bool,
}

impl Living {
    /// A token that comes too late to be used.
    pub(crate) fn of_login(login: Login, now: Moment) -> Self {
        let ttl = login.grant.ttl();
        Self {
            secret: login.token,
            ends_at: (!ttl.is_zero()).then(|| now + ttl),
            is_left: false,
        }
    }

    fn left(secret: SecretText) -> Self {
        Self {
            secret,
            ends_at: None,
            is_left: true,
        }
    }

    pub(crate) fn is_over(&self, now: Moment) -> bool {
        self.ends_at.is_some_and(|end| end <= now)
    }
}

impl From<Held> for Living {
    fn from(held: Held) -> Self {
        Self {
            secret: held.token,
            ends_at: held.lease.as_ref().map(Lease::ends_at),
            is_left: false,
        }
    }
}

#[derive(Debug)]
struct Held {
    token: SecretText,
    accessor: String,
    lease: Option<Lease>,
}

#[derive(Debug)]
enum Activity {
    Idle,
    LoggingIn,
    Renewing,
    /// After a failed login.
    Waiting {
        until: Moment,
    },
}

impl Session {
    pub(crate) fn new(auth: &Auth, left: Option<SecretText>) -> Self {
        Self {
            current: None,
            activity: Activity::Idle,
            backoff: Backoff::login(auth.min_backoff, auth.max_backoff),
            retired: left.map(Living::left).into_iter().collect(),
        }
    }

    pub(crate) fn token(&self) -> Option<&SecretText> {
        self.current.as_ref().map(|held| &held.token)
    }

    pub(crate) fn accessor(&self) -> Option<&str> {
        self.current
            .as_ref()
            .map(|held| held.accessor.as_str())
            .filter(|accessor| !accessor.is_empty())
    }

    pub(crate) fn is_logging_in(&self) -> bool {
        matches!(self.activity, Activity::LoggingIn)
    }

    /// Every token that may live, the one in use first.
    pub(crate) fn take_tokens(&mut self) -> Vec<Living> {
        let current = self.current.take().map(Living::from);
        let retired = std::mem::take(&mut self.retired);
        current.into_iter().chain(retired).collect()
    }

    /// What to do now, if anything.
    pub(crate) fn advance(&mut self, now: Moment) -> Option<Command> {
        if self.lease().is_some_and(|lease| lease.is_over(now)) {
            self.current = None;
        }
        match self.activity {
            Activity::LoggingIn | Activity::Renewing => return None,
            Activity::Waiting { until } if now < until => return None,
            Activity::Waiting { .. } | Activity::Idle => self.activity = Activity::Idle,
        }
        let Some(held) = &self.current else {
            self.activity = Activity::LoggingIn;
            return Some(Command::LogIn);
        };
        let lease = held.lease.as_ref().filter(|lease| lease.act_at() <= now)?;
        match lease.next_step() {
            Step::Renew => {
                self.activity = Activity::Renewing;
                Some(Command::RenewToken {
                    token: held.token.clone(),
                })
            }
            Step::Replace => {
                self.activity = Activity::LoggingIn;
                Some(Command::LogIn)
            }
        }
    }

    /// When `advance` has something to do although nothing happened.
    pub(crate) fn timeout(&self) -> Option<Moment> {
        match self.activity {
            Activity::LoggingIn | Activity::Renewing => None,
            Activity::Waiting { until } => Some(until),
            Activity::Idle => self.lease().map(Lease::act_at),
        }
    }

    pub(crate) fn logged_in(&mut self, login: Login, dice: &mut Dice, now: Moment) -> Notice {
        let notice = Notice::LoggedIn {
            accessor: login.accessor.clone(),
            ttl: login.grant.ttl(),
        };
        let replaced = self.current.replace(Held {
            token: login.token,
            accessor: login.accessor,
            lease: Lease::new(login.grant, dice, now),
        });
        self.retired.retain(|token| !token.is_over(now));
        self.retired.extend(replaced.map(Living::from));
        self.activity = Activity::Idle;
        self.backoff.succeed();
        notice
    }

    /// A login ended that nobody needs any more.
    pub(crate) fn login_ended(&mut self) {
        self.activity = Activity::Idle;
    }

    pub(crate) fn login_failed(
        &mut self,
        failure: Failure,
        dice: &mut Dice,
        now: Moment,
    ) -> Notice {
        let backoff = self.backoff.fail(dice);
        self.activity = Activity::Waiting {
            until: now + backoff,
        };
        Notice::LoginFailed { failure, backoff }
    }

    pub(crate) fn renewed(&mut self, grant: Grant, dice: &mut Dice, now: Moment) -> Notice {
        self.activity = Activity::Idle;
        self.backoff.succeed();
        if let Some(lease) = self.current.as_mut().and_then(|held| held.lease.as_mut()) {
            lease.renewed(grant, dice, now);
        }
        Notice::Renewed {
            request: None,
            ttl: grant.ttl(),
        }
    }

    pub(crate) fn renewal_failed(
        &mut self,
        failure: Failure,
        dice: &mut Dice,
        now: Moment,
    ) -> Notice {
        self.activity = Activity::Idle;
        let backoff = self.backoff.fail(dice);
        if failure.remedy() == Remedy::LogInAgain {
            self.lose();
        }
        if let Some(lease) = self.current.as_mut().and_then(|held| held.lease.as_mut()) {
            let is_hopeless = failure.remedy() == Remedy::GiveUp || lease.is_nearly_over(now);
            if is_hopeless {
                lease.give_up(now);
            } else {
                lease.retry_after(backoff, now);
            }
        }
        Notice::RenewalFailed {
            request: None,
            failure,
        }
    }

    /// Vault does not know the token any more; nothing of it is left to revoke.
    pub(crate) fn lose(&mut self) {
        self.current = None;
    }

    fn lease(&self) -> Option<&Lease> {
        self.current.as_ref()?.lease.as_ref()
    }
}

//! Keeps a token: logs in, renews, logs in again when the token ends or is lost.

mod doubt;
mod made;
mod often;
mod told;

use std::time::Duration;

use planescape_agent_contract::Config;
use planescape_vault::{Grant, Kind, Login, SecretText, Text};

use crate::backoff::Backoff;
use crate::clock::Moment;
use crate::command::{Command, Notice};
use crate::dice::Dice;
use crate::failure::{Failure, Remedy};
use crate::lease::{Lease, Step};
use crate::living::{LeftToken, Living, leave_out};
use crate::token::{Ticket, Token, TokenId};
use doubt::Doubts;
pub(crate) use doubt::{Asker, Doubt};
use often::Often;

/// How many logins a minute there may be, however often tokens die.
const LOGINS: usize = 6;
const MINUTE: Duration = Duration::from_secs(60);

/// The token and what is being done about it.
#[derive(Debug)]
pub(crate) struct Session {
    current: Option<Held>,
    activity: Activity,
    /// The backoff of logins.
    backoff: Backoff,
    /// The backoff of renewals and look-ups: an outage that outlasts a token holds up no login after it.
    renewals: Backoff,
    /// Whether the configuration says how often to try.
    backoff_is_explicit: bool,
    /// How long a token may outlive the agent, where Vault lets it be shortened.
    guard: Option<Duration>,
    /// The token's TTL as it was told last.
    told_ttl: Option<Duration>,
    /// Whether tokens are to be revoked.
    revokes: bool,
    /// Whether they are written into the ledger before they are used.
    remembers: bool,
    /// The shortest life after which Vault extended a token no further.
    maximum: Option<Duration>,
    /// The id of the latest login in Vault's audit log.
    login_request: Option<String>,
    /// Tokens that were replaced and may still live, with leases that programs still use.
    retired: Vec<Living>,
    /// Tokens that templates have made and that end with no other one.
    orphans: Vec<Living>,
    /// The orphans that are being written into the ledger.
    unremembered: Vec<TokenId>,
    /// The token that ended last, with all that it leased; not told yet.
    ended: Option<TokenId>,
    /// Tokens that ended long ago and that the next life may still find.
    forgotten: Vec<SecretText>,
    /// When the latest logins began.
    logins: Often,
    next_id: u64,
    /// Whether new credentials lead to a new login.
    follows_new_credentials: bool,
    /// Whether there is a method to log in with.
    can_log_in: bool,
    /// Whether there are credentials that no login has brought a token for yet.
    has_new_credentials: bool,
    /// Whether the latest login was for them.
    was_for_new_credentials: bool,
    /// A wrapped token for the readers of the sink.
    wrapped: Option<Text>,
}

#[derive(Debug)]
struct Held {
    token: Token,
    accessor: String,
    lease: Option<Lease>,
    /// Whether it was written into the ledger, or need not be.
    is_remembered: bool,
    /// Whether Vault answered a request with it.
    is_proven: bool,
    /// Whether a request was refused as if Vault did not know it.
    is_doubted: bool,
    doubts: Doubts,
    /// When Vault last said that it knows it.
    known_at: Option<Moment>,
    /// Whether it was told that half the guard has passed.
    is_endangered: bool,
}

impl From<Held> for Living {
    fn from(held: Held) -> Self {
        let gone_by = held.lease.as_ref().and_then(Lease::gone_by);
        Self::new(held.token, held.accessor, gone_by)
    }
}

#[derive(Debug)]
enum Activity {
    Idle,
    LoggingIn,
    Renewing,
    LookingUp,
    /// After a failure.
    Waiting {
        until: Moment,
    },
}

impl Session {
    pub(crate) fn new(config: &Config) -> Self {
        let (auth, settings) = (&config.auth, &config.planescape);
        Self {
            current: None,
            activity: Activity::Idle,
            backoff: Backoff::between(auth.min_backoff, auth.max_backoff),
            renewals: Backoff::between(auth.min_backoff, auth.max_backoff),
            backoff_is_explicit: auth.backoff_is_explicit,
            told_ttl: None,
            // An agent that ends with a token that is to live on does not renew it.
            guard: settings.lease_guard.filter(|_| !config.exit_after_auth),
            revokes: settings.revoke_on_exit,
            remembers: settings.revoke_on_exit && settings.ledger.is_some(),
            maximum: None,
            login_request: None,
            retired: Vec::new(),
            orphans: Vec::new(),
            unremembered: Vec::new(),
            ended: None,
            forgotten: Vec::new(),
            logins: Often::default(),
            next_id: 0,
            follows_new_credentials: auth.follows_new_credentials,
            can_log_in: auth.method.is_some(),
            has_new_credentials: false,
            was_for_new_credentials: false,
            wrapped: None,
        }
    }

    /// Takes over each token that earlier lives have left to be revoked, once. The commands let the next life find it,
    /// which may get no cache any more.
    pub(crate) fn take_over(&mut self, left: Vec<LeftToken>, now: Moment) -> Vec<Command> {
        let mut commands = Vec::new();
        for left in left {
            let mut retired = self.retired.iter_mut();
            if let Some(known) = retired.find(|it| it.token.secret == left.secret) {
                // The cache has handed it on without its accessor.
                if known.accessor.is_empty() {
                    known.accessor = left.accessor;
                }
                continue;
            }
            let is_written = left.is_written;
            let id = self.new_id();
            let living = Living::of_earlier_life(left, id, now);
            let remember = self.remember(&living.token, &living.accessor);
            commands.extend(remember.filter(|_| !is_written));
            self.retired.push(living);
        }
        commands
    }

    /// Has a token written into the ledger, where there is one.
    pub(crate) fn remember(&self, token: &Token, accessor: &str) -> Option<Command> {
        self.remembers.then(|| Command::Remember {
            token: token.clone(),
            accessor: accessor.to_owned(),
        })
    }

    fn new_id(&mut self) -> TokenId {
        self.next_id += 1;
        TokenId(self.next_id)
    }

    /// The token that requests may use now.
    pub(crate) fn usable(&self) -> Option<&Token> {
        let held = self.current.as_ref()?;
        (held.is_remembered && !held.is_doubted).then_some(&held.token)
    }

    /// The content of the sinks.
    pub(crate) fn shared(&self) -> Option<Text> {
        match &self.wrapped {
            Some(wrapped) => Some(wrapped.clone()),
            None => self.usable().map(|token| Text::from(token.secret.expose())),
        }
    }

    /// Whether there is a method, and no token for the sinks yet.
    pub(crate) fn awaits_login(&self) -> bool {
        self.can_log_in && self.shared().is_none()
    }

    /// The token that we have, whether or not requests may use it.
    pub(crate) fn token(&self) -> Option<&Token> {
        self.current.as_ref().map(|held| &held.token)
    }

    /// Its number.
    fn current(&self) -> Option<TokenId> {
        self.token().map(|token| token.id)
    }

    pub(crate) fn is_current(&self, id: TokenId) -> bool {
        self.current() == Some(id)
    }

    pub(crate) fn accessor(&self) -> Option<&str> {
        let held = self.current.as_ref()?;
        Some(held.accessor.as_str()).filter(|accessor| !accessor.is_empty())
    }

    /// The accessors of all tokens that may live, the one in use first.
    pub(crate) fn accessors(&self) -> Vec<String> {
        let current = self.current.iter().map(|held| &held.accessor);
        let others = self.orphans.iter().chain(&self.retired);
        let others = others.map(|living| &living.accessor);
        let named = current.chain(others).filter(|it| !it.is_empty());
        named.cloned().collect()
    }

    /// When a token that was replaced ends at the latest, and with it all that it leased; if that is known.
    pub(crate) fn ends_by(&self, replaced: TokenId) -> Option<Moment> {
        let mut retired = self.retired.iter();
        retired
            .find(|living| living.token.id == replaced)?
            .gone_by()
    }

    /// The token that has just ended, once.
    pub(crate) fn take_ended(&mut self) -> Option<TokenId> {
        self.ended.take()
    }

    /// Drops the tokens that are no use to the next life, once.
    pub(crate) fn forget(&mut self) -> Option<Command> {
        let tokens = std::mem::take(&mut self.forgotten);
        let is_due = self.revokes && !tokens.is_empty();
        is_due.then_some(Command::Forget { tokens })
    }

    pub(crate) fn is_logging_in(&self) -> bool {
        matches!(self.activity, Activity::LoggingIn)
    }

    /// Every token that may live: the one in use, those of logins before it, on which users of databases hang, and the
    /// orphans.
    pub(crate) fn take_tokens(&mut self) -> Vec<Living> {
        let current = self.current.take().map(Living::from);
        let own = current.into_iter().chain(self.take_retired());
        own.chain(std::mem::take(&mut self.orphans)).collect()
    }

    /// Every token that may live, except the one in use and those that files hold.
    pub(crate) fn take_retired(&mut self) -> Vec<Living> {
        std::mem::take(&mut self.retired)
    }

    /// Says once that the token ends before long unless Vault is back.
    pub(crate) fn endangered(&mut self, now: Moment) -> Option<Notice> {
        let held = self.current.as_mut().filter(|held| !held.is_endangered)?;
        let lease = held.lease.as_ref()?;
        lease.endangered_at().filter(|at| *at <= now)?;
        held.is_endangered = true;
        let ends_in = lease.ends_at().since(now);
        Some(Notice::Endangered { ends_in })
    }

    /// The command that is due, if any.
    pub(crate) fn advance(&mut self, now: Moment) -> Option<Command> {
        if self.lease().is_some_and(|lease| lease.ends_at() <= now) {
            self.ended = self.current();
            self.retire(now);
            // Answers about it say nothing any more.
            if matches!(self.activity, Activity::Renewing | Activity::LookingUp) {
                self.activity = Activity::Idle;
            }
        }
        match self.activity {
            Activity::LoggingIn | Activity::Renewing | Activity::LookingUp => return None,
            Activity::Waiting { until } if now < until => return None,
            Activity::Waiting { .. } | Activity::Idle => self.activity = Activity::Idle,
        }
        // The token has to live until there is another one.
        let is_due = self.lease().is_some_and(|lease| lease.act_at() <= now);
        if self.has_new_credentials && !is_due {
            return self.log_in(now);
        }
        let Some(held) = &mut self.current else {
            return match self.wrapped {
                Some(_) => None,
                None => self.log_in(now),
            };
        };
        let ticket = Ticket {
            token: held.token.id,
            sent: now,
        };
        let token = held.token.secret.clone();
        if held.is_doubted {
            self.activity = Activity::LookingUp;
            return Some(Command::LookUpToken { ticket, token });
        }
        let lease = held.lease.as_mut().filter(|lease| lease.act_at() <= now)?;
        match lease.next_step() {
            Step::Renew => {
                lease.renewal_asked();
                let increment = lease.increment();
                self.activity = Activity::Renewing;
                Some(Command::RenewToken {
                    ticket,
                    token,
                    increment,
                })
            }
            Step::Replace => self.log_in(now),
        }
    }

    fn log_in(&mut self, now: Moment) -> Option<Command> {
        if !self.can_log_in {
            return None;
        }
        if let Some(until) = self.logins.wait(now) {
            self.activity = Activity::Waiting { until };
            return None;
        }
        self.logins.came(now);
        self.was_for_new_credentials = std::mem::take(&mut self.has_new_credentials);
        self.activity = Activity::LoggingIn;
        let ticket = Ticket {
            token: self.new_id(),
            sent: now,
        };
        Some(Command::LogIn { ticket })
    }

    /// When `advance` has something to do although nothing happened.
    pub(crate) fn timeout(&self) -> Option<Moment> {
        let end = self.lease().map(Lease::ends_at);
        let next = match self.activity {
            Activity::LoggingIn | Activity::Renewing | Activity::LookingUp => None,
            Activity::Waiting { until } => Some(until),
            Activity::Idle => self.lease().map(Lease::act_at),
        };
        let held = self.current.as_ref().filter(|held| !held.is_endangered);
        let danger = held.and_then(|held| held.lease.as_ref()?.endangered_at());
        end.into_iter().chain(next).chain(danger).min()
    }

    /// Takes the token over, and says what is to be done before it is used.
    pub(crate) fn logged_in(
        &mut self,
        login: Login,
        ticket: Ticket,
        dice: &mut Dice,
        now: Moment,
    ) -> Vec<Command> {
        let notice = Notice::LoggedIn {
            accessor: login.accessor.clone(),
            ttl: login.grant.ttl(),
        };
        let token = Token {
            id: ticket.token,
            secret: login.token,
            namespace: None,
        };
        let remember = self.remember(&token, &login.accessor);
        self.retire(now);
        // The persistent cache may hand on what stands in the ledger, too.
        self.unretire(&token.secret);
        self.login_request = Some(login.request).filter(|id| !id.is_empty());
        let mut lease = Lease::new(login.grant, ticket, dice, now);
        // Each renewal would take one of the uses.
        if let Some(guard) = self.guard.filter(|_| !login.has_limited_uses) {
            lease = lease.map(|lease| lease.guarded(guard, now));
        }
        let limited = login.has_limited_uses.then_some(Notice::LimitedUses);
        let unguarded = self.unguarded(lease.as_ref());
        self.current = Some(Held {
            token,
            accessor: login.accessor,
            lease,
            is_remembered: !self.remembers,
            is_proven: false,
            is_doubted: false,
            doubts: Doubts::default(),
            known_at: None,
            is_endangered: false,
        });
        self.activity = Activity::Idle;
        std::iter::once(Command::Log(notice))
            .chain(limited.into_iter().chain(unguarded).map(Command::Log))
            .chain(remember)
            .collect()
    }

    /// The notice of a token that outlives the guard and cannot be shortened.
    fn unguarded(&self, lease: Option<&Lease>) -> Option<Notice> {
        let guard = self.guard?;
        match lease {
            None => Some(Notice::Unguarded { ttl: None }),
            Some(lease) if lease.increment().is_none() && lease.ttl() > guard => {
                Some(Notice::Unguarded {
                    ttl: Some(lease.ttl()),
                })
            }
            Some(_) => None,
        }
    }

    /// A wrapped token is not ours to use or to renew.
    pub(crate) fn logged_in_wrapped(&mut self, wrapped: Text) {
        self.wrapped = Some(wrapped);
        self.activity = Activity::Idle;
    }

    /// The files of the login hold something new.
    pub(crate) fn credentials_changed(&mut self) -> Option<Notice> {
        if !self.follows_new_credentials {
            return None;
        }
        self.has_new_credentials = true;
        Some(Notice::NewCredentials)
    }

    /// The token stands in the ledger, or cannot; it is used all the same, since a pod without
    /// secrets is worse than a token that ends with its TTL.
    pub(crate) fn remembered(
        &mut self,
        id: TokenId,
        result: Result<(), Failure>,
    ) -> Option<Notice> {
        self.unremembered.retain(|it| *it != id);
        if let Some(held) = self.current.as_mut().filter(|held| held.token.id == id) {
            held.is_remembered = true;
        } else {
            let mut others = self.orphans.iter().chain(&self.retired);
            others.find(|living| living.token.id == id)?;
        }
        result
            .err()
            .map(|failure| Notice::NotRemembered { failure })
    }

    /// A login that came too late to be used has ended.
    pub(crate) fn login_ended(&mut self) {
        self.activity = Activity::Idle;
    }

    /// Notes that a login failed, and says how long to wait for the next one.
    pub(crate) fn login_failed(
        &mut self,
        failure: &Failure,
        dice: &mut Dice,
        now: Moment,
    ) -> Duration {
        // Vault was not asked, and may be as soon as the file is there.
        let was_asked = !matches!(failure, Failure::File { .. });
        if !was_asked || self.backoff_is_explicit {
            self.logins.forgive();
        }
        let asked = failure.retry_after().unwrap_or_default();
        let wait = self.backoff.fail(dice).max(asked);
        self.has_new_credentials |= self.was_for_new_credentials;
        let renewal = self.lease().map(Lease::act_at).filter(|at| *at > now);
        let until = renewal.map_or(now + wait, |at| at.min(now + wait));
        self.activity = Activity::Waiting { until };
        wait
    }

    pub(crate) fn renewed(
        &mut self,
        ticket: Ticket,
        result: Result<Grant, Failure>,
        dice: &mut Dice,
        now: Moment,
    ) -> Vec<Notice> {
        let held = self.current.as_mut();
        let Some(held) = held.filter(|held| held.token.id == ticket.token) else {
            return Vec::new();
        };
        if matches!(self.activity, Activity::Renewing) {
            self.activity = Activity::Idle;
        }
        match result {
            Ok(grant) => {
                self.backoff.succeed();
                self.renewals.succeed();
                held.is_doubted = false;
                held.known_at = Some(now);
                held.is_endangered = false;
                let renewed = Notice::Renewed {
                    request: None,
                    ttl: grant.ttl(),
                };
                let Some(lease) = &mut held.lease else {
                    return vec![renewed];
                };
                let was_guarded = lease.increment().is_some();
                lease.renewed(grant, ticket, dice, now);
                let lost_guard = was_guarded && lease.increment().is_none();
                let ttl = Some(grant.ttl());
                let unguarded = lost_guard.then_some(Notice::Unguarded { ttl });
                std::iter::once(renewed).chain(unguarded).collect()
            }
            Err(failure) => {
                let wait = self.renewals.fail(dice);
                let mut unguarded = None;
                if failure.remedy() == Remedy::CheckToken {
                    self.ended = Some(ticket.token);
                    self.retire(now);
                    self.activity = Activity::Waiting { until: now };
                } else if let Some(lease) = &mut held.lease {
                    let was_guarded = lease.increment().is_some();
                    lease.renewal_failed(&failure, wait, now);
                    let ttl = Some(lease.ttl());
                    let lost_guard = was_guarded && lease.increment().is_none();
                    unguarded = lost_guard.then_some(Notice::Unguarded { ttl });
                }
                let request = None;
                let failed = Notice::RenewalFailed { request, failure };
                std::iter::once(failed).chain(unguarded).collect()
            }
        }
    }

    /// Takes in whether Vault knows the token.
    pub(crate) fn looked_up(
        &mut self,
        ticket: Ticket,
        result: &Result<(), Failure>,
        dice: &mut Dice,
        now: Moment,
    ) -> Option<Notice> {
        let held = self.current.as_mut();
        let held = held.filter(|held| held.token.id == ticket.token)?;
        if matches!(self.activity, Activity::LookingUp) {
            self.activity = Activity::Idle;
        }
        let is_known = match result {
            Ok(()) => true,
            // Its policies do not let it ask.
            Err(failure) => failure.kind() == Some(Kind::Denied),
        };
        if is_known {
            held.is_doubted = false;
            held.known_at = Some(now);
            return Some(Notice::TokenLives);
        }
        let failure = result.as_ref().err()?;
        if failure.remedy() != Remedy::CheckToken {
            let asked = failure.retry_after().unwrap_or_default();
            let until = now + self.renewals.fail(dice).max(asked);
            self.activity = Activity::Waiting { until };
            return None;
        }
        let until = if held.is_proven {
            now
        } else {
            now + self.backoff.fail(dice)
        };
        self.ended = Some(ticket.token);
        self.retire(now);
        self.activity = Activity::Waiting { until };
        Some(Notice::TokenLost)
    }

    /// Keeps the token for the end: a node that is behind the others does not know what they know.
    fn retire(&mut self, now: Moment) {
        self.forgotten.extend(leave_out(&mut self.retired, now));
        self.maximum = self.maximum();
        self.retired.extend(self.current.take().map(Living::from));
    }

    /// The shortest life after which Vault extended a token no further, as far as it has said so.
    pub(crate) fn maximum(&self) -> Option<Duration> {
        let current = self.lease().and_then(Lease::maximum);
        current.into_iter().chain(self.maximum).min()
    }

    /// The id of the latest login in Vault's audit log.
    pub(crate) fn login_request(&self) -> Option<&str> {
        self.login_request.as_deref()
    }

    fn lease(&self) -> Option<&Lease> {
        self.current.as_ref()?.lease.as_ref()
    }
}

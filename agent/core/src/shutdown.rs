//! Leaves nothing behind: waits for answers that may bring a token or a lease, revokes every
//! token, ends.

use std::time::Duration;

use planescape_agent_contract::{Phase, REVOKE_POLICY, Reason, Report};
use planescape_vault::{Error, SecretText};

use crate::backoff::Backoff;
use crate::clock::Moment;
use crate::command::{Command, Notice};
use crate::dice::Dice;
use crate::failure::{Failure, Remedy};
use crate::living::{Living, longest};
use crate::parting::Parting;
use crate::secrets::Leased;
use crate::token::TokenId;
use crate::verdict::{End, ExitCode};

/// How long an answer that may bring a lease may take before its token is revoked.
const SETTLE: Duration = Duration::from_secs(5);
/// How long all of it may take: less than the 30 s that a pod has unless it says otherwise.
const GRACE: Duration = Duration::from_secs(20);
/// How long the way out takes while name servers do not know Vault, or do not answer: a pod may have no more than ten
/// seconds. The next life, `planescape credentials` or the lease guard have the token then.
const NAMELESS: Duration = Duration::from_secs(9);
/// How many tokens are revoked at once.
const AT_ONCE: usize = 8;

/// The way out.
#[derive(Debug)]
pub(crate) struct Shutdown {
    end: End,
    keeps_token: bool,
    spares_tokens: bool,
    misses_tokens: bool,
    is_excused: bool,
    is_signalled: bool,
    tokens: Vec<Leaving>,
    has_revoked: bool,
    /// Those that Vault says it has revoked.
    revoked: Vec<SecretText>,
    /// Once every answer is there that may bring another lease.
    parting: Option<Parting>,
    refusals: Vec<(Living, Failure)>,
    backoff: Backoff,
    /// The moment from which on time counts.
    since: Moment,
    /// Whether no name server says where Vault is.
    is_nameless: bool,
    /// When `advance` has something to do although nothing happened.
    wake_at: Moment,
}

/// A token on its way out.
#[derive(Debug)]
struct Leaving {
    living: Living,
    state: Revocation,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Revocation {
    Due { at: Moment },
    Asked,
}

/// Answers on their way from Vault.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Awaited {
    /// A token.
    pub(crate) login: bool,
    /// A lease under a token that we have.
    pub(crate) lease: bool,
}

impl Shutdown {
    /// Starts the way out; `tokens` are to be revoked in this order, but those whose time is over come last.
    pub(crate) fn new(end: End, mut tokens: Vec<Living>, now: Moment) -> Self {
        tokens.sort_by_key(|living| living.is_gone(now));
        let mut shutdown = Self {
            end,
            keeps_token: false,
            spares_tokens: false,
            misses_tokens: false,
            is_excused: false,
            is_signalled: false,
            tokens: Vec::new(),
            has_revoked: false,
            revoked: Vec::new(),
            parting: None,
            refusals: Vec::new(),
            backoff: Backoff::request(),
            since: now,
            is_nameless: false,
            wake_at: now,
        };
        for token in tokens {
            shutdown.add(token, now);
        }
        shutdown
    }

    /// The program in `exec` has ended, or is given up: from here on time counts.
    pub(crate) fn start_clock(&mut self, now: Moment) {
        self.since = now;
        self.wake_at = now;
    }

    /// The token in use outlives the agent; the others do not.
    pub(crate) fn keeping_token(self) -> Self {
        Self {
            keeps_token: true,
            ..self
        }
    }

    /// No token is to be revoked, now or by the next life.
    pub(crate) fn sparing_tokens(self) -> Self {
        Self {
            spares_tokens: true,
            ..self
        }
    }

    /// Earlier lives may have left tokens that nobody knows.
    pub(crate) fn missing_tokens(self) -> Self {
        Self {
            misses_tokens: true,
            ..self
        }
    }

    /// Others wait for the end and need no token: a token that cannot be revoked is no failure, and holds them up only
    /// briefly.
    pub(crate) fn excused(self) -> Self {
        Self {
            is_excused: true,
            ..self
        }
    }

    /// Another token goes too: a login ended after all. One that is there already is revoked once.
    pub(crate) fn add(&mut self, living: Living, now: Moment) {
        let secret = &living.token.secret;
        let mut tokens = self.tokens.iter();
        if tokens.any(|it| it.living.token.secret == *secret) {
            return;
        }
        let state = Revocation::Due { at: now };
        self.tokens.push(Leaving { living, state });
    }

    /// A signal came. The first one asks for what happens already; another ends it at once.
    pub(crate) fn signal(&mut self, awaits_login: bool, now: Moment) -> Option<Command> {
        if !std::mem::replace(&mut self.is_signalled, true) {
            return None;
        }
        let mut report = self.end.report.clone();
        if report.phase == Phase::Done {
            report.reason = Reason::Interrupted;
        }
        self.tell_of_tokens(&mut report, awaits_login, now);
        self.tell_of_leases(&mut report);
        Some(Command::Exit {
            code: ExitCode::Interrupted,
            report,
        })
    }

    /// The commands that are due; `leases` are those that the tokens may have, with or without those of the one in use.
    pub(crate) fn advance(
        &mut self,
        awaited: Awaited,
        leases: impl FnOnce(bool) -> Leased,
        now: Moment,
    ) -> Vec<Command> {
        let deadline = self.deadline(awaited);
        self.wake_at = deadline;
        if now >= deadline {
            let is_undone = !self.tokens.is_empty() || awaited.login;
            return self.exit(is_undone, awaited, now);
        }
        let settled = self.since + SETTLE;
        if awaited.lease && !self.tokens.is_empty() && now < settled {
            self.wake_at = settled.min(deadline);
            return Vec::new();
        }
        let mut tokens = self.tokens.iter();
        let living = tokens.find(|leaving| !leaving.living.is_gone(now));
        if let Some(first) = living.or(self.tokens.first()) {
            let parting = &mut self.parting;
            // The leases of a token that is kept live on with it.
            let keeps_own = self.keeps_token;
            let parting = parting.get_or_insert_with(|| Parting::new(leases(keeps_own), now));
            let commands = parting.advance(&first.living.token, now);
            if !parting.is_over(now) {
                self.wake_at = parting.timeout().min(deadline);
                return commands;
            }
        }
        let commands = self.revoke(now);
        if self.tokens.is_empty() && !awaited.login {
            return self.exit(false, awaited, now);
        }
        commands
    }

    /// A login on its way may bring a token that only this life can revoke.
    fn deadline(&self, awaited: Awaited) -> Moment {
        let is_short = (self.is_nameless || self.is_excused) && !awaited.login;
        self.since + if is_short { NAMELESS } else { GRACE }
    }

    /// Somebody else was given a lease of a token after the leases were counted.
    pub(crate) fn granted_to_others(&mut self) {
        if let Some(parting) = &mut self.parting {
            parting.unheard += 1;
        }
    }

    fn revoke(&mut self, now: Moment) -> Vec<Command> {
        let asked = self.tokens.iter();
        let asked = asked.filter(|leaving| leaving.state == Revocation::Asked);
        let free = AT_ONCE.saturating_sub(asked.count());
        let mut commands = Vec::new();
        for leaving in &mut self.tokens {
            let Revocation::Due { at } = leaving.state else {
                continue;
            };
            if at > now {
                self.wake_at = self.wake_at.min(at);
            } else if commands.len() < free {
                leaving.state = Revocation::Asked;
                commands.push(Command::Revoke {
                    token: leaving.living.token.clone(),
                });
            }
        }
        commands
    }

    pub(crate) fn timeout(&self) -> Moment {
        self.wake_at
    }

    pub(crate) fn lease_revoked(
        &mut self,
        id: &str,
        result: Result<(), Failure>,
    ) -> Option<Notice> {
        self.hear(result.as_ref().err());
        self.parting.as_mut()?.revoked(id, result)
    }

    /// Takes in the end of any request: one that was on its way may miss Vault's address before a revocation does.
    pub(crate) fn hear(&mut self, failure: Option<&Failure>) {
        self.is_nameless = matches!(failure, Some(Failure::Vault(Error::Unresolved { .. })));
    }

    /// A token that Vault does not know is as good as revoked.
    pub(crate) fn revoked(
        &mut self,
        id: TokenId,
        result: Result<(), Failure>,
        dice: &mut Dice,
        now: Moment,
    ) -> Option<Notice> {
        self.hear(result.as_ref().err());
        let mut tokens = self.tokens.iter();
        let index = tokens.position(|leaving| leaving.living.token.id == id)?;
        let Err(failure) = result else {
            let secret = self.tokens[index].living.token.secret.clone();
            self.revoked.push(secret);
            self.gone(index);
            return None;
        };
        match failure.remedy() {
            Remedy::CheckToken => {
                self.gone(index);
                return None;
            }
            Remedy::GiveUp => {
                let leaving = self.tokens.remove(index);
                self.refusals.push((leaving.living, failure.clone()));
            }
            Remedy::Retry => {
                let asked = failure.retry_after().unwrap_or_default();
                let at = now + self.backoff.fail(dice).max(asked);
                self.tokens[index].state = Revocation::Due { at };
            }
        }
        Some(Notice::RevokeFailed { token: id, failure })
    }

    fn gone(&mut self, index: usize) {
        self.tokens.remove(index);
        self.has_revoked = true;
    }

    /// Where others are left to the next life, those that are revoked are not: OpenBao refuses the second time, and it would
    /// say that they live.
    pub(crate) fn forget(&self) -> Option<Command> {
        let leaves_others =
            self.keeps_token || self.misses_tokens || self.living().next().is_some();
        let is_due = leaves_others && !self.revoked.is_empty();
        is_due.then(|| Command::Forget {
            tokens: self.revoked.clone(),
        })
    }

    /// Names those that may live, after the one that is kept on purpose.
    fn tell_of_tokens(&self, report: &mut Report, awaits_login: bool, now: Moment) {
        let kept = std::mem::take(&mut report.unrevoked);
        let kept_life = (!kept.is_empty()).then(|| report.ttl_seconds.map(Duration::from_secs));
        // The token of a login that is not answered is not known.
        let unknown = awaits_login.then_some(None);
        let lives = self.lives(now).chain(kept_life).chain(unknown);
        report.ttl_seconds = seconds(longest(lives));
        report.unrevoked = kept.into_iter().chain(self.unrevoked()).collect();
    }

    /// Leases whose token lives are not named: somebody could renew them.
    fn tell_of_leases(&self, report: &mut Report) {
        if !self.has_revoked || !report.unrevoked.is_empty() {
            return;
        }
        if let Some(parting) = &self.parting {
            report.leases = parting.open();
            report.more_leases = parting.unheard;
            let trouble = parting.trouble().map(str::to_owned);
            report.message = report.message.take().or(trouble);
        }
    }

    fn unrevoked(&self) -> Vec<String> {
        let accessors = self.living().map(|living| &living.accessor);
        accessors.filter(|it| !it.is_empty()).cloned().collect()
    }

    /// How long each token that is not revoked may live on.
    fn lives(&self, now: Moment) -> impl Iterator<Item = Option<Duration>> {
        self.living().map(move |living| living.left(now))
    }

    fn living(&self) -> impl Iterator<Item = &Living> {
        let waiting = self.tokens.iter().map(|leaving| &leaving.living);
        waiting.chain(self.refusals.iter().map(|(living, _)| living))
    }

    /// An earlier failure is worth more than the fate of the tokens.
    fn exit(&self, is_undone: bool, awaited: Awaited, now: Moment) -> Vec<Command> {
        let End { code, report } = &self.end;
        let (mut code, mut report) = (*code, report.clone());
        self.tell_of_tokens(&mut report, awaited.login, now);
        let is_told = report.phase == Phase::Done;
        let refusal = self.refusals.first().map(|(_, failure)| failure);
        // OpenBao refuses to revoke tokens that have ended, and does not say why.
        let is_over = refusal.is_some() && !is_undone && !self.misses_tokens;
        let is_over = is_over && self.refusals.iter().all(|(it, _)| it.is_gone(now));
        let why = match refusal {
            _ if is_undone => Some("a token could not be revoked in time".to_owned()),
            Some(refusal) if is_over => Some(format!("a token may outlive its time: {refusal}")),
            Some(refusal) => Some(format!("a token could not be revoked: {refusal}")),
            None if self.misses_tokens && !self.spares_tokens => {
                // None of the known tokens is left.
                report.accessor = None;
                Some(
                    "a token of an earlier life may be left: the ledger or the persistent cache \
                     could not be read or written"
                        .to_owned(),
                )
            }
            None => None,
        };
        let refusal = refusal.filter(|_| !is_over);
        let is_clean = why.is_none();
        if let Some(why) = why.filter(|_| is_told) {
            // A container that has rendered is not to fail, and to be started again, for a token of an earlier life.
            if !self.keeps_token && !self.is_excused && !is_over {
                code = ExitCode::Unavailable;
            }
            report = Report {
                reason: Reason::RevokeFailed,
                message: Some(format!(
                    "{why}{}; its leases end with their TTL",
                    cure(refusal)
                )),
                status: refusal.and_then(Failure::status),
                ..report
            };
        } else if is_told && code == ExitCode::Done && self.has_revoked && !self.keeps_token {
            report.reason = Reason::Revoked;
        }
        self.tell_of_leases(&mut report);
        let forget = match is_clean && !self.keeps_token {
            true => Some(Command::ForgetAll {
                keeps_cache: self.spares_tokens,
            }),
            false => self.forget(),
        };
        let exit = Command::Exit { code, report };
        forget.into_iter().chain([exit]).collect()
    }
}

/// Rounds up to whole seconds.
fn seconds(life: Option<Duration>) -> Option<u64> {
    life.map(|life| life.as_secs() + u64::from(life.subsec_nanos() > 0))
}

/// Most often a line of policy is missing.
fn cure(refusal: Option<&Failure>) -> String {
    match refusal.and_then(Failure::status) {
        Some(403) => format!("; the token's policies need: {REVOKE_POLICY}"),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests;

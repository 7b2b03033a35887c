//! Decides the next step of one run.
//!
//! Kubernetes and Vault are the memory: the Job, the record of the run's token, its Secrets. A program that is
//! killed between two steps finds there how far it came.

mod ending;
mod supplying;
mod words;

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use planescape_agent_contract::{Access, Reason, Report};
use planescape_vault::mount::engine_of;
use planescape_vault::{Error, Kind};

use super::failure::Failure;
use super::life::Life;
use super::run::{CLOCKS, Run};

const SHORTEST_RETRY: SignedDuration = SignedDuration::from_secs(1);
const LONGEST_RETRY: SignedDuration = SignedDuration::from_secs(60);

/// The annotations of a Job hold 256 KiB, and each read takes 250 bytes.
const MOST_READS: usize = 40;

/// Knowledge of a run beside its Job.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Memory {
    /// Its token and leases.
    pub custody: Custody,
    /// Its Secrets, in the order of the run's own.
    pub secrets: Vec<Sighting>,
    /// The last failures, by the work that waits for them.
    pub troubles: BTreeMap<Subject, Trouble>,
    /// Whether Vault refuses to say of single leases that they are revoked.
    pub may_not_revoke_leases: bool,
    /// Whether nobody may ask Vault for leases whose token is revoked.
    pub may_not_look_up_leases: bool,
    /// The login, and what was read.
    pub account: Account,
    /// Whether all of the token was told, and its record deleted after that.
    has_forgotten: bool,
}

/// The login of a run, and what was read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Account {
    /// A digest of the token's accessor.
    pub accessor: Option<String>,
    /// The id of the login in Vault's audit log.
    pub login_request: Option<String>,
    /// The reads, in order.
    pub reads: Vec<Access>,
    /// How much more was read.
    pub more_reads: usize,
}

impl Account {
    /// The account as it was told on the Job.
    #[must_use]
    pub fn of(told: &Report) -> Self {
        Self {
            accessor: told.accessor.clone(),
            login_request: told.login_request.clone(),
            reads: told.reads.clone(),
            more_reads: told.more_reads,
        }
    }

    /// The same, where no record is left; none of a token that Vault has revoked, which is not lost.
    #[must_use]
    pub fn of_lost(told: &Report) -> Self {
        if told.reason == Reason::Revoked {
            return Self::default();
        }
        Self::of(told)
    }

    /// Something was read.
    pub fn add(&mut self, read: Access) {
        if self.reads.len() < MOST_READS {
            self.reads.push(read);
        } else {
            self.more_reads += 1;
        }
    }
}

/// Knowledge of a run's token and leases.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Custody {
    /// The record was not looked for yet.
    #[default]
    Unknown,
    /// There is no record, and no token that anybody knows of.
    Absent,
    /// There is a record.
    Held(Holding),
}

/// A token's life, and those of its leases.
#[derive(Clone, Debug, PartialEq)]
pub struct Holding {
    /// The token's life.
    pub token: Life,
    /// The leases, in the order of the record.
    pub leases: Vec<Lease>,
    /// How many more there may be, because answers were lost.
    pub unheard: usize,
    /// Whether the run had another token before, whose record somebody has deleted.
    pub has_lost: bool,
    /// Knowledge of the token's end. Vault comes to the leases when it can.
    pub token_end: TokenEnd,
    /// Whether an answer may mean that the token has ended, so that Vault is to be asked for it.
    pub is_doubted: bool,
    /// Until when it may live although Vault denies it everything: somebody may have renewed it before that.
    latest: Option<Timestamp>,
}

/// Knowledge of a token's end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenEnd {
    /// It may live.
    Open,
    /// Its time is over by our clock, and Vault does not say how long it lives, be it that it has ended or that a policy
    /// forbids the question.
    Presumed,
    /// The same, and Vault has denied its revocation.
    Denied,
    /// Vault has said that it is revoked, or that it knows none such.
    Said,
}

/// Knowledge of a lease.
#[derive(Clone, Debug, PartialEq)]
pub struct Lease {
    /// How long it lives.
    pub life: Life,
    /// Whether Vault has said that it is gone.
    pub is_revoked: bool,
    /// The engine that made it.
    pub engine: String,
}

impl Lease {
    /// Of this id.
    #[must_use]
    pub fn new(id: &str, life: Life) -> Self {
        Self {
            life,
            is_revoked: false,
            engine: engine_of(id).to_owned(),
        }
    }
}

/// Knowledge of a Secret.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sighting {
    /// It was not looked for yet.
    #[default]
    Unknown,
    /// It is not there.
    Missing,
    /// It is not there, and what it holds has been read.
    Ready,
    /// It was there.
    Present(Timestamp),
}

/// A failure, and when to try again.
#[derive(Clone, Debug, PartialEq)]
pub struct Trouble {
    /// The report for the status.
    pub report: Report,
    /// When to try again.
    pub retry: Timestamp,
    wait: SignedDuration,
    /// Whether Vault serves nobody.
    is_outage: bool,
    /// Whether somebody behind Vault does not answer.
    is_silent: bool,
    since: Timestamp,
    is_of_end: bool,
    step: (&'static str, Option<usize>),
}

/// Work that waits after a failure, while all else goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Subject {
    /// The way to the Secrets, and to the end of the Job.
    Work,
    /// The token.
    Token,
    /// This lease.
    Lease(usize),
    /// The report for the status.
    Status,
}

/// One thing to do.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// Read the record.
    Recall,
    /// Make the Job stay until its lease is revoked.
    Claim,
    /// Ask for a token of the pods' ServiceAccount, log in with it, and write the record; in place of that of a token
    /// that has ended.
    LogIn,
    /// Look whether this Secret is there.
    Look(usize),
    /// Read what this Secret holds, and add its lease to the record.
    Read(usize),
    /// Create this Secret.
    Write(usize),
    /// Let the Job have pods, and tell the status so.
    LetGo(Report),
    /// Renew the token.
    RenewToken,
    /// Renew this lease.
    RenewLease(usize),
    /// See whether the token lives.
    LookUpToken,
    /// Make Vault revoke this lease, and say so.
    RevokeLease(usize),
    /// Make Vault revoke the token and with it every lease.
    RevokeToken,
    /// See whether Vault has come to this lease, whose token is revoked.
    LookUpLease(usize),
    /// Tell the status.
    Tell(Report),
    /// Delete the record.
    Forget,
    /// Let the Job go.
    Release,
    /// Wait for a change, and no longer than until then.
    Wait(Option<Timestamp>),
    /// Nothing is left to do.
    Finish,
}

impl Step {
    /// The work that waits if the step fails.
    #[must_use]
    pub fn subject(&self) -> Subject {
        match self {
            Self::RenewToken | Self::LookUpToken | Self::RevokeToken => Subject::Token,
            Self::RenewLease(index) | Self::RevokeLease(index) | Self::LookUpLease(index) => {
                Subject::Lease(*index)
            }
            Self::Tell(_) => Subject::Status,
            Self::Recall
            | Self::Claim
            | Self::LogIn
            | Self::Look(_)
            | Self::Read(_)
            | Self::Write(_)
            | Self::LetGo(_)
            | Self::Forget
            | Self::Release
            | Self::Wait(_)
            | Self::Finish => Subject::Work,
        }
    }

    /// In one word, for metrics.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Recall => "Recall",
            Self::Claim => "Claim",
            Self::LogIn => "LogIn",
            Self::Look(_) => "Look",
            Self::Read(_) => "Read",
            Self::Write(_) => "Write",
            Self::LetGo(_) => "LetGo",
            Self::RenewToken => "RenewToken",
            Self::RenewLease(_) => "RenewLease",
            Self::LookUpToken => "LookUpToken",
            Self::RevokeLease(_) => "RevokeLease",
            Self::RevokeToken => "RevokeToken",
            Self::LookUpLease(_) => "LookUpLease",
            Self::Tell(_) => "Tell",
            Self::Forget => "Forget",
            Self::Release => "Release",
            Self::Wait(_) => "Wait",
            Self::Finish => "Finish",
        }
    }
}

impl Step {
    /// Tells steps apart, whatever they report.
    fn key(&self) -> (&'static str, Option<usize>) {
        let index = match self {
            Self::Look(index)
            | Self::Read(index)
            | Self::Write(index)
            | Self::RenewLease(index)
            | Self::RevokeLease(index)
            | Self::LookUpLease(index) => Some(*index),
            Self::Recall
            | Self::Claim
            | Self::LogIn
            | Self::LetGo(_)
            | Self::RenewToken
            | Self::LookUpToken
            | Self::RevokeToken
            | Self::Tell(_)
            | Self::Forget
            | Self::Release
            | Self::Wait(_)
            | Self::Finish => None,
        };
        (self.name(), index)
    }

    fn asks_with_token(&self) -> bool {
        matches!(
            self,
            Self::Read(_)
                | Self::RenewToken
                | Self::RenewLease(_)
                | Self::LookUpToken
                | Self::RevokeLease(_)
                | Self::RevokeToken
        )
    }

    #[cfg(test)]
    fn asks_vault(&self) -> bool {
        self.asks_with_token() || matches!(self, Self::LogIn | Self::LookUpLease(_))
    }
}

/// The next thing to do. `outage` is how long a lease is to outlive us.
#[must_use]
pub fn next(run: &Run, memory: &Memory, outage: SignedDuration, now: Timestamp) -> Step {
    if run.is_over(now) {
        return ending::end(run, memory, now);
    }
    supplying::supply(run, memory, outage, now)
}

impl Memory {
    /// A step failed. It is tried again after as long as it has lasted, within limits, and not before Vault
    /// wants that; up to a quarter later by `chance`, which is between 0 and 1. A failure that the token's end may
    /// explain does not count before Vault was asked about the token.
    pub fn fail(
        &mut self,
        run: &Run,
        (step, failure): (&Step, Failure),
        chance: f64,
        now: Timestamp,
    ) {
        let is_of_end = run.is_over(now);
        let is_doubted = matches!(&self.custody, Custody::Held(holding) if holding.is_doubted);
        let may_be_of_end = step.asks_with_token() && *step != Step::LookUpToken;
        if is_doubted && may_be_of_end && !self.waits(Subject::Token, is_of_end, now) {
            return;
        }
        let subject = step.subject();
        let known = self.trouble(subject, is_of_end);
        let since = known.map_or(now, |known| known.since);
        let lasted = now
            .duration_since(since)
            .clamp(SHORTEST_RETRY, LONGEST_RETRY);
        let wait = lasted.max(failure.retry_after.unwrap_or_default());
        let wait = wait.saturating_add(wait.mul_f64(chance / 4.0));
        let trouble = Trouble {
            report: failure.report,
            retry: now.saturating_add(wait).unwrap_or(now),
            wait,
            is_outage: failure.is_outage,
            is_silent: failure.is_silent,
            since,
            is_of_end,
            step: step.key(),
        };
        self.troubles.insert(subject, trouble);
    }

    /// Vault is back: work that waited for it is tried now.
    pub fn hurry(&mut self, now: Timestamp) {
        for trouble in self.troubles.values_mut().filter(|it| it.is_outage) {
            trouble.retry = trouble.retry.min(now);
        }
    }

    /// A step was done. The way to the Secrets has many steps: one of them does not end the trouble of another, which
    /// comes again; the last one ends them all.
    pub fn succeed(&mut self, step: &Step) {
        let subject = step.subject();
        let is_one_of_many = subject == Subject::Work && !matches!(step, Step::LetGo(_));
        let is_over = |it: &Trouble| !is_one_of_many || it.step == step.key();
        if self.troubles.get(&subject).is_some_and(is_over) {
            self.troubles.remove(&subject);
        }
    }

    /// Sets what is known of a Secret.
    pub fn sight(&mut self, index: usize, sighting: Sighting) {
        if self.secrets.len() <= index {
            self.secrets.resize(index + 1, Sighting::Unknown);
        }
        self.secrets[index] = sighting;
    }

    /// Takes a new token. Secrets that were read with the one before are of no use.
    pub fn hold(&mut self, holding: Holding) {
        self.custody = Custody::Held(holding);
        self.has_forgotten = false;
        self.troubles
            .retain(|subject, _| matches!(subject, Subject::Work | Subject::Status));
        for sighting in &mut self.secrets {
            if *sighting == Sighting::Ready {
                *sighting = Sighting::Missing;
            }
        }
    }

    /// Its record is deleted, as nothing is left to say of it.
    pub fn forget(&mut self) {
        self.custody = Custody::Absent;
        self.has_forgotten = true;
    }

    /// Vault may or may not have renewed this: it may live for as long as was asked for.
    pub fn lose_renewal(&mut self, subject: Subject, outage: SignedDuration, now: Timestamp) {
        let Custody::Held(holding) = &mut self.custody else {
            return;
        };
        let life = match subject {
            Subject::Lease(index) => &mut holding.leases[index].life,
            Subject::Token | Subject::Work | Subject::Status => &mut holding.token,
        };
        *life = life.recalled(now, outage);
    }

    /// The failure of this, at the end of a run or before it: the end of a run makes an attempt to supply it
    /// pointless.
    fn trouble(&self, subject: Subject, is_of_end: bool) -> Option<&Trouble> {
        let trouble = self.troubles.get(&subject);
        trouble.filter(|it| it.is_of_end == is_of_end)
    }

    /// The same, all of a run that has not ended.
    fn troubles_of_supply(&self) -> impl Iterator<Item = (Subject, &Trouble)> {
        let troubles = self.troubles.iter().map(|(subject, it)| (*subject, it));
        troubles.filter(|(_, it)| !it.is_of_end)
    }

    /// Failed revocations at the end of a run.
    fn troubles_of_revocation(&self) -> impl Iterator<Item = (Subject, &Trouble)> {
        let troubles = self.troubles.iter().map(|(subject, it)| (*subject, it));
        troubles.filter(|(subject, it)| {
            it.is_of_end && matches!(subject, Subject::Token | Subject::Lease(_))
        })
    }

    /// Whether this is not to be tried yet.
    fn waits(&self, subject: Subject, is_of_end: bool, now: Timestamp) -> bool {
        let trouble = self.trouble(subject, is_of_end);
        trouble.is_some_and(|it| it.waits(now))
    }
}

impl Trouble {
    /// Whether it is not to be tried yet. A wait that seems longer than it began is over: the clock was set back.
    fn waits(&self, now: Timestamp) -> bool {
        let left = self.retry.duration_since(now);
        left > SignedDuration::ZERO && left <= self.wait
    }
}

impl Holding {
    /// A token that may live.
    #[must_use]
    pub fn new(token: Life, leases: Vec<Lease>, unheard: usize) -> Self {
        Self {
            token,
            leases,
            unheard,
            has_lost: false,
            token_end: TokenEnd::Open,
            is_doubted: false,
            latest: None,
        }
    }

    /// Takes in what an answer to a request with the token says of the token; whether that it has ended. OpenBao only
    /// denies a request with an ended token, as it does what a policy forbids. So Vault is asked about the token if its
    /// end is a guess, or our clock's word.
    pub fn hear(&mut self, error: &Error, now: Timestamp) -> bool {
        let Error::Refused(refusal) = error else {
            return false;
        };
        if refusal.kind() == Kind::InvalidToken {
            self.end_token(self.token.ended(now), TokenEnd::Said);
            return true;
        }
        let is_denied = refusal.kind() == Kind::Denied;
        let is_known = self.token_end != TokenEnd::Open;
        let is_past = self.token.end().is_some_and(|end| end <= now);
        if is_denied && !is_known && (is_past || self.token.is_recalled()) {
            self.is_doubted = true;
        }
        is_denied && is_known
    }

    /// The same for an answer to its revocation. A denied revocation is not done, even if the token's time is over.
    pub fn hear_of_revocation(&mut self, error: &Error, now: Timestamp) -> bool {
        let has_ended = self.hear(error, now);
        if has_ended && self.token_end == TokenEnd::Presumed {
            self.token_end = TokenEnd::Denied;
        }
        has_ended && !self.is_end_presumed()
    }

    /// Takes in how long the token lives. For a renewable one Vault tells whole seconds: none in its last one.
    pub fn confirm(&mut self, now: Timestamp, seconds: i64, is_renewable: bool) {
        let seconds = seconds.max(i64::from(is_renewable));
        self.token = self.token.confirmed(now, seconds, is_renewable);
        self.is_doubted = false;
        self.latest = None;
    }

    /// Takes in why Vault does not say how long the token lives; whether that answers the question.
    pub fn miss(&mut self, error: &Error, now: Timestamp) -> bool {
        if self.hear(error, now) {
            return true;
        }
        let is_denied = error.kind() == Some(Kind::Denied);
        if is_denied {
            let end = self.token.end().unwrap_or(Timestamp::MAX);
            self.latest = self.latest.max(Some(end));
            let life = self.token.denied(now);
            let is_past = life.end().is_some_and(|end| end <= now);
            let end = match is_past {
                true => TokenEnd::Presumed,
                false => self.token_end,
            };
            self.end_token(life, end);
        }
        is_denied
    }

    fn end_token(&mut self, life: Life, end: TokenEnd) {
        self.token = life;
        self.token_end = end;
        self.is_doubted = false;
    }

    /// How many leases may live, as far as it is known, and a token of which Vault has not said that it does not.
    #[must_use]
    pub fn open(&self) -> usize {
        let open = self.leases.iter().filter(|lease| !lease.is_revoked);
        open.count() + self.unheard + usize::from(self.is_end_presumed())
    }

    /// Whether nothing but our clock says that the token has ended.
    #[must_use]
    pub fn is_end_presumed(&self) -> bool {
        matches!(self.token_end, TokenEnd::Presumed | TokenEnd::Denied)
    }

    /// The latest end of the token, even if others have renewed it; none if it never ends.
    fn latest_end(&self) -> Option<Timestamp> {
        let end = self.token.end()?;
        Some(self.latest.map_or(end, |latest| latest.max(end)))
    }

    /// Whether Vault has denied its revocation, and it may live all the same.
    fn may_live_on(&self, now: Timestamp) -> bool {
        let end = self.latest_end();
        let has_ended = end.is_some_and(|end| is_surely_past(end, now));
        self.token_end == TokenEnd::Denied && !has_ended
    }
}

/// Whether an instant has passed by any clock.
fn is_surely_past(instant: Timestamp, now: Timestamp) -> bool {
    now.duration_since(instant) >= CLOCKS
}

#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests;

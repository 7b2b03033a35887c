//! What to do for one run, one step at a time.
//!
//! What Kubernetes and Vault hold is the memory: the Job, the record of the run's token, its Secrets. Whoever
//! is killed between two steps finds there how far it came.

use jiff::{SignedDuration, Timestamp};
use planescape_agent_contract::{Access, Phase, Reason, Report};

use super::failure::Failure;
use super::life::Life;
use super::run::{Run, Stage};

/// How often a Secret is looked for while its run goes on.
const SECRET_CHECK: SignedDuration = SignedDuration::from_secs(60);

/// How long the deletion of a Job waits for a Vault that does not answer.
const LONGEST_DELETION: SignedDuration = SignedDuration::from_mins(10);

const SHORTEST_RETRY: SignedDuration = SignedDuration::from_secs(1);
const LONGEST_RETRY: SignedDuration = SignedDuration::from_secs(60);

/// What is known of a run beside its Job.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Memory {
    /// Its token and leases.
    pub custody: Custody,
    /// Its Secrets, in the order of the run's own.
    pub secrets: Vec<Sighting>,
    /// What failed last.
    pub trouble: Option<Trouble>,
    /// Whether Vault refuses to say of single leases that they are revoked.
    pub may_not_revoke_leases: bool,
    /// Whether nobody may ask Vault for leases whose token is revoked.
    pub may_not_look_up_leases: bool,
    /// Who logged in, and what was read.
    pub account: Account,
}

/// Who logged in for a run, and what was read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Account {
    /// A digest of the token's accessor.
    pub accessor: Option<String>,
    /// The id of the login in Vault's audit log.
    pub login_request: Option<String>,
    /// What was read, in order.
    pub reads: Vec<Access>,
}

impl Account {
    /// As it was told on the Job.
    #[must_use]
    pub fn of(told: &Report) -> Self {
        Self {
            accessor: told.accessor.clone(),
            login_request: told.login_request.clone(),
            reads: told.reads.clone(),
        }
    }
}

/// What is known of a run's token and leases.
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
    /// Of the token.
    pub token: Life,
    /// Of the leases, in the order of the record.
    pub leases: Vec<Lease>,
    /// Whether Vault has said that the token is revoked. It comes to the leases when it can.
    pub is_token_revoked: bool,
}

/// What is known of a lease.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Lease {
    /// How long it lives.
    pub life: Life,
    /// Whether Vault has said that it is gone.
    pub is_revoked: bool,
}

/// What is known of a Secret.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sighting {
    /// Nobody looked yet.
    #[default]
    Unknown,
    /// It is not there.
    Missing,
    /// It is not there, and what it holds has been read.
    Ready,
    /// It was there.
    Present(Timestamp),
}

/// What failed, and when to try again.
#[derive(Clone, Debug, PartialEq)]
pub struct Trouble {
    /// What the status is told.
    pub report: Report,
    /// When to try again.
    pub retry: Timestamp,
    since: Timestamp,
    is_of_end: bool,
}

/// One thing to do.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// Read the record.
    Recall,
    /// Make the Job stay until its lease is revoked.
    Claim,
    /// Ask for a token of the pods' ServiceAccount, log in with it, and write the record.
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

#[cfg(test)]
impl Step {
    fn asks_vault(&self) -> bool {
        matches!(
            self,
            Self::LogIn
                | Self::Read(_)
                | Self::RenewToken
                | Self::RenewLease(_)
                | Self::RevokeLease(_)
                | Self::RevokeToken
                | Self::LookUpLease(_)
        )
    }
}

/// The next thing to do. `outage` is how long a lease is to outlive us.
#[must_use]
pub fn next(run: &Run, memory: &Memory, outage: SignedDuration, now: Timestamp) -> Step {
    let is_over = run.is_over(now);
    if let Some(trouble) = &memory.trouble
        && trouble.retry > now
        // The end of a run makes an attempt to supply it pointless.
        && trouble.is_of_end == is_over
    {
        let wait = Step::Wait(Some(trouble.retry));
        let is_told = |told: &Report| told.phase == Phase::Done;
        if run.told.as_ref().is_some_and(is_told) && trouble.report.phase != Phase::Done {
            // What keeps us from tidying up says nothing of the lease.
            return wait;
        }
        let report = told_with(run, memory, trouble.report.clone());
        return tell(run, &report).unwrap_or(wait);
    }
    if is_over {
        return end(run, memory, now);
    }
    if memory.custody == Custody::Unknown {
        return Step::Recall;
    }
    if let Stage::Stopping(until) = run.stage {
        return Step::Wait(Some(until));
    }
    supply(run, memory, outage, now)
}

fn supply(run: &Run, memory: &Memory, outage: SignedDuration, now: Timestamp) -> Step {
    if !run.is_claimed {
        return Step::Claim;
    }
    let Custody::Held(holding) = &memory.custody else {
        return Step::LogIn;
    };
    for (index, _) in run.order.secrets.iter().enumerate() {
        match memory.secrets.get(index).copied().unwrap_or_default() {
            Sighting::Unknown => return Step::Look(index),
            Sighting::Missing => return Step::Read(index),
            Sighting::Ready => return Step::Write(index),
            Sighting::Present(seen)
                if seen.saturating_add(SECRET_CHECK).is_ok_and(|it| it <= now) =>
            {
                return Step::Look(index);
            }
            Sighting::Present(_) => {}
        }
    }
    let report = held(run, memory, holding);
    if run.stage == Stage::Waiting {
        return Step::LetGo(report);
    }
    if let Some(step) = renewal(holding, outage, now) {
        return step;
    }
    if let Some(step) = tell(run, &report) {
        return step;
    }
    let looks = memory.secrets.iter().filter_map(|it| match it {
        Sighting::Present(seen) => seen.saturating_add(SECRET_CHECK).ok(),
        Sighting::Unknown | Sighting::Missing | Sighting::Ready => None,
    });
    Step::Wait(looks.chain(renewals(holding, outage)).min())
}

fn renewals(holding: &Holding, outage: SignedDuration) -> impl Iterator<Item = Timestamp> {
    let lives = holding.leases.iter().map(|lease| lease.life);
    let lives = lives.chain([holding.token]);
    lives.filter_map(move |life| life.renewal(outage))
}

fn renewal(holding: &Holding, outage: SignedDuration, now: Timestamp) -> Option<Step> {
    let is_due = |life: Life| life.renewal(outage).is_some_and(|due| due <= now);
    if is_due(holding.token) {
        return Some(Step::RenewToken);
    }
    let due = holding.leases.iter().position(|lease| is_due(lease.life));
    due.map(Step::RenewLease)
}

fn end(run: &Run, memory: &Memory, now: Timestamp) -> Step {
    match &memory.custody {
        _ if !run.is_claimed => Step::Finish,
        Custody::Unknown => Step::Recall,
        Custody::Absent => Step::Release,
        Custody::Held(_) if was_revoked(run) => Step::Forget,
        Custody::Held(holding) if is_past(holding, memory, run, now) => {
            tell(run, &left_to_its_ttl(run, memory, holding, now)).unwrap_or(Step::Forget)
        }
        Custody::Held(holding) => {
            let mut open = holding.leases.iter();
            let open = open.position(|lease| !lease.is_revoked);
            match (holding.is_token_revoked, open) {
                (false, Some(index)) if !memory.may_not_revoke_leases => Step::RevokeLease(index),
                (false, _) => Step::RevokeToken,
                (true, Some(index)) if !memory.may_not_look_up_leases => Step::LookUpLease(index),
                (true, _) => {
                    let report = revoked(run, memory, open.is_none(), now);
                    tell(run, &report).unwrap_or(Step::Forget)
                }
            }
        }
    }
}

/// Who was killed before the record was deleted said so already.
fn was_revoked(run: &Run) -> bool {
    let told = run.told.as_ref();
    told.is_some_and(|told| (&told.phase, &told.reason) == (&Phase::Done, &Reason::Revoked))
}

/// Whether the token has ended by itself, or a Job waits too long for its deletion.
fn is_past(holding: &Holding, memory: &Memory, run: &Run, now: Timestamp) -> bool {
    let Some(trouble) = memory.trouble.as_ref().filter(|it| it.is_of_end) else {
        return false;
    };
    let has_ended = end_of(holding).is_some_and(|end| end <= now);
    let limit = trouble.since.saturating_add(LONGEST_DELETION);
    let waits_too_long = run.deleted().is_some() && limit.is_ok_and(|limit| limit <= now);
    has_ended || waits_too_long
}

/// When Vault ends by itself what is left.
fn end_of(holding: &Holding) -> Option<Timestamp> {
    if !holding.is_token_revoked {
        return holding.token.end();
    }
    let open = holding.leases.iter().filter(|lease| !lease.is_revoked);
    let ends: Option<Vec<Timestamp>> = open.map(|lease| lease.life.end()).collect();
    ends?.into_iter().max()
}

fn tell(run: &Run, report: &Report) -> Option<Step> {
    let timeless = |report: &Report| Report {
        at: None,
        ..report.clone()
    };
    let is_told = run.told.as_ref().map(timeless) == Some(timeless(report));
    // A Job that nobody holds may be gone.
    (!is_told).then(|| Step::Tell(report.clone()))
}

fn told_with(run: &Run, memory: &Memory, report: Report) -> Report {
    let account = memory.account.clone();
    Report {
        role: Some(run.order.role.clone()),
        accessor: account.accessor,
        login_request: account.login_request,
        reads: account.reads,
        ..report
    }
}

fn held(run: &Run, memory: &Memory, holding: &Holding) -> Report {
    let lives = holding.leases.iter().map(|lease| lease.life);
    let maxima = lives.clone().chain([holding.token]);
    let maximum = maxima.filter_map(Life::maximum).min();
    let bounded = lives
        .chain([holding.token])
        .filter(|life| life.renewal(SignedDuration::ZERO).is_none());
    let end = bounded.filter_map(Life::end).min();
    let report = Report {
        message: end.map(|end| {
            format!("the credentials end at {end}: Vault's role does not let them be renewed any further")
        }),
        max_seconds: maximum.and_then(|it| u64::try_from(it.as_secs()).ok()),
        ..Report::new(Phase::Running, Reason::LoggedIn)
    };
    told_with(run, memory, report)
}

fn revoked(run: &Run, memory: &Memory, is_verified: bool, now: Timestamp) -> Report {
    let report = Report {
        message: (!is_verified).then(|| UNVERIFIED.to_owned()),
        more_leases: usize::from(!is_verified),
        at: Some(now.as_second()),
        max_seconds: run.told.as_ref().and_then(|told| told.max_seconds),
        ..Report::new(Phase::Done, Reason::Revoked)
    };
    told_with(run, memory, report)
}

const UNVERIFIED: &str = "Vault has revoked the token; whether it could revoke every lease is not known; to know it, add to the role's policy: path \"sys/leases/revoke\" { capabilities = [\"update\"] }, or to that of PLANESCAPE_REVOCATION_ROLE: path \"sys/leases/lookup\" { capabilities = [\"update\"] }";

/// Leases end with their token.
fn left_to_its_ttl(run: &Run, memory: &Memory, holding: &Holding, now: Timestamp) -> Report {
    let known = run.told.as_ref();
    if let Some(told) =
        known.filter(|told| told.reason == Reason::RevokeFailed && told.at.is_some())
    {
        return told.clone();
    }
    let report = memory.trouble.as_ref().map(|trouble| &trouble.report);
    let left = end_of(holding).map(|end| end.duration_since(now).as_secs());
    let report = Report {
        message: report.and_then(|report| report.message.clone()),
        at: Some(now.as_second()),
        ttl_seconds: left.map(|left| u64::try_from(left).unwrap_or(0)),
        max_seconds: known.and_then(|told| told.max_seconds),
        ..Report::new(Phase::Done, Reason::RevokeFailed)
    };
    told_with(run, memory, report)
}

impl Memory {
    /// Something failed. It is tried again after as long as it has lasted, within limits, and not before Vault
    /// wants that; up to a quarter later by `chance`, which is between 0 and 1.
    pub fn fail(&mut self, run: &Run, failure: Failure, chance: f64, now: Timestamp) {
        let is_of_end = run.is_over(now);
        let known = self.trouble.as_ref().filter(|it| it.is_of_end == is_of_end);
        let since = known.map_or(now, |known| known.since);
        let lasted = now
            .duration_since(since)
            .clamp(SHORTEST_RETRY, LONGEST_RETRY);
        let wait = lasted.max(failure.retry_after.unwrap_or_default());
        let wait = wait.saturating_add(wait.mul_f64(chance / 4.0));
        self.trouble = Some(Trouble {
            report: failure.report,
            retry: now.saturating_add(wait).unwrap_or(now),
            since,
            is_of_end,
        });
    }

    /// Vault is back: what waited for it is tried now.
    pub fn hurry(&mut self, now: Timestamp) {
        if let Some(trouble) = &mut self.trouble
            && is_of_outage(&trouble.report)
        {
            trouble.retry = trouble.retry.min(now);
        }
    }

    /// Something was done.
    pub fn succeed(&mut self) {
        self.trouble = None;
    }

    /// Sets what is known of a Secret.
    pub fn sight(&mut self, index: usize, sighting: Sighting) {
        if self.secrets.len() <= index {
            self.secrets.resize(index + 1, Sighting::Unknown);
        }
        self.secrets[index] = sighting;
    }
}

fn is_of_outage(report: &Report) -> bool {
    let is_of_end = report.phase == Phase::Done && report.reason == Reason::RevokeFailed;
    let words = [
        Reason::Unreachable,
        Reason::NoAnswer,
        Reason::Sealed,
        Reason::Standby,
    ];
    is_of_end || words.contains(&report.reason)
}

#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests;

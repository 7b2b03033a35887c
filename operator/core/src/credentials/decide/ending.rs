//! The end of a run: its leases, its token, its record and its Job.

use jiff::{SignedDuration, Timestamp};
use planescape_agent_contract::{Phase, Report};

use super::words::{ended_by_ttl, left_to_its_ttl, lost, revoked, tell, told_with};
use super::{Custody, Holding, Memory, Step, Subject, TokenEnd, Trouble, is_surely_past};
use crate::credentials::run::Run;

/// How long the deletion of a Job waits for a Vault that does not answer.
const LONGEST_DELETION: SignedDuration = SignedDuration::from_mins(10);

const RATE_LIMITED: u16 = 429;

pub(super) fn end(run: &Run, memory: &Memory, now: Timestamp) -> Step {
    // Somebody may have taken the finalizer off: the token and its leases end all the same.
    if !run.is_claimed && !matches!(memory.custody, Custody::Held(_)) {
        return Step::Finish;
    }
    let step = match &memory.custody {
        Custody::Unknown => Step::Recall,
        Custody::Absent => release(run, memory, now),
        Custody::Held(holding) if is_past(holding, memory, run, now) => {
            let report = given_up(run, memory, holding, now);
            tell(run, &report).unwrap_or(Step::Forget)
        }
        Custody::Held(holding) => part(run, memory, holding, now),
    };
    let waiting = memory.trouble(step.subject(), true);
    match waiting.filter(|it| it.waits(now)) {
        Some(trouble) if matches!(step, Step::Tell(_)) || is_said(memory, &step) => {
            Step::Wait(Some(trouble.retry))
        }
        Some(trouble) => wait(run, memory, trouble, now),
        None => step,
    }
}

/// Lets the Job go. First it tells of a lost token: one that was told of, and whose record somebody else has deleted.
/// The watch may show an older report once more after the last word.
fn release(run: &Run, memory: &Memory, now: Timestamp) -> Step {
    let told = run.told.as_ref();
    let was_held = told.is_some_and(|it| it.phase != Phase::Done && it.accessor.is_some());
    let is_lost = was_held && !memory.has_forgotten;
    let lost = is_lost.then(|| lost(run, memory, now));
    lost.and_then(|report| tell(run, &report))
        .unwrap_or(Step::Release)
}

/// Each lease is tried once: its engine may be away for days, and must keep neither the token nor the other leases
/// alive. Of the leases of an engine that does not answer, one is tried.
fn part(run: &Run, memory: &Memory, holding: &Holding, now: Timestamp) -> Step {
    let mut open = open(holding);
    if holding.is_doubted {
        return Step::LookUpToken;
    }
    if holding.token_end == TokenEnd::Presumed {
        return Step::RevokeToken;
    }
    if holding.token_end == TokenEnd::Open {
        let is_tried = |index: &usize| vault_has_tried(memory, *index).is_some();
        let is_in_vain = |index: &usize| is_silent(memory, holding, *index);
        let untried = open.find(|index| !is_tried(index) && !is_in_vain(index));
        return match untried.filter(|_| !memory.may_not_revoke_leases) {
            Some(index) => Step::RevokeLease(index),
            None => Step::RevokeToken,
        };
    }
    // It may be a policy that denies, which somebody mends, and a clock that is wrong.
    let may_live = holding.may_live_on(now);
    if may_live && !memory.waits(Subject::Token, true, now) {
        return Step::RevokeToken;
    }
    let last = match may_live {
        true => Step::RevokeToken,
        false => Step::Forget,
    };
    if memory.may_not_look_up_leases {
        let report = match open
            .filter_map(|index| vault_has_tried(memory, index))
            .find(|it| !it.is_silent)
        {
            Some(_) => left_to_its_ttl(run, memory, holding, now),
            None => last_word(run, memory, holding, now),
        };
        return tell(run, &report).unwrap_or(last);
    }
    let by_retry = |index: &usize| {
        let trouble = memory.trouble(Subject::Lease(*index), true);
        trouble.map(|it| it.retry)
    };
    match open.min_by_key(by_retry) {
        Some(index) => Step::LookUpLease(index),
        None => {
            let report = last_word(run, memory, holding, now);
            tell(run, &report).unwrap_or(last)
        }
    }
}

/// Whether the step revokes a token whose revocation Vault has denied: before that is tried again, the status says that
/// the token may live.
fn is_said(memory: &Memory, step: &Step) -> bool {
    let Custody::Held(holding) = &memory.custody else {
        return false;
    };
    *step == Step::RevokeToken && holding.token_end == TokenEnd::Denied
}

/// The report once nothing more is tried.
fn given_up(run: &Run, memory: &Memory, holding: &Holding, now: Timestamp) -> Report {
    let mut troubles = memory.troubles_of_revocation();
    let is_of_leases = troubles.any(|(subject, _)| is_lease(subject));
    match holding.token_end == TokenEnd::Denied && !is_of_leases {
        true => ended_by_ttl(run, memory, holding, now),
        false => left_to_its_ttl(run, memory, holding, now),
    }
}

fn is_lease(subject: Subject) -> bool {
    matches!(subject, Subject::Lease(_))
}

/// Nothing is revoked by the word of our clock.
fn last_word(run: &Run, memory: &Memory, holding: &Holding, now: Timestamp) -> Report {
    match holding.is_end_presumed() {
        true => ended_by_ttl(run, memory, holding, now),
        false => revoked(run, memory, holding, now),
    }
}

fn open(holding: &Holding) -> impl Iterator<Item = usize> {
    let leases = holding.leases.iter().enumerate();
    leases
        .filter(|(_, lease)| !lease.is_revoked)
        .map(|(index, _)| index)
}

/// Vault's answer, if it has tried to revoke a lease and failed.
fn vault_has_tried(memory: &Memory, index: usize) -> Option<&Trouble> {
    let trouble = memory.trouble(Subject::Lease(index), true);
    trouble.filter(|it| is_answer(it))
}

/// Whether Vault has looked at what it was asked for.
fn is_answer(trouble: &Trouble) -> bool {
    !trouble.is_outage && trouble.report.status != Some(RATE_LIMITED)
}

/// Whether the engine of this lease did not answer for another one.
fn is_silent(memory: &Memory, holding: &Holding, index: usize) -> bool {
    let engine = &holding.leases[index].engine;
    let mut leases = holding.leases.iter().enumerate();
    leases.any(|(other, lease)| {
        let trouble = memory.trouble(Subject::Lease(other), true);
        lease.engine == *engine && trouble.is_some_and(|it| it.is_silent)
    })
}

fn wait(run: &Run, memory: &Memory, trouble: &Trouble, now: Timestamp) -> Step {
    let wait = Step::Wait(Some(trouble.retry));
    let is_told = run.told.as_ref().is_some_and(|it| it.phase == Phase::Done);
    if is_told && trouble.report.phase != Phase::Done {
        // A failure to tidy up says nothing of the lease.
        return wait;
    }
    let report = told_with(run, memory, trouble.report.clone());
    let tell = tell(run, &report).filter(|_| !memory.waits(Subject::Status, true, now));
    tell.unwrap_or(wait)
}

/// Whether a token that Vault does not revoke has ended by itself, or a Job waits too long for its deletion. A Vault
/// that is away has refused nothing, nor has one that is asked too often: it is asked again even after the token's end.
fn is_past(holding: &Holding, memory: &Memory, run: &Run, now: Timestamp) -> bool {
    let troubles = memory.troubles_of_revocation();
    let Some(since) = troubles.map(|(_, it)| it.since).min() else {
        return false;
    };
    // A token whose revocation was denied has a last word of its own, and is tried again for as long as it may live.
    let counts = |subject| holding.token_end != TokenEnd::Denied || is_lease(subject);
    let mut troubles = memory.troubles_of_revocation();
    let is_refused = troubles.any(|(subject, it)| is_answer(it) && counts(subject));
    let has_ended = is_refused && end_of(holding).is_some_and(|end| is_surely_past(end, now));
    let limit = since.saturating_add(LONGEST_DELETION);
    let waits_too_long = run.is_deleted() && limit.is_ok_and(|limit| limit <= now);
    has_ended || waits_too_long
}

/// When the rest ends by itself in Vault.
pub(super) fn end_of(holding: &Holding) -> Option<Timestamp> {
    if holding.token_end != TokenEnd::Said {
        return holding.latest_end();
    }
    let open = holding.leases.iter().filter(|lease| !lease.is_revoked);
    let ends: Option<Vec<Timestamp>> = open.map(|lease| lease.life.end()).collect();
    ends?.into_iter().max()
}

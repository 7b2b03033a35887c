//! A run that has not ended: its Secrets, and the renewal of its token and leases.

use jiff::{SignedDuration, Timestamp};
use planescape_agent_contract::{Phase, Reason, Report};

use super::words::{ended, held, outlived, tell, told_with};
use super::{Custody, Holding, Memory, Sighting, Step, Subject};
use crate::credentials::life::Life;
use crate::credentials::run::{Run, Stage};

/// How often a Secret is looked for while its run goes on.
pub(super) const SECRET_CHECK: SignedDuration = SignedDuration::from_secs(60);

/// So often that doubles.
const MOST_DOUBLINGS: usize = 6;

const DENIED: u16 = 403;

pub(super) fn supply(run: &Run, memory: &Memory, outage: SignedDuration, now: Timestamp) -> Step {
    let work = work(run, memory, now);
    let work = work.filter(|step| !memory.waits(step.subject(), false, now));
    let renewal = renewal(memory, outage, now);
    // A run that waits for its pods has waited long enough. A run with pods must not lose what they work with.
    let step = match (doubt(memory), run.stage) {
        (Some(doubt), _) => {
            let doubt = Some(doubt).filter(|step| !memory.waits(step.subject(), false, now));
            doubt.or(renewal)
        }
        (None, Stage::Waiting) => work.or(renewal),
        (None, Stage::Running | Stage::Stopping(_) | Stage::Over { .. }) => renewal.or(work),
    };
    let say = || say(run, memory, now).filter(|_| !memory.waits(Subject::Status, false, now));
    step.or_else(say)
        .unwrap_or_else(|| Step::Wait(until(run, memory, outage, now)))
}

/// The question to ask where an answer may mean that the token has ended.
fn doubt(memory: &Memory) -> Option<Step> {
    match &memory.custody {
        Custody::Held(holding) => holding.is_doubted.then_some(Step::LookUpToken),
        Custody::Unknown | Custody::Absent => None,
    }
}

/// The next step to the Secrets.
fn work(run: &Run, memory: &Memory, now: Timestamp) -> Option<Step> {
    if memory.custody == Custody::Unknown {
        return Some(Step::Recall);
    }
    // A Job that lost its order is not let go without its Secrets.
    if run.order.secrets.is_empty() || matches!(run.stage, Stage::Stopping(_)) {
        return None;
    }
    if has_begun_before(run, memory) {
        // A look shows whether pods would work with revoked Secrets, before there is one more token.
        if let Some(index) = unseen(run, memory, now) {
            return Some(Step::Look(index));
        }
        if sightings(run, memory).any(is_present) {
            return None;
        }
    }
    if !run.is_claimed {
        return Some(Step::Claim).filter(|_| memory.custody != Custody::Absent || !is_parted(run));
    }
    let Custody::Held(holding) = &memory.custody else {
        return Some(Step::LogIn).filter(|_| !is_parted(run));
    };
    if let Some(index) = unseen(run, memory, now) {
        return Some(Step::Look(index));
    }
    let sightings = sightings(run, memory);
    let is_waiting = run.stage == Stage::Waiting;
    let open = sightings.clone().position(|it| !is_present(it));
    if let Some(index) = open {
        if !is_dead(holding.token, now) {
            let is_ready = sightings.clone().nth(index) == Some(Sighting::Ready);
            return Some(if is_ready {
                Step::Write(index)
            } else {
                Step::Read(index)
            });
        }
        // Secrets that are there cannot be changed, and their leases have ended with the token.
        let has_none = !sightings.clone().any(is_present);
        let has_lost_none = holding.leases.is_empty() || (is_waiting && has_none);
        return has_lost_none.then_some(Step::LogIn);
    }
    if !is_waiting || has_lost_lease(holding, now) {
        return None;
    }
    let mut lives = lives(holding);
    let unsure = lives.find(|(subject, life)| is_unsure(memory, *subject, *life, now));
    Some(match unsure {
        Some((subject, _)) => renew(subject),
        None => Step::LetGo(held(run, memory, holding)),
    })
}

/// Whether its pods work with revoked Secrets, because somebody took our label off for a while: a new token is no help.
fn is_parted(run: &Run) -> bool {
    let told = run.told.as_ref();
    run.stage == Stage::Running && told.is_some_and(|told| told.phase == Phase::Done)
}

/// Whether it waits for its Secrets although a token of it has come to its end, because somebody took our label off
/// for a while: Secrets of that token may still be there.
fn has_begun_before(run: &Run, memory: &Memory) -> bool {
    let is_past =
        |told: &Report| told.phase == Phase::Done || told.reason == Reason::CredentialsEnded;
    memory.custody == Custody::Absent
        && run.stage == Stage::Waiting
        && run.told.as_ref().is_some_and(is_past)
}

/// A Secret that is to be looked for.
fn unseen(run: &Run, memory: &Memory, now: Timestamp) -> Option<usize> {
    let pause = pause(run, memory);
    let is_due =
        |seen: Timestamp| seen > now || seen.saturating_add(pause).is_ok_and(|it| it <= now);
    sightings(run, memory).position(|it| match it {
        Sighting::Unknown => true,
        Sighting::Present(seen) => is_due(seen),
        Sighting::Missing | Sighting::Ready => false,
    })
}

/// The time between two looks at a Secret. If somebody deletes the Secret again and again, each new one has a lease
/// of its own, which lives to the end of the run since pods may work with it.
fn pause(run: &Run, memory: &Memory) -> SignedDuration {
    let leases = match &memory.custody {
        Custody::Held(holding) => holding.leases.len(),
        Custody::Unknown | Custody::Absent => 0,
    };
    let secrets = run.order.secrets.len().max(1);
    let again = leases.saturating_sub(secrets) / secrets;
    SECRET_CHECK * (1_i32 << again.min(MOST_DOUBLINGS))
}

fn has_lost_lease(holding: &Holding, now: Timestamp) -> bool {
    let is_lost = has_ended(holding.token, now);
    let mut leases = holding.leases.iter();
    leases.any(|lease| is_lost || has_ended(lease.life, now))
}

/// Whether a life may have ended for want of renewals. A lease that a policy keeps from being renewed lives for as long
/// as it was granted; for the token Vault itself says whether it lives.
fn is_unsure(memory: &Memory, subject: Subject, life: Life, now: Timestamp) -> bool {
    let trouble = memory.trouble(subject, false);
    let is_denied = trouble.is_some_and(|it| it.report.status == Some(DENIED));
    let is_granted = life.granted_end().is_none_or(|end| end > now);
    let is_excused = matches!(subject, Subject::Lease(_)) && is_denied && is_granted;
    let is_renewable = life.renewal(SignedDuration::ZERO).is_some();
    life.is_recalled() && is_renewable && !is_excused
}

/// The renewal that is due first, of those that do not wait after a failure.
fn renewal(memory: &Memory, outage: SignedDuration, now: Timestamp) -> Option<Step> {
    let Custody::Held(holding) = &memory.custody else {
        return None;
    };
    let due = renewals(holding, outage, now);
    let mut due = due.filter(|(subject, due)| *due <= now && !memory.waits(*subject, false, now));
    due.next().map(|(subject, _)| renew(subject))
}

/// The times of renewals; none once the token has ended for good. A life that seems to begin later than now is
/// renewed at once: the clock was set.
fn renewals(
    holding: &Holding,
    outage: SignedDuration,
    now: Timestamp,
) -> impl Iterator<Item = (Subject, Timestamp)> {
    let is_over = is_dead(holding.token, now);
    let lives = lives(holding).filter(move |_| !is_over);
    lives.filter_map(move |(subject, life)| {
        let due = life.renewal(outage)?;
        let due = if life.is_of_another_time(now) {
            now
        } else {
            due
        };
        Some((subject, due))
    })
}

fn renew(subject: Subject) -> Step {
    match subject {
        Subject::Lease(index) => Step::RenewLease(index),
        Subject::Token | Subject::Work | Subject::Status => Step::RenewToken,
    }
}

fn lives(holding: &Holding) -> impl Iterator<Item = (Subject, Life)> {
    let leases = holding.leases.iter().enumerate();
    let leases = leases.map(|(index, lease)| (Subject::Lease(index), lease.life));
    [(Subject::Token, holding.token)].into_iter().chain(leases)
}

/// The next report for the status.
fn say(run: &Run, memory: &Memory, now: Timestamp) -> Option<Step> {
    let mut troubles = memory.troubles_of_supply();
    let trouble = troubles.find(|(subject, it)| *subject != Subject::Status && it.waits(now));
    let trouble = trouble.map(|(_, trouble)| trouble);
    let may_be_left = |it: Sighting| it == Sighting::Unknown || is_present(it);
    if has_begun_before(run, memory) && sightings(run, memory).any(may_be_left) {
        // Only this report tells a later program that there was a token.
        let message = trouble.and_then(|it| it.report.message.clone());
        return tell(run, &outlived(run, memory, message));
    }
    let report = match (trouble, ended(run, memory, now), &memory.custody) {
        (_, Some(report), _) => report,
        (Some(trouble), None, _) => told_with(run, memory, trouble.report.clone()),
        (None, None, Custody::Held(holding)) if run.stage == Stage::Running => {
            held(run, memory, holding)
        }
        (None, None, _) => return None,
    };
    tell(run, &report)
}

fn until(run: &Run, memory: &Memory, outage: SignedDuration, now: Timestamp) -> Option<Timestamp> {
    let retries = memory.troubles_of_supply().map(|(_, it)| it.retry);
    let pause = pause(run, memory);
    let is_stopping = matches!(run.stage, Stage::Stopping(_));
    let looks = sightings(run, memory).filter_map(|it| match it {
        Sighting::Present(seen) if !is_stopping => seen.saturating_add(pause).ok(),
        Sighting::Present(_) | Sighting::Unknown | Sighting::Missing | Sighting::Ready => None,
    });
    let stop = match run.stage {
        Stage::Stopping(until) => Some(until),
        Stage::Waiting | Stage::Running | Stage::Over { .. } => None,
    };
    let dues = match &memory.custody {
        Custody::Held(holding) => Some(renewals(holding, outage, now).map(|(_, due)| due)),
        Custody::Unknown | Custody::Absent => None,
    };
    let all = retries.chain(looks).chain(stop);
    let all = all.chain(dues.into_iter().flatten());
    all.filter(|it| *it > now).min()
}

/// Of each Secret of the run.
pub(super) fn sightings(run: &Run, memory: &Memory) -> impl Iterator<Item = Sighting> + Clone {
    let indexes = 0..run.order.secrets.len();
    indexes.map(|index| memory.secrets.get(index).copied().unwrap_or_default())
}

pub(super) fn is_present(sighting: Sighting) -> bool {
    matches!(sighting, Sighting::Present(_))
}

/// Whether a life has ended, and no renewal brings it back.
pub(super) fn is_dead(life: Life, now: Timestamp) -> bool {
    has_ended(life, now) && life.renewal(SignedDuration::ZERO).is_none()
}

fn has_ended(life: Life, now: Timestamp) -> bool {
    life.end().is_some_and(|end| end <= now)
}

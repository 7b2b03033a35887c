//! Reports for the status.

use jiff::{SignedDuration, Timestamp};
use planescape_agent_contract::{Phase, Reason, Report};

use super::ending::end_of;
use super::supplying::{is_dead, is_present, sightings};
use super::{CLOCKS, Custody, Holding, Memory, Step};
use crate::credentials::life::Life;
use crate::credentials::run::{Run, Stage};

const UNVERIFIED: &str = "Vault has revoked the token; whether it could revoke every lease is not known; to know it, add to the role's policy: path \"sys/leases/revoke\" { capabilities = [\"update\"] }, or to that of PLANESCAPE_REVOCATION_ROLE: path \"sys/leases/lookup\" { capabilities = [\"update\"] }";

const UNHEARD: &str = "Vault has revoked the token; an answer of it was lost that may have held a lease, which nobody can name, and which Vault revokes with the token";

const ENDED_BY_TTL: &str = "Vault denies the token everything, as it may deny one that lives, and has not said that it is revoked: it has ended by its TTL, or will; to know it, let the role in PLANESCAPE_REVOCATION_ROLE revoke by accessor: path \"auth/token/revoke-accessor\" { capabilities = [\"update\"] }";

const LOST: &str = "somebody has deleted the record of the run's token in the namespace of `planescape credentials`: nobody can revoke it, and it ends with its TTL";

const OUTLIVED: &str = "a Secret of the run is there whose token has come to its end, because somebody took the label planescape.io/credentials off the Job for a while: what it holds may have ended with the token, and no pod gets it; delete the run's Secrets, and they are made anew";

pub(super) fn tell(run: &Run, report: &Report) -> Option<Step> {
    let timeless = |report: &Report| Report {
        at: None,
        ..report.clone()
    };
    let is_told = run.told.as_ref().map(timeless) == Some(timeless(report));
    (!is_told).then(|| Step::Tell(report.clone()))
}

pub(super) fn told_with(run: &Run, memory: &Memory, report: Report) -> Report {
    let account = memory.account.clone();
    Report {
        role: Some(run.order.role.clone()),
        accessor: account.accessor,
        login_request: account.login_request,
        reads: account.reads,
        more_reads: account.more_reads,
        ..report
    }
}

pub(super) fn held(run: &Run, memory: &Memory, holding: &Holding) -> Report {
    let bounded = lives(holding).filter(|life| life.renewal(SignedDuration::ZERO).is_none());
    let end = bounded.filter_map(Life::end).min();
    let report = Report {
        message: end.map(|end| {
            format!("the credentials end at {end}: Vault's role does not let them be renewed any further")
        }),
        max_seconds: max_seconds(holding),
        ..Report::new(Phase::Running, Reason::LoggedIn)
    };
    told_with(run, memory, report)
}

/// The report once a token or lease that the run needs has ended before the run.
pub(super) fn ended(run: &Run, memory: &Memory, now: Timestamp) -> Option<Report> {
    let Custody::Held(holding) = &memory.custody else {
        return None;
    };
    let will_have_others = run.stage == Stage::Waiting && !sightings(run, memory).any(is_present);
    if holding.leases.is_empty() || will_have_others {
        return None;
    }
    let dead = lives(holding).filter(|life| is_dead(*life, now));
    let end = dead.filter_map(Life::end).min()?;
    let report = Report {
        message: Some(format!(
            "the credentials of the run have ended at {end}, and Vault does not renew them"
        )),
        max_seconds: max_seconds(holding),
        ..Report::new(Phase::Read, Reason::CredentialsEnded)
    };
    Some(told_with(run, memory, report))
}

/// The report on Secrets whose token has ended before the run began, also if the Secrets cannot be looked for. The time
/// of the end stays as it was told.
pub(super) fn outlived(run: &Run, memory: &Memory, trouble: Option<String>) -> Report {
    let told = run.told.as_ref();
    let report = Report {
        message: Some(trouble.unwrap_or_else(|| OUTLIVED.to_owned())),
        at: told.and_then(|told| told.at),
        ttl_seconds: told.and_then(|told| told.ttl_seconds),
        max_seconds: told.and_then(|told| told.max_seconds),
        ..Report::new(Phase::Read, Reason::CredentialsEnded)
    };
    told_with(run, memory, report)
}

fn lives(holding: &Holding) -> impl Iterator<Item = Life> {
    let leases = holding.leases.iter().map(|lease| lease.life);
    leases.chain([holding.token])
}

fn max_seconds(holding: &Holding) -> Option<u64> {
    let maximum = lives(holding).filter_map(Life::maximum).min();
    maximum.and_then(|it| u64::try_from(it.as_secs()).ok())
}

pub(super) fn revoked(run: &Run, memory: &Memory, holding: &Holding, now: Timestamp) -> Report {
    if holding.has_lost {
        return lost(run, memory, now);
    }
    let open = holding.open();
    let message = match (open, open > holding.unheard) {
        (0, _) => None,
        (_, true) => Some(UNVERIFIED),
        (_, false) => Some(UNHEARD),
    };
    let report = Report {
        message: message.map(str::to_owned),
        more_leases: open,
        at: Some(now.as_second()),
        max_seconds: run.told.as_ref().and_then(|told| told.max_seconds),
        ..Report::new(Phase::Done, Reason::Revoked)
    };
    told_with(run, memory, report)
}

/// The report on a token that is not known any more.
pub(super) fn lost(run: &Run, memory: &Memory, now: Timestamp) -> Report {
    let report = Report {
        message: Some(LOST.to_owned()),
        at: Some(now.as_second()),
        max_seconds: run.told.as_ref().and_then(|told| told.max_seconds),
        ..Report::new(Phase::Done, Reason::RevokeFailed)
    };
    told_with(run, memory, report)
}

/// The report on a token for which Vault denies everything: this may be all that Vault says of an ended token. The
/// token lives no longer than somebody may have renewed it for.
pub(super) fn ended_by_ttl(
    run: &Run,
    memory: &Memory,
    holding: &Holding,
    now: Timestamp,
) -> Report {
    let more_leases = holding.open();
    let told = run.told.as_ref().filter(|told| {
        let is_same = told.phase == Phase::Done && told.reason == Reason::CredentialsEnded;
        is_same && is_timed(told, memory) && told.more_leases == more_leases
    });
    if let Some(told) = told {
        return told.clone();
    }
    let latest = holding.latest_end();
    let left = latest.map(|end| end.duration_since(now).saturating_add(CLOCKS).as_secs());
    let report = Report {
        message: Some(ENDED_BY_TTL.to_owned()),
        more_leases,
        at: Some(now.as_second()),
        ttl_seconds: left.map(|left| u64::try_from(left).unwrap_or(0)),
        max_seconds: run.told.as_ref().and_then(|told| told.max_seconds),
        ..Report::new(Phase::Done, Reason::CredentialsEnded)
    };
    told_with(run, memory, report)
}

/// Leases end with their token.
pub(super) fn left_to_its_ttl(
    run: &Run,
    memory: &Memory,
    holding: &Holding,
    now: Timestamp,
) -> Report {
    let known = run.told.as_ref();
    let last = known.filter(|told| told.reason == Reason::RevokeFailed && is_timed(told, memory));
    if let Some(told) = last {
        return told.clone();
    }
    let mut troubles = memory.troubles_of_revocation();
    let report = troubles.next().map(|(_, trouble)| &trouble.report);
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

/// Whether it says when it was told, of this token: a Job whose label came back before it began has had another one.
fn is_timed(told: &Report, memory: &Memory) -> bool {
    told.at.is_some() && told.accessor == memory.account.accessor
}

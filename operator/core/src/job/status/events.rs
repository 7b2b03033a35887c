//! Events: what changed between two statuses, said once.

use planescape_agent_contract::{Phase, Reason};

use super::conditions::{RENDERED_WITH_WARNINGS, UNREAD};
use super::fit;
use super::vault::{self, Fate, Standing};
use super::{Facts, missed};
use crate::api::names::RERUN_ANNOTATION;
use crate::api::v1alpha1::{ConcurrencyPolicy, Lease, Outcome, PlanescapeJobStatus, Run};
use crate::job::observed::ObservedJob;
use crate::job::plan::{Action, Deletion, SUSPENDED};

const TOO_MANY_MISSED: i64 = 100;

/// Something a person may want to know about a PlanescapeJob.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Whether somebody should look.
    pub kind: EventKind,
    /// In one word; CronJob's word where the meaning is the same.
    pub reason: String,
    /// In a sentence.
    pub note: String,
    /// The Job it is about.
    pub job: Option<String>,
}

/// Whether somebody should look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventKind {
    /// All is well.
    Normal,
    /// Somebody should look.
    Warning,
}

impl Event {
    fn normal(reason: &str, note: impl Into<String>) -> Self {
        Self::new(EventKind::Normal, reason, note.into())
    }

    /// An event that somebody should look at: a word and a sentence.
    pub fn warning(reason: &str, note: impl Into<String>) -> Self {
        Self::new(EventKind::Warning, reason, note.into())
    }

    fn new(kind: EventKind, reason: &str, note: String) -> Self {
        Self {
            kind,
            reason: reason.to_owned(),
            note,
            job: None,
        }
    }

    fn about(self, job: &str) -> Self {
        Self {
            job: Some(job.to_owned()),
            ..self
        }
    }
}

/// The events that lead from the status so far to the new one.
pub fn events(facts: &Facts<'_>, after: &PlanescapeJobStatus) -> Vec<Event> {
    let before = facts.job.status.clone().unwrap_or_default();
    let mut events = Vec::new();
    events.extend(not_ready(&before, after));
    // A name that is taken may have been told by the condition.
    let of_schedule = of_schedule(facts).into_iter();
    let news: Vec<Event> = of_schedule.filter(|it| !events.contains(it)).collect();
    events.extend(news);
    events.extend(of_edit(facts, &before));
    events.extend(queued(&before, after));
    events.extend(of_rerun(facts));
    events.extend(of_host_network(facts, &before));
    events.extend(told_of_deletions(facts, Deletion::Replace));
    events.extend(of_runs_at_large(facts));
    for run in after.runs.iter().rev() {
        let known = before.runs.iter().find(|known| known.uid == run.uid);
        events.extend(of_run(facts, known, run));
    }
    let template = changed("TemplateValid", &before, after);
    let unread = template.filter(|now| now.reason == UNREAD);
    events.extend(unread.map(|now| Event::warning(UNREAD, now.message.as_str())));
    events.extend(of_vault(facts, &before, after));
    events
}

/// Vault has events of its own.
fn not_ready(before: &PlanescapeJobStatus, after: &PlanescapeJobStatus) -> Option<Event> {
    let now = changed("Ready", before, after)?;
    // The end of a one-time run has events of its own, too.
    let mut ends = after.conditions.iter().filter(|it| it.type_ == "Failed");
    let is_end = ends.any(|end| end.reason == now.reason);
    let is_told = now.status == "False"
        && !matches!(now.reason.as_str(), "VaultNotReady" | "WaitingForVault")
        && !is_end;
    is_told.then(|| Event::warning(&now.reason, now.message.as_str()))
}

/// A condition whose status, reason or message differs from before.
fn changed<'a>(
    kind: &str,
    before: &PlanescapeJobStatus,
    after: &'a PlanescapeJobStatus,
) -> Option<&'a k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition> {
    let now = after.conditions.iter().find(|it| it.type_ == kind)?;
    let known = before.conditions.iter().find(|it| it.type_ == kind);
    let is_same = known.is_some_and(|known| {
        (&known.status, &known.reason, &known.message) == (&now.status, &now.reason, &now.message)
    });
    (!is_same).then_some(now)
}

fn of_schedule(facts: &Facts<'_>) -> Vec<Event> {
    let mut events = Vec::new();
    if let Some(skip) = facts.plan.skip {
        events.push(match skip.why {
            crate::job::plan::Skipped::Forbid => forbidden(facts, skip.tick),
            crate::job::plan::Skipped::TooMany => Event::warning(
                "TooManyActive",
                format!(
                    "Skipped the run of {}: as many runs as spec.maxActiveRuns allows are active",
                    skip.tick
                ),
            ),
            crate::job::plan::Skipped::Excluded => Event::normal(
                "RunExcluded",
                format!(
                    "Skipped the run of {}: it is due in one of spec.exclusionWindows",
                    skip.tick
                ),
            ),
            crate::job::plan::Skipped::Missed => Event::warning(
                "MissSchedule",
                format!(
                    "Missed the run of {} by more than a minute, and spec.missedRunPolicy is Skip",
                    skip.tick
                ),
            ),
            crate::job::plan::Skipped::TooLate => Event::warning(
                "MissSchedule",
                format!(
                    "Missed the run of {}: later than startingDeadlineSeconds",
                    skip.tick
                ),
            ),
        });
    }
    if let Some(tick) = facts.plan.dropped {
        let (reason, why) = match facts.job.spec.suspend {
            true => ("Suspended", "the job was suspended"),
            false => ("ScheduleChanged", "the spec was changed"),
        };
        let note = format!("The run of {tick} does not start: {why} before it could");
        events.push(Event::normal(reason, note));
    }
    if let Some(wrong) = facts.plan.clock_was_at {
        let note = format!(
            "The clock was ahead: the run of {wrong} was acted upon already. What ran then does not run again"
        );
        events.push(Event::warning("ClockSkew", note));
    }
    if let Some(until) = facts.plan.unbelieved {
        let note = format!(
            "The status says that every run until {until} was acted upon already, so far ahead as nobody can have run: only that of {until} counts as run"
        );
        events.push(Event::warning("ClockSkew", note));
    }
    if let Some(taken) = &facts.applied.conflict {
        events.push(Event::warning("NameConflict", taken.words()));
    }
    let missed = missed(facts);
    if missed > 0 {
        let reason = if missed > TOO_MANY_MISSED {
            "TooManyMissedTimes"
        } else {
            "MissSchedule"
        };
        let note = format!("Missed {missed} runs before this one");
        events.push(Event::warning(reason, note));
    }
    events
}

/// A change of the schedule, where it takes away no run that was due: that has a word of its own.
fn of_edit(facts: &Facts<'_>, before: &PlanescapeJobStatus) -> Option<Event> {
    let known = before.schedule_reference.as_ref()?;
    let now = facts.plan.reference.as_ref()?;
    if known.schedule == now.schedule || facts.plan.dropped.is_some() {
        return None;
    }
    let since = now.since.0;
    let (reason, note) = match (known.schedule.ends_with(SUSPENDED), facts.job.spec.suspend) {
        (_, true) => (
            "Suspended",
            "Nothing starts until spec.suspend is false".to_owned(),
        ),
        (true, false) => (
            "Resumed",
            format!("Runs start again: what was due before {since} does not run"),
        ),
        (false, false) => (
            "ScheduleChanged",
            format!("The new schedule counts from {since}: what was due before does not run"),
        ),
    };
    Some(Event::normal(reason, note))
}

/// Tells the result of a request for a run by hand.
fn of_rerun(facts: &Facts<'_>) -> Option<Event> {
    if let Some(refused) = facts.refused_rerun() {
        return Some(match &refused.problem {
            Some(problem) => Event::warning(
                "InvalidRerun",
                format!("annotation {RERUN_ANNOTATION} {problem}; see: planescape run --help"),
            ),
            None => Event::normal(
                "RerunIgnored",
                format!(
                    "annotation {RERUN_ANNOTATION} was there when the PlanescapeJob was created, and asks for nothing; write another value to run it"
                ),
            ),
        });
    }
    let started = facts.applied.started.as_ref();
    let started = started.filter(|started| started.rerun.is_some())?;
    let note = format!(
        "Job {} runs because annotation {RERUN_ANNOTATION} asks for it",
        started.name
    );
    Some(Event::normal("Rerun", note).about(&started.name))
}

/// A run that waits for the end of another one, when it begins to wait.
fn queued(before: &PlanescapeJobStatus, after: &PlanescapeJobStatus) -> Option<Event> {
    let policy = after.resolved.as_ref()?.concurrency_policy;
    let pending = after.pending_schedule_time.as_ref()?;
    let is_news = before.pending_schedule_time.as_ref() != Some(pending);
    (is_news && policy == ConcurrencyPolicy::Forbid).then(|| {
        let note = format!(
            "The run of {} starts when the previous Job has ended",
            pending.0
        );
        Event::normal("RunQueued", note)
    })
}

/// A run that waits for nothing but a mended template, or that Vault refuses, needs a person.
fn forbidden(facts: &Facts<'_>, tick: jiff::Timestamp) -> Event {
    let skipped = format!("Skipped the run of {tick}");
    if let Some(older) = super::older_run(facts) {
        let advice = super::replace_older(&older.name);
        return Event::warning("JobAlreadyActive", format!("{skipped}: {advice}"));
    }
    let mut active = facts.observed.active();
    if let Some((run, refusal)) = active.find_map(|run| Some((run, vault::lasting_refusal(run)?))) {
        let note = format!(
            "{skipped}: Job {} is kept from starting: {}",
            run.name, refusal.said
        );
        return Event::warning("JobAlreadyActive", note);
    }
    let note = format!("{skipped}: the previous Job is still active");
    Event::normal("JobAlreadyActive", note)
}

/// Tells of changes to Jobs that no run was started for.
fn of_runs_at_large(facts: &Facts<'_>) -> Vec<Event> {
    let adopted = facts.applied.adopted.iter().map(|job| {
        let note = format!(
            "Job {job} bears this PlanescapeJob's label and nobody owned it: restored from a backup, or kept when its owner was deleted. It counts as a run from now on"
        );
        Event::normal("Adopted", note).about(job)
    });
    let ended = facts.applied.ended.iter().map(|(job, ending, why)| {
        Event::warning(ending.reason(), format!("Ends Job {job}: {why}")).about(job)
    });
    adopted.chain(ended).collect()
}

/// The agent finds Vault by a name of the cluster, which a pod in the host's network does not know.
fn of_host_network(facts: &Facts<'_>, before: &PlanescapeJobStatus) -> Option<Event> {
    let validated = facts.validated.ok()?;
    let is_news = before.observed_generation != facts.job.metadata.generation;
    let is_odd = validated.agent.as_ref()?.knows_no_names;
    (is_news && is_odd).then(|| {
        Event::warning(
            "HostNetwork",
            "The pod uses the host's network: its agent finds Vault by a name of the cluster only with dnsPolicy: ClusterFirstWithHostNet",
        )
    })
}

/// The events of the Jobs that tidying deleted.
pub fn of_deletions(facts: &Facts<'_>) -> Vec<Event> {
    told_of_deletions(facts, Deletion::History)
}

/// Tells of a failure to tidy up, in the API server's words, when it begins.
pub fn of_untidiness(action: &Action, why: &str) -> Option<Event> {
    let (reason, what, job) = match action {
        Action::Delete { job, .. } => ("FailedDelete", "which history no longer keeps", job),
        Action::Release { job, .. } => ("FailedRelease", "whose run is recorded", job),
        Action::Relabel { job, .. } => ("FailedRelabel", "which is not the latest run", job),
        Action::Adopt { .. }
        | Action::End { .. }
        | Action::Check { .. }
        | Action::Create { .. }
        | Action::Rerun { .. }
        | Action::MarkStarted { .. } => return None,
    };
    let note = format!("Cannot tidy up Job {job}, {what}: {why}. It is tried again by itself");
    Some(Event::warning(reason, note).about(job))
}

fn told_of_deletions(facts: &Facts<'_>, meant: Deletion) -> Vec<Event> {
    let deleted = facts.applied.deleted.iter();
    deleted
        .filter(|(_, why)| *why == meant)
        .map(|(job, why)| {
            let event = match why {
                Deletion::Replace => {
                    let note = format!("Stops Job {job}, because a new run is due");
                    Event::normal("Replaced", note)
                }
                Deletion::History => {
                    let note = format!("Deleted Job {job}, which history no longer keeps");
                    Event::normal("SuccessfulDelete", note)
                }
            };
            event.about(job)
        })
        .collect()
}

fn of_run(facts: &Facts<'_>, known: Option<&Run>, run: &Run) -> Vec<Event> {
    let mut events = Vec::new();
    let job = &run.job;
    let started = facts.applied.started.as_ref();
    if known.is_none() && started.is_some_and(|started| started.uid == run.uid) {
        events.push(Event::normal(
            "SuccessfulCreate",
            format!("Created Job {job}"),
        ));
    }
    if known.is_none_or(|known| known.outcome != run.outcome) {
        let saw = |condition: &str| format!("Saw completed job: {job}, condition: {condition}");
        events.extend(match run.outcome {
            Outcome::Running => None,
            Outcome::Succeeded => Some(Event::normal("SawCompletedJob", saw("Complete"))),
            Outcome::Failed => Some(Event::warning("SawCompletedJob", saw("Failed"))),
            Outcome::Deleted => {
                let note = format!("Job {job} was deleted before it ended");
                Some(Event::normal("MissingJob", note))
            }
        });
    }
    if known.is_none_or(|known| known.lease != run.lease) {
        events.extend(match run.lease {
            Some(Lease::Revoked) => {
                let note = format!("The Vault lease of Job {job} is revoked");
                Some(Event::normal("LeaseRevoked", note))
            }
            Some(Lease::RevokedByOperator) => {
                let note = format!(
                    "The agent of Job {job} has left its Vault token, and `planescape credentials` has revoked it"
                );
                Some(Event::normal("LeaseRevoked", note))
            }
            Some(Lease::RevokeFailed) => {
                let mut jobs = facts.observed.jobs.iter();
                let seen = jobs.find(|seen| seen.uid == run.uid);
                Some(Event::warning("RevokeFailed", unrevoked(job, seen)))
            }
            Some(Lease::Unknown | Lease::Expiring) => of_lost_lease(facts, run),
            // Somebody may look yet.
            Some(Lease::Held | Lease::TokenRevoked) | None => None,
        });
    }
    events.into_iter().map(|event| event.about(job)).collect()
}

/// Tells of a lease without a holder, unless that is on purpose or the end of its agent could not be seen.
fn of_lost_lease(facts: &Facts<'_>, run: &Run) -> Option<Event> {
    let job = &run.job;
    let life = Fate::of_run(run).words();
    let mut jobs = facts.observed.jobs.iter();
    let seen = jobs.find(|seen| seen.uid == run.uid)?;
    if vault::killed(seen).is_some() {
        let note = format!("The agent of Job {job} was killed after its login: {life}");
        return Some(Event::warning("AgentKilled", note));
    }
    let told = seen.credentials.as_ref();
    let presumed =
        told.filter(|it| it.phase == Phase::Done && it.reason == Reason::CredentialsEnded);
    if let Some(report) = presumed {
        let why = vault::sentence(report);
        let note = format!("The Vault lease of Job {job} is not known to be revoked: {why}");
        return Some(Event::warning("LeaseUnconfirmed", note));
    }
    (run.lease == Some(Lease::Unknown)).then(|| {
        let note =
            format!("The pod of Job {job} is gone, and the end of its agent was not seen: {life}");
        Event::warning("AgentLost", note)
    })
}

fn unrevoked(job: &str, seen: Option<&ObservedJob>) -> String {
    let why = seen.and_then(vault::revocation_failure);
    let why = why.unwrap_or_else(|| "the agent gave no reason".to_owned());
    format!("The Vault lease of Job {job} stays until its TTL ends: {why}")
}

fn of_vault(
    facts: &Facts<'_>,
    before: &PlanescapeJobStatus,
    after: &PlanescapeJobStatus,
) -> Option<Event> {
    let now = changed("VaultReady", before, after)?;
    if now.reason == RENDERED_WITH_WARNINGS {
        let event = Event::warning("TemplateWarning", now.message.as_str());
        let newest = facts.observed.jobs.first();
        return newest.map(|job| event.about(&job.name));
    }
    if now.reason == fit::MAY_EXPIRE {
        let mut known = before.conditions.iter();
        let is_told = known.any(|it| it.type_ == now.type_ && it.reason == now.reason);
        return (!is_told).then(|| Event::warning(fit::MAY_EXPIRE, now.message.as_str()));
    }
    if let Some(tried) = vault::preflight(facts).filter(|it| it.reason.as_str() == now.reason)
        && now.status == "False"
        && facts.observed.active().next().is_none()
    {
        return Some(Event::warning(
            vault::event_reason(&tried),
            vault::sentence(&tried),
        ));
    }
    let Standing::Failed(report) = vault::standing(facts) else {
        return None;
    };
    let note = vault::sentence(report);
    let event = Event::warning(vault::event_reason(report), note);
    Some(match facts.observed.jobs.first() {
        Some(job) => event.about(&job.name),
        None => event,
    })
}

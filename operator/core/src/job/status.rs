//! The report about a PlanescapeJob: its status, and the events that tell of a change in it.

mod conditions;
mod ended;
mod events;
mod excluded;
mod fit;
mod held_back;
mod holders;
mod runs;
mod vault;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use crate::api::PlanescapeJob;
use crate::api::v1alpha1::{
    ActiveRun, Ahead, AnnouncedRun, Outcome, PlanescapeJobStatus, Resolved, Run, Skipped,
};
use crate::job::observed::{Observed, ObservedJob};
use crate::job::plan::{
    self, Action, Announced, Deletion, Ending, Plan, RefusedRerun, Settled, TOLERATED_SKEW,
};
use crate::job::validate::ValidatedJob;
use crate::problem::Problem;
pub use ended::{Ended, ended_between};
pub use events::{
    Event, EventKind, events, of_deletions as events_of_deletions,
    of_untidiness as event_of_untidiness,
};
pub(crate) use runs::MOST_RUNNING;
pub(crate) use vault::{lasting_refusal, sentence as said};

/// So many requests for a run by hand are remembered.
const MOST_RERUNS: usize = 50;

/// The results of a plan.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Applied {
    /// The Job that was created, or found to be created already.
    pub started: Option<Started>,
    /// The Job that cannot be created, because somebody else's bears the name.
    pub conflict: Option<Taken>,
    /// The Jobs that were deleted, and why.
    pub deleted: Vec<(String, Deletion)>,
    /// The failure.
    pub failure: Option<Failure>,
    /// The API server's answer to a dry run of the next Job.
    pub checked: Option<Checked>,
    /// A request for a run by hand whose Job will never be taken.
    pub refused_rerun: Option<RefusedRerun>,
    /// The Jobs that had no owner and have us now.
    pub adopted: Vec<String>,
    /// The Jobs that were ended, and why.
    pub ended: Vec<(String, Ending, String)>,
}

impl Applied {
    /// Whether the run that was planned for an instant is made, and nothing of the attempt has to be told at once. A run
    /// that an earlier attempt has made is another one, and says nothing of this one.
    pub fn is_only_made(&self, plan: &Plan) -> bool {
        self.has_made(plan) && self.failure.is_none() && self.conflict.is_none()
    }

    fn has_made(&self, plan: &Plan) -> bool {
        let Some(started) = self.started.as_ref().filter(|it| it.rerun.is_none()) else {
            return false;
        };
        let mut actions = plan.actions.iter();
        actions.any(|action| matches!(action, Action::Create { tick } if *tick == started.tick))
    }
}

/// The API server's answer to a dry run of a Job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Checked {
    /// It would take it.
    Accepted,
    /// It would not, and the same Job will never be taken.
    Invalid(String),
    /// It would not now; a policy, a quota or a role may change.
    Refused(String),
    /// It could not say.
    Unknown(String),
}

/// A Job that was created.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Started {
    /// Its name.
    pub name: String,
    /// Its UID.
    pub uid: String,
    /// The instant it is for.
    pub tick: Timestamp,
    /// The digits in its name, where somebody asked for it by hand.
    pub rerun: Option<String>,
}

/// A Job whose name belongs to somebody else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Taken {
    /// The instant it was for.
    pub tick: Timestamp,
    /// Its name.
    pub job: String,
}

impl Taken {
    fn words(&self) -> String {
        format!(
            "{}Job {} exists and belongs to somebody else; rename this PlanescapeJob, or what makes such Jobs, such as a CronJob of the same name",
            Self::beginning(self.tick),
            self.job
        )
    }

    /// The beginning of a message about the run of an instant.
    fn beginning(tick: Timestamp) -> String {
        format!("Skipped the run of {tick}: ")
    }
}

/// A failed action.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// In one word.
    pub reason: &'static str,
    /// In a sentence.
    pub message: String,
    /// Whether the same Job will never be taken.
    pub is_lasting: bool,
}

/// Everything a status depends on.
pub struct Facts<'a> {
    /// The PlanescapeJob, with its status so far.
    pub job: &'a PlanescapeJob,
    /// Its validation.
    pub validated: Result<&'a ValidatedJob, &'a [Problem]>,
    /// The Jobs and pods that belong to it.
    pub observed: &'a Observed,
    /// The plan.
    pub plan: &'a Plan,
    /// The results of the plan.
    pub applied: &'a Applied,
    /// The time that was planned for.
    pub now: Timestamp,
    /// The time when it is reported: a run that is announced must stand there for a while.
    pub reported: Timestamp,
}

impl Facts<'_> {
    /// A request for a run by hand that gets none.
    fn refused_rerun(&self) -> Option<&RefusedRerun> {
        let planned = self.plan.refused_rerun.as_ref();
        planned.or(self.applied.refused_rerun.as_ref())
    }
}

/// The status. Equal facts give an equal status, so that nothing is written when nothing changed.
pub fn status(facts: &Facts<'_>) -> PlanescapeJobStatus {
    let before = facts.job.status.clone().unwrap_or_default();
    let mut runs = runs::merge(facts, &before);
    let last = |outcome: Outcome, before: &Option<Time>| {
        let ends = runs.iter().filter(|run| run.outcome == outcome);
        ends.filter_map(|run| run.finish_time.clone())
            .chain(before.clone())
            .max_by_key(|time| time.0)
    };
    let mut status = PlanescapeJobStatus {
        observed_generation: facts.job.metadata.generation,
        conditions: Vec::new(),
        last_result: runs.iter().find_map(ended).or(before.last_result),
        active_count: 0,
        active: active(&runs),
        last_schedule_time: last_schedule_time(facts, &runs, &before),
        settled_since: settled_since(facts, &runs, &before),
        settled_before: settled_before(facts, &before),
        settled_ahead: ahead(facts),
        last_successful_time: last(Outcome::Succeeded, &before.last_successful_time),
        last_failure_time: last(Outcome::Failed, &before.last_failure_time),
        next_schedule_time: facts.plan.next.map(Time),
        pending_schedule_time: facts
            .plan
            .pending
            .filter(|pending| settled(facts).is_none_or(|settled| settled.0 < *pending))
            .map(Time),
        announced_run: announced(facts, &before),
        schedule_reference: facts
            .plan
            .reference
            .clone()
            .or(before.schedule_reference.clone()),
        resolved: resolved(facts).or(before.resolved.clone()),
        skipped: skipped(facts, &before.skipped),
        reruns: reruns(facts, &runs, &before),
        runs: Vec::new(),
        unknown: before.unknown.clone(),
    };
    status.active_count = i32::try_from(status.active.len()).unwrap_or(i32::MAX);
    status.active.truncate(MOST_RUNNING);
    runs::forget(facts, &before, &mut runs);
    holders::limit(&mut runs);
    status.runs = runs;
    status.conditions = conditions::of(facts, &before, &status);
    if says_no_more(&status, &before) {
        return before;
    }
    status
}

/// Whether all that is new is when a Job was started that goes on, that a container of it has failed once more in the same
/// way, or that an ended run is forgotten: that is told with the next change, and costs no write.
fn says_no_more(status: &PlanescapeJobStatus, before: &PlanescapeJobStatus) -> bool {
    let as_before = |old: &Run| {
        let Some(new) = status.runs.iter().find(|new| new.uid == old.uid) else {
            return (old.outcome != Outcome::Running).then(|| old.clone());
        };
        let mut run = new.clone();
        if old.start_time.is_none() {
            run.start_time = None;
        }
        let way = |run: &Run| {
            let failure = run.failure.as_ref()?;
            Some((
                failure.container.clone(),
                failure.exit_code,
                failure.reason.clone(),
            ))
        };
        if run.outcome == Outcome::Running && way(&run) == way(old) {
            run.failure.clone_from(&old.failure);
        }
        Some(run)
    };
    let is_known = |new: &Run| before.runs.iter().any(|old| old.uid == new.uid);
    if !status.runs.iter().all(is_known) {
        return false;
    }
    let Some(runs) = before
        .runs
        .iter()
        .map(as_before)
        .collect::<Option<Vec<Run>>>()
    else {
        return false;
    };
    let same = PlanescapeJobStatus {
        runs,
        ..status.clone()
    };
    same == *before
}

fn ended(run: &Run) -> Option<Outcome> {
    (run.outcome != Outcome::Running).then_some(run.outcome)
}

fn active(runs: &[Run]) -> Vec<ActiveRun> {
    let running = runs.iter().filter(|run| run.outcome == Outcome::Running);
    running
        .map(|run| ActiveRun {
            name: run.job.clone(),
            uid: run.uid.clone(),
            scheduled_time: run.scheduled_time.clone(),
        })
        .collect()
}

/// The last instant that is settled now, or was and is told of now.
fn settled(facts: &Facts<'_>) -> Option<Time> {
    settled_now(facts).max().map(Time)
}

/// The instants that are settled now, and one that is only told of now: that may be earlier or later than the others.
fn settled_now(facts: &Facts<'_>) -> impl Iterator<Item = Timestamp> {
    let started = facts.applied.started.as_ref();
    let started = started.filter(|started| started.rerun.is_none());
    let started = started.map(|started| started.tick);
    let skipped = facts.plan.skip.map(|skip| skip.tick);
    let found = facts.plan.found.map(|found| found.tick);
    let conflict = facts.applied.conflict.as_ref().map(|taken| taken.tick);
    [started, skipped, conflict, found].into_iter().flatten()
}

/// Never an earlier one than before, unless the clock was ahead: the status may have told of it already.
fn last_schedule_time(
    facts: &Facts<'_>,
    runs: &[Run],
    before: &PlanescapeJobStatus,
) -> Option<Time> {
    let settled = settled(facts);
    if settled.is_some() && facts.plan.clock_was_at.is_some() {
        return settled;
    }
    let all = [settled, latest(facts, runs, before)];
    all.into_iter().flatten().max_by_key(|time| time.0)
}

/// How many instants passed unused before the one that is settled, exclusion windows aside.
fn missed(facts: &Facts<'_>) -> i64 {
    if settles_what_is_due(facts) {
        return facts.plan.missed;
    }
    facts.plan.found.map_or(0, |found| found.missed)
}

/// How many instants passed before that one in exclusion windows.
fn left_out(facts: &Facts<'_>) -> i64 {
    if settles_what_is_due(facts) {
        return facts.plan.excluded;
    }
    facts.plan.excluded_before_found
}

fn settles_what_is_due(facts: &Facts<'_>) -> bool {
    let Facts { plan, applied, .. } = facts;
    applied.has_made(plan) || plan.skip.is_some() || applied.conflict.is_some()
}

/// A Job that exists was started, even if nobody came to record it. A run that started while the clock
/// was ahead says nothing about the instants before.
fn latest(facts: &Facts<'_>, runs: &[Run], before: &PlanescapeJobStatus) -> Option<Time> {
    let horizon = facts.now.saturating_add(TOLERATED_SKEW).ok()?;
    let scheduled = runs.iter().filter(|run| run.rerun.is_none());
    let ticks = scheduled.map(|run| run.scheduled_time.0);
    let last = Settled::of(Some(before), facts.now).last;
    ticks
        .filter(|tick| *tick <= horizon)
        .chain(last)
        .max()
        .map(Time)
}

/// A series goes on as long as nothing between two instants is left out. A new one begins with the first untold run,
/// although the instants after that may have passed unused: none of them may run twice.
fn settled_since(facts: &Facts<'_>, runs: &[Run], before: &PlanescapeJobStatus) -> Option<Time> {
    let known = before.settled_since.clone();
    let Some(tick) = settled(facts) else {
        return known.filter(|_| facts.plan.clock_was_at.is_none());
    };
    let known = known.filter(|since| goes_on(facts, since, &tick));
    let last = Settled::of(Some(before), facts.now).last;
    let scheduled = runs.iter().filter(|run| run.rerun.is_none());
    let untold = scheduled.map(|run| run.scheduled_time.0);
    let untold = untold.filter(|tick| Some(*tick) > last);
    let all = known.map(|since| since.0).into_iter();
    let all = all.chain(settled_now(facts)).chain(untold);
    all.min().map(Time)
}

/// The last instant that was settled before a series began.
fn settled_before(facts: &Facts<'_>, before: &PlanescapeJobStatus) -> Option<Time> {
    let since = before.settled_since.as_ref();
    match settled(facts) {
        Some(tick) if !since.is_some_and(|since| goes_on(facts, since, &tick)) => {
            Settled::of(Some(before), facts.now).last.map(Time)
        }
        Some(_) | None => before.settled_before.clone(),
    }
}

fn goes_on(facts: &Facts<'_>, since: &Time, tick: &Time) -> bool {
    missed(facts) == 0 && left_out(facts) == 0 && since.0 <= tick.0
}

fn ahead(facts: &Facts<'_>) -> Option<Ahead> {
    let ahead = Settled::of(facts.job.status.as_ref(), facts.now).ahead?;
    Some(Ahead {
        from: Time(*ahead.start()),
        until: Time(*ahead.end()),
    })
}

/// Requests that were met or refused. A token of long ago that is written again starts a run again.
fn reruns(facts: &Facts<'_>, runs: &[Run], before: &PlanescapeJobStatus) -> Vec<String> {
    let refused = facts.refused_rerun().map(|refused| &refused.id);
    let met = runs.iter().filter_map(|run| run.rerun.as_ref());
    let news = refused.into_iter().chain(met);
    let mut all: Vec<String> = Vec::new();
    for id in news.chain(&before.reruns) {
        if !all.contains(id) {
            all.push(id.clone());
        }
    }
    // In the order in which they came, so that an unchanged status stays as it is.
    all.sort_by_key(|id| {
        before
            .reruns
            .iter()
            .position(|known| known == id)
            .map_or(0, |at| at + 1)
    });
    all.truncate(MOST_RERUNS);
    all
}

/// The run that is to start out of turn, until it has started.
fn announced(facts: &Facts<'_>, before: &PlanescapeJobStatus) -> Option<AnnouncedRun> {
    let run = facts.plan.announced.as_ref()?;
    let known = before.announced_run.as_ref();
    if let Some(known) = known.filter(|known| run.is(known) && known.since.0 <= facts.now) {
        let started = facts.applied.started.as_ref();
        let has_started = started.is_some_and(|started| run.is_of(started));
        let refused = facts.refused_rerun();
        let is_refused = refused.is_some_and(|it| *run == Announced::Rerun(it.id.clone()));
        return (!has_started && !is_refused).then(|| known.clone());
    }
    let (scheduled_time, rerun) = match run {
        Announced::Tick(tick) => (Some(Time(*tick)), None),
        Announced::Rerun(id) => (None, Some(id.clone())),
    };
    let since = Timestamp::from_second(facts.reported.as_second()).ok()?;
    Some(AnnouncedRun {
        scheduled_time,
        rerun,
        since: Time(since),
    })
}

impl Announced {
    fn is_of(&self, started: &Started) -> bool {
        match self {
            Self::Tick(tick) => started.rerun.is_none() && started.tick == *tick,
            Self::Rerun(id) => started.rerun.as_ref() == Some(id),
        }
    }
}

/// Whether a run was made of what the spec said before.
fn is_older(facts: &Facts<'_>, run: &ObservedJob) -> bool {
    let now = facts.validated.ok().map(|validated| &validated.digest);
    matches!((&run.template, now), (Some(then), Some(now)) if then != now)
}

/// The run that goes on, if it was made of what the spec said before.
fn older_run<'a>(facts: &Facts<'a>) -> Option<&'a ObservedJob> {
    let newest = facts.observed.jobs.first();
    newest.filter(|run| run.end.is_none() && is_older(facts, run))
}

fn replace_older(job: &str) -> String {
    format!("Job {job} runs an older template; delete it to make way: kubectl delete job {job}")
}

fn resolved(facts: &Facts<'_>) -> Option<Resolved> {
    let validated = facts.validated.ok()?;
    Some(Resolved {
        concurrency_policy: validated.policy,
        time_zone: (!validated.schedule.is_once()).then(|| validated.zone.clone()),
    })
}

fn skipped(facts: &Facts<'_>, before: &Skipped) -> Skipped {
    let why = facts.plan.skip.map(|skip| skip.why);
    // Anybody may have written a status by hand.
    let count = |before: i64, is_one_more: bool| before.saturating_add(is_one_more.into());
    let missed = before.missed.saturating_add(missed(facts));
    let excluded = before.excluded.saturating_add(left_out(facts));
    Skipped {
        forbid: count(before.forbid, why == Some(plan::Skipped::Forbid)),
        too_late: count(before.too_late, why == Some(plan::Skipped::TooLate)),
        missed: count(missed, why == Some(plan::Skipped::Missed)),
        too_many: count(before.too_many, why == Some(plan::Skipped::TooMany)),
        excluded: count(excluded, why == Some(plan::Skipped::Excluded)),
        conflict: count(before.conflict, facts.applied.conflict.is_some()),
        edited: count(before.edited, facts.plan.dropped.is_some()),
    }
}

#[cfg(test)]
mod field_tests;
#[cfg(test)]
mod tests;

//! One operator: its cache, its clock and what it is about to do.

use std::collections::{BTreeMap, VecDeque};

use jiff::{SignedDuration, Timestamp};
use planescape_operator_core::api::PlanescapeJob;
use planescape_operator_core::api::v1alpha1::{ConcurrencyPolicy, Outcome};
use planescape_operator_core::defaults::Defaults;
use planescape_operator_core::job::identity::Identity;
use planescape_operator_core::job::known::{Known, Whole};
use planescape_operator_core::job::observed::{KnownJob, KnownPod, Observed};
use planescape_operator_core::job::plan::{
    Action, Deletion, Plan, Priority, Skipped, plan, wake_after_failure,
};
use planescape_operator_core::job::status::{Applied, Facts, Started, status};
use planescape_operator_core::job::validate::{Material, ValidatedJob};
use planescape_operator_core::problem::Problem;
use planescape_operator_core::run::{self, Occasion, rerun_id};
use serde_json::Value;

use crate::server::{Refusal, Server, run_uid};
use planescape_tests::chance::Chance;

/// What an operator may be at when trouble comes.
pub(crate) const PHASES: [&str; 4] = ["idle", "acting", "reporting", "tidying"];

#[derive(Default)]
pub(crate) struct Operator {
    /// How far its clock is ahead of the API server's, in seconds.
    pub(crate) ahead: i64,
    cache: Option<(PlanescapeJob, BTreeMap<String, KnownJob>)>,
    pub(crate) is_asked: bool,
    pub(crate) wake: Option<Timestamp>,
    work: Option<Work>,
    begun: Option<Started>,
    /// A Job that may have been made although nobody answered.
    unanswered: Option<String>,
    pub(crate) broken: Option<String>,
}

struct Work {
    job: PlanescapeJob,
    validated: Result<ValidatedJob, Vec<Problem>>,
    material: Option<Material>,
    observed: Observed,
    plan: Plan,
    applied: Applied,
    now: Timestamp,
    actions: VecDeque<Action>,
    tidying: Option<VecDeque<Action>>,
    has_failed: bool,
    is_second_try: bool,
    /// Whether a Job was active, and the job suspended, when this was read.
    was_active: bool,
    was_suspended: bool,
}

/// How calls go.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Call {
    Fine,
    RequestLost,
    AnswerLost,
}

impl Operator {
    pub(crate) fn phase(&self) -> &'static str {
        match &self.work {
            None => "idle",
            Some(Work {
                tidying: Some(_), ..
            }) => "tidying",
            Some(work) if work.actions.is_empty() => "reporting",
            Some(_) => "acting",
        }
    }

    pub(crate) fn clock(&self, server: &Server) -> Timestamp {
        server.now + SignedDuration::from_secs(self.ahead)
    }

    /// A new process has everything from the first list.
    pub(crate) fn restart(&mut self, server: &Server) {
        *self = Self {
            ahead: self.ahead,
            cache: Some((server.planescape_job(), server.all())),
            is_asked: true,
            broken: self.broken.take(),
            ..Self::default()
        };
    }

    /// The watches bring news, of one kind or of both.
    pub(crate) fn hear(&mut self, server: &Server, of_job: bool, of_jobs: bool) {
        let (job, jobs) = self
            .cache
            .get_or_insert_with(|| (server.planescape_job(), server.all()));
        if of_job {
            let news = server.planescape_job();
            self.is_asked |= *job != news;
            *job = news;
        }
        if of_jobs {
            let news = server.all();
            self.is_asked |= *jobs != news;
            *jobs = news;
        }
    }

    /// Does the next small thing, if there is one.
    pub(crate) fn step(&mut self, server: &mut Server, chance: &mut Chance, call: Call) -> bool {
        if let Some(work) = self.work.take() {
            self.go_on(work, server, chance, call);
            return true;
        }
        let is_due = self.wake.is_some_and(|wake| wake <= self.clock(server));
        if !is_due && !self.is_asked {
            return false;
        }
        self.is_asked = false;
        self.begin(server, call, false);
        true
    }

    fn begin(&mut self, server: &Server, call: Call, is_second_try: bool) {
        let now = self.clock(server);
        let defaults = Defaults::default();
        let (job, jobs) = self.cache.clone().unwrap();
        let mut known = Known::of(job, &defaults, now);
        // What the watch has is what planning starts from; nothing of it is stripped twice.
        known.job.metadata.managed_fields = self
            .cache
            .as_ref()
            .unwrap()
            .0
            .metadata
            .managed_fields
            .clone();
        let identity = Identity::of(&known.job.metadata).unwrap();
        let observed = observe(&identity, &known.job, &jobs, server, false);
        let whole = Whole {
            job: known.job.clone(),
            validated: known.validated.clone(),
            material: None,
        };
        let mut work = Work::new(whole, observed, server, now);
        if is_second_try || work.plan.needs_fresh_reading(&known.job) {
            if call == Call::RequestLost {
                return self.fail(&work.plan, server);
            }
            let fresh = Whole::of(server.planescape_job(), &defaults, now);
            let reads_active = work
                .validated
                .as_ref()
                .is_ok_and(|it| it.policy != ConcurrencyPolicy::Allow);
            let mut jobs = jobs;
            if let Some(name) = self.unanswered.take_if(|_| reads_active)
                && let Some(known) = server.known(&name)
            {
                jobs.insert(name, known);
            }
            let observed = observe(&identity, &fresh.job, &jobs, server, reads_active);
            work = Work::new(fresh, observed, server, now);
        }
        work.is_second_try = is_second_try;
        work.applied.started = self.begun.take();
        self.work = Some(work);
    }

    fn fail(&mut self, plan: &Plan, server: &Server) {
        let now = self.clock(server);
        let again = wake_after_failure(plan.wake, now, SignedDuration::from_secs(37));
        self.wake = Some(again);
        if plan.wake.is_some_and(|wake| wake > now && again > wake) {
            self.broken = Some(format!(
                "looks again at {again}, and {:?} is due",
                plan.wake
            ));
        }
    }

    fn go_on(&mut self, mut work: Work, server: &mut Server, chance: &mut Chance, call: Call) {
        if let Some(action) = work.actions.pop_front() {
            let reach = Reach {
                server,
                chance,
                call,
            };
            self.act(&mut work, &action, reach);
            self.work = Some(work);
            return;
        }
        if let Some(mut tidying) = work.tidying.take() {
            if let Some(action) = tidying.pop_front() {
                let reach = Reach {
                    server,
                    chance,
                    call,
                };
                self.act(&mut work, &action, reach);
                work.tidying = Some(tidying);
                self.work = Some(work);
                return;
            }
            return self.end(&work, server);
        }
        if !work.has_failed && work.plan.creates() && work.applied.started.is_some() {
            self.begun = work.applied.started.clone();
            self.is_asked = true;
            self.wake = work.plan.wake;
            return;
        }
        if !work.has_failed && work.plan.changes_the_object() {
            self.wake = work.plan.wake;
            return;
        }
        self.report(work, server, call);
    }

    fn report(&mut self, mut work: Work, server: &mut Server, call: Call) {
        let facts = Facts {
            job: &work.job,
            validated: work.validated.as_ref().map_err(Vec::as_slice),
            observed: &work.observed,
            plan: &work.plan,
            applied: &work.applied,
            now: work.now,
        };
        let after = status(&facts);
        let written = if work.job.status.as_ref() == Some(&after) {
            Ok(())
        } else if call == Call::RequestLost {
            Err(Refusal::NoAnswer)
        } else {
            let skipped = work.plan.skip.map(|skip| skip.why);
            if skipped == Some(Skipped::Forbid) && !work.was_active {
                self.broken = Some("Forbid skips a run although nothing runs".to_owned());
            }
            let version = work.job.metadata.resource_version.clone().unwrap();
            let written = server.write_status(&version, serde_json::to_value(&after).unwrap());
            match call {
                Call::AnswerLost => written.and(Err(Refusal::NoAnswer)),
                Call::Fine | Call::RequestLost => written,
            }
        };
        match written {
            Ok(()) => {
                let actions = work.plan.actions.iter();
                let tidy = actions.filter(|it| it.priority() == Priority::Tidy);
                work.tidying = Some(tidy.cloned().collect());
                self.work = Some(work);
            }
            Err(Refusal::Conflict) if !work.is_second_try => {
                self.begun = work.applied.started.clone();
                self.begin(server, Call::Fine, true);
            }
            Err(_) => {
                self.begun = work.applied.started.clone();
                self.fail(&work.plan, server);
            }
        }
    }

    fn end(&mut self, work: &Work, server: &Server) {
        if work.has_failed {
            self.fail(&work.plan, server);
        } else {
            self.wake = work.plan.wake;
        }
    }

    fn act(&mut self, work: &mut Work, action: &Action, reach: Reach<'_>) {
        if reach.call == Call::RequestLost {
            // Tidying never counts as an error.
            work.has_failed |= action.priority() != Priority::Tidy;
            self.is_asked |= action.priority() == Priority::Tidy;
            return;
        }
        match action {
            Action::Create { tick } => self.create(work, &Occasion::Tick(*tick), reach),
            Action::Rerun { at, request, .. } => {
                let occasion = Occasion::Rerun { at: *at, request };
                self.create(work, &occasion, reach);
            }
            Action::Delete { job, why, .. } => {
                // It may end between the look and the deletion.
                if *why == Deletion::Replace {
                    reach.server.lose(job);
                }
                reach.server.delete(job);
            }
            Action::Release { job, uid } => reach.server.release(job, uid),
            Action::MarkStarted { job_uid } => {
                let marker = format!("{}/{job_uid}", crate::server::UID);
                reach.server.annotate("planescape.io/once-started", &marker);
            }
            Action::Check { .. } => {
                work.applied.checked =
                    Some(planescape_operator_core::job::status::Checked::Accepted);
            }
            Action::Adopt { .. } | Action::End { .. } | Action::Relabel { .. } => {}
        }
    }

    fn create(&mut self, work: &mut Work, occasion: &Occasion<'_>, reach: Reach<'_>) {
        let Reach {
            server,
            chance,
            call,
        } = reach;
        let (Ok(validated), Some(material)) = (&work.validated, &work.material) else {
            return;
        };
        let object = run::build(validated, material, occasion);
        let name = object["metadata"]["name"].as_str().unwrap().to_owned();
        let run = run_uid(&object);
        let before = Before {
            policy: validated.policy,
            active: server.active(),
            was_suspended: work.was_suspended,
        };
        let created = server.create(object, chance);
        if created.is_ok() {
            self.look_at_a_new_job((&name, &run), &before, occasion, server);
        }
        let created = match created {
            Ok(known) => known,
            Err(_) => server.known(&name).unwrap(),
        };
        if call == Call::AnswerLost {
            work.has_failed = true;
            self.unanswered = Some(name);
            return;
        }
        let (tick, rerun) = match occasion {
            Occasion::Tick(tick) => (*tick, None),
            Occasion::Rerun { at, request } => {
                (*at, Some(rerun_id(crate::server::UID, &request.token)))
            }
        };
        work.applied.started = Some(Started {
            name: name.clone(),
            uid: created.run.uid.clone(),
            tick,
            rerun,
        });
        self.cache.as_mut().unwrap().1.insert(name, created);
    }

    fn look_at_a_new_job(
        &mut self,
        (name, run): (&str, &str),
        before: &Before,
        occasion: &Occasion<'_>,
        server: &Server,
    ) {
        if server.made[run] > 1 {
            self.broken = Some(format!("Job {run} is made a second time"));
        }
        let policy = before.policy;
        if policy != ConcurrencyPolicy::Allow && before.active > 0 {
            self.broken = Some(format!("Job {name} runs beside another under {policy:?}"));
        }
        if before.was_suspended && matches!(occasion, Occasion::Tick(_)) {
            self.broken = Some(format!("Job {name} is made although the job was suspended"));
        }
    }
}

/// The way to the server at one step.
struct Reach<'a> {
    server: &'a mut Server,
    chance: &'a mut Chance,
    call: Call,
}

/// What there was before a Job was made.
struct Before {
    policy: ConcurrencyPolicy,
    active: usize,
    was_suspended: bool,
}

impl Work {
    fn new(whole: Whole, observed: Observed, server: &Server, now: Timestamp) -> Self {
        let Whole {
            job,
            validated,
            material,
        } = whole;
        let checked = validated.as_ref().map_err(Vec::as_slice);
        let plan = plan(&job, checked, &observed, &Defaults::default(), now);
        let mut actions: Vec<Action> = plan.actions.clone();
        actions.retain(|action| action.priority() != Priority::Tidy);
        actions.sort_by_key(Action::priority);
        Self {
            was_active: server.active() > 0,
            was_suspended: server.job["spec"]["suspend"] == Value::Bool(true),
            job,
            validated,
            material,
            observed,
            plan,
            applied: Applied::default(),
            now,
            actions: actions.into(),
            tidying: None,
            has_failed: false,
            is_second_try: false,
        }
    }
}

/// What the cache has, with what the status says is running and the cache has not; and, where that
/// matters, what is active read again.
fn observe(
    identity: &Identity,
    job: &PlanescapeJob,
    cached: &BTreeMap<String, KnownJob>,
    server: &Server,
    reads_active: bool,
) -> Observed {
    let recorded = job.status.iter().flat_map(|status| &status.runs);
    let running = recorded.filter(|run| run.outcome == Outcome::Running);
    let mut names: Vec<(String, String)> = running
        .filter(|run| !cached.values().any(|it| it.run.uid == run.uid))
        .map(|run| (run.job.clone(), run.uid.clone()))
        .collect();
    let mut jobs = Vec::new();
    for known in cached.values() {
        if reads_active && known.run.end.is_none() {
            names.push((known.run.name.clone(), known.run.uid.clone()));
        } else {
            jobs.push(known.clone());
        }
    }
    for (name, uid) in names {
        jobs.extend(server.known(&name).filter(|known| known.run.uid == uid));
    }
    let pods: [KnownPod; 0] = [];
    Observed::of(identity, &jobs, &pods)
}

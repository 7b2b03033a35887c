//! One operator: its cache, its clock and what it is about to do. It does what the shell does, one call at a step.

use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use planescape_operator_core::api::PlanescapeJob;
use planescape_operator_core::api::v1alpha1::{ConcurrencyPolicy, PlanescapeJobStatus};
use planescape_operator_core::defaults::Defaults;
use planescape_operator_core::job::identity::Identity;
use planescape_operator_core::job::known::{Known, Whole};
use planescape_operator_core::job::observed::{KnownJob, KnownPod, Observed};
use planescape_operator_core::job::plan::{
    Action, Deletion, Plan, Priority, Skipped, plan, wake_after_failure,
};
use planescape_operator_core::job::reading::Reading;
use planescape_operator_core::job::status::{
    Applied, Checked, Facts, Failure, Started, Taken, status,
};
use planescape_operator_core::job::validate::policy;
use planescape_operator_core::run::{self, Occasion, rerun_id};
use planescape_tests::chance::Chance;

use crate::Broken;
use crate::rules::Rules;
use crate::server::{Jobs, Refusal, Server, run_uid};

/// Steps that an operator may be about to take when trouble comes.
pub(crate) const STEPS: [&str; 10] = [
    "rest", "read", "create", "rerun", "replace", "check", "mark", "report", "release", "prune",
];

#[derive(Default)]
pub(crate) struct Operator {
    /// How far its clock is ahead of the API server's, in seconds.
    pub(crate) ahead: i64,
    cache: Option<Cache>,
    pub(crate) is_asked: bool,
    pub(crate) wake: Option<Timestamp>,
    work: Option<Work>,
    /// A run that was made and that no status tells of, and the UID of its PlanescapeJob.
    begun: Option<(String, Started)>,
    /// A Job that may have been made although nobody answered.
    unanswered: Option<String>,
    /// Jobs that were refused, and no status tells it.
    untold: usize,
    pub(crate) broken: Option<Broken>,
}

/// How long a leader's request may be on its way.
const LONGEST_REQUEST: SignedDuration = SignedDuration::from_secs(2);

/// The objects that the watches have brought.
struct Cache {
    job: Arc<PlanescapeJob>,
    known: Rc<Whole>,
    jobs: Jobs,
}

struct Work {
    whole: Rc<Whole>,
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
    /// The next step.
    pub(crate) fn next(&self, server: &Server) -> &'static str {
        let Some(work) = &self.work else {
            return if self.has_reason(server) {
                "read"
            } else {
                "rest"
            };
        };
        let tidying = work.tidying.as_ref().and_then(VecDeque::front);
        match work.actions.front().or(tidying) {
            Some(Action::Create { .. }) => "create",
            Some(Action::Rerun { .. }) => "rerun",
            Some(Action::Delete { why, .. }) if *why == Deletion::Replace => "replace",
            Some(Action::Delete { .. }) => "prune",
            Some(Action::Check { .. }) => "check",
            Some(Action::MarkStarted { .. }) => "mark",
            Some(Action::Release { .. }) => "release",
            Some(Action::Adopt { .. } | Action::End { .. } | Action::Relabel { .. }) => "other",
            None if work.tidying.is_some() => "rest",
            None => "report",
        }
    }

    fn has_reason(&self, server: &Server) -> bool {
        self.is_asked || self.wake.is_some_and(|wake| wake <= self.clock(server))
    }

    pub(crate) fn clock(&self, server: &Server) -> Timestamp {
        server.now + SignedDuration::from_secs(self.ahead)
    }

    /// Whether the watches have not brought the PlanescapeJob as it is.
    pub(crate) fn is_behind(&self, server: &Server) -> bool {
        let cache = self.cache.as_ref();
        cache.is_none_or(|cache| !Arc::ptr_eq(&cache.job, &server.job))
    }

    fn breaks(&mut self, promise: &'static str, how: impl Into<String>) {
        let how = how.into();
        self.broken.get_or_insert(Broken { promise, how });
    }

    /// A new process has everything from the first list.
    pub(crate) fn restart(&mut self, server: &Server) {
        *self = Self {
            ahead: self.ahead,
            is_asked: true,
            broken: self.broken.take(),
            ..Self::default()
        };
        self.cache = Some(Cache::of(server, self.clock(server)));
    }

    /// The watches bring news, of one kind or of both.
    pub(crate) fn hear(&mut self, server: &Server, of_job: bool, of_jobs: bool) {
        let now = self.clock(server);
        let cache = self.cache.get_or_insert_with(|| Cache::of(server, now));
        if of_job && !Arc::ptr_eq(&cache.job, &server.job) {
            self.is_asked = true;
            cache.job = server.job.clone();
            cache.known = known(&server.job, now);
        }
        let is_same = |(one, other): (&Arc<KnownJob>, &Arc<KnownJob>)| Arc::ptr_eq(one, other);
        let news = server.jobs.values();
        let is_known = cache.jobs.len() == news.len() && cache.jobs.values().zip(news).all(is_same);
        if of_jobs && !is_known {
            self.is_asked = true;
            cache.jobs = server.jobs.clone();
        }
    }

    /// Does the next small thing, if there is one.
    pub(crate) fn step(&mut self, server: &mut Server, chance: &mut Chance, call: Call) -> bool {
        if let Some(work) = self.work.take() {
            let reach = Reach {
                server,
                chance,
                call,
            };
            self.go_on(work, reach);
            return true;
        }
        if !self.has_reason(server) {
            return false;
        }
        self.is_asked = false;
        self.begin(server, call, false);
        true
    }

    fn begin(&mut self, server: &Server, call: Call, is_second_try: bool) {
        let now = self.clock(server);
        let cache = self.cache.as_ref().unwrap();
        let identity = Identity::of(&cache.job.metadata).unwrap();
        let observed = observe(&identity, &cache.known.job, &cache.jobs, server, false);
        let mut work = Work::new(cache.known.clone(), observed, server, now);
        if is_second_try || work.plan.needs_fresh_reading(&cache.known.job) {
            if call == Call::RequestLost {
                return self.fail(&work.plan, server);
            }
            if server.uid() != identity.uid {
                // It is gone, and another one has its name.
                self.unanswered = None;
                self.wake = None;
                return;
            }
            let fresh = Whole::of(PlanescapeJob::clone(&server.job), &Defaults::default(), now);
            let reads_active = policy(&fresh.job.spec) != ConcurrencyPolicy::Allow;
            let mut jobs = cache.jobs.clone();
            if let Some(name) = self.unanswered.take()
                && let Some(known) = server.jobs.get(&name)
            {
                jobs.insert(name, known.clone());
            }
            let observed = observe(&identity, &fresh.job, &jobs, server, reads_active);
            work = Work::new(Rc::new(fresh), observed, server, now);
        }
        work.is_second_try = is_second_try;
        let begun = self.begun.take();
        let begun = begun.filter(|(owner, _)| *owner == identity.uid);
        work.applied.started = begun.map(|(_, started)| started);
        self.work = Some(work);
    }

    fn fail(&mut self, plan: &Plan, server: &Server) {
        let now = self.clock(server);
        let again = wake_after_failure(plan.wakes(), now, SignedDuration::from_secs(37));
        self.wake = Some(again);
    }

    fn go_on(&mut self, mut work: Work, reach: Reach<'_>) {
        if let Some(action) = work.actions.pop_front() {
            self.act(&mut work, &action, reach);
            self.work = Some(work);
            return;
        }
        if let Some(tidying) = &mut work.tidying {
            if let Some(action) = tidying.pop_front() {
                self.act(&mut work, &action, reach);
                self.work = Some(work);
                return;
            }
            return self.end(&work, reach.server);
        }
        if !work.has_failed && work.applied.is_only_made(&work.plan) {
            self.begun = work.begun();
            self.is_asked = true;
            self.wake = work.plan.wake;
            return;
        }
        let is_refused = work.applied.failure.is_some();
        if !work.has_failed && !is_refused && work.plan.changes_the_object() {
            self.wake = work.plan.wake;
            return;
        }
        self.report(work, reach.server, reach.call);
    }

    fn report(&mut self, mut work: Work, server: &mut Server, call: Call) {
        let facts = Facts {
            job: &work.whole.job,
            validated: work.whole.validated.as_ref().map_err(Vec::as_slice),
            observed: &work.observed,
            plan: &work.plan,
            applied: &work.applied,
            now: work.now,
            reported: self.clock(server),
        };
        let after = status(&facts);
        let written = if work.whole.job.status.as_ref() == Some(&after) {
            Ok(())
        } else if call == Call::RequestLost {
            Err(Refusal::NoAnswer)
        } else {
            let version = work.whole.job.metadata.resource_version.as_deref();
            let written = server.write_status(version, &after);
            if written.is_ok() {
                self.look_at_a_status(&work, &after, server);
            }
            match call {
                Call::AnswerLost => written.and(Err(Refusal::NoAnswer)),
                Call::Fine | Call::RequestLost => written,
            }
        };
        // Told, or trouble of another kind came first.
        self.untold = 0;
        match written {
            Ok(()) => {
                let actions = work.plan.actions.iter();
                let tidy = actions.filter(|it| it.priority() == Priority::Tidy);
                work.tidying = Some(tidy.cloned().collect());
                self.work = Some(work);
            }
            Err(Refusal::Conflict) if !work.is_second_try => {
                self.begun = work.begun();
                self.begin(server, Call::Fine, true);
            }
            Err(_) => {
                self.begun = work.begun();
                self.fail(&work.plan, server);
            }
        }
    }

    fn end(&mut self, work: &Work, server: &Server) {
        if work.has_failed || work.applied.failure.is_some() {
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
            Action::Delete {
                job, uid, version, ..
            } => {
                let deleted = reach.server.delete_as((job, uid), version.as_deref());
                if deleted.is_err() {
                    work.has_failed = true;
                    self.is_asked = true;
                }
            }
            Action::Release { job, uid } => reach.server.release(job, uid),
            Action::MarkStarted { job_uid } => {
                let owner = work.owner();
                if reach.server.uid() == owner {
                    let marker = format!("{owner}/{job_uid}");
                    reach.server.annotate("planescape.io/once-started", &marker);
                }
            }
            Action::Check { .. } => work.applied.checked = Some(Checked::Accepted),
            Action::Adopt { .. } | Action::End { .. } | Action::Relabel { .. } => {}
        }
    }

    fn create(&mut self, work: &mut Work, occasion: &Occasion<'_>, reach: Reach<'_>) {
        let Reach {
            server,
            chance,
            call,
        } = reach;
        let (Ok(validated), Some(material)) = (&work.whole.validated, &work.whole.material) else {
            return;
        };
        let object = run::build(validated, material, occasion);
        let name = object["metadata"]["name"].as_str().unwrap().to_owned();
        let run = run_uid(&object).to_owned();
        let before = Before {
            policy: validated.policy,
            active: server.active(),
            with_pods: server.with_pods(),
            was_suspended: work.was_suspended,
            unlawful: work.unlawful(occasion),
        };
        let created = match server.create(object, chance) {
            Ok(created) => {
                self.look_at_a_new_job((&name, &run), &before, occasion, server);
                created
            }
            Err(Refusal::Refused) if call != Call::AnswerLost => {
                self.untold += 1;
                if self.untold > 1 {
                    self.breaks("no refusal without a word", format!("Job {name}"));
                }
                work.applied.failure = Some(Failure {
                    reason: "FailedCreate",
                    message: "exceeded quota".to_owned(),
                    is_lasting: false,
                });
                return;
            }
            Err(Refusal::Refused) => {
                work.has_failed = true;
                self.unanswered = Some(name);
                return;
            }
            Err(_) => {
                let known = server.jobs[&name].clone();
                if !known.is_of(&validated.identity) {
                    let tick = known.run.tick;
                    work.applied.conflict = Some(Taken { tick, job: name });
                    return;
                }
                known
            }
        };
        if call == Call::AnswerLost {
            work.has_failed = true;
            self.unanswered = Some(name);
            return;
        }
        let (tick, rerun) = match occasion {
            Occasion::Tick(tick) => (*tick, None),
            Occasion::Rerun { at, request } => {
                let id = rerun_id(&validated.identity.uid, &request.token);
                (*at, Some(id))
            }
        };
        work.applied.started = Some(Started {
            name: name.clone(),
            uid: created.run.uid.clone(),
            tick,
            rerun,
        });
        self.cache.as_mut().unwrap().jobs.insert(name, created);
    }

    fn look_at_a_new_job(
        &mut self,
        (name, run): (&str, &str),
        before: &Before,
        occasion: &Occasion<'_>,
        server: &Server,
    ) {
        if !run.starts_with(server.uid()) {
            // A run may begin although its PlanescapeJob goes at that moment; nothing is left of it.
            return;
        }
        if server.made[run] > 1 {
            self.breaks("no instant runs twice", format!("Job {run}"));
        }
        let policy = before.policy;
        // A decision of the moment before the policy came is lawful too.
        // Two leaders with different clocks may each start an instant of their own, for as long as a request
        // is on its way.
        let is_alone = policy != ConcurrencyPolicy::Allow
            && server.policy_since < server.now
            && server.odd_rivals_at < server.now - LONGEST_REQUEST;
        if is_alone && before.with_pods > 0 {
            let how = format!("Job {name}, {policy:?}");
            self.breaks("no pods of two runs at once", how);
        }
        if is_alone && before.active > 0 {
            self.breaks("no run beside another", format!("Job {name}, {policy:?}"));
        }
        if let Some(promise) = before.unlawful {
            self.breaks(promise, format!("Job {name}"));
        }
        if before.was_suspended && matches!(occasion, Occasion::Tick(_)) {
            self.breaks("no run of a suspended job", name);
        }
    }
}

impl Operator {
    /// Whether what was decided and is written now is lawful.
    fn look_at_a_status(&mut self, work: &Work, after: &PlanescapeJobStatus, server: &Server) {
        let Some(rules) = Rules::of(&work.whole) else {
            return;
        };
        let active = work.observed.active().count();
        if let Some(skip) = work.plan.skip {
            if skip.why == Skipped::Forbid && !work.was_active {
                self.breaks("no skip that nothing blocks", "Forbid skips a run");
            }
            if !rules.allow_skip(skip, work.now, active) {
                let how = format!("{skip:?} at {}", work.now);
                self.breaks("no skip without its reason", how);
            }
        }
        let pending = after.pending_schedule_time.as_ref();
        let Some(tick) = pending.map(|pending| pending.0) else {
            return;
        };
        let deletions = work.observed.active().filter_map(|run| run.deleting_since);
        if !server.has_jumped && !rules.allow_promise(tick, work.now, deletions) {
            let how = format!("{tick} waits since {}", work.now);
            self.breaks("no promise of a run that may not start", how);
        }
    }
}

impl Cache {
    fn of(server: &Server, now: Timestamp) -> Self {
        Self {
            job: server.job.clone(),
            known: known(&server.job, now),
            jobs: server.jobs.clone(),
        }
    }
}

/// The PlanescapeJob as memory keeps it.
fn known(job: &PlanescapeJob, now: Timestamp) -> Rc<Whole> {
    let Known { job, validated } = Known::of(job.clone(), &Defaults::default(), now);
    Rc::new(Whole {
        job,
        validated,
        material: None,
    })
}

/// The way to the server at one step.
struct Reach<'a> {
    server: &'a mut Server,
    chance: &'a mut Chance,
    call: Call,
}

/// The state before a Job was made.
struct Before {
    policy: ConcurrencyPolicy,
    active: usize,
    with_pods: usize,
    was_suspended: bool,
    /// The promise that its spec gives and that the run breaks.
    unlawful: Option<&'static str>,
}

impl Work {
    fn new(whole: Rc<Whole>, observed: Observed, server: &Server, now: Timestamp) -> Self {
        let checked = whole.validated.as_ref().map_err(Vec::as_slice);
        let plan = plan(&whole.job, checked, &observed, &Defaults::default(), now);
        let mut actions: Vec<Action> = plan.actions.clone();
        actions.retain(|action| action.priority() != Priority::Tidy);
        actions.sort_by_key(Action::priority);
        Self {
            was_active: server.active() > 0,
            was_suspended: server.job.spec.suspend,
            whole,
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

    /// The UID of its PlanescapeJob.
    fn owner(&self) -> &str {
        self.whole.job.metadata.uid.as_deref().unwrap()
    }

    fn begun(&self) -> Option<(String, Started)> {
        let started = self.applied.started.clone()?;
        Some((self.owner().to_owned(), started))
    }

    fn unlawful(&self, occasion: &Occasion<'_>) -> Option<&'static str> {
        let rules = Rules::of(&self.whole)?;
        let active = self.observed.active().count();
        match occasion {
            Occasion::Tick(tick) => rules.broken_by_run(*tick, self.now, active),
            Occasion::Rerun { .. } => rules.broken_by_rerun(active),
        }
    }
}

/// The Jobs that the cache has, and the doubtful ones as the API server has them.
fn observe(
    identity: &Identity,
    job: &PlanescapeJob,
    cached: &Jobs,
    server: &Server,
    reads_active: bool,
) -> Observed {
    let cached = cached.values().cloned().collect();
    let Reading { kept, read } = Reading::of(job, cached, reads_active);
    let mut jobs = kept;
    jobs.extend(read.iter().filter_map(|(name, uid)| server.read(name, uid)));
    let pods: [KnownPod; 0] = [];
    Observed::of(identity, &jobs, &pods)
}

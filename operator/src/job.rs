//! The loop: observe, decide, act, report.

mod apply;
mod backoff;
mod begun;
mod create;
mod error;
mod orphans;
pub(crate) mod queue;
mod report;
mod tidy;
mod unreadable;

use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use kube::Client;
use kube::api::PostParams;
use planescape_operator_core::api::PlanescapeJob;
use planescape_operator_core::api::names::MANAGER;
use planescape_operator_core::api::v1alpha1::ConcurrencyPolicy;
use planescape_operator_core::defaults::Defaults;
use planescape_operator_core::job::identity::Identity;
use planescape_operator_core::job::known::{Known, Whole};
use planescape_operator_core::job::observed::Observed;
use planescape_operator_core::job::plan::{self, Plan, Wakes};
use planescape_operator_core::job::status::{Applied, Facts, Failure};
use planescape_operator_core::job::validate::{Material, ValidatedJob};
use planescape_operator_core::problem::Problem;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, info, warn};

use crate::args::limits::Limits;
use crate::clock::Clock;
use crate::cluster::client::Clients;
use crate::cluster::fresh::batch::Reader;
use crate::cluster::skew::ClockSkew;
use crate::cluster::watches::Kinds;
use crate::cluster::{events, fresh};
use crate::health::Readiness;
use crate::leader::Leadership;
use crate::metrics::{Metrics, Snapshot};
use backoff::Backoff;
use begun::Begun;
pub(crate) use error::{Error, brief};
use queue::{Queue, Running, Urgency};

/// How long the API server may take for all calls of one attempt, a slow webhook's included.
const LONGEST_ATTEMPT: Duration = Duration::from_secs(60);

/// How long what has begun may go on after a signal to end. Kubernetes kills the operator soon after.
const LONGEST_DRAIN: Duration = Duration::from_secs(5);

/// How many PlanescapeJobs that have only changed are reconciled at once, for each call that may be on its way: after a
/// first start all have.
const CHANGED_PER_CALL: usize = 2;

/// How many templates are checked at once.
const CHECKS: usize = 16;

/// When to look again at a clock that is wrong.
const CLOCK_CHECK: SignedDuration = SignedDuration::from_secs(10);

/// Namespace and name of a PlanescapeJob.
pub(crate) type Name = (String, String);

/// What a controller is told.
pub struct Settings {
    /// What PlanescapeJobs get that do not say otherwise.
    pub defaults: Defaults,
    /// The one namespace to watch; all when absent.
    pub scope: Option<String>,
    /// How much it does at once.
    pub limits: Limits,
}

/// Reconciles PlanescapeJobs.
pub struct Controller {
    clients: Clients,
    settings: Settings,
    leadership: Leadership,
    metrics: Arc<Metrics>,
    skew: Arc<ClockSkew>,
}

/// What every reconciliation reads from.
pub(crate) struct Context {
    pub(crate) clients: Clients,
    pub(crate) defaults: Defaults,
    pub(crate) kinds: Kinds,
    pub(crate) reader: Arc<Reader>,
    queue: Arc<Queue>,
    events: events::Recorder,
    backoff: Backoff,
    clock: Clock<Name>,
    orphans: mpsc::UnboundedSender<Name>,
    rivals: report::Rivals,
    begun: Begun,
    tidying: tidy::Slots,
    /// For attempts that need a template for nothing but a check.
    checks: Semaphore,
    metrics: Arc<Metrics>,
    skew: Arc<ClockSkew>,
}

/// What is seen of one PlanescapeJob, and what follows from it.
struct Attempt {
    job: PlanescapeJob,
    identity: Identity,
    validated: Result<ValidatedJob, Vec<Problem>>,
    /// Read only where a Job may be made.
    material: Option<Material>,
    observed: Observed,
    plan: Plan,
    /// What is wrong with the clock, where nothing is decided for that.
    clock_problem: Option<String>,
    now: Timestamp,
}

/// An attempt that failed, and when the next is due whatever happens.
struct Failed {
    error: Error,
    wakes: Wakes,
}

impl Controller {
    /// A controller for one namespace, or for all. It watches at any time, and acts while it leads.
    pub(crate) fn new(
        client: &Client,
        settings: Settings,
        leadership: Leadership,
        (metrics, skew): (Arc<Metrics>, Arc<ClockSkew>),
    ) -> Self {
        let concurrency = settings.limits.kube_api_concurrency.into();
        Self {
            clients: Clients::new(client, &leadership, concurrency),
            skew,
            settings,
            leadership,
            metrics,
        }
    }

    /// Reconciles until the token is cancelled.
    pub async fn run(
        self,
        readiness: Readiness,
        shutdown: CancellationToken,
    ) -> anyhow::Result<()> {
        let (orphans, former) = mpsc::unbounded_channel();
        let concurrency = usize::from(self.settings.limits.kube_api_concurrency);
        let context = Arc::new(Context {
            reader: Reader::new(self.clients.clone()),
            events: events::Recorder::new(self.clients.clone()),
            clients: self.clients,
            defaults: self.settings.defaults,
            kinds: Kinds::new(),
            queue: Arc::new(Queue::new(CHANGED_PER_CALL * concurrency)),
            backoff: Backoff::default(),
            clock: Clock::new(),
            orphans,
            rivals: report::Rivals::default(),
            begun: Begun::default(),
            tidying: tidy::Slots::default(),
            checks: Semaphore::new(CHECKS),
            metrics: self.metrics.clone(),
            skew: self.skew,
        });
        let (weak, leadership) = (Arc::downgrade(&context), self.leadership.clone());
        self.metrics.ask(move || match weak.upgrade() {
            Some(context) => context.snapshot(leadership.is_leading()),
            None => Snapshot::default(),
        });
        let client = context.clients.for_watches();
        let most = self.settings.limits.concurrent_reconciles.into();
        let scope = self.settings.scope.as_deref();
        let watch = context
            .kinds
            .watch(&client, scope, &context.defaults, &context.queue);
        let lead = async {
            let turn = async {
                context.kinds.wait_until_ready().await;
                readiness.set(true);
                info!("ready");
                self.leadership.wait().await;
            };
            tokio::select! {
                () = turn => {}
                () = shutdown.cancelled() => return,
            }
            tokio::select! {
                () = context.clock.run(|name| context.queue.push(name, Urgency::Due)) => {}
                () = orphans::tend(&context, former) => {}
                () = mind_the_clock(&context) => {}
                () = reconcile_all(&context, most, &shutdown) => {}
            }
        };
        tokio::select! {
            () = watch => {}
            () = lead => {}
            () = drained(&shutdown) => {}
        }
        readiness.set(false);
        if shutdown.is_cancelled() {
            return Ok(());
        }
        anyhow::bail!("the watches ended")
    }
}

impl Context {
    /// A Job that may have been made although nobody said so.
    pub(crate) fn take_unanswered(&self, identity: &Identity) -> Option<String> {
        let name = (identity.namespace.clone(), identity.name.clone());
        self.begun.take_unanswered(&name)
    }

    /// What is put back when looking for it has failed.
    pub(crate) fn keep_unanswered(&self, identity: &Identity, job: &str) {
        let name = (identity.namespace.clone(), identity.name.clone());
        self.begun.keep_unanswered(name, job);
    }

    fn snapshot(&self, is_leading: bool) -> Snapshot {
        let known = &self.kinds.planescape_jobs;
        let unreadable = known.outstanding(|known| known.read.is_err()).len();
        Snapshot {
            readable: known.len() - unreadable,
            unreadable,
            active: self
                .kinds
                .jobs
                .outstanding(|job| job.run.end.is_none())
                .len(),
            queue: self.queue.depth(),
            waiting: self.clients.waiting(),
            is_leading,
            next_tick: self.clock.next(),
            clock_skew: self.skew.ahead(),
        }
    }
}

/// Returns some time after the shutdown: what has begun has had the time to end by itself.
async fn drained(shutdown: &CancellationToken) {
    shutdown.cancelled().await;
    tokio::time::sleep(LONGEST_DRAIN).await;
    warn!("ends before everything that it had begun");
}

/// Looks at everything when this machine's clock goes wrong or right again: each PlanescapeJob says so.
async fn mind_the_clock(context: &Context) {
    let mut was_wrong = false;
    loop {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let problem = context.skew.problem();
        if problem.is_some() == was_wrong {
            continue;
        }
        was_wrong = problem.is_some();
        match problem {
            Some(problem) => error!("{problem}"),
            None => info!("the clock agrees with the API server's again"),
        }
        for place in context.kinds.planescape_jobs.places() {
            context.queue.push(place, Urgency::Changed);
        }
    }
}

/// Reconciles what the queue says, so many at once, and after the shutdown what has begun.
async fn reconcile_all(context: &Arc<Context>, most: usize, shutdown: &CancellationToken) {
    let mut tasks = JoinSet::new();
    loop {
        tokio::select! {
            () = shutdown.cancelled() => break,
            Some(done) = tasks.join_next() => done.expect("a reconciliation does not panic"),
            running = context.queue.next(), if tasks.len() < most => {
                tasks.spawn(reconcile(running, context.clone()));
            }
        }
    }
    while let Some(done) = tasks.join_next().await {
        done.expect("a reconciliation does not panic");
    }
}

async fn reconcile(running: Running, context: Arc<Context>) {
    let begun = Instant::now();
    let name = &running.name;
    let Some(object) = context.kinds.planescape_jobs.get(name) else {
        forget(name, &context);
        return;
    };
    let wake = match &object.read {
        Err(unreadable) => {
            let identity = &object.identity;
            context
                .events
                .publish_unreadable(identity, unreadable)
                .await;
            None
        }
        Ok(known) => match attempt(known, &context).await {
            Ok(wake) => {
                context.backoff.forget(&name.0, &name.1);
                wake
            }
            Err(failed) => Some(after_failure(name, &failed, &context)),
        },
    };
    debug!(namespace = name.0, job = name.1, ?wake, "reconciled");
    context.clock.set(name, wake);
    context.metrics.reconciled(begun.elapsed());
}

/// A Job may have asked for a PlanescapeJob that does not exist any more.
fn forget(name: &Name, context: &Context) {
    context.backoff.forget(&name.0, &name.1);
    context.clock.set(name, None);
    context.rivals.forget(name);
    context.begun.forget(name);
    // It fails only when the operator ends.
    let _ = context.orphans.send(name.clone());
}

/// When to try again: never later than what is due anyway.
fn after_failure(name: &Name, failed: &Failed, context: &Context) -> Timestamp {
    let Failed { error, wakes } = failed;
    let wait = context.backoff.wait(&name.0, &name.1, error.pace());
    if error.is_conflict() {
        debug!(namespace = name.0, job = name.1, retry = ?wait, "tries again: {error}");
    } else {
        warn!(namespace = name.0, job = name.1, retry = ?wait, "{error}");
    }
    let now = Timestamp::now();
    let wait = SignedDuration::try_from(wait).unwrap_or(SignedDuration::MAX);
    plan::wake_after_failure(*wakes, now, wait)
}

/// When to reconcile again.
async fn attempt(known: &Known, context: &Context) -> Result<Option<Timestamp>, Failed> {
    let job = &known.job;
    // Names are computed, so that a call that is cut off is found done by the next attempt.
    let work = attempt_at_leisure(known, context);
    match tokio::time::timeout(LONGEST_ATTEMPT, work).await {
        Ok(result) => result,
        Err(_) => Err(Failed::before_planning(
            job,
            Error::NoAnswer(LONGEST_ATTEMPT),
        )),
    }
}

async fn attempt_at_leisure(known: &Known, context: &Context) -> Result<Option<Timestamp>, Failed> {
    let job = &known.job;
    let failed = |error| Failed::before_planning(job, error);
    let Some(identity) = Identity::of(&job.metadata) else {
        return Ok(None);
    };
    orphans::notice(&identity, context);
    let observed = fresh::from_memory(job, &identity, context)
        .await
        .map_err(failed)?;
    let known = Whole {
        job: job.clone(),
        validated: known.validated.clone(),
        material: None,
    };
    let mut attempt = Attempt::new(known, identity, observed, context);
    // Nobody waits for a check, and whoever makes one holds its template.
    let _slot = if attempt.plan.only_checks() {
        Some(context.checks.acquire().await)
    } else {
        None
    };
    if attempt.plan.needs_fresh_reading(job) {
        // What is kept in memory may be older than what was done last.
        let Some(fresh) = attempt.fresh(context).await.map_err(failed)? else {
            return Ok(None);
        };
        attempt = fresh;
    }
    let mut applied = Applied {
        started: context.begun.resume(&attempt),
        ..Applied::default()
    };
    let made = match attempt.make(&mut applied, context).await {
        Err(Failed { error, .. }) if error.is_conflict() => {
            let Some(fresh) = attempt.fresh(context).await.map_err(failed)? else {
                return Ok(None);
            };
            attempt = fresh;
            // What was done remains to be told.
            applied = Applied {
                started: applied.started,
                adopted: applied.adopted,
                ended: applied.ended,
                ..Applied::default()
            };
            attempt.make(&mut applied, context).await
        }
        made => made,
    };
    if made.is_err() {
        context.begun.keep(&attempt, &applied);
    }
    made
}

impl Failed {
    /// The status says when the next run is due.
    fn before_planning(job: &PlanescapeJob, error: Error) -> Self {
        let status = job.status.as_ref();
        let next = status.and_then(|status| Some(status.next_schedule_time.as_ref()?.0));
        Self {
            error,
            wakes: Wakes {
                wake: next,
                due: None,
            },
        }
    }
}

impl Attempt {
    fn new(whole: Whole, identity: Identity, observed: Observed, context: &Context) -> Self {
        let Whole {
            mut job,
            validated,
            material,
        } = whole;
        let now = Timestamp::now();
        let checked = validated.as_ref().map_err(Vec::as_slice);
        let mut plan = plan::plan(&job, checked, &observed, &context.defaults, now);
        let clock_problem = context.skew.problem().filter(|_| !job.spec.suspend);
        if clock_problem.is_some() {
            plan.postpone(now.checked_add(CLOCK_CHECK).unwrap_or(now));
        }
        // Nothing after the plan needs them, and many may wait for their turn.
        job.metadata.managed_fields = None;
        Self {
            job,
            identity,
            validated,
            material,
            observed,
            plan,
            clock_problem,
            now,
        }
    }

    /// The same from the API server, unless the object is gone.
    async fn fresh(&self, context: &Context) -> Result<Option<Self>, Error> {
        let policy = self.validated.as_ref().map(|validated| validated.policy);
        let reads_active = policy.is_ok_and(|policy| policy != ConcurrencyPolicy::Allow);
        let fresh = fresh::from_server(&self.identity, reads_active, context).await?;
        Ok(fresh.map(|(job, observed)| Self::new(job, self.identity.clone(), observed, context)))
    }

    /// Does what is planned, and reports. Tidying comes last, and never fails an attempt.
    async fn make(
        &self,
        applied: &mut Applied,
        context: &Context,
    ) -> Result<Option<Timestamp>, Failed> {
        let wake = self.plan.wake;
        let failed = |error| Failed {
            error,
            wakes: self.plan.wakes(),
        };
        applied.failure = self.clock_problem.clone().map(|message| Failure {
            reason: "ClockSkew",
            message,
            is_lasting: false,
        });
        let trouble = apply::apply(self, applied, context).await;
        if trouble.is_none() && self.plan.creates() && applied.started.is_some() {
            // Others may wait for their Jobs. A name in the queue takes less memory than an attempt.
            context.begun.keep(self, applied);
            context.queue.push(self.name(), Urgency::Changed);
            return Ok(wake);
        }
        if trouble.is_none() && self.plan.changes_the_object() {
            // The watch brings it back as it is now.
            return Ok(wake);
        }
        let postponed = match report::report(self, applied, context).await {
            Err(error) if error.is_gone() => return Ok(None),
            written => written.map_err(failed)?,
        };
        let tidied = tidy::tidy(self, applied, context).await;
        if let Some(trouble) = trouble {
            return Err(failed(trouble));
        }
        if let Some(failure) = &applied.failure {
            return Err(failed(Error::Refused(failure.message.clone())));
        }
        Ok([wake, postponed, tidied].into_iter().flatten().min())
    }

    fn name(&self) -> Name {
        (self.identity.namespace.clone(), self.identity.name.clone())
    }

    fn facts<'a>(&'a self, applied: &'a Applied) -> Facts<'a> {
        Facts {
            job: &self.job,
            validated: self.validated.as_ref().map_err(Vec::as_slice),
            observed: &self.observed,
            plan: &self.plan,
            applied,
            now: self.now,
            reported: Timestamp::now(),
        }
    }
}

pub(crate) fn post_params() -> PostParams {
    PostParams {
        field_manager: Some(MANAGER.to_owned()),
        ..PostParams::default()
    }
}

//! The loop: observe, decide, act, report.

mod apply;
mod attempt;
mod backoff;
mod begun;
mod create;
mod error;
mod orphans;
pub(crate) mod queue;
mod rechecks;
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
use planescape_operator_core::defaults::Defaults;
use planescape_operator_core::job::identity::Identity;
use planescape_operator_core::job::known::{Known, Whole};
use planescape_operator_core::job::observed::Observed;
use planescape_operator_core::job::plan::{self, Plan, RECHECK, Wakes};
use planescape_operator_core::job::status::Applied;
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
use crate::cluster::index::Kept as _;
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
use rechecks::Rechecks;

/// How long reconciliations may go on after a signal to end. Kubernetes kills the operator soon after.
const LONGEST_DRAIN: Duration = Duration::from_secs(5);

/// How many PlanescapeJobs that have only changed are reconciled at once, for each call that may be on its way: after a
/// first start all have.
const CHANGED_PER_CALL: usize = 2;

/// How many templates are checked at once.
const CHECKS: usize = 16;

/// Namespace and name of a PlanescapeJob.
pub(crate) type Name = (String, String);

/// The settings of a controller.
pub struct Settings {
    /// Settings for PlanescapeJobs that have none of their own.
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

/// The parts that every reconciliation works with.
pub(crate) struct Context {
    pub(crate) clients: Clients,
    pub(crate) defaults: Defaults,
    pub(crate) kinds: Kinds,
    pub(crate) reader: Reader,
    queue: Arc<Queue>,
    events: events::Recorder,
    backoff: Backoff,
    clock: Clock<Name>,
    orphans: mpsc::UnboundedSender<Name>,
    rivals: report::Rivals,
    rechecks: Rechecks,
    begun: Begun,
    tidying: tidy::Tidying,
    /// For attempts that need a template for nothing but a check.
    checks: Semaphore,
    metrics: Arc<Metrics>,
    skew: Arc<ClockSkew>,
}

/// One PlanescapeJob as it is seen, and the plan that follows.
struct Attempt {
    job: PlanescapeJob,
    identity: Identity,
    validated: Result<ValidatedJob, Vec<Problem>>,
    /// Read only where a Job may be made.
    material: Option<Material>,
    observed: Observed,
    plan: Plan,
    /// The problem of the clock, if nothing is decided because of it.
    clock_problem: Option<String>,
    now: Timestamp,
}

/// An attempt that failed, and the latest time of the next.
struct Failed {
    error: Error,
    wakes: Wakes,
    /// Whether the status says what was done.
    is_told: bool,
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
            rechecks: Rechecks::default(),
            begun: Begun::default(),
            tidying: tidy::Tidying::default(),
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
            let hasten = async {
                let is_due = |name: &Name| context.urgency(name) == Urgency::Due;
                context.queue.hasten(is_due).await;
                std::future::pending::<()>().await;
            };
            tokio::select! {
                () = hasten => {}
                () = context.clock.run(|name| context.wake(name)) => {}
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
    /// A Job that may have been made although the API server did not say so.
    pub(crate) fn take_unanswered(&self, identity: &Identity) -> Option<String> {
        let name = (identity.namespace.clone(), identity.name.clone());
        self.begun.take_unanswered(&name)
    }

    /// Puts the Job back after looking for it has failed.
    pub(crate) fn keep_unanswered(&self, identity: &Identity, job: &str) {
        let name = (identity.namespace.clone(), identity.name.clone());
        self.begun.keep_unanswered(name, job);
    }

    /// The time of an object has come: for a run, as a rule. One that is only looked at again queues with its like.
    fn wake(&self, name: Name) {
        let urgency = if self.rechecks.is_due(&name, Instant::now()) {
            self.urgency(&name)
        } else {
            Urgency::Due
        };
        self.queue.push(name, urgency);
    }

    fn urgency(&self, name: &Name) -> Urgency {
        let known = self.kinds.planescape_jobs.get(name);
        known.map_or(Urgency::Changed, |known| known.urgency(Timestamp::now()))
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

/// Returns some time after the shutdown: reconciliations have had the time to end by themselves.
async fn drained(shutdown: &CancellationToken) {
    shutdown.cancelled().await;
    tokio::time::sleep(LONGEST_DRAIN).await;
    warn!("ends before everything that it had begun");
}

/// Looks at everything when this machine's clock goes wrong or right again: each PlanescapeJob says so.
async fn mind_the_clock(context: &Context) {
    let (mut was_wrong, mut was_odd) = (false, false);
    loop {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let problem = context.skew.problem();
        let warning = context.skew.warning();
        if let Some(warning) = warning.as_ref().filter(|_| !was_odd && problem.is_none()) {
            warn!("{warning}");
        }
        was_odd = warning.is_some();
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

/// Reconciles the objects of the queue, so many at once; after the shutdown only those that have begun.
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
        Ok(known) => match attempt(known, running.urgency, &context).await {
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
    context.tidying.forget(name);
    context.rechecks.forget(name);
    // It fails only when the operator ends.
    let _ = context.orphans.send(name.clone());
}

/// When to try again: never later than what is due anyway.
fn after_failure(name: &Name, failed: &Failed, context: &Context) -> Timestamp {
    let Failed { error, wakes, .. } = failed;
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

/// When to reconcile again. Each call has a limit, and none counts how long it has waited for its turn: an attempt that
/// were cut off while it waits would begin behind all others.
async fn attempt(
    known: &Known,
    urgency: Urgency,
    context: &Context,
) -> Result<Option<Timestamp>, Failed> {
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
    if attempt.plan.only_checks() && urgency == Urgency::Due {
        // A check is not urgent, and due runs need the places of those that are due.
        attempt.put_off_check(RECHECK);
        context.queue.push(attempt.name(), Urgency::Changed);
    }
    // A run that is made holds its template in memory.
    let _slot = if attempt.plan.only_checks() {
        Some(context.checks.acquire().await)
    } else {
        None
    };
    if attempt.plan.needs_fresh_reading(job) {
        // The copy in memory may be older than what was done last.
        let failed = |error| Failed::planned(&attempt.plan, error);
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
        Err(Failed { error, .. }) if error.is_conflict() => match attempt.fresh(context).await {
            Ok(Some(fresh)) => {
                let is_same_spec = fresh.version() == attempt.version();
                attempt = fresh;
                // The actions that were done remain to be told.
                applied = Applied {
                    started: applied.started,
                    adopted: applied.adopted,
                    ended: applied.ended,
                    refused_rerun: applied.refused_rerun,
                    checked: applied.checked.filter(|_| is_same_spec),
                    ..Applied::default()
                };
                attempt.make(&mut applied, context).await
            }
            Ok(None) => return Ok(None),
            Err(error) => Err(Failed::planned(&attempt.plan, error)),
        },
        made => made,
    };
    if let Err(failed) = &made {
        context.begun.keep(&attempt, &applied);
        if applied.checked.is_some() && !failed.is_told {
            context.rechecks.forget(&attempt.name());
        }
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
            is_told: false,
        }
    }

    /// Nothing of the plan was told.
    fn planned(plan: &Plan, error: Error) -> Self {
        Self {
            error,
            wakes: plan.wakes(),
            is_told: false,
        }
    }
}

pub(crate) fn post_params() -> PostParams {
    PostParams {
        field_manager: Some(MANAGER.to_owned()),
        ..PostParams::default()
    }
}

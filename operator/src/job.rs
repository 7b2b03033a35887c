//! The loop: observe, decide, act, report.

mod apply;
mod backoff;
mod create;
mod error;
mod orphans;
mod report;
mod tidy;

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures::{StreamExt as _, future, stream};
use jiff::Timestamp;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use kube::api::PostParams;
use kube::core::DeserializeGuard;
use kube::runtime::controller::{Action, Config, Controller as Runtime, Error as ControllerError};
use kube::runtime::reflector::{ObjectRef, Store};
use kube::runtime::watcher;
use kube::{Api, Client, Resource as _};
use planescape_operator_core::api::PlanescapeJob;
use planescape_operator_core::api::names::MANAGER;
use planescape_operator_core::api::v1alpha1::ConcurrencyPolicy;
use planescape_operator_core::defaults::Defaults;
use planescape_operator_core::job::identity::Identity;
use planescape_operator_core::job::observed::Observed;
use planescape_operator_core::job::plan::{self, Plan};
use planescape_operator_core::job::status::{Applied, Facts};
use planescape_operator_core::job::validate::{ValidatedJob, validate};
use planescape_operator_core::problem::Problem;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use crate::clock::Clock;
use crate::cluster::index::{self, Index};
use crate::cluster::{client, events, fresh, watches};
use crate::health::Readiness;
use crate::leader::Leadership;
use backoff::Backoff;
pub(crate) use error::{Error, brief};

/// One object at a time, but this many objects at once.
const CONCURRENCY: u16 = 64;

/// How long the API server may take for all calls of one attempt, a slow webhook's included.
const LONGEST_ATTEMPT: Duration = Duration::from_secs(60);

/// How long what has begun may go on after a signal to end. Kubernetes kills the operator soon after.
const LONGEST_DRAIN: Duration = Duration::from_secs(5);

/// Namespace and name of a PlanescapeJob.
type Name = (String, String);

/// What reconciling needs beside the object.
pub struct Controller {
    client: Client,
    defaults: Defaults,
    scope: Option<String>,
    leadership: Leadership,
}

/// What every reconciliation reads from.
pub(crate) struct Context {
    pub(crate) client: Client,
    defaults: Defaults,
    planescape_jobs: Store<DeserializeGuard<PlanescapeJob>>,
    pub(crate) jobs: Arc<Index<Job>>,
    pub(crate) pods: Arc<Index<Pod>>,
    events: events::Recorder,
    backoff: Backoff,
    clock: Clock<Name>,
    orphans: mpsc::UnboundedSender<Name>,
    rivals: report::Rivals,
    tidying: tidy::Slots,
    leadership: Leadership,
    shutdown: CancellationToken,
}

/// What is seen of one PlanescapeJob, and what follows from it.
struct Attempt {
    job: PlanescapeJob,
    identity: Identity,
    validated: Result<ValidatedJob, Vec<Problem>>,
    observed: Observed,
    plan: Plan,
    now: Timestamp,
}

/// An attempt that failed, and when the next is due whatever happens.
struct Failed {
    error: Error,
    wake: Option<Timestamp>,
}

impl Controller {
    /// A controller for one namespace, or for all. It watches at any time, and acts while it leads.
    pub fn new(
        client: Client,
        defaults: Defaults,
        scope: Option<String>,
        leadership: Leadership,
    ) -> Self {
        Self {
            client: client::fenced(client, leadership.clone()),
            defaults,
            scope,
            leadership,
        }
    }

    /// Reconciles until the token is cancelled.
    pub async fn run(
        self,
        readiness: Readiness,
        shutdown: CancellationToken,
    ) -> anyhow::Result<()> {
        let scope = self.scope.as_deref();
        let jobs = Arc::new(Index::new(index::keys_of_job));
        let pods = Arc::new(Index::new(index::keys_of_pod));
        let planescape_jobs = watches::planescape_jobs(&self.client, scope);
        let (orphans, former) = mpsc::unbounded_channel();
        let context = Arc::new(Context {
            client: self.client.clone(),
            defaults: self.defaults,
            planescape_jobs: planescape_jobs.store.clone(),
            jobs: jobs.clone(),
            pods: pods.clone(),
            events: events::Recorder::new(self.client.clone()),
            backoff: Backoff::default(),
            clock: Clock::new(),
            orphans,
            rivals: report::Rivals::default(),
            tidying: tidy::Slots::default(),
            leadership: self.leadership,
            shutdown: shutdown.clone(),
        });
        let (woken, due) = mpsc::unbounded_channel();
        let reconciled = Runtime::for_stream(planescape_jobs.changes, planescape_jobs.store)
            .with_config(Config::default().concurrency(CONCURRENCY))
            .owns_stream(watches::jobs(&self.client, scope, jobs))
            .watches_stream(
                watches::pods(&self.client, scope, pods),
                watches::owner_of_pod,
            )
            .reconcile_on(objects(due))
            .graceful_shutdown_on(shutdown.clone().cancelled_owned())
            .run(reconcile, |_, _, _| Action::await_change(), context.clone());

        let look_after_each = async {
            let mut reconciled = pin!(reconciled);
            while let Some(result) = reconciled.next().await {
                look_after(result, &context);
            }
        };
        let tend = async {
            context.wait_until_ready().await;
            readiness.set(true);
            info!("ready");
            context.leadership.wait().await;
            orphans::tend(&context, former).await
        };
        let others = future::join(context.clock.run(woken), tend);
        let all = async {
            tokio::select! {
                () = look_after_each => {}
                _ = others => {}
            }
        };
        let is_ended = within(&shutdown, LONGEST_DRAIN, all).await;
        readiness.set(false);
        if !is_ended {
            warn!("ends before everything that it had begun");
        }
        if shutdown.is_cancelled() {
            return Ok(());
        }
        anyhow::bail!("the watches ended")
    }
}

/// Whether some work ended, at the latest so long after the shutdown.
async fn within(shutdown: &CancellationToken, limit: Duration, work: impl Future) -> bool {
    let mut work = pin!(work);
    tokio::select! {
        _ = &mut work => return true,
        () = shutdown.cancelled() => {}
    }
    tokio::time::timeout(limit, work).await.is_ok()
}

/// Objects whose alarm went off.
fn objects(
    due: mpsc::UnboundedReceiver<Name>,
) -> impl stream::Stream<Item = ObjectRef<DeserializeGuard<PlanescapeJob>>> + Send + 'static {
    stream::unfold(due, async |mut due| {
        let (namespace, name) = due.recv().await?;
        Some((ObjectRef::new(&name).within(&namespace), due))
    })
}

/// A Job may have asked for a PlanescapeJob that does not exist any more.
fn look_after<T>(result: Result<T, ControllerError<Error, watcher::Error>>, context: &Context) {
    match result {
        Ok(_) | Err(ControllerError::ReconcilerFailed(..)) => {}
        Err(ControllerError::ObjectNotFound(object)) => {
            let name = (object.namespace.unwrap_or_default(), object.name);
            context.backoff.forget(&name.0, &name.1);
            context.clock.set(&name, None);
            context.rivals.forget(&name);
            // It fails only when the operator ends.
            let _ = context.orphans.send(name);
        }
        Err(ControllerError::QueueError(error)) => warn!("a watch failed: {error}"),
        Err(ControllerError::RunnerError(error)) => warn!("the controller failed: {error}"),
    }
}

impl Context {
    /// Without the Jobs and pods that exist, a PlanescapeJob would seem to have none.
    async fn wait_until_ready(&self) {
        // It fails only when the watch has ended, and with it the controller.
        let _ = self.planescape_jobs.wait_until_ready().await;
        self.jobs.wait_until_ready().await;
        self.pods.wait_until_ready().await;
    }

    /// Whether this operator leads by now, or ends before it does.
    async fn leads(&self) -> bool {
        self.wait_until_ready().await;
        tokio::select! {
            () = self.leadership.wait() => true,
            () = self.shutdown.cancelled() => false,
        }
    }
}

async fn reconcile(
    object: Arc<DeserializeGuard<PlanescapeJob>>,
    context: Arc<Context>,
) -> Result<Action, Error> {
    if !context.leads().await {
        return Ok(Action::await_change());
    }
    let metadata = object.meta();
    let name = (
        metadata.namespace.clone().unwrap_or_default(),
        metadata.name.clone().unwrap_or_default(),
    );
    let wake = match &object.0 {
        Err(invalid) => {
            context.events.publish_invalid(invalid).await;
            None
        }
        Ok(job) => match attempt(job, &context).await {
            Ok(wake) => {
                context.backoff.forget(&name.0, &name.1);
                wake
            }
            Err(failed) => Some(after_failure(&name, &failed, &context)),
        },
    };
    debug!(namespace = name.0, job = name.1, ?wake, "reconciled");
    context.clock.set(&name, wake);
    // The clock wakes it; a timer would not see that the time was set.
    Ok(Action::await_change())
}

/// When to try again: never later than what is due anyway.
fn after_failure(name: &Name, failed: &Failed, context: &Context) -> Timestamp {
    let Failed { error, wake } = failed;
    let wait = context.backoff.wait(&name.0, &name.1, error.pace());
    if error.is_conflict() {
        debug!(namespace = name.0, job = name.1, retry = ?wait, "tries again: {error}");
    } else {
        warn!(namespace = name.0, job = name.1, retry = ?wait, "{error}");
    }
    let now = Timestamp::now();
    let again = now.checked_add(wait).unwrap_or(now);
    wake.filter(|wake| *wake > now)
        .map_or(again, |wake| wake.min(again))
}

/// When to reconcile again.
async fn attempt(job: &PlanescapeJob, context: &Context) -> Result<Option<Timestamp>, Failed> {
    // Names are computed, so that a call that is cut off is found done by the next attempt.
    let limited = tokio::time::timeout(LONGEST_ATTEMPT, attempt_at_leisure(job, context));
    match limited.await {
        Ok(result) => result,
        Err(_) => Err(Failed::before_planning(
            job,
            Error::NoAnswer(LONGEST_ATTEMPT),
        )),
    }
}

async fn attempt_at_leisure(
    job: &PlanescapeJob,
    context: &Context,
) -> Result<Option<Timestamp>, Failed> {
    let failed = |error| Failed::before_planning(job, error);
    let Some(identity) = Identity::of(&job.metadata) else {
        return Ok(None);
    };
    orphans::notice(&identity, context);
    let observed = fresh::from_memory(job, &identity, context)
        .await
        .map_err(failed)?;
    let mut attempt = Attempt::new(job.clone(), identity, observed, &context.defaults);
    if attempt.plan.needs_fresh_reading(job) {
        // What is kept in memory may be older than what was done last.
        let Some(fresh) = attempt.fresh(context).await.map_err(failed)? else {
            return Ok(None);
        };
        attempt = fresh;
    }
    let mut applied = Applied::default();
    match attempt.make(&mut applied, context).await {
        Err(Failed { error, .. }) if error.is_conflict() => {
            let Some(fresh) = attempt.fresh(context).await.map_err(failed)? else {
                return Ok(None);
            };
            // What was done remains to be told.
            let mut again = Applied {
                started: applied.started,
                adopted: applied.adopted,
                ended: applied.ended,
                ..Applied::default()
            };
            fresh.make(&mut again, context).await
        }
        made => made,
    }
}

impl Failed {
    /// The status says when the next run is due.
    fn before_planning(job: &PlanescapeJob, error: Error) -> Self {
        let status = job.status.as_ref();
        let wake = status.and_then(|status| Some(status.next_schedule_time.as_ref()?.0));
        Self { error, wake }
    }
}

impl Attempt {
    fn new(
        job: PlanescapeJob,
        identity: Identity,
        observed: Observed,
        defaults: &Defaults,
    ) -> Self {
        let now = Timestamp::now();
        let validated = validate(&job, defaults, now);
        let checked = validated.as_ref().map_err(Vec::as_slice);
        let plan = plan::plan(&job, checked, &observed, defaults, now);
        Self {
            job,
            identity,
            validated,
            observed,
            plan,
            now,
        }
    }

    /// The same from the API server, unless the object is gone.
    async fn fresh(&self, context: &Context) -> Result<Option<Self>, Error> {
        let policy = self.validated.as_ref().map(|validated| validated.policy);
        let reads_active = policy.is_ok_and(|policy| policy != ConcurrencyPolicy::Allow);
        let fresh = fresh::from_server(&self.identity, reads_active, context).await?;
        let defaults = &context.defaults;
        Ok(fresh.map(|(job, observed)| Self::new(job, self.identity.clone(), observed, defaults)))
    }

    /// Does what is planned, and reports. Tidying comes last, and never fails an attempt.
    async fn make(
        &self,
        applied: &mut Applied,
        context: &Context,
    ) -> Result<Option<Timestamp>, Failed> {
        let wake = self.plan.wake;
        let failed = |error| Failed { error, wake };
        let trouble = apply::apply(self, applied, context).await;
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

    fn facts<'a>(&'a self, applied: &'a Applied) -> Facts<'a> {
        Facts {
            job: &self.job,
            validated: self.validated.as_ref().map_err(Vec::as_slice),
            observed: &self.observed,
            plan: &self.plan,
            applied,
            now: self.now,
        }
    }

    fn planescape_jobs(&self, client: &Client) -> Api<PlanescapeJob> {
        Api::namespaced(client.clone(), &self.identity.namespace)
    }
}

fn post_params() -> PostParams {
    PostParams {
        field_manager: Some(MANAGER.to_owned()),
        ..PostParams::default()
    }
}

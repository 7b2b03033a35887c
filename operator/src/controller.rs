//! The loop: observe, decide, act, report.

mod apply;
mod backoff;
mod dereference;
mod error_policy;
mod events;
mod orphans;
mod update_status;
mod watches;

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures::{StreamExt as _, future};
use jiff::Timestamp;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use kube::api::PostParams;
use kube::core::DeserializeGuard;
use kube::runtime::controller::{Action, Config, Controller as Runtime};
use kube::runtime::reflector::Store;
use kube::{Api, Client, Resource as _, ResourceExt as _};
use planescape_operator_core::api::PlanescapeJob;
use planescape_operator_core::api::names::MANAGER;
use planescape_operator_core::defaults::Defaults;
use planescape_operator_core::job::observed::Observed;
use planescape_operator_core::job::plan::{self, Plan};
use planescape_operator_core::job::status::{Applied, Facts};
use planescape_operator_core::job::validate::{ValidatedJob, validate};
use planescape_operator_core::problem::Problem;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info};

use crate::health::Readiness;
use backoff::Backoff;
use error_policy::{Error, within};

/// One object at a time, but this many objects at once.
const CONCURRENCY: u16 = 32;

/// A timer follows no clock that is set, so we look at the clock at least this often.
const LONGEST_SLEEP: Duration = Duration::from_secs(300);

/// Never before the instant: it would not be due yet.
const AFTER_THE_TICK: Duration = Duration::from_millis(5);

/// How long the API server may take for all calls of one look at an object.
const LONGEST_LOOK: Duration = Duration::from_secs(60);

/// What reconciling needs beside the object.
pub struct Controller {
    client: Client,
    defaults: Defaults,
    scope: Option<String>,
}

/// What one reconciliation reads from.
struct Context {
    client: Client,
    defaults: Defaults,
    planescape_jobs: Store<DeserializeGuard<PlanescapeJob>>,
    jobs: Store<Job>,
    pods: Store<Pod>,
    events: events::Recorder,
    backoff: Backoff,
}

/// One look at one PlanescapeJob, and what follows from it.
struct Turn {
    job: PlanescapeJob,
    validated: Result<ValidatedJob, Vec<Problem>>,
    observed: Observed,
    plan: Plan,
    now: Timestamp,
}

impl Controller {
    /// A controller for one namespace, or for all.
    pub fn new(client: Client, defaults: Defaults, scope: Option<String>) -> Self {
        Self {
            client,
            defaults,
            scope: scope.filter(|namespace| !namespace.is_empty()),
        }
    }

    /// Reconciles until the token is cancelled.
    pub async fn run(
        self,
        readiness: Readiness,
        shutdown: CancellationToken,
    ) -> anyhow::Result<()> {
        let watches = watches::start(&self.client, self.scope.as_deref());
        let context = Arc::new(Context {
            client: self.client.clone(),
            defaults: self.defaults,
            planescape_jobs: watches.planescape_jobs.store.clone(),
            jobs: watches.jobs.store,
            pods: watches.pods.store,
            events: events::Recorder::new(self.client),
            backoff: Backoff::default(),
        });
        let stopped = shutdown.clone().cancelled_owned();
        let reconciled = Runtime::for_stream(
            watches.planescape_jobs.changes,
            watches.planescape_jobs.store,
        )
        .with_config(Config::default().concurrency(CONCURRENCY))
        .owns_stream(watches.jobs.changes)
        .watches_stream(watches.pods.changes, watches::owner_of_pod)
        .graceful_shutdown_on(stopped)
        .run(reconcile, error_policy::error_policy, context.clone());

        let tend = async {
            let stores = (
                context.planescape_jobs.wait_until_ready(),
                context.jobs.wait_until_ready(),
                context.pods.wait_until_ready(),
            );
            if let (Ok(()), Ok(()), Ok(())) = futures::join!(stores.0, stores.1, stores.2) {
                readiness.set(true);
                info!("ready");
            }
            orphans::tend(&context).await
        };
        let look_after_each = async {
            let mut reconciled = pin!(reconciled);
            while let Some(result) = reconciled.next().await {
                orphans::look_after(result, &context).await;
            }
        };
        future::select(pin!(look_after_each), pin!(tend)).await;
        readiness.set(false);
        if shutdown.is_cancelled() {
            return Ok(());
        }
        anyhow::bail!("the watches ended")
    }
}

async fn reconcile(
    object: Arc<DeserializeGuard<PlanescapeJob>>,
    context: Arc<Context>,
) -> Result<Action, Error> {
    // Names are computed, so that a call that is cut off is found done by the next look.
    let action = within(LONGEST_LOOK, look(&object, &context)).await?;
    let metadata = object.meta();
    let namespace = metadata.namespace.as_deref().unwrap_or_default();
    let name = metadata.name.as_deref().unwrap_or_default();
    context.backoff.forget(namespace, name);
    Ok(action)
}

async fn look(
    object: &DeserializeGuard<PlanescapeJob>,
    context: &Context,
) -> Result<Action, Error> {
    let job = match &object.0 {
        Ok(job) => job.clone(),
        Err(invalid) => {
            context.events.publish_invalid(invalid).await;
            return Ok(Action::await_change());
        }
    };
    orphans::release_former(namespace(&job), &job.name_any(), context).await;
    let observed = dereference::from_stores(&job, context).await?;
    let mut turn = Turn::new(job, observed, &context.defaults);
    if turn.plan.creates() {
        // What we keep in memory may be older than what we did last.
        let Some(fresh) = turn.fresh(context).await? else {
            return Ok(Action::await_change());
        };
        turn = fresh;
    }
    match turn.take(context).await {
        Err(error) if error.is_conflict() => match turn.fresh(context).await? {
            Some(fresh) => fresh.take(context).await,
            None => Ok(Action::await_change()),
        },
        taken => taken,
    }
}

impl Turn {
    fn new(job: PlanescapeJob, observed: Observed, defaults: &Defaults) -> Self {
        let now = Timestamp::now();
        let validated = validate(&job, defaults, now);
        let checked = validated.as_ref().map_err(Vec::as_slice);
        let plan = plan::plan(&job, checked, &observed, now);
        Self {
            job,
            validated,
            observed,
            plan,
            now,
        }
    }

    /// The same from the API server, unless the object is gone.
    async fn fresh(&self, context: &Context) -> Result<Option<Self>, Error> {
        let fresh = dereference::fresh(&self.job, context).await?;
        Ok(fresh.map(|(job, observed)| Self::new(job, observed, &context.defaults)))
    }

    /// Does what is planned, and reports.
    async fn take(&self, context: &Context) -> Result<Action, Error> {
        let (applied, trouble) = apply::apply(self, context).await;
        if trouble.is_none() && self.plan.changes_the_object() {
            // The watch brings it back as it is now.
            return Ok(Action::await_change());
        }
        match update_status::update_status(self, &applied, context).await {
            Err(error) if error.is_gone() => return Ok(Action::await_change()),
            written => written?,
        }
        if let Some(trouble) = trouble {
            return Err(trouble);
        }
        if let Some(failure) = applied.failure {
            return Err(Error::Refused(failure.message));
        }
        debug!(job = self.job.metadata.name, wake = ?self.plan.wake, "reconciled");
        Ok(self.next())
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

    fn next(&self) -> Action {
        let Some(wake) = self.plan.wake else {
            return Action::await_change();
        };
        let left = wake.duration_since(Timestamp::now());
        let left = Duration::try_from(left).unwrap_or(Duration::ZERO);
        Action::requeue((left + AFTER_THE_TICK).min(LONGEST_SLEEP))
    }

    fn planescape_jobs(&self, client: &Client) -> Api<PlanescapeJob> {
        Api::namespaced(client.clone(), namespace(&self.job))
    }
}

fn namespace(job: &PlanescapeJob) -> &str {
    job.metadata.namespace.as_deref().unwrap_or("default")
}

fn post_params() -> PostParams {
    PostParams {
        field_manager: Some(MANAGER.to_owned()),
        ..PostParams::default()
    }
}

//! The loop: observe, decide, act, report.

mod apply;
mod dereference;
mod error_policy;
mod events;
mod orphans;
mod update_status;
mod watches;

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use jiff::Timestamp;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use kube::api::PostParams;
use kube::core::DeserializeGuard;
use kube::runtime::controller::{Action, Config, Controller as Runtime};
use kube::runtime::reflector::Store;
use kube::{Api, Client};
use planescape_operator_core::api::PlanescapeJob;
use planescape_operator_core::api::names::MANAGER;
use planescape_operator_core::defaults::Defaults;
use planescape_operator_core::observed::Observed;
use planescape_operator_core::plan::{self, Plan};
use planescape_operator_core::problem::Problem;
use planescape_operator_core::status::{Applied, Facts};
use planescape_operator_core::validate::{ValidatedJob, validate};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use crate::health::Readiness;
use error_policy::Error;

/// One object at a time, but this many objects at once.
const CONCURRENCY: u16 = 32;

/// A timer follows no clock that is set, so we look at the clock at least this often.
const LONGEST_SLEEP: Duration = Duration::from_secs(300);

/// Never before the instant: it would not be due yet.
const AFTER_THE_TICK: Duration = Duration::from_millis(5);

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
    jobs: Store<Job>,
    pods: Store<Pod>,
    events: events::Recorder,
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
        let planescape_jobs = watches.planescape_jobs.store.clone();
        let context = Arc::new(Context {
            client: self.client.clone(),
            defaults: self.defaults,
            jobs: watches.jobs.store,
            pods: watches.pods.store,
            events: events::Recorder::new(self.client),
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

        let announce = async {
            let stores = (
                planescape_jobs.wait_until_ready(),
                context.jobs.wait_until_ready(),
                context.pods.wait_until_ready(),
            );
            if let (Ok(()), Ok(()), Ok(())) = futures::join!(stores.0, stores.1, stores.2) {
                readiness.set(true);
                info!("ready");
            }
        };
        let look_after_each = async {
            let mut reconciled = pin!(reconciled);
            while let Some(result) = reconciled.next().await {
                orphans::look_after(result, &context).await;
            }
        };
        futures::join!(announce, look_after_each);
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
    let job = match &object.0 {
        Ok(job) => job.clone(),
        Err(invalid) => {
            warn!(error = %invalid.error, "cannot read a PlanescapeJob");
            context.events.publish_invalid(invalid).await;
            return Ok(Action::await_change());
        }
    };
    if let Err(error) = orphans::release_former(&job, &context).await {
        warn!("cannot let the Jobs of a former PlanescapeJob go: {error}");
    }
    let observed = dereference::from_stores(&job, &context).await?;
    let mut turn = Turn::new(job, observed, &context.defaults);
    if turn.plan.creates() {
        // What we keep in memory may be older than what we did last.
        let Some((job, observed)) = dereference::fresh(&turn.job, &context).await? else {
            return Ok(Action::await_change());
        };
        turn = Turn::new(job, observed, &context.defaults);
    }
    let (applied, trouble) = apply::apply(&turn, &context).await;
    if trouble.is_none() && turn.plan.changes_the_object() {
        // The watch brings it back as it is now.
        return Ok(Action::await_change());
    }
    update_status::update_status(&turn, &applied, &context).await?;
    if let Some(trouble) = trouble {
        return Err(trouble);
    }
    if let Some(failure) = applied.failure {
        return Err(Error::Refused {
            message: failure.message,
            since: error_policy::not_ready_since(&turn.job),
        });
    }
    debug!(job = turn.job.metadata.name, wake = ?turn.plan.wake, "reconciled");
    Ok(turn.next())
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

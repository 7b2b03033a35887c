//! Reads what belongs to a PlanescapeJob.

use std::sync::Arc;

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use kube::api::ListParams;
use kube::{Api, ResourceExt as _};
use planescape_operator_core::api::PlanescapeJob;
use planescape_operator_core::api::names::JOB_LABEL;
use planescape_operator_core::api::v1alpha1::Outcome;
use planescape_operator_core::job::observed::{Observed, is_owned_by};

use super::error_policy::Error;
use super::{Context, namespace};

/// From what we keep in memory.
pub(super) async fn from_stores(job: &PlanescapeJob, context: &Context) -> Result<Observed, Error> {
    let uid = job.uid().unwrap_or_default();
    let is_owned = |owned: &Job| is_owned_by(&owned.metadata, &uid);
    let mut jobs = context.jobs.state_filter(is_owned);
    jobs.extend(unseen(job, &jobs, context).await?);
    Ok(Observed::new(&jobs, &pods(job, context)))
}

/// From the API server: the PlanescapeJob as it is now, unless it is gone, and its Jobs.
pub(super) async fn fresh(
    job: &PlanescapeJob,
    context: &Context,
) -> Result<Option<(PlanescapeJob, Observed)>, Error> {
    let api: Api<PlanescapeJob> = Api::namespaced(context.client.clone(), namespace(job));
    let fresh = api
        .get_opt(&job.name_any())
        .await
        .map_err(Error::reading("the PlanescapeJob"))?;
    let Some(fresh) = fresh.filter(|fresh| fresh.uid() == job.uid()) else {
        return Ok(None);
    };
    let ours = ListParams::default().labels(&format!("{JOB_LABEL}={}", job.name_any()));
    let mut jobs = jobs_api(job, context)
        .list(&ours)
        .await
        .map_err(Error::reading("its Jobs"))?
        .items;
    let uid = job.uid().unwrap_or_default();
    jobs.retain(|owned| is_owned_by(&owned.metadata, &uid));
    let observed = Observed::new(&jobs, &pods(job, context));
    Ok(Some((fresh, observed)))
}

/// Jobs that the status says are running and that we have not seen yet: just created, or gone.
async fn unseen(
    job: &PlanescapeJob,
    seen: &[Arc<Job>],
    context: &Context,
) -> Result<Vec<Arc<Job>>, Error> {
    let mut found = Vec::new();
    for run in job.status.iter().flat_map(|status| &status.runs) {
        let is_seen = seen.iter().any(|job| job.uid().as_ref() == Some(&run.uid));
        if is_seen || run.outcome != Outcome::Running {
            continue;
        }
        let live = jobs_api(job, context)
            .get_opt(&run.job)
            .await
            .map_err(Error::reading("a Job"))?;
        found.extend(live.filter(|live| live.uid().as_ref() == Some(&run.uid)));
    }
    Ok(found.into_iter().map(Arc::new).collect())
}

fn pods(job: &PlanescapeJob, context: &Context) -> Vec<Arc<Pod>> {
    let name = job.name_any();
    context.pods.state_filter(|pod| {
        pod.metadata.namespace == job.metadata.namespace
            && pod.labels().get(JOB_LABEL) == Some(&name)
    })
}

fn jobs_api(job: &PlanescapeJob, context: &Context) -> Api<Job> {
    Api::namespaced(context.client.clone(), namespace(job))
}

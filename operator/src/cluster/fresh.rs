//! Reads what belongs to a PlanescapeJob: from what is kept in memory, or from the API server.

use std::sync::Arc;

use futures::{StreamExt as _, TryStreamExt as _, stream};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use kube::{Api, ResourceExt as _};
use planescape_operator_core::api::PlanescapeJob;
use planescape_operator_core::api::v1alpha1::Outcome;
use planescape_operator_core::job::identity::Identity;
use planescape_operator_core::job::observed::Observed;

use super::index::Key;
use crate::job::{Context, Error};

/// How many reads one object may have on their way.
const READS: usize = 8;

/// From what is kept in memory.
pub(crate) async fn from_memory(
    job: &PlanescapeJob,
    identity: &Identity,
    context: &Context,
) -> Result<Observed, Error> {
    let mut jobs = known(identity, context);
    let unseen = unseen(job, &jobs);
    jobs.extend(read(unseen, identity, context).await?);
    Ok(Observed::new(identity, &jobs, &pods(&jobs, context)))
}

/// From the API server: the PlanescapeJob as it is now, unless it is gone, and where `reads_active`
/// says so those of its Jobs that seem to run.
pub(crate) async fn from_server(
    identity: &Identity,
    reads_active: bool,
    context: &Context,
) -> Result<Option<(PlanescapeJob, Observed)>, Error> {
    let api: Api<PlanescapeJob> = Api::namespaced(context.client.clone(), &identity.namespace);
    let job = api
        .get_opt(&identity.name)
        .await
        .map_err(Error::reading("the PlanescapeJob"))?;
    let Some(job) = job.filter(|job| job.uid().as_ref() == Some(&identity.uid)) else {
        return Ok(None);
    };
    let mut jobs = known(identity, context);
    let mut names = unseen(&job, &jobs);
    if reads_active {
        let (active, ended): (Vec<_>, Vec<_>) = jobs.into_iter().partition(|job| !has_ended(job));
        names.extend(active.iter().map(|job| (job.name_any(), job.uid())));
        jobs = ended;
    }
    jobs.extend(read(names, identity, context).await?);
    let observed = Observed::new(identity, &jobs, &pods(&jobs, context));
    Ok(Some((job, observed)))
}

fn known(identity: &Identity, context: &Context) -> Vec<Arc<Job>> {
    let owner = Key::Owner(identity.namespace.clone(), identity.uid.clone());
    let label = Key::Label(identity.namespace.clone(), identity.name.clone());
    let mut jobs = context.jobs.find(&owner);
    for labelled in context.jobs.find(&label) {
        if !identity.owns(&labelled.metadata) {
            jobs.push(labelled);
        }
    }
    jobs
}

/// Name and UID of the Jobs that the status says are running and that are not known: just created,
/// without our label, or gone.
fn unseen(job: &PlanescapeJob, known: &[Arc<Job>]) -> Vec<(String, Option<String>)> {
    let runs = job.status.iter().flat_map(|status| &status.runs);
    let running = runs.filter(|run| run.outcome == Outcome::Running);
    let unseen = running.filter(|run| !known.iter().any(|it| it.uid().as_ref() == Some(&run.uid)));
    unseen
        .map(|run| (run.job.clone(), Some(run.uid.clone())))
        .collect()
}

/// Jobs by name and UID, without those that are gone.
async fn read(
    names: Vec<(String, Option<String>)>,
    identity: &Identity,
    context: &Context,
) -> Result<Vec<Arc<Job>>, Error> {
    let api: Api<Job> = Api::namespaced(context.client.clone(), &identity.namespace);
    let reads: Vec<_> = names
        .into_iter()
        .map(|(name, uid)| read_one(&api, name, uid))
        .collect();
    let reads = stream::iter(reads).buffer_unordered(READS);
    let found: Vec<Option<Job>> = reads.try_collect().await?;
    Ok(found.into_iter().flatten().map(Arc::new).collect())
}

async fn read_one(api: &Api<Job>, name: String, uid: Option<String>) -> Result<Option<Job>, Error> {
    let live = api.get_opt(&name).await.map_err(Error::reading("a Job"))?;
    Ok(live.filter(|live| live.uid() == uid))
}

fn has_ended(job: &Job) -> bool {
    let conditions = job.status.iter().flat_map(|status| &status.conditions);
    conditions
        .flatten()
        .any(|it| it.status == "True" && matches!(it.type_.as_str(), "Complete" | "Failed"))
}

fn pods(jobs: &[Arc<Job>], context: &Context) -> Vec<Arc<Pod>> {
    let keys = jobs
        .iter()
        .filter_map(|job| Some(Key::Owner(job.namespace()?, job.uid()?)));
    keys.flat_map(|key| context.pods.find(&key)).collect()
}

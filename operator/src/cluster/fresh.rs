//! Reads the Jobs and pods of a PlanescapeJob: from memory, or from the API server.

pub(crate) mod batch;

use futures::{StreamExt as _, TryStreamExt as _, stream};
use jiff::Timestamp;
use k8s_openapi::api::batch::v1::Job;
use kube::{Api, ResourceExt as _};
use planescape_operator_core::api::PlanescapeJob;
use planescape_operator_core::api::v1alpha1::ConcurrencyPolicy;
use planescape_operator_core::job::identity::Identity;
use planescape_operator_core::job::known::Whole;
use planescape_operator_core::job::observed::{KnownJob, KnownPod, Observed};
use planescape_operator_core::job::reading::Reading;
use planescape_operator_core::job::validate::policy;

use super::gate::Class;
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
    let jobs = observed(job, identity, false, context).await?;
    Ok(Observed::of(identity, &jobs, &pods(&jobs, context)))
}

/// From the API server: the PlanescapeJob as it is now, unless it is gone, and those of its Jobs that seem to run, where
/// its policy asks for them.
pub(crate) async fn from_server(
    identity: &Identity,
    context: &Context,
) -> Result<Option<(Whole, Observed)>, Error> {
    let count = context.kinds.planescape_jobs.count(&identity.namespace);
    let Some(job) = context.reader.read(identity, count).await? else {
        return Ok(None);
    };
    let reads_active = policy(&job.spec) != ConcurrencyPolicy::Allow;
    let mut jobs = observed(&job, identity, reads_active, context).await?;
    if let Some(made) = unanswered(identity, context).await? {
        // A run that starts beside one that no watch shows yet would be one too many, and an instant that has one is not
        // passed over.
        let is_known = jobs.iter().any(|job| job.run.uid == made.run.uid);
        jobs.extend((!is_known).then_some(made));
    }
    let observed = Observed::of(identity, &jobs, &pods(&jobs, context));
    let whole = Whole::of(job, &context.defaults, Timestamp::now());
    Ok(Some((whole, observed)))
}

/// The Jobs that are kept in memory, those in doubt as the API server has them.
async fn observed(
    job: &PlanescapeJob,
    identity: &Identity,
    reads_active: bool,
    context: &Context,
) -> Result<Vec<KnownJob>, Error> {
    let known = known(identity, context);
    let Reading { kept, read } = Reading::of(job, known, reads_active);
    let mut jobs = kept;
    jobs.extend(self::read(read, identity, context).await?);
    Ok(jobs)
}

/// A Job whose making the API server has not confirmed, if it was made.
async fn unanswered(identity: &Identity, context: &Context) -> Result<Option<KnownJob>, Error> {
    let Some(name) = context.take_unanswered(identity) else {
        return Ok(None);
    };
    let client = context.clients.of(Class::Run);
    let api: Api<Job> = Api::namespaced(client, &identity.namespace);
    match api.get_opt(&name).await {
        Ok(live) => Ok(live
            .filter(|live| identity.owns(&live.metadata))
            .as_ref()
            .and_then(KnownJob::fresh)),
        Err(error) => {
            context.keep_unanswered(identity, &name);
            Err(Error::reading("a Job")(error))
        }
    }
}

/// Its Jobs, and those that its name is on without being its own.
fn known(identity: &Identity, context: &Context) -> Vec<KnownJob> {
    let name = Key::PlanescapeJob(identity.namespace.clone(), identity.name.clone());
    let mut known = context.kinds.jobs.find(&name);
    known.retain(|job| job.is_of(identity) || job.label.as_ref() == Some(&identity.name));
    known
}

/// Jobs by name and UID, without those that are gone.
async fn read(
    names: Vec<(String, String)>,
    identity: &Identity,
    context: &Context,
) -> Result<Vec<KnownJob>, Error> {
    let client = context.clients.of(Class::Run);
    let api: Api<Job> = Api::namespaced(client, &identity.namespace);
    let reads: Vec<_> = names
        .into_iter()
        .map(|(name, uid)| read_one(&api, name, uid))
        .collect();
    let reads = stream::iter(reads).buffer_unordered(READS);
    let found: Vec<Option<KnownJob>> = reads.try_collect().await?;
    Ok(found.into_iter().flatten().collect())
}

async fn read_one(api: &Api<Job>, name: String, uid: String) -> Result<Option<KnownJob>, Error> {
    let live = api.get_opt(&name).await.map_err(Error::reading("a Job"))?;
    let live = live.filter(|live| live.uid().as_ref() == Some(&uid));
    Ok(live.as_ref().and_then(KnownJob::fresh))
}

fn pods(jobs: &[KnownJob], context: &Context) -> Vec<KnownPod> {
    let keys = jobs.iter().map(|job| Key::Owner(job.run.uid.clone()));
    keys.flat_map(|key| context.kinds.pods.find(&key)).collect()
}

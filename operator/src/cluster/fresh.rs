//! Reads what belongs to a PlanescapeJob: from what is kept in memory, or from the API server.

pub(crate) mod batch;

use std::sync::Arc;

use futures::{StreamExt as _, TryStreamExt as _, stream};
use jiff::Timestamp;
use k8s_openapi::api::batch::v1::Job;
use kube::{Api, ResourceExt as _};
use planescape_operator_core::api::PlanescapeJob;
use planescape_operator_core::api::v1alpha1::Outcome;
use planescape_operator_core::job::identity::Identity;
use planescape_operator_core::job::known::Whole;
use planescape_operator_core::job::observed::{KnownJob, KnownPod, Observed};

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
    let mut jobs = known(identity, context);
    let unseen = unseen(job, &jobs);
    jobs.extend(read(unseen, identity, context).await?);
    Ok(Observed::of(identity, &jobs, &pods(&jobs, context)))
}

/// From the API server: the PlanescapeJob as it is now, unless it is gone, and where `reads_active`
/// says so those of its Jobs that seem to run.
pub(crate) async fn from_server(
    identity: &Identity,
    reads_active: bool,
    context: &Context,
) -> Result<Option<(Whole, Observed)>, Error> {
    let count = context.kinds.planescape_jobs.count(&identity.namespace);
    let Some(job) = context.reader.read(identity, count).await? else {
        return Ok(None);
    };
    let mut jobs = known(identity, context);
    let mut names = unseen(&job, &jobs);
    if reads_active {
        let is_active = |job: &Arc<KnownJob>| job.run.end.is_none();
        let (active, ended): (Vec<_>, Vec<_>) = jobs.into_iter().partition(is_active);
        let active = active.iter().map(|job| &job.run);
        names.extend(active.map(|run| (run.name.clone(), run.uid.clone())));
        jobs = ended;
    }
    jobs.extend(read(names, identity, context).await?);
    if reads_active && let Some(made) = unanswered(identity, context).await? {
        // A run that starts beside one that no watch shows yet would be one too many.
        let is_known = jobs.iter().any(|job| job.run.uid == made.run.uid);
        jobs.extend((!is_known).then(|| Arc::new(made)));
    }
    let observed = Observed::of(identity, &jobs, &pods(&jobs, context));
    let whole = Whole::of(job, &context.defaults, Timestamp::now());
    Ok(Some((whole, observed)))
}

/// A Job whose making nobody has confirmed, if it was made.
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
            .and_then(KnownJob::of)),
        Err(error) => {
            context.keep_unanswered(identity, &name);
            Err(Error::reading("a Job")(error))
        }
    }
}

fn known(identity: &Identity, context: &Context) -> Vec<Arc<KnownJob>> {
    let label = Key::Label(identity.namespace.clone(), identity.name.clone());
    let jobs = &context.kinds.jobs;
    let mut known = jobs.find(&Key::Owner(identity.uid.clone()));
    known.retain(|job| job.is_of(identity));
    let labelled = jobs.find(&label).into_iter();
    known.extend(labelled.filter(|job| !job.is_of(identity)));
    known
}

/// Name and UID of the Jobs that the status says are running and that are not known: just created,
/// without our label, or gone.
fn unseen(job: &PlanescapeJob, known: &[Arc<KnownJob>]) -> Vec<(String, String)> {
    let runs = job.status.iter().flat_map(|status| &status.runs);
    let running = runs.filter(|run| run.outcome == Outcome::Running);
    let unseen = running.filter(|run| !known.iter().any(|it| it.run.uid == run.uid));
    unseen
        .map(|run| (run.job.clone(), run.uid.clone()))
        .collect()
}

/// Jobs by name and UID, without those that are gone.
async fn read(
    names: Vec<(String, String)>,
    identity: &Identity,
    context: &Context,
) -> Result<Vec<Arc<KnownJob>>, Error> {
    let client = context.clients.of(Class::Run);
    let api: Api<Job> = Api::namespaced(client, &identity.namespace);
    let reads: Vec<_> = names
        .into_iter()
        .map(|(name, uid)| read_one(&api, name, uid))
        .collect();
    let reads = stream::iter(reads).buffer_unordered(READS);
    let found: Vec<Option<KnownJob>> = reads.try_collect().await?;
    Ok(found.into_iter().flatten().map(Arc::new).collect())
}

async fn read_one(api: &Api<Job>, name: String, uid: String) -> Result<Option<KnownJob>, Error> {
    let live = api.get_opt(&name).await.map_err(Error::reading("a Job"))?;
    let live = live.filter(|live| live.uid().as_ref() == Some(&uid));
    Ok(live.as_ref().and_then(KnownJob::of))
}

fn pods(jobs: &[Arc<KnownJob>], context: &Context) -> Vec<Arc<KnownPod>> {
    let keys = jobs.iter().map(|job| Key::Owner(job.run.uid.clone()));
    keys.flat_map(|key| context.kinds.pods.find(&key)).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_run_that_the_watch_does_not_show_is_looked_for_while_the_status_says_that_it_runs() {
        let run = |name: &str, outcome: &str| {
            json!({
                "job": name, "uid": format!("{name}-uid"), "outcome": outcome,
                "scheduledTime": "2026-01-01T00:00:00Z",
            })
        };
        let job: PlanescapeJob = serde_json::from_value(json!({
            "apiVersion": "planescape.io/v1alpha1", "kind": "PlanescapeJob",
            "metadata": { "name": "nightly" },
            "spec": { "schedule": "0 3 * * *", "jobTemplate": {} },
            "status": { "runs": [run("hidden", "Running"), run("ended", "Succeeded")] },
        }))
        .unwrap();

        // Who takes our label off a Job hides it from the watch.
        let looked_for = unseen(&job, &[]);

        assert_eq!(looked_for, [("hidden".to_owned(), "hidden-uid".to_owned())]);
    }
}

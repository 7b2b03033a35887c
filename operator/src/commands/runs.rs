//! The runs of PlanescapeJobs as the cluster shows them, for the commands that print them.

use anyhow::Context as _;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use kube::api::ListParams;
use kube::{Api, Client};
use planescape_operator_core::api::PlanescapeJob;
use planescape_operator_core::api::names::JOB_LABEL;
use planescape_operator_core::api::v1alpha1::Run;
use planescape_operator_core::job::identity::Identity;
use planescape_operator_core::job::observed::{KnownJob, KnownPod, Observed};
use planescape_operator_core::receipt::Receipt;

use crate::cluster::client::scoped;

/// The namespaces to look in.
pub(super) enum Scope {
    /// In all namespaces.
    All,
    /// In one.
    Namespace(String),
}

/// PlanescapeJobs, with what belongs to them.
pub(super) struct Runs {
    owners: Vec<PlanescapeJob>,
    jobs: Vec<KnownJob>,
    pods: Vec<KnownPod>,
}

impl Runs {
    pub(super) async fn list(client: Client, scope: &Scope) -> anyhow::Result<Self> {
        let namespace = match scope {
            Scope::All => None,
            Scope::Namespace(namespace) => Some(namespace.as_str()),
        };
        let ours = ListParams::default().labels(JOB_LABEL);
        let all = ListParams::default();
        let owners: Api<PlanescapeJob> = scoped(client.clone(), namespace);
        let owners = owners
            .list(&all)
            .await
            .context("cannot list PlanescapeJobs")?;
        let jobs: Api<Job> = scoped(client.clone(), namespace);
        let jobs = jobs.list(&ours).await.context("cannot list Jobs")?;
        let pods: Api<Pod> = scoped(client, namespace);
        let pods = pods.list(&ours).await.context("cannot list pods")?;
        Ok(Self {
            owners: owners.items,
            jobs: jobs.iter().filter_map(KnownJob::of).collect(),
            pods: pods.iter().filter_map(KnownPod::of).collect(),
        })
    }

    /// The newest first, PlanescapeJob by PlanescapeJob.
    pub(super) fn receipts(&self) -> impl Iterator<Item = Receipt> {
        self.owners.iter().flat_map(|owner| {
            let identity = Identity::of(&owner.metadata);
            let runs = owner.status.as_ref().map(|status| &status.runs);
            let found = identity.zip(runs).map(|(identity, runs)| {
                let observed = Observed::of(&identity, &self.jobs, &self.pods);
                let Identity {
                    namespace, name, ..
                } = identity;
                let receipt = move |run: &Run| {
                    let job = observed.jobs.iter().find(|job| job.uid == run.uid);
                    Receipt::of(&namespace, &name, run, job)
                };
                runs.iter().map(receipt)
            });
            found.into_iter().flatten()
        })
    }
}

//! Watches PlanescapeJobs, and the Jobs and pods that bear our label.

use std::cell::Cell;
use std::fmt::Debug;

use futures::StreamExt as _;
use jiff::Timestamp;
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use kube::core::DeserializeGuard;
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Api, Client, Resource};
use planescape_operator_core::api::PlanescapeJob;
use planescape_operator_core::api::names::JOB_LABEL;
use planescape_operator_core::defaults::Defaults;
use planescape_operator_core::job::observed::{KnownJob, KnownPod};
use serde::de::DeserializeOwned;
use tracing::warn;

use super::client::scoped;
use super::index::{Index, Kept};
use super::planescape_jobs::KnownPlanescapeJob;
use super::slim::Slim;
use crate::job::queue::{Queue, Urgency};
use crate::words;

/// Objects in one answer of the API server: so many are in memory as a whole.
const PAGE: u32 = 50;

/// The watched objects, kept in memory.
pub(crate) struct Kinds {
    pub(crate) planescape_jobs: Index<KnownPlanescapeJob>,
    pub(crate) jobs: Index<KnownJob>,
    pub(crate) pods: Index<KnownPod>,
}

impl Kinds {
    /// Of nothing yet.
    pub(crate) fn new() -> Self {
        Self {
            planescape_jobs: Index::new(),
            jobs: Index::new(),
            pods: Index::new(),
        }
    }

    /// Without the Jobs and pods that exist, a PlanescapeJob would seem to have none.
    pub(crate) async fn wait_until_ready(&self) {
        self.planescape_jobs.wait_until_ready().await;
        self.jobs.wait_until_ready().await;
        self.pods.wait_until_ready().await;
    }

    /// Keeps them as they are in one namespace, or in all, and asks to reconcile what a change concerns.
    /// Ends only when the watches do, which they never should.
    pub(crate) async fn watch(
        &self,
        client: &Client,
        scope: Option<&str>,
        defaults: &Defaults,
        queue: &Queue,
    ) {
        let watch = Watch {
            client,
            scope,
            queue,
        };
        let keep = |object: DeserializeGuard<PlanescapeJob>| {
            KnownPlanescapeJob::of(object, defaults, Timestamp::now())
        };
        let all = watcher::Config::default().page_size(PAGE);
        let ours = all.clone().labels(JOB_LABEL);
        let planescape_jobs = watch.fill(all, &self.planescape_jobs, keep);
        let jobs = watch.fill(ours.clone(), &self.jobs, |job: Slim<Job>| {
            KnownJob::of(&job.0)
        });
        let pods = watch.fill(ours, &self.pods, |pod: Slim<Pod>| KnownPod::of(&pod.0));
        tokio::select! {
            () = planescape_jobs => {}
            () = jobs => {}
            () = pods => {}
        }
    }
}

struct Watch<'a> {
    client: &'a Client,
    scope: Option<&'a str>,
    queue: &'a Queue,
}

impl Watch<'_> {
    async fn fill<R, K: Kept>(
        &self,
        config: watcher::Config,
        index: &Index<K>,
        keep: impl Fn(R) -> Option<K>,
    ) where
        R: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
        R: Clone + Debug + DeserializeOwned + Send + Sync + 'static,
    {
        let api: Api<R> = scoped(self.client.clone(), self.scope);
        let mut events = std::pin::pin!(watcher(api, config).default_backoff());
        while let Some(event) = events.next().await {
            match event {
                Ok(event) => {
                    let urgency = Cell::new(Urgency::Changed);
                    let keep = |object: R| {
                        let kept = keep(object)?;
                        urgency.set(kept.urgency(Timestamp::now()));
                        Some(kept)
                    };
                    for name in index.take(event, keep) {
                        self.queue.push(name, urgency.get());
                    }
                }
                Err(error) => warn!("a watch failed: {}", words::of_watch(&error)),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;
    use kube::runtime::watcher::Event;

    use super::*;

    #[test]
    fn is_ready_when_every_kind_was_listed() {
        let kinds = Kinds::new();
        let is_ready = || kinds.wait_until_ready().now_or_never().is_some();

        assert!(!is_ready());
        kinds.planescape_jobs.take::<()>(Event::InitDone, |()| None);
        assert!(!is_ready());
        kinds.jobs.take::<()>(Event::InitDone, |()| None);
        assert!(!is_ready());
        kinds.pods.take::<()>(Event::InitDone, |()| None);
        assert!(is_ready());
    }
}

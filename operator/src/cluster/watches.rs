//! What we watch: PlanescapeJobs, and the Jobs and pods that bear our label.

use std::fmt::Debug;
use std::sync::Arc;

use futures::stream::BoxStream;
use futures::{Stream, StreamExt as _, TryStreamExt as _};
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{Pod, PodSpec, PodTemplateSpec};
use kube::core::DeserializeGuard;
use kube::runtime::reflector::{ObjectRef, Store, store};
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Api, Client, Resource};
use planescape_operator_core::api::PlanescapeJob;
use planescape_operator_core::api::names::JOB_LABEL;
use serde::de::DeserializeOwned;

use super::index::Index;

/// A stream of objects that changed.
type Changes<K> = BoxStream<'static, Result<K, watcher::Error>>;

/// PlanescapeJobs: all that there are, and each that changes.
pub(crate) struct PlanescapeJobs {
    pub(crate) store: Store<DeserializeGuard<PlanescapeJob>>,
    pub(crate) changes: Changes<DeserializeGuard<PlanescapeJob>>,
}

/// Watches PlanescapeJobs.
pub(crate) fn planescape_jobs(client: &Client, scope: Option<&str>) -> PlanescapeJobs {
    let (store, writer) = store();
    let changes = watch(client, scope, watcher::Config::default(), |_| {})
        .reflect(writer)
        .touched_objects();
    PlanescapeJobs {
        store,
        changes: changes.boxed(),
    }
}

/// Watches the Jobs that bear our label.
pub(crate) fn jobs(client: &Client, scope: Option<&str>, index: Arc<Index<Job>>) -> Changes<Job> {
    let ours = watcher::Config::default().labels(JOB_LABEL);
    indexed(watch(client, scope, ours, forget_template), index)
}

/// Watches the pods that bear our label.
pub(crate) fn pods(client: &Client, scope: Option<&str>, index: Arc<Index<Pod>>) -> Changes<Pod> {
    let ours = watcher::Config::default().labels(JOB_LABEL);
    indexed(watch(client, scope, ours, forget_spec), index)
}

fn indexed<K>(
    events: impl Stream<Item = watcher::Result<watcher::Event<K>>> + Send + 'static,
    index: Arc<Index<K>>,
) -> Changes<K>
where
    K: Resource<DynamicType = ()> + Clone + Send + Sync + 'static,
{
    let taken = events.inspect_ok(move |event| index.take(event));
    taken.touched_objects().boxed()
}

/// The PlanescapeJob that a pod's label names.
pub(crate) fn owner_of_pod(pod: Pod) -> Option<ObjectRef<DeserializeGuard<PlanescapeJob>>> {
    let labels = pod.metadata.labels?;
    let name = labels.get(JOB_LABEL)?;
    Some(ObjectRef::new(name).within(&pod.metadata.namespace?))
}

fn watch<K>(
    client: &Client,
    scope: Option<&str>,
    config: watcher::Config,
    forget: fn(&mut K),
) -> impl Stream<Item = watcher::Result<watcher::Event<K>>> + Send + 'static
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
    K: Clone + Debug + DeserializeOwned + Send + Sync + 'static,
{
    let api: Api<K> = match scope {
        Some(namespace) => Api::namespaced(client.clone(), namespace),
        None => Api::all(client.clone()),
    };
    watcher(api, config)
        .default_backoff()
        .modify(move |object| {
            object.meta_mut().managed_fields = None;
            forget(object);
        })
}

/// Decisions depend on nothing else of it, and there may be thousands.
fn forget_template(job: &mut Job) {
    if let Some(spec) = &mut job.spec {
        let pod = spec.template.spec.take();
        let grace = pod.and_then(|pod| pod.termination_grace_period_seconds);
        spec.template = PodTemplateSpec::default();
        spec.template.spec = grace.map(|grace| PodSpec {
            termination_grace_period_seconds: Some(grace),
            ..PodSpec::default()
        });
    }
}

/// No decision depends on it, and there may be thousands.
fn forget_spec(pod: &mut Pod) {
    pod.spec = None;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn remembers_of_a_template_how_long_its_pods_may_take_to_stop() {
        let mut job: Job = serde_json::from_value(serde_json::json!({ "spec": { "template": {
            "metadata": { "labels": { "a": "b" } },
            "spec": { "terminationGracePeriodSeconds": 5, "containers": [{ "name": "main" }] },
        } } }))
        .unwrap();

        forget_template(&mut job);

        let template = job.spec.unwrap().template;
        let pod = template.spec.unwrap();
        assert_eq!(template.metadata, None);
        assert_eq!(pod.termination_grace_period_seconds, Some(5));
        assert_eq!(pod.containers.len(), 0);
    }
}

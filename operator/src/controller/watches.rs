//! What we watch: PlanescapeJobs, and the Jobs and pods that bear our label.

use std::fmt::Debug;
use std::hash::Hash;

use futures::StreamExt as _;
use futures::stream::BoxStream;
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

/// Objects of one kind: all that there are, and each that changes.
pub(super) struct Watch<K: Resource<DynamicType = ()> + 'static> {
    pub(super) store: Store<K>,
    pub(super) changes: BoxStream<'static, Result<K, watcher::Error>>,
}

pub(super) struct Watches {
    pub(super) planescape_jobs: Watch<DeserializeGuard<PlanescapeJob>>,
    pub(super) jobs: Watch<Job>,
    pub(super) pods: Watch<Pod>,
}

pub(super) fn start(client: &Client, scope: Option<&str>) -> Watches {
    let all = watcher::Config::default();
    let ours = all.clone().labels(JOB_LABEL);
    Watches {
        planescape_jobs: watch(client, scope, all, |_| {}),
        jobs: watch(client, scope, ours.clone(), forget_template),
        pods: watch(client, scope, ours, forget_spec),
    }
}

/// The PlanescapeJob that a pod's label names.
pub(super) fn owner_of_pod(pod: Pod) -> Option<ObjectRef<DeserializeGuard<PlanescapeJob>>> {
    let labels = pod.metadata.labels?;
    let name = labels.get(JOB_LABEL)?;
    Some(ObjectRef::new(name).within(&pod.metadata.namespace?))
}

fn watch<K>(
    client: &Client,
    scope: Option<&str>,
    config: watcher::Config,
    forget: fn(&mut K),
) -> Watch<K>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
    K: Clone + Debug + DeserializeOwned + Send + Sync + 'static,
    K::DynamicType: Hash + Eq,
{
    let api: Api<K> = match scope {
        Some(namespace) => Api::namespaced(client.clone(), namespace),
        None => Api::all(client.clone()),
    };
    let (store, writer) = store();
    let changes = watcher(api, config)
        .default_backoff()
        .modify(move |object| {
            object.meta_mut().managed_fields = None;
            forget(object);
        })
        .reflect(writer)
        .touched_objects();
    Watch {
        store,
        changes: changes.boxed(),
    }
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

//! Objects of one kind, found by whom they belong to instead of by looking at all of them.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use kube::runtime::watcher::Event;
use kube::{Resource, ResourceExt as _};
use planescape_operator_core::api::names::JOB_LABEL;
use planescape_operator_core::job::identity::Identity;
use tokio::sync::watch;

/// How long the watch may take to show what was created.
const EXPECTED_WITHIN: Duration = Duration::from_secs(30);

/// What objects are found by.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Key {
    /// Namespace, and UID of the controlling owner.
    Owner(String, String),
    /// Namespace, and the PlanescapeJob that the label names.
    Label(String, String),
}

/// Namespace and name.
type Place = (String, String);

/// Objects of one kind.
pub(crate) struct Index<K> {
    inner: Mutex<Inner<K>>,
    keys: fn(&K) -> Vec<Key>,
    ready: watch::Sender<bool>,
}

struct Inner<K> {
    objects: BTreeMap<Place, Entry<K>>,
    by_key: HashMap<Key, HashSet<Place>>,
    /// What a list has shown so far.
    listed: Option<HashSet<Place>>,
}

struct Entry<K> {
    object: Arc<K>,
    /// When it was created from here; none once the watch has shown it.
    expected_since: Option<Instant>,
}

/// The PlanescapeJob that controls a Job, and the one that its label names.
pub(crate) fn keys_of_job(job: &Job) -> Vec<Key> {
    let namespace = job.namespace().unwrap_or_default();
    let owner = Identity::of_owner(&job.metadata);
    let owner = owner.map(|owner| Key::Owner(owner.namespace, owner.uid));
    let label = job.labels().get(JOB_LABEL);
    let label = label.map(|name| Key::Label(namespace, name.clone()));
    owner.into_iter().chain(label).collect()
}

/// The Job that controls a pod.
pub(crate) fn keys_of_pod(pod: &Pod) -> Vec<Key> {
    let namespace = pod.namespace().unwrap_or_default();
    let mut owners = pod.owner_references().iter();
    let owner = owners.find(|owner| owner.controller == Some(true));
    owner
        .map(|owner| Key::Owner(namespace, owner.uid.clone()))
        .into_iter()
        .collect()
}

impl<K: Resource + Clone> Index<K> {
    /// Of nothing yet.
    pub(crate) fn new(keys: fn(&K) -> Vec<Key>) -> Self {
        Self {
            inner: Mutex::new(Inner {
                objects: BTreeMap::new(),
                by_key: HashMap::new(),
                listed: None,
            }),
            keys,
            ready: watch::Sender::new(false),
        }
    }

    /// Takes in what the watch says.
    pub(crate) fn take(&self, event: &Event<K>) {
        let mut inner = self.inner();
        match event {
            Event::Init => inner.listed = Some(HashSet::new()),
            Event::InitApply(object) => {
                let place = place(object);
                if let Some(listed) = &mut inner.listed {
                    listed.insert(place);
                }
                inner.insert(object, self.keys, None);
            }
            Event::InitDone => {
                let listed = inner.listed.take().unwrap_or_default();
                inner.retain(&listed, self.keys);
                self.ready.send_replace(true);
            }
            Event::Apply(object) => inner.insert(object, self.keys, None),
            Event::Delete(object) => {
                let place = place(object);
                let known = inner.objects.get(&place);
                if known.is_some_and(|known| known.object.uid() == object.uid()) {
                    inner.remove(&place, self.keys);
                }
            }
        }
    }

    /// Takes in what was just created, until the watch shows it.
    pub(crate) fn expect(&self, object: &K) {
        let mut inner = self.inner();
        if !inner.objects.contains_key(&place(object)) {
            inner.insert(object, self.keys, Some(Instant::now()));
        }
    }

    /// The objects that are found by a key.
    pub(crate) fn find(&self, key: &Key) -> Vec<Arc<K>> {
        let inner = self.inner();
        let places = inner.by_key.get(key).into_iter().flatten();
        let entries = places.filter_map(|place| inner.objects.get(place));
        entries
            .filter(|entry| {
                let since = entry.expected_since;
                since.is_none_or(|since| since.elapsed() < EXPECTED_WITHIN)
            })
            .map(|entry| entry.object.clone())
            .collect()
    }

    /// All objects for which something holds. It looks at each of them.
    pub(crate) fn filter(&self, holds: impl Fn(&K) -> bool) -> Vec<Arc<K>> {
        let inner = self.inner();
        let objects = inner.objects.values().map(|entry| &entry.object);
        objects.filter(|object| holds(object)).cloned().collect()
    }

    /// Returns once all objects were listed.
    pub(crate) async fn wait_until_ready(&self) {
        let mut ready = self.ready.subscribe();
        // It fails only when the sender is gone, which this index holds.
        let _ = ready.wait_for(|ready| *ready).await;
    }

    /// A panic leaves an object without a key at worst, which the next list puts right.
    fn inner(&self) -> MutexGuard<'_, Inner<K>> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Resource + Clone> Inner<K> {
    fn insert(&mut self, object: &K, keys: fn(&K) -> Vec<Key>, expected_since: Option<Instant>) {
        let place = place(object);
        self.remove(&place, keys);
        for key in keys(object) {
            self.by_key.entry(key).or_default().insert(place.clone());
        }
        let object = Arc::new(object.clone());
        let entry = Entry {
            object,
            expected_since,
        };
        self.objects.insert(place, entry);
    }

    fn remove(&mut self, place: &Place, keys: fn(&K) -> Vec<Key>) {
        let Some(entry) = self.objects.remove(place) else {
            return;
        };
        for key in keys(&entry.object) {
            if let Some(places) = self.by_key.get_mut(&key) {
                places.remove(place);
                if places.is_empty() {
                    self.by_key.remove(&key);
                }
            }
        }
    }

    /// Forgets what a list did not show, except what is younger than it may be.
    fn retain(&mut self, listed: &HashSet<Place>, keys: fn(&K) -> Vec<Key>) {
        let is_gone = |(place, entry): &(&Place, &Entry<K>)| {
            !listed.contains(*place) && entry.expected_since.is_none()
        };
        let gone = self.objects.iter().filter(is_gone);
        let gone: Vec<Place> = gone.map(|(place, _)| place.clone()).collect();
        for place in gone {
            self.remove(&place, keys);
        }
    }
}

fn place<K: Resource>(object: &K) -> Place {
    (object.namespace().unwrap_or_default(), object.name_any())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn finds_jobs_by_owner_and_by_label_and_forgets_what_is_gone() {
        let index = Index::new(keys_of_job);
        index.take(&Event::Init);
        index.take(&Event::InitApply(job("a", "u1")));
        index.take(&Event::InitApply(job("b", "u2")));
        index.take(&Event::InitDone);

        assert_eq!(names(&index, &owner("u1")), ["a"]);
        assert_eq!(names(&index, &label("my-job")), ["a", "b"]);
        index.take(&Event::Apply(job("a", "u2")));
        assert_eq!(names(&index, &owner("u1")), [""; 0]);
        assert_eq!(names(&index, &owner("u2")), ["a", "b"]);
        index.take(&Event::Delete(job("a", "u2")));
        assert_eq!(names(&index, &owner("u2")), ["b"]);
        index.take(&Event::Init);
        index.take(&Event::InitDone);
        assert_eq!(names(&index, &label("my-job")), [""; 0]);
    }

    #[test]
    fn knows_what_it_created_before_the_watch_does() {
        let index = Index::new(keys_of_job);
        index.expect(&job("a", "u1"));
        index.take(&Event::Init);
        index.take(&Event::InitDone);

        assert_eq!(names(&index, &owner("u1")), ["a"]);
        index.take(&Event::Delete(job("a", "u1")));
        assert_eq!(names(&index, &owner("u1")), [""; 0]);
    }

    fn job(name: &str, owner: &str) -> Job {
        serde_json::from_value(json!({ "metadata": {
            "name": name,
            "namespace": "team",
            "labels": { "planescape.io/job": "my-job" },
            "ownerReferences": [{
                "apiVersion": "planescape.io/v1alpha1", "kind": "PlanescapeJob",
                "name": "my-job", "uid": owner, "controller": true,
            }],
        } }))
        .unwrap()
    }

    fn owner(uid: &str) -> Key {
        Key::Owner("team".into(), uid.into())
    }

    fn label(name: &str) -> Key {
        Key::Label("team".into(), name.into())
    }

    fn names(index: &Index<Job>, key: &Key) -> Vec<String> {
        let mut names: Vec<String> = index.find(key).iter().map(|it| it.name_any()).collect();
        names.sort();
        names
    }
}

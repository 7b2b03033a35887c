//! Objects of one kind, found by whom they belong to instead of by looking at all of them.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use kube::runtime::watcher::Event;
use planescape_operator_core::job::observed::{KnownJob, KnownPod};
use tokio::sync::watch;

/// How long the watch may take to show what was created.
const EXPECTED_WITHIN: Duration = Duration::from_secs(30);

/// What objects are found by.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Key {
    /// UID of the controlling owner.
    Owner(String),
    /// Namespace, and the PlanescapeJob that the label names.
    Label(String, String),
}

/// Namespace and name.
type Place = (String, String);

/// What is kept of an object.
pub(crate) trait Kept {
    fn place(&self) -> Place;

    /// Whether no decision tells it from another one.
    fn is_same(&self, other: &Self) -> bool;

    fn uid(&self) -> &str;

    fn keys(&self) -> Vec<Key>;

    /// The PlanescapeJobs that a change of it concerns, by namespace and name.
    fn concerns(&self) -> Vec<Place>;
}

/// Objects of one kind.
pub(crate) struct Index<K> {
    inner: Mutex<Inner<K>>,
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

impl Kept for KnownJob {
    fn is_same(&self, other: &Self) -> bool {
        self == other
    }

    fn place(&self) -> Place {
        (self.namespace.clone(), self.run.name.clone())
    }

    fn uid(&self) -> &str {
        &self.run.uid
    }

    /// The PlanescapeJob that controls it, and the one that its label names.
    fn keys(&self) -> Vec<Key> {
        let owner = self.owner.as_ref().filter(|owner| owner.controls);
        let owner = owner.map(|owner| Key::Owner(owner.uid.clone()));
        let label = self.label.clone();
        let label = label.map(|label| Key::Label(self.namespace.clone(), label));
        owner.into_iter().chain(label).collect()
    }

    fn concerns(&self) -> Vec<Place> {
        let owner = self.owner.as_ref().map(|owner| owner.name.clone());
        let label = self
            .label
            .clone()
            .filter(|label| Some(label) != owner.as_ref());
        let names = owner.into_iter().chain(label);
        names.map(|name| (self.namespace.clone(), name)).collect()
    }
}

impl Kept for KnownPod {
    fn is_same(&self, other: &Self) -> bool {
        self == other
    }

    fn place(&self) -> Place {
        (self.namespace.clone(), self.pod.name.clone())
    }

    fn uid(&self) -> &str {
        &self.pod.uid
    }

    /// The Job that controls it.
    fn keys(&self) -> Vec<Key> {
        let owner = self.job.as_ref().map(|(_, uid)| Key::Owner(uid.clone()));
        owner.into_iter().collect()
    }

    fn concerns(&self) -> Vec<Place> {
        let label = self.label.clone().into_iter();
        label.map(|name| (self.namespace.clone(), name)).collect()
    }
}

impl<K: Kept> Index<K> {
    /// Of nothing yet.
    pub(crate) fn new() -> Self {
        Self {
            inner: Mutex::new(Inner {
                objects: BTreeMap::new(),
                by_key: HashMap::new(),
                listed: None,
            }),
            ready: watch::Sender::new(false),
        }
    }

    /// Takes in what the watch says, and answers which PlanescapeJobs that concerns: none where nothing
    /// has changed that is kept.
    pub(crate) fn take<R>(&self, event: Event<R>, keep: impl Fn(R) -> Option<K>) -> Vec<Place> {
        let mut inner = self.inner();
        match event {
            Event::Init => {
                inner.listed = Some(HashSet::new());
                Vec::new()
            }
            Event::InitApply(object) => {
                let Some(object) = keep(object) else {
                    return Vec::new();
                };
                if let Some(listed) = &mut inner.listed {
                    listed.insert(object.place());
                }
                inner.insert(object, None)
            }
            Event::InitDone => {
                let listed = inner.listed.take().unwrap_or_default();
                let concerned = inner.retain(&listed);
                self.ready.send_replace(true);
                concerned
            }
            Event::Apply(object) => match keep(object) {
                Some(object) => inner.insert(object, None),
                None => Vec::new(),
            },
            Event::Delete(object) => match keep(object) {
                Some(object) => inner.forget(&object),
                None => Vec::new(),
            },
        }
    }

    /// Takes in what was just created, until the watch shows it.
    pub(crate) fn expect(&self, object: K) {
        let mut inner = self.inner();
        if !inner.objects.contains_key(&object.place()) {
            inner.insert(object, Some(Instant::now()));
        }
    }

    /// Takes in how an object is after a change that was made from here, if it is still known.
    pub(crate) fn learn(&self, object: K) {
        let mut inner = self.inner();
        let known = inner.objects.get(&object.place());
        let expected_since = known.and_then(|known| known.expected_since);
        if known.is_some_and(|known| known.object.uid() == object.uid()) {
            inner.insert(object, expected_since);
        }
    }

    /// The object of a namespace and name.
    pub(crate) fn get(&self, place: &Place) -> Option<Arc<K>> {
        let inner = self.inner();
        inner.objects.get(place).map(|entry| entry.object.clone())
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.inner().objects.len()
    }

    /// How many there are in a namespace.
    pub(crate) fn count(&self, namespace: &str) -> usize {
        let inner = self.inner();
        let from = (namespace.to_owned(), String::new());
        let objects = inner.objects.range(from..);
        objects
            .take_while(|(place, _)| place.0 == namespace)
            .count()
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

impl<K: Kept> Inner<K> {
    fn insert(&mut self, object: K, expected_since: Option<Instant>) -> Vec<Place> {
        let place = object.place();
        if let Some(known) = self.objects.get_mut(&place)
            && known.object.is_same(&object)
        {
            known.expected_since = expected_since;
            known.object = Arc::new(object);
            return Vec::new();
        }
        let mut concerned = object.concerns();
        if let Some(former) = self.remove(&place) {
            concerned.extend(former.concerns());
        }
        for key in object.keys() {
            self.by_key.entry(key).or_default().insert(place.clone());
        }
        let object = Arc::new(object);
        let entry = Entry {
            object,
            expected_since,
        };
        self.objects.insert(place, entry);
        concerned
    }

    fn forget(&mut self, object: &K) -> Vec<Place> {
        let place = object.place();
        let known = self.objects.get(&place);
        if known.is_some_and(|known| known.object.uid() == object.uid()) {
            self.remove(&place);
        }
        object.concerns()
    }

    fn remove(&mut self, place: &Place) -> Option<Arc<K>> {
        let entry = self.objects.remove(place)?;
        for key in entry.object.keys() {
            if let Some(places) = self.by_key.get_mut(&key) {
                places.remove(place);
                if places.is_empty() {
                    self.by_key.remove(&key);
                }
            }
        }
        Some(entry.object)
    }

    /// Forgets what a list did not show, except what is younger than it may be.
    fn retain(&mut self, listed: &HashSet<Place>) -> Vec<Place> {
        let is_gone = |(place, entry): &(&Place, &Entry<K>)| {
            !listed.contains(*place) && entry.expected_since.is_none()
        };
        let gone = self.objects.iter().filter(is_gone);
        let gone: Vec<Place> = gone.map(|(place, _)| place.clone()).collect();
        let gone = gone.iter().filter_map(|place| self.remove(place));
        gone.flat_map(|object| object.concerns()).collect()
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::batch::v1::Job;
    use serde_json::json;

    use super::*;

    #[test]
    fn finds_jobs_by_owner_and_by_label_and_forgets_what_is_gone() {
        let index = Index::new();
        take(&index, Event::Init);
        take(&index, Event::InitApply(job("a", "u1")));
        take(&index, Event::InitApply(job("b", "u2")));
        take(&index, Event::InitDone);

        assert_eq!(names(&index, &owner("u1")), ["a"]);
        assert_eq!(names(&index, &label("my-job")), ["a", "b"]);
        take(&index, Event::Apply(job("a", "u2")));
        assert_eq!(names(&index, &owner("u1")), [""; 0]);
        assert_eq!(names(&index, &owner("u2")), ["a", "b"]);
        take(&index, Event::Delete(job("a", "u2")));
        assert_eq!(names(&index, &owner("u2")), ["b"]);
        take(&index, Event::Init);
        take(&index, Event::InitDone);
        assert_eq!(names(&index, &label("my-job")), [""; 0]);
    }

    #[test]
    fn knows_what_it_created_before_the_watch_does() {
        let index = Index::new();
        index.expect(KnownJob::of(&job("a", "u1")).unwrap());
        take(&index, Event::Init);
        take(&index, Event::InitDone);

        assert_eq!(names(&index, &owner("u1")), ["a"]);
        take(&index, Event::Delete(job("a", "u1")));
        assert_eq!(names(&index, &owner("u1")), [""; 0]);
    }

    #[test]
    fn learns_of_its_own_changes_before_the_watch_shows_them() {
        let index = Index::new();
        let mut run = job("a", "u1");
        run.metadata.finalizers = Some(vec!["planescape.io/run-tracking".into()]);
        take(&index, Event::Apply(run.clone()));
        run.metadata.finalizers = None;

        index.learn(KnownJob::of(&run).unwrap());
        index.learn(KnownJob::of(&job("gone", "u1")).unwrap());

        let found = index.find(&owner("u1"));
        assert!(found.len() == 1 && !found[0].run.is_tracked);
        assert_eq!(take(&index, Event::Apply(run)), []);
    }

    #[test]
    fn wakes_nobody_for_a_change_that_no_decision_depends_on() {
        let index = Index::new();
        let mut run = job("a", "u1");
        let my_job = [("team".to_owned(), "my-job".to_owned())];
        assert_eq!(take(&index, Event::Apply(run.clone())), my_job);

        run.metadata.resource_version = Some("2".into());
        run.status.get_or_insert_default().active = Some(1);
        assert_eq!(take(&index, Event::Apply(run.clone())), []);

        run.metadata.finalizers = Some(vec!["planescape.io/run-tracking".into()]);
        assert_eq!(take(&index, Event::Apply(run.clone()))[0], my_job[0]);
        assert_eq!(take(&index, Event::Delete(run)), my_job);
    }

    fn take(index: &Index<KnownJob>, event: Event<Job>) -> Vec<Place> {
        index.take(event, |job| KnownJob::of(&job))
    }

    fn job(name: &str, owner: &str) -> Job {
        serde_json::from_value(json!({ "metadata": {
            "name": name,
            "namespace": "team",
            "uid": name,
            "creationTimestamp": "2026-11-24T10:00:00Z",
            "labels": { "planescape.io/job": "my-job" },
            "ownerReferences": [{
                "apiVersion": "planescape.io/v1alpha1", "kind": "PlanescapeJob",
                "name": "my-job", "uid": owner, "controller": true,
            }],
        } }))
        .unwrap()
    }

    fn owner(uid: &str) -> Key {
        Key::Owner(uid.into())
    }

    fn label(name: &str) -> Key {
        Key::Label("team".into(), name.into())
    }

    fn names(index: &Index<KnownJob>, key: &Key) -> Vec<String> {
        let found = index.find(key);
        let mut names: Vec<String> = found.iter().map(|it| it.run.name.clone()).collect();
        names.sort();
        names
    }
}

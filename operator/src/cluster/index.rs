//! Objects of one kind, found by their owners instead of by looking at all of them.

mod packed;
mod shelf;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use kube::runtime::watcher::Event;
use planescape_operator_core::job::observed::{KnownJob, KnownPod};
use tokio::sync::watch;

use crate::job::queue::Urgency;
pub(crate) use packed::Pack;
use shelf::{Number, Shelf};

/// How long the watch may take to show what was created.
const EXPECTED_WITHIN: Duration = Duration::from_secs(30);

/// Keys that objects are found by.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Key {
    /// UID of the controlling owner.
    Owner(String),
    /// Namespace and name of a PlanescapeJob that an owner reference or the label names.
    PlanescapeJob(String, String),
}

/// Namespace and name.
type Place = (String, String);

/// The kept part of an object.
pub(crate) trait Kept: Pack {
    fn place(&self) -> Place;

    /// Whether no decision tells it from another one.
    fn is_same(&self, other: &Self) -> bool;

    fn uid(&self) -> &str;

    fn keys(&self) -> Vec<Key>;

    /// Whether somebody looks for it among all.
    fn stands_out(&self) -> bool;

    /// The PlanescapeJobs that a change of it concerns, by namespace and name.
    fn concerns(&self) -> Vec<Place>;

    /// How urgent that is to them.
    fn urgency(&self, _now: Timestamp) -> Urgency {
        Urgency::Changed
    }
}

/// Objects of one kind.
pub(crate) struct Index<K> {
    inner: Mutex<Inner<K>>,
    ready: watch::Sender<bool>,
}

struct Inner<K> {
    objects: Shelf<K>,
    /// How many there are, by namespace.
    counts: BTreeMap<String, usize>,
    standing_out: BTreeSet<Number>,
    /// When those were created from here that the watch has not shown yet.
    expected: HashMap<Number, Instant>,
    /// The objects that a list has not shown yet.
    unlisted: Option<HashSet<Number>>,
}

impl Pack for KnownJob {
    const TYPICAL: &'static str = include_str!("index/typical_job.json");
}

impl Pack for KnownPod {
    const TYPICAL: &'static str = include_str!("index/typical_pod.json");
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

    fn keys(&self) -> Vec<Key> {
        let concerned = self.concerns().into_iter();
        concerned
            .map(|(namespace, name)| Key::PlanescapeJob(namespace, name))
            .collect()
    }

    /// A Job that runs, or that must be let go.
    fn stands_out(&self) -> bool {
        self.run.end.is_none() || self.run.is_tracked
    }

    /// The PlanescapeJob among its owners, and the one that its label names.
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

    fn stands_out(&self) -> bool {
        false
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
                objects: Shelf::new(),
                counts: BTreeMap::new(),
                standing_out: BTreeSet::new(),
                expected: HashMap::new(),
                unlisted: None,
            }),
            ready: watch::Sender::new(false),
        }
    }

    /// Takes in an event of the watch, and answers which PlanescapeJobs it concerns: none if nothing
    /// has changed that is kept.
    pub(crate) fn take<R>(&self, event: Event<R>, keep: impl Fn(R) -> Option<K>) -> Vec<Place> {
        let taken = match event {
            Event::Init => {
                let mut inner = self.inner();
                inner.unlisted = Some(inner.objects.numbers().collect());
                return Vec::new();
            }
            Event::InitDone => {
                let concerned = self.inner().forget_unlisted();
                self.ready.send_replace(true);
                return concerned;
            }
            Event::InitApply(object) => keep(object).map(|object| {
                let mut inner = self.inner();
                let concerned = inner.insert(&object, None);
                inner.tick_off(&object);
                concerned
            }),
            Event::Apply(object) => keep(object).map(|object| self.inner().insert(&object, None)),
            Event::Delete(object) => keep(object).map(|object| self.inner().forget(&object)),
        };
        taken.unwrap_or_default()
    }

    /// Takes in an object that was just created, until the watch shows it.
    pub(crate) fn expect(&self, object: &K) {
        let mut inner = self.inner();
        if inner.find(&object.place()).is_none() {
            inner.insert(object, Some(Instant::now()));
        }
    }

    /// Takes in how an object is after a change that was made from here, if it is still known.
    pub(crate) fn learn(&self, object: &K) {
        let mut inner = self.inner();
        let Some((number, known)) = inner.find(&object.place()) else {
            return;
        };
        if known.uid() == object.uid() {
            let expected_since = inner.expected.get(&number).copied();
            inner.insert(object, expected_since);
        }
    }

    /// The object of a namespace and name.
    pub(crate) fn get(&self, place: &Place) -> Option<K> {
        let found = self.inner().find(place);
        found.map(|(_, object)| object)
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.inner().objects.len()
    }

    /// How many there are in a namespace.
    pub(crate) fn count(&self, namespace: &str) -> usize {
        let inner = self.inner();
        inner.counts.get(namespace).copied().unwrap_or_default()
    }

    /// The objects that are found by a key.
    pub(crate) fn find(&self, key: &Key) -> Vec<K> {
        let inner = self.inner();
        let found = inner.objects.candidates(key);
        found
            .filter(|(number, object)| !inner.is_overdue(*number) && object.keys().contains(key))
            .map(|(_, object)| object)
            .collect()
    }

    /// The objects that stand out and for which something holds.
    pub(crate) fn outstanding(&self, holds: impl Fn(&K) -> bool) -> Vec<K> {
        let inner = self.inner();
        let numbers = inner.standing_out.iter();
        let objects = numbers.filter_map(|number| inner.objects.get(*number));
        objects.filter(|object| holds(object)).collect()
    }

    /// Namespace and name of each. It looks at all of them.
    pub(crate) fn places(&self) -> Vec<Place> {
        let inner = self.inner();
        let objects = inner.objects.numbers();
        let objects = objects.filter_map(|number| inner.objects.get(number));
        objects.map(|object| object.place()).collect()
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
    fn find(&self, place: &Place) -> Option<(Number, K)> {
        let mut candidates = self.objects.candidates(place);
        candidates.find(|(_, object)| object.place() == *place)
    }

    fn insert(&mut self, object: &K, expected_since: Option<Instant>) -> Vec<Place> {
        let place = object.place();
        let former = self.find(&place);
        let Some((number, former)) = former else {
            let number = self.objects.add(object);
            self.objects.link(&place, number);
            *self.counts.entry(place.0).or_default() += 1;
            self.note(number, object, expected_since);
            return object.concerns();
        };
        for key in former.keys() {
            self.objects.unlink(&key, number);
        }
        self.objects.replace(number, object);
        self.note(number, object, expected_since);
        if former.is_same(object) {
            return Vec::new();
        }
        let mut concerned = object.concerns();
        concerned.extend(former.concerns());
        concerned
    }

    /// Notes the keys and marks of an object that was put on the shelf.
    fn note(&mut self, number: Number, object: &K, expected_since: Option<Instant>) {
        for key in object.keys() {
            self.objects.link(&key, number);
        }
        if object.stands_out() {
            self.standing_out.insert(number);
        } else {
            self.standing_out.remove(&number);
        }
        match expected_since {
            Some(since) => self.expected.insert(number, since),
            None => self.expected.remove(&number),
        };
    }

    /// A list has shown an object.
    fn tick_off(&mut self, object: &K) {
        if self.unlisted.as_ref().is_none_or(HashSet::is_empty) {
            return;
        }
        let known = self.find(&object.place());
        if let (Some((number, _)), Some(unlisted)) = (known, &mut self.unlisted) {
            unlisted.remove(&number);
        }
    }

    fn forget(&mut self, object: &K) -> Vec<Place> {
        let known = self.find(&object.place());
        if let Some((number, known)) = known.filter(|(_, known)| known.uid() == object.uid()) {
            self.remove(number, &known);
        }
        object.concerns()
    }

    fn remove(&mut self, number: Number, object: &K) {
        let place = object.place();
        for key in object.keys() {
            self.objects.unlink(&key, number);
        }
        self.objects.unlink(&place, number);
        self.objects.remove(number);
        self.standing_out.remove(&number);
        self.expected.remove(&number);
        if let Some(unlisted) = &mut self.unlisted {
            unlisted.remove(&number);
        }
        if let Some(count) = self.counts.get_mut(&place.0) {
            *count -= 1;
            if *count == 0 {
                self.counts.remove(&place.0);
            }
        }
    }

    /// Forgets objects that a list did not show, except those that are too new to be in it.
    fn forget_unlisted(&mut self) -> Vec<Place> {
        let unlisted = self.unlisted.take().unwrap_or_default();
        let mut concerned = Vec::new();
        for number in unlisted {
            let known = self.objects.get(number);
            let known = known.filter(|_| !self.expected.contains_key(&number));
            if let Some(object) = known {
                self.remove(number, &object);
                concerned.extend(object.concerns());
            }
        }
        concerned
    }

    fn is_overdue(&self, number: Number) -> bool {
        let since = self.expected.get(&number);
        since.is_some_and(|since| since.elapsed() >= EXPECTED_WITHIN)
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::batch::v1::{Job, JobCondition};
    use k8s_openapi::api::core::v1::Pod;
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn finds_jobs_by_their_planescape_job_and_forgets_what_is_gone() {
        let index = Index::new();
        take(&index, Event::Init);
        take(&index, Event::InitApply(job("a", "one")));
        take(&index, Event::InitApply(job("b", "two")));
        take(&index, Event::InitDone);

        assert_eq!(names(&index, "one"), ["a"]);
        assert_eq!(names(&index, "label"), ["a", "b"]);
        take(&index, Event::Apply(job("a", "two")));
        assert_eq!(names(&index, "one"), [""; 0]);
        assert_eq!(names(&index, "two"), ["a", "b"]);
        assert_eq!((index.len(), index.count("team")), (2, 2));
        take(&index, Event::Delete(job("a", "two")));
        assert_eq!(names(&index, "two"), ["b"]);
        take(&index, Event::Init);
        take(&index, Event::InitApply(job("c", "two")));
        take(&index, Event::InitDone);
        assert_eq!(names(&index, "label"), ["c"]);
        assert_eq!((index.len(), index.count("team")), (1, 1));
    }

    #[test]
    fn finds_pods_by_the_uid_of_their_job() {
        let index = Index::new();
        let pod = |name: &str, owner: &str| -> Pod {
            serde_json::from_value(json!({ "metadata": {
                "name": name, "namespace": "team", "uid": name,
                "ownerReferences": [{
                    "apiVersion": "batch/v1", "kind": "Job", "name": "a", "uid": owner, "controller": true,
                }],
            } }))
            .unwrap()
        };
        for (name, owner) in [("a-1", "u1"), ("a-2", "u2"), ("a-3", "u1")] {
            index.take(Event::Apply(pod(name, owner)), |pod| KnownPod::of(&pod));
        }

        let found = index.find(&Key::Owner("u1".to_owned()));

        let names: Vec<&str> = found.iter().map(|it| it.pod.name.as_str()).collect();
        assert_eq!(names, ["a-1", "a-3"]);
    }

    #[test]
    fn a_pod_is_the_same_after_it_was_packed_with_all_that_its_agent_said() {
        let index = Index::new();
        let report = json!({
            "phase": "done", "reason": "SomethingNew", "role": "reader", "accessor": "a", "ttl_seconds": 3600,
            "unrevoked": ["a"], "warnings": ["w"], "login_request": "r",
            "reads": [{ "path": "kv/app", "version": 7, "request": "r" }],
        });
        let ended = json!({ "exitCode": 69, "message": report.to_string(), "finishedAt": "2026-11-24T10:00:08Z" });
        let status = |name: &str, state: Value| json!({ "name": name, "image": "", "imageID": "", "ready": false, "restartCount": 1, "state": state });
        let waiting =
            json!({ "waiting": { "reason": "ErrImagePull", "message": "\"quoted\" \u{e4}" } });
        let pod: Pod = serde_json::from_value(json!({
            "metadata": { "name": "a-1", "namespace": "team", "uid": "p", "labels": { "planescape.io/job": "a" } },
            "status": {
                "phase": "Pending",
                "initContainerStatuses": [status("vault-agent", json!({ "terminated": ended }))],
                "containerStatuses": [status("main", waiting)],
            },
        }))
        .unwrap();
        let keep = |pod: Pod| KnownPod::of(&pod);

        let first = index.take(Event::Apply(pod.clone()), keep);
        let again = index.take(Event::Apply(pod.clone()), keep);

        let kept = index.get(&("team".to_owned(), "a-1".to_owned()));
        assert!(
            kept.as_ref()
                .is_some_and(|it| it.pod.agent.is_some() && it.pod.waiting.is_some())
        );
        assert_eq!(kept, KnownPod::of(&pod));
        assert_eq!((first.len(), again.len()), (1, 0));
    }

    #[test]
    fn a_job_is_the_same_after_it_was_packed_with_all_that_is_said_on_it() {
        let index = Index::new();
        let report = json!({ "phase": "done", "reason": "Revoked", "accessor": "a" });
        let revocation = json!({ "revoked": ["a"], "at": "2026-11-24T10:00:08Z", "trouble": "t", "has_no_lease": true });
        let job: Job = serde_json::from_value(json!({
            "metadata": {
                "name": "a-1", "namespace": "team", "uid": "j", "labels": { "planescape.io/job": "a" },
                "finalizers": ["planescape.io/job-tracking"],
                "creationTimestamp": "2026-11-24T10:00:00Z",
                "annotations": {
                    "planescape.io/scheduled-at": "2026-11-24T10:00:00Z",
                    "planescape.io/ended-because": "it was told to",
                    "planescape.io/ended-as": "Replaced",
                    "planescape.io/vault-report": report.to_string(),
                    "planescape.io/revoked-p": revocation.to_string(),
                },
            },
            "spec": { "suspend": true, "template": { "spec": {
                "containers": [], "terminationGracePeriodSeconds": 7,
            } } },
            "status": { "startTime": "2026-11-24T10:00:01Z", "active": 1, "ready": 1 },
        }))
        .unwrap();
        let keep = |job: Job| KnownJob::of(&job);

        index.take(Event::Apply(job.clone()), keep);

        let kept = index.get(&("team".to_owned(), "a-1".to_owned()));
        assert!(
            kept.as_ref()
                .is_some_and(|it| it.run.credentials.is_some() && it.run.revocations[0].pod == "p")
        );
        assert_eq!(kept, KnownJob::of(&job));
    }

    #[test]
    fn knows_what_it_created_before_the_watch_does() {
        let index = Index::new();
        index.expect(&KnownJob::of(&job("a", "one")).unwrap());
        take(&index, Event::Init);
        take(&index, Event::InitDone);

        assert_eq!(names(&index, "one"), ["a"]);
        take(&index, Event::Delete(job("a", "one")));
        assert_eq!(names(&index, "one"), [""; 0]);
    }

    #[test]
    fn learns_of_its_own_changes_before_the_watch_shows_them() {
        let index = Index::new();
        let mut run = job("a", "one");
        run.metadata.finalizers = Some(vec!["planescape.io/run-tracking".into()]);
        run.status.get_or_insert_default().conditions = Some(vec![JobCondition {
            type_: "Complete".to_owned(),
            status: "True".to_owned(),
            ..JobCondition::default()
        }]);
        take(&index, Event::Apply(run.clone()));
        assert_eq!(index.outstanding(|_| true).len(), 1);
        run.metadata.finalizers = None;

        index.learn(&KnownJob::of(&run).unwrap());
        index.learn(&KnownJob::of(&job("gone", "one")).unwrap());

        let found = index.find(&name("one"));
        assert!(found.len() == 1 && !found[0].run.is_tracked);
        assert_eq!(index.outstanding(|_| true).len(), 0);
        assert_eq!(take(&index, Event::Apply(run)), []);
    }

    #[test]
    fn wakes_nobody_for_a_change_that_no_decision_depends_on() {
        let index = Index::new();
        let mut run = job("a", "my-job");
        run.metadata.labels = None;
        run.status.get_or_insert_default().active = Some(1);
        let my_job = [("team".to_owned(), "my-job".to_owned())];
        assert_eq!(take(&index, Event::Apply(run.clone())), my_job);

        run.metadata.resource_version = Some("2".into());
        run.status.get_or_insert_default().active = Some(2);
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
            "labels": { "planescape.io/job": "label" },
            "ownerReferences": [{
                "apiVersion": "planescape.io/v1alpha1", "kind": "PlanescapeJob",
                "name": owner, "uid": owner, "controller": true,
            }],
        } }))
        .unwrap()
    }

    fn name(name: &str) -> Key {
        Key::PlanescapeJob("team".into(), name.into())
    }

    fn names(index: &Index<KnownJob>, planescape_job: &str) -> Vec<String> {
        let found = index.find(&name(planescape_job));
        let mut names: Vec<String> = found.iter().map(|it| it.run.name.clone()).collect();
        names.sort();
        names
    }
}

//! The API server, the Job controller and the clock, as far as one PlanescapeJob sees them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use planescape_operator_core::api::PlanescapeJob;
use planescape_operator_core::api::v1alpha1::PlanescapeJobStatus;
use planescape_operator_core::job::observed::{End, KnownJob, ObservedJob};
use planescape_tests::chance::Chance;
use serde_json::{Value, json};

/// The UID of a PlanescapeJob that has been created so often.
fn uid(creations: u32) -> String {
    format!("0f6a0bbd-6d7e-4c4e-9df5-4c6f2f3f9f{creations:02}")
}

/// One of so many statuses is written and read as JSON.
const JOURNEYS: u64 = 8;

/// Jobs by name.
pub(crate) type Jobs = BTreeMap<String, Arc<KnownJob>>;

/// The ways in which a call can fail.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Refusal {
    Conflict,
    AlreadyExists,
    /// A quota or a policy does not let it.
    Refused,
    NoAnswer,
}

/// The label that is the same only for the same instant of the same PlanescapeJob.
pub(crate) fn run_uid(object: &Value) -> &str {
    let label = &object["metadata"]["labels"]["planescape.io/run-uid"];
    label.as_str().unwrap()
}

/// Changes whenever the Job does.
fn version(run: &ObservedJob) -> Box<str> {
    let (is_over, is_going) = (run.end.is_some(), run.is_deleting());
    format!("{} {is_over} {is_going} {}", run.uid, run.is_tracked).into()
}

/// How a Job is going to end.
struct Fate {
    at: Timestamp,
    succeeds: bool,
    /// Whether it is deleted as soon as it has ended.
    goes_at_once: bool,
    /// How long its pods take to stop.
    stopping: SignedDuration,
}

/// The fate of the pods of a Job that is deleted.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Cascade {
    /// The Job stays until they have stopped.
    Foreground,
    /// The Job goes at once, and nobody sees them any more.
    Background,
}

pub(crate) struct Server {
    pub(crate) now: Timestamp,
    pub(crate) job: Arc<PlanescapeJob>,
    pub(crate) jobs: Jobs,
    fates: BTreeMap<String, Fate>,
    /// Until when the pods of a run last, once that is known, by the UID of its Job; without those that nobody sees.
    pods: BTreeMap<String, Option<Timestamp>>,
    /// How often a Job of each run was made.
    pub(crate) made: BTreeMap<String, u32>,
    /// When the first was.
    pub(crate) made_at: BTreeMap<String, Timestamp>,
    /// How each Job ended that was not deleted before, by UID.
    pub(crate) ended: BTreeMap<String, bool>,
    /// Jobs that were deleted before anybody had to know how they end, by UID.
    pub(crate) lost: BTreeSet<String>,
    pub(crate) writes: usize,
    /// No Job is taken until then.
    pub(crate) refuses_until: Timestamp,
    /// Since when the policy is what it is.
    pub(crate) policy_since: Timestamp,
    /// Whether the clock of an operator was ever another one than this.
    pub(crate) has_jumped: bool,
    /// When two operators last led of which one has another clock than this.
    pub(crate) odd_rivals_at: Timestamp,
    /// How often the PlanescapeJob was created.
    creations: u32,
    version: u64,
}

impl Server {
    pub(crate) fn new(now: Timestamp, spec: &Value) -> Self {
        let job = json!({
            "apiVersion": "planescape.io/v1alpha1",
            "kind": "PlanescapeJob",
            "metadata": {
                "name": "my-job", "namespace": "team", "uid": uid(1), "generation": 1,
                "resourceVersion": "1", "creationTimestamp": now.to_string(),
                "managedFields": [{
                    "manager": "kubectl", "operation": "Apply", "time": now.to_string(),
                    "fieldsType": "FieldsV1", "fieldsV1": { "f:spec": {} },
                }],
            },
            "spec": spec,
        });
        Self {
            now,
            job: Arc::new(serde_json::from_value(job).unwrap()),
            jobs: Jobs::new(),
            fates: BTreeMap::new(),
            pods: BTreeMap::new(),
            made: BTreeMap::new(),
            made_at: BTreeMap::new(),
            ended: BTreeMap::new(),
            lost: BTreeSet::new(),
            writes: 0,
            refuses_until: Timestamp::MIN,
            policy_since: now,
            has_jumped: false,
            odd_rivals_at: Timestamp::MIN,
            creations: 1,
            version: 1,
        }
    }

    /// The UID of the PlanescapeJob.
    pub(crate) fn uid(&self) -> &str {
        self.job.metadata.uid.as_deref().unwrap()
    }

    /// A Job as it is now.
    pub(crate) fn read(&self, name: &str, uid: &str) -> Option<Arc<KnownJob>> {
        let known = self.jobs.get(name).filter(|known| known.run.uid == uid);
        let mut read = known.cloned()?;
        Arc::make_mut(&mut read).run.version = Some(version(&read.run));
        Some(read)
    }

    /// Deletes a Job, unless it has changed since somebody looked.
    pub(crate) fn delete_as(
        &mut self,
        (name, uid): (&str, &str),
        read: Option<&str>,
    ) -> Result<(), Refusal> {
        let Some(known) = self.jobs.get(name).filter(|known| known.run.uid == uid) else {
            return Ok(());
        };
        if read.is_some_and(|it| *it != *version(&known.run)) {
            return Err(Refusal::Conflict);
        }
        self.delete(name, Cascade::Foreground);
        Ok(())
    }

    /// The instants that have had a Job, and are still to come.
    pub(crate) fn made_for_later(&self) -> impl Iterator<Item = Timestamp> {
        let uid = self.uid();
        let scheduled = move |run: &String| run.strip_prefix(uid)?.strip_prefix('-')?.parse().ok();
        let seconds = self.made.keys().filter_map(scheduled);
        let ticks = seconds.filter_map(|seconds| Timestamp::from_second(seconds).ok());
        ticks.filter(|tick| *tick > self.now)
    }

    /// Jobs that have not ended.
    pub(crate) fn active(&self) -> usize {
        let jobs = self.jobs.values();
        jobs.filter(|job| job.run.end.is_none()).count()
    }

    /// Runs of which pods are left, as far as anybody sees them.
    pub(crate) fn with_pods(&self) -> usize {
        let lasts = self.pods.values();
        lasts
            .filter(|until| until.is_none_or(|until| until > self.now))
            .count()
    }

    /// The PlanescapeJob, to be changed.
    fn touch(&mut self) -> &mut PlanescapeJob {
        self.version += 1;
        let job = Arc::make_mut(&mut self.job);
        job.metadata.resource_version = Some(self.version.to_string());
        job
    }

    /// Somebody changes the spec.
    pub(crate) fn edit(&mut self, change: impl FnOnce(&mut PlanescapeJob)) {
        let whole = Timestamp::from_second(self.now.as_second()).unwrap();
        let job = self.touch();
        change(job);
        job.metadata.generation = job.metadata.generation.map(|it| it + 1);
        let fields = job.metadata.managed_fields.iter_mut().flatten();
        fields.for_each(|entry| entry.time = Some(Time(whole)));
    }

    pub(crate) fn annotate(&mut self, key: &str, value: &str) {
        let annotations = self.touch().metadata.annotations.get_or_insert_default();
        annotations.insert(key.to_owned(), value.to_owned());
    }

    /// Somebody deletes the PlanescapeJob with its Jobs and creates another one of its name. Plans do not care about
    /// the leftovers of the Jobs.
    pub(crate) fn recreate(&mut self) {
        self.lost.extend(self.ended.keys().cloned());
        for known in std::mem::take(&mut self.jobs).into_values() {
            self.lost.insert(known.run.uid.clone());
        }
        self.pods.clear();
        self.creations += 1;
        let (now, uid) = (self.now, uid(self.creations));
        let job = self.touch();
        job.status = None;
        let metadata = &mut job.metadata;
        metadata.uid = Some(uid);
        metadata.generation = Some(1);
        metadata.creation_timestamp = Some(Time(now));
        metadata.annotations = None;
        let fields = metadata.managed_fields.iter_mut().flatten();
        fields.for_each(|entry| entry.time = Some(Time(now)));
    }

    /// Somebody deletes the PlanescapeJob, which stays until its Jobs are gone.
    pub(crate) fn retire(&mut self) {
        let now = self.now;
        self.touch().metadata.deletion_timestamp = Some(Time(now));
    }

    pub(crate) fn write_status(
        &mut self,
        version: Option<&str>,
        status: &PlanescapeJobStatus,
    ) -> Result<(), Refusal> {
        if self.job.metadata.resource_version.as_deref() != version {
            return Err(Refusal::Conflict);
        }
        // Reading it back takes long, so only one status in so many is written and read.
        let travelled = self.version.is_multiple_of(JOURNEYS).then(|| {
            let written = serde_json::to_vec(status).unwrap();
            serde_json::from_slice(&written).unwrap()
        });
        self.touch().status = Some(travelled.unwrap_or_else(|| status.clone()));
        self.writes += 1;
        Ok(())
    }

    pub(crate) fn create(
        &mut self,
        mut object: Value,
        chance: &mut Chance,
    ) -> Result<Arc<KnownJob>, Refusal> {
        let name = object["metadata"]["name"].as_str().unwrap().to_owned();
        // Quotas and policies come before names.
        if self.now < self.refuses_until {
            return Err(Refusal::Refused);
        }
        if self.jobs.contains_key(&name) {
            return Err(Refusal::AlreadyExists);
        }
        // Two schedules, before and after an edit, may have instants in the same minute.
        let run = run_uid(&object).to_owned();
        self.made_at.entry(run.clone()).or_insert(self.now);
        *self.made.entry(run).or_default() += 1;
        let count = self.version + self.writes as u64;
        object["metadata"]["uid"] = json!(format!("{name}#{count}"));
        object["metadata"]["creationTimestamp"] = json!(self.now.to_string());
        object["status"] = json!({ "startTime": self.now.to_string() });
        let lasts = chance.pick(&[1, 5, 50, 70, 150, 300]);
        let fate = Fate {
            at: self.now + SignedDuration::from_secs(lasts),
            succeeds: !chance.once_in(4),
            goes_at_once: object["spec"]["ttlSecondsAfterFinished"] == 0,
            stopping: SignedDuration::from_secs(chance.pick(&[0, 5, 40])),
        };
        let is_owned = object["metadata"]["ownerReferences"][0]["uid"] == self.uid();
        let job: Job = serde_json::from_value(object).unwrap();
        let known = Arc::new(KnownJob::of(&job).unwrap());
        if !is_owned {
            // The garbage collector finds no such owner.
            return Ok(known);
        }
        self.fates.insert(name.clone(), fate);
        self.pods.insert(known.run.uid.clone(), None);
        self.jobs.insert(name, known.clone());
        self.writes += 1;
        Ok(known)
    }

    /// The end of a Job need not be known any more.
    pub(crate) fn lose(&mut self, name: &str) {
        if let Some(known) = self.jobs.get(name) {
            self.lost.insert(known.run.uid.clone());
        }
    }

    pub(crate) fn delete(&mut self, name: &str, cascade: Cascade) {
        if let Some(known) = self.jobs.get_mut(name)
            && !known.run.is_deleting()
        {
            let run = &mut Arc::make_mut(known).run;
            run.deleting_since = Some(self.now);
            self.writes += 1;
            if run.end.is_none() && cascade == Cascade::Foreground {
                let stopped = self.now + self.fates[name].stopping;
                self.pods.insert(run.uid.clone(), Some(stopped));
            } else if run.end.is_none() {
                self.pods.remove(&run.uid);
            }
        }
        self.collect();
    }

    pub(crate) fn release(&mut self, name: &str, uid: &str) {
        if let Some(known) = self.jobs.get_mut(name)
            && known.run.uid == uid
        {
            Arc::make_mut(known).run.is_tracked = false;
            self.writes += 1;
        }
        self.collect();
    }

    pub(crate) fn pass(&mut self, seconds: i64) {
        self.now += SignedDuration::from_secs(seconds);
        let now = self.now;
        for (name, known) in &mut self.jobs {
            let fate = &self.fates[name];
            if known.run.end.is_some() || known.run.is_deleting() || fate.at > now {
                continue;
            }
            let run = &mut Arc::make_mut(known).run;
            run.end = Some(End {
                at: Some(now),
                is_success: fate.succeeds,
                reason: None,
                message: None,
            });
            run.deleting_since = fate.goes_at_once.then_some(now);
            self.pods.insert(run.uid.clone(), Some(fate.at));
            self.ended.insert(run.uid.clone(), fate.succeeds);
        }
        self.collect();
    }

    /// Lets deleted Jobs go that have neither a finalizer nor pods that keep them.
    fn collect(&mut self) {
        let (now, pods) = (self.now, &self.pods);
        let has_pods = |uid: &String| {
            let until = pods.get(uid).copied().flatten();
            until.is_some_and(|until| until > now)
        };
        self.jobs.retain(|_, job| {
            let run = &job.run;
            run.is_tracked || !run.is_deleting() || run.end.is_none() && has_pods(&run.uid)
        });
    }
}

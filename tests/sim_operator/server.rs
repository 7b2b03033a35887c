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

pub(crate) const UID: &str = "0f6a0bbd-6d7e-4c4e-9df5-4c6f2f3f9f01";

/// One of so many statuses is written and read as JSON.
const JOURNEYS: u64 = 8;

/// Jobs by name.
pub(crate) type Jobs = BTreeMap<String, Arc<KnownJob>>;

/// What a call comes to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Refusal {
    Conflict,
    AlreadyExists,
    /// A quota or a policy does not let it.
    Refused,
    NoAnswer,
}

/// What is the same for the same instant of the same PlanescapeJob alone.
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
}

pub(crate) struct Server {
    pub(crate) now: Timestamp,
    pub(crate) job: Arc<PlanescapeJob>,
    pub(crate) jobs: Jobs,
    fates: BTreeMap<String, Fate>,
    /// How often a Job of each run was made.
    pub(crate) made: BTreeMap<String, u32>,
    /// When the first was.
    pub(crate) made_at: BTreeMap<String, Timestamp>,
    /// How each Job ended that was not deleted before, by UID.
    pub(crate) ended: BTreeMap<String, bool>,
    /// Jobs that were deleted before anybody had to know how they end, by UID.
    pub(crate) lost: BTreeSet<String>,
    pub(crate) writes: usize,
    /// Until then no Job is taken.
    pub(crate) refuses_until: Timestamp,
    version: u64,
}

impl Server {
    pub(crate) fn new(now: Timestamp, spec: &Value) -> Self {
        let job = json!({
            "apiVersion": "planescape.io/v1alpha1",
            "kind": "PlanescapeJob",
            "metadata": {
                "name": "my-job", "namespace": "team", "uid": UID, "generation": 1,
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
            made: BTreeMap::new(),
            made_at: BTreeMap::new(),
            ended: BTreeMap::new(),
            lost: BTreeSet::new(),
            writes: 0,
            refuses_until: Timestamp::MIN,
            version: 1,
        }
    }

    /// A Job as it is now.
    pub(crate) fn read(&self, name: &str, uid: &str) -> Option<Arc<KnownJob>> {
        let known = self.jobs.get(name).filter(|known| known.run.uid == uid);
        let mut read = known.cloned()?;
        Arc::make_mut(&mut read).run.version = Some(version(&read.run));
        Some(read)
    }

    /// Deletes a Job unless it is another than somebody thinks.
    pub(crate) fn delete_as(&mut self, name: &str, read: Option<&str>) -> Result<(), Refusal> {
        let known = self.jobs.get(name);
        let is_as_read = |known: &Arc<KnownJob>| read.is_none_or(|it| *it == *version(&known.run));
        if !known.is_none_or(is_as_read) {
            return Err(Refusal::Conflict);
        }
        self.delete(name);
        Ok(())
    }

    /// The instants that have had a Job, and are still to come.
    pub(crate) fn made_for_later(&self) -> impl Iterator<Item = Timestamp> {
        let scheduled = |run: &String| run.strip_prefix(UID)?.strip_prefix('-')?.parse().ok();
        let seconds = self.made.keys().filter_map(scheduled);
        let ticks = seconds.filter_map(|seconds| Timestamp::from_second(seconds).ok());
        ticks.filter(|tick| *tick > self.now)
    }

    /// Jobs that have not ended.
    pub(crate) fn active(&self) -> usize {
        let jobs = self.jobs.values();
        jobs.filter(|job| job.run.end.is_none()).count()
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
        // Now and then as it is after a journey, which takes long.
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
        if self.jobs.contains_key(&name) {
            return Err(Refusal::AlreadyExists);
        }
        if self.now < self.refuses_until {
            return Err(Refusal::Refused);
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
        };
        let job: Job = serde_json::from_value(object).unwrap();
        let known = Arc::new(KnownJob::of(&job).unwrap());
        self.fates.insert(name.clone(), fate);
        self.jobs.insert(name, known.clone());
        self.writes += 1;
        Ok(known)
    }

    /// How a Job ended, or will, need not be known.
    pub(crate) fn lose(&mut self, name: &str) {
        if let Some(known) = self.jobs.get(name) {
            self.lost.insert(known.run.uid.clone());
        }
    }

    pub(crate) fn delete(&mut self, name: &str) {
        if let Some(known) = self.jobs.get_mut(name)
            && !known.run.is_deleting()
        {
            Arc::make_mut(known).run.deleting_since = Some(self.now);
            self.writes += 1;
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
            self.ended.insert(run.uid.clone(), fate.succeeds);
        }
        self.collect();
    }

    /// What is deleted and has no finalizer goes.
    fn collect(&mut self) {
        self.jobs
            .retain(|_, job| job.run.is_tracked || !job.run.is_deleting());
    }
}

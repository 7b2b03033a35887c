//! The API server, the Job controller and the clock, as far as one PlanescapeJob sees them.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::batch::v1::Job;
use planescape_operator_core::api::PlanescapeJob;
use planescape_operator_core::job::observed::KnownJob;
use planescape_tests::chance::Chance;
use serde_json::{Value, json};

pub(crate) const UID: &str = "0f6a0bbd-6d7e-4c4e-9df5-4c6f2f3f9f01";

/// What a call comes to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Refusal {
    Conflict,
    AlreadyExists,
    NoAnswer,
}

/// What is the same for the same instant of the same PlanescapeJob alone.
pub(crate) fn run_uid(object: &Value) -> String {
    let label = &object["metadata"]["labels"]["planescape.io/run-uid"];
    label.as_str().unwrap().to_owned()
}

#[derive(Clone)]
pub(crate) struct StoredJob {
    pub(crate) object: Value,
    ends: Timestamp,
    succeeds: bool,
}

pub(crate) struct Server {
    pub(crate) now: Timestamp,
    pub(crate) job: Value,
    pub(crate) jobs: BTreeMap<String, StoredJob>,
    /// How often a Job of each run was made.
    pub(crate) made: BTreeMap<String, u32>,
    /// How each Job ended that was not deleted before, by UID.
    pub(crate) ended: BTreeMap<String, bool>,
    /// Jobs that were deleted before anybody had to know how they end, by UID.
    pub(crate) lost: BTreeSet<String>,
    pub(crate) writes: usize,
    version: u64,
}

impl Server {
    pub(crate) fn new(now: Timestamp, spec: Value) -> Self {
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
            job,
            jobs: BTreeMap::new(),
            made: BTreeMap::new(),
            ended: BTreeMap::new(),
            lost: BTreeSet::new(),
            writes: 0,
            version: 1,
        }
    }

    pub(crate) fn planescape_job(&self) -> PlanescapeJob {
        serde_json::from_value(self.job.clone()).unwrap()
    }

    pub(crate) fn known(&self, name: &str) -> Option<KnownJob> {
        let object = self.jobs.get(name)?.object.clone();
        KnownJob::of(&serde_json::from_value::<Job>(object).unwrap())
    }

    pub(crate) fn all(&self) -> BTreeMap<String, KnownJob> {
        let names = self.jobs.keys();
        names
            .map(|name| (name.clone(), self.known(name).unwrap()))
            .collect()
    }

    /// Jobs that have not ended.
    pub(crate) fn active(&self) -> usize {
        let jobs = self.jobs.values();
        jobs.filter(|job| job.object["status"]["conditions"].is_null())
            .count()
    }

    fn touch(&mut self) {
        self.version += 1;
        self.job["metadata"]["resourceVersion"] = json!(self.version.to_string());
    }

    /// Somebody changes the spec.
    pub(crate) fn edit(&mut self, field: &str, value: Value) {
        self.job["spec"][field] = value;
        let generation = self.job["metadata"]["generation"].as_i64().unwrap() + 1;
        self.job["metadata"]["generation"] = json!(generation);
        let whole = Timestamp::from_second(self.now.as_second()).unwrap();
        self.job["metadata"]["managedFields"][0]["time"] = json!(whole.to_string());
        self.touch();
    }

    pub(crate) fn annotate(&mut self, key: &str, value: &str) {
        self.job["metadata"]["annotations"][key] = json!(value);
        self.touch();
    }

    pub(crate) fn write_status(&mut self, version: &str, status: Value) -> Result<(), Refusal> {
        if self.job["metadata"]["resourceVersion"] != version {
            return Err(Refusal::Conflict);
        }
        self.job["status"] = status;
        self.writes += 1;
        self.touch();
        Ok(())
    }

    pub(crate) fn create(
        &mut self,
        mut object: Value,
        chance: &mut Chance,
    ) -> Result<KnownJob, Refusal> {
        let name = object["metadata"]["name"].as_str().unwrap().to_owned();
        if self.jobs.contains_key(&name) {
            return Err(Refusal::AlreadyExists);
        }
        // Two schedules, before and after an edit, may have instants in the same minute.
        let run = run_uid(&object);
        *self.made.entry(run).or_default() += 1;
        let count = self.version + self.writes as u64;
        object["metadata"]["uid"] = json!(format!("{name}#{count}"));
        object["metadata"]["creationTimestamp"] = json!(self.now.to_string());
        object["status"] = json!({ "startTime": self.now.to_string() });
        let lasts = chance.pick(&[1, 5, 50, 70, 150, 300]);
        let stored = StoredJob {
            object,
            ends: self.now + SignedDuration::from_secs(lasts),
            succeeds: !chance.once_in(4),
        };
        self.jobs.insert(name.clone(), stored);
        self.writes += 1;
        Ok(self.known(&name).unwrap())
    }

    /// How a Job ended, or will, need not be known.
    pub(crate) fn lose(&mut self, name: &str) {
        if let Some(known) = self.known(name) {
            self.lost.insert(known.run.uid);
        }
    }

    pub(crate) fn delete(&mut self, name: &str) {
        let now = self.now.to_string();
        if let Some(stored) = self.jobs.get_mut(name)
            && stored.object["metadata"]["deletionTimestamp"].is_null()
        {
            stored.object["metadata"]["deletionTimestamp"] = json!(now);
            self.writes += 1;
        }
        self.collect();
    }

    pub(crate) fn release(&mut self, name: &str, uid: &str) {
        if let Some(stored) = self.jobs.get_mut(name)
            && stored.object["metadata"]["uid"] == uid
        {
            stored.object["metadata"]["finalizers"] = json!([]);
            self.writes += 1;
        }
        self.collect();
    }

    pub(crate) fn pass(&mut self, seconds: i64) {
        self.now += SignedDuration::from_secs(seconds);
        let now = self.now;
        for stored in self.jobs.values_mut() {
            let object = &mut stored.object;
            let is_over = !object["status"]["conditions"].is_null();
            let is_deleting = !object["metadata"]["deletionTimestamp"].is_null();
            if is_over || is_deleting || stored.ends > now {
                continue;
            }
            let condition = if stored.succeeds {
                "Complete"
            } else {
                "Failed"
            };
            object["status"]["conditions"] = json!([{
                "type": condition, "status": "True", "lastTransitionTime": now.to_string(),
            }]);
            let uid = object["metadata"]["uid"].as_str().unwrap();
            self.ended.insert(uid.to_owned(), stored.succeeds);
            if object["spec"]["ttlSecondsAfterFinished"] == 0 {
                object["metadata"]["deletionTimestamp"] = json!(now.to_string());
            }
        }
        self.collect();
    }

    /// What is deleted and has no finalizer goes.
    fn collect(&mut self) {
        self.jobs.retain(|_, stored| {
            let metadata = &stored.object["metadata"];
            let is_held = metadata["finalizers"]
                .as_array()
                .is_some_and(|it| !it.is_empty());
            metadata["deletionTimestamp"].is_null() || is_held
        });
    }
}

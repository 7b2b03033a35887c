//! PlanescapeJobs as they are kept in memory, the unreadable ones too.

use jiff::Timestamp;
use kube::core::DeserializeGuard;
use kube::core::error_boundary::InvalidObject;
use planescape_operator_core::api::PlanescapeJob;
use planescape_operator_core::defaults::Defaults;
use planescape_operator_core::job::known::Known;

use super::index::{Kept, Key};

/// A PlanescapeJob.
pub(crate) struct KnownPlanescapeJob {
    place: (String, String),
    uid: String,
    /// Why it cannot be read, where it cannot.
    pub(crate) read: Result<Known, InvalidObject>,
}

impl KnownPlanescapeJob {
    /// What is kept of one that the API server has stored.
    pub(crate) fn of(
        object: DeserializeGuard<PlanescapeJob>,
        defaults: &Defaults,
        now: Timestamp,
    ) -> Option<Self> {
        let metadata = match &object.0 {
            Ok(job) => &job.metadata,
            Err(invalid) => &invalid.metadata,
        };
        let place = (metadata.namespace.clone()?, metadata.name.clone()?);
        let uid = metadata.uid.clone()?;
        let read = object.0.map(|job| Known::of(job, defaults, now));
        Some(Self { place, uid, read })
    }

    /// Whether it was changed so that what was planned for `job` may be wrong: its spec, or that it exists.
    pub(crate) fn outdates(&self, job: &PlanescapeJob) -> bool {
        let Ok(known) = &self.read else {
            return true;
        };
        let metadata = &known.job.metadata;
        // The watch may be behind what was read afresh.
        metadata.uid != job.metadata.uid
            || metadata.generation > job.metadata.generation
            || metadata.deletion_timestamp.is_some() && job.metadata.deletion_timestamp.is_none()
    }
}

impl Kept for KnownPlanescapeJob {
    fn is_same(&self, other: &Self) -> bool {
        match (&self.read, &other.read) {
            (Ok(known), Ok(other)) => {
                let (metadata, theirs) = (&known.job.metadata, &other.job.metadata);
                metadata.uid == theirs.uid
                    && metadata.generation == theirs.generation
                    && metadata.annotations == theirs.annotations
                    && metadata.deletion_timestamp == theirs.deletion_timestamp
                    && known.job.status == other.job.status
            }
            (Err(invalid), Err(other)) => {
                invalid.metadata.resource_version == other.metadata.resource_version
            }
            (Ok(_), Err(_)) | (Err(_), Ok(_)) => false,
        }
    }

    fn place(&self) -> (String, String) {
        self.place.clone()
    }

    fn uid(&self) -> &str {
        &self.uid
    }

    fn keys(&self) -> Vec<Key> {
        Vec::new()
    }

    fn concerns(&self) -> Vec<(String, String)> {
        vec![self.place.clone()]
    }
}

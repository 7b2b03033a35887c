//! PlanescapeJobs as they are kept in memory, the unreadable ones too.

use jiff::Timestamp;
use kube::core::DeserializeGuard;
use planescape_operator_core::api::PlanescapeJob;
use planescape_operator_core::defaults::Defaults;
use planescape_operator_core::job::identity::Identity;
use planescape_operator_core::job::known::Known;
use serde::{Deserialize, Serialize};

use super::index::{Kept, Key, Pack};
use crate::job::queue::Urgency;

/// A PlanescapeJob.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct KnownPlanescapeJob {
    pub(crate) identity: Identity,
    /// The reason, if it cannot be read.
    pub(crate) read: Result<Known, Unreadable>,
}

/// Why a PlanescapeJob cannot be read.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Unreadable {
    /// Its resourceVersion.
    pub(crate) version: Option<String>,
    /// As the decoder says. It may have found a secret.
    pub(crate) error: String,
}

impl KnownPlanescapeJob {
    /// Keeps the part of it that decisions need, if the API server has stored it.
    pub(crate) fn of(
        object: DeserializeGuard<PlanescapeJob>,
        defaults: &Defaults,
        now: Timestamp,
    ) -> Option<Self> {
        let metadata = match &object.0 {
            Ok(job) => &job.metadata,
            Err(invalid) => &invalid.metadata,
        };
        let identity = Identity::of(metadata)?;
        let read = match object.0 {
            Ok(job) => Ok(Known::of(job, defaults, now)),
            Err(invalid) => Err(Unreadable {
                version: invalid.metadata.resource_version,
                error: invalid.error,
            }),
        };
        Some(Self { identity, read })
    }

    /// Whether a change may have made a plan for `job` wrong: of its spec, or its deletion.
    pub(crate) fn outdates(&self, job: &PlanescapeJob) -> bool {
        let Ok(known) = &self.read else {
            return true;
        };
        let metadata = &known.job.metadata;
        // The watch may be behind the object that was read afresh.
        metadata.uid != job.metadata.uid
            || metadata.generation > job.metadata.generation
            || metadata.deletion_timestamp.is_some() && job.metadata.deletion_timestamp.is_none()
    }
}

impl Pack for KnownPlanescapeJob {
    const TYPICAL: &'static str = include_str!("index/typical_planescape_job.json");
}

impl Kept for KnownPlanescapeJob {
    fn is_same(&self, other: &Self) -> bool {
        match (&self.read, &other.read) {
            (Ok(known), Ok(other)) => {
                let (metadata, theirs) = (&known.job.metadata, &other.job.metadata);
                metadata.uid == theirs.uid
                    && metadata.generation == theirs.generation
                    && metadata.annotations == theirs.annotations
                    && unread(known) == unread(other)
                    && metadata.deletion_timestamp == theirs.deletion_timestamp
                    && known.job.status == other.job.status
            }
            (Err(unreadable), Err(other)) => unreadable == other,
            (Ok(_), Err(_)) | (Err(_), Ok(_)) => false,
        }
    }

    fn place(&self) -> (String, String) {
        let Identity {
            namespace, name, ..
        } = &self.identity;
        (namespace.clone(), name.clone())
    }

    fn uid(&self) -> &str {
        &self.identity.uid
    }

    fn keys(&self) -> Vec<Key> {
        Vec::new()
    }

    /// A PlanescapeJob that cannot be read.
    fn stands_out(&self) -> bool {
        self.read.is_err()
    }

    fn concerns(&self) -> Vec<(String, String)> {
        vec![self.place()]
    }

    /// A run that is to start is due: after a start of the operator it waits for no others.
    fn urgency(&self, now: Timestamp) -> Urgency {
        let is_due = self.read.as_ref().is_ok_and(|known| known.is_due(now));
        if is_due {
            Urgency::Due
        } else {
            Urgency::Changed
        }
    }
}

/// Annotations that are not kept, but told.
fn unread(known: &Known) -> Option<&str> {
    known.validated.as_ref().ok()?.unread.as_deref()
}

//! Writes the status, if it changed, and tells of the change in events.

use std::collections::{HashMap, HashSet};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::Api;
use kube::api::{ApiResource, DynamicObject};
use planescape_operator_core::api::PlanescapeJob;
use planescape_operator_core::api::v1alpha1::PlanescapeJobStatus;
use planescape_operator_core::job::identity::Identity;
use planescape_operator_core::job::status::{Applied, Event, events, status};
use planescape_operator_core::receipt::{Receipt, settled_between};
use serde_json::json;
use tracing::{info, warn};

use super::error::Error;
use super::{Attempt, Context, Name, post_params};
use crate::cluster::gate::Class;

/// So often the same status is written again at once: what is kept in memory may be old.
const AT_ONCE: u32 = 2;

/// The longest wait before the same status is written again.
const LONGEST_WAIT: Duration = Duration::from_secs(300);

/// Without what it forgets, late runs and runs by hand of Forbid and Replace do not start.
const OUTDATED: &str = "The definition of PlanescapeJobs in the cluster is older than this operator, and the API server forgets a part of each status: late runs and runs by hand may not start; kubectl apply --server-side -f deploy/10-planescapejobs.yaml";

/// Writes of a status that somebody else writes over.
#[derive(Debug, Default)]
pub(super) struct Rivals {
    writes: Mutex<HashMap<Name, Written>>,
    /// The objects of which it was told that the API server forgets a part of what is written.
    outdated: Mutex<HashSet<Name>>,
}

#[derive(Clone, Copy, Debug)]
struct Written {
    /// The digest of the status.
    digest: u64,
    at: Instant,
    times: u32,
}

/// Writes the status. When it has to wait, because another operator with other settings writes
/// another one each time: when to write again. The write fails when somebody else wrote in between.
pub(super) async fn report(
    attempt: &Attempt,
    applied: &Applied,
    context: &Context,
) -> Result<Option<Timestamp>, Error> {
    let facts = attempt.facts(applied);
    let after = status(&facts);
    if attempt.job.status.as_ref() != Some(&after) {
        let name = attempt.name();
        if let Some(wait) = context.rivals.wait(&name, digest(&after), Instant::now()) {
            if has_rival(attempt, &after, context).await {
                warn!(
                    namespace = name.0,
                    job = name.1,
                    ?wait,
                    "somebody else writes other statuses: is there a second operator?"
                );
            }
            return Ok(attempt.now.checked_add(wait).ok());
        }
        write(attempt, &after, context).await?;
        let before = attempt.job.status.as_ref();
        tell_receipts(attempt, before, &after);
        context
            .metrics
            .reported(before, &after, (&attempt.plan, applied));
    }
    for event in events(&facts, &after) {
        context.events.publish(&attempt.job, event).await;
    }
    Ok(None)
}

/// One line for each run whose credentials have come to their end, and one more where that changes.
fn tell_receipts(
    attempt: &Attempt,
    before: Option<&PlanescapeJobStatus>,
    after: &PlanescapeJobStatus,
) {
    let Identity {
        namespace, name, ..
    } = &attempt.identity;
    for run in settled_between(before, after) {
        let mut jobs = attempt.observed.jobs.iter();
        let job = jobs.find(|job| job.uid == run.uid);
        let receipt = Receipt::of(namespace, name, run, job);
        let receipt = serde_json::to_string(&receipt).expect("a receipt is plain data");
        info!(
            namespace,
            job = run.job,
            receipt,
            "the credentials of a run ended"
        );
    }
}

/// Whether somebody else has written over our status: what is kept in memory may only be old.
async fn has_rival(attempt: &Attempt, ours: &PlanescapeJobStatus, context: &Context) -> bool {
    let identity = &attempt.identity;
    let client = context.clients.of(Class::Record);
    let api: Api<PlanescapeJob> = Api::namespaced(client, &identity.namespace);
    let live = api.get_opt(&identity.name).await;
    let live = live.ok().flatten();
    let live = live.filter(|live| live.metadata.uid.as_ref() == Some(&identity.uid));
    live.is_some_and(|live| is_anothers(live.status.as_ref(), ours))
}

fn is_anothers(live: Option<&PlanescapeJobStatus>, ours: &PlanescapeJobStatus) -> bool {
    live.map(digest) != Some(digest(ours))
}

/// Writes no more than the status: the API server takes nothing else from such a call.
async fn write(
    attempt: &Attempt,
    status: &PlanescapeJobStatus,
    context: &Context,
) -> Result<(), Error> {
    let kind = ApiResource::erase::<PlanescapeJob>(&());
    let identity = &attempt.identity;
    let mut object = DynamicObject::new(&identity.name, &kind);
    object.metadata.namespace = Some(identity.namespace.clone());
    object.metadata.uid = Some(identity.uid.clone());
    object.metadata.resource_version = attempt.job.metadata.resource_version.clone();
    object.data = json!({ "status": status });
    let client = context.clients.of(Class::Record);
    let api: Api<DynamicObject> = Api::namespaced_with(client, &identity.namespace, &kind);
    let written = api
        .replace_status(&identity.name, &post_params(), &object)
        .await
        .map_err(Error::writing("write the status"))?;
    let name = attempt.name();
    if written.data["status"] == object.data["status"] {
        context.rivals.is_outdated(&name, false);
    } else if context.rivals.is_outdated(&name, true) {
        warn!(namespace = name.0, job = name.1, "{OUTDATED}");
        let event = Event::warning("OutdatedDefinition", OUTDATED);
        context.events.publish(&attempt.job, event).await;
    }
    Ok(())
}

impl Rivals {
    /// How long to wait before a status is written, which it counts as written otherwise.
    fn wait(&self, name: &Name, digest: u64, now: Instant) -> Option<Duration> {
        let mut written = self.writes.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = Written {
            digest,
            at: now,
            times: 0,
        };
        let known = written.get(name).copied();
        let known = known.filter(|known| known.digest == digest);
        let Some(known) = known.filter(|known| now - known.at < 2 * LONGEST_WAIT) else {
            written.insert(name.clone(), fresh);
            return None;
        };
        let pause = pause(known.times);
        let passed = now - known.at;
        if passed < pause {
            return Some(pause - passed);
        }
        let times = known.times + 1;
        written.insert(name.clone(), Written { times, ..fresh });
        None
    }

    /// Whether it is news that the API server forgets a part of what is written, or does not.
    fn is_outdated(&self, name: &Name, is_so: bool) -> bool {
        let mut outdated = self.outdated.lock().unwrap_or_else(PoisonError::into_inner);
        match is_so {
            true => outdated.insert(name.clone()),
            false => outdated.remove(name),
        }
    }

    /// The object is gone.
    pub(super) fn forget(&self, name: &Name) {
        self.is_outdated(name, false);
        let mut written = self.writes.lock().unwrap_or_else(PoisonError::into_inner);
        written.remove(name);
    }
}

/// After so many writes of the same status.
fn pause(times: u32) -> Duration {
    match times.checked_sub(AT_ONCE) {
        None => Duration::ZERO,
        Some(more) => Duration::from_secs(1_u64 << more.min(10)).min(LONGEST_WAIT),
    }
}

/// A digest of the status without its times: if two operators write over each other, those are new each time.
fn digest(status: &PlanescapeJobStatus) -> u64 {
    let mut status = status.clone();
    let never = || Time(Timestamp::UNIX_EPOCH);
    for condition in &mut status.conditions {
        condition.last_transition_time = never();
    }
    for run in &mut status.runs {
        run.refused_since = run.refused_since.take().map(|_| never());
        run.denied_since = run.denied_since.take().map(|_| never());
    }
    let mut hasher = DefaultHasher::new();
    let text = serde_json::to_vec(&status).expect("a status is plain data");
    text.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_that_comes_back_is_the_same_although_its_conditions_are_younger() {
        let rivals = Rivals::default();
        let name = ("team".to_owned(), "my-job".to_owned());
        let ours = |second: u32| {
            let status = serde_json::json!({ "conditions": [{
                "type": "Ready", "status": "True", "reason": "Scheduled", "message": "",
                "lastTransitionTime": format!("2026-11-24T10:00:{second:02}Z"),
            }], "runs": [{
                "job": "my-job-1", "uid": "u", "outcome": "Running",
                "scheduledTime": "2026-11-24T10:00:00Z",
                "refusedSince": format!("2026-11-24T10:00:{second:02}Z"),
            }] });
            digest(&serde_json::from_value(status).unwrap())
        };
        let start = Instant::now();
        let writes = (0..60).filter(|second| {
            let now = start + Duration::from_secs((*second).into());
            rivals.wait(&name, ours(*second), now).is_none()
        });

        let writes = writes.count();

        assert!(writes <= 9, "{writes}");
    }

    #[test]
    fn a_status_that_is_as_ours_was_written_by_nobody_else() {
        let status = |reason: &str, second: u32| -> PlanescapeJobStatus {
            let status = serde_json::json!({ "conditions": [{
                "type": "Ready", "status": "True", "reason": reason, "message": "",
                "lastTransitionTime": format!("2026-11-24T10:00:{second:02}Z"),
            }] });
            serde_json::from_value(status).unwrap()
        };
        let ours = status("Scheduled", 0);

        assert!(!is_anothers(Some(&status("Scheduled", 7)), &ours));
        assert!(is_anothers(Some(&status("Suspended", 0)), &ours));
        assert!(is_anothers(None, &ours));
    }

    #[test]
    fn writes_the_same_status_over_somebody_elses_ever_more_rarely() {
        let rivals = Rivals::default();
        let name = ("team".to_owned(), "my-job".to_owned());
        let start = Instant::now();
        let mut now = start;
        let mut writes = 0;
        while now - start < Duration::from_secs(60) {
            writes += u32::from(rivals.wait(&name, 1, now).is_none());
            now += Duration::from_millis(20);
        }

        assert!(writes <= 9, "{writes}");
        assert_eq!(
            rivals.wait(&name, 2, now),
            None,
            "a change is written at once"
        );
    }
}

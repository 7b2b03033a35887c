//! Since when the schedule is as it is.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ManagedFieldsEntry, Time};

use super::{TOLERATED_SKEW, created};
use crate::api::PlanescapeJob;
use crate::api::v1alpha1::{DstPolicy, ScheduleReference};
use crate::run;

/// An edit, a correction or a resumption never starts a run for an instant that lies before it.
///
/// A spec that cannot run for want of a setting of the operator is not corrected by its return: the
/// generation is the same, and the latest instant that was missed runs.
pub(super) fn reference(job: &PlanescapeJob, is_valid: bool, now: Timestamp) -> ScheduleReference {
    let schedule = text(job);
    let generation = job.metadata.generation.unwrap_or_default();
    let status = job.status.as_ref();
    let before = status.and_then(|status| status.schedule_reference.as_ref());
    let is_corrected = |before: &ScheduleReference| {
        let invalid = before.invalid_generation;
        is_valid && invalid.is_some_and(|invalid| invalid != generation)
    };
    // A time far ahead of every clock was written by a wrong clock, or by somebody: it counts as now. The API server's
    // clock may be right where ours is behind.
    let latest = edited(job).max(created(job)).max(Some(now));
    let known = |time: &Time| {
        let ahead = latest.map(|latest| time.0.duration_since(latest));
        let is_wrong = ahead.is_some_and(|ahead| ahead > TOLERATED_SKEW);
        if is_wrong { now } else { time.0 }
    };
    let since = match before {
        // The first edit may have come before the first look.
        None => edited(job).max(created(job)).unwrap_or(now).min(now),
        Some(before) if before.schedule == schedule && !is_corrected(before) => {
            known(&before.since)
        }
        // Both bounds hold: an edit is later than what was known, and not later than now.
        Some(before) => edited(job).unwrap_or(now).max(before.since.0).min(now),
    };
    let same_interval = format!("{} ", job.spec.schedule);
    let anchor = match before {
        Some(before) if before.schedule.starts_with(&same_interval) => {
            known(before.anchor.as_ref().unwrap_or(&before.since))
        }
        Some(_) | None => since,
    };
    ScheduleReference {
        schedule,
        since: Time(since),
        anchor: Some(Time(anchor)),
        invalid_generation: (!is_valid).then_some(generation),
    }
}

/// How the text of a suspended job ends.
pub(crate) const SUSPENDED: &str = " (suspended)";

/// Everything that the schedule depends on, in one text.
pub(super) fn text(job: &PlanescapeJob) -> String {
    let spec = &job.spec;
    let zone = spec.time_zone.as_deref().unwrap_or("UTC");
    let dst = match spec.dst_policy {
        DstPolicy::OncePerOccurrence => "",
        DstPolicy::Kubernetes => " (dstPolicy Kubernetes)",
    };
    let windows = match serde_json::to_string(&spec.exclusion_windows) {
        Ok(text) if text != "[]" => format!(" (exclusionWindows {:016x})", run::spread(&text)),
        Ok(_) | Err(_) => String::new(),
    };
    let suspended = if spec.suspend { SUSPENDED } else { "" };
    format!("{} {zone}{dst}{windows}{suspended}", spec.schedule)
}

/// When somebody last wrote to the spec, as the API server keeps it: we may have been away then.
fn edited(job: &PlanescapeJob) -> Option<Timestamp> {
    let is_of_spec = |entry: &&ManagedFieldsEntry| {
        let fields = entry.fields_v1.as_ref();
        entry.subresource.as_deref().unwrap_or_default().is_empty()
            && fields.is_some_and(|fields| fields.0.get("f:spec").is_some())
    };
    let entries = job.metadata.managed_fields.iter().flatten();
    entries
        .filter(is_of_spec)
        .filter_map(|entry| Some(entry.time.as_ref()?.0))
        .max()
}

//! Fields of a PlanescapeJob about the start of its runs, beside the schedule itself.
#![expect(
    unreachable_pub,
    reason = "the schema derive copies each struct into a function"
)]

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

const WINDOW_RULE: &str = "(has(self.from) && has(self.until)) != (has(self.schedule) && has(self.duration)) \
    && has(self.from) == has(self.until) && has(self.schedule) == has(self.duration)";

/// What becomes of readings that come twice or not at all when the clock is turned.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum DstPolicy {
    /// Each reading that the schedule names happens once; those that are left out happen together at the first instant after the gap.
    #[default]
    OncePerOccurrence,
    /// As a CronJob does: a reading that is left out does not happen, one that comes again happens again.
    Kubernetes,
}

/// What Forbid does with a run that is due while another is active.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ForbidBehavior {
    /// Skip it.
    #[default]
    Skip,
    /// Start it when the other has ended, unless a later one is due by then.
    Queue,
}

/// What to do with a run that could not start when it was due.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum MissedRunPolicy {
    /// Start the latest one, however late.
    #[default]
    RunLatest,
    /// Skip it when it is more than a minute late.
    Skip,
}

/// What becomes of a run whose pod was disrupted: drained, preempted, evicted or taken away with its node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum DisruptionPolicy {
    /// It counts as a failure, as in a Job that says nothing of it.
    #[default]
    Count,
    /// The Job makes another pod, and `backoffLimit` counts no failure. It needs restartPolicy Never.
    Ignore,
}

/// A time in which no run starts: from one instant to another, or as often as a schedule says.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[x_kube(validation = Rule::new(WINDOW_RULE).message("needs either from and until, or schedule and duration"))]
#[serde(rename_all = "camelCase")]
pub struct ExclusionWindow {
    /// When it begins, in RFC 3339, or as a date and a time of day in the schedule's zone: 2026-12-24T00:00:00.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub from: Option<String>,
    /// When it ends; a run at that instant starts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub until: Option<String>,
    /// When it begins each time: five cron fields or a word such as @daily, in the schedule's zone and by its dstPolicy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub schedule: Option<String>,
    /// How long it lasts each time, such as 90m or 48h.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    pub duration: Option<String>,
}

/// Whether a field says what it says when it is absent.
pub(super) fn is_usual<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

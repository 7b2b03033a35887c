//! PlanescapeJobs as their authors write and change them.

use jiff::{SignedDuration, Timestamp};
use planescape_operator_core::api::v1alpha1::{ConcurrencyPolicy, ExclusionWindow, ForbidBehavior};
use planescape_tests::chance::Chance;
use serde_json::{Value, json};

use crate::server::Server;

/// The part of a spec that an edit has changed, as far as it matters to the instants.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Edit {
    /// Nothing.
    None,
    /// Whether it is suspended.
    Suspend,
    /// The schedule.
    Schedule,
    /// The windows, with which the schedule counts from now on.
    Windows,
    /// The handling of runs, and nothing of instants.
    Other,
}

pub(crate) fn draw(chance: &mut Chance, start: Timestamp) -> Value {
    let schedules = ["* * * * *", "*/2 * * * *", "0,1,30 * * * *", "@every 90s"];
    let schedule = if chance.once_in(16) {
        "@once"
    } else {
        chance.pick(&schedules)
    };
    let policy = chance.pick(&["Allow", "Forbid", "Forbid", "Replace"]);
    let mut spec = json!({
        "schedule": schedule, "concurrencyPolicy": policy,
        "jobTemplate": { "spec": { "template": { "spec": {
            "containers": [{ "name": "main", "image": "busybox:1.35" }],
        } } } },
    });
    if policy == "Forbid" && chance.once_in(3) {
        spec["forbidBehavior"] = json!("Queue");
    }
    // An edit of the policy may make it matter.
    let times = if policy == "Allow" { 2 } else { 6 };
    if chance.once_in(times) {
        spec["maxActiveRuns"] = json!(chance.pick(&[1, 2]));
    }
    if chance.once_in(3) {
        spec["successfulJobsHistoryLimit"] = json!(0);
        spec["failedJobsHistoryLimit"] = json!(0);
    }
    if chance.once_in(3) {
        spec["jobTemplate"]["spec"]["ttlSecondsAfterFinished"] = json!(0);
    }
    if chance.once_in(4) {
        spec["startingDeadlineSeconds"] = json!(chance.pick(&[5, 45]));
    }
    if schedule == "@once" {
        return spec;
    }
    if chance.once_in(4) {
        spec["jitterSeconds"] = json!(20);
    }
    if chance.once_in(4) {
        spec["missedRunPolicy"] = json!("Skip");
    }
    if chance.once_in(4) {
        spec["exclusionWindows"] = windows(chance, start);
    }
    spec
}

/// Often, or once and soon.
fn windows(chance: &mut Chance, now: Timestamp) -> Value {
    let after = |minutes: i64| (now + SignedDuration::from_mins(minutes)).to_string();
    let often = json!({ "schedule": "*/10 * * * *", "duration": "3m" });
    let soon = json!({ "from": after(2), "until": after(9) });
    chance.pick(&[json!([often]), json!([soon]), json!([often, soon])])
}

/// Somebody changes something.
pub(crate) fn edit(server: &mut Server, chance: &mut Chance) -> Edit {
    let is_once = server.job.spec.schedule == "@once";
    let kind = chance.below(if is_once { 5 } else { 9 });
    match kind {
        0..=3 => {
            server.edit(|job| job.spec.suspend = !job.spec.suspend);
            Edit::Suspend
        }
        4 => policy(server, chance),
        5 | 6 => {
            let schedule = chance.pick(&["* * * * *", "*/3 * * * *", "@every 2m"]);
            if server.job.spec.schedule == schedule {
                return Edit::None;
            }
            server.edit(|job| job.spec.schedule = schedule.to_owned());
            Edit::Schedule
        }
        7 => {
            let windows = if chance.once_in(3) {
                json!([])
            } else {
                windows(chance, server.now)
            };
            let windows: Vec<ExclusionWindow> = serde_json::from_value(windows).unwrap();
            if server.job.spec.exclusion_windows == windows {
                return Edit::None;
            }
            server.edit(|job| job.spec.exclusion_windows = windows);
            Edit::Windows
        }
        _ => {
            let jitter = chance.pick(&[None, Some(5), Some(20)]);
            if server.job.spec.jitter_seconds == jitter {
                return Edit::None;
            }
            server.edit(|job| job.spec.jitter_seconds = jitter);
            Edit::Other
        }
    }
}

fn policy(server: &mut Server, chance: &mut Chance) -> Edit {
    let policy = chance.pick(&[
        ConcurrencyPolicy::Allow,
        ConcurrencyPolicy::Forbid,
        ConcurrencyPolicy::Replace,
    ]);
    if server.job.spec.concurrency_policy == Some(policy) {
        return Edit::None;
    }
    let queues = policy == ConcurrencyPolicy::Forbid && chance.once_in(3);
    server.edit(|job| {
        job.spec.concurrency_policy = Some(policy);
        job.spec.forbid_behavior = if queues {
            ForbidBehavior::Queue
        } else {
            ForbidBehavior::Skip
        };
    });
    server.policy_since = server.now;
    Edit::Other
}

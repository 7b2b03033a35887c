//! Random CronJobs, what happens to them, and the PlanescapeJobs that should do the same.

mod differences;

pub use differences::{Both, Reason, Run};
use jiff::{SignedDuration, Timestamp};
use planescape_operator_core::convert;
use serde_json::{Value, json};

use crate::chance::Chance;

/// A CronJob from its creation on.
#[derive(Clone, Debug)]
pub struct Life {
    /// Its spec.
    pub spec: Value,
    /// The later specs, each with its time after the creation.
    pub edits: Vec<(SignedDuration, Value)>,
}

/// How often runs are due.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Pace {
    /// Every few minutes or hours.
    Hours,
    /// Mostly every minute, so that something happens within ten.
    Minutes,
}

const ZONES: [&str; 6] = [
    "Etc/UTC",
    "Europe/Berlin",
    "America/New_York",
    "Asia/Kolkata",
    "Pacific/Auckland",
    "America/Sao_Paulo",
];

const PER_HOUR: [&str; 14] = [
    "*/5 * * * *",
    "*/7 * * * *",
    "*/20 9-17 * * *",
    "0 * * * *",
    "@hourly",
    "30 6-16/4 * * *",
    "30 10,11,12 * * *",
    "15,45 */3 * * *",
    "1-5 * * * *",
    "10 2 * * *",
    "30 1,2,3 * * *",
    "0 0 * * *",
    "@every 7m",
    "@every 95m",
];

const PER_MINUTE: [&str; 6] = [
    "* * * * *",
    "* * * * *",
    "*/2 * * * *",
    "1-59/2 * * * *",
    "*/3 * * * *",
    "0-4,10-14,20-24,30-34,40-44,50-54 * * * *",
];

impl Life {
    /// Draws a life of this length, with runs of this pod template.
    pub fn draw(chance: &mut Chance, pace: Pace, length: SignedDuration, template: Value) -> Self {
        let mut spec = json!({
            "schedule": schedule(chance, pace),
            "timeZone": chance.pick(&ZONES),
            "concurrencyPolicy": chance.pick(&["Allow", "Forbid", "Forbid", "Replace"]),
            "successfulJobsHistoryLimit": chance.below(4),
            "failedJobsHistoryLimit": chance.below(2),
            "suspend": false,
            "jobTemplate": template,
        });
        if chance.once_in(4) {
            spec["startingDeadlineSeconds"] = json!(chance.pick(&[45, 90, 200]));
        }
        let mut life = Self {
            spec: spec.clone(),
            edits: Vec::new(),
        };
        let minutes = usize::try_from(length.as_mins()).unwrap_or(usize::MAX);
        let mut at: Vec<usize> = (0..chance.pick(&[0, 0, 1, 3]))
            .map(|_| chance.below(minutes))
            .collect();
        at.sort_unstable();
        at.dedup();
        for minute in at {
            edit(chance, pace, &mut spec);
            // Between two minutes, so that it is the same minute for both.
            let seconds = 60 * i64::try_from(minute).unwrap_or_default() + 20;
            let after = SignedDuration::from_secs(seconds);
            life.edits.push((after, spec.clone()));
        }
        life
    }

    /// Each of its specs with the moment at which it is written, if the life begins at `start`.
    pub fn specs(&self, start: Timestamp) -> impl Iterator<Item = (Timestamp, &Value)> {
        let edits = self.edits.iter();
        let edits = edits.map(move |(after, spec)| (start + *after, spec));
        std::iter::once((start, &self.spec)).chain(edits)
    }
}

fn schedule(chance: &mut Chance, pace: Pace) -> &'static str {
    match pace {
        Pace::Hours => chance.pick(&PER_HOUR),
        Pace::Minutes => chance.pick(&PER_MINUTE),
    }
}

fn edit(chance: &mut Chance, pace: Pace, spec: &mut Value) {
    let is_suspended = spec["suspend"] == true;
    match chance.below(4) {
        0 => spec["schedule"] = json!(schedule(chance, pace)),
        1 => spec["concurrencyPolicy"] = json!(chance.pick(&["Allow", "Forbid", "Replace"])),
        _ => spec["suspend"] = json!(!is_suspended),
    }
}

/// The spec of the PlanescapeJob that follows a CronJob in all that can be chosen.
///
/// # Panics
/// The CronJob's spec has a field that no PlanescapeJob has.
pub fn followed(spec: &Value) -> Value {
    let cron_job = json!({ "metadata": { "name": "my-job" }, "spec": spec });
    let converted = convert::cron_job(&cron_job).expect("every field is known");
    let mut spec = converted.job["spec"].clone();
    spec["dstPolicy"] = json!("Kubernetes");
    spec
}

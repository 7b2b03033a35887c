//! Compares the runs of a CronJob and of the PlanescapeJob that follows it: where they differ, and why if known.

use std::collections::BTreeSet;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use planescape_operator_core::api::v1alpha1::DstPolicy;
use planescape_operator_core::schedule::Schedule;
use serde::Deserialize;

use super::Life;

/// A run that was started.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
pub struct Run {
    /// The instant that it is for.
    pub tick: Timestamp,
    /// When its Job was made.
    pub at: Timestamp,
}

/// Why one side starts an instant that the other does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// A CronJob makes up for what was due before an edit or a resumption.
    BeforeAnEdit,
    /// A CronJob takes the gap between two instants for that between all, and loses the latest one that it missed.
    UnequalGaps,
    /// A CronJob's intervals count from its deadline before now, which is why many never run, or from a run of the
    /// schedule before.
    Intervals,
}

/// One life, as both sides have lived it.
#[derive(Clone, Copy, Debug)]
pub struct Both<'a> {
    /// The life that was planned.
    pub life: &'a Life,
    /// When it began.
    pub start: Timestamp,
    /// The runs of the PlanescapeJob.
    pub ours: &'a [Run],
    /// The runs of the CronJob.
    pub theirs: &'a [Run],
}

impl Both<'_> {
    /// The instants that only one side starts. If one run can keep another from starting, only the first one: others
    /// follow from it.
    pub fn differing(&self) -> Vec<Timestamp> {
        let ticks =
            |runs: &[Run]| -> BTreeSet<Timestamp> { runs.iter().map(|run| run.tick).collect() };
        let (our, their) = (ticks(self.ours), ticks(self.theirs));
        let differing = our.symmetric_difference(&their).copied();
        let mut specs = self.life.specs(self.start);
        let is_free = specs.all(|(_, spec)| spec["concurrencyPolicy"] == "Allow");
        differing
            .take(if is_free { usize::MAX } else { 1 })
            .collect()
    }

    /// Why an instant differs, if that is known.
    pub fn reason(&self, tick: Timestamp) -> Option<Reason> {
        let of_tick = |runs: &[Run]| runs.iter().find(|run| run.tick == tick).copied();
        let mut edits = self.life.specs(self.start).skip(1);
        if let Some(run) = of_tick(self.theirs)
            && edits.any(|(edit, _)| tick <= edit && edit <= run.at)
        {
            return Some(Reason::BeforeAnEdit);
        }
        let specs = self.life.specs(self.start);
        let (since, spec) = specs.take_while(|(since, _)| *since <= tick).last()?;
        let text = spec["schedule"].as_str()?;
        if text.starts_with("@every") {
            let has_deadline = spec.get("startingDeadlineSeconds").is_some();
            return (has_deadline || since > self.start).then_some(Reason::Intervals);
        }
        let run = of_tick(self.ours)?;
        let zone = TimeZone::get(spec["timeZone"].as_str()?).ok()?;
        let schedule = Schedule::parse(text, zone, DstPolicy::Kubernetes).ok()?;
        self.misleads(&schedule, run).then_some(Reason::UnequalGaps)
    }

    /// Whether a run started late, after instants with other gaps between them than that of the first two.
    fn misleads(&self, schedule: &Schedule, run: Run) -> bool {
        let before = self.theirs.iter().map(|run| run.tick);
        let before = before.filter(|tick| *tick < run.tick).max();
        let next = |tick: &Timestamp| schedule.next(self.start, *tick);
        let first = next(&before.unwrap_or(self.start));
        let mut passed = Vec::new();
        for tick in std::iter::successors(first, next) {
            passed.push(tick);
            if tick > run.at {
                break;
            }
        }
        let mut gaps = passed.windows(2).map(|two| two[1].duration_since(two[0]));
        let Some(gap) = gaps.next() else {
            return false;
        };
        let is_late = run.at > run.tick + SignedDuration::from_secs(1);
        is_late && gaps.any(|other| other != gap)
    }

    /// Both sides around an instant.
    pub fn told(&self, tick: Timestamp) -> String {
        let near = |runs: &[Run]| {
            let mut runs = runs.to_vec();
            runs.sort_by_key(|run| run.tick.duration_since(tick).abs());
            runs.truncate(8);
            runs.sort_unstable();
            let runs = runs.iter();
            let runs = runs.map(|run| format!("{} at {}", run.tick, run.at));
            runs.collect::<Vec<_>>().join(", ")
        };
        let specs = self.life.specs(self.start);
        let specs = specs.map(|(since, spec)| {
            let mut spec = spec.clone();
            spec["jobTemplate"].take();
            format!("  {since} {spec}")
        });
        let specs: Vec<String> = specs.collect();
        format!(
            "{tick}\n{}\n  ours   {}\n  theirs {}",
            specs.join("\n"),
            near(self.ours),
            near(self.theirs)
        )
    }
}

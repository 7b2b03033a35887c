//! Every instant of the schedule, and what was said of it: none passes without a word.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp, tz::TimeZone};
use planescape_operator_core::api::v1alpha1::{DstPolicy, PlanescapeJobStatus, Skipped};
use planescape_operator_core::schedule::Schedule;

use crate::Broken;

/// The fate of an instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Word {
    /// Nothing yet.
    Open,
    /// A Job was made.
    Started,
    /// It was left out, and a counter of its own says why.
    Skipped(&'static str),
    /// A later one was due already.
    Missed,
    /// It was noticed late, and what is missed shall not run.
    Late,
    /// Somebody changed the schedule, or suspended the job, before anything came of it.
    Overtaken,
}

/// The instants that should run, and those that did.
pub(crate) struct Ledger {
    text: String,
    schedule: Schedule,
    /// Since when the schedule is as it is.
    since: Timestamp,
    /// The moment that intervals count from.
    anchor: Timestamp,
    /// The schedule and its anchor, as a status has told them.
    anchored: Option<(String, Timestamp)>,
    /// Whether there were intervals whose anchor no status has told.
    has_untold_intervals: bool,
    is_suspended: bool,
    /// Whether no status has told of the schedule as it is.
    is_untold: bool,
    /// Whether two have led at once: one may have made a Job that the other did not see when it passed over the instant.
    pub(crate) had_rivals: bool,
    instants: BTreeMap<Timestamp, Word>,
    told: PlanescapeJobStatus,
}

impl Ledger {
    pub(crate) fn new(text: &str, now: Timestamp) -> Self {
        let mut instants = BTreeMap::new();
        let schedule = parse(text);
        if schedule.is_once() {
            instants.insert(now, Word::Open);
        }
        Self {
            text: text.to_owned(),
            schedule,
            since: now,
            anchor: now,
            anchored: None,
            has_untold_intervals: false,
            is_suspended: false,
            is_untold: true,
            had_rivals: false,
            instants,
            told: PlanescapeJobStatus::default(),
        }
    }

    /// Time goes on.
    pub(crate) fn pass(&mut self, from: Timestamp, until: Timestamp) {
        if self.schedule.is_once() {
            return;
        }
        let word = if self.is_suspended {
            Word::Overtaken
        } else {
            Word::Open
        };
        self.write(from, until, word);
    }

    fn write(&mut self, from: Timestamp, until: Timestamp, word: Word) {
        let mut after = from;
        while let Some(tick) = self.schedule.next(self.anchor, after)
            && tick <= until
        {
            self.instants.entry(tick).or_insert(word);
            after = tick;
        }
    }

    pub(crate) fn suspend(&mut self, is_suspended: bool, now: Timestamp) {
        self.is_suspended = is_suspended;
        // A job that runs once is only put off.
        if !self.schedule.is_once() {
            self.overtake(now);
        }
    }

    pub(crate) fn change(&mut self, text: &str, now: Timestamp) {
        self.has_untold_intervals |= self.has_untold_intervals();
        text.clone_into(&mut self.text);
        self.schedule = parse(text);
        self.anchor = now;
        // An operator that has not seen the schedule in between takes it for the same all the time.
        let told = self.told.schedule_reference.clone();
        if let Some(told) = told.filter(|told| told.schedule.starts_with(&format!("{text} "))) {
            self.anchor = told.anchor.map_or(now, |anchor| anchor.0);
            self.write(told.since.0, now, Word::Overtaken);
        }
        self.overtake(now);
    }

    /// Intervals count from when a schedule was first seen, and from nothing else as long as it stays.
    fn anchor(&mut self, status: &PlanescapeJobStatus, now: Timestamp) -> Result<(), String> {
        if self.schedule.is_once() {
            return Ok(());
        }
        let of_text = format!("{} ", self.text);
        let reference = status.schedule_reference.as_ref();
        let reference = reference.filter(|it| it.schedule.starts_with(&of_text));
        let Some(anchor) = reference.and_then(|it| it.anchor.as_ref()) else {
            return Ok(());
        };
        let told = (self.text.clone(), anchor.0);
        if self.anchored.as_ref() == Some(&told) {
            return Ok(());
        }
        if let Some((text, before)) = &self.anchored
            && *text == self.text
        {
            return Err(format!(
                "{text} counted from {before} and counts from {}",
                anchor.0
            ));
        }
        self.anchored = Some(told);
        if anchor.0 != self.anchor {
            self.anchor = anchor.0;
            let since = self.since;
            self.instants.retain(|_, word| *word != Word::Open);
            self.pass(since, now);
        }
        Ok(())
    }

    fn has_untold_intervals(&self) -> bool {
        let anchored = self.anchored.as_ref();
        let is_anchored = anchored.is_some_and(|(text, _)| *text == self.text);
        !is_anchored && self.text.starts_with("@every")
    }

    /// Whether a status has told since when the schedule is as it is.
    pub(crate) fn is_known(&self) -> bool {
        !self.is_untold
    }

    /// The schedule, or the windows in which nothing starts, are others from now on.
    pub(crate) fn overtake(&mut self, now: Timestamp) {
        self.since = now;
        self.is_untold = true;
        let open = self.instants.values_mut().filter(|it| **it == Word::Open);
        open.for_each(|word| *word = Word::Overtaken);
    }

    /// The instants whose run should have started by now, and of which nothing is said.
    pub(crate) fn open(&self, now: Timestamp, delay: SignedDuration) -> Option<Timestamp> {
        if self.is_suspended {
            return None;
        }
        let pending = self.told.pending_schedule_time.iter();
        let announced = self.told.announced_run.iter();
        let announced = announced.flat_map(|run| &run.scheduled_time);
        let pending = pending.chain(announced).map(|it| it.0).max();
        let mut open = self.instants.iter().filter(|(tick, word)| {
            **word == Word::Open && **tick + delay <= now && Some(**tick) > pending
        });
        open.next().map(|(tick, _)| *tick)
    }

    /// Takes in the words of a new status about instants; `made` says whether a Job was made for one.
    pub(crate) fn hear(
        &mut self,
        status: &PlanescapeJobStatus,
        now: Timestamp,
        made: impl Fn(Timestamp) -> bool,
    ) -> Result<(), Broken> {
        let has_untold_intervals = self.has_untold_intervals || self.has_untold_intervals();
        if let Err(how) = self.anchor(status, now) {
            let promise = "no interval out of step";
            return Err(Broken { promise, how });
        }
        if let Some(tick) = self.taken_away(status, &made)
            && status.skipped.edited == self.told.skipped.edited
        {
            let promise = "no run taken away without a word";
            let how = format!("{tick} waited");
            return Err(Broken { promise, how });
        }
        let before = self.told.last_schedule_time.as_ref().map(|it| it.0);
        let last = status.last_schedule_time.as_ref().map(|it| it.0);
        let skips = skips(&self.told.skipped, &status.skipped);
        let mut missed = status.skipped.missed - self.told.skipped.missed;
        let mut excluded = status.skipped.excluded - self.told.skipped.excluded;
        self.is_untold &= status.schedule_reference == self.told.schedule_reference;
        self.told = status.clone();
        let breaks = |how: String| {
            let promise = "no instant without a word";
            Err(Broken { promise, how })
        };
        let Some(last) = last.filter(|last| Some(*last) > before) else {
            return match skips.as_slice() {
                [] if missed == 0 && excluded == 0 => Ok(()),
                _ => breaks(format!(
                    "{missed} missed, {excluded} excluded and {skips:?}, and nothing settled"
                )),
            };
        };
        if has_untold_intervals {
            // It was made before anything told what intervals count from.
            self.has_untold_intervals = false;
            self.instants.entry(last).or_insert(Word::Overtaken);
        }
        let Some(word) = self.instants.get_mut(&last) else {
            return breaks(format!("{last} is settled, which is not due"));
        };
        let mut earlier = 0;
        *word = match skips.as_slice() {
            [] if made(last) => Word::Started,
            // It had begun when a change of the delay brought an earlier one back.
            [_] if made(last) => {
                earlier = 1;
                Word::Started
            }
            [why] => Word::Skipped(why),
            // The same counter has this instant and those before it.
            [] if excluded > 0 => {
                excluded -= 1;
                Word::Skipped("excluded")
            }
            [] if missed > 0 => {
                missed -= 1;
                Word::Late
            }
            _ => return breaks(format!("{last} has no run, and {skips:?} say why")),
        };
        let mut open = 0;
        let mut overtaken = 0;
        let passed = before.unwrap_or(Timestamp::MIN)..last;
        for (tick, word) in self.instants.range_mut(passed) {
            match word {
                Word::Open if made(*tick) => *word = Word::Started,
                Word::Open => {
                    *word = Word::Missed;
                    open += 1;
                }
                Word::Overtaken => overtaken += 1,
                Word::Started | Word::Skipped(_) | Word::Missed | Word::Late => {}
            }
        }
        let told = missed + excluded;
        let twice = i64::from(self.had_rivals && made(last));
        if told + earlier < open || told > open + overtaken + twice {
            return breaks(format!(
                "{open} passed before {last}, and {missed} are counted as missed, {excluded} as excluded"
            ));
        }
        Ok(())
    }

    /// An instant that waited and that an edit has overtaken, where a new status takes up the edit.
    fn taken_away(
        &self,
        status: &PlanescapeJobStatus,
        made: impl Fn(Timestamp) -> bool,
    ) -> Option<Timestamp> {
        let since =
            |status: &PlanescapeJobStatus| Some(status.schedule_reference.as_ref()?.since.0);
        let (before, after) = (since(&self.told)?, since(status)?);
        let pending = self.told.pending_schedule_time.as_ref();
        let announced = self.told.announced_run.as_ref();
        let announced = announced.and_then(|run| run.scheduled_time.as_ref());
        let tick = pending.or(announced)?.0;
        let is_open = Some(tick) > status.last_schedule_time.as_ref().map(|last| last.0);
        let is_overtaken = self.instants.get(&tick) == Some(&Word::Overtaken) && tick <= after;
        (before < after && is_open && is_overtaken && !made(tick)).then_some(tick)
    }

    /// The fate of each instant.
    pub(crate) fn words(&self) -> impl Iterator<Item = (Timestamp, Word)> {
        self.instants.iter().map(|(tick, word)| (*tick, *word))
    }

    /// How many instants met each fate.
    pub(crate) fn count(&self) -> BTreeMap<Word, u64> {
        let mut counts = BTreeMap::new();
        for word in self.instants.values() {
            *counts.entry(*word).or_default() += 1;
        }
        counts
    }
}

fn parse(schedule: &str) -> Schedule {
    Schedule::parse(schedule, TimeZone::UTC, DstPolicy::default()).unwrap()
}

/// The counter that the settled instant has raised; others may be missed or excluded before it.
fn skips(before: &Skipped, after: &Skipped) -> Vec<&'static str> {
    let counts = [
        ("forbid", after.forbid - before.forbid),
        ("tooLate", after.too_late - before.too_late),
        ("tooMany", after.too_many - before.too_many),
        ("conflict", after.conflict - before.conflict),
    ];
    let counts = counts.into_iter();
    counts
        .flat_map(|(why, count)| (0..count).map(move |_| why))
        .collect()
}

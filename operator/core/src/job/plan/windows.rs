//! Which instants of a schedule lie in exclusion windows.

use std::ops::Range;

use jiff::{SignedDuration, Timestamp};

use super::due::Situation;
use crate::schedule::Window;

/// A walk asks its windows so often at most for their next time: it takes about a millisecond then. Windows that follow
/// each other minute by minute are looked beyond for 13 hours, those that last an hour for a month.
const MOST_TIMES: usize = 800;

/// A schedule does not run if its windows leave nothing for so long.
const FAR: SignedDuration = SignedDuration::from_hours(400 * 24);

/// And so many of its instants are tried, as it may name one a year.
const FEWEST_INSTANTS: usize = 10;

const INSTANT: SignedDuration = SignedDuration::from_nanos(1);

/// No more instants than this are counted.
const MOST_PASSED: usize = 1_000;

/// How many instants have passed without a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Passed {
    /// In no window.
    pub(super) missed: i64,
    /// In a window.
    pub(super) excluded: i64,
}

/// The times of windows, seen from an instant that goes on.
struct Walk<'a> {
    windows: &'a [Window],
    /// Of each window the time that the instant lies in, or else the next one.
    times: Vec<Option<Range<Timestamp>>>,
    /// How many times were asked for.
    asked: usize,
}

impl<'a> Walk<'a> {
    fn from(windows: &'a [Window], instant: Timestamp) -> Self {
        let times = windows.iter().map(|window| window.next_time(instant));
        Self {
            windows,
            times: times.collect(),
            asked: windows.len(),
        }
    }

    /// Goes on to a later instant; whether it may go on from there.
    fn go_on(&mut self, instant: Timestamp) -> bool {
        for (window, time) in self.windows.iter().zip(&mut self.times) {
            if time.as_ref().is_some_and(|time| time.end <= instant) {
                *time = window.next_time(instant);
                self.asked += 1;
            }
        }
        self.asked < MOST_TIMES
    }

    /// When the last of the windows ends that the instant lies in.
    fn end(&self, instant: Timestamp) -> Option<Timestamp> {
        let times = self.times.iter().flatten();
        let around = times.filter(|time| time.contains(&instant));
        around.map(|time| time.end).max()
    }

    /// Which window begins next, where the instant lies in none.
    fn start(&self) -> Option<Timestamp> {
        let times = self.times.iter().flatten();
        times.map(|time| time.start).min()
    }
}

impl Situation<'_> {
    /// Whether an instant lies in a window.
    pub(super) fn is_excluded(&self, instant: Timestamp) -> bool {
        let mut windows = self.validated.excluded.iter();
        windows.any(|window| window.contains(instant))
    }

    /// How many instants have no run between the last one that was settled and this one.
    pub(super) fn passed(&self, tick: Timestamp) -> Passed {
        if self.validated.schedule.is_once() {
            return Passed::default();
        }
        let (mut missed, mut excluded) = self.between(self.settled_until(), tick);
        for started in self.unrecorded().filter(|started| *started < tick) {
            let start = self.delayed(started);
            let count = match start.is_some_and(|start| self.is_excluded(start)) {
                true => &mut excluded,
                false => &mut missed,
            };
            *count = count.saturating_sub(1);
        }
        let number = |count: usize| i64::try_from(count.min(MOST_PASSED)).unwrap_or(i64::MAX);
        Passed {
            missed: number(missed),
            excluded: number(excluded),
        }
    }

    /// How many instants lie between two in no window, and how many in one. Beyond what a walk may ask for, none counts as
    /// excluded.
    fn between(&self, after: Timestamp, before: Timestamp) -> (usize, usize) {
        let windows = &self.validated.excluded;
        if windows.is_empty() {
            return (self.count(after, before), 0);
        }
        // Windows count when a run starts.
        let starts = (self.delayed(after), self.delayed(before));
        let (Some(after), Some(end)) = starts else {
            return (0, 0);
        };
        let Ok(mut at) = after.checked_add(INSTANT) else {
            return (0, 0);
        };
        let (mut free, mut excluded) = (0, 0);
        let mut walk = Walk::from(windows, at);
        let mut may_go_on = true;
        while at < end {
            let over = walk.end(at);
            let next = over.or_else(|| walk.start());
            let next = next.filter(|next| may_go_on && *next < end);
            let next = next.unwrap_or(end);
            let count = self.starts(at, next);
            match over {
                Some(_) if may_go_on => excluded += count,
                Some(_) | None => free += count,
            }
            at = next;
            may_go_on = walk.go_on(at);
        }
        (free, excluded)
    }

    /// How many runs are to start from an instant on and before another.
    fn starts(&self, from: Timestamp, before: Timestamp) -> usize {
        let tick = |start: Timestamp| start.checked_sub(self.validated.delay).ok();
        let after = tick(from).and_then(|tick| tick.checked_sub(INSTANT).ok());
        let between = after.zip(tick(before));
        between.map_or(0, |(after, before)| self.count(after, before))
    }

    fn count(&self, after: Timestamp, before: Timestamp) -> usize {
        let schedule = &self.validated.schedule;
        schedule.count(self.anchor, (after, before), MOST_PASSED)
    }

    /// When the next run starts; nothing where windows leave none.
    pub(super) fn next(&self) -> Option<Timestamp> {
        let first = self.wake()?;
        if !self.is_excluded(first) {
            return Some(first);
        }
        let mut walk = Walk::from(&self.validated.excluded, first);
        let mut next = first;
        let mut tried = 1;
        while let Some(end) = walk.end(next) {
            let is_far = next.duration_since(first) >= FAR;
            if is_far && tried >= FEWEST_INSTANTS {
                return None;
            }
            // A run at the very end of a window starts.
            next = self.after(end.checked_sub(INSTANT).ok()?)?;
            tried += 1;
            if !walk.go_on(next) {
                return walk.end(next).is_none().then_some(next);
            }
        }
        Some(next)
    }
}

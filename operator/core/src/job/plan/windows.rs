//! Which instants of a schedule lie in exclusion windows.

use std::ops::Range;

use jiff::{SignedDuration, Timestamp};

use super::due::Situation;
use crate::schedule::Window;

/// A walk asks its windows so often at most for their next time: it takes about a millisecond then. Windows that follow
/// each other minute by minute are looked beyond for 13 hours, those that last an hour for a month.
const MOST_TIMES: usize = 800;

/// Where windows leave nothing for so long, a schedule does not run.
const FAR: SignedDuration = SignedDuration::from_hours(400 * 24);

/// And so many of its instants are tried, as it may name one a year.
const FEWEST_INSTANTS: usize = 10;

const INSTANT: SignedDuration = SignedDuration::from_nanos(1);

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
}

impl Situation<'_> {
    /// Whether an instant lies in a window.
    pub(super) fn is_excluded(&self, instant: Timestamp) -> bool {
        let mut windows = self.validated.excluded.iter();
        windows.any(|window| window.contains(instant))
    }

    /// When the next run starts; nothing where windows leave none.
    pub(super) fn next(&self, is_settled: bool) -> Option<Timestamp> {
        let first = self.wake(is_settled)?;
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

//! Which instants of a schedule were acted upon, also where the clock was wrong for a while.

use std::ops::RangeInclusive;

use jiff::{SignedDuration, Timestamp};

use crate::api::v1alpha1::PlanescapeJobStatus;

/// A recorded instant this far ahead is the work of a wrong clock.
pub(crate) const TOLERATED_SKEW: SignedDuration = SignedDuration::from_mins(5);

/// No clock is ahead by more for so long that all these instants were acted upon: a longer series was written by hand, or the
/// clock has jumped.
const LONGEST_SERIES: SignedDuration = SignedDuration::from_hours(31 * 24);

/// Which instants were acted upon.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Settled {
    /// All up to this one, which does not lie far ahead.
    pub(crate) last: Option<Timestamp>,
    /// And these, while the clock was ahead.
    pub(crate) ahead: Option<RangeInclusive<Timestamp>>,
    /// The instant by which it is noticed now that the clock was ahead.
    pub(crate) clock_was_at: Option<Timestamp>,
    /// The end of a series of instants that cannot have been acted upon, although the status says so.
    pub(crate) unbelieved: Option<Timestamp>,
}

impl Settled {
    /// The instants that the status calls settled. One far ahead counts as now, or as what was settled before: instants
    /// in between may have run before the clock was set.
    pub(crate) fn of(status: Option<&PlanescapeJobStatus>, now: Timestamp) -> Self {
        let Some(status) = status else {
            return Self::default();
        };
        let mut unbelieved = None;
        let mut believe = |ahead: RangeInclusive<Timestamp>| {
            let kept = believed(&ahead, now);
            if kept != ahead {
                unbelieved = Some(*ahead.end());
            }
            kept
        };
        let known = status.settled_ahead.as_ref();
        let known = known.map(|ahead| believe(ahead.from.0..=ahead.until.0));
        let (known, passed) = match known {
            Some(ahead) if *ahead.end() < now => (None, Some(*ahead.end())),
            known => (known, None),
        };
        // The clock may be ahead again: what ran then is as settled as ever.
        let last = status.last_schedule_time.as_ref().map(|last| last.0);
        let last = last.max(passed);
        let wrong = last.filter(|last| last.duration_since(now) > TOLERATED_SKEW);
        let Some(wrong) = wrong else {
            return Self {
                last,
                ahead: known,
                clock_was_at: None,
                unbelieved,
            };
        };
        let before = status.settled_before.as_ref().map(|it| it.0);
        // More than one series was ahead, and only the last is known from its beginning.
        let is_one = before.is_none_or(|before| before.duration_since(now) <= TOLERATED_SKEW);
        let first = status.settled_since.as_ref().filter(|_| is_one);
        let first = first.map_or(if is_one { wrong } else { now }, |it| it.0);
        let mut from = first.clamp(now, wrong);
        let mut until = wrong;
        if let Some(known) = known {
            from = from.min(*known.start());
            until = until.max(*known.end());
        }
        let ahead = believe(from..=until);
        Self {
            last: Some(now).max(before.filter(|_| is_one)),
            ahead: Some(ahead),
            clock_was_at: Some(wrong),
            unbelieved,
        }
    }

    /// Whether an instant ran while the clock was ahead.
    pub(crate) fn includes(&self, tick: Timestamp) -> bool {
        self.ahead
            .as_ref()
            .is_some_and(|ahead| ahead.contains(&tick))
    }
}

/// Keeps the end alone of a series that begins now and is too long to have run: the schedule would rest until then.
fn believed(ahead: &RangeInclusive<Timestamp>, now: Timestamp) -> RangeInclusive<Timestamp> {
    let (from, until) = (*ahead.start(), *ahead.end());
    let is_near = from.duration_since(now) < LONGEST_SERIES;
    let is_long = until.duration_since(from) > LONGEST_SERIES;
    let from = if is_near && is_long { until } else { from };
    from..=until
}

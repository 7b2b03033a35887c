//! The state of one file that the agent keeps: a rendered text, or a sink with the token.

use crate::clock::Moment;

/// Whether the file holds what it should.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Write {
    /// It has to be made, or made anew.
    Stale,
    /// It is being made.
    Busy,
    /// It is being made, and what goes into it has changed meanwhile.
    BusyStale,
    /// It could not be made, and will be tried again.
    Waiting {
        /// When.
        until: Moment,
    },
    /// It holds what it should.
    Done,
}

impl Write {
    /// Its content has changed.
    pub(crate) fn outdate(&mut self) {
        *self = match *self {
            Self::Stale | Self::Done => Self::Stale,
            Self::Busy | Self::BusyStale => Self::BusyStale,
            // The next attempt takes what there is then.
            waiting @ Self::Waiting { .. } => waiting,
        };
    }

    /// Whether it is to be made now; it is then being made.
    pub(crate) fn start(&mut self, now: Moment) -> bool {
        let is_due = match *self {
            Self::Stale => true,
            Self::Waiting { until } => until <= now,
            Self::Busy | Self::BusyStale | Self::Done => false,
        };
        if is_due {
            *self = Self::Busy;
        }
        is_due
    }

    /// It was made.
    pub(crate) fn finish(&mut self) {
        *self = match *self {
            Self::BusyStale => Self::Stale,
            Self::Stale | Self::Busy | Self::Waiting { .. } | Self::Done => Self::Done,
        };
    }

    /// It was not.
    pub(crate) fn fail(&mut self, until: Moment) {
        *self = Self::Waiting { until };
    }

    pub(crate) fn timeout(&self) -> Option<Moment> {
        match *self {
            Self::Waiting { until } => Some(until),
            Self::Stale | Self::Busy | Self::BusyStale | Self::Done => None,
        }
    }
}

//! Moments, as the shell tells them.

use std::time::{Duration, SystemTime};

/// A moment on a clock that never steps and goes on while the machine sleeps, so that a lease
/// that ran out during the sleep is seen at the first look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment(Duration);

impl Moment {
    /// The moment that lies so long after the machine's start.
    #[must_use]
    pub fn since_boot(elapsed: Duration) -> Self {
        Self(elapsed)
    }

    /// The moment so long before this one, as far back as the machine's start.
    #[must_use]
    pub fn before(self, age: Duration) -> Self {
        Self(self.0.saturating_sub(age))
    }

    /// How long after `earlier` this is; zero if it is not.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}

impl std::ops::Add<Duration> for Moment {
    type Output = Self;

    fn add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(duration))
    }
}

/// The two clocks, read together: one for deadlines, one for what data says about dates.
#[derive(Clone, Copy, Debug)]
pub struct Now {
    /// For deadlines.
    pub moment: Moment,
    /// For certificate dates and the template function `timestamp`.
    pub wall: SystemTime,
}

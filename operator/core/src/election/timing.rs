//! How long a record holds, and how often it is renewed.

use std::time::Duration;

/// Before its record runs out the holder stops writing by this much, or less where the times are short.
const LONGEST_MARGIN: Duration = Duration::from_secs(2);

/// No record holds for longer than this without a change.
pub(super) const LONGEST: Duration = Duration::from_secs(3_600);

/// Times that fit each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    pub(super) lease_duration: Duration,
    pub(super) renew_deadline: Duration,
    pub(super) retry_period: Duration,
}

/// Why times do not fit each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A Lease counts whole seconds.
    #[error("the lease duration is not a number of whole seconds, from 1s to 1h")]
    Duration,
    /// The holder would stop after others had started.
    #[error("the renew deadline is not shorter than the lease duration")]
    Deadline,
    /// The holder would give up before its first try.
    #[error("the retry period is not shorter than half the renew deadline, or is zero")]
    Period,
}

impl Timing {
    /// Of times that fit each other, or everything that is wrong with them.
    pub fn new(
        lease_duration: Duration,
        renew_deadline: Duration,
        retry_period: Duration,
    ) -> Result<Self, Vec<Error>> {
        let mut problems = Vec::new();
        let is_whole = lease_duration.subsec_nanos() == 0;
        if !is_whole || lease_duration.is_zero() || lease_duration > LONGEST {
            problems.push(Error::Duration);
        }
        if renew_deadline >= lease_duration {
            problems.push(Error::Deadline);
        }
        if retry_period.is_zero() || retry_period * 2 >= renew_deadline {
            problems.push(Error::Period);
        }
        if !problems.is_empty() {
            return Err(problems);
        }
        Ok(Self {
            lease_duration,
            renew_deadline,
            retry_period,
        })
    }

    /// How long a record holds without a renewal.
    pub fn lease_duration(&self) -> Duration {
        self.lease_duration
    }

    /// How long to wait before another try.
    pub fn retry_period(&self) -> Duration {
        self.retry_period
    }

    /// How long one call may take: a call that hangs must leave time for another one.
    pub fn longest_call(&self) -> Duration {
        self.renew_deadline / 2
    }

    /// How long after a renewal its holder may write to the cluster.
    pub(super) fn fence(&self) -> Duration {
        let slack = self.lease_duration.saturating_sub(self.renew_deadline);
        self.lease_duration - LONGEST_MARGIN.min(slack / 2)
    }
}

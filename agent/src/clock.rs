//! The clocks and the dice of this machine.

use std::hash::{BuildHasher, RandomState};
use std::time::{Duration, SystemTime};

use planescape_agent_core::{Moment, Now};
use rustix::time::{ClockId, clock_gettime};

/// Both clocks. The first one also counts while the machine sleeps.
pub(crate) fn now() -> Now {
    let boot = clock_gettime(ClockId::Boottime);
    let seconds = u64::try_from(boot.tv_sec).unwrap_or_default();
    let nanos = u32::try_from(boot.tv_nsec).unwrap_or_default();
    Now {
        moment: Moment::since_boot(Duration::new(seconds, nanos)),
        wall: SystemTime::now(),
    }
}

/// A number that differs from process to process: the standard library's hash keys are random.
pub(crate) fn seed() -> u64 {
    RandomState::new().hash_one("planescape-agent")
}

//! One line per step, with the time it took.

use std::time::Instant;

/// Says `what` on standard error, does it, and says how long it took if that was noticeable.
pub fn step<T>(what: &str, work: impl FnOnce() -> T) -> T {
    let started = Instant::now();
    eprintln!("{what} …");
    let result = work();
    let took = started.elapsed();
    if took.as_secs() >= 1 {
        eprintln!("{what}: {:.1} s", took.as_secs_f32());
    }
    result
}

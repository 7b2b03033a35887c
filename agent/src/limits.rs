//! How many files may be open. The soft limit is there for programs that cannot handle many, and is low for their sake:
//! a proxy needs two for each client. As programs in Go do, the agent takes all that it may have, and its children get
//! the limit that it was given.

use std::os::fd::AsRawFd as _;
use std::sync::OnceLock;

use rustix::fs::{MemfdFlags, memfd_create};
use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit, setrlimit};

/// So many files may be opened while a program is started.
const SPARE: u64 = 32;

/// The limit that the agent was given, if it has raised it.
static GIVEN: OnceLock<Rlimit> = OnceLock::new();

/// To be called once, at the start.
pub(crate) fn raise() {
    let given = getrlimit(Resource::Nofile);
    if given.current == given.maximum {
        return;
    }
    if setrlimit(Resource::Nofile, all_of(&given)).is_ok() {
        // Nothing else sets it, so this does not fail.
        let _ = GIVEN.set(given);
    }
}

/// Starts a program with the limit that the agent was given: the program takes over the limit in force at its start.
/// The start opens files of its own, so with many open files the limit is set a moment later. `id` gives the process.
pub(crate) fn as_given<T>(start: impl FnOnce() -> T, id: impl FnOnce(&T) -> Option<u32>) -> T {
    let Some(given) = GIVEN.get() else {
        return start();
    };
    if has_room(given) {
        let _ = setrlimit(Resource::Nofile, *given);
        let started = start();
        let _ = setrlimit(Resource::Nofile, all_of(given));
        return started;
    }
    let started = start();
    let pid = id(&started).and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
    if let Some(pid) = pid {
        // A program that has ended already needs no limit.
        let _ = prlimit(Some(pid), Resource::Nofile, *given);
    }
    started
}

/// Whether the next files to be opened, here and by others meanwhile, are within a limit: they get the lowest numbers.
fn has_room(limit: &Rlimit) -> bool {
    let next = memfd_create("next", MemfdFlags::CLOEXEC);
    let next = next
        .ok()
        .and_then(|file| u64::try_from(file.as_raw_fd()).ok());
    next.is_some_and(|next| limit.current.is_none_or(|most| next + SPARE < most))
}

fn all_of(given: &Rlimit) -> Rlimit {
    Rlimit {
        current: given.maximum,
        maximum: given.maximum,
    }
}

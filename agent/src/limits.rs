//! How many files may be open. The soft limit is there for programs that cannot handle many, and is low for their sake:
//! a proxy needs two for each client. As programs in Go do, the agent takes all that it may have, and its children get
//! what it was given.

use std::sync::OnceLock;

use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit, setrlimit};

/// What the agent was given, where it took more.
static GIVEN: OnceLock<Rlimit> = OnceLock::new();

/// To be called once, at the start.
pub(crate) fn raise() {
    let given = getrlimit(Resource::Nofile);
    if given.current == given.maximum {
        return;
    }
    if setrlimit(Resource::Nofile, all_of(&given)).is_ok() {
        // Nobody else calls this.
        let _ = GIVEN.set(given);
    }
}

/// Gives a program that was started what the agent was given. To start it under that limit could fail: what starts it
/// opens a pipe, and the agent may have more files open than that.
pub(crate) fn give(program: u32) {
    let pid = i32::try_from(program).ok().and_then(Pid::from_raw);
    if let (Some(given), Some(pid)) = (GIVEN.get(), pid) {
        // One that has ended already needs none.
        let _ = prlimit(Some(pid), Resource::Nofile, *given);
    }
}

fn all_of(given: &Rlimit) -> Rlimit {
    Rlimit {
        current: given.maximum,
        maximum: given.maximum,
    }
}

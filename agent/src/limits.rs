//! How many files may be open. The soft limit is there for programs that cannot handle many, and is low for their sake:
//! a proxy needs two for each client. As programs in Go do, the agent takes all that it may have, and its children get
//! what it was given.

use std::sync::OnceLock;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

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

/// Starts a program, which takes over the limit that is in force meanwhile. What is open stays open.
pub(crate) fn as_given<T>(start: impl FnOnce() -> T) -> T {
    let Some(given) = GIVEN.get() else {
        return start();
    };
    let _ = setrlimit(Resource::Nofile, *given);
    let started = start();
    let _ = setrlimit(Resource::Nofile, all_of(given));
    started
}

fn all_of(given: &Rlimit) -> Rlimit {
    Rlimit {
        current: given.maximum,
        maximum: given.maximum,
    }
}

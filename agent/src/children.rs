//! Which processes are ours. As process 1 the agent also inherits those whose parents are gone; it
//! lets them end, and touches none of its own, which others wait for.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid, waitpid};
use nix::unistd::Pid;

static OURS: Mutex<BTreeSet<i32>> = Mutex::new(BTreeSet::new());

pub(crate) fn started(id: Option<u32>) {
    if let Some(id) = id.and_then(|id| i32::try_from(id).ok()) {
        lock().insert(id);
    }
}

pub(crate) fn ended(id: Option<Pid>) {
    if let Some(id) = id {
        lock().remove(&id.as_raw());
    }
}

/// Lets every process end that has ended and is nobody's but ours to wait for.
pub(crate) fn reap_orphans() {
    let peek = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
    while let Ok(WaitStatus::Exited(id, _) | WaitStatus::Signaled(id, _, _)) = waitid(Id::All, peek)
    {
        // The kernel shows the same one until it is waited for: ours goes first, and comes back here.
        if lock().contains(&id.as_raw()) {
            return;
        }
        let _ = waitpid(id, Some(WaitPidFlag::WNOHANG));
    }
}

fn lock() -> std::sync::MutexGuard<'static, BTreeSet<i32>> {
    OURS.lock().unwrap_or_else(PoisonError::into_inner)
}

//! The processes that the agent started. As process 1 the agent also inherits processes whose parents are gone. It
//! lets those end, and leaves its own to the code that waits for them.

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

/// Collects every inherited process that has ended: nothing else waits for it.
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

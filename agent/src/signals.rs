//! The meaning of signals.

use std::io;
use std::ops::RangeInclusive;

use planescape_agent_core::{Input, Reloaded};
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::children;
use crate::reload::Reloading;

/// Signals of timers, limits and other managers. The agent passes over them, as `vault agent` does. A log at its limit
/// of size is an error of its own.
const PASSED_OVER: [rustix::process::Signal; 7] = [
    rustix::process::Signal::ALARM,
    rustix::process::Signal::VTALARM,
    rustix::process::Signal::PROF,
    rustix::process::Signal::IO,
    rustix::process::Signal::POWER,
    rustix::process::Signal::XCPU,
    rustix::process::Signal::XFSZ,
];

/// The real-time signals that programs may use; those before are the C library's.
const REAL_TIME: RangeInclusive<i32> = 35..=64;

/// Signals that end the agent, and those that must not: by itself a process dies of most of
/// them without revoking anything.
pub(crate) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    quit: Signal,
    hang_up: Signal,
    user_1: Signal,
    user_2: Signal,
    child: Signal,
    /// Set once there is something to reload.
    reloading: Option<Reloading>,
}

impl Signals {
    /// From here on no signal ends the process by itself, except those that cannot be caught.
    pub(crate) fn listen() -> io::Result<Self> {
        for passed in PASSED_OVER.iter().map(|it| it.as_raw()).chain(REAL_TIME) {
            // Listening once takes the signal's own effect away for good.
            drop(signal(SignalKind::from_raw(passed))?);
        }
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            quit: signal(SignalKind::quit())?,
            hang_up: signal(SignalKind::hangup())?,
            user_1: signal(SignalKind::user_defined1())?,
            user_2: signal(SignalKind::user_defined2())?,
            child: signal(SignalKind::child())?,
            reloading: None,
        })
    }

    /// From here on SIGHUP reads the configuration again.
    pub(crate) fn reload_with(&mut self, reloading: Reloading) {
        self.reloading = Some(reloading);
    }

    /// Waits for a signal that ends the agent.
    pub(crate) async fn terminated(&mut self) {
        while !matches!(self.next().await, Input::Terminate) {}
    }

    /// The next signal that has a meaning for the agent. Of the others the log says that they change nothing.
    pub(crate) async fn next(&mut self) -> Input {
        loop {
            let name = tokio::select! {
                _ = self.terminate.recv() => return Input::Terminate,
                _ = self.interrupt.recv() => return Input::Terminate,
                _ = self.quit.recv() => return Input::Terminate,
                _ = self.hang_up.recv() => {
                    if let Some(reloading) = &mut self.reloading {
                        reloading.ask();
                    }
                    continue;
                }
                reloaded = reloaded(&mut self.reloading) => match reloaded {
                    Some(reloaded) => return Input::Reloaded(reloaded),
                    None => continue,
                },
                _ = self.user_1.recv() => "SIGUSR1",
                _ = self.user_2.recv() => "SIGUSR2",
                _ = self.child.recv() => {
                    if std::process::id() == 1 {
                        children::reap_orphans();
                    }
                    continue;
                }
            };
            tracing::warn!(signal = name, "signal ignored");
        }
    }
}

async fn reloaded(reloading: &mut Option<Reloading>) -> Option<Reloaded> {
    match reloading {
        Some(reloading) => reloading.ended().await,
        None => std::future::pending().await,
    }
}

//! The meaning of signals.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// Signals that end the agent, and those that must not, since what a process does by itself on
/// most of them is to die without revoking anything.
pub(crate) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    quit: Signal,
    hang_up: Signal,
    user_1: Signal,
    user_2: Signal,
}

impl Signals {
    /// From here on no signal ends the process by itself, those aside that nobody can catch.
    pub(crate) fn listen() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            quit: signal(SignalKind::quit())?,
            hang_up: signal(SignalKind::hangup())?,
            user_1: signal(SignalKind::user_defined1())?,
            user_2: signal(SignalKind::user_defined2())?,
        })
    }

    /// Waits for a signal that ends the agent; says of the others that they change nothing.
    pub(crate) async fn terminated(&mut self) {
        loop {
            let name = tokio::select! {
                _ = self.terminate.recv() => return,
                _ = self.interrupt.recv() => return,
                _ = self.quit.recv() => return,
                _ = self.hang_up.recv() => "SIGHUP",
                _ = self.user_1.recv() => "SIGUSR1",
                _ = self.user_2.recv() => "SIGUSR2",
            };
            tracing::warn!(
                signal = name,
                "signal ignored: the configuration is read once; restart the agent to change it"
            );
        }
    }
}

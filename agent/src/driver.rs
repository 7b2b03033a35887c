//! The loop in which the core and the world meet.

use std::ops::ControlFlow;
use std::time::Duration;

use planescape_agent_core::{Agent, ExitCode, Input};
use tokio::signal::unix::{SignalKind, signal};

use crate::clock;
use crate::effects::Effects;

/// tokio's timers stand still while the machine sleeps; after so long we look at the real clock.
const LONGEST_SLEEP: Duration = Duration::from_secs(30);

/// Feeds the agent what happens and does what it says, until it says to end.
pub(crate) async fn drive(mut agent: Agent, mut effects: Effects) -> ExitCode {
    let mut signals = Signals::listen();
    let mut input = Input::Timeout;
    loop {
        agent.handle(input, clock::now());
        while let Some(command) = agent.poll_command() {
            if let ControlFlow::Break(code) = effects.start(command) {
                return code;
            }
        }
        let sleep = match agent.poll_timeout() {
            Some(moment) => moment.since(clock::now().moment).min(LONGEST_SLEEP),
            None => LONGEST_SLEEP,
        };
        input = tokio::select! {
            biased;
            () = signals.next() => Input::Terminate,
            Some(input) = effects.next() => input,
            () = tokio::time::sleep(sleep) => Input::Timeout,
        };
    }
}

/// SIGTERM and SIGINT.
struct Signals(Option<(tokio::signal::unix::Signal, tokio::signal::unix::Signal)>);

impl Signals {
    fn listen() -> Self {
        let both = signal(SignalKind::terminate())
            .and_then(|terminate| Ok((terminate, signal(SignalKind::interrupt())?)));
        if let Err(error) = &both {
            tracing::warn!(%error, "cannot listen to signals; a signal ends the agent at once");
        }
        Self(both.ok())
    }

    async fn next(&mut self) {
        match &mut self.0 {
            Some((terminate, interrupt)) => {
                tokio::select! {
                    _ = terminate.recv() => {}
                    _ = interrupt.recv() => {}
                }
            }
            None => std::future::pending().await,
        }
    }
}

//! The loop in which the core and the world meet.

use std::ops::ControlFlow;
use std::time::Duration;

use planescape_agent_core::{Agent, ExitCode, Input};

use crate::clock;
use crate::effects::Effects;
use crate::signals::Signals;

/// tokio's timers stand still while the machine sleeps; after so long we look at the real clock.
const LONGEST_SLEEP: Duration = Duration::from_secs(30);

/// Feeds the agent what happens and does what it says, until it says to end.
pub(crate) async fn drive(
    mut agent: Agent,
    mut effects: Effects,
    mut signals: Signals,
) -> ExitCode {
    let mut input = Input::Timeout;
    loop {
        agent.handle(input, clock::now());
        while let Some(command) = agent.poll_command() {
            if let ControlFlow::Break(code) = effects.start(command) {
                effects.finish_files().await;
                return code;
            }
        }
        let sleep = match agent.poll_timeout() {
            Some((moment, why)) => {
                let sleep = moment.since(clock::now().moment);
                tracing::trace!(?sleep, ?why, "sleeping");
                sleep.min(LONGEST_SLEEP)
            }
            None => LONGEST_SLEEP,
        };
        input = tokio::select! {
            biased;
            () = signals.terminated() => Input::Terminate,
            Some(input) = effects.next() => input,
            () = tokio::time::sleep(sleep) => Input::Timeout,
        };
    }
}

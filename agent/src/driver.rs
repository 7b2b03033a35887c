//! The loop in which the core and the world meet.

use std::ops::ControlFlow;
use std::time::Duration;

use planescape_agent_core::{Agent, ExitCode, Input};

use crate::clock;
use crate::effects::Effects;
use crate::signals::Signals;
use crate::status::Questions;

/// The longest time between two looks at the real clock: tokio's timers stand still while the machine sleeps.
const LONGEST_SLEEP: Duration = Duration::from_secs(30);

/// Feeds events to the agent and carries out its commands, until one of them is the end.
pub(crate) async fn drive(
    mut agent: Agent,
    mut effects: Effects,
    mut signals: Signals,
    mut questions: Questions,
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
        input = next(&agent, &mut effects, &mut signals, &mut questions).await;
    }
}

/// Waits for the next input; questions are answered meanwhile.
async fn next(
    agent: &Agent,
    effects: &mut Effects,
    signals: &mut Signals,
    questions: &mut Questions,
) -> Input {
    loop {
        let sleep = match agent.poll_timeout() {
            Some((moment, why)) => {
                let sleep = moment.since(clock::now().moment);
                tracing::trace!(?sleep, ?why, "sleeping");
                sleep.min(LONGEST_SLEEP)
            }
            None => LONGEST_SLEEP,
        };
        tokio::select! {
            biased;
            input = signals.next() => return input,
            Some(input) = effects.next() => return input,
            Some(question) = questions.next() => {
                question.answer(agent.status(clock::now().moment));
            }
            () = tokio::time::sleep(sleep) => return Input::Timeout,
        }
    }
}

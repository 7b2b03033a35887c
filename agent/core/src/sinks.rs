//! Writes the token into the configured files.

use planescape_vault::Text;

use crate::clock::Moment;
use crate::command::{Command, Destination};

/// One entry for each `auto_auth.sink`.
#[derive(Debug)]
pub(crate) struct Sinks(Vec<State>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Stale,
    Writing,
    /// It was being written when another token came.
    WritingStale,
    Waiting {
        until: Moment,
    },
    Written,
}

impl Sinks {
    pub(crate) fn new(count: usize) -> Self {
        Self(vec![State::Stale; count])
    }

    pub(crate) fn is_complete(&self) -> bool {
        self.0.iter().all(|state| *state == State::Written)
    }

    pub(crate) fn token_replaced(&mut self) {
        for state in &mut self.0 {
            *state = match state {
                State::Writing | State::WritingStale => State::WritingStale,
                State::Stale | State::Waiting { .. } | State::Written => State::Stale,
            };
        }
    }

    pub(crate) fn advance(&mut self, token: &Text, now: Moment) -> Vec<Command> {
        let mut commands = Vec::new();
        for (index, state) in self.0.iter_mut().enumerate() {
            let is_due = match state {
                State::Stale => true,
                State::Waiting { until } => *until <= now,
                State::Writing | State::WritingStale | State::Written => false,
            };
            if is_due {
                *state = State::Writing;
                commands.push(Command::Write {
                    destination: Destination::Sink(index),
                    contents: token.clone(),
                });
            }
        }
        commands
    }

    pub(crate) fn timeout(&self) -> Option<Moment> {
        self.0
            .iter()
            .filter_map(|state| match state {
                State::Waiting { until } => Some(*until),
                State::Stale | State::Writing | State::WritingStale | State::Written => None,
            })
            .min()
    }

    pub(crate) fn written(&mut self, index: usize) {
        if let Some(state) = self.0.get_mut(index) {
            *state = match state {
                State::WritingStale => State::Stale,
                State::Stale | State::Writing | State::Waiting { .. } | State::Written => {
                    State::Written
                }
            };
        }
    }

    pub(crate) fn not_written(&mut self, index: usize, until: Moment) {
        if let Some(state) = self.0.get_mut(index) {
            *state = State::Waiting { until };
        }
    }
}

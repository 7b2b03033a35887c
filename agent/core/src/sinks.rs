//! Writes the token into the configured files.

use planescape_vault::Text;

use crate::clock::Moment;
use crate::command::{Command, Destination};
use crate::write::Write;

/// One entry for each `auto_auth.sink`.
#[derive(Debug)]
pub(crate) struct Sinks(Vec<Write>);

impl Sinks {
    pub(crate) fn new(count: usize) -> Self {
        Self(vec![Write::Stale; count])
    }

    pub(crate) fn is_complete(&self) -> bool {
        self.0.iter().all(|sink| *sink == Write::Done)
    }

    pub(crate) fn token_replaced(&mut self) {
        self.0.iter_mut().for_each(Write::outdate);
    }

    pub(crate) fn advance(&mut self, token: &Text, now: Moment) -> Vec<Command> {
        let due = self.0.iter_mut().enumerate();
        let due = due.filter_map(|(index, sink)| sink.start(now).then_some(index));
        due.map(|index| Command::Write {
            destination: Destination::Sink(index),
            contents: token.clone(),
            effects: Vec::new(),
        })
        .collect()
    }

    pub(crate) fn timeout(&self) -> Option<Moment> {
        self.0.iter().filter_map(Write::timeout).min()
    }

    pub(crate) fn written(&mut self, index: usize) {
        if let Some(sink) = self.0.get_mut(index) {
            sink.finish();
        }
    }

    pub(crate) fn not_written(&mut self, index: usize, until: Moment) {
        if let Some(sink) = self.0.get_mut(index) {
            sink.fail(until);
        }
    }
}

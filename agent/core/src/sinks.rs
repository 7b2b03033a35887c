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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn each_sink_is_written_once_for_a_token_and_again_when_that_failed() {
        let now = Moment::since_boot(Duration::from_secs(1));
        let later = now + Duration::from_secs(5);
        let token = Text::from("t1");
        let mut sinks = Sinks::new(2);

        assert_eq!(due(&mut sinks, &token, now), [0, 1]);
        assert_eq!(
            due(&mut sinks, &token, now),
            [0; 0],
            "both are being written"
        );
        sinks.written(0);
        sinks.not_written(1, later);
        assert!(!sinks.is_complete());
        assert_eq!(sinks.timeout(), Some(later));
        assert_eq!(due(&mut sinks, &token, now), [0; 0]);
        assert_eq!(due(&mut sinks, &token, later), [1]);
        sinks.written(1);
        assert!(sinks.is_complete());
        assert_eq!(sinks.timeout(), None);

        sinks.token_replaced();
        assert!(!sinks.is_complete());
        assert_eq!(due(&mut sinks, &token, later), [0, 1]);
    }

    fn due(sinks: &mut Sinks, token: &Text, now: Moment) -> Vec<usize> {
        let commands = sinks.advance(token, now).into_iter();
        let indexes = commands.map(|command| {
            let Command::Write {
                destination: Destination::Sink(index),
                contents,
                ..
            } = command
            else {
                panic!("{command:?}");
            };
            assert_eq!(contents, *token);
            index
        });
        indexes.collect()
    }
}

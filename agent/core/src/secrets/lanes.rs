//! Requests that are due at Vault, or on their way to it, by the engine that has to answer.

use std::collections::BTreeMap;

use super::Id;
use super::queue::Queue;
use crate::clock::Moment;
use crate::turns::Turns;

/// Entries by their engines and the moments when they are due.
#[derive(Debug)]
pub(super) struct Lanes {
    queues: BTreeMap<String, Queue>,
    turns: Turns,
    /// The path and the engine of each request on its way: a path may have turned out to be another engine's since.
    asked: Vec<(String, String)>,
}

impl Lanes {
    pub(super) fn new(limit: usize) -> Self {
        Self {
            queues: BTreeMap::new(),
            turns: Turns::new(limit),
            asked: Vec::new(),
        }
    }

    pub(super) fn set_limit(&mut self, limit: usize) {
        self.turns.set_limit(limit);
    }

    pub(super) fn put(&mut self, engine: &str, at: Moment, id: Id) {
        match self.queues.get_mut(engine) {
            Some(queue) => queue.put(at, id),
            None => {
                let queue = self.queues.entry(engine.to_owned());
                queue.or_default().put(at, id);
            }
        }
    }

    pub(super) fn take(&mut self, engine: &str, at: Moment, id: Id) {
        if let Some(queue) = self.queues.get_mut(engine) {
            queue.take(at, id);
            self.tidy(engine);
        }
    }

    /// The entry that has been due for longest at the engine whose turn it is.
    pub(super) fn pop_due(&mut self, now: Moment) -> Option<Id> {
        let waiting = self.queues.iter().filter_map(|(engine, queue)| {
            let first = queue.first().filter(|(at, _)| *at <= now)?;
            Some((engine.as_str(), first))
        });
        let engine = self.turns.next(waiting)?.to_owned();
        let id = self.queues.get_mut(&engine)?.pop_due(now);
        self.tidy(&engine);
        id
    }

    /// Vault is asked for this.
    pub(super) fn asked(&mut self, path: &str, engine: &str) {
        self.turns.take(engine);
        self.asked.push((path.to_owned(), engine.to_owned()));
    }

    /// It has answered, or nobody waits for that any more.
    pub(super) fn answered(&mut self, path: &str) {
        let mut asked = self.asked.iter();
        if let Some(index) = asked.position(|(asked, _)| asked == path) {
            let (_, engine) = self.asked.swap_remove(index);
            self.turns.give_back(&engine);
        }
    }

    /// When the next one is due whose engine may be asked.
    pub(super) fn first(&self) -> Option<Moment> {
        let free = self.queues.iter();
        let free = free.filter(|(engine, _)| self.turns.is_free(engine));
        let first = free.filter_map(|(_, queue)| queue.first());
        first.map(|(at, _)| at).min()
    }

    fn tidy(&mut self, engine: &str) {
        if self.queues.get(engine).is_some_and(Queue::is_empty) {
            self.queues.remove(engine);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_turn_goes_back_to_the_engine_that_has_answered() {
        let mut lanes = Lanes::new(1);
        lanes.put("a", at(0), Id(1));
        lanes.put("b", at(0), Id(2));
        lanes.put("b", at(1), Id(3));

        assert_eq!(lanes.pop_due(at(5)), Some(Id(1)));
        lanes.asked("a/x", "a");
        assert_eq!(lanes.pop_due(at(5)), Some(Id(2)), "it is asked nothing");
        lanes.asked("b/x", "b");
        assert_eq!(lanes.pop_due(at(5)), None);
        assert_eq!(lanes.first(), None, "an answer must come first");

        lanes.answered("a/x");
        assert_eq!(lanes.pop_due(at(5)), None, "of another engine");
        lanes.answered("b/x");
        assert_eq!(lanes.first(), Some(at(1)));
        assert_eq!(lanes.pop_due(at(5)), Some(Id(3)));
    }

    #[test]
    fn what_is_due_now_is_due_and_what_is_taken_is_not() {
        let mut lanes = Lanes::new(1);
        lanes.put("a", at(5), Id(1));
        lanes.put("a", at(6), Id(2));

        lanes.take("a", at(6), Id(2));

        assert_eq!(lanes.pop_due(at(4)), None);
        assert_eq!(lanes.pop_due(at(5)), Some(Id(1)));
        assert_eq!(lanes.pop_due(at(9)), None);
        assert!(lanes.queues.is_empty());
    }

    fn at(seconds: u64) -> Moment {
        Moment::since_boot(Duration::from_secs(seconds))
    }
}

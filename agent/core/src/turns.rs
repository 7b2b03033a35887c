//! Each engine behind Vault has a turn of its own, so that an engine that does not answer holds up no requests but its
//! own.

use std::collections::BTreeMap;

/// The requests on their way, by the engine that has to answer them.
///
/// An engine that is asked nothing at the moment may be asked at once, whatever the others do. Beyond that all engines
/// share the limit, and the one that is asked least goes first: one alone gets all of it.
#[derive(Debug)]
pub struct Turns {
    limit: usize,
    taken: BTreeMap<String, usize>,
}

impl Turns {
    /// No request is on its way.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self {
            limit,
            taken: BTreeMap::new(),
        }
    }

    /// There is another limit.
    pub fn set_limit(&mut self, limit: usize) {
        self.limit = limit;
    }

    /// Whether an engine may be asked now.
    #[must_use]
    pub fn is_free(&self, engine: &str) -> bool {
        self.of(engine) == 0 || self.taken.values().sum::<usize>() < self.limit
    }

    /// The engine to be asked next, if one may be: the one that is asked least, then the one with the least `since`.
    pub fn next<'a, T: Ord>(&self, waiting: impl Iterator<Item = (&'a str, T)>) -> Option<&'a str> {
        let free = waiting.filter(|(engine, _)| self.is_free(engine));
        let next = free.map(|(engine, since)| (self.of(engine), since, engine));
        next.min().map(|(_, _, engine)| engine)
    }

    /// An engine is asked.
    pub fn take(&mut self, engine: &str) {
        match self.taken.get_mut(engine) {
            Some(taken) => *taken += 1,
            None => {
                self.taken.insert(engine.to_owned(), 1);
            }
        }
    }

    /// It has answered.
    pub fn give_back(&mut self, engine: &str) {
        if let Some(taken) = self.taken.get_mut(engine) {
            *taken -= 1;
            if *taken == 0 {
                self.taken.remove(engine);
            }
        }
    }

    fn of(&self, engine: &str) -> usize {
        self.taken.get(engine).copied().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_engine_alone_gets_all_turns_and_still_keeps_no_other_one_waiting() {
        let mut turns = Turns::new(4);

        for _ in 0..4 {
            assert_eq!(next(&turns, &["slow"]), Some("slow"));
            turns.take("slow");
        }

        assert_eq!(next(&turns, &["slow"]), None);
        assert_eq!(next(&turns, &["slow", "quick"]), Some("quick"));
        turns.take("quick");
        assert_eq!(next(&turns, &["slow", "quick"]), None);
        turns.give_back("quick");
        assert_eq!(next(&turns, &["slow", "quick"]), Some("quick"));
    }

    #[test]
    fn engines_that_wait_share_the_turns_whoever_has_waited_longer() {
        let mut turns = Turns::new(6);

        let mut order = Vec::new();
        while let Some(engine) = next(&turns, &["a", "b"]) {
            turns.take(engine);
            order.push(engine);
        }
        assert_eq!(order, ["a", "b", "a", "b", "a", "b"]);

        turns.give_back("a");
        assert_eq!(next(&turns, &["b", "c", "a"]), Some("c"));
        assert_eq!(next(&turns, &["b", "a"]), Some("a"));
    }

    #[test]
    fn a_turn_that_nobody_took_is_not_given_back() {
        let mut turns = Turns::new(1);
        turns.take("a");

        turns.give_back("b");
        turns.give_back("a");
        turns.give_back("a");

        turns.take("a");
        assert!(!turns.is_free("a"));
        turns.set_limit(2);
        assert!(turns.is_free("a"));
    }

    /// The engines wait in this order.
    fn next<'a>(turns: &Turns, engines: &[&'a str]) -> Option<&'a str> {
        let waiting = engines.iter().enumerate();
        turns.next(waiting.map(|(since, engine)| (*engine, since)))
    }
}

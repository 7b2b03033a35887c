//! A queue in which namespaces take turns: none waits for all of another one.

use std::collections::{BTreeMap, VecDeque};

/// Waiting items, by namespace.
#[derive(Debug)]
pub(crate) struct Turns<T> {
    waiting: BTreeMap<String, VecDeque<T>>,
    next: VecDeque<String>,
}

impl<T> Default for Turns<T> {
    fn default() -> Self {
        Self {
            waiting: BTreeMap::new(),
            next: VecDeque::new(),
        }
    }
}

impl<T> Turns<T> {
    /// It waits behind all others of its namespace.
    pub(crate) fn push(&mut self, namespace: &str, item: T) {
        if let Some(waiting) = self.waiting.get_mut(namespace) {
            waiting.push_back(item);
            return;
        }
        self.next.push_back(namespace.to_owned());
        self.waiting
            .insert(namespace.to_owned(), VecDeque::from([item]));
    }

    /// The next one, and its namespace.
    pub(crate) fn pop(&mut self) -> Option<(String, T)> {
        let namespace = self.next.pop_front()?;
        let waiting = self.waiting.get_mut(&namespace)?;
        let item = waiting.pop_front()?;
        if waiting.is_empty() {
            self.waiting.remove(&namespace);
        } else {
            self.next.push_back(namespace.clone());
        }
        Some((namespace, item))
    }

    /// All that wait, each with its namespace.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&String, &T)> {
        let lanes = self.waiting.iter();
        lanes.flat_map(|(namespace, waiting)| waiting.iter().map(move |item| (namespace, item)))
    }
}

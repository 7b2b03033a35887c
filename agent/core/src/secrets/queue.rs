//! Entries by the moment when they are due.

use std::collections::BTreeSet;

use super::Id;
use crate::clock::Moment;

/// Entries by the moment when they are due.
#[derive(Debug, Default)]
pub(super) struct Queue(BTreeSet<(Moment, Id)>);

impl Queue {
    pub(super) fn put(&mut self, at: Moment, id: Id) {
        self.0.insert((at, id));
    }

    pub(super) fn take(&mut self, at: Moment, id: Id) {
        self.0.remove(&(at, id));
    }

    /// The one that has been due for longest.
    pub(super) fn pop_due(&mut self, now: Moment) -> Option<Id> {
        let (at, id) = *self.0.first()?;
        if at > now {
            return None;
        }
        self.0.pop_first();
        Some(id)
    }

    pub(super) fn first(&self) -> Option<(Moment, Id)> {
        self.0.first().copied()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

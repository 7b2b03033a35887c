//! Limits how many times a minute something may come.

use std::collections::VecDeque;

use super::{LOGINS, MINUTE};
use crate::clock::Moment;

/// When it came within the latest minute.
#[derive(Debug, Default)]
pub(super) struct Often(VecDeque<Moment>);

impl Often {
    /// When it may come again, if it came too often.
    pub(super) fn wait(&mut self, now: Moment) -> Option<Moment> {
        while self.0.front().is_some_and(|it| *it + MINUTE <= now) {
            self.0.pop_front();
        }
        let first = self.0.front().filter(|_| self.0.len() >= LOGINS)?;
        Some(*first + MINUTE)
    }

    pub(super) fn came(&mut self, now: Moment) {
        self.0.push_back(now);
    }

    /// The latest one does not count.
    pub(super) fn forgive(&mut self) {
        self.0.pop_back();
    }
}

//! Which PlanescapeJobs are to be reconciled: each at most once at a time, those whose time has come first,
//! and no namespace waits for all of another one.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::Name;
use crate::turns::Turns;

/// So many are looked at before others have their turn.
const LOOKED_AT_ONCE: usize = 64;

/// How urgent it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Urgency {
    /// Its time has come.
    Due,
    /// Something about it has changed.
    Changed,
}

/// Names of PlanescapeJobs in the order in which they are to be reconciled.
#[derive(Debug)]
pub(crate) struct Queue {
    inner: Mutex<Inner>,
    /// So many that have only changed are reconciled at once.
    most_changed: usize,
    moved: Notify,
}

#[derive(Debug, Default)]
struct Inner {
    states: HashMap<Name, State>,
    /// How many that have only changed are being reconciled.
    changed_running: usize,
    /// By name.
    due: Turns<String>,
    changed: Turns<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Waiting(Urgency),
    Running,
    /// Something has changed since it began.
    RunningAndWaiting(Urgency),
}

/// An object that is being reconciled, until this is dropped.
pub(crate) struct Running {
    queue: Arc<Queue>,
    pub(crate) name: Name,
    pub(crate) urgency: Urgency,
}

impl Queue {
    /// Empty.
    pub(crate) fn new(most_changed: usize) -> Self {
        Self {
            inner: Mutex::default(),
            most_changed,
            moved: Notify::new(),
        }
    }

    /// Asks for a reconciliation.
    pub(crate) fn push(&self, name: Name, urgency: Urgency) {
        let mut inner = self.inner();
        match inner.states.get_mut(&name) {
            Some(State::Waiting(known)) if *known == urgency || urgency == Urgency::Changed => {
                return;
            }
            Some(State::Waiting(_)) => {}
            Some(state @ State::Running) => {
                *state = State::RunningAndWaiting(urgency);
                return;
            }
            Some(State::RunningAndWaiting(known)) => {
                if urgency == Urgency::Due {
                    *known = urgency;
                }
                return;
            }
            None => {}
        }
        inner.states.insert(name.clone(), State::Waiting(urgency));
        inner.lane(urgency).push(&name.0, name.1);
        drop(inner);
        self.moved.notify_one();
    }

    /// The next one, as soon as there is any.
    pub(crate) async fn next(self: &Arc<Self>) -> Running {
        loop {
            if let Some((name, urgency)) = self.take() {
                return Running {
                    queue: self.clone(),
                    name,
                    urgency,
                };
            }
            self.moved.notified().await;
        }
    }

    /// Lets those go first whose time has come by now. Objects that came before the operator led are queued as changed.
    pub(crate) async fn hasten(&self, is_due: impl Fn(&Name) -> bool) {
        let changed: Vec<Name> = {
            let inner = self.inner();
            let waiting = inner.changed.iter();
            waiting
                .map(|(namespace, name)| (namespace.clone(), name.clone()))
                .collect()
        };
        for some in changed.chunks(LOOKED_AT_ONCE) {
            for name in some.iter().filter(|name| is_due(name)) {
                self.push(name.clone(), Urgency::Due);
            }
            tokio::task::yield_now().await;
        }
    }

    /// How many wait.
    pub(crate) fn depth(&self) -> usize {
        let inner = self.inner();
        [&inner.due, &inner.changed]
            .map(|lane| lane.iter().count())
            .iter()
            .sum()
    }

    fn take(&self) -> Option<(Name, Urgency)> {
        let mut inner = self.inner();
        let has_room = inner.changed_running < self.most_changed;
        let (name, urgency) = inner.pop(has_room)?;
        inner.changed_running += usize::from(urgency == Urgency::Changed);
        inner.states.insert(name.clone(), State::Running);
        Some((name, urgency))
    }

    fn done(&self, Running { name, urgency, .. }: &Running) {
        let mut inner = self.inner();
        inner.changed_running -= usize::from(*urgency == Urgency::Changed);
        if let Some(State::RunningAndWaiting(urgency)) = inner.states.remove(name) {
            inner.states.insert(name.clone(), State::Waiting(urgency));
            inner.lane(urgency).push(&name.0, name.1.clone());
        }
        drop(inner);
        self.moved.notify_one();
    }

    /// Nothing panics while it holds the lock.
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn pop(&mut self, takes_changed: bool) -> Option<(Name, Urgency)> {
        if let Some(due) = self.due.pop() {
            return Some((due, Urgency::Due));
        }
        if !takes_changed {
            return None;
        }
        // Names that have become due meanwhile were taken already.
        let is_left = Some(&State::Waiting(Urgency::Changed));
        let mut changed = std::iter::from_fn(|| self.changed.pop());
        let left = changed.find(|name| self.states.get(name) == is_left)?;
        Some((left, Urgency::Changed))
    }

    fn lane(&mut self, urgency: Urgency) -> &mut Turns<String> {
        match urgency {
            Urgency::Due => &mut self.due,
            Urgency::Changed => &mut self.changed,
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.queue.done(self);
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;

    #[test]
    fn reconciles_nothing_twice_at_once_and_forgets_no_change() {
        let queue = Arc::new(Queue::new(9));
        for _ in 0..3 {
            queue.push(name("a", "1"), Urgency::Changed);
        }

        let running = next(&queue).unwrap();
        assert!(next(&queue).is_none());
        for urgency in [Urgency::Changed, Urgency::Due, Urgency::Changed] {
            queue.push(name("a", "1"), urgency);
        }
        assert!(next(&queue).is_none(), "it is being reconciled");
        drop(running);

        let again = next(&queue).unwrap();
        drop(again);
        assert!(next(&queue).is_none());
        assert!(queue.inner().states.is_empty());
    }

    #[test]
    fn takes_what_is_due_first_and_namespaces_in_turns() {
        let queue = Arc::new(Queue::new(9));
        queue.push(name("a", "changed"), Urgency::Changed);
        queue.push(name("a", "1"), Urgency::Changed);
        for number in ["1", "2", "3"] {
            queue.push(name("a", number), Urgency::Due);
        }
        queue.push(name("b", "1"), Urgency::Due);
        assert_eq!(queue.depth(), 6);

        let order: Vec<String> = std::iter::from_fn(|| next(&queue))
            .map(|running| format!("{}/{}", running.name.0, running.name.1))
            .collect();

        assert_eq!(order, ["a/1", "b/1", "a/2", "a/3", "a/changed"]);
    }

    #[test]
    fn what_has_only_changed_waits_for_its_like_and_what_is_due_does_not() {
        let queue = Arc::new(Queue::new(2));
        for number in ["1", "2", "3", "4"] {
            queue.push(name("a", number), Urgency::Changed);
        }

        let first = next(&queue).unwrap();
        let second = next(&queue).unwrap();
        assert!(next(&queue).is_none());
        queue.push(name("a", "4"), Urgency::Due);
        assert_eq!(next(&queue).unwrap().name.1, "4");
        assert!(next(&queue).is_none());
        drop(first);
        assert_eq!(next(&queue).unwrap().name.1, "3");
        drop(second);
        assert!(next(&queue).is_none(), "the fourth was due");
    }

    #[tokio::test]
    async fn what_became_due_while_nobody_led_goes_first() {
        let queue = Arc::new(Queue::new(1));
        for number in ["1", "2", "3"] {
            queue.push(name("a", number), Urgency::Changed);
        }

        queue.hasten(|name| name.1 == "3").await;

        let due = next(&queue).unwrap();
        assert_eq!(due.name.1, "3");
        assert_eq!(next(&queue).unwrap().name.1, "1");
    }

    fn name(namespace: &str, name: &str) -> Name {
        (namespace.to_owned(), name.to_owned())
    }

    fn next(queue: &Arc<Queue>) -> Option<Running> {
        queue.next().now_or_never()
    }
}

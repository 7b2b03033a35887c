//! How many calls to the API server are on their way at once, and which are let through first: the most urgent ones, and of
//! these those of each namespace in turn.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use crate::turns::Turns;

/// Which calls are let through first, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Class {
    /// A run waits for it.
    Run,
    /// It must not be forgotten.
    Record,
    /// It can wait.
    Tidy,
    /// It is a courtesy.
    Event,
}

impl Class {
    /// All of them, the most urgent first.
    pub(crate) const ALL: [Self; 4] = [Self::Run, Self::Record, Self::Tidy, Self::Event];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Run => "run",
            Self::Record => "record",
            Self::Tidy => "tidy",
            Self::Event => "event",
        }
    }
}

/// Lets a limited number of calls through.
#[derive(Debug)]
pub(crate) struct Gate {
    inner: Mutex<Inner>,
    /// So many calls that are no runs are let through even while runs wait: if runs are due all the
    /// time, the records of earlier ones must be written, too.
    reserve: usize,
}

#[derive(Debug)]
struct Inner {
    free: usize,
    /// Let through, and no runs.
    others: usize,
    waiting: [Turns<oneshot::Sender<Slot>>; 4],
}

/// A call that was let through; the next one follows when it is dropped.
#[derive(Debug)]
pub(crate) struct Slot {
    gate: Arc<Gate>,
    class: Class,
}

impl Gate {
    /// Lets so many calls through at once, at least two.
    pub(crate) fn new(limit: usize) -> Arc<Self> {
        let limit = limit.max(2);
        Arc::new(Self {
            inner: Mutex::new(Inner {
                free: limit,
                others: 0,
                waiting: Default::default(),
            }),
            reserve: (limit / 16).max(1),
        })
    }

    /// Returns when a call of this class may be made that is about this namespace.
    pub(crate) async fn enter(self: &Arc<Self>, class: Class, namespace: &str) -> Slot {
        let (sender, turn) = oneshot::channel();
        self.inner().waiting[class as usize].push(namespace, sender);
        self.let_through();
        match turn.await {
            Ok(slot) => slot,
            // The gate keeps the sender until it sends.
            Err(_) => std::future::pending().await,
        }
    }

    fn let_through(self: &Arc<Self>) {
        loop {
            let Some((class, next)) = self.inner().take(self.reserve) else {
                return;
            };
            let gate = self.clone();
            // A caller that gives up now drops its slot, and with it lets the next one through.
            let _ = next.send(Slot { gate, class });
        }
    }

    /// How many calls of each class wait.
    pub(crate) fn waiting(&self) -> [usize; 4] {
        let inner = self.inner();
        std::array::from_fn(|class| {
            inner.waiting[class]
                .iter()
                .filter(|(_, it)| !it.is_closed())
                .count()
        })
    }

    /// Nothing panics while it holds the lock.
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    /// The call that is let through next, if any may.
    fn take(&mut self, reserve: usize) -> Option<(Class, oneshot::Sender<Slot>)> {
        if self.free == 0 {
            return None;
        }
        let [run, others @ ..] = Class::ALL;
        let runs_last = others.into_iter().chain([run]);
        let order: Vec<Class> = if self.others < reserve {
            runs_last.collect()
        } else {
            Class::ALL.to_vec()
        };
        for class in order {
            while let Some((_, next)) = self.waiting[class as usize].pop() {
                if !next.is_closed() {
                    self.free -= 1;
                    self.others += usize::from(class != Class::Run);
                    return Some((class, next));
                }
            }
        }
        None
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        {
            let mut inner = self.gate.inner();
            inner.free += 1;
            inner.others -= usize::from(self.class != Class::Run);
        }
        self.gate.let_through();
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;

    #[test]
    fn lets_the_most_urgent_call_through_first() {
        let gate = Gate::new(2);
        let slots = [enter(&gate, Class::Tidy), enter(&gate, Class::Tidy)].map(Option::unwrap);
        let mut event = Box::pin(gate.enter(Class::Event, "a"));
        let mut record = Box::pin(gate.enter(Class::Record, "a"));
        let mut run = Box::pin(gate.enter(Class::Run, "a"));
        assert!(event.as_mut().now_or_never().is_none());
        assert!(record.as_mut().now_or_never().is_none());
        assert!(run.as_mut().now_or_never().is_none());
        assert_eq!(gate.waiting(), [1, 1, 0, 1]);

        let [first, _second] = slots;
        drop(first);

        assert!(record.as_mut().now_or_never().is_none());
        drop(run.now_or_never().expect("its turn has come"));
        assert!(event.as_mut().now_or_never().is_none());
        drop(record.now_or_never().expect("its turn has come"));
        assert!(event.now_or_never().is_some());
    }

    #[test]
    fn many_runs_leave_a_little_to_what_must_be_recorded_and_no_more() {
        let gate = Gate::new(32);
        let mut runs = waiting(&gate, Class::Run, 100);
        let mut records = waiting(&gate, Class::Record, 100);
        let mut held = take(&mut runs);
        assert_eq!((held.len(), take(&mut records).len()), (32, 0));

        let mut counts = (0, 0);
        let mut recording: Vec<Slot> = Vec::new();
        while runs.len() > 10 {
            // Each call that is let through takes as long as all others do.
            let done = if recording.len() > held.len() / 15 {
                recording.remove(0)
            } else {
                held.remove(0)
            };
            drop(done);
            let (ran, recorded) = (take(&mut runs), take(&mut records));
            counts.0 += ran.len();
            counts.1 += recorded.len();
            held.extend(ran);
            recording.extend(recorded);
            assert!(recording.len() <= 2, "{}", recording.len());
        }

        assert!(counts.1 > 0 && counts.0 > 5 * counts.1, "{counts:?}");
        drop((held, recording));
    }

    #[test]
    fn no_namespace_waits_for_all_of_another_one() {
        let gate = Gate::new(2);
        let held = [enter(&gate, Class::Run), enter(&gate, Class::Run)];
        let mut many = waiting(&gate, Class::Run, 200);
        assert!(take(&mut many).is_empty());
        let mut other = Box::pin(gate.enter(Class::Run, "b"));
        assert!(other.as_mut().now_or_never().is_none());

        drop(held);

        let turn = other.now_or_never();
        assert!(turn.is_some(), "its turn is the second");
        assert_eq!(take(&mut many).len(), 1);
    }

    #[test]
    fn one_that_gave_up_takes_nobodys_turn() {
        let gate = Gate::new(2);
        let slots = [enter(&gate, Class::Record), enter(&gate, Class::Record)];
        let mut first = Box::pin(gate.enter(Class::Record, "a"));
        let mut second = Box::pin(gate.enter(Class::Record, "a"));
        let mut third = Box::pin(gate.enter(Class::Record, "a"));
        for turn in [&mut first, &mut second, &mut third] {
            assert!(turn.as_mut().now_or_never().is_none());
        }
        drop(first);

        drop(slots);
        // It was let through and did not take notice of it.
        drop(second);

        assert!(third.now_or_never().is_some());
        assert!(enter(&gate, Class::Record).is_some());
    }

    type Turn = std::pin::Pin<Box<dyn Future<Output = Slot>>>;

    fn waiting(gate: &Arc<Gate>, class: Class, count: usize) -> Vec<Turn> {
        let turn = || {
            let gate = gate.clone();
            let turn: Turn = Box::pin(async move { gate.enter(class, "a").await });
            turn
        };
        std::iter::repeat_with(turn).take(count).collect()
    }

    /// The slots whose turn has come.
    fn take(turns: &mut Vec<Turn>) -> Vec<Slot> {
        let mut slots = Vec::new();
        turns.retain_mut(|turn| match turn.as_mut().now_or_never() {
            Some(slot) => {
                slots.push(slot);
                false
            }
            None => true,
        });
        slots
    }

    fn enter(gate: &Arc<Gate>, class: Class) -> Option<Slot> {
        gate.enter(class, "a").now_or_never()
    }
}

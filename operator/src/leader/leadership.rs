//! The state of the election for the rest of the operator: whether it leads, and until when at least.

use std::time::Duration;

use planescape_operator_core::election::Moment;
use rustix::time::{ClockId, clock_gettime};
use tokio::sync::watch;

/// Whether this operator leads, for the other parts.
#[derive(Clone, Debug)]
pub struct Leadership(watch::Receiver<State>);

/// The other end of a [`Leadership`].
#[derive(Debug)]
pub struct Term(watch::Sender<State>);

/// Writes are refused because another operator leads, or may lead soon.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("this operator does not lead")]
pub struct NotLeading;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Standby,
    Until(Moment),
    Always,
    Over,
}

/// How long this machine has been up, suspended time included.
pub(crate) fn moment() -> Moment {
    let boot = clock_gettime(ClockId::Boottime);
    let seconds = u64::try_from(boot.tv_sec).unwrap_or_default();
    let nanos = u32::try_from(boot.tv_nsec).unwrap_or_default();
    Moment(Duration::new(seconds, nanos))
}

impl Term {
    /// The term of an operator that does not lead yet.
    pub fn new() -> (Self, Leadership) {
        let (sender, receiver) = watch::channel(State::Standby);
        (Self(sender), Leadership(receiver))
    }

    pub(super) fn set(&self, until: Option<Moment>) {
        let before = *self.0.borrow();
        let state = match (until, before) {
            (_, State::Over) | (None, State::Until(_)) => State::Over,
            (Some(until), _) => State::Until(until),
            (None, _) => State::Standby,
        };
        self.0.send_replace(state);
    }

    pub(super) fn end(&self) {
        self.0.send_replace(State::Over);
    }
}

impl Leadership {
    /// The leadership of an operator that has no rival.
    pub fn without_election() -> Self {
        let (_, receiver) = watch::channel(State::Always);
        Self(receiver)
    }

    /// Whether this operator leads.
    pub fn is_leading(&self) -> bool {
        self.may_write().is_some()
    }

    /// How long from now on it may write at least; none when it may not.
    fn may_write(&self) -> Option<Duration> {
        match *self.0.borrow() {
            State::Standby | State::Over => None,
            State::Always => Some(Duration::MAX),
            State::Until(until) => {
                let left = moment().until(until);
                (!left.is_zero()).then_some(left)
            }
        }
    }

    /// Returns when this operator leads, or never.
    pub async fn wait(&self) {
        let mut state = self.0.clone();
        let leads = |state: &State| matches!(state, State::Until(_) | State::Always);
        if state.wait_for(leads).await.is_err() {
            // The election has ended, and the operator with it.
            std::future::pending::<()>().await;
        }
    }

    /// Does some work as long as this operator leads, and not a moment longer.
    pub async fn guard<T>(&self, work: impl Future<Output = T>) -> Result<T, NotLeading> {
        let mut work = std::pin::pin!(work);
        loop {
            let left = self.may_write().ok_or(NotLeading)?;
            // The term may be renewed meanwhile.
            if let Ok(done) = tokio::time::timeout(left, work.as_mut()).await {
                return Ok(done);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn nothing_is_written_before_a_term_or_after_it() {
        let (term, leadership) = Term::new();
        assert!(leadership.guard(std::future::ready(1)).await.is_err());

        term.set(Some(moment().after(Duration::from_secs(60))));
        assert_eq!(leadership.guard(std::future::ready(1)).await.unwrap(), 1);

        term.set(Some(moment()));
        assert!(!leadership.is_leading());
        assert!(leadership.guard(std::future::ready(1)).await.is_err());

        term.end();
        term.set(Some(moment().after(Duration::from_secs(60))));
        assert!(leadership.guard(std::future::ready(1)).await.is_err());
    }

    #[tokio::test]
    async fn work_that_outlasts_the_term_is_cut_off_and_a_renewal_lets_it_go_on() {
        let (term, leadership) = Term::new();
        term.set(Some(moment().after(Duration::from_millis(20))));
        let hanging = leadership.guard(std::future::pending::<()>());
        assert!(hanging.await.is_err());

        term.set(Some(moment().after(Duration::from_millis(20))));
        let slow = leadership.guard(tokio::time::sleep(Duration::from_millis(60)));
        let renewal = async {
            term.set(Some(moment().after(Duration::from_secs(60))));
        };
        let (done, ()) = tokio::join!(slow, renewal);
        assert!(done.is_ok());
    }

    #[tokio::test]
    async fn an_operator_without_rivals_always_leads() {
        let leadership = Leadership::without_election();

        leadership.wait().await;
        assert!(leadership.is_leading());
        assert!(leadership.guard(std::future::ready(())).await.is_ok());
    }
}

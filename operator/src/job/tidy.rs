//! Tidies up work that can wait, a part of it at a time, so that no run waits for it.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use futures::{StreamExt as _, stream};
use jiff::Timestamp;
use kube::ResourceExt as _;
use planescape_operator_core::job::plan::{Action, Priority};
use planescape_operator_core::job::status::{Applied, event_of_untidiness, events_of_deletions};
use tokio::sync::Semaphore;
use tracing::{debug, warn};

use super::{Attempt, Context, Error, Name, apply};

/// How many calls one object may have on their way.
const AT_ONCE: usize = 16;

/// How much one attempt does; the rest follows.
const MOST: usize = 100;

/// How long one attempt may be at it.
const LONGEST: Duration = Duration::from_secs(2);

/// When to go on with the rest.
const GO_ON: Duration = Duration::from_millis(100);

/// When to try again after a failure.
const RETRY: Duration = Duration::from_secs(30);

/// The state that all objects share.
pub(super) struct Tidying {
    /// So many calls may be on their way: the API server is there for runs.
    slots: Semaphore,
    /// The objects of which it was told that it fails.
    failing: Mutex<HashSet<Name>>,
}

impl Default for Tidying {
    fn default() -> Self {
        Self {
            slots: Semaphore::new(32),
            failing: Mutex::default(),
        }
    }
}

impl Tidying {
    /// Whether it is news that it fails, or does not.
    fn is_news(&self, name: Name, fails: bool) -> bool {
        let mut failing = self.failing.lock().unwrap_or_else(PoisonError::into_inner);
        if fails {
            failing.insert(name)
        } else {
            failing.remove(&name)
        }
    }

    /// The object is gone.
    pub(super) fn forget(&self, name: &Name) {
        self.is_news(name.clone(), false);
    }
}

/// Tidies up, and says when to go on.
pub(super) async fn tidy(
    attempt: &Attempt,
    applied: &mut Applied,
    context: &Context,
) -> Option<Timestamp> {
    let actions = attempt.plan.actions.iter();
    let actions: Vec<&Action> = actions
        .filter(|action| action.priority() == Priority::Tidy)
        .collect();
    let is_more = actions.len() > MOST;
    let work: Vec<_> = actions
        .into_iter()
        .take(MOST)
        .map(|action| tidy_one(attempt, action, context))
        .collect();
    let mut work = std::pin::pin!(stream::iter(work).buffer_unordered(AT_ONCE));
    let mut has_failed = false;
    let mut failure = None;
    let all = async {
        while let Some((action, done, result)) = work.next().await {
            applied.deleted.extend(done.deleted);
            if let Err(error) = result {
                warn!(job = attempt.job.name_any(), "cannot tidy up: {error}");
                has_failed = true;
                // There is nothing to tell if somebody was quicker.
                if failure.is_none() && !error.is_conflict() {
                    failure = Some((action, error));
                }
            }
        }
    };
    let is_cut_off = tokio::time::timeout(LONGEST, all).await.is_err();
    for event in events_of_deletions(&attempt.facts(applied)) {
        context.events.publish(&attempt.job, event).await;
    }
    let is_known = failure.is_some() || !is_cut_off;
    let is_news = is_known && context.tidying.is_news(attempt.name(), failure.is_some());
    if let Some((action, error)) = failure.filter(|_| is_news)
        && let Some(event) = event_of_untidiness(action, &error.to_string())
    {
        context.events.publish(&attempt.job, event).await;
    }
    let wait = match (is_more || is_cut_off, has_failed) {
        (_, true) => RETRY,
        (true, false) => GO_ON,
        (false, false) => return None,
    };
    debug!(
        job = attempt.job.name_any(),
        ?wait,
        "goes on with tidying up"
    );
    Timestamp::now().checked_add(wait).ok()
}

async fn tidy_one<'a>(
    attempt: &Attempt,
    action: &'a Action,
    context: &Context,
) -> (&'a Action, Applied, Result<(), Error>) {
    let slot = context.tidying.slots.acquire().await;
    let mut done = Applied::default();
    let result = apply::act(attempt, action, context, &mut done).await;
    drop(slot);
    (action, done, result)
}

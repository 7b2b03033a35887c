//! What can go wrong in a reconciliation, and when to try again.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use kube::core::DeserializeGuard;
use kube::runtime::controller::Action;
use kube::runtime::reflector::ObjectRef;
use planescape_operator_core::api::PlanescapeJob;
use tracing::{debug, warn};

use super::Context;

const SHORTEST_WAIT: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_secs(300);

/// What went wrong.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    #[error("cannot read {what}: {}", brief(source))]
    Read {
        what: &'static str,
        source: kube::Error,
    },
    #[error("cannot {what}: {}", brief(source))]
    Write {
        what: &'static str,
        source: kube::Error,
    },
    #[error("the API server refused: {message}")]
    Refused {
        message: String,
        /// Since when.
        since: Option<Timestamp>,
    },
    #[error("Job {0} of a former PlanescapeJob of that name is not gone yet")]
    NotGoneYet(String),
}

impl Error {
    pub(super) fn reading(what: &'static str) -> impl Fn(kube::Error) -> Self {
        move |source| Self::Read { what, source }
    }

    pub(super) fn writing(what: &'static str) -> impl Fn(kube::Error) -> Self {
        move |source| Self::Write { what, source }
    }

    /// Whether somebody else was quicker, so that what we saw was old.
    fn is_conflict(&self) -> bool {
        match self {
            Self::Read { source, .. } | Self::Write { source, .. } => {
                matches!(source, kube::Error::Api(status) if status.is_conflict() || status.is_not_found())
            }
            Self::Refused { .. } | Self::NotGoneYet(_) => false,
        }
    }

    /// A refusal is tried again after as long as it has lasted.
    fn wait(&self, now: Timestamp) -> Duration {
        match self {
            _ if self.is_conflict() => Duration::from_millis(50),
            Self::Refused { since, .. } => {
                let lasted = since.map(|since| now.duration_since(since));
                let lasted = lasted.and_then(|lasted| Duration::try_from(lasted).ok());
                lasted
                    .unwrap_or(SHORTEST_WAIT)
                    .clamp(SHORTEST_WAIT, LONGEST_WAIT)
            }
            Self::Read { .. } | Self::Write { .. } | Self::NotGoneYet(_) => Duration::from_secs(2),
        }
    }
}

/// What the API server said, without the rest of its answer.
pub(super) fn brief(error: &kube::Error) -> String {
    if let kube::Error::Api(status) = error {
        return status.message.clone();
    }
    error.to_string()
}

/// When to try again.
pub(super) fn error_policy(
    object: Arc<DeserializeGuard<PlanescapeJob>>,
    error: &Error,
    _: Arc<Context>,
) -> Action {
    let wait = error.wait(Timestamp::now());
    let object = ObjectRef::from_obj(object.as_ref());
    if error.is_conflict() {
        debug!(%object, "looks again: {error}");
    } else {
        warn!(%object, retry = ?wait, "{error}");
    }
    Action::requeue(wait)
}

/// Since when a PlanescapeJob has not been ready.
pub(super) fn not_ready_since(job: &PlanescapeJob) -> Option<Timestamp> {
    let mut conditions = job.status.iter().flat_map(|status| &status.conditions);
    let ready = conditions.find(|condition| condition.type_ == "Ready")?;
    (ready.status == "False").then_some(ready.last_transition_time.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_as_long_as_a_refusal_has_lasted() {
        let now: Timestamp = "2026-11-24T10:00:00Z".parse().unwrap();
        let refused = |seconds: i64| Error::Refused {
            message: String::new(),
            since: now
                .checked_sub(jiff::SignedDuration::from_secs(seconds))
                .ok(),
        };

        assert_eq!(refused(0).wait(now), Duration::from_secs(1));
        assert_eq!(refused(20).wait(now), Duration::from_secs(20));
        assert_eq!(refused(90_000).wait(now), Duration::from_secs(300));
    }
}

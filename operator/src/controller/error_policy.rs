//! What can go wrong in a reconciliation, and when to try again.

use std::sync::Arc;
use std::time::Duration;

use kube::core::DeserializeGuard;
use kube::runtime::controller::Action;
use kube::runtime::reflector::ObjectRef;
use planescape_operator_core::api::PlanescapeJob;
use tracing::{debug, warn};

use super::Context;
use super::backoff::Pace;

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
    #[error("the API server refused: {0}")]
    Refused(String),
    #[error("Job {0} of a former PlanescapeJob of that name is not gone yet")]
    NotGoneYet(String),
    #[error("the API server did not answer within {0:?}")]
    NoAnswer(Duration),
}

impl Error {
    pub(super) fn reading(what: &'static str) -> impl Fn(kube::Error) -> Self {
        move |source| Self::Read { what, source }
    }

    pub(super) fn writing(what: &'static str) -> impl Fn(kube::Error) -> Self {
        move |source| Self::Write { what, source }
    }

    /// Whether somebody else was quicker, so that what we saw was old.
    pub(super) fn is_conflict(&self) -> bool {
        self.code() == Some(409)
    }

    /// Whether what it is about does not exist any more.
    pub(super) fn is_gone(&self) -> bool {
        self.code() == Some(404)
    }

    fn code(&self) -> Option<u16> {
        if let Self::Read { source, .. } | Self::Write { source, .. } = self
            && let kube::Error::Api(status) = source
        {
            return Some(status.code);
        }
        None
    }

    fn pace(&self) -> Pace {
        match self {
            Self::Refused(_) => Pace::Refused,
            Self::Read { .. } | Self::Write { .. } | Self::NotGoneYet(_) | Self::NoAnswer(_) => {
                Pace::Soon
            }
        }
    }
}

/// What comes of some work, unless the API server keeps it waiting for longer than the limit.
pub(super) async fn within<T>(
    limit: Duration,
    work: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    match tokio::time::timeout(limit, work).await {
        Ok(result) => result,
        Err(_) => Err(Error::NoAnswer(limit)),
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
    context: Arc<Context>,
) -> Action {
    let object = ObjectRef::from_obj(object.as_ref());
    let namespace = object.namespace.as_deref().unwrap_or_default();
    let wait = context.backoff.wait(namespace, &object.name, error.pace());
    if error.is_conflict() {
        debug!(%object, retry = ?wait, "looks again: {error}");
    } else {
        warn!(%object, retry = ?wait, "{error}");
    }
    Action::requeue(wait)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn does_not_wait_for_ever_for_the_api_server() {
        let limit = Duration::from_millis(1);

        let hanging = within(limit, std::future::pending::<Result<(), Error>>()).await;
        let quick = within(limit, std::future::ready(Ok(1))).await;

        assert!(matches!(hanging, Err(Error::NoAnswer(_))));
        assert_eq!(quick.unwrap(), 1);
    }
}

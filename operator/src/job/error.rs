//! Errors of a reconciliation, and when to try again.

use std::time::Duration;

use kube::core::Status;

use super::backoff::Pace;
use crate::cluster::client::NoAnswer;

/// An error of a reconciliation.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
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
    #[error("the PlanescapeJob was changed meanwhile")]
    Outdated,
}

impl Error {
    pub(crate) fn reading(what: &'static str) -> impl Fn(kube::Error) -> Self {
        move |source| Self::Read { what, source }
    }

    pub(crate) fn writing(what: &'static str) -> impl Fn(kube::Error) -> Self {
        move |source| Self::Write { what, source }
    }

    /// Whether somebody else was quicker, so that what we saw was old.
    pub(super) fn is_conflict(&self) -> bool {
        self.code() == Some(409) || matches!(self, Self::Outdated)
    }

    /// Whether its object does not exist any more.
    pub(super) fn is_gone(&self) -> bool {
        self.code() == Some(404)
    }

    /// Whether the name is taken.
    pub(super) fn is_already_exists(&self) -> bool {
        self.status().is_some_and(Status::is_already_exists)
    }

    /// The API server's answer, if it gave one.
    pub(super) fn status(&self) -> Option<&Status> {
        if let Self::Read { source, .. } | Self::Write { source, .. } = self
            && let kube::Error::Api(status) = source
        {
            return Some(status);
        }
        None
    }

    fn code(&self) -> Option<u16> {
        self.status().map(|status| status.code)
    }

    pub(super) fn pace(&self) -> Pace {
        match self {
            Self::Refused(_) => Pace::Refused,
            Self::Read { .. }
            | Self::Write { .. }
            | Self::NotGoneYet(_)
            | Self::NoAnswer(_)
            | Self::Outdated => Pace::Soon,
        }
    }
}

/// The result of some work, unless the API server keeps it waiting for longer than the limit.
pub(super) async fn within<T>(
    limit: Duration,
    work: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    match tokio::time::timeout(limit, work).await {
        Ok(result) => result,
        Err(_) => Err(Error::NoAnswer(limit)),
    }
}

/// The API server's message, without the rest of its answer.
pub(crate) fn brief(error: &kube::Error) -> String {
    if let kube::Error::Api(status) = error {
        return status.message.clone();
    }
    if let kube::Error::Service(inner) = error
        && inner.is::<NoAnswer>()
    {
        return inner.to_string();
    }
    error.to_string()
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

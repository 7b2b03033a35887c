//! Why something did not work, as the shell reports it, and what to do about it.

use std::fmt;
use std::time::Duration;

use planescape_vault::{Error, Kind, Refusal};

/// Why a command failed. Texts carry no secret: the shell keeps values out of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// Vault, or the way to it.
    Vault(Error),
    /// A local file could not be read or written.
    File {
        /// Its path.
        path: String,
        /// The system's words.
        message: String,
    },
}

/// The remedy for a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Remedy {
    /// It may pass: try again.
    Retry,
    /// Vault says that it does not know the token: make sure, then log in.
    CheckToken,
    /// It will not pass by itself: a few quick attempts, then say so.
    GiveUp,
}

impl Failure {
    /// The remedy.
    #[must_use]
    pub fn remedy(&self) -> Remedy {
        match self {
            Self::Vault(Error::Refused(refusal)) => match refusal.kind() {
                Kind::InvalidToken => Remedy::CheckToken,
                Kind::Standby | Kind::RateLimited | Kind::Sealed | Kind::Unavailable => {
                    Remedy::Retry
                }
                Kind::Denied
                | Kind::WrongAudience
                | Kind::UnknownRole
                | Kind::NotFound
                | Kind::Deleted
                | Kind::Invalid
                | Kind::Redirect => Remedy::GiveUp,
            },
            Self::Vault(Error::Unsendable { .. }) => Remedy::GiveUp,
            Self::Vault(
                Error::Unreachable { .. }
                | Error::Unresolved { .. }
                | Error::Untrusted { .. }
                | Error::Silent { .. }
                | Error::Malformed { .. },
            )
            | Self::File { .. } => Remedy::Retry,
        }
    }

    /// The meaning of Vault's error answer, if there was one.
    #[must_use]
    pub fn kind(&self) -> Option<Kind> {
        self.refusal().map(Refusal::kind)
    }

    /// Whether a renewal failed at the backend that made the lease, such as a database that restarts.
    #[must_use]
    pub fn may_renew_later(&self) -> bool {
        let refusal = self.refusal();
        refusal.is_some_and(|it| it.kind() == Kind::Invalid && !it.ends_renewals())
    }

    /// Whether Vault may have done what it was asked for all the same.
    #[must_use]
    pub fn may_be_done(&self) -> bool {
        matches!(self, Self::Vault(error) if error.may_be_done())
    }

    /// The HTTP status, where Vault gave one.
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        self.refusal().map(Refusal::status)
    }

    /// How long Vault asks to wait.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        self.refusal()?.retry_after()
    }

    fn refusal(&self) -> Option<&Refusal> {
        match self {
            Self::Vault(error) => error.refusal(),
            Self::File { .. } => None,
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Vault(error)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Vault(error) => error.fmt(f),
            Self::File { path, message } => write!(f, "{path}: {message}"),
        }
    }
}

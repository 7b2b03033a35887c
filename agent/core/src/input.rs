//! Everything that can happen to the agent.

use std::time::Duration;

use planescape_templates::{Answer, Request};
use planescape_vault::SecretText;
use planescape_vault::mount::Mount;

use crate::command::Destination;
use crate::failure::Failure;

/// One thing that happened. Each result answers one [`Command`](crate::Command).
#[derive(Debug)]
pub enum Input {
    /// Nothing but time passed; also the very first input.
    Timeout,
    /// The login ended.
    LoggedIn(Result<Login, Failure>),
    /// The token's renewal ended.
    TokenRenewed(Result<Grant, Failure>),
    /// It is known which secrets engine serves a request's path; `None` where Vault would not say.
    MountFound {
        /// What is going to be read.
        request: Request,
        /// The engine's mount.
        result: Result<Option<Mount>, Failure>,
    },
    /// A request was answered.
    Answered {
        /// What was asked.
        request: Request,
        /// What came back.
        result: Result<Answer, Failure>,
    },
    /// A lease's renewal ended.
    LeaseRenewed {
        /// The request whose answer carries the lease.
        request: Request,
        /// What was granted.
        result: Result<Grant, Failure>,
    },
    /// A file was written, or was found to hold these bytes already.
    Written {
        /// Which file.
        destination: Destination,
        /// Why it was not.
        result: Result<(), Failure>,
    },
    /// A token was revoked.
    Revoked(Result<(), Failure>),
    /// Somebody wants the agent to end; a second time: at once.
    Terminate,
}

/// A successful login.
#[derive(Debug)]
pub struct Login {
    /// The token.
    pub token: SecretText,
    /// What names the token without being it.
    pub accessor: String,
    /// How long it lasts.
    pub grant: Grant,
}

/// How long something lasts from now on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grant {
    ttl: Duration,
    renewable: bool,
}

impl Grant {
    /// A hundred years: no sum of such durations overflows.
    const LONGEST: Duration = Duration::from_secs(100 * 365 * 24 * 3600);

    /// What Vault said; a TTL of zero means for ever, one beyond a hundred years is shortened.
    #[must_use]
    pub fn new(ttl: Duration, renewable: bool) -> Self {
        Self {
            ttl: ttl.min(Self::LONGEST),
            renewable,
        }
    }

    /// Zero means for ever.
    #[must_use]
    pub fn ttl(self) -> Duration {
        self.ttl
    }

    /// Whether it can be extended.
    #[must_use]
    pub fn is_renewable(self) -> bool {
        self.renewable
    }
}

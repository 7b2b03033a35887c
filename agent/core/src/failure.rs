//! Why something did not work, as the shell reports it, and what to do about it.

use std::fmt;

/// Why a command failed. Texts carry no secret: the shell keeps values out of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// Vault answered with an error.
    Status {
        /// The HTTP status.
        code: u16,
        /// The first of Vault's error texts, shortened; may be empty.
        message: String,
    },
    /// No connection, or it broke.
    Unreachable {
        /// What the network said.
        message: String,
    },
    /// The server's certificate, or ours, was refused.
    Tls {
        /// Why.
        message: String,
    },
    /// Vault did not answer in time.
    Silent,
    /// The answer is not what the API promises.
    Malformed {
        /// What is wrong with it.
        message: String,
    },
    /// A local file could not be read or written.
    File {
        /// Which.
        path: String,
        /// What the system said.
        message: String,
    },
}

/// What to do about a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Remedy {
    /// It may pass: try again.
    Retry,
    /// The token is no good: log in, then try again.
    LogInAgain,
    /// It will not pass by itself: a few quick attempts, then say so.
    GiveUp,
}

impl Failure {
    /// What to do about it.
    #[must_use]
    pub fn remedy(&self) -> Remedy {
        match self {
            Self::Status { code: 403, message } if message.contains("invalid token") => {
                Remedy::LogInAgain
            }
            Self::Status {
                code: 412 | 429, ..
            } => Remedy::Retry,
            Self::Status { code, .. } if (400..500).contains(code) => Remedy::GiveUp,
            Self::Status { .. }
            | Self::Unreachable { .. }
            | Self::Tls { .. }
            | Self::Silent
            | Self::Malformed { .. }
            | Self::File { .. } => Remedy::Retry,
        }
    }

    /// The HTTP status, where Vault gave one.
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Status { code, .. } => Some(*code),
            Self::Unreachable { .. }
            | Self::Tls { .. }
            | Self::Silent
            | Self::Malformed { .. }
            | Self::File { .. } => None,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status { code, message } if message.is_empty() => {
                write!(f, "vault answered {code}")
            }
            Self::Status { code, message } => write!(f, "vault answered {code}: {message}"),
            Self::Unreachable { message } => write!(f, "cannot reach vault: {message}"),
            Self::Tls { message } => write!(f, "cannot trust vault: {message}"),
            Self::Silent => f.write_str("vault did not answer in time"),
            Self::Malformed { message } => write!(f, "cannot understand vault: {message}"),
            Self::File { path, message } => write!(f, "{path}: {message}"),
        }
    }
}

//! Why Vault did not give what it was asked for. Texts carry no secret.

use std::fmt;
use std::time::Duration;

/// Why a request failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Vault answered, with an error.
    #[error("{0}")]
    Refused(Refusal),
    /// There is no connection, or it broke.
    #[error("cannot reach vault at {address}: {message}")]
    Unreachable {
        /// Host and port.
        address: String,
        /// The network's words.
        message: String,
    },
    /// No name server knows where it is, or none answers.
    #[error("cannot reach vault at {address}: {message}")]
    Unresolved {
        /// Host and port.
        address: String,
        /// The resolver's words.
        message: String,
    },
    /// The server's certificate, or ours, was refused.
    #[error("cannot trust vault at {address}: {message}")]
    Untrusted {
        /// Host and port.
        address: String,
        /// Why.
        message: String,
    },
    /// Vault did not answer in time.
    #[error("vault at {address} did not answer in time")]
    Silent {
        /// Host and port.
        address: String,
    },
    /// The answer is not what the API promises.
    #[error("cannot understand vault: {message}")]
    Malformed {
        /// The problem.
        message: String,
    },
    /// HTTP cannot carry a part of the request.
    #[error("the {what} holds characters that HTTP cannot carry")]
    Unsendable {
        /// The part of the request.
        what: &'static str,
    },
}

impl Error {
    /// Whether Vault may have done the request although no answer came. A gateway may have waited for one in vain.
    #[must_use]
    pub fn may_be_done(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::Silent { .. } | Self::Malformed { .. } => true,
            Self::Refused(refusal) => matches!(refusal.status(), 502 | 504),
            // It was never asked.
            Self::Unresolved { .. } | Self::Untrusted { .. } | Self::Unsendable { .. } => false,
        }
    }

    /// Vault's error answer, if there was one.
    #[must_use]
    pub fn refusal(&self) -> Option<&Refusal> {
        match self {
            Self::Refused(refusal) => Some(refusal),
            Self::Unreachable { .. }
            | Self::Unresolved { .. }
            | Self::Untrusted { .. }
            | Self::Silent { .. }
            | Self::Malformed { .. }
            | Self::Unsendable { .. } => None,
        }
    }

    /// Its meaning.
    #[must_use]
    pub fn kind(&self) -> Option<Kind> {
        self.refusal().map(Refusal::kind)
    }
}

/// An error answer of Vault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    status: u16,
    kind: Kind,
    message: String,
    retry_after: Option<Duration>,
}

/// The meaning of an error answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Vault does not know the token.
    InvalidToken,
    /// The token, or the client that logs in, may not do this.
    Denied,
    /// A login's token is for another audience.
    WrongAudience,
    /// A role that the request names does not exist.
    UnknownRole,
    /// Nothing is there.
    NotFound,
    /// A version was there, and is deleted or destroyed.
    Deleted,
    /// The request makes no sense to Vault.
    Invalid,
    /// The node cannot serve this, another one can: a standby, or one that is behind.
    Standby,
    /// There are too many requests.
    RateLimited,
    /// The node is sealed.
    Sealed,
    /// The server has a problem of its own.
    Unavailable,
    /// The server names another place, and redirects are switched off.
    Redirect,
}

impl Refusal {
    /// The longest wait that a server is believed to need.
    pub const LONGEST_WAIT: Duration = Duration::from_secs(600);

    /// Reads what an answer means from its status and its first error text.
    #[must_use]
    pub fn new(status: u16, message: String, retry_after: Option<Duration>) -> Self {
        Self {
            kind: kind(status, &message),
            status,
            message,
            retry_after: retry_after.map(|wait| wait.min(Self::LONGEST_WAIT)),
        }
    }

    /// A version that was deleted or destroyed.
    #[must_use]
    pub fn deleted(message: String) -> Self {
        Self {
            status: 404,
            kind: Kind::Deleted,
            message,
            retry_after: None,
        }
    }

    /// The HTTP status.
    #[must_use]
    pub fn status(&self) -> u16 {
        self.status
    }

    /// Its meaning.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Whether nothing is at the path, or a version that is gone. A path that no mount serves does not count.
    #[must_use]
    pub fn is_absence(&self) -> bool {
        let is_empty = self.kind == Kind::NotFound && self.message.is_empty();
        is_empty || self.kind == Kind::Deleted
    }

    /// Whether the answer to a renewal says that nothing is left to renew.
    #[must_use]
    pub fn calls_lease_gone(&self) -> bool {
        let words = ["lease not found", "lease expired", "invalid lease"];
        self.kind == Kind::Invalid && words.iter().any(|words| self.message.contains(words))
    }

    /// Whether the answer to a renewal says that there will be none any more. Vault answers with the same status if the
    /// backend of the lease fails, such as a database that restarts: that may pass.
    #[must_use]
    pub fn ends_renewals(&self) -> bool {
        let words = ["not renewable", "past the max TTL", "past its max TTL"];
        let is_last = words.iter().any(|words| self.message.contains(words));
        self.calls_lease_gone() || (self.kind == Kind::Invalid && is_last)
    }

    /// How long the server asks to wait; at most ten minutes.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        self.retry_after
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            status, message, ..
        } = self;
        match (self.kind, message.as_str()) {
            (Kind::NotFound, "") => write!(f, "vault answered {status}: nothing is at this path"),
            (_, "") => write!(f, "vault answered {status}"),
            (_, message) => write!(f, "vault answered {status}: {message}"),
        }
    }
}

/// Vault tells many errors apart in its texts alone.
fn kind(status: u16, message: &str) -> Kind {
    match status {
        300..=399 => Kind::Redirect,
        403 if message.contains("invalid token") => Kind::InvalidToken,
        400..=403 if message.contains("audience") => Kind::WrongAudience,
        // A performance standby cannot write, and says so with the status of a mistake.
        400 if is_read_only(message) => Kind::Standby,
        400 if message.contains("role") => Kind::UnknownRole,
        408 | 412 | 472 | 473 => Kind::Standby,
        401 | 403 => Kind::Denied,
        404 => Kind::NotFound,
        429 => Kind::RateLimited,
        503 if message.contains("sealed") => Kind::Sealed,
        400..=499 => Kind::Invalid,
        _ => Kind::Unavailable,
    }
}

fn is_read_only(message: &str) -> bool {
    ["readonly storage", "read-only storage", "read only storage"]
        .iter()
        .any(|words| message.contains(words))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_was_never_asked_has_done_nothing() {
        let (address, message) = (|| "vault:8200".to_owned(), String::new);
        let unresolved = Error::Unresolved {
            address: address(),
            message: message(),
        };
        let unreachable = Error::Unreachable {
            address: address(),
            message: message(),
        };

        assert!(!unresolved.may_be_done());
        assert!(unreachable.may_be_done());
    }

    #[test]
    fn tells_what_an_error_means_from_status_and_text() {
        let cases = [
            (
                403,
                "2 errors occurred: * permission denied * invalid token",
                Kind::InvalidToken,
            ),
            (403, "permission denied", Kind::Denied),
            (403, "invalid audience (aud) claim", Kind::WrongAudience),
            (400, "invalid role name \"x\"", Kind::UnknownRole),
            (400, "cannot write to readonly storage", Kind::Standby),
            (400, "lease not found", Kind::Invalid),
            (404, "", Kind::NotFound),
            (408, "", Kind::Standby),
            (412, "required index state not present", Kind::Standby),
            (429, "", Kind::RateLimited),
            (472, "", Kind::Standby),
            (473, "", Kind::Standby),
            (500, "internal error", Kind::Unavailable),
            (503, "Vault is sealed", Kind::Sealed),
            (307, "", Kind::Redirect),
        ];
        for (status, message, kind) in cases {
            assert_eq!(
                Refusal::new(status, message.to_owned(), None).kind(),
                kind,
                "{status} {message}"
            );
        }
    }

    #[test]
    fn a_renewal_that_a_database_refuses_may_pass_and_one_that_vault_refuses_does_not() {
        let answer = |message: &str| Refusal::new(400, message.to_owned(), None);
        let down =
            answer("failed to renew entry: dial tcp 127.0.0.1:5432: connect: connection refused");

        assert!(!down.ends_renewals() && !down.calls_lease_gone());
        let last = answer("lease is not renewable");
        assert!(last.ends_renewals() && !last.calls_lease_gone());
        for gone in ["lease not found", "lease expired"] {
            assert!(answer(gone).ends_renewals() && answer(gone).calls_lease_gone());
        }
        let denied = Refusal::new(403, "permission denied".to_owned(), None);
        assert!(!denied.ends_renewals());
    }

    #[test]
    fn a_wait_of_a_year_is_not_believed() {
        let year = Duration::from_secs(365 * 24 * 3600);

        let refusal = Refusal::new(429, String::new(), Some(year));

        assert_eq!(refusal.retry_after(), Some(Refusal::LONGEST_WAIT));
    }
}

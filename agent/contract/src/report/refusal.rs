//! What Vault's errors mean, in the words of a report.

use planescape_vault::{Error, Kind};

use super::{Phase, Reason};

impl Reason {
    /// Why Vault did not give what it was asked for in this phase.
    #[must_use]
    pub fn of(phase: Phase, error: &Error) -> Self {
        match error {
            Error::Refused(refusal) => refused(phase, refusal.kind(), refusal.status()),
            Error::Unreachable { .. } | Error::Unresolved { .. } => Self::Unreachable,
            Error::Untrusted { .. } => Self::TlsError,
            Error::Silent { .. } => Self::NoAnswer,
            Error::Malformed { .. } => Self::MalformedAnswer,
            Error::Unsendable { .. } => Self::RequestRefused,
        }
    }
}

fn refused(phase: Phase, kind: Kind, status: u16) -> Reason {
    let is_login = phase == Phase::Login;
    match kind {
        Kind::Sealed => Reason::Sealed,
        Kind::Standby => Reason::Standby,
        Kind::RateLimited => Reason::RateLimited,
        Kind::WrongAudience => Reason::AudienceMismatch,
        Kind::UnknownRole if is_login => Reason::RoleNotFound,
        Kind::NotFound if is_login => Reason::AuthMethodNotFound,
        Kind::Invalid if is_login && status == 400 => Reason::LoginDenied,
        Kind::InvalidToken | Kind::Denied if is_login => Reason::LoginDenied,
        Kind::InvalidToken | Kind::Denied => Reason::PermissionDenied,
        Kind::NotFound => Reason::SecretNotFound,
        Kind::Deleted => Reason::SecretDeleted,
        Kind::UnknownRole | Kind::Invalid | Kind::Redirect => Reason::RequestRefused,
        Kind::Unavailable => Reason::ServerError,
    }
}

//! The meaning of Vault's errors, in the words of a report.

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

#[cfg(test)]
mod tests {
    use planescape_vault::Refusal;

    use super::*;

    #[test]
    fn a_refusal_means_one_thing_at_a_login_and_may_mean_another_later() {
        for (status, message, at_login, at_read) in [
            (503, "Vault is sealed", Reason::Sealed, Reason::Sealed),
            (473, "", Reason::Standby, Reason::Standby),
            (429, "", Reason::RateLimited, Reason::RateLimited),
            (500, "", Reason::ServerError, Reason::ServerError),
            (307, "", Reason::RequestRefused, Reason::RequestRefused),
            (
                403,
                "invalid audience (aud) claim",
                Reason::AudienceMismatch,
                Reason::AudienceMismatch,
            ),
            (
                400,
                "invalid role name",
                Reason::RoleNotFound,
                Reason::RequestRefused,
            ),
            (404, "", Reason::AuthMethodNotFound, Reason::SecretNotFound),
            (
                400,
                "missing client token",
                Reason::LoginDenied,
                Reason::RequestRefused,
            ),
            (405, "", Reason::RequestRefused, Reason::RequestRefused),
            (403, "", Reason::LoginDenied, Reason::PermissionDenied),
            (
                403,
                "invalid token",
                Reason::LoginDenied,
                Reason::PermissionDenied,
            ),
        ] {
            let error = Error::Refused(Refusal::new(status, message.to_owned(), None));

            let told = [Phase::Login, Phase::Read].map(|phase| Reason::of(phase, &error));

            assert_eq!(told, [at_login, at_read], "{status} {message}");
        }
    }
}

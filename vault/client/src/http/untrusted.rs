//! Why a server is not trusted, in words that say what to do.

use rustls::{AlertDescription, CertificateError, Error};

/// The cause of a failed handshake, from the error of the TLS library.
#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "what has no cure of its own keeps the library's words"
)]
pub(super) fn words(error: &Error) -> String {
    match error {
        Error::InvalidCertificate(why) => of_its_certificate(why),
        Error::AlertReceived(AlertDescription::CertificateRequired) => {
            "it asks for a certificate of ours: set client_cert and client_key".to_owned()
        }
        Error::AlertReceived(
            AlertDescription::BadCertificate
            | AlertDescription::CertificateExpired
            | AlertDescription::UnknownCA,
        ) => format!("it refuses our certificate (client_cert): {error}"),
        _ => error.to_string(),
    }
}

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "what has no cure of its own keeps the library's words"
)]
fn of_its_certificate(why: &CertificateError) -> String {
    match why {
        CertificateError::ExpiredContext { time, not_after } => format!(
            "its certificate ended {} ago: renew it, or set the clock of this machine",
            rounded(time.as_secs().saturating_sub(not_after.as_secs()))
        ),
        CertificateError::NotValidYetContext { time, not_before } => format!(
            "its certificate begins in {}: set the clock of this machine, or wait",
            rounded(not_before.as_secs().saturating_sub(time.as_secs()))
        ),
        CertificateError::UnknownIssuer => {
            "its certificate is from an authority that is not trusted: trust that authority's \
             certificate with ca_cert, VAULT_CACERT or --vault-ca-cert"
                .to_owned()
        }
        CertificateError::NotValidForNameContext {
            expected,
            presented,
        } => {
            let presented: Vec<&str> = presented.iter().map(|name| bare(name)).collect();
            let presented = match presented.as_slice() {
                [] => "names nobody".to_owned(),
                names => format!("is for {}", names.join(", ")),
            };
            format!(
                "its certificate {presented}, not for {}: mend the address, or name the server \
                 with tls_server_name or VAULT_TLS_SERVER_NAME",
                expected.to_str()
            )
        }
        why => of_others(&why.to_string()),
    }
}

/// Some certificates are refused with a debug print of a library's insides.
fn of_others(text: &str) -> String {
    if text.contains("UnsupportedCertVersion") {
        return "its certificate is of version 1: have one of version 3 issued".to_owned();
    }
    let inside = text
        .strip_prefix("Other(OtherError(")
        .map_or(text, |inside| inside.trim_end_matches(')'));
    format!("its certificate is refused: {inside}")
}

/// The largest unit that is full, so that an operator sees hours and days.
fn rounded(seconds: u64) -> String {
    let units = [(86_400, "d"), (3600, "h"), (60, "m")];
    let found = units.iter().find(|(length, _)| seconds >= *length);
    match found {
        Some((length, unit)) => format!("{}{unit}", seconds / length),
        None => format!("{seconds}s"),
    }
}

/// `x` of `DnsName("x")`, as rustls names what a certificate holds.
fn bare(presented: &str) -> &str {
    let inside = presented
        .split_once('(')
        .map_or(presented, |(_, rest)| rest);
    inside.trim_end_matches(')').trim_matches('"')
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rustls::pki_types::{ServerName, UnixTime};

    use super::*;

    fn at(seconds: u64) -> UnixTime {
        UnixTime::since_unix_epoch(Duration::from_secs(seconds))
    }

    #[test]
    fn says_what_to_do_about_a_certificate() {
        let cases = [
            (
                CertificateError::ExpiredContext {
                    time: at(100_000),
                    not_after: at(92_000),
                },
                "ended 2h ago",
            ),
            (
                CertificateError::NotValidYetContext {
                    time: at(0),
                    not_before: at(59),
                },
                "begins in 59s",
            ),
            (CertificateError::UnknownIssuer, "VAULT_CACERT"),
            (
                CertificateError::NotValidForNameContext {
                    expected: ServerName::try_from("127.0.0.1").unwrap(),
                    presented: vec![
                        "DnsName(\"vault.example\")".to_owned(),
                        "IpAddress(10.0.0.1)".to_owned(),
                    ],
                },
                "is for vault.example, 10.0.0.1, not for 127.0.0.1",
            ),
            (CertificateError::Revoked, "is refused"),
        ];
        for (error, part) in cases {
            let words = words(&Error::InvalidCertificate(error));

            assert!(words.contains(part), "{words}");
        }
    }
}

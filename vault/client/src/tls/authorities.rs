//! The authorities that we trust, and servers whose very certificate was named as one.

use std::sync::Arc;
use std::time::Duration;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{WebPkiServerVerifier, verify_server_name};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, DigitallySignedStruct, Error, SignatureScheme};
use x509_cert::der::Decode as _;

/// Certificates of authorities, and what they have issued.
#[derive(Clone, Debug)]
pub(super) struct Authorities {
    issued: Arc<WebPkiServerVerifier>,
    /// The named certificates. One may be a server's own: it is signed by itself, and the library takes it for an
    /// authority alone, or an authority that is not trusted has issued it.
    named: Arc<[CertificateDer<'static>]>,
    /// The name that a certificate must carry instead of the address's host.
    name: Option<ServerName<'static>>,
}

impl Authorities {
    pub(super) fn new(
        issued: Arc<WebPkiServerVerifier>,
        named: Vec<CertificateDer<'static>>,
    ) -> Self {
        Self {
            issued,
            named: named.into(),
            name: None,
        }
    }

    /// The same, for certificates of this name alone, whatever the address's host.
    pub(super) fn only_for(&self, name: ServerName<'static>) -> Self {
        Self {
            name: Some(name),
            ..self.clone()
        }
    }
}

impl ServerCertVerifier for Authorities {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        host: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let name = self.name.as_ref().unwrap_or(host);
        if self.named.iter().any(|named| named == end_entity) {
            check_time(end_entity, now)?;
            verify_server_name(&ParsedCertificate::try_from(end_entity)?, name)?;
            return Ok(ServerCertVerified::assertion());
        }
        self.issued
            .verify_server_cert(end_entity, intermediates, name, ocsp_response, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.issued
            .verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.issued
            .verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.issued.supported_verify_schemes()
    }
}

fn check_time(certificate: &CertificateDer<'_>, now: UnixTime) -> Result<(), CertificateError> {
    let parsed = x509_cert::Certificate::from_der(certificate);
    let parsed = parsed.map_err(|_| CertificateError::BadEncoding)?;
    let moment = |since: Duration| UnixTime::since_unix_epoch(since);
    let validity = parsed.tbs_certificate().validity();
    let not_before = moment(validity.not_before.to_unix_duration());
    let not_after = moment(validity.not_after.to_unix_duration());
    if now < not_before {
        return Err(CertificateError::NotValidYetContext {
            time: now,
            not_before,
        });
    }
    if now > not_after {
        return Err(CertificateError::ExpiredContext {
            time: now,
            not_after,
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair, date_time_ymd};
    use rustls::RootCertStore;
    use rustls::crypto::aws_lc_rs;

    use super::*;

    #[test]
    fn a_server_that_signs_for_itself_is_trusted_in_its_time_under_its_name() {
        let own = signed_by_itself();
        let authorities = naming(&own);
        let verify = |certificate: &CertificateDer<'_>, name: &'static str, year: u64| {
            let name = ServerName::try_from(name).unwrap();
            let now = UnixTime::since_unix_epoch(Duration::from_hours((year - 1970) * 8766));
            authorities.verify_server_cert(certificate, &[], &name, &[], now)
        };
        let why = |result: Result<ServerCertVerified, Error>| {
            let Err(Error::InvalidCertificate(why)) = result else {
                panic!("{result:?}");
            };
            why
        };

        assert!(verify(&own, "vault.example", 2025).is_ok());
        assert!(matches!(
            why(verify(&own, "other.example", 2025)),
            CertificateError::NotValidForNameContext { .. }
        ));
        assert!(matches!(
            why(verify(&own, "vault.example", 2019)),
            CertificateError::NotValidYetContext { .. }
        ));
        assert!(matches!(
            why(verify(&own, "vault.example", 2041)),
            CertificateError::ExpiredContext { .. }
        ));
        assert!(verify(&signed_by_itself(), "vault.example", 2025).is_err());
    }

    fn naming(certificate: &CertificateDer<'static>) -> Authorities {
        let mut roots = RootCertStore::empty();
        roots.add(certificate.clone()).unwrap();
        let provider = Arc::new(aws_lc_rs::default_provider());
        let issued = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider);
        Authorities::new(issued.build().unwrap(), vec![certificate.clone()])
    }

    /// As `openssl req -x509` makes it.
    fn signed_by_itself() -> CertificateDer<'static> {
        let mut params = CertificateParams::new(vec!["vault.example".to_owned()]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(2040, 1, 1);
        let signed = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
        signed.der().clone()
    }
}

//! The authorities of the system, read when a certificate is to be checked: an address without TLS has none, and to read
//! a hundred files takes as long as all requests of a start. A redirect may still lead to one.

use std::sync::{Arc, OnceLock};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{DigitallySignedStruct, Error, SignatureScheme};

use super::authorities::Authorities;

/// How they are found.
pub(super) type Find = fn(&Arc<CryptoProvider>) -> anyhow::Result<Authorities>;

/// Authorities that are read once, when they are needed.
#[derive(Debug)]
pub(super) struct Late {
    provider: Arc<CryptoProvider>,
    find: Find,
    found: OnceLock<Result<Arc<Authorities>, String>>,
}

impl Late {
    pub(super) fn new(provider: Arc<CryptoProvider>, find: Find) -> Self {
        Self {
            provider,
            find,
            found: OnceLock::new(),
        }
    }

    /// Without any, every certificate is refused: there is nothing to compare it with.
    pub(super) fn found(&self) -> Result<&Arc<Authorities>, Error> {
        let found = self.found.get_or_init(|| {
            let found = (self.find)(&self.provider);
            found.map(Arc::new).map_err(|error| format!("{error:#}"))
        });
        found
            .as_ref()
            .map_err(|why| Error::General(format!("no certificate can be checked: {why}")))
    }
}

impl ServerCertVerifier for Late {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        host: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let found = self.found()?;
        found.verify_server_cert(end_entity, intermediates, host, ocsp_response, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let found = self.found()?;
        found.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let found = self.found()?;
        found.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use rustls::crypto::aws_lc_rs;

    use super::*;

    static SEARCHES: AtomicUsize = AtomicUsize::new(0);

    fn nowhere(_: &Arc<CryptoProvider>) -> anyhow::Result<Authorities> {
        SEARCHES.fetch_add(1, Ordering::Relaxed);
        anyhow::bail!("no certificate authority found")
    }

    #[test]
    fn authorities_are_looked_for_once_and_not_before_a_certificate_is_to_be_checked() {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let late = Late::new(provider, nowhere);
        assert!(!late.supported_verify_schemes().is_empty());
        assert_eq!(SEARCHES.load(Ordering::Relaxed), 0);

        for _ in 0..2 {
            let certificate = CertificateDer::from(&[][..]);
            let host = ServerName::try_from("vault").unwrap();
            let checked = late.verify_server_cert(&certificate, &[], &host, &[], UnixTime::now());

            let why = checked.unwrap_err().to_string();
            assert!(why.contains("no certificate authority found"), "{why}");
        }
        assert_eq!(SEARCHES.load(Ordering::Relaxed), 1);
    }
}

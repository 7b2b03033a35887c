//! A certificate and its key, whatever version the certificate has.

use std::sync::Arc;

use rustls::Error;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::{CertifiedKey, SingleCertAndKey};

/// The certificate that an end of a connection shows. Certificates of version 1, as `openssl x509 -req` makes them,
/// cannot be compared with their keys here; the other end finds out.
///
/// # Errors
/// The key cannot be used, or belongs to another certificate.
pub fn identity(
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    provider: &CryptoProvider,
) -> Result<Arc<SingleCertAndKey>, Error> {
    let key = provider.key_provider.load_private_key(key)?;
    let certified = CertifiedKey::new(chain, key);
    match certified.keys_match() {
        Err(error @ Error::InconsistentKeys(rustls::InconsistentKeys::KeyMismatch)) => Err(error),
        _ => Ok(Arc::new(certified.into())),
    }
}

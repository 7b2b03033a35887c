//! How the server is trusted, and how it trusts us.

mod authorities;
mod identity;
mod late;
mod system;

use std::fs::{self, OpenOptions};
use std::io::{self, Read as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, anyhow, bail};
use planescape_vault::{SecretText, Tls};
use rustix::fs::OFlags;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};
use zeroize::Zeroizing;

use authorities::Authorities;
pub use identity::identity;
use late::Late;
use system::System;

/// More than any bundle of authorities.
const LONGEST: u64 = 16 * 1024 * 1024;

/// Makes our choice of cryptography the process's.
///
/// # Errors
/// A choice was made before, which is handed back.
pub fn install_crypto_provider() -> Result<(), Arc<CryptoProvider>> {
    aws_lc_rs::default_provider().install_default()
}

/// The authorities that we trust and our own certificate: read once, for every host that we talk to.
#[derive(Debug)]
pub(crate) struct Trust {
    provider: Arc<CryptoProvider>,
    verifier: Verifier,
    client: Option<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)>,
}

#[derive(Debug)]
enum Verifier {
    Roots(Arc<Authorities>),
    Anything,
    /// The address speaks no TLS, and no setting names authorities for a redirect that does.
    Late(Arc<Late>),
}

impl Trust {
    /// Reads the files that the settings name. An address without TLS needs no roots.
    pub(crate) fn new(tls: &Tls, is_https: bool) -> anyhow::Result<Self> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let verifier = if tls.skip_verify {
            Verifier::Anything
        } else if is_https || names_authorities(tls) {
            Verifier::Roots(Arc::new(verifier(tls, &provider)?))
        } else {
            let unnamed: late::Find = |provider| verifier(&Tls::default(), provider);
            Verifier::Late(Arc::new(Late::new(Arc::clone(&provider), unnamed)))
        };
        let client = match (&tls.client, &tls.client_bytes) {
            (Some(files), _) => Some(client_certificate(files)?),
            (None, Some(texts)) => Some(client_certificate_of(texts)?),
            (None, None) => None,
        };
        Ok(Self {
            provider,
            verifier,
            client,
        })
    }

    /// The certificate must carry the name that is asked for.
    pub(crate) fn config(&self) -> anyhow::Result<ClientConfig> {
        let verifier: Arc<dyn ServerCertVerifier> = match &self.verifier {
            Verifier::Roots(roots) => Arc::clone(roots) as _,
            Verifier::Anything => Arc::new(AnyCertificate(Arc::clone(&self.provider))),
            Verifier::Late(late) => Arc::clone(late) as _,
        };
        self.config_with(verifier)
    }

    /// The certificate must carry this name, whatever the handshake asks for.
    pub(crate) fn only_for(&self, name: &str) -> anyhow::Result<ClientConfig> {
        let roots = match &self.verifier {
            Verifier::Roots(roots) => roots,
            Verifier::Late(late) => match late.found() {
                Ok(roots) => roots,
                Err(_) => return self.config(),
            },
            Verifier::Anything => return self.config(),
        };
        let server_name = ServerName::try_from(name.to_owned())
            .with_context(|| format!("vault.tls_server_name: `{name}` is not a name"))?;
        let is_address = matches!(server_name, ServerName::IpAddress(_));
        let mut config = self.config_with(Arc::new(roots.only_for(server_name)))?;
        config.enable_sni = !is_address;
        Ok(config)
    }

    fn config_with(&self, verifier: Arc<dyn ServerCertVerifier>) -> anyhow::Result<ClientConfig> {
        let builder = ClientConfig::builder_with_provider(Arc::clone(&self.provider))
            .with_safe_default_protocol_versions()?
            .dangerous()
            .with_custom_certificate_verifier(verifier);
        match &self.client {
            None => Ok(builder.with_no_client_auth()),
            Some((chain, key)) => {
                let identity = identity(chain.clone(), key.clone_key(), &self.provider)
                    .context("vault.client_cert and vault.client_key do not fit together")?;
                Ok(builder.with_client_cert_resolver(identity))
            }
        }
    }
}

fn verifier(tls: &Tls, provider: &Arc<CryptoProvider>) -> anyhow::Result<Authorities> {
    let (roots, named) = roots(tls)?;
    let issued = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider));
    Ok(Authorities::new(issued.build()?, named))
}

/// Named authorities have to be there, whether or not they are needed.
fn names_authorities(tls: &Tls) -> bool {
    tls.ca_cert.is_some() || tls.ca_cert_bytes.is_some() || tls.ca_path.is_some()
}

fn client_certificate(
    (certificate, key): &(String, String),
) -> anyhow::Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)> {
    let chain = certificates(&read("vault.client_cert", certificate)?)
        .with_context(|| format!("vault.client_cert: {certificate}"))?;
    let key = PrivateKeyDer::from_pem_slice(&read("vault.client_key", key)?)
        .map_err(|_| anyhow!("vault.client_key: {key}: holds no private key in PEM"))?;
    Ok((chain, key))
}

fn client_certificate_of(
    (certificate, key): &(String, SecretText),
) -> anyhow::Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)> {
    let chain = certificates(certificate.as_bytes()).context("VAULT_CLIENT_CERT_BYTES")?;
    let key = PrivateKeyDer::from_pem_slice(key.expose().as_bytes())
        .map_err(|_| anyhow!("VAULT_CLIENT_KEY_BYTES: holds no private key in PEM"))?;
    Ok((chain, key))
}

/// All trusted authorities, and those of them that were named.
fn roots(tls: &Tls) -> anyhow::Result<(RootCertStore, Vec<CertificateDer<'static>>)> {
    let mut roots = RootCertStore::empty();
    let mut named = Vec::new();
    let mut add = |origin: &str, pem: &[u8]| -> anyhow::Result<()> {
        for certificate in certificates(pem).with_context(|| origin.to_owned())? {
            named.push(certificate.clone());
            roots.add(certificate).with_context(|| origin.to_owned())?;
        }
        Ok(())
    };
    if let Some(path) = &tls.ca_cert {
        add(
            &format!("vault.ca_cert: {path}"),
            &read("vault.ca_cert", path)?,
        )?;
    } else if let Some(pem) = &tls.ca_cert_bytes {
        add("VAULT_CACERT_BYTES", pem.as_bytes())?;
    } else if let Some(file) = tls.ca_path.as_ref().filter(|it| Path::new(it).is_file()) {
        add(
            &format!("vault.ca_path: {file}"),
            &read("vault.ca_path", file)?,
        )?;
    } else if let Some(folder) = &tls.ca_path {
        let entries =
            fs::read_dir(folder).with_context(|| format!("vault.ca_path: cannot read {folder}"))?;
        for entry in entries {
            let path = entry?.path();
            if path.is_file() {
                let origin = format!("vault.ca_path: {}", path.display());
                add(&origin, &content(&path).with_context(|| origin.clone())?)?;
            }
        }
    } else {
        return Ok((System::from_environment().authorities()?, named));
    }
    if roots.is_empty() {
        bail!("vault.ca_cert: no certificate authority found");
    }
    Ok((roots, named))
}

fn read(field: &str, path: &str) -> anyhow::Result<Zeroizing<Vec<u8>>> {
    content(path.as_ref()).with_context(|| format!("{field}: cannot read {path}"))
}

/// A pipe in a file's place is an error: its content might never come.
fn content(path: &Path) -> io::Result<Zeroizing<Vec<u8>>> {
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(OFlags::NONBLOCK.bits().cast_signed())
        .open(path)?;
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(io::Error::other("is not a regular file"));
    }
    let length = metadata.len().min(LONGEST);
    let mut bytes = Zeroizing::new(Vec::with_capacity(length as usize + 1));
    (&file).take(LONGEST).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn certificates(pem: &[u8]) -> anyhow::Result<Vec<CertificateDer<'static>>> {
    let certificates: Vec<_> = CertificateDer::pem_slice_iter(pem)
        .collect::<Result<_, _>>()
        .map_err(|_| anyhow!("is not PEM"))?;
    if certificates.is_empty() {
        bail!("holds no certificate in PEM");
    }
    Ok(certificates)
}

/// Accepts every certificate, also those too old to be read, and what is signed with it: for `tls_skip_verify` alone.
#[derive(Debug)]
struct AnyCertificate(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _host: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_wins_over_text_and_text_over_a_folder() {
        let folder = tempfile::tempdir().unwrap();
        let name = |file: &str| Some(folder.path().join(file).display().to_string());
        let text = Some("no certificate".to_owned());
        let cases = [
            (name("missing"), text.clone(), name("gone"), "cannot read"),
            (None, text, name("gone"), "VAULT_CACERT_BYTES"),
            (None, None, name("gone"), "vault.ca_path"),
        ];
        for (ca_cert, ca_cert_bytes, ca_path, words) in cases {
            let tls = Tls {
                ca_cert,
                ca_cert_bytes,
                ca_path,
                ..Tls::default()
            };

            let error = Trust::new(&tls, true).unwrap_err();

            assert!(format!("{error:#}").contains(words), "{error:#}");
        }
    }

    #[test]
    fn a_pipe_that_nobody_writes_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pipe");
        rustix::fs::mkfifoat(rustix::fs::CWD, &path, rustix::fs::Mode::RWXU).unwrap();
        let path = path.display().to_string();
        let tls = [
            Tls {
                ca_cert: Some(path.clone()),
                ..Tls::default()
            },
            Tls {
                client: Some((path.clone(), path)),
                skip_verify: true,
                ..Tls::default()
            },
        ];
        for tls in tls {
            let error = Trust::new(&tls, true).unwrap_err();

            assert!(
                format!("{error:#}").ends_with("is not a regular file"),
                "{error:#}"
            );
        }
    }

    #[test]
    fn an_address_without_tls_reads_no_authorities_that_nobody_names() {
        let trust = Trust::new(&Tls::default(), false).unwrap();

        assert!(matches!(trust.verifier, Verifier::Late(_)));
    }

    #[test]
    fn what_is_named_has_to_be_there_whether_or_not_it_is_needed() {
        let tls = Tls {
            ca_cert: Some("/missing".to_owned()),
            ..Tls::default()
        };

        assert!(Trust::new(&tls, false).is_err());
    }
}

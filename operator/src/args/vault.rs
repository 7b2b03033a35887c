//! Settings about Vault on the command lines of several programs. A mistake in one is told at the start: later it would
//! look like a mistake in every PlanescapeJob.

use anyhow::{Context as _, anyhow, ensure};
use planescape_operator_core::{annotations, defaults};
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

/// A setting that is blank counts as absent, so that a manifest can leave a variable blank.
pub(super) fn given(text: Option<&String>) -> Option<&str> {
    text.map(String::as_str)
        .filter(|text| !text.trim().is_empty())
}

/// The address of Vault.
pub(super) fn address(setting: Option<&String>) -> anyhow::Result<Option<String>> {
    let address = given(setting).map(annotations::vault_address).transpose();
    address.map_err(|message| anyhow!("--vault-address, PLANESCAPE_VAULT_ADDRESS: {message}"))
}

/// The mount of the auth method.
pub(super) fn auth_path(setting: Option<&String>) -> anyhow::Result<Option<String>> {
    let path = given(setting).map(defaults::auth_path).transpose();
    path.map_err(|message| anyhow!("--vault-auth-path, PLANESCAPE_VAULT_AUTH_PATH: {message}"))
}

/// The certificates to trust Vault by.
pub(super) fn ca_cert(setting: Option<&String>) -> anyhow::Result<Option<String>> {
    let Some(path) = given(setting) else {
        return Ok(None);
    };
    let text = std::fs::read_to_string(path);
    let text = text.with_context(|| {
        format!("--vault-ca-cert, PLANESCAPE_VAULT_CA_CERT: cannot read {path}")
    })?;
    ensure!(
        holds_certificates(&text),
        "--vault-ca-cert, PLANESCAPE_VAULT_CA_CERT: {path} holds no certificates; write the authorities that Vault's certificate comes from, in PEM"
    );
    Ok(Some(text))
}

fn holds_certificates(text: &str) -> bool {
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(text.as_bytes()).collect();
    let mut roots = RootCertStore::empty();
    let mut certificates = certificates.unwrap_or_default().into_iter();
    certificates.all(|certificate| roots.add(certificate).is_ok()) && !roots.is_empty()
}

//! The `vault` block, with flags and the environment on top.

use std::time::Duration;

use planescape_vault::{Connection, Pace, SecretText, Tls};

use super::namespace;
use crate::config::{Overrides, Vault};
use crate::duration::parse_duration;
use crate::reader::{Reader, parse_bool};

const DEFAULT_ADDRESS: &str = "https://127.0.0.1:8200";
const DEFAULT_RETRIES: u32 = 12;
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(60);

pub(super) fn read(
    block: &Reader<'_>,
    overrides: &Overrides,
    method_namespace: Option<&str>,
) -> Vault {
    let retries = match block.block("retry").integer("num_retries") {
        None | Some(0) => DEFAULT_RETRIES,
        Some(count) => u32::try_from(count).unwrap_or(0),
    };
    let own_namespace = overrides
        .namespace
        .clone()
        .or_else(|| block.string("namespace"));
    let vault = Vault {
        connection: Connection {
            address: address(block, overrides),
            tls: tls(block, overrides),
            namespace: own_namespace
                .as_deref()
                .or(method_namespace)
                .and_then(namespace),
            timeout: timeout(block, overrides),
            headers: headers(block, overrides),
            follows_redirects: follows_redirects(block, overrides),
            pace: pace(block, overrides),
            keeps_idle: true,
        },
        retries,
        proxy_retries: proxy_retries(block, overrides).unwrap_or(retries),
        proxy_keeps_idle: true,
    };
    warn_of_srv_lookup(block, overrides, &vault.connection.address);
    block.warn_unknown();
    vault
}

/// Warns of a look-up that does nothing: an address with a port is never looked up.
fn warn_of_srv_lookup(block: &Reader<'_>, overrides: &Overrides, address: &str) {
    const NAME: &str = "VAULT_SRV_LOOKUP";
    let Some(text) = overrides.srv_lookup.as_deref() else {
        return;
    };
    let has_port = address
        .rsplit_once(':')
        .is_some_and(|(_, port)| port.parse::<u16>().is_ok());
    match parse_bool(text) {
        Some(true) if !has_port => block.warn(
            NAME,
            "has no effect: no SRV record is looked up; write the port into the address",
        ),
        Some(_) => {}
        None => block.problem(
            NAME,
            format!("`{text}` is not a boolean: write true or false"),
        ),
    }
}

fn address(block: &Reader<'_>, overrides: &Overrides) -> String {
    let written = block.string("address");
    let address = overrides
        .address
        .clone()
        .or(written)
        .unwrap_or_else(|| DEFAULT_ADDRESS.to_owned());
    let address = address.trim().trim_end_matches('/');
    let address = match address.split_once("://") {
        Some((scheme, rest)) => format!("{}://{rest}", scheme.to_ascii_lowercase()),
        None => address.to_owned(),
    };
    if address.starts_with("unix:///") {
        return address;
    }
    let host = address
        .strip_prefix("https://")
        .or_else(|| address.strip_prefix("http://"));
    if host.is_none_or(|host| host.is_empty() || host.starts_with(['/', ':'])) {
        block.problem(
            "address",
            format!("`{address}` is not an address: write for example https://vault.example:8200"),
        );
    }
    address
}

fn timeout(block: &Reader<'_>, overrides: &Overrides) -> Duration {
    let text = overrides.client_timeout.as_deref().unwrap_or_default();
    match parse_duration(text) {
        Ok(Duration::ZERO) => DEFAULT_TIMEOUT,
        Ok(timeout) => timeout,
        Err(error) => {
            block.problem("VAULT_CLIENT_TIMEOUT", error.to_string());
            DEFAULT_TIMEOUT
        }
    }
}

fn proxy_retries(block: &Reader<'_>, overrides: &Overrides) -> Option<u32> {
    let text = overrides.max_retries.as_deref()?;
    let count = text.parse();
    if count.is_err() {
        block.problem(
            "VAULT_MAX_RETRIES",
            format!("`{text}` is not a whole number: write for example 2"),
        );
    }
    count.ok()
}

/// `50` a second, or `50:100` with so many at once; as many as in a second without that.
fn pace(block: &Reader<'_>, overrides: &Overrides) -> Option<Pace> {
    let text = overrides.rate_limit.as_deref()?;
    let (rate, burst) = text.split_once(':').map_or((text, None), |(rate, burst)| {
        (rate, Some(burst.parse::<u32>().ok()))
    });
    let rate = rate.parse::<f64>().ok();
    let rate = rate.filter(|rate| (1e-6..=1e9).contains(rate));
    let burst = burst.unwrap_or_else(|| rate.map(|rate| rate as u32));
    let (Some(rate), Some(burst)) = (rate, burst) else {
        block.problem(
            "VAULT_RATE_LIMIT",
            format!("`{text}` is not a rate: write for example 50, or 50:100"),
        );
        return None;
    };
    Some(Pace {
        interval: Duration::from_secs_f64(rate.recip()),
        burst: burst.max(1),
    })
}

fn headers(block: &Reader<'_>, overrides: &Overrides) -> Vec<(String, String)> {
    let mut headers = Vec::new();
    for header in &overrides.headers {
        match header.split_once('=') {
            Some((name, _)) if name.to_lowercase().starts_with("x-vault-") => block.problem(
                "header",
                format!(
                    "`{name}` is a header of Vault's own: choose a name without X-Vault- before it"
                ),
            ),
            Some((name, value)) => headers.push((name.to_owned(), value.to_owned())),
            None => block.problem("header", "has no `=`: write key=value"),
        }
    }
    headers
}

fn follows_redirects(block: &Reader<'_>, overrides: &Overrides) -> bool {
    match overrides.disable_redirects.as_deref() {
        None | Some("") => true,
        Some(text) => match parse_bool(text) {
            Some(disabled) => !disabled,
            None => {
                block.problem(
                    "VAULT_DISABLE_REDIRECTS",
                    format!("`{text}` is not a boolean: write true or false"),
                );
                true
            }
        },
    }
}

fn tls(block: &Reader<'_>, overrides: &Overrides) -> Tls {
    let pick = |over: &Option<String>, key| {
        let written = block.string(key);
        over.clone().or(written)
    };
    let certificate = pick(&overrides.client_cert, "client_cert");
    let key = pick(&overrides.client_key, "client_key");
    let client = block.both(("client_cert", certificate), ("client_key", key));
    let certificate = overrides.client_cert_bytes.clone();
    let key = overrides.client_key_bytes.as_ref();
    let key = key.map(|key| key.expose().to_owned());
    let client_bytes = block.both(
        ("VAULT_CLIENT_CERT_BYTES", certificate),
        ("VAULT_CLIENT_KEY_BYTES", key),
    );
    Tls {
        client_bytes: client_bytes.map(|(certificate, key)| (certificate, SecretText::new(key))),
        ca_cert_bytes: overrides.ca_cert_bytes.clone(),
        ca_cert: pick(&overrides.ca_cert, "ca_cert"),
        ca_path: pick(&overrides.ca_path, "ca_path"),
        client,
        server_name: pick(&overrides.tls_server_name, "tls_server_name"),
        skip_verify: skip_verify(block, overrides),
    }
}

fn skip_verify(block: &Reader<'_>, overrides: &Overrides) -> bool {
    let written = block.boolean("tls_skip_verify").unwrap_or(false);
    match overrides.tls_skip_verify.as_deref() {
        None | Some("") => written,
        Some(text) => parse_bool(text).unwrap_or_else(|| {
            block.problem(
                "tls_skip_verify",
                format!("`{text}` is not a boolean: write true or false"),
            );
            false
        }),
    }
}

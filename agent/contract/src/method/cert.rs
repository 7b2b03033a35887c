//! `cert`: a TLS client certificate.

use std::time::Duration;

use planescape_vault::wire::{self, Body};

use super::{Login, Proof, UnusableFile, period};
use crate::reader::Reader;

/// Settings of the `cert` method.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cert {
    /// The role; without it Vault tries all.
    pub name: Option<String>,
    /// The files of a connection for logins alone; without them logins use the `vault` block's.
    pub tls: Option<CertTls>,
}

/// The files of a connection for logins alone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CertTls {
    /// Certificate authorities to trust.
    pub ca_cert: Option<String>,
    /// Certificate and key of the agent.
    pub client: Option<(String, String)>,
    /// How often the files are looked at, if they are read again at each login.
    pub reload: Option<Duration>,
}

/// How often that is unless said otherwise.
const PERIOD: Duration = Duration::from_secs(60);

impl Login for Cert {
    fn read(settings: &Reader<'_>) -> Self {
        let ca_cert = settings.string("ca_cert");
        let client = settings.both(
            ("client_cert", settings.string("client_cert")),
            ("client_key", settings.string("client_key")),
        );
        let reloads = settings.boolean("reload").unwrap_or(false);
        let period = period(settings, "reload_period", PERIOD);
        let is_own = ca_cert.is_some() || client.is_some();
        Self {
            name: settings.string("name"),
            tls: is_own.then_some(CertTls {
                ca_cert,
                client,
                reload: reloads.then_some(period),
            }),
        }
    }

    fn role(&self) -> Option<&str> {
        self.name.as_deref()
    }

    fn proof(&self, _: &[Body]) -> Result<Proof, UnusableFile> {
        let name = self.name.iter().map(|name| ("name", name.as_str()));
        Ok(Proof::login(wire::fields(name)))
    }

    fn watch(&self) -> Option<Duration> {
        self.tls.as_ref()?.reload
    }
}

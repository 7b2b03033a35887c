//! The Vaults that runs get their Secrets from.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use planescape_operator_core::credentials::addresses::{self, Addresses, Refused, authority};
use planescape_operator_core::credentials::left::Place;
use planescape_vault::{Connection, Tls};
use planescape_vault_client::Client;
use tokio::net::lookup_host;
use tokio::sync::{Semaphore, SemaphorePermit};

const USER_AGENT: &str = concat!("planescape-credentials/", env!("CARGO_PKG_VERSION"));

const TIMEOUT: Duration = Duration::from_secs(30);

/// How many requests to one Vault are on their way at once.
const REQUESTS: usize = 16;

/// The Vaults that runs get their Secrets from.
pub(super) struct Vaults {
    listed: Addresses,
    ca_cert: Option<String>,
    known: Mutex<HashMap<Place, Arc<Vault>>>,
}

/// One Vault, in one of its namespaces.
pub(super) struct Vault {
    client: Client,
    turns: Semaphore,
}

impl Vaults {
    pub(super) fn new(listed: Addresses, ca_cert: Option<String>) -> Self {
        Self {
            listed,
            ca_cert,
            known: Mutex::default(),
        }
    }

    /// The Vault that somebody names, if it may be talked to.
    pub(super) async fn of(&self, place: &Place) -> Result<Arc<Vault>, Refused> {
        self.listed.check(&place.address)?;
        let (host, port) = authority(&place.address);
        // A name that is not known says so when it is asked.
        let found = lookup_host((host.as_str(), port)).await;
        for address in found.into_iter().flatten() {
            addresses::check_ip(&place.address, address.ip())?;
        }
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(vault) = known.get(place) {
            return Ok(vault.clone());
        }
        // What is listed is an address, and the certificates were read at the start.
        let client = Client::new(&self.connection(place), USER_AGENT);
        let client = client.map_err(|_| Refused::NotListed)?;
        let vault = Arc::new(Vault {
            client,
            turns: Semaphore::new(REQUESTS),
        });
        known.insert(place.clone(), vault.clone());
        Ok(vault)
    }

    fn connection(&self, place: &Place) -> Connection {
        let namespace = place.namespace.as_ref();
        Connection {
            address: place.address.trim_end_matches('/').to_owned(),
            tls: Tls {
                ca_cert_bytes: self.ca_cert.clone(),
                ..Tls::default()
            },
            namespace: namespace.map(|it| format!("{}/", it.trim_matches('/'))),
            timeout: TIMEOUT,
            headers: Vec::new(),
            // It might lead to an address that nobody listed.
            follows_redirects: false,
        }
    }
}

impl Vault {
    /// The client, when it is this request's turn.
    pub(super) async fn client(&self) -> (SemaphorePermit<'_>, &Client) {
        let turn = self.turns.acquire().await;
        (turn.expect("it is never closed"), &self.client)
    }
}

//! The Vaults that runs get their Secrets from.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use planescape_operator_core::credentials::addresses::{self, Addresses, Refused, authority};
use planescape_operator_core::credentials::left::Place;
use planescape_operator_core::credentials::pace::{Pace, is_outage};
use planescape_vault::{Connection, Error, Tls};
use planescape_vault_client::Client;
use tokio::net::lookup_host;
use tokio::sync::{Semaphore, SemaphorePermit, watch};
use tracing::{info, warn};

use super::chance;
use crate::metrics::Metrics;

const USER_AGENT: &str = concat!("planescape-credentials/", env!("CARGO_PKG_VERSION"));

const TIMEOUT: Duration = Duration::from_secs(30);

/// How many requests to one Vault are on their way at once.
const REQUESTS: usize = 16;

/// How often a Vault that serves nobody is looked at.
const SHORTEST_LOOK: Duration = Duration::from_millis(500);
const LONGEST_LOOK: Duration = Duration::from_secs(10);

/// The Vaults that runs get their Secrets from.
pub(super) struct Vaults {
    listed: Addresses,
    ca_cert: Option<String>,
    known: Mutex<HashMap<Place, Arc<Vault>>>,
    /// By address: namespaces of one Vault share what it can bear.
    servers: Mutex<HashMap<String, Arc<Server>>>,
    logins_per_second: u32,
    metrics: Arc<Metrics>,
}

/// One Vault, whatever namespace of it is meant.
struct Server {
    address: String,
    metrics: Arc<Metrics>,
    started: Instant,
    logins: Mutex<Pace>,
    login_turns: Semaphore,
    /// Why it serves nobody, while it does not.
    outage: watch::Sender<Option<Error>>,
}

/// One Vault, in one of its namespaces.
pub(super) struct Vault {
    client: Client,
    turns: Semaphore,
    server: Arc<Server>,
}

impl Vaults {
    pub(super) fn new(
        listed: Addresses,
        ca_cert: Option<String>,
        logins_per_second: u32,
        metrics: Arc<Metrics>,
    ) -> Self {
        Self {
            metrics,
            listed,
            ca_cert,
            known: Mutex::default(),
            servers: Mutex::default(),
            logins_per_second,
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
            server: self.server(&place.address),
        });
        known.insert(place.clone(), vault.clone());
        Ok(vault)
    }

    fn server(&self, address: &str) -> Arc<Server> {
        let mut servers = self.servers.lock().unwrap_or_else(PoisonError::into_inner);
        // As often as the administrator's list is long.
        let address = addresses::normal(address);
        let server = servers.entry(address.clone());
        let server = server.or_insert_with(|| {
            self.metrics.vault_is_away(&address, false);
            Arc::new(Server {
                address,
                metrics: self.metrics.clone(),
                started: Instant::now(),
                logins: Mutex::new(Pace::per_second(self.logins_per_second)),
                login_turns: Semaphore::new(REQUESTS),
                outage: watch::Sender::new(None),
            })
        });
        server.clone()
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
            pace: None,
        }
    }
}

impl Server {
    /// How long to wait for it.
    fn next_login(&self) -> Duration {
        let now = self.started.elapsed();
        let mut logins = self.logins.lock().unwrap_or_else(PoisonError::into_inner);
        logins.take(now)
    }
}

impl Vault {
    /// The client, when it is this request's turn.
    pub(super) async fn client(&self) -> (SemaphorePermit<'_>, &Client) {
        let turn = self.turns.acquire().await;
        (turn.expect("it is never closed"), &self.client)
    }

    /// The client, when it is this login's turn. Who has it logs in at once, so that logins keep their distance.
    pub(super) async fn login_turn(&self) -> (SemaphorePermit<'_>, &Client) {
        let turn = self.server.login_turns.acquire().await;
        let turn = turn.expect("it is never closed");
        tokio::time::sleep(self.server.next_login()).await;
        (turn, &self.client)
    }

    /// Refuses what would be in vain: Vault was seen to serve nobody, and is not back yet.
    pub(super) fn enter(&self) -> Result<(), Error> {
        self.server.outage.borrow().clone().map_or(Ok(()), Err)
    }

    /// Returns when it is back, where it is away; never, where it is not.
    pub(super) async fn is_back(&self) {
        let mut outage = self.server.outage.subscribe();
        if outage.borrow().is_none() {
            return std::future::pending().await;
        }
        let _waits = self.server.metrics.waits_for_vault(&self.server.address);
        let _ = outage.wait_for(Option::is_none).await;
    }

    /// Takes in what Vault has answered. Where it serves nobody, one of us looks for it from then on.
    pub(super) fn learn<T>(self: &Arc<Self>, answer: Result<T, Error>) -> Result<T, Error> {
        let error = answer.as_ref().err().filter(|error| is_outage(error));
        if let Some(error) = error
            && self.server.outage.send_if_modified(|outage| {
                let is_news = outage.is_none();
                outage.get_or_insert_with(|| error.clone());
                is_news
            })
        {
            warn!("waits for Vault: {error}");
            let Server {
                metrics, address, ..
            } = &*self.server;
            metrics.vault_is_away(address, true);
            tokio::spawn(look_for(self.clone()));
        }
        answer
    }
}

/// Until it serves requests again.
async fn look_for(vault: Arc<Vault>) {
    let mut wait = SHORTEST_LOOK;
    loop {
        tokio::time::sleep(wait.mul_f64(1.0 + chance() / 4.0)).await;
        if vault.client.is_serving().await {
            info!("Vault is back");
            let server = &vault.server;
            server.metrics.vault_is_away(&server.address, false);
            server.outage.send_replace(None);
            return;
        }
        wait = (wait * 2).min(LONGEST_LOOK);
    }
}

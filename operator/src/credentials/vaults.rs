//! The Vaults that runs get their Secrets from.

mod lanes;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use planescape_operator_core::credentials::addresses::{self, Addresses, Refused, authority};
use planescape_operator_core::credentials::left::Place;
use planescape_operator_core::credentials::pace::{Pace, is_outage};
use planescape_vault::{Connection, Error, Tls};
use planescape_vault_client::Client;
use tokio::net::lookup_host;
use tokio::sync::{Semaphore, SemaphorePermit, watch};
use tokio::task::JoinSet;
use tracing::{info, warn};

pub(super) use lanes::{Lane, Purpose};

use super::chance;
use crate::metrics::Metrics;
use lanes::Lanes;

const USER_AGENT: &str = concat!("planescape-credentials/", env!("CARGO_PKG_VERSION"));

const TIMEOUT: Duration = Duration::from_secs(30);

/// How many requests to one Vault, or to one engine behind it, are on their way at once.
const REQUESTS: usize = 16;

/// So long somebody waits for a turn at an engine that does not answer.
const PATIENCE: Duration = Duration::from_secs(3);

/// How often a Vault that serves nobody is looked at.
const SHORTEST_LOOK: Duration = Duration::from_millis(500);
const LONGEST_LOOK: Duration = Duration::from_secs(10);

/// The Vaults that runs get their Secrets from.
pub(super) struct Vaults {
    listed: Addresses,
    ca_cert: Option<String>,
    /// The servers by address, no more than the administrator lists. The namespaces of one Vault share its limits.
    servers: Mutex<HashMap<String, Arc<Server>>>,
    logins_per_second: u32,
    metrics: Arc<Metrics>,
}

/// One Vault, for all of its namespaces.
struct Server {
    address: String,
    client: Client,
    metrics: Arc<Metrics>,
    started: Instant,
    turns: Semaphore,
    lanes: Lanes,
    logins: Mutex<Pace>,
    login_turns: Semaphore,
    preflight_turns: Semaphore,
    /// Why it serves nobody, while it does not.
    outage: watch::Sender<Option<Error>>,
    /// The task that looks for it during an outage.
    looking: Mutex<JoinSet<()>>,
}

/// One Vault, in one of its namespaces.
pub(super) struct Vault {
    client: Client,
    /// Ends with a slash, if it is any.
    namespace: Option<String>,
    server: Arc<Server>,
}

/// When a Vault was away, and came back.
pub(super) struct Outages {
    seen: watch::Receiver<Option<Error>>,
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
            servers: Mutex::default(),
            logins_per_second,
        }
    }

    /// The Vault that somebody names, if it may be talked to.
    pub(super) async fn of(&self, place: &Place) -> Result<Arc<Vault>, Refused> {
        let listed = self.listed.check(&place.address)?;
        let (host, port) = authority(listed);
        // A name that is not known says so when it is asked.
        let found = lookup_host((host.as_str(), port)).await;
        for address in found.into_iter().flatten() {
            addresses::check_ip(listed, address.ip())?;
        }
        let server = self.server(listed)?;
        let namespace = place.namespace.as_ref();
        let namespace = namespace.map(|it| format!("{}/", it.trim_matches('/')));
        Ok(Arc::new(Vault {
            client: server.client.in_namespace(namespace.clone()),
            namespace,
            server,
        }))
    }

    fn server(&self, listed: &str) -> Result<Arc<Server>, Refused> {
        let mut servers = self.servers.lock().unwrap_or_else(PoisonError::into_inner);
        let address = addresses::normal(listed);
        if let Some(server) = servers.get(&address) {
            return Ok(server.clone());
        }
        // This cannot fail: an entry of the list is an address, and the certificates were read at the start.
        let is_allowed = |address: &str, ip| addresses::check_ip(address, ip).is_ok();
        let client = Client::guarded(&self.connection(listed), USER_AGENT, is_allowed);
        let client = client.map_err(|_| Refused::NotListed)?;
        self.metrics.vault_is_away(&address, false);
        let server = Arc::new(Server {
            address: address.clone(),
            client,
            metrics: self.metrics.clone(),
            started: Instant::now(),
            turns: Semaphore::new(REQUESTS),
            lanes: Lanes::default(),
            logins: Mutex::new(Pace::per_second(self.logins_per_second)),
            login_turns: Semaphore::new(REQUESTS),
            preflight_turns: Semaphore::new(1),
            outage: watch::Sender::new(None),
            looking: Mutex::default(),
        });
        servers.insert(address, server.clone());
        Ok(server)
    }

    fn connection(&self, listed: &str) -> Connection {
        Connection {
            address: listed.trim_end_matches('/').to_owned(),
            tls: Tls {
                ca_cert_bytes: self.ca_cert.clone(),
                ..Tls::default()
            },
            namespace: None,
            timeout: TIMEOUT,
            headers: Vec::new(),
            // It might lead to an address that the administrator has not listed.
            follows_redirects: false,
            pace: None,
            keeps_idle: true,
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

    /// Looks for it until it serves requests again.
    fn look(self: &Arc<Self>) {
        let looks = Looks(Arc::downgrade(self));
        let mut looking = self.looking.lock().unwrap_or_else(PoisonError::into_inner);
        // The outage before this one has ended, and the task that looked for its end is done.
        while looking.try_join_next().is_some() {}
        looking.spawn(looks.until_it_serves());
    }
}

/// A task that looks for a Vault. The Vault is not kept for that alone.
struct Looks(Weak<Server>);

impl Looks {
    async fn until_it_serves(self) {
        let mut wait = SHORTEST_LOOK;
        loop {
            tokio::time::sleep(wait.mul_f64(1.0 + chance() / 4.0)).await;
            let Some(server) = self.0.upgrade() else {
                return;
            };
            if server.client.is_serving().await {
                info!("Vault is back");
                return;
            }
            wait = (wait * 2).min(LONGEST_LOOK);
        }
    }
}

impl Drop for Looks {
    /// The wait ends with the looking, also if that breaks off: the next request finds out anew.
    fn drop(&mut self) {
        if let Some(server) = self.0.upgrade() {
            server.metrics.vault_is_away(&server.address, false);
            server.outage.send_replace(None);
        }
    }
}

impl Vault {
    /// The client, when it is this request's turn.
    pub(super) async fn client(&self) -> (SemaphorePermit<'_>, &Client) {
        self.turn(&self.server.turns).await
    }

    /// Requests that an engine has to answer wait there for their turn.
    pub(super) fn lane(&self, purpose: Purpose, engine: &str) -> Arc<Lane> {
        let namespace = self.namespace.as_deref().unwrap_or_default();
        let engine = format!("{namespace}{engine}");
        self.server.lanes.of(purpose, engine)
    }

    /// The client, when it is the turn of a request to an engine; an error, where the engine does not answer those before it.
    pub(super) async fn client_in<'a>(
        &'a self,
        lane: &'a Lane,
    ) -> Result<(SemaphorePermit<'a>, &'a Client), Error> {
        let turn = lane.turn(PATIENCE).await;
        let turn = turn.ok_or_else(|| self.silence())?;
        Ok((turn, &self.client))
    }

    /// The client, when it is this login's turn, which goes on with [`Self::pace`].
    pub(super) async fn login_turn(&self) -> (SemaphorePermit<'_>, &Client) {
        self.turn(&self.server.login_turns).await
    }

    /// One preflight at a time: runs come first.
    pub(super) async fn preflight_turn(&self) -> SemaphorePermit<'_> {
        self.turn(&self.server.preflight_turns).await.0
    }

    async fn turn<'a>(&'a self, turns: &'a Semaphore) -> (SemaphorePermit<'a>, &'a Client) {
        let turn = turns.acquire().await;
        (turn.expect("it is never closed"), &self.client)
    }

    /// Waits as long as logins keep their distance. The caller then logs in at once.
    pub(super) async fn pace(&self) {
        tokio::time::sleep(self.server.next_login()).await;
    }

    /// Refuses what would be in vain: Vault was seen to serve nobody, and is not back yet.
    pub(super) fn enter(&self) -> Result<(), Error> {
        self.server.outage.borrow().clone().map_or(Ok(()), Err)
    }

    /// The error of a Vault that has not answered in time.
    pub(super) fn silence(&self) -> Error {
        let address = &self.server.address;
        let host = address
            .split_once("://")
            .map_or(&**address, |(_, host)| host);
        Error::Silent {
            address: host.to_owned(),
        }
    }

    /// Tells from now on when Vault is back.
    pub(super) fn outages(&self) -> Outages {
        Outages {
            seen: self.server.outage.subscribe(),
            server: self.server.clone(),
        }
    }

    /// Takes in Vault's answer. If Vault serves nobody, one task looks for it from then on.
    pub(super) fn learn<T>(&self, answer: Result<T, Error>) -> Result<T, Error> {
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
            self.server.look();
        }
        answer
    }

    /// The same for the answer of an engine behind Vault: its silence says nothing of Vault.
    pub(super) fn learn_of_engine<T>(
        &self,
        lane: &Lane,
        answer: Result<T, Error>,
    ) -> Result<T, Error> {
        let is_silent = matches!(answer, Err(Error::Silent { .. }));
        lane.answered(is_silent);
        if is_silent {
            return answer;
        }
        self.learn(answer)
    }
}

impl Outages {
    /// Returns when Vault is back, also if it came back before the call.
    pub(super) async fn end(&mut self) {
        loop {
            let Server {
                metrics, address, ..
            } = &*self.server;
            let is_away = self.seen.borrow().is_some();
            let waits = is_away.then(|| metrics.waits_for_vault(address));
            let changed = self.seen.changed().await;
            drop(waits);
            changed.expect("the server is kept");
            if self.seen.borrow_and_update().is_none() {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;

    /// A Vault that does not serve.
    async fn away() -> (Vaults, Arc<Vault>) {
        let listed = Addresses::parse("http://127.0.0.1:1").unwrap();
        let vaults = Vaults::new(listed, None, 20, Arc::default());
        let place = Place {
            address: "http://127.0.0.1:1".to_owned(),
            namespace: None,
        };
        let vault = vaults.of(&place).await.unwrap();
        (vaults, vault)
    }

    #[tokio::test]
    async fn who_was_busy_when_vault_came_back_hears_of_it_once() {
        let (_vaults, vault) = away().await;
        let mut outages = vault.outages();
        assert!(outages.end().now_or_never().is_none(), "it is not away");

        let silent: Result<(), Error> = vault.learn(Err(vault.silence()));
        assert!(silent.is_err() && vault.enter().is_err());
        vault.server.outage.send_replace(None);

        assert!(outages.end().now_or_never().is_some());
        assert!(outages.end().now_or_never().is_none());
    }

    #[tokio::test]
    async fn who_looks_for_a_vault_keeps_nobody_waiting_and_nothing_alive() {
        let (vaults, vault) = away().await;
        let silent: Result<(), Error> = vault.learn(Err(vault.silence()));
        assert!(silent.is_err() && vault.enter().is_err());

        drop(Looks(Arc::downgrade(&vault.server)));
        assert!(vault.enter().is_ok(), "the looking broke off");

        let server = Arc::downgrade(&vault.server);
        drop((vaults, vault));
        assert!(server.upgrade().is_none());
    }

    #[tokio::test]
    async fn namespaces_that_tenants_make_up_share_one_client_and_what_vault_can_bear() {
        let listed = Addresses::parse("http://127.0.0.1:8200").unwrap();
        let vaults = Vaults::new(listed, None, 20, Arc::default());
        for number in 0..100 {
            let place = Place {
                address: "HTTP://127.0.0.1:8200/".to_owned(),
                namespace: Some(format!("made-up-{number}")),
            };
            vaults.of(&place).await.unwrap();
        }
        assert_eq!(vaults.servers.lock().unwrap().len(), 1);
    }
}

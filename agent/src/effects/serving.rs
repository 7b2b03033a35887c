//! The agent as a server, while it runs.

use std::sync::Arc;
use std::time::Duration;

use planescape_agent_contract::Config;
use planescape_agent_core::{Input, Token};
use planescape_vault::Connection;
use planescape_vault_client::Client;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;

use super::saves::Saves;
use super::{USER_AGENT, on_the_blocking_pool};
use crate::clock;
use crate::listener::{Bound, Certificates};
use crate::persist::Persistent;
use crate::proxy::{Metrics, Parts, Proxy};
use crate::status::Asker;
use planescape_agent_handover::KeptAnswer;

/// The proxy and its listeners; they end when this is dropped.
pub(super) struct Serving {
    proxy: Option<Arc<Proxy>>,
    client: Option<Client>,
    told: Option<mpsc::UnboundedReceiver<Input>>,
    certificates: Vec<Arc<Certificates>>,
    tasks: JoinSet<()>,
}

impl Serving {
    /// Listens at the addresses of the configuration.
    pub(super) async fn start(
        config: &Config,
        slots: &Arc<Semaphore>,
        (persistent, saves): (&Persistent, &Saves),
        metrics: Arc<Metrics>,
        asker: Asker,
    ) -> anyhow::Result<Self> {
        let mut serving = Self {
            proxy: None,
            client: None,
            told: None,
            certificates: Vec::new(),
            tasks: JoinSet::new(),
        };
        let listeners = &config.proxy.listeners;
        if listeners.is_empty() {
            return Ok(serving);
        }
        let connection = Connection {
            keeps_idle: config.vault.proxy_keeps_idle,
            ..config.vault.connection.clone()
        };
        let listeners = listeners.to_vec();
        let read = move || {
            let client = Client::new(&connection, USER_AGENT)?;
            let listeners = listeners.into_iter().map(|listener| {
                let tls = listener.tls.as_ref();
                let certificates = tls.map(Certificates::read).transpose()?;
                Ok((listener, certificates))
            });
            anyhow::Ok((client, listeners.collect::<anyhow::Result<Vec<_>>>()?))
        };
        let (client, listeners) = on_the_blocking_pool(slots, read).await?;
        serving.client = Some(client.clone());
        let parts = Parts {
            client,
            whose_token: config.proxy.token,
            caches: config.proxy.caches,
            retries: config.vault.proxy_retries,
            patience: config.vault.connection.timeout,
            left: persistent.answers(),
            seed: clock::seed(),
            metrics,
            asker,
        };
        let (proxy, told) = Proxy::new(parts);
        for (listener, certificates) in listeners {
            let bound = Bound::bind(&listener, certificates).await?;
            if let Some(certificates) = bound.certificates() {
                serving.tasks.spawn(Arc::clone(&certificates).follow());
                serving.certificates.push(certificates);
            }
            serving.tasks.spawn(bound.serve(Arc::clone(&proxy)));
        }
        serving.tasks.spawn(Arc::clone(&proxy).renew());
        if persistent.is_written() {
            serving
                .tasks
                .spawn(hand_on(Arc::clone(&proxy), saves.clone()));
        }
        serving.proxy = Some(proxy);
        serving.told = Some(told);
        Ok(serving)
    }

    pub(super) fn offer(&self, token: Token, accessor: Option<String>) {
        if let Some(proxy) = &self.proxy {
            proxy.offer(token, accessor);
        }
    }

    /// The answers that listeners got from Vault, for the next life.
    pub(super) fn kept(&self) -> Option<Vec<KeptAnswer>> {
        self.proxy.as_ref().map(|proxy| proxy.kept())
    }

    /// The client for the requests of listeners.
    pub(super) fn client(&self) -> Option<Client> {
        self.client.clone()
    }

    pub(super) fn certificates(&self) -> Vec<Arc<Certificates>> {
        self.certificates.clone()
    }

    /// The next message of a request to the core; without listeners it waits for ever.
    pub(super) async fn next(&mut self) -> Input {
        let told = match &mut self.told {
            Some(told) => told.recv().await,
            None => None,
        };
        match told {
            Some(input) => input,
            None => std::future::pending().await,
        }
    }
}

/// Writes down the answers that listeners got. It pauses between two writes, since answers may be many.
async fn hand_on(proxy: Arc<Proxy>, saves: Saves) {
    const PAUSE: Duration = Duration::from_millis(100);
    loop {
        let answers = proxy.to_hand_on().await;
        saves.save(|cache| cache.keep_answers(answers));
        saves.finished().await;
        tokio::time::sleep(PAUSE).await;
    }
}

//! The way to Vault for others: each request goes there as it stands, with the agent's token if
//! that is configured. Answers with leases and tokens are kept and renewed.
//!
//! Requests never pass through the core. It only says which token is in use, and hears when Vault does
//! not know it any more.

mod answer;
mod cache;
mod forward;
mod handover;
mod metrics;
mod requests;
mod short;

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use planescape_agent_contract::{Listener, ProxyToken};
use planescape_agent_core::{Input, Token};
use planescape_vault_client::Client;
use tokio::sync::mpsc;

use crate::status::Asker;
use planescape_agent_handover::KeptAnswer;

pub(crate) use answer::Answer;
use cache::Caching;
pub(crate) use forward::STREAM_PATIENCE;
pub(crate) use metrics::Metrics;

/// The state that all listeners share.
pub(crate) struct Proxy {
    client: Arc<Client>,
    whose_token: ProxyToken,
    own: RwLock<Option<Token>>,
    cache: Option<Caching>,
    retries: u32,
    /// How long all attempts of one request may take, with an answer that is read whole.
    patience: Duration,
    events: mpsc::UnboundedSender<Input>,
    pub(crate) metrics: Arc<Metrics>,
    asker: Asker,
}

/// The rules of one listener.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rules {
    pub(crate) is_for_metrics_only: bool,
    pub(crate) requires_header: bool,
    pub(crate) can_quit: bool,
}

impl Rules {
    pub(crate) fn of(listener: &Listener) -> Self {
        Self {
            is_for_metrics_only: listener.is_for_metrics_only,
            requires_header: listener.requires_header,
            can_quit: listener.can_quit,
        }
    }
}

/// The parts that a proxy is made of.
pub(crate) struct Parts {
    pub(crate) client: Client,
    pub(crate) whose_token: ProxyToken,
    pub(crate) caches: bool,
    pub(crate) retries: u32,
    pub(crate) patience: Duration,
    /// The answers that the last life has kept.
    pub(crate) left: Vec<KeptAnswer>,
    pub(crate) seed: u64,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) asker: Asker,
}

impl Proxy {
    /// The proxy, and its messages to the core.
    pub(crate) fn new(parts: Parts) -> (Arc<Self>, mpsc::UnboundedReceiver<Input>) {
        let (events, told) = mpsc::unbounded_channel();
        let proxy = Self {
            client: Arc::new(parts.client),
            whose_token: parts.whose_token,
            own: RwLock::new(None),
            cache: parts.caches.then(|| Caching::new(parts.seed, parts.left)),
            retries: parts.retries,
            patience: parts.patience,
            events,
            metrics: parts.metrics,
            asker: parts.asker,
        };
        (Arc::new(proxy), told)
    }

    /// The agent has another token.
    pub(crate) fn offer(&self, token: Token, accessor: Option<String>) {
        if let Some(cache) = &self.cache {
            cache.set_own(token.secret.clone(), accessor);
        }
        *self.own.write().unwrap_or_else(PoisonError::into_inner) = Some(token);
    }

    /// Renews the leases and tokens of kept answers, for as long as the agent lives.
    pub(crate) async fn renew(self: Arc<Self>) {
        if let Some(cache) = &self.cache {
            cache.renew(&self.client).await;
        }
    }

    /// Waits until the kept answers have changed, and gives those that the next life is to keep.
    pub(crate) async fn to_hand_on(&self) -> Vec<KeptAnswer> {
        match &self.cache {
            Some(cache) => cache.to_hand_on().await,
            None => std::future::pending().await,
        }
    }

    /// The answers that the next life is to keep.
    pub(crate) fn kept(&self) -> Vec<KeptAnswer> {
        self.cache.as_ref().map_or_else(Vec::new, Caching::packed)
    }

    fn own(&self) -> Option<Token> {
        self.own
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

//! A program that serves: its signals, its health, its election and its work, each a part that ends all of it.

use std::hash::{BuildHasher as _, RandomState};
use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Context as _;
use kube::Client;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::info;

use crate::args::election::Election;
use crate::cluster::client;
use crate::cluster::skew::ClockSkew;
use crate::health::{self, Readiness};
use crate::leader::{Candidate, Leadership, Lost, SharedLease, Term};
use crate::metrics::Metrics;
use crate::shutdown;

/// The parts that the work of a program stands on. Nothing is served before [`Service::run`].
pub(crate) struct Service {
    pub(crate) client: Client,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) skew: Arc<ClockSkew>,
    pub(crate) readiness: Readiness,
    listener: TcpListener,
}

impl Service {
    /// Connects to the API server, and listens.
    pub(crate) async fn start(listen: SocketAddr) -> anyhow::Result<Self> {
        let metrics = Arc::new(Metrics::default());
        let skew = Arc::new(ClockSkew::default());
        let client = client::connect().await?;
        let client = client::observed(client, metrics.clone(), skew.clone());
        let listener = TcpListener::bind(listen)
            .await
            .with_context(|| format!("--listen, PLANESCAPE_LISTEN: cannot listen on {listen}"))?;
        Ok(Self {
            client,
            metrics,
            skew,
            readiness: Readiness::default(),
            listener,
        })
    }

    /// The leader of those that do the same work in the same namespace, and the part that finds it out where there
    /// may be rivals.
    pub(crate) fn elect(
        &self,
        election: &Election,
        program: &str,
        scope: Option<&str>,
    ) -> anyhow::Result<(Leadership, Option<Candidate>)> {
        if !election.leader_elect {
            return Ok((Leadership::without_election(), None));
        }
        let namespace = election.lease_namespace(self.client.default_namespace());
        let name = election.lease_name(program, scope);
        let place = (namespace, name.as_str());
        let lease = SharedLease::new(self.client.clone(), place, identity(), election.timing()?);
        let (term, leadership) = Term::new();
        Ok((leadership, Some(Candidate::new(lease, term))))
    }

    /// Works until it is told to end. A part that ends early ends all of it.
    pub(crate) async fn run<W>(
        self,
        candidate: Option<Candidate>,
        work: impl FnOnce(CancellationToken) -> W,
    ) -> anyhow::Result<()>
    where
        W: Future<Output = anyhow::Result<()>> + Send + 'static,
    {
        let shutdown = CancellationToken::new();
        let finished = CancellationToken::new();
        let mut parts = JoinSet::new();
        parts.spawn(shutdown::on_signal(shutdown.clone()));
        let served = health::serve(
            self.listener,
            self.readiness,
            self.metrics,
            shutdown.clone(),
        );
        parts.spawn(served);
        if let Some(candidate) = candidate {
            let finished = finished.clone();
            parts.spawn(async move { Ok(candidate.run(finished).await?) });
        }
        let work = work(shutdown.clone());
        parts.spawn(async move {
            // The lease is released when nothing is written any more.
            let _finished = finished.drop_guard();
            work.await
        });
        until_ended(parts, &shutdown).await
    }
}

async fn until_ended(
    mut parts: JoinSet<anyhow::Result<()>>,
    shutdown: &CancellationToken,
) -> anyhow::Result<()> {
    let mut result = Ok(());
    while let Some(ended) = parts.join_next().await {
        shutdown.cancel();
        let ended = ended.context("a part of the program panicked").flatten();
        if ended.as_ref().is_err_and(anyhow::Error::is::<Lost>) {
            // Work that is left must not be done. A task that waits for another one ends before that is cancelled.
            parts.shutdown().await;
            return ended;
        }
        result = result.and(ended);
    }
    info!("ended");
    result
}

/// The pod's name, and digits that differ from one life of a container to the next.
fn identity() -> String {
    let host = std::env::var("HOSTNAME").unwrap_or_else(|_| "planescape".to_owned());
    let digits = RandomState::new().hash_one(&host);
    format!("{host}_{digits:016x}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn nobody_who_has_lost_the_lease_is_at_work_when_the_program_ends() {
        let counted = Arc::new(());
        let held = counted.clone();
        let mut parts = JoinSet::new();
        parts.spawn(async move {
            let _held = held;
            std::future::pending::<anyhow::Result<()>>().await
        });
        parts.spawn(async { Err(Lost.into()) });

        let ended = until_ended(parts, &CancellationToken::new()).await;

        assert!(ended.unwrap_err().is::<Lost>());
        assert_eq!(Arc::strong_count(&counted), 1);
    }
}

//! Owns PlanescapeJobs: watches, creates Jobs, reports their state.
//!
//! Everything is decided by `planescape-operator-core`; this crate reads what decisions need, does
//! what they say, and serves its own health. [`job`] holds the one loop where both meet.

pub mod args;
mod clock;
mod cluster;
pub mod commands;
pub mod credentials;
pub mod health;
pub mod job;
pub mod leader;
pub mod log;
pub mod metrics;
pub mod shutdown;

use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;

use anyhow::Context as _;
use kube::Client;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::info;

use args::Operator;
use cluster::skew::ClockSkew;
use health::Readiness;
use leader::{Candidate, Leadership, Lost, SharedLease, Term};
use metrics::Metrics;

/// Runs the operator until it is told to end. A part of it that ends early ends all of it.
pub async fn run(mut settings: Operator) -> anyhow::Result<()> {
    let defaults = settings.defaults()?;
    settings.namespace.take_if(|namespace| namespace.is_empty());
    let metrics = Arc::new(Metrics::default());
    let skew = Arc::new(ClockSkew::default());
    let client = cluster::client::connect().await?;
    let client = cluster::client::observed(client, metrics.clone(), skew.clone());
    let listener = TcpListener::bind(settings.listen)
        .await
        .with_context(|| format!("cannot listen on {}", settings.listen))?;
    info!(
        version = env!("CARGO_PKG_VERSION"),
        listen = %settings.listen,
        namespace = settings.namespace.as_deref().unwrap_or("all"),
        vault = defaults.vault_address.as_deref().unwrap_or("not set"),
        "started"
    );

    let shutdown = CancellationToken::new();
    let finished = CancellationToken::new();
    let readiness = Readiness::default();
    let mut parts = JoinSet::new();
    parts.spawn(shutdown::on_signal(shutdown.clone()));
    let served = health::serve(
        listener,
        readiness.clone(),
        metrics.clone(),
        shutdown.clone(),
    );
    parts.spawn(served);
    let (leadership, candidate) = elect(&client, &settings)?;
    if let Some(candidate) = candidate {
        let finished = finished.clone();
        parts.spawn(async move { Ok(candidate.run(finished).await?) });
    }
    let settings = job::Settings {
        defaults,
        scope: settings.namespace,
        limits: settings.limits,
    };
    let controller = job::Controller::new(&client, settings, leadership, (metrics, skew));
    let until = shutdown.clone();
    parts.spawn(async move {
        // The lease is released when nothing is written any more.
        let _finished = finished.drop_guard();
        controller.run(readiness, until).await
    });

    let mut result = Ok(());
    while let Some(ended) = parts.join_next().await {
        shutdown.cancel();
        let ended = ended.context("a part of the operator panicked").flatten();
        if ended.as_ref().is_err_and(anyhow::Error::is::<Lost>) {
            // Nothing that is left to do may be done.
            return ended;
        }
        result = result.and(ended);
    }
    info!("ended");
    result
}

/// Who leads, and the part that finds out where there may be rivals.
fn elect(client: &Client, settings: &Operator) -> anyhow::Result<(Leadership, Option<Candidate>)> {
    let election = &settings.election;
    if !election.leader_elect {
        return Ok((Leadership::without_election(), None));
    }
    let namespace = election.lease_namespace(client.default_namespace());
    let name = election.lease_name("planescape-operator", settings.namespace.as_deref());
    let place = (namespace, name.as_str());
    let lease = SharedLease::new(client.clone(), place, identity(), election.timing()?);
    let (term, leadership) = Term::new();
    Ok((leadership, Some(Candidate::new(lease, term))))
}

/// The pod's name, and digits that differ from one life of a container to the next.
fn identity() -> String {
    let host = std::env::var("HOSTNAME").unwrap_or_else(|_| "planescape".to_owned());
    let digits = RandomState::new().hash_one(&host);
    format!("{host}_{digits:016x}")
}

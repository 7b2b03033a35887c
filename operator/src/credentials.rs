//! `planescape credentials`: makes the Secrets of runs, and revokes their leases.
//!
//! `planescape_operator_core::credentials` decides; this program does one step at a time, in a task for each
//! run (`task`). It alone makes tokens and Secrets; it reads Secrets by name, and never lists them.

mod job;
mod record;
mod secrets;
mod task;
mod token;
mod vaults;
mod watch;

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use jiff::SignedDuration;
use kube::Client;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::info;

use crate::args::credentials::Credentials;
use crate::args::election::Election;
use crate::cluster::client::Clients;
use crate::cluster::skew::ClockSkew;
use crate::health::Readiness;
use crate::leader::{Candidate, Leadership, Lost, SharedLease, Term};
use crate::metrics::{Metrics, Snapshot};
use crate::{cluster, health, identity, shutdown};
use record::Records;
use vaults::Vaults;

/// How many calls to the API server are on their way at once.
const CONCURRENCY: usize = 64;

/// How long a call of the API server may take.
const LONGEST_CALL: Duration = Duration::from_secs(20);

/// What every run's task works with.
struct Program {
    clients: Clients,
    leadership: Leadership,
    vaults: Vaults,
    records: Records,
    audience: String,
    outage: SignedDuration,
    metrics: Arc<Metrics>,
}

/// Runs until it is told to end. A part of it that ends early ends all of it.
pub async fn run(mut settings: Credentials) -> anyhow::Result<()> {
    settings.namespace.take_if(|namespace| namespace.is_empty());
    settings
        .own_namespace
        .take_if(|namespace| namespace.is_empty());
    let addresses = settings.addresses()?;
    let audience = settings.audience()?.to_owned();
    let vaults = Vaults::new(addresses, settings.vault_ca_cert()?);
    let metrics = Arc::new(Metrics::default());
    let client = cluster::client::connect().await?;
    let skew = Arc::new(ClockSkew::default());
    let client = cluster::client::observed(client, metrics.clone(), skew);
    let listener = TcpListener::bind(settings.listen)
        .await
        .with_context(|| format!("cannot listen on {}", settings.listen))?;
    info!(
        version = env!("CARGO_PKG_VERSION"),
        listen = %settings.listen,
        namespace = settings.namespace.as_deref().unwrap_or("all"),
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
    let scope = settings.namespace;
    let (leadership, candidate) = elect(&client, &settings.election, scope.as_deref())?;
    if let Some(candidate) = candidate {
        let finished = finished.clone();
        parts.spawn(async move { Ok(candidate.run(finished).await?) });
    }
    let clients = Clients::new(&client, &leadership, CONCURRENCY);
    let own = settings.own_namespace;
    let own = own.unwrap_or_else(|| client.default_namespace().to_owned());
    let program = Arc::new(Program {
        records: Records::new(&clients, &own),
        clients,
        leadership,
        vaults,
        audience,
        outage: settings.outage,
        metrics: metrics.clone(),
    });
    let leads = program.leadership.clone();
    metrics.ask(move || Snapshot {
        is_leading: leads.is_leading(),
        ..Snapshot::default()
    });
    readiness.set(true);
    let until = shutdown.clone();
    parts.spawn(async move {
        // The lease is released when nothing is written any more.
        let _finished = finished.drop_guard();
        watch::run(&program, scope.as_deref(), &until).await
    });

    let mut result = Ok(());
    while let Some(ended) = parts.join_next().await {
        shutdown.cancel();
        let ended = ended.context("a part of the program panicked").flatten();
        if ended.as_ref().is_err_and(anyhow::Error::is::<Lost>) {
            // Nothing that is left to do may be done.
            return ended;
        }
        result = result.and(ended);
    }
    info!("ended");
    result
}

fn elect(
    client: &Client,
    election: &Election,
    scope: Option<&str>,
) -> anyhow::Result<(Leadership, Option<Candidate>)> {
    if !election.leader_elect {
        return Ok((Leadership::without_election(), None));
    }
    let namespace = election.lease_namespace(client.default_namespace());
    let name = election.lease_name("planescape-credentials", scope);
    let place = (namespace, name.as_str());
    let lease = SharedLease::new(client.clone(), place, identity(), election.timing()?);
    let (term, leadership) = Term::new();
    Ok((leadership, Some(Candidate::new(lease, term))))
}

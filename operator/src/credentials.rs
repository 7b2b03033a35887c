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

use jiff::SignedDuration;
use tracing::info;

use crate::args::credentials::Credentials;
use crate::cluster::client::Clients;
use crate::leader::Leadership;
use crate::metrics::{Metrics, Snapshot};
use crate::service::Service;
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
    let service = Service::start(settings.serving.listen).await?;
    info!(
        version = env!("CARGO_PKG_VERSION"),
        listen = %settings.serving.listen,
        namespace = settings.namespace.as_deref().unwrap_or("all"),
        "started"
    );

    let scope = settings.namespace;
    let name = "planescape-credentials";
    let (leadership, candidate) = service.elect(&settings.election, name, scope.as_deref())?;
    let clients = Clients::new(&service.client, &leadership, CONCURRENCY);
    let own = settings.own_namespace;
    let own = own.unwrap_or_else(|| service.client.default_namespace().to_owned());
    let program = Arc::new(Program {
        records: Records::new(&clients, &own),
        clients,
        leadership,
        vaults,
        audience,
        outage: settings.outage,
        metrics: service.metrics.clone(),
    });
    let leads = program.leadership.clone();
    service.metrics.ask(move || Snapshot {
        is_leading: leads.is_leading(),
        ..Snapshot::default()
    });
    service.readiness.set(true);
    let work = async move |until| watch::run(&program, scope.as_deref(), &until).await;
    service.run(candidate, work).await
}

//! `planescape credentials`: makes the Secrets of runs, and revokes their leases.
//!
//! `planescape_operator_core::credentials` decides; this program does one step at a time, in a task for each
//! run (`task`). It alone makes tokens and Secrets; it reads Secrets by name, and never lists them. The tokens of
//! killed agents it revokes by their accessors (`agents`), as an identity of its own that can do nothing else.

mod agents;
mod job;
mod login;
mod preflight;
mod record;
mod revoker;
mod secrets;
mod task;
mod vaults;
mod watch;

use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;

use jiff::SignedDuration;
use planescape_operator_core::credentials::failure::Failure;
use planescape_operator_core::credentials::run::Run;
use planescape_vault::SecretText;
use planescape_vault_client::Bearer;
use tokio_util::sync::CancellationToken;
use tracing::info;

use crate::args::credentials::Credentials;
use crate::cluster::client::{self, Clients};
use crate::leader::Leadership;
use crate::metrics::{Metrics, Snapshot};
use crate::service::Service;
use record::Records;
use revoker::Revoker;
use vaults::Vaults;

/// How many calls to the API server are on their way at once.
const CONCURRENCY: usize = 64;

/// The parts that every run's task works with.
struct Program {
    clients: Clients,
    leadership: Leadership,
    vaults: Vaults,
    records: Records,
    audience: String,
    outage: SignedDuration,
    revoker: Option<Revoker>,
    metrics: Arc<Metrics>,
}

/// Runs until it is told to end. A part of it that ends early ends all of it.
pub async fn run(mut settings: Credentials) -> anyhow::Result<()> {
    planescape_vault_client::stay_out_of_core_files();
    settings.namespace.take_if(|namespace| namespace.is_empty());
    let addresses = settings.addresses()?;
    let audience = settings.audience()?.to_owned();
    let revoker = Revoker::new(&settings)?;
    let defaults = settings.defaults()?;
    let rate = settings.vault_logins_per_second;
    let ca_cert = settings.vault_ca_cert()?;
    let service = Service::start(settings.serving.listen).await?;
    let vaults = Vaults::new(addresses, ca_cert, rate, service.metrics.clone());
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
    let own = client::namespace(&service.client, settings.own_namespace);
    let program = Arc::new(Program {
        records: Records::new(&clients, &own),
        clients,
        leadership,
        vaults,
        audience,
        outage: settings.outage,
        revoker,
        metrics: service.metrics.clone(),
    });
    let leads = program.leadership.clone();
    service.metrics.ask(move || Snapshot {
        is_leading: leads.is_leading(),
        ..Snapshot::default()
    });
    service.readiness.set(true);
    let work = async move |until: CancellationToken| {
        tokio::select! {
            () = program.leadership.wait() => {}
            () = until.cancelled() => return Ok(()),
        }
        let scope = scope.as_deref();
        tokio::try_join!(
            watch::run(&program, scope, &until),
            agents::run(&program, scope, &until),
            preflight::run(&program, defaults.clone(), scope, &until)
        )
        .map(drop)
    };
    service.run(candidate, work).await
}

/// The API server has refused something that a run needs.
fn refused(run: &Run, what: &str, error: &kube::Error) -> Failure {
    let code = if let kube::Error::Api(status) = error {
        Some(status.code)
    } else {
        None
    };
    Failure::of_kubernetes(run, what, code, &crate::job::brief(error))
}

fn bearer(token: &SecretText) -> Bearer<'_> {
    Bearer {
        token,
        namespace: None,
    }
}

/// Between 0 and 1: the standard library's hash keys are random.
fn chance() -> f64 {
    let dice = RandomState::new().hash_one("planescape");
    f64::from((dice >> 32) as u32) / f64::from(u32::MAX)
}

//! Owns PlanescapeJobs: watches, creates Jobs, reports their state.
//!
//! Everything is decided by `planescape-operator-core`; this crate reads what decisions need, does
//! what they say, and serves its own health. [`job`] holds the one loop where both meet.

pub mod args;
mod clock;
mod cluster;
pub mod commands;
pub mod health;
pub mod job;
pub mod log;
pub mod shutdown;

use anyhow::Context as _;
use kube::Client;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::info;

use args::Operator;
use health::Readiness;

/// Runs the operator until it is told to end. A part of it that ends early ends all of it.
pub async fn run(settings: Operator) -> anyhow::Result<()> {
    let defaults = settings.defaults()?;
    let client = Client::try_default()
        .await
        .context("cannot reach Kubernetes: neither in a pod nor with a kubeconfig")?;
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
    let readiness = Readiness::default();
    let scope = settings.namespace;
    let mut parts = JoinSet::new();
    parts.spawn(shutdown::on_signal(shutdown.clone()));
    parts.spawn(health::serve(listener, readiness.clone(), shutdown.clone()));
    let controller = job::Controller::new(client, defaults, scope);
    parts.spawn(controller.run(readiness, shutdown.clone()));

    let mut result = Ok(());
    while let Some(ended) = parts.join_next().await {
        shutdown.cancel();
        result = result.and(ended.context("a part of the operator panicked").flatten());
    }
    info!("ended");
    result
}

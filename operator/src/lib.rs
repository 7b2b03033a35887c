//! Owns PlanescapeJobs: watches, creates Jobs, reports their state.
//!
//! `planescape-operator-core` decides everything; this crate reads what decisions need, does
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
mod service;
pub mod shutdown;
mod turns;
pub mod words;

use tracing::info;

use args::Operator;
use service::Service;

/// Runs the operator until it is told to end. A part of it that ends early ends all of it.
pub async fn run(mut settings: Operator) -> anyhow::Result<()> {
    let defaults = settings.jobs.defaults()?;
    settings.namespace.take_if(|namespace| namespace.is_empty());
    let service = Service::start(settings.serving.listen).await?;
    info!(
        version = env!("CARGO_PKG_VERSION"),
        listen = %settings.serving.listen,
        namespace = settings.namespace.as_deref().unwrap_or("all"),
        vault = defaults.vault_address.as_deref().unwrap_or("not set"),
        "started"
    );

    let scope = settings.namespace;
    let program = "planescape-operator";
    let (leadership, candidate) = service.elect(&settings.election, program, scope.as_deref())?;
    let settings = job::Settings {
        defaults,
        scope,
        limits: settings.limits,
    };
    let seen = (service.metrics.clone(), service.skew.clone());
    let controller = job::Controller::new(&service.client, settings, leadership, seen);
    let readiness = service.readiness.clone();
    service
        .run(candidate, |until| controller.run(readiness, until))
        .await
}

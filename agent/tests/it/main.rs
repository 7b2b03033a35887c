//! The real program against real Vault, Postgres and Kubernetes.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod agent;
mod budget;
mod certificates;
mod clients;
mod clouds;
mod configuration;
mod engines;
mod failures;
mod guard;
mod kills;
mod leases;
mod life;
mod local;
mod matrix;
mod names;
mod own_certificates;
mod reload;
mod shell;
mod signals;
mod telemetry;
mod transport;

//! The real program against real Vault, Postgres and Kubernetes.

mod agent;
mod budget;
mod configuration;
mod failures;
mod life;

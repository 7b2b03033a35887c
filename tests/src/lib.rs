//! The real servers the tests talk to, and the tests across packages.
//!
//! A test asks for what it needs and no more; each of these starts real servers, in a
//! temporary folder, on addresses nobody else uses, and ends them when it is dropped, or when
//! the test's process dies, however it dies:
//!
//! | Start | What runs | Ready after |
//! | --- | --- | --- |
//! | [`Secrets::start`](testbed::Secrets::start) | Vault, Postgres | 2 s |
//! | [`Cluster::start`](testbed::Cluster::start) | and the Kubernetes control plane | 5 s |
//! | [`Testbed::start`](testbed::Testbed::start) | and one node that runs pods | 12 s |
//!
//! In front of any of them, [`faults`] makes the network misbehave and [`tls`] shows a wrong
//! certificate; [`scripted_vault`] gives the answers that a real Vault cannot be made to give, and [`long_bodies`]
//! gives and takes bodies of any length.

pub mod address;
pub mod chance;
pub mod control_plane;
pub mod cron_jobs;
pub mod demo;
pub mod deployment;
pub mod faults;
pub mod image;
pub mod long_bodies;
pub mod machine;
pub mod node;
pub mod postgres;
pub mod preparation;
pub mod process;
pub mod programs;
pub mod progress;
pub mod run_folder;
pub mod runner;
pub mod scripted_vault;
pub mod servers;
pub mod setup;
pub mod testbed;
pub mod tls;
pub mod vault;

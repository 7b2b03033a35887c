//! Commands of the program beside owning a cluster's PlanescapeJobs.

pub mod convert;
pub mod crd;
pub mod cron;
pub mod explain;
pub mod leases;
mod manifests;
pub mod receipt;
pub mod run;
mod runs;
pub mod template;

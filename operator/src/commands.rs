//! What the program can do beside owning a cluster's PlanescapeJobs.

pub mod convert;
pub mod crd;
pub mod cron;
pub mod explain;
mod manifests;
pub mod run;
pub mod template;

//! How much the operator does at once.

use clap::Args;

/// How much the operator does at once.
#[derive(Clone, Copy, Debug, Args)]
pub struct Limits {
    /// How many calls to the API server are on their way at once, watches aside. Runs come first, then what
    /// must be recorded, then the rest.
    #[arg(
        long,
        env = "PLANESCAPE_KUBE_API_CONCURRENCY",
        value_name = "CALLS",
        default_value = "64",
        value_parser = clap::value_parser!(u16).range(2..)
    )]
    pub kube_api_concurrency: u16,

    /// How many PlanescapeJobs are reconciled at once, until their Jobs are made. Each may need as much memory as
    /// its template.
    #[arg(
        long,
        env = "PLANESCAPE_CONCURRENT_RECONCILES",
        value_name = "OBJECTS",
        default_value = "1024",
        value_parser = clap::value_parser!(u16).range(1..)
    )]
    pub concurrent_reconciles: u16,
}

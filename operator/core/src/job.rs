//! One PlanescapeJob: what exists of it, whether it can run, what to do now, what to report.

pub mod identity;
pub mod known;
pub mod observed;
pub mod plan;
pub mod reading;
pub mod status;
pub mod validate;

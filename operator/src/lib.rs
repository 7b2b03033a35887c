//! Owns PlanescapeJobs: watches, creates Jobs, reports their state.

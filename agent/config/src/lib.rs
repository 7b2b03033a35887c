//! The agent's configuration: what the operator writes and the agent reads.
//!
//! The operator fills a [`document::Document`] and puts its JSON into the agent's environment.
//! The agent reads that JSON, or a `vault agent` configuration in HCL, and validates it once
//! into a [`Config`]; whoever holds a `Config` need not check again.

pub mod document;

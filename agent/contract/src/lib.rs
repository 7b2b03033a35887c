//! The contract between operator and agent: the agent's configuration, and its report.
//!
//! The operator fills a [`document::Document`] and puts its JSON into the agent's environment.
//! The agent reads that JSON, or a `vault agent` configuration in HCL, into a [`Tree`], and
//! validates it once into a [`Config`]; whoever holds a `Config` need not check again.
//! Validation reports all [`Problem`]s at once.

pub mod document;

mod config;
mod duration;
mod file_mode;
mod hcl;
mod json;
mod method;
mod problem;
mod reader;
mod report;
mod template;
mod tree;
mod validate;

pub use config::{Auth, Config, Overrides, Planescape, Sink, TemplateConfig, Vault};
pub use duration::{DurationError, parse_duration};
pub use file_mode::FileMode;
pub use method::{Kubernetes, Method, UnusableFile};
pub use problem::{Problem, Problems};
pub use report::{Phase, REVOKE_POLICY, Reason, Report};
pub use template::{Engine, Output, Template, TemplateText};
pub use tree::{SyntaxError, Tree};

//! The contract between operator and agent: the agent's configuration, and its report.
//!
//! The operator fills a [`document::Document`] and puts its JSON into the agent's environment.
//! The agent reads that JSON, or a `vault agent` configuration in HCL, into a [`Tree`], and
//! validates it once into a [`Config`], which needs no further check.
//! Validation reports all [`Problem`]s at once.

pub mod document;
pub mod reference;

mod config;
mod duration;
mod file_mode;
mod hcl;
mod json;
mod log;
mod method;
mod mount_path;
mod owner;
mod problem;
mod program;
mod proxy;
mod reader;
mod reload;
mod report;
mod share;
mod telemetry;
mod template;
mod tree;
mod validate;

pub use config::{
    Aad, Auth, Config, Encryption, Overrides, Planescape, Sink, TemplateConfig, Vault,
};
pub use duration::{DurationError, parse_duration};
pub use file_mode::FileMode;
pub use log::{Keep, Log, LogFile, LogFormat, LogLevel, LogOverrides};
pub use method::{
    AppRole, Aws, AwsKind, Azure, Cert, CertTls, Cloud, Gcp, GcpCredentials, GcpKind, Jwt,
    Kubernetes, Ldap, Material, Method, Proof, Removal, SecretIdFile, TokenFile, UnusableFile,
};
pub use mount_path::MountPath;
pub use owner::{Id, Owner};
pub use problem::{Problem, Problems};
pub use program::{Exec, Hook, Program, Signal};
pub use proxy::{ListenAddress, Listener, ListenerTls, Persist, Proxy, ProxyToken};
pub use reader::parse_bool;
pub use reload::{hindrances, needs_start};
pub use report::{Access, Phase, REVOKE_POLICY, Reason, Report, digest};
pub use share::Share;
pub use telemetry::{Receiver, Telemetry};
pub use template::{Engine, Output, Target, Template, TemplateText, Wait};
pub use tree::{SyntaxError, Tree};

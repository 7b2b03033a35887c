//! Why the agent ended, for the pod's termination message.

use serde::Serialize;

use crate::failure::Failure;

/// The process's exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum ExitCode {
    /// Done, nothing left behind.
    Done = 0,
    /// The configuration is wrong.
    Config = 64,
    /// A template does not fit what Vault answered.
    Template = 65,
    /// Vault could not be reached within the limit, or a token was not revoked.
    Unavailable = 69,
    /// A file could not be read or written.
    File = 74,
    /// Vault refused.
    Denied = 77,
    /// A signal came before everything was rendered, or a second one.
    Interrupted = 143,
}

/// Where the agent was when it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// Reading its configuration.
    Config,
    /// Logging in.
    Login,
    /// Reading a secret.
    Read,
    /// Rendering a template.
    Render,
    /// Writing a file.
    Write,
    /// Ending.
    Done,
}

/// The termination message; serialised as JSON with absent fields left out. Never a value, never
/// a token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Where the agent was.
    pub phase: Phase,
    /// One word in CamelCase, for conditions and metrics.
    pub reason: &'static str,
    /// A sentence for a person.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// The role of the login.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    /// The path in Vault.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// The HTTP status.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// What names the token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub accessor: Option<String>,
}

impl Report {
    /// A report with nothing but its place and reason.
    #[must_use]
    pub fn new(phase: Phase, reason: &'static str) -> Self {
        Self {
            phase,
            reason,
            message: None,
            role: None,
            path: None,
            status: None,
            accessor: None,
        }
    }

    /// What a failure in this phase amounts to.
    pub(crate) fn of_failure(phase: Phase, failure: &Failure) -> Self {
        Self {
            message: Some(failure.to_string()),
            status: failure.status(),
            ..Self::new(phase, reason(phase, failure))
        }
    }
}

fn reason(phase: Phase, failure: &Failure) -> &'static str {
    match failure {
        Failure::Status { code: 503, message } if message.contains("sealed") => "Sealed",
        Failure::Status { code: 400, message }
            if phase == Phase::Login && message.contains("role") =>
        {
            "RoleNotFound"
        }
        Failure::Status { code: 403, message } if message.contains("audience") => {
            "AudienceMismatch"
        }
        Failure::Status {
            code: 400..=403, ..
        } if phase == Phase::Login => "LoginDenied",
        Failure::Status { code: 404, .. } if phase == Phase::Login => "AuthMethodNotFound",
        Failure::Status { code: 403, .. } => "PermissionDenied",
        Failure::Status { code: 404, .. } => "SecretNotFound",
        Failure::Status { code: 429, .. } => "RateLimited",
        Failure::Status {
            code: 400..=499, ..
        } => "RequestRefused",
        Failure::Status { .. } => "ServerError",
        Failure::Unreachable { .. } => "Unreachable",
        Failure::Tls { .. } => "TLSError",
        Failure::Silent => "NoAnswer",
        Failure::Malformed { .. } => "MalformedAnswer",
        Failure::File { .. } => match phase {
            Phase::Login => "TokenFileUnreadable",
            Phase::Write => "FileNotWritten",
            Phase::Config | Phase::Read | Phase::Render | Phase::Done => "FileUnreadable",
        },
    }
}

/// How the process ends after such a failure.
pub(crate) fn exit_code(failure: &Failure) -> ExitCode {
    match failure {
        Failure::Status { code: 429, .. } => ExitCode::Unavailable,
        Failure::Status {
            code: 400..=499, ..
        } => ExitCode::Denied,
        Failure::File { .. } => ExitCode::File,
        Failure::Status { .. }
        | Failure::Unreachable { .. }
        | Failure::Tls { .. }
        | Failure::Silent
        | Failure::Malformed { .. } => ExitCode::Unavailable,
    }
}

//! The pod's termination message: the agent's identity while it runs, and why it ended.

mod access;
mod refusal;

use std::fmt;

use serde::{Deserialize, Serialize};

pub use access::{Access, digest};

/// The line that the policies of an agent's role need so that it can revoke its own token.
pub const REVOKE_POLICY: &str = "path \"auth/token/revoke-self\" { capabilities = [\"update\"] }";

/// The termination message; JSON with absent fields left out. Never a value, never a token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// The agent's place in its life.
    pub phase: Phase,
    /// One word for conditions and metrics.
    pub reason: Reason,
    /// A sentence for a person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// The role of the login.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    /// The path in Vault.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// The HTTP status.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// The accessor of the token in use; `planescape credentials` gives a digest of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accessor: Option<String>,
    /// How long the tokens in `unrevoked` may live on at most when this is the last word of the agent, in seconds;
    /// absent if one of them has no known end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl_seconds: Option<u64>,
    /// The accessors of all tokens that may still live, with their leases.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unrevoked: Vec<String>,
    /// The ids of leases whose token is revoked, and of which Vault has not said that they are gone: they cannot be
    /// renewed any more. While the agent runs, the ids of the leases that its tokens hold.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub leases: Vec<String>,
    /// How many more leases there are: without room here, or with ids that are not known.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub more_leases: usize,
    /// Whether these are the leases that the tokens in `unrevoked` hold, and no others: said while the agent runs.
    #[serde(default, skip_serializing_if = "is_false")]
    pub names_leases: bool,
    /// Places in templates where the text is probably a mistake.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
    /// When the report was made, in seconds since 1970; absent if the end of a container says it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<i64>,
    /// The shortest life, in seconds, after which Vault renewed a token or lease no further.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_seconds: Option<u64>,
    /// The id of the latest login in Vault's audit log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub login_request: Option<String>,
    /// The reads.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reads: Vec<Access>,
    /// How much more was read than there is room for.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub more_reads: usize,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for it so")]
fn is_zero(count: &usize) -> bool {
    *count == 0
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for it so")]
fn is_false(value: &bool) -> bool {
    !value
}

impl Report {
    /// A report with its place and reason alone.
    #[must_use]
    pub fn new(phase: Phase, reason: Reason) -> Self {
        Self {
            phase,
            reason,
            message: None,
            role: None,
            path: None,
            status: None,
            accessor: None,
            ttl_seconds: None,
            unrevoked: Vec::new(),
            leases: Vec::new(),
            more_leases: 0,
            names_leases: false,
            warnings: Vec::new(),
            at: None,
            max_seconds: None,
            login_request: None,
            reads: Vec::new(),
            more_reads: 0,
        }
    }

    /// Whether leases may have outlived their token.
    #[must_use]
    pub fn has_open_leases(&self) -> bool {
        self.phase != Phase::Running && (!self.leases.is_empty() || self.more_leases > 0)
    }
}

/// A place in the agent's life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
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
    /// At work, or about to log in. An agent that ended with this was killed: the state of its
    /// tokens is not known.
    Running,
    /// Ending, without an error before.
    Done,
    /// A word that only a newer agent knows.
    #[serde(other)]
    Other,
}

macro_rules! reasons {
    ($($(#[$doc:meta])* $name:ident = $word:literal,)*) => {
        /// Why the agent ended, or what it does.
        #[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(from = "String", into = "String")]
        pub enum Reason {
            $($(#[$doc])* $name,)*
            /// A word that only a newer agent knows.
            Other(String),
        }

        impl Reason {
            /// The word.
            #[must_use]
            pub fn as_str(&self) -> &str {
                match self {
                    $(Self::$name => $word,)*
                    Self::Other(word) => word,
                }
            }
        }

        impl From<String> for Reason {
            fn from(word: String) -> Self {
                match word.as_str() {
                    $($word => Self::$name,)*
                    _ => Self::Other(word),
                }
            }
        }
    };
}

reasons! {
    /// It is about to log in, and names the tokens that earlier lives have left.
    Starting = "Starting",
    /// It logged in and works.
    LoggedIn = "LoggedIn",
    /// Every file was rendered; the token lives on, as configured.
    Rendered = "Rendered",
    /// Every file was rendered, and every token that was ever held is revoked; of its leases `leases` says more.
    Revoked = "Revoked",
    /// A token may live on although it should not.
    RevokeFailed = "RevokeFailed",
    /// It was told to end before every file was rendered.
    Terminated = "Terminated",
    /// A second signal ended it at once.
    Interrupted = "Interrupted",
    /// The configuration is not valid.
    InvalidConfig = "InvalidConfig",
    /// A template does not fit the answer of Vault.
    TemplateFailed = "TemplateFailed",
    /// A program that follows a file failed.
    CommandFailed = "CommandFailed",
    /// Vault is sealed.
    Sealed = "Sealed",
    /// The role of the login does not exist.
    RoleNotFound = "RoleNotFound",
    /// The ServiceAccount token is for another audience than the role wants.
    AudienceMismatch = "AudienceMismatch",
    /// Vault refused the login.
    LoginDenied = "LoginDenied",
    /// No auth method is mounted there.
    AuthMethodNotFound = "AuthMethodNotFound",
    /// The token's policies do not allow this.
    PermissionDenied = "PermissionDenied",
    /// There is no secret at this path.
    SecretNotFound = "SecretNotFound",
    /// The version of the secret is deleted or destroyed.
    SecretDeleted = "SecretDeleted",
    /// There are too many requests.
    RateLimited = "RateLimited",
    /// Vault does not understand the request.
    RequestRefused = "RequestRefused",
    /// No node of Vault that was asked can serve the request.
    Standby = "Standby",
    /// Vault has a problem of its own.
    ServerError = "ServerError",
    /// There is no connection to Vault.
    Unreachable = "Unreachable",
    /// A certificate was refused.
    TlsError = "TLSError",
    /// Vault did not answer in time.
    NoAnswer = "NoAnswer",
    /// Vault's answer makes no sense.
    MalformedAnswer = "MalformedAnswer",
    /// The ServiceAccount token cannot be read.
    TokenFileUnreadable = "TokenFileUnreadable",
    /// A rendered file or a sink cannot be written.
    FileNotWritten = "FileNotWritten",
    /// A local file that a template asks for cannot be read.
    FileUnreadable = "FileUnreadable",
    /// The namespace does not grant the making of tokens and Secrets for its runs.
    NotGranted = "NotGranted",
    /// The pods' ServiceAccount does not exist.
    ServiceAccountNotFound = "ServiceAccountNotFound",
    /// The administrator does not list this Vault.
    AddressRefused = "AddressRefused",
    /// The role gives batch tokens, which can be neither renewed nor revoked.
    BatchToken = "BatchToken",
    /// Each request takes one of the uses that the role gives a token.
    LimitedUses = "LimitedUses",
    /// Token or leases of a run have ended before it.
    CredentialsEnded = "CredentialsEnded",
    /// A login was tried before the first run, and everything is allowed.
    Allowed = "Ok",
    /// Tokens of the role live for less than a run may last, and cannot be renewed.
    TtlTooShort = "TTLTooShort",
    /// A Secret of another owner has the name.
    SecretConflict = "SecretConflict",
    /// The answer does not make the Secret that was ordered.
    SecretMisfit = "SecretMisfit",
    /// The API server does not carry out a request that is needed.
    KubernetesRefused = "KubernetesRefused",
}

impl From<Reason> for String {
    fn from(reason: Reason) -> Self {
        reason.as_str().to_owned()
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_newer_agent_says_is_kept() {
        let report: Report =
            serde_json::from_str(r#"{"phase":"dreaming","reason":"Sleepy","extra":1}"#).unwrap();

        assert_eq!(report.phase, Phase::Other);
        assert_eq!(report.reason, Reason::Other("Sleepy".to_owned()));
        assert_eq!(report.reason.to_string(), "Sleepy");
    }

    #[test]
    fn what_is_there_is_said() {
        let report = Report {
            leases: vec!["l".to_owned()],
            more_leases: 2,
            names_leases: true,
            more_reads: 3,
            ..Report::new(Phase::Running, Reason::LoggedIn)
        };

        let text = serde_json::to_string(&report).unwrap();

        assert_eq!(serde_json::from_str::<Report>(&text).unwrap(), report);
    }

    #[test]
    fn leases_may_have_outlived_an_agent_that_has_ended_and_names_or_counts_some() {
        for (phase, leases, more_leases, expected) in [
            (Phase::Done, 0, 0, false),
            (Phase::Done, 1, 0, true),
            (Phase::Done, 0, 1, true),
            (Phase::Running, 1, 1, false),
        ] {
            let report = Report {
                leases: vec!["l".to_owned(); leases],
                more_leases,
                ..Report::new(phase, Reason::Revoked)
            };

            assert_eq!(report.has_open_leases(), expected, "{report:?}");
        }
    }

    #[test]
    fn what_is_absent_is_left_out() {
        let report = Report::new(Phase::Done, Reason::TlsError);

        let text = serde_json::to_string(&report).unwrap();

        assert_eq!(text, r#"{"phase":"done","reason":"TLSError"}"#);
        assert_eq!(serde_json::from_str::<Report>(&text).unwrap(), report);
    }
}

//! Everything the agent can do.

use std::time::Duration;

use planescape_templates::{Request, Warning};
use planescape_vault::SecretText;
use planescape_vault::Text;

use crate::failure::Failure;
use crate::report::{ExitCode, Report};

/// One thing to do. Unless it says otherwise, the shell reports the result as one
/// [`Input`](crate::Input).
#[derive(Debug)]
pub enum Command {
    /// Log in with the configured method.
    LogIn,
    /// Extend the token's life.
    RenewToken {
        /// The token.
        token: SecretText,
    },
    /// Ask which secrets engine serves this request's path.
    FindMount {
        /// What is going to be read.
        request: Request,
        /// Its path.
        path: String,
        /// Who asks.
        token: SecretText,
    },
    /// Ask Vault.
    Read {
        /// What the template asked for.
        request: Request,
        /// How to ask for it.
        call: Call,
        /// Who asks.
        token: SecretText,
    },
    /// Read a local file; the answer's bytes are the template's.
    ReadFile {
        /// What the template asked for.
        request: Request,
        /// Where it is.
        path: String,
    },
    /// Extend a lease's life.
    RenewLease {
        /// The request whose answer carries the lease.
        request: Request,
        /// The lease.
        lease_id: String,
        /// Who asks.
        token: SecretText,
    },
    /// Make a file hold these bytes, whole or not at all.
    Write {
        /// Which file.
        destination: Destination,
        /// Its new bytes.
        contents: Text,
    },
    /// Tell those who wait that every file is there. Has no result.
    AnnounceReady,
    /// Revoke a token, and with it every lease under it.
    Revoke {
        /// The token.
        token: SecretText,
    },
    /// Tell the person who reads the log. Has no result.
    Log(Notice),
    /// End the process. Nothing follows.
    Exit {
        /// How.
        code: ExitCode,
        /// Why.
        report: Report,
    },
}

/// A request to Vault; paths have no `/v1/`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Call {
    /// Read a path.
    Get {
        /// The path.
        path: String,
        /// The query, without `?`.
        query: Option<String>,
    },
    /// List what is below a path.
    List {
        /// The path.
        path: String,
    },
    /// Write to a path; the answer is the secret.
    Put {
        /// The path.
        path: String,
        /// Keys and values of the body.
        parameters: Vec<(String, SecretText)>,
        /// Whether they stand in an object called `data`, as KV version 2 wants.
        wrapped: bool,
    },
}

/// A file of the configuration, by its place there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Destination {
    /// The destination of `template[n]`.
    Template(usize),
    /// The path of `auto_auth.sink[n]`.
    Sink(usize),
}

/// What is worth a line in the log; never a secret.
#[derive(Debug)]
pub enum Notice {
    /// A login failed.
    LoginFailed {
        /// Why.
        failure: Failure,
        /// When the next one comes.
        backoff: Duration,
    },
    /// There is a token.
    LoggedIn {
        /// What names it.
        accessor: String,
        /// How long it lasts.
        ttl: Duration,
    },
    /// Vault does not know the token any more.
    TokenLost,
    /// A request failed.
    RequestFailed {
        /// What was asked.
        request: Request,
        /// Why.
        failure: Failure,
        /// When it is asked again.
        backoff: Duration,
    },
    /// A lease or the token could not be extended.
    RenewalFailed {
        /// The request whose lease it is; `None` for the token.
        request: Option<Request>,
        /// Why.
        failure: Failure,
    },
    /// A lease or the token was extended.
    Renewed {
        /// The request whose lease it is; `None` for the token.
        request: Option<Request>,
        /// How long it lasts now.
        ttl: Duration,
    },
    /// A text could not be rendered with what Vault answered.
    RenderFailed {
        /// `template[n]`.
        template: usize,
        /// The engine's words, without values.
        message: String,
    },
    /// A text was rendered with places that are probably not what was meant. Told once, and again
    /// when the places change.
    RenderWarned {
        /// `template[n]`.
        template: usize,
        /// Each place once, without values.
        warnings: Vec<Warning>,
    },
    /// A file could not be written.
    WriteFailed {
        /// Which.
        destination: Destination,
        /// Why.
        failure: Failure,
        /// When it is tried again.
        backoff: Duration,
    },
    /// A token could not be revoked.
    RevokeFailed {
        /// Why.
        failure: Failure,
    },
    /// The agent ends.
    Stopping,
}

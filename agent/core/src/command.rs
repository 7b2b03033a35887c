//! Everything the agent can do.

use std::time::Duration;

use planescape_agent_contract::{Hook, Report, Signal, Template};
use planescape_templates::{Effect, Request, Warning};
use planescape_vault::{Call, SecretText, Text};

use crate::failure::Failure;
use crate::render::Rendering;
use crate::token::{Ticket, Token, TokenId};
use crate::verdict::ExitCode;

/// One thing to do. Unless it says otherwise, the shell reports the result as one
/// [`Input`](crate::Input).
#[derive(Debug)]
pub enum Command {
    /// Log in with the configured method.
    LogIn {
        /// To be handed back.
        ticket: Ticket,
    },
    /// Write a token into the ledger, so that a later life can revoke it.
    Remember {
        /// The token.
        token: Token,
        /// Its accessor.
        accessor: String,
    },
    /// Leave tokens out of the ledger and of the persistent cache that are revoked, or whose time is over for long: no later
    /// life is to try them.
    /// Has no result.
    Forget {
        /// The tokens.
        tokens: Vec<SecretText>,
    },
    /// Use this token for proxied requests. Has no result.
    Offer {
        /// The token.
        token: Token,
        /// Its accessor, if it has one.
        accessor: Option<String>,
    },
    /// Extend the token's life.
    RenewToken {
        /// To be handed back.
        ticket: Ticket,
        /// The token.
        token: SecretText,
        /// The longest life to ask for; without it the role decides.
        increment: Option<Duration>,
    },
    /// Ask whether Vault knows the token.
    LookUpToken {
        /// To be handed back.
        ticket: Ticket,
        /// The token.
        token: SecretText,
    },
    /// Ask which mount serves a path.
    FindMount {
        /// To be handed back.
        ticket: Ticket,
        /// The path.
        path: String,
        /// The token that asks.
        token: SecretText,
    },
    /// Ask Vault.
    Read {
        /// To be handed back.
        ticket: Ticket,
        /// The template's request.
        request: Request,
        /// How to ask for it.
        call: Call,
        /// The token that asks.
        token: SecretText,
    },
    /// Read a local file; the answer's bytes are the template's.
    ReadFile {
        /// The template's request.
        request: Request,
        /// Its path.
        path: String,
        /// Folders that it must lie in, links resolved.
        within: Vec<String>,
    },
    /// Look whether a template's file is still what was written.
    CheckFile {
        /// The number of the text.
        template: usize,
    },
    /// Extend a lease's life.
    RenewLease {
        /// To be handed back.
        ticket: Ticket,
        /// The request whose answer carries the lease.
        request: Request,
        /// The lease.
        lease_id: String,
        /// Its namespace, if the path of the request names one.
        namespace: Option<String>,
        /// The token that asks.
        token: SecretText,
    },
    /// Extend the life of a token that a template has made.
    RenewMade(Made),
    /// Run one pass over a template, where it does not hold up anything else.
    Render {
        /// The number of the text: at first `template[n]`, and no other text ever has it.
        template: usize,
        /// The pass.
        rendering: Rendering,
    },
    /// Make a file hold these bytes, whole or not at all.
    Write {
        /// The file.
        destination: Destination,
        /// Its new bytes.
        contents: Text,
        /// The other effects of the text, in order; they come before the file.
        effects: Vec<Effect>,
    },
    /// Forget the texts that are gone, and know the new ones.
    Exchange {
        /// The numbers of those that are gone.
        gone: Vec<usize>,
        /// The new ones, by their numbers, without their texts.
        new: Vec<(usize, Template)>,
    },
    /// Run a program, or tell one that runs, because a file has changed.
    RunHook {
        /// To be handed back.
        hook: usize,
        /// The number of the first of the texts that it follows.
        file: usize,
        /// The program or the signal.
        follow_up: Hook,
    },
    /// Start the program in `exec`. Its end is one [`Input`](crate::Input), also where it could
    /// not be started.
    StartChild {
        /// Names and values, in order of the names.
        variables: Vec<(String, Text)>,
    },
    /// Send the program in `exec` a signal. Has no result.
    SignalChild {
        /// The signal; `None` kills the program.
        signal: Option<Signal>,
    },
    /// Tell those who wait that every file is there. Has no result.
    AnnounceReady,
    /// Say in the termination message who the agent is, in case that it is killed. Has no result.
    Report(Report),
    /// Revoke a token, and with it every lease under it.
    Revoke {
        /// The token.
        token: Token,
    },
    /// Revoke a lease, and wait until what it stands for is gone.
    RevokeLease {
        /// The lease.
        lease_id: String,
        /// The token that asks.
        token: SecretText,
    },
    /// Empty the ledger: no token in it is to be revoked any more. Has no result.
    ForgetAll {
        /// Whether the token lives on, and the persistent cache with it.
        keeps_cache: bool,
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

/// A token that a template has made; it asks for itself.
#[derive(Debug)]
pub struct Made {
    /// To be handed back.
    pub ticket: Ticket,
    /// The request whose answer carries it.
    pub request: Request,
    /// Its accessor.
    pub accessor: String,
    /// The token.
    pub token: SecretText,
    /// Its namespace, if the path of the request names one.
    pub namespace: Option<String>,
}

/// A file of the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Destination {
    /// The destination of the text with this number.
    Template(usize),
    /// The path of `auto_auth.sink[n]`.
    Sink(usize),
}

/// A line for the log; never a secret.
#[derive(Debug, PartialEq)]
pub enum Notice {
    /// A login failed.
    LoginFailed {
        /// Why.
        failure: Failure,
        /// When the next one comes; `None` where the agent ends.
        backoff: Option<Duration>,
    },
    /// There is a token.
    LoggedIn {
        /// Its accessor.
        accessor: String,
        /// How long it lasts.
        ttl: Duration,
    },
    /// The files of the login hold something new: the agent logs in again.
    NewCredentials,
    /// The token is extended no further: the agent logs in again.
    TokenEnds,
    /// There is a wrapped token.
    LoggedInWrapped,
    /// A token could not be written into the ledger: if the agent is killed, nobody revokes it.
    NotRemembered {
        /// Why.
        failure: Failure,
    },
    /// Vault does not know the token any more.
    TokenLost,
    /// Vault knows the token although a request was refused as if it did not.
    TokenLives,
    /// A request failed.
    RequestFailed {
        /// The request.
        request: Request,
        /// Why.
        failure: Failure,
        /// How often it failed in a row.
        failures: u32,
        /// When it is asked again; `None` where the agent ends.
        backoff: Option<Duration>,
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
    /// The token ends after so many requests, and every lease with it.
    LimitedUses,
    /// The guard cannot shorten the life of the token: Vault's role or the token's policies do not let it.
    Unguarded {
        /// How long the token may outlive the agent; `None`: for ever.
        ttl: Option<Duration>,
    },
    /// The token could not be renewed for half the guard.
    Endangered {
        /// When the token ends with every lease, unless Vault is back before.
        ends_in: Duration,
    },
    /// A lease ended before it could be replaced: these files hold what no longer works.
    Expired {
        /// The request whose lease it was.
        request: Request,
        /// `template[n]` of each file.
        templates: Vec<usize>,
    },
    /// Other texts have taken the place of some.
    Exchanged {
        /// How many are new, or changed.
        new: usize,
        /// How many are gone, or changed.
        gone: usize,
        /// How many are as they were.
        kept: usize,
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
    /// A file could not be written. Told once, and again when the failure is another one or ends the agent.
    WriteFailed {
        /// The file.
        destination: Destination,
        /// Why.
        failure: Failure,
        /// When it is tried again; `None` where the agent ends.
        backoff: Option<Duration>,
    },
    /// A program that follows a file failed.
    HookFailed {
        /// `template[n]`.
        file: usize,
        /// Why, without output of the program.
        message: String,
        /// When it is run again; `None` where it is not.
        backoff: Option<Duration>,
    },
    /// A value changed, and the program in `exec` is not to be restarted for that.
    ChildKept,
    /// A token could not be revoked.
    RevokeFailed {
        /// The token.
        token: TokenId,
        /// Why.
        failure: Failure,
    },
    /// Vault did not revoke a lease that another one has replaced.
    NotParted {
        /// A digest of its id.
        lease: String,
        /// Why.
        failure: Failure,
    },
    /// Vault did not say that a lease is gone.
    LeaseNotRevoked {
        /// A digest of its id.
        lease: String,
        /// Why.
        failure: Failure,
    },
    /// The agent ends.
    Stopping,
}

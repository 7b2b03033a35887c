//! Everything that can happen to the agent.

use planescape_agent_contract::TemplateConfig;
use planescape_templates::{Answer, Pass, Request};
use planescape_vault::mount::Mount;
use planescape_vault::{Grant, Login, Text};

use crate::command::Destination;
use crate::failure::Failure;
use crate::render::Texts;
use crate::token::{Ticket, TokenId};

/// How the program in `exec` ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChildEnd {
    /// It could not be started.
    NotStarted {
        /// Why.
        message: String,
    },
    /// With this exit code.
    Code(u8),
    /// By this signal.
    Signal(i32),
}

/// The parts of a new configuration that change while the agent runs.
#[derive(Debug)]
pub struct Reloaded {
    /// All texts.
    pub texts: Texts,
    /// The settings of all of them.
    pub template_config: TemplateConfig,
}

/// One thing that happened. Each result answers one [`Command`](crate::Command).
#[derive(Debug)]
pub enum Input {
    /// Nothing but time passed; also the very first input.
    Timeout,
    /// The login ended.
    LoggedIn {
        /// The ticket of the command.
        ticket: Ticket,
        /// The token, or why there is none.
        result: Result<Login, Failure>,
    },
    /// A login ended whose token is wrapped for somebody else.
    LoggedInWrapped {
        /// The ticket of the command.
        ticket: Ticket,
        /// The wrapping token's description in JSON, or why there is none.
        result: Result<Text, Failure>,
    },
    /// The files of the login hold something new.
    NewCredentials,
    /// A proxied request with the agent's token was refused as if Vault did not know it.
    TokenRefused {
        /// The token.
        token: TokenId,
    },
    /// Vault has answered a proxied request with the agent's token by a lease or a token.
    Granted,
    /// A token was written into the ledger.
    Remembered {
        /// The token.
        token: TokenId,
        /// Why it was not.
        result: Result<(), Failure>,
    },
    /// The token's renewal ended.
    TokenRenewed {
        /// The ticket of the command.
        ticket: Ticket,
        /// The grant, or why there is none.
        result: Result<Grant, Failure>,
    },
    /// The token was looked up: Vault knows it, or why it does not say so.
    TokenLookedUp {
        /// The ticket of the command.
        ticket: Ticket,
        /// Why it does not say so.
        result: Result<(), Failure>,
    },
    /// It is known which mount serves a path.
    MountFound {
        /// The ticket of the command.
        ticket: Ticket,
        /// The path that is going to be read.
        path: String,
        /// The mount.
        result: Result<Mount, Failure>,
    },
    /// A request was answered by Vault.
    Answered {
        /// The ticket of the command.
        ticket: Ticket,
        /// The request.
        request: Request,
        /// The answer, or why there is none.
        result: Result<Answer, Failure>,
    },
    /// A local file was read.
    FileRead {
        /// The request.
        request: Request,
        /// The content, or why there is none.
        result: Result<Answer, Failure>,
    },
    /// A template's file was looked at.
    FileChecked {
        /// The number of the text.
        template: usize,
        /// Whether nobody else has changed or removed it.
        is_intact: bool,
    },
    /// A lease's renewal ended.
    LeaseRenewed {
        /// The ticket of the command.
        ticket: Ticket,
        /// The request whose answer carries the lease.
        request: Request,
        /// The grant, or why there is none.
        result: Result<Grant, Failure>,
    },
    /// A pass over a template ended.
    Rendered {
        /// The number of the text.
        template: usize,
        /// The result; an error is the engine's words, without values.
        result: Result<Pass, String>,
    },
    /// A file was written, or was found to hold these bytes already.
    Written {
        /// The file.
        destination: Destination,
        /// Whether it changed; or why it does not hold them.
        result: Result<bool, Failure>,
    },
    /// A program that follows a file ended, or a signal was sent.
    HookEnded {
        /// The number of the hook.
        hook: usize,
        /// Why it failed, without its output.
        result: Result<(), String>,
    },
    /// The program in `exec` ended.
    ChildEnded(ChildEnd),
    /// A token was revoked.
    Revoked {
        /// The token.
        token: TokenId,
        /// Why it was not.
        result: Result<(), Failure>,
    },
    /// A lease was revoked.
    LeaseRevoked {
        /// The lease.
        lease_id: String,
        /// Why Vault does not say so.
        result: Result<(), Failure>,
    },
    /// There is a new configuration, which is good.
    Reloaded(Reloaded),
    /// A signal wants the agent to end; a second one: at once.
    Terminate,
    /// A request wants the agent to end, as often as it comes.
    Quit,
}

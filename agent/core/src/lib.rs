//! Decides what the agent does: input in, commands out, no IO.
//!
//! One value, [`Agent`], holds everything. The shell feeds it [`Input`]s and does its
//! [`Command`]s; both are closed lists, so together they say all that can happen to the agent
//! and all that it can do. Time and randomness are arguments, files and sockets do not exist.
//!
//! ```text
//! Timeout, LoggedIn, Answered, Renewed,      ┌───────┐   LogIn, Read, Renew, Write,
//! Written, Revoked, Terminate ────────────▶  │ Agent │ ────────▶  Announce, Revoke, Exit
//!                                            └───────┘
//! ```
//!
//! Inside, each machine has the same verbs and one job: [`auth`](self) keeps a token,
//! `secrets` keeps what the templates read, `render` turns texts into files, `lease` says when
//! to act on something that expires, `shutdown` leaves nothing behind.

mod agent;
mod auth;
mod backoff;
mod clock;
mod command;
mod dice;
mod failure;
mod input;
mod lease;
mod render;
mod report;
mod secrets;
mod shutdown;
mod sinks;

pub use agent::{Agent, Start};
pub use clock::{Moment, Now};
pub use command::{Call, Command, Destination, Notice};
pub use failure::{Failure, Remedy};
pub use input::{Grant, Input, Login};
pub use report::{ExitCode, Phase, Report};

//! Decides what the agent does: input in, commands out, no IO.
//!
//! One value, [`Agent`], holds everything. The shell feeds it [`Input`]s and does its
//! [`Command`]s; both are closed lists, so together they say all that can happen to the agent
//! and all that it can do. Time and randomness are arguments, files and sockets do not exist.
//!
//! ```text
//! Timeout, LoggedIn, Answered, Renewed,      ┌───────┐   LogIn, Read, Renew, Render,
//! Rendered, Written, Revoked, Terminate ──▶  │ Agent │ ────────▶  Write, Revoke, Exit
//!                                            └───────┘
//! ```
//!
//! Inside, each machine has the same verbs and one job: `session` keeps a token, `secrets` keeps
//! what the templates read, `render` turns texts into files, `write` is the state of one file,
//! `lease` says when to act on something that expires, `hooks` runs programs after files have changed,
//! `proxied` judges the requests to listeners, `cache` decides which of Vault's answers are kept,
//! `turns` lets no engine that hangs hold up the others, `supervisor` keeps a program running with rendered
//! variables, `pushed` makes the packets for receivers of metrics, `verdict` decides what a failure means for the
//! agent, `shutdown` leaves nothing behind.

mod agent;
mod backoff;
mod cache;
mod clock;
mod command;
mod dice;
mod failure;
mod hooks;
mod input;
mod lease;
mod life;
mod living;
mod parting;
mod proxied;
mod pushed;
mod render;
mod secrets;
mod session;
mod shutdown;
mod sinks;
mod status;
mod supervisor;
mod token;
mod troubles;
mod turns;
mod unwritten;
mod verdict;
mod write;

pub use agent::{Agent, Start, Wake, orphan};
pub use cache::{Asked, Cache, Carried, Held, Key, Renewal, RenewalOf, Revocation};
pub use clock::{Moment, Now};
pub use command::{Command, Destination, Made, Notice};
pub use failure::{Failure, Remedy};
pub use input::{ChildEnd, Input, Reloaded};
pub use living::{LeftLeases, LeftToken};
pub use proxied::{Asking, Passage, Refused, decide, may_be_done, namespace};
pub use pushed::{Metric, Pushed};
pub use render::{Rendering, Texts};
pub use status::{Phase, Status, TextStatus, TokenStatus};
pub use token::{Ticket, Token, TokenId, made_in};
pub use turns::Turns;
pub use verdict::ExitCode;

//! Vault's answers and requests as values, without a connection.
//!
//! Nothing here opens a socket or reads a clock; the client that does stands in `vault/client`.

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "a JSON value has six kinds, and most readers care for one of them"
)]

mod call;
mod connection;
mod error;
mod grant;
pub mod json;
pub mod mount;
pub mod path;
mod secret;
mod secret_text;
mod text;
pub mod timestamp;
pub mod wire;

pub use call::Call;
pub use connection::{Connection, Pace, Tls};
pub use error::{Error, Kind, Refusal};
pub use grant::{Grant, Login};
pub use secret::{Auth, MalformedAnswer, Secret, Wrapping};
pub use secret_text::SecretText;
pub use text::Text;

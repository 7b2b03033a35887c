//! What Vault says and how it is asked, without asking.
//!
//! Nothing here opens a socket or reads a clock; the client that does stands beside this package.

mod secret_text;

pub use secret_text::SecretText;

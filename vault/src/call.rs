//! One request to Vault.

use crate::SecretText;

/// A request for a secret; paths have no `/v1/`.
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

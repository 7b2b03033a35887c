//! The state that one life of the agent hands to the next, and its seal. Files and randomness are the caller's.

mod sealed;

use std::collections::BTreeMap;

use anyhow::Context;
use planescape_vault::SecretText;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

pub use sealed::Random;

/// The whole state.
#[derive(Clone, Default, Serialize, Deserialize)]
pub struct Contents {
    /// The agent's token.
    pub token: Option<Plain>,
    /// Tokens of logins before that one, which may live.
    #[serde(default)]
    pub replaced: Vec<Plain>,
    /// The secrets leased with it, by the calls.
    pub leased: BTreeMap<String, Kept>,
    /// The answers that listeners got from Vault.
    #[serde(default)]
    pub answers: Vec<KeptAnswer>,
    /// All leases, as the agent has named them last.
    #[serde(default)]
    pub named: Option<Named>,
    /// Tokens that templates have made, and that live on without `token`.
    #[serde(default)]
    pub orphans: Vec<Orphan>,
    /// Whether lives before this one may have had tokens that stand nowhere.
    #[serde(default)]
    pub misses_tokens: bool,
}

/// A token that the next life has to revoke.
#[derive(Clone, Serialize, Deserialize)]
pub struct Orphan {
    /// The token.
    pub token: Plain,
    /// Its accessor.
    pub accessor: String,
    /// Its namespace, if the path that made it names one.
    #[serde(default)]
    pub namespace: Option<String>,
    /// When it is gone unless it is renewed, in milliseconds since 1970.
    pub ends_at: u64,
}

/// The leases of the tokens that a life has to revoke.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Named {
    /// Their ids.
    pub leases: Vec<String>,
    /// How many more there may be.
    pub more: usize,
}

/// An answer with a lease or a token.
#[derive(Clone, Serialize, Deserialize)]
pub struct Kept {
    /// The lease, or the accessor of the token.
    pub lease_id: String,
    /// As it came.
    pub body: Plain,
    /// When the lease or token was granted or renewed last, in milliseconds since 1970.
    pub granted_at: u64,
    /// How long it lasts from then on, in milliseconds.
    pub ttl: u64,
}

/// An answer that a listener got from Vault, and all that is needed to keep it.
#[derive(Clone, Serialize, Deserialize)]
pub struct KeptAnswer {
    /// Tells its request from others.
    pub key: [u8; 32],
    /// The path of the request, with `/v1/`.
    pub path: String,
    /// The namespace of the request.
    pub namespace: String,
    /// The token whose end would end it.
    pub token: Option<Plain>,
    /// When its lease or its token ends, in milliseconds since 1970.
    pub ends_at: u64,
    /// When it came, in milliseconds since 1970.
    pub came_at: u64,
    /// HTTP status.
    pub status: u16,
    /// Names and values.
    pub headers: Vec<(String, Plain)>,
    /// As it came.
    pub body: Plain,
}

/// A text that is wiped.
#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Plain(Zeroizing<String>);

impl Contents {
    /// The content of the file, sealed with a key that is derived from the token of the ServiceAccount.
    ///
    /// # Errors
    /// The cryptography fails.
    pub fn seal(&self, service_account: &[u8], random: &Random) -> anyhow::Result<Vec<u8>> {
        let mut plain = Zeroizing::new(Vec::new());
        serde_json::to_writer(&mut *plain, self)?;
        sealed::seal(&plain, service_account, random)
    }

    /// Opens the sealed content of the file.
    ///
    /// # Errors
    /// Says in which way the file is not such content.
    pub fn open(bytes: &[u8], service_account: &[u8]) -> anyhow::Result<Self> {
        let plain = sealed::open(bytes, service_account)?;
        let contents = serde_json::from_slice(&plain);
        // An error of serde could quote the content.
        contents.ok().context("holds what no agent has written")
    }
}

impl Plain {
    /// Copies the text.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self(Zeroizing::new(text.to_owned()))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The same as a secret.
    #[must_use]
    pub fn to_secret(&self) -> SecretText {
        SecretText::new(self.as_str().to_owned())
    }
}

impl From<Zeroizing<String>> for Plain {
    fn from(text: Zeroizing<String>) -> Self {
        Self(text)
    }
}

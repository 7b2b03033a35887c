//! How long something lasts, and what a login gives.

use std::time::Duration;

use crate::SecretText;

/// How long something lasts, counted from when it was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grant {
    ttl: Duration,
    renewable: bool,
}

impl Grant {
    /// A hundred years: no sum of such durations overflows.
    const LONGEST: Duration = Duration::from_secs(100 * 365 * 24 * 3600);

    /// A grant in Vault's words; a TTL beyond a hundred years is shortened.
    #[must_use]
    pub fn new(ttl: Duration, renewable: bool) -> Self {
        Self {
            ttl: ttl.min(Self::LONGEST),
            renewable,
        }
    }

    /// Zero in a login means for ever, in a renewal that nothing was granted.
    #[must_use]
    pub fn ttl(self) -> Duration {
        self.ttl
    }

    /// Whether it can be extended.
    #[must_use]
    pub fn is_renewable(self) -> bool {
        self.renewable
    }
}

/// A successful login.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Login {
    /// The token.
    pub token: SecretText,
    /// The accessor, which names the token without being it; empty where Vault gives none.
    pub accessor: String,
    /// How long it lasts.
    pub grant: Grant,
    /// Whether every request with it takes one of its uses.
    pub has_limited_uses: bool,
    /// The id of the request in Vault's audit log; empty where Vault gives none.
    pub request: String,
}

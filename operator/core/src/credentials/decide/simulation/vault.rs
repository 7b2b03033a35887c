//! The simulated Vault, and the record of the run's token.

use jiff::Timestamp;

use crate::credentials::life::Life;

/// The simulated Vault.
#[derive(Default)]
pub(super) struct Vault {
    pub(super) is_down: bool,
    /// The first Secret's database. While it is down its lease can be neither renewed nor revoked; when it is back
    /// Vault revokes leases that have ended.
    pub(super) is_database_down: bool,
    /// When the token ends.
    pub(super) token: Option<Timestamp>,
    pub(super) leases: Vec<VaultLease>,
}

pub(super) struct VaultLease {
    pub(super) is_of_database: bool,
    pub(super) end: Timestamp,
    pub(super) lives: bool,
}

impl VaultLease {
    pub(super) fn id(&self) -> &'static str {
        match self.is_of_database {
            true => "database/creds/readonly/1",
            false => "queue/creds/readonly/1",
        }
    }
}

impl Vault {
    /// Leases end with their token; it goes on trying to revoke those that have ended.
    pub(super) fn catch_up(&mut self, now: Timestamp) {
        if self.token.is_some_and(|end| end <= now) {
            self.end_token(now);
        }
        for lease in &mut self.leases {
            let is_stuck = lease.is_of_database && self.is_database_down;
            lease.lives &= lease.end > now || is_stuck;
        }
    }

    pub(super) fn end_token(&mut self, now: Timestamp) {
        self.token = None;
        for lease in &mut self.leases {
            lease.end = lease.end.min(now);
        }
    }
}

/// The record of a token.
pub(super) struct Record {
    pub(super) token: Life,
    /// Which of Vault's.
    pub(super) leases: Vec<(usize, Life)>,
    pub(super) unheard: usize,
}

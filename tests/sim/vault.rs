//! A model of Vault: tokens that end, leases that end with them.

mod made;

use std::collections::BTreeMap;
use std::time::Duration;

use planescape_agent_core::{Failure, Moment};
use planescape_vault::{Error, Grant, Login, Refusal, SecretText};

use planescape_tests::chance::Chance;

pub(crate) use made::{ORPHANS, is_of_us};

/// The state of Vault.
#[derive(Default)]
pub(crate) struct Vault {
    tokens: BTreeMap<String, Token>,
    leases: BTreeMap<String, Lease>,
    /// Leases whose token is revoked, and to which Vault has not come yet, by their ids.
    waiting: BTreeMap<String, Lease>,
    issued: u64,
    /// Whether all its tokens live briefly.
    is_brief: bool,
}

struct Token {
    accessor: String,
    /// The token that it ends with.
    parent: Option<String>,
    /// The token that has asked for it, if it ends with no other.
    maker: Option<String>,
    is_renewable: bool,
    life: Duration,
    granted_at: Moment,
    ends_at: Option<Moment>,
    max_at: Moment,
    /// Its role grants periods, whatever is asked for.
    is_periodic: bool,
    /// The last renewal asked for less than its role grants.
    is_shortened: bool,
}

struct Lease {
    token: String,
    ends_at: Moment,
    max_at: Moment,
    life: Duration,
}

pub(crate) fn down() -> Failure {
    Failure::Vault(Error::Unreachable {
        address: "vault:8200".to_owned(),
        message: "connection reset".to_owned(),
    })
}

pub(crate) fn nameless() -> Failure {
    Failure::Vault(Error::Unresolved {
        address: "vault:8200".to_owned(),
        message: "no such host".to_owned(),
    })
}

pub(crate) fn refused(code: u16, text: &str, wait: Option<u64>) -> Failure {
    let wait = wait.map(Duration::from_secs);
    Error::Refused(Refusal::new(code, text.to_owned(), wait)).into()
}

fn unknown() -> Failure {
    refused(
        403,
        "2 errors occurred: * permission denied * invalid token",
        None,
    )
}

impl Vault {
    pub(crate) fn new(is_brief: bool) -> Self {
        Self {
            is_brief,
            ..Self::default()
        }
    }

    pub(crate) fn log_in(&mut self, chance: &mut Chance, now: Moment) -> Login {
        self.issued += 1;
        let token = format!("hvs.{}", self.issued);
        let ttl = match self.is_brief {
            true => 5,
            false => chance.pick(&[0, 5, 60, 600, 3600]),
        };
        let life = Duration::from_secs(ttl);
        let accessor = format!("accessor-{}", self.issued);
        let is_renewable = chance.below(4) > 0;
        self.tokens.insert(
            token.clone(),
            Token {
                accessor: accessor.clone(),
                parent: None,
                maker: None,
                is_renewable,
                life,
                granted_at: now,
                ends_at: (ttl > 0).then(|| now + life),
                max_at: now + life * 3,
                is_periodic: chance.once_in(6),
                is_shortened: false,
            },
        );
        Login {
            accessor,
            token: SecretText::new(token),
            grant: Grant::new(life, is_renewable),
            has_limited_uses: chance.once_in(8),
            request: String::new(),
        }
    }

    pub(crate) fn knows(&self, token: &str, now: Moment) -> bool {
        self.tokens.get(token).is_some_and(|token| {
            let parent = token.parent.as_ref();
            token.ends_at.is_none_or(|end| end > now)
                && parent.is_none_or(|parent| self.knows(parent, now))
        })
    }

    pub(crate) fn accessor(&self, token: &str) -> Option<&str> {
        Some(&self.tokens.get(token)?.accessor)
    }

    /// Whether the token is granted a life that goes on after this moment.
    pub(crate) fn is_granted_beyond(&self, token: &str, moment: Moment) -> bool {
        let token = self.tokens.get(token);
        token.is_some_and(|token| token.ends_at.is_none_or(|end| end > moment))
    }

    /// Somebody else takes a token away; it may be any that lives.
    pub(crate) fn lose_one(&mut self, chance: &mut Chance, now: Moment) {
        let names = self.tokens.keys().filter(|name| self.knows(name, now));
        let names: Vec<String> = names.cloned().collect();
        if !names.is_empty() {
            let name = chance.pick(&names);
            self.revoke(&name);
        }
    }

    /// Vault comes to the leases when it can.
    pub(crate) fn revoke(&mut self, token: &str) {
        self.tokens.remove(token);
        self.tokens
            .retain(|_, other| other.parent.as_deref() != Some(token));
        let own = self.leases.extract_if(.., |_, lease| lease.token == token);
        self.waiting.extend(own);
    }

    /// Answered when the lease is gone.
    pub(crate) fn revoke_lease(
        &mut self,
        id: &str,
        token: &str,
        now: Moment,
    ) -> Result<(), Failure> {
        self.check(token, now)?;
        self.leases.remove(id);
        self.waiting.remove(id);
        Ok(())
    }

    /// The leases of a revoked token that have not ended since.
    pub(crate) fn outliving<'a>(
        &'a self,
        token: &'a str,
        now: Moment,
    ) -> impl Iterator<Item = &'a String> {
        let own = self.waiting.iter();
        own.filter(move |(_, lease)| lease.token == token && lease.ends_at > now)
            .map(|(id, _)| id)
    }

    /// A lease of one of these tokens that has not ended, and is none of those that are named.
    pub(crate) fn unnamed<'a>(
        &'a self,
        tokens: &[String],
        named: &[String],
        now: Moment,
    ) -> Option<&'a String> {
        let held = self.leases.iter();
        let held = held.filter(|(_, lease)| self.knows(&lease.token, now));
        let mut living = held
            .chain(&self.waiting)
            .filter(|(_, lease)| tokens.contains(&lease.token) && lease.ends_at > now);
        living.find(|(id, _)| !named.contains(id)).map(|(id, _)| id)
    }

    pub(crate) fn check(&self, token: &str, now: Moment) -> Result<(), Failure> {
        self.knows(token, now).then_some(()).ok_or_else(unknown)
    }

    pub(crate) fn renew_token(
        &mut self,
        token: &str,
        increment: Option<Duration>,
        now: Moment,
    ) -> Result<Grant, Failure> {
        self.check(token, now)?;
        let token = self.tokens.get_mut(token).unwrap();
        let usual = Duration::from_secs(600);
        let wanted = increment.filter(|_| !token.is_periodic).unwrap_or(usual);
        token.is_shortened = wanted < usual;
        let left = token.max_at.since(now).min(wanted);
        token.ends_at = token.ends_at.map(|_| now + left);
        Ok(Grant::new(Duration::from_secs(left.as_secs()), true))
    }

    /// A token that was shortened once and would outlive its holder by more than `guard`.
    pub(crate) fn outlives(&self, guard: Duration, now: Moment) -> Option<&str> {
        let mut tokens = self.tokens.iter().filter(|(_, token)| token.is_shortened);
        let found = tokens.find(|(_, token)| token.ends_at.is_none_or(|end| end > now + guard));
        found.map(|(name, _)| name.as_str())
    }

    /// The id of a new lease, and its life in seconds.
    pub(crate) fn lease(
        &mut self,
        token: &str,
        chance: &mut Chance,
        now: Moment,
    ) -> Result<(String, u64), Failure> {
        self.check(token, now)?;
        self.issued += 1;
        let id = format!("database/creds/{}", self.issued);
        let ttl = chance.pick(&[1, 3, 30, 90, 3600]);
        let life = Duration::from_secs(ttl);
        self.leases.insert(
            id.clone(),
            Lease {
                token: token.to_owned(),
                ends_at: now + life,
                max_at: now + life * 4,
                life,
            },
        );
        Ok((id, ttl))
    }

    pub(crate) fn renew_lease(
        &mut self,
        id: &str,
        token: &str,
        now: Moment,
    ) -> Result<Grant, Failure> {
        self.check(token, now)?;
        let lease = self.leases.get_mut(id).filter(|lease| lease.ends_at > now);
        let lease = lease.ok_or_else(|| refused(400, "lease not found", None))?;
        let left = lease.max_at.since(now).min(lease.life);
        lease.ends_at = now + left;
        Ok(Grant::new(Duration::from_secs(left.as_secs()), true))
    }

    /// When a lease, or a token that a file holds, ended by itself; `None` while it lives, or where it went with its token.
    pub(crate) fn ended_at(&self, held: &str, now: Moment) -> Option<Moment> {
        let end = match self.leases.get(held) {
            Some(lease) => lease.ends_at,
            None => self.tokens.get(held)?.ends_at?,
        };
        (end <= now).then_some(end)
    }
}

/// The model answers what it is asked.
#[test]
fn a_revoked_token_takes_its_leases_along() {
    let mut vault = Vault::default();
    let mut chance = Chance::new(1);
    let now = Moment::since_boot(Duration::from_secs(1));
    let login = vault.log_in(&mut chance, now);
    let (lease, _) = vault.lease(login.token.expose(), &mut chance, now).unwrap();

    vault.revoke(login.token.expose());

    assert!(!vault.knows(login.token.expose(), now));
    assert!(vault.renew_lease(&lease, "other", now).is_err());
}

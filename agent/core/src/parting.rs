//! The leases of an agent on its way out. Vault answers the revocation of a token before it comes to the leases, so
//! that each is revoked by its own id first. The agent does not claim that a lease is gone if it may not revoke it so.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use planescape_agent_contract::digest;

use crate::clock::Moment;
use crate::command::{Command, Notice};
use crate::failure::Failure;
use crate::secrets::Leased;
use crate::token::Token;

/// How long all of them may take: a database that does not answer must not keep the token alive.
const LIMIT: Duration = Duration::from_secs(3);
/// How many are revoked at once.
const AT_ONCE: usize = 8;

/// The leases that are parted with.
#[derive(Debug)]
pub(crate) struct Parting {
    due: VecDeque<String>,
    asked: BTreeSet<String>,
    /// Vault has not said that these are gone.
    open: Vec<String>,
    /// Whether Vault has revoked one: the policy lets us.
    is_allowed: bool,
    is_given_up: bool,
    trouble: Option<String>,
    until: Moment,
    /// How many there may be beside these.
    pub(crate) unheard: usize,
}

impl Parting {
    pub(crate) fn new(leases: Leased, now: Moment) -> Self {
        Self {
            due: leases.ids.into_iter().collect(),
            asked: BTreeSet::new(),
            open: Vec::new(),
            is_allowed: false,
            is_given_up: false,
            trouble: None,
            until: now + LIMIT,
            unheard: leases.unheard,
        }
    }

    /// The commands that are due; one alone at first, since a policy that denies one denies all.
    pub(crate) fn advance(&mut self, token: &Token, now: Moment) -> Vec<Command> {
        if self.is_over(now) {
            return Vec::new();
        }
        let limit = if self.is_allowed { AT_ONCE } else { 1 };
        let free = limit.saturating_sub(self.asked.len());
        let next = self.due.drain(..free.min(self.due.len()));
        let next: Vec<String> = next.collect();
        self.asked.extend(next.iter().cloned());
        let commands = next.into_iter().map(|lease_id| Command::RevokeLease {
            lease_id,
            token: token.secret.clone(),
        });
        commands.collect()
    }

    /// Whether nothing more is to be expected.
    pub(crate) fn is_over(&self, now: Moment) -> bool {
        let is_empty = self.due.is_empty() && self.asked.is_empty();
        is_empty || self.is_given_up || now >= self.until
    }

    pub(crate) fn timeout(&self) -> Moment {
        self.until
    }

    /// Takes in Vault's answer about a lease. A policy that does not let us ask is no trouble.
    pub(crate) fn revoked(&mut self, id: &str, result: Result<(), Failure>) -> Option<Notice> {
        if !self.asked.remove(id) {
            return None;
        }
        let Err(failure) = result else {
            self.is_allowed = true;
            return None;
        };
        self.open.push(id.to_owned());
        match failure.status() {
            // Vault has tried.
            Some(400 | 500) => {
                self.is_allowed = true;
                let lease = digest(id);
                self.trouble
                    .get_or_insert_with(|| format!("cannot revoke lease {lease}: {failure}"));
                Some(Notice::LeaseNotRevoked { lease, failure })
            }
            Some(403) => {
                self.is_given_up = true;
                None
            }
            Some(_) | None => {
                self.is_given_up = true;
                let lease = digest(id);
                Some(Notice::LeaseNotRevoked { lease, failure })
            }
        }
    }

    /// The ids of the leases that may live: Vault has not said that they are gone.
    pub(crate) fn open(&self) -> Vec<String> {
        let waiting = self.asked.iter().chain(&self.due);
        self.open.iter().chain(waiting).cloned().collect()
    }

    /// Why Vault could not revoke one.
    pub(crate) fn trouble(&self) -> Option<&str> {
        self.trouble.as_deref()
    }
}

#[cfg(test)]
mod tests {
    use planescape_vault::{Error, Refusal, SecretText};

    use super::*;
    use crate::token::TokenId;

    #[test]
    fn one_lease_alone_is_tried_first_and_eight_at_once_after_it() {
        let mut parting = of(20);

        assert_eq!(asked(&mut parting), ["01"]);
        assert_eq!(asked(&mut parting), [""; 0], "its answer is awaited");
        parting.revoked("01", Ok(()));
        let next = asked(&mut parting);
        assert_eq!(next.len(), AT_ONCE, "{next:?}");
        assert_eq!(asked(&mut parting), [""; 0]);
        parting.revoked("05", Ok(()));

        assert_eq!(asked(&mut parting), ["10"]);
        assert!(!parting.is_over(at(0)));
        assert_eq!(parting.open().len(), 18);
    }

    #[test]
    fn what_vault_says_of_one_lease_holds_for_the_others() {
        for (answer, goes_on, is_told, is_trouble) in [
            (Ok(()), true, false, false),
            (Err(refused(400)), true, true, true),
            (Err(refused(500)), true, true, true),
            (Err(refused(403)), false, false, false),
            (Err(refused(503)), false, true, false),
            (Err(silent()), false, true, false),
        ] {
            let mut parting = of(3);
            asked(&mut parting);
            let is_open = answer.is_err();

            let told = parting.revoked("01", answer.clone());

            assert_eq!(!parting.is_over(at(0)), goes_on, "{answer:?}");
            assert_eq!(asked(&mut parting).is_empty(), !goes_on, "{answer:?}");
            assert_eq!(told.is_some(), is_told, "{answer:?}");
            assert_eq!(parting.trouble().is_some(), is_trouble, "{answer:?}");
            assert_eq!(parting.open().contains(&"01".to_owned()), is_open);
        }
    }

    #[test]
    fn leases_are_parted_with_for_three_seconds_at_most() {
        let mut parting = of(1);
        asked(&mut parting);

        assert_eq!(parting.timeout(), at(3));
        assert!(!parting.is_over(at(2)));
        assert!(parting.is_over(at(3)));
    }

    /// As many leases, which are called by their numbers.
    fn of(count: usize) -> Parting {
        let leases = Leased {
            ids: (1..=count).map(|number| format!("{number:02}")).collect(),
            unheard: 0,
        };
        Parting::new(leases, at(0))
    }

    /// The leases whose revocation is due.
    fn asked(parting: &mut Parting) -> Vec<String> {
        let token = Token {
            id: TokenId(1),
            secret: SecretText::new("t1".to_owned()),
            namespace: None,
        };
        let commands = parting.advance(&token, at(0)).into_iter();
        let ids = commands.map(|command| {
            let Command::RevokeLease { lease_id, .. } = command else {
                panic!("{command:?}");
            };
            lease_id
        });
        ids.collect()
    }

    fn refused(status: u16) -> Failure {
        Error::Refused(Refusal::new(status, "no".to_owned(), None)).into()
    }

    fn silent() -> Failure {
        Failure::Vault(Error::Silent {
            address: "vault:8200".to_owned(),
        })
    }

    fn at(seconds: u64) -> Moment {
        Moment::since_boot(Duration::from_secs(seconds))
    }
}

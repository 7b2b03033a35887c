//! A model of Vault's tokens and leases: what hangs on what, and what ended it.

use std::collections::BTreeMap;
use std::time::Duration;

use planescape_agent_core::{Failure, Moment, Revocation};
use planescape_vault::Grant;

use crate::vault::refused;

/// The agent's own token is renewed by somebody else.
const OWN_LIFE: Duration = Duration::from_secs(1_000_000);

/// How often a life may be granted anew.
const MOST_LIVES: u32 = 4;

/// The lease or the token in an answer.
#[derive(Clone, Debug)]
pub(crate) enum Given {
    Lease {
        id: String,
    },
    Token {
        name: String,
        accessor: String,
        is_orphan: bool,
    },
}

impl Given {
    pub(crate) fn name(&self) -> &str {
        match self {
            Self::Lease { id } => id,
            Self::Token { name, .. } => name,
        }
    }
}

#[derive(Default)]
pub(crate) struct Tree {
    tokens: BTreeMap<String, Token>,
    leases: BTreeMap<String, Lease>,
    /// The revocation that took each lease or token away.
    ended_by: BTreeMap<String, usize>,
    issued: usize,
}

struct Token {
    parent: Option<String>,
    accessor: String,
    /// The path that made it, and its namespace.
    made_by: (String, String),
    life: Life,
}

struct Lease {
    token: String,
    namespace: String,
    life: Life,
}

struct Life {
    each: Duration,
    ends_at: Moment,
    max_at: Moment,
}

impl Life {
    fn new(each: Duration, now: Moment) -> Self {
        Self {
            each,
            ends_at: now + each,
            max_at: now + each * MOST_LIVES,
        }
    }

    /// In whole seconds, as Vault counts.
    fn renew(&mut self, now: Moment) -> Grant {
        let left = self.max_at.since(now).min(self.each);
        self.ends_at = now + left;
        Grant::new(Duration::from_secs(left.as_secs()), true)
    }
}

impl Tree {
    fn number(&mut self) -> usize {
        self.issued += 1;
        self.issued
    }

    /// A token of the agent.
    pub(crate) fn log_in(&mut self, now: Moment) -> String {
        let given = self.create(None, ("", ""), OWN_LIFE, now);
        given.map_or_else(String::new, |it| it.name().to_owned())
    }

    /// A token, of a parent or of nobody; nothing where the parent is gone.
    pub(crate) fn create(
        &mut self,
        parent: Option<&str>,
        (path, namespace): (&str, &str),
        life: Duration,
        now: Moment,
    ) -> Option<Given> {
        if parent.is_some_and(|parent| !self.has_token(parent, now)) {
            return None;
        }
        let number = self.number();
        let (name, accessor) = (format!("hvs.{number}"), format!("accessor-{number}"));
        let token = Token {
            parent: parent.map(str::to_owned),
            accessor: accessor.clone(),
            made_by: (format!("{path}/"), namespace.to_owned()),
            life: Life::new(life, now),
        };
        self.tokens.insert(name.clone(), token);
        Some(Given::Token {
            name,
            accessor,
            is_orphan: parent.is_none(),
        })
    }

    /// A lease under a token, if that lives.
    pub(crate) fn lease(
        &mut self,
        token: &str,
        (path, namespace): (&str, &str),
        life: Duration,
        now: Moment,
    ) -> Option<Given> {
        if !self.has_token(token, now) {
            return None;
        }
        let id = format!("{path}/{}", self.number());
        let lease = Lease {
            token: token.to_owned(),
            namespace: namespace.to_owned(),
            life: Life::new(life, now),
        };
        self.leases.insert(id.clone(), lease);
        Some(Given::Lease { id })
    }

    /// Whether what was given lives.
    pub(crate) fn has(&self, name: &str, now: Moment) -> bool {
        match self.leases.get(name) {
            Some(lease) => lease.life.ends_at > now && self.has_token(&lease.token, now),
            None => self.has_token(name, now),
        }
    }

    pub(crate) fn has_token(&self, name: &str, now: Moment) -> bool {
        self.tokens.get(name).is_some_and(|token| {
            let parent = token.parent.as_ref();
            token.life.ends_at > now && parent.is_none_or(|parent| self.has_token(parent, now))
        })
    }

    pub(crate) fn accessor(&self, token: &str) -> Option<&str> {
        Some(&self.tokens.get(token)?.accessor)
    }

    pub(crate) fn ended_by(&self, name: &str) -> Option<usize> {
        self.ended_by.get(name).copied()
    }

    pub(crate) fn renew(&mut self, name: &str, now: Moment) -> Result<Grant, Failure> {
        if !self.has(name, now) {
            return Err(refused(400, "lease not found", None));
        }
        let lease = self.leases.get_mut(name).map(|lease| &mut lease.life);
        let token = self.tokens.get_mut(name).map(|token| &mut token.life);
        Ok(lease.or(token).unwrap().renew(now))
    }

    /// Does what a client asks for; the numbers tell revocations apart.
    pub(crate) fn revoke(&mut self, revocation: &Revocation, number: usize) {
        match revocation {
            Revocation::Token(token) => self.take_token(token.expose(), number),
            Revocation::Accessor(accessor) => {
                let mut tokens = self.tokens.iter();
                let found = tokens.find(|(_, token)| token.accessor == *accessor);
                if let Some(name) = found.map(|(name, _)| name.clone()) {
                    self.take_token(&name, number);
                }
            }
            Revocation::TokenAlone(token) => {
                for child in self.tokens.values_mut() {
                    if child.parent.as_deref() == Some(token.expose()) {
                        child.parent = None;
                    }
                }
                self.take_token(token.expose(), number);
            }
            Revocation::Lease(id) => self.take_leases(number, |other, _| other == id),
            Revocation::Leases { prefix, namespace } => {
                let below = format!("{prefix}/");
                self.take_leases(number, |id, lease| {
                    id.starts_with(&below) && lease.namespace == *namespace
                });
                let tokens = self.tokens.iter().filter(|(_, token)| {
                    token.made_by.0.starts_with(&below) && token.made_by.1 == *namespace
                });
                let tokens: Vec<String> = tokens.map(|(name, _)| name.clone()).collect();
                for name in tokens {
                    self.take_token(&name, number);
                }
            }
            // These concern the agent's cache alone.
            Revocation::Path { .. } | Revocation::All => {}
        }
    }

    /// Takes a token away with its leases and the tokens that it made.
    pub(crate) fn take_token(&mut self, name: &str, number: usize) {
        if self.tokens.remove(name).is_none() {
            return;
        }
        self.ended_by.insert(name.to_owned(), number);
        self.take_leases(number, |_, lease| lease.token == name);
        let children = self.tokens.iter();
        let children = children.filter(|(_, token)| token.parent.as_deref() == Some(name));
        let children: Vec<String> = children.map(|(child, _)| child.clone()).collect();
        for child in children {
            self.take_token(&child, number);
        }
    }

    fn take_leases(&mut self, number: usize, is_meant: impl Fn(&str, &Lease) -> bool) {
        let taken = self.leases.extract_if(.., |id, lease| is_meant(id, lease));
        self.ended_by.extend(taken.map(|(id, _)| (id, number)));
    }
}

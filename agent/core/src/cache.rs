//! Decides which of Vault's answers the proxy keeps, and for how long: policy only, the answers
//! themselves are somebody else's.
//!
//! An answer is kept where it carries a lease or a token that can be renewed, and where its end would
//! be noticed: the token that asked is one of ours, or the new token has no parent. The leases of a
//! token go with it.

mod revocation;

use std::collections::{BTreeMap, VecDeque};

use planescape_vault::{Grant, SecretText, mount};

use crate::backoff::Backoff;
use crate::clock::Moment;
use crate::dice::Dice;
use crate::failure::Failure;
use crate::lease::{Lease, Step};
use crate::token::{Ticket, TokenId, leased_in, made_in};

pub use revocation::Revocation;

/// The identity of a request: equal requests have the same key.
pub type Key = [u8; 32];

/// How many revocations are remembered for answers that are still on their way.
const REMEMBERED: usize = 128;

/// Answers by their requests.
#[derive(Debug)]
pub struct Cache<T> {
    entries: BTreeMap<Key, Entry<T>>,
    /// The agent's own token.
    own: Option<SecretText>,
    own_accessor: Option<String>,
    /// The latest revocations, and when they were: an answer may come after one although it was given before.
    revoked: VecDeque<(Moment, Revocation)>,
    /// How many answers were kept so far.
    put: u64,
    dice: Dice,
}

#[derive(Debug)]
struct Entry<T> {
    answer: T,
    path: String,
    namespace: String,
    holds: Holds,
    lease: Option<Lease>,
    backoff: Backoff,
    is_renewing: bool,
    /// Its number among all answers that were kept.
    number: u64,
}

/// The lease or the token in a kept answer.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Holds {
    Lease {
        id: String,
        /// The token that leased it.
        token: SecretText,
    },
    Token {
        token: SecretText,
        accessor: String,
        parent: Option<SecretText>,
    },
}

/// A request, as far as it matters here.
#[derive(Clone, Debug)]
pub struct Asked {
    /// Its identity.
    pub key: Key,
    /// Its path, with `/v1/`.
    pub path: String,
    /// Its namespace with a slash at its end; `root/` where there is none.
    pub namespace: String,
    /// The token that it carries.
    pub token: Option<SecretText>,
    /// When it was sent.
    pub sent: Moment,
}

/// The lease or the token that an answer carries.
#[derive(Clone, Debug)]
pub enum Carried {
    /// A lease.
    Lease {
        /// Its id.
        id: String,
        /// How long it lasts.
        grant: Grant,
    },
    /// A token.
    Token {
        /// The token.
        token: SecretText,
        /// Its accessor.
        accessor: String,
        /// Whether it lives on without the token that made it.
        is_orphan: bool,
        /// How long it lasts.
        grant: Grant,
    },
}

/// A kept answer, and all that it takes to keep it after this life.
#[derive(Debug)]
pub struct Held<'a, T> {
    /// The request's identity.
    pub key: Key,
    /// The request's path, with `/v1/`.
    pub path: &'a str,
    /// The request's namespace.
    pub namespace: &'a str,
    /// The token whose end would end it.
    pub token: Option<&'a SecretText>,
    /// When the lease or the token in it ends.
    pub ends_at: Moment,
    /// The answer.
    pub answer: &'a T,
}

/// The kept answer that is renewed: another one may come in its place before the renewal is answered.
#[derive(Clone, Copy, Debug)]
pub struct RenewalOf {
    key: Key,
    number: u64,
}

/// Something to be renewed.
#[derive(Debug)]
pub struct Renewal {
    /// To be handed back.
    pub of: RenewalOf,
    /// The namespace.
    pub namespace: String,
    /// The token that is renewed, or whose lease is.
    pub token: SecretText,
    /// The id of the lease, where one is renewed.
    pub lease: Option<String>,
    /// The engine behind Vault that has to answer; empty where Vault alone does.
    pub engine: String,
}

impl<T> Cache<T> {
    /// An empty cache. The seed is any number; different in each process.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self {
            entries: BTreeMap::new(),
            own: None,
            own_accessor: None,
            revoked: VecDeque::new(),
            put: 0,
            dice: Dice::new(seed),
        }
    }

    /// The agent has another token; the leases of the one before are not renewed any more.
    pub fn set_own(&mut self, token: SecretText, accessor: Option<String>) {
        self.own_accessor = accessor;
        if self.own.as_ref() == Some(&token) {
            return;
        }
        if let Some(old) = self.own.replace(token) {
            self.evict_token(&old);
        }
    }

    /// The answer to a request, if it is kept and the lease or the token in it lives.
    #[must_use]
    pub fn get(&self, key: &Key, now: Moment) -> Option<&T> {
        let entry = self.entries.get(key)?;
        let lease = entry.lease.as_ref();
        let lives = lease.is_none_or(|lease| lease.ends_at() > now);
        lives.then_some(&entry.answer)
    }

    /// Whether an answer would be kept.
    #[must_use]
    pub fn keeps(&self, asked: &Asked, carried: &Carried) -> bool {
        let is_known = asked.token.as_ref().is_some_and(|token| self.knows(token));
        match carried {
            Carried::Lease { id, grant } => grant.is_renewable() && !id.is_empty() && is_known,
            Carried::Token {
                is_orphan, grant, ..
            } => grant.is_renewable() && (*is_orphan || is_known),
        }
    }

    /// Keeps an answer, if it is one to keep and its lease or token was not revoked meanwhile; says whether it is kept.
    pub fn put(&mut self, asked: Asked, carried: Carried, answer: T, now: Moment) -> bool {
        if !self.keeps(&asked, &carried) {
            return false;
        }
        let ticket = Ticket {
            token: TokenId::NONE,
            sent: asked.sent,
        };
        let (holds, grant) = match carried {
            Carried::Lease { id, grant } => {
                let Some(token) = asked.token else {
                    return false;
                };
                (Holds::Lease { id, token }, grant)
            }
            Carried::Token {
                token,
                accessor,
                is_orphan,
                grant,
            } => {
                let parent = asked.token.filter(|_| !is_orphan);
                let holds = Holds::Token {
                    token,
                    accessor,
                    parent,
                };
                (holds, grant)
            }
        };
        if self.is_revoked(&asked.path, &asked.namespace, &holds, asked.sent) {
            return false;
        }
        // The end of a token in the former answer would not be noticed any more.
        self.evict(&asked.key);
        self.put += 1;
        let entry = Entry {
            answer,
            number: self.put,
            path: asked.path,
            namespace: asked.namespace,
            holds,
            lease: Lease::new(grant, ticket, &mut self.dice, now),
            backoff: Backoff::request(),
            is_renewing: false,
        };
        self.entries.insert(asked.key, entry);
        true
    }

    /// The renewals that are due. Answers that have come to their end go.
    pub fn take_due(&mut self, now: Moment) -> Vec<Renewal> {
        let mut due = Vec::new();
        let mut ended = Vec::new();
        for (key, entry) in &mut self.entries {
            let Some(lease) = &mut entry.lease else {
                continue;
            };
            if lease.ends_at() <= now {
                ended.push(*key);
                continue;
            }
            if entry.is_renewing || lease.act_at() > now {
                continue;
            }
            match lease.next_step() {
                Step::Replace => ended.push(*key),
                Step::Renew => {
                    lease.renewal_asked();
                    entry.is_renewing = true;
                    due.push(entry.renewal(*key));
                }
            }
        }
        for key in ended {
            self.evict(&key);
        }
        due
    }

    /// Takes a renewal in.
    pub fn renewed(
        &mut self,
        of: RenewalOf,
        result: Result<Grant, Failure>,
        sent: Moment,
        now: Moment,
    ) {
        let entry = self.entries.get_mut(&of.key);
        let Some(entry) = entry.filter(|entry| entry.number == of.number) else {
            return;
        };
        entry.is_renewing = false;
        let Some(lease) = &mut entry.lease else {
            return;
        };
        match result {
            Ok(grant) => {
                let ticket = Ticket {
                    token: TokenId::NONE,
                    sent,
                };
                entry.backoff.succeed();
                lease.renewed(grant, ticket, &mut self.dice, now);
            }
            Err(failure) => {
                let wait = entry.backoff.fail(&mut self.dice);
                lease.renewal_failed(&failure, wait, now);
            }
        }
    }

    /// When [`Self::take_due`] has something to do.
    #[must_use]
    pub fn timeout(&self) -> Option<Moment> {
        let leases = self.entries.values().filter_map(|entry| {
            let lease = entry.lease.as_ref()?;
            Some(match entry.is_renewing {
                true => lease.ends_at(),
                false => lease.act_at().min(lease.ends_at()),
            })
        });
        leases.min()
    }

    /// The answers that end one day, and what it takes to [`Self::put`] them again.
    pub fn held(&self) -> impl Iterator<Item = Held<'_, T>> {
        self.entries.iter().filter_map(|(key, entry)| {
            Some(Held {
                key: *key,
                path: &entry.path,
                namespace: &entry.namespace,
                token: match &entry.holds {
                    Holds::Lease { token, .. } => Some(token),
                    Holds::Token { parent, .. } => parent.as_ref(),
                },
                ends_at: entry.lease.as_ref()?.ends_at(),
                answer: &entry.answer,
            })
        })
    }

    /// How many answers are kept.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether none is.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Whether the end of this token would be noticed.
    fn knows(&self, token: &SecretText) -> bool {
        self.own.as_ref() == Some(token)
            || self.entries.values().any(|entry| match &entry.holds {
                Holds::Token { token: held, .. } => held == token,
                Holds::Lease { .. } => false,
            })
    }

    /// Removes an entry, and with a token all that hangs on it.
    fn evict(&mut self, key: &Key) {
        let Some(entry) = self.entries.remove(key) else {
            return;
        };
        if let Holds::Token { token, .. } = entry.holds {
            self.evict_token(&token);
        }
    }

    /// Removes a token's own entry, its leases and the tokens that it made.
    fn evict_token(&mut self, token: &SecretText) {
        let hanging = self.entries.iter().filter(|(_, entry)| match &entry.holds {
            Holds::Lease { token: by, .. } => by == token,
            Holds::Token {
                token: held,
                parent,
                ..
            } => held == token || parent.as_ref() == Some(token),
        });
        let hanging: Vec<Key> = hanging.map(|(key, _)| *key).collect();
        for key in hanging {
            self.evict(&key);
        }
    }
}

impl<T> Entry<T> {
    fn renewal(&self, key: Key) -> Renewal {
        let (token, lease) = match &self.holds {
            Holds::Lease { id, token } => (token, Some(id.clone())),
            Holds::Token { token, .. } => (token, None),
        };
        let namespace = place(&self.path, &self.namespace, &self.holds);
        let engine = lease.as_deref().map(engine_of);
        let engine = engine.map(|engine| [namespace.as_str(), engine].concat());
        Renewal {
            of: RenewalOf {
                key,
                number: self.number,
            },
            namespace,
            token: token.clone(),
            lease,
            engine: engine.unwrap_or_default(),
        }
    }
}

/// The namespace of what an answer holds: the path may name one below that of the request.
fn place(path: &str, namespace: &str, holds: &Holds) -> String {
    let path = path.strip_prefix("/v1/").unwrap_or(path);
    let outer = Some(namespace).filter(|namespace| *namespace != "root/");
    let named = match holds {
        Holds::Lease { id, .. } => leased_in(path, id, outer),
        Holds::Token { .. } => made_in(path, outer),
    };
    named.unwrap_or_else(|| namespace.to_owned())
}

/// The engine that answers for a lease; without a role in the id, the first segment of it.
fn engine_of(lease: &str) -> &str {
    match mount::engine_of(lease) {
        "" => lease.split('/').next().unwrap_or_default(),
        engine => engine,
    }
}

#[cfg(test)]
mod tests;

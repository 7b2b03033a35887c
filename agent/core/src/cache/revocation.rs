//! Answers go when somebody revokes their lease or token, or asks for them to go.

use planescape_vault::SecretText;

use super::{Cache, Holds, Key, REMEMBERED, place};
use crate::clock::Moment;

/// Something that is gone in Vault, or is to be forgotten here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Revocation {
    /// A token with all that hangs on it.
    Token(SecretText),
    /// The same, by its accessor.
    Accessor(String),
    /// A token with its leases; the tokens that it made live on.
    TokenAlone(SecretText),
    /// A lease.
    Lease(String),
    /// All leases whose ids start so, in this namespace, and all tokens that were made below that path.
    Leases {
        /// The start, of whole segments as Vault takes it.
        prefix: String,
        /// The namespace.
        namespace: String,
    },
    /// All answers to requests whose paths start so, in this namespace.
    Path {
        /// The start, with `/v1/`.
        prefix: String,
        /// The namespace.
        namespace: String,
    },
    /// Everything.
    All,
}

impl Revocation {
    /// The same if Vault may not have done it: the tokens that a token made may hang on it still.
    #[must_use]
    pub fn unsure(self) -> Self {
        if let Self::TokenAlone(token) = self {
            return Self::Token(token);
        }
        self
    }

    /// Whether it ends the lease or the token in an answer, whatever hangs on that.
    fn ends(&self, path: &str, in_namespace: &str, holds: &Holds) -> bool {
        match (self, holds) {
            (Self::Token(token) | Self::TokenAlone(token), Holds::Lease { token: by, .. }) => {
                by == token
            }
            (
                Self::Token(token),
                Holds::Token {
                    token: held,
                    parent,
                    ..
                },
            ) => held == token || parent.as_ref() == Some(token),
            (Self::TokenAlone(token), Holds::Token { token: held, .. }) => held == token,
            (Self::Accessor(accessor), Holds::Token { accessor: held, .. }) => held == accessor,
            (Self::Lease(id), Holds::Lease { id: held, .. }) => held == id,
            (Self::Leases { prefix, namespace }, Holds::Lease { id, .. }) => {
                is_below(id, prefix) && place(path, in_namespace, holds) == *namespace
            }
            // Vault leases tokens, too, under the path that made them.
            (Self::Leases { prefix, namespace }, Holds::Token { .. }) => {
                let path = whole(path, in_namespace);
                let path = path.strip_prefix(outer(namespace));
                path.is_some_and(|path| is_below(path, prefix))
            }
            (Self::Path { prefix, namespace }, _) => {
                path.starts_with(prefix.as_str()) && in_namespace == namespace
            }
            (Self::All, _) => true,
            (Self::Accessor(_), Holds::Lease { .. }) | (Self::Lease(_), Holds::Token { .. }) => {
                false
            }
        }
    }
}

impl<T> Cache<T> {
    /// Forgets what is gone, and remembers that for the answers that are on their way.
    pub fn revoke(&mut self, revocation: Revocation, now: Moment) {
        let revocation = match (revocation, &self.own) {
            // Kept answers name the agent's token, and never its accessor.
            (Revocation::Accessor(accessor), Some(own))
                if self.own_accessor.as_ref() == Some(&accessor) =>
            {
                Revocation::Token(own.clone())
            }
            (other, _) => other,
        };
        if let Revocation::TokenAlone(token) = &revocation {
            self.let_children_go(token);
        }
        self.evict_where(|path, namespace, holds| revocation.ends(path, namespace, holds));
        self.revoked.push_back((now, revocation));
        if self.revoked.len() > REMEMBERED {
            self.revoked.pop_front();
        }
    }

    /// Whether this was revoked after the request was sent whose answer holds it.
    pub(super) fn is_revoked(
        &self,
        path: &str,
        namespace: &str,
        holds: &Holds,
        sent: Moment,
    ) -> bool {
        let since = self.revoked.iter().filter(|(at, _)| *at >= sent);
        let mut since = since.map(|(_, revocation)| revocation);
        since.any(|revocation| revocation.ends(path, namespace, holds))
    }

    fn let_children_go(&mut self, token: &SecretText) {
        for entry in self.entries.values_mut() {
            if let Holds::Token { parent, .. } = &mut entry.holds
                && parent.as_ref() == Some(token)
            {
                *parent = None;
            }
        }
    }

    fn evict_where(&mut self, is_meant: impl Fn(&str, &str, &Holds) -> bool) {
        let meant = self.entries.iter();
        let meant =
            meant.filter(|(_, entry)| is_meant(&entry.path, &entry.namespace, &entry.holds));
        let meant: Vec<Key> = meant.map(|(key, _)| *key).collect();
        for key in meant {
            self.evict(&key);
        }
    }
}

/// A namespace as a path begins with it.
fn outer(namespace: &str) -> &str {
    namespace.strip_prefix("root/").unwrap_or(namespace)
}

/// A path behind its namespaces, whether the request named them apart or in its path.
fn whole(path: &str, in_namespace: &str) -> String {
    [
        outer(in_namespace),
        path.strip_prefix("/v1/").unwrap_or(path),
    ]
    .concat()
}

fn is_below(id: &str, prefix: &str) -> bool {
    let prefix = prefix.trim_end_matches('/');
    let rest = id.strip_prefix(prefix);
    rest.is_some_and(|rest| rest.is_empty() || prefix.is_empty() || rest.starts_with('/'))
}

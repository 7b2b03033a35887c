//! What goes because somebody revoked it, or asked for it to go.

use planescape_vault::SecretText;

use super::{Cache, Holds, Key};

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
    /// All leases whose ids start so, in this namespace.
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

impl<T> Cache<T> {
    /// Forgets what is gone.
    pub fn revoke(&mut self, revocation: &Revocation) {
        match revocation {
            Revocation::Token(token) => self.evict_token(token),
            Revocation::Accessor(accessor) => {
                let token = self.entries.values().find_map(|entry| match &entry.holds {
                    Holds::Token {
                        token,
                        accessor: held,
                        ..
                    } if held == accessor => Some(token.clone()),
                    Holds::Token { .. } | Holds::Lease { .. } => None,
                });
                if let Some(token) = token {
                    self.evict_token(&token);
                }
            }
            Revocation::TokenAlone(token) => {
                self.let_children_go(token);
                self.evict_token(token);
            }
            Revocation::Lease(id) => self.evict_where(|_, _, holds| match holds {
                Holds::Lease { id: held, .. } => held == id,
                Holds::Token { .. } => false,
            }),
            Revocation::Leases { prefix, namespace } => {
                self.evict_where(|_, in_namespace, holds| match holds {
                    Holds::Lease { id, .. } => is_below(id, prefix) && in_namespace == namespace,
                    Holds::Token { .. } => false,
                });
            }
            Revocation::Path { prefix, namespace } => {
                self.evict_where(|path, in_namespace, _| {
                    path.starts_with(prefix.as_str()) && in_namespace == namespace
                });
            }
            Revocation::All => self.entries.clear(),
        }
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

fn is_below(id: &str, prefix: &str) -> bool {
    let prefix = prefix.trim_end_matches('/');
    let rest = id.strip_prefix(prefix);
    rest.is_some_and(|rest| rest.is_empty() || prefix.is_empty() || rest.starts_with('/'))
}

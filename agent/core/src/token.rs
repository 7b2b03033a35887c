//! Tells tokens apart, so that no answer is taken for one about another token.

use planescape_vault::SecretText;
use planescape_vault::path::before_auth;

use crate::clock::Moment;

/// One login of this life of the agent; a later login has a higher number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TokenId(pub(crate) u64);

impl TokenId {
    /// The number of no login: the request does not carry the agent's own token.
    pub(crate) const NONE: Self = Self(0);
}

/// A token and its number.
#[derive(Clone, Debug)]
pub struct Token {
    /// Its number.
    pub id: TokenId,
    /// The token itself.
    pub secret: SecretText,
    /// Its namespace, if the path of the template that made it names one; otherwise it is in that of logins or reads.
    pub namespace: Option<String>,
}

/// The namespace of what a template makes with this path, if the path names it. It lies below that of all reads.
#[must_use]
pub fn made_in(path: &str, reads: Option<&str>) -> Option<String> {
    let named = before_auth(path)?;
    Some([reads.unwrap_or_default(), named].concat())
}

/// The same of a lease: its id begins with the path of its read, without the namespace.
pub(crate) fn leased_in(path: &str, lease_id: &str, reads: Option<&str>) -> Option<String> {
    let (read, _) = lease_id.rsplit_once('/')?;
    let named = path.trim_matches('/').strip_suffix(read)?;
    named
        .ends_with('/')
        .then(|| [reads.unwrap_or_default(), named].concat())
}

/// The token that asked Vault, and when; the shell hands it back with the answer. A grant
/// counts from the moment of the question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ticket {
    /// The token of the request; of a login, the one that it is to bring.
    pub token: TokenId,
    /// When it was sent.
    pub sent: Moment,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_is_in_the_namespace_that_stands_before_its_id_in_the_path_of_its_read() {
        for (path, lease_id, reads, place) in [
            ("database/creds/ro", "database/creds/ro/1", None, None),
            ("/database/creds/ro", "database/creds/ro/1", None, None),
            ("team/db/creds/ro", "team/db/creds/ro/1", Some("a/"), None),
            ("team/db/creds/ro", "db/creds/ro/1.n", None, Some("team/")),
            (
                "/team/unit/db/creds/ro",
                "db/creds/ro/1.n",
                Some("a/"),
                Some("a/team/unit/"),
            ),
            // The id does not begin at a whole name.
            ("teamdb/creds/ro", "db/creds/ro/1", None, None),
            ("team/db/creds/ro", "other/creds/ro/1", None, None),
            ("team/db/creds/ro", "", None, None),
        ] {
            let found = leased_in(path, lease_id, reads);

            assert_eq!(found.as_deref(), place, "{path} {lease_id}");
        }
    }
}

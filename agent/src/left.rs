//! The tokens and leases that earlier lives have left to be revoked.

use std::io;
use std::time::SystemTime;

use planescape_agent_core::{LeftLeases, LeftToken};
use planescape_vault::SecretText;

use crate::persist::Persistent;

/// All of them.
#[derive(Default)]
pub(crate) struct Left {
    pub(crate) tokens: Vec<LeftToken>,
    /// Tokens that templates have made and that no other one ends.
    pub(crate) orphans: Vec<LeftToken>,
    /// The leases of these tokens, if they were named.
    pub(crate) leases: Option<LeftLeases>,
    /// Whether there may be other tokens, because the ledger or the persistent cache could not be read or written.
    pub(crate) is_unread: bool,
    /// Why the ledger could not be read.
    pub(crate) trouble: Option<io::Error>,
}

impl Left {
    /// The tokens in the ledger, and the leases that are named beside it.
    pub(crate) fn of_ledger(
        tokens: io::Result<Vec<LeftToken>>,
        misses_tokens: bool,
        leases: Option<LeftLeases>,
    ) -> Self {
        let (tokens, trouble) = match tokens {
            Ok(tokens) => (tokens, None),
            Err(error) => (Vec::new(), Some(error)),
        };
        Self {
            is_unread: misses_tokens || trouble.is_some(),
            tokens,
            orphans: Vec::new(),
            leases,
            trouble,
        }
    }

    /// The accessors of its tokens; `None` if there may be other tokens.
    pub(crate) fn accessors(&self) -> Option<Vec<String>> {
        let accessors = self.tokens.iter().map(|left| &left.accessor);
        let accessors = accessors.filter(|accessor| !accessor.is_empty());
        (!self.is_unread).then(|| accessors.cloned().collect())
    }

    /// Adds all that the persistent cache hands on.
    pub(crate) fn with_cache(self, cache: &Persistent, has_ledger: bool, now: SystemTime) -> Self {
        let handed = cache.handed();
        let are_named = handed.as_ref().is_some_and(|(_, named)| named.is_some());
        self.with(handed)
            .with_replaced(cache.replaced(), are_named)
            .with_orphans(cache.orphans(now))
            .doubted(cache.is_doubtful(), has_ledger)
    }

    /// Adds the token that the last life hands on, and the leases that it has named. The token may live although it
    /// cannot be used.
    fn with(mut self, handed: Option<(SecretText, Option<LeftLeases>)>) -> Self {
        let Some((secret, named)) = handed else {
            return self;
        };
        if self.tokens.iter().any(|it| it.secret == secret) {
            self.leases = self.leases.take().or(named);
            return self;
        }
        let count = self.tokens.len();
        let of_ledger = self.leases.take();
        let of_ledger = of_ledger.filter(|_| count > 0 || self.is_unread);
        let mut leases = of_ledger.unwrap_or_else(|| unnamed(count));
        let of_handed = named.unwrap_or_else(|| unnamed(1));
        leases.ids.extend(of_handed.ids);
        leases.more += of_handed.more;
        self.leases = Some(leases);
        self.tokens.push(of_login(secret));
        self
    }

    /// Adds the tokens that a killed life has replaced. If leases are named, those of these tokens are among them.
    fn with_replaced(mut self, replaced: Vec<SecretText>, are_named: bool) -> Self {
        for secret in replaced {
            if self.tokens.iter().any(|it| it.secret == secret) {
                continue;
            }
            if let Some(leases) = self.leases.as_mut().filter(|_| !are_named) {
                leases.more += 1;
            }
            self.tokens.push(of_login(secret));
        }
        self
    }

    /// Adds the tokens that templates have made: they may outlive the token that made them.
    fn with_orphans(self, orphans: Vec<LeftToken>) -> Self {
        Self { orphans, ..self }
    }

    /// Notes that tokens may be missing, if the persistent cache may be old. A ledger knows the tokens that it lacks.
    fn doubted(mut self, is_doubtful: bool, has_ledger: bool) -> Self {
        self.is_unread |= is_doubtful && !has_ledger;
        self
    }
}

/// A token of a login, of which nothing else is handed on. The ledger lacks it.
fn of_login(secret: SecretText) -> LeftToken {
    LeftToken {
        secret,
        accessor: String::new(),
        namespace: None,
        lasts: None,
        is_written: false,
    }
}

/// Each token may have leases that are not named.
fn unnamed(tokens: usize) -> LeftLeases {
    LeftLeases {
        ids: Vec::new(),
        more: tokens,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_token_that_is_handed_on_is_one_of_those_that_are_left_once() {
        let names = |handed: Option<&str>| {
            let handed = handed.map(|name| (secret(name), None));
            let left = ledger(&["t-1"], None).with(handed);
            let tokens = left.tokens.iter();
            let names = tokens.map(|it| it.secret.expose().to_owned());
            names.collect::<Vec<_>>()
        };

        assert_eq!(names(None), ["t-1"]);
        assert_eq!(names(Some("t-1")), ["t-1"]);
        assert_eq!(names(Some("t-2")), ["t-1", "t-2"]);
        let left = ledger(&["t-1"], None).with(Some((secret("t-2"), None)));
        let written = left.tokens.iter().map(|it| it.is_written);
        assert!(written.eq([true, false]), "the ledger lacks it");
    }

    #[test]
    fn a_token_that_was_replaced_counts_with_its_leases_unless_they_are_named() {
        for (named, more) in [(None, 2), (leases("b", 0), 0)] {
            let are_named = named.is_some();
            let left = ledger(&["t-1"], leases("a", 0)).with(Some((secret("t-3"), named)));

            let left = left.with_replaced(vec![secret("t-1"), secret("t-2")], are_named);

            let names: Vec<&str> = left.tokens.iter().map(|it| it.secret.expose()).collect();
            assert_eq!(names, ["t-1", "t-3", "t-2"]);
            assert_eq!(left.leases.unwrap().more, more);
        }
    }

    #[test]
    fn each_token_counts_with_the_leases_that_were_named_for_it() {
        let merged = |left: Left, named| {
            let left = left.with(Some((secret("t-2"), named)));
            let LeftLeases { ids, more } = left.leases.unwrap();
            (ids.join(" "), more)
        };
        let told = |ids: &str, more: usize| (ids.to_owned(), more);

        assert_eq!(merged(ledger(&[], None), None), told("", 1));
        assert_eq!(merged(ledger(&[], None), leases("b", 0)), told("b", 0));
        // Leases that are named beside an empty ledger do not count.
        assert_eq!(merged(ledger(&[], leases("a", 0)), None), told("", 1));
        assert_eq!(
            merged(ledger(&["t-1"], leases("a", 0)), leases("b", 0)),
            told("a b", 0)
        );
        assert_eq!(merged(ledger(&["t-1"], None), leases("b", 2)), told("b", 3));
        // The same life has written both.
        assert_eq!(
            merged(ledger(&["t-2"], leases("a", 0)), leases("b", 0)),
            told("a", 0)
        );
        assert_eq!(merged(ledger(&["t-2"], None), leases("b", 0)), told("b", 0));
    }

    #[test]
    fn beside_a_ledger_that_cannot_be_read_the_token_that_is_handed_on_is_revoked_too() {
        let unread = Left::of_ledger(Err(io::Error::other("x")), false, leases("a", 0));
        assert!(unread.trouble.is_some());

        let left = unread.with(Some((secret("t-2"), leases("b", 0))));

        assert!(left.is_unread);
        assert_eq!(left.tokens.len(), 1);
        assert_eq!(left.leases.unwrap().ids, ["a", "b"]);
    }

    #[test]
    fn who_knows_that_a_token_is_missing_names_none_as_if_they_were_all() {
        for (misses_tokens, named) in [(false, Some(vec!["a".to_owned()])), (true, None)] {
            let tokens = ledger(&["t-1"], None).tokens;

            let left = Left::of_ledger(Ok(tokens), misses_tokens, None);

            assert_eq!(left.is_unread, misses_tokens);
            assert_eq!(left.accessors(), named);
            assert_eq!(left.tokens.len(), 1, "it is revoked all the same");
        }
    }

    #[test]
    fn a_cache_that_could_not_be_written_may_lack_a_token_that_no_ledger_knows() {
        for (is_doubtful, has_ledger, is_unread) in [
            (true, false, true),
            (true, true, false),
            (false, false, false),
        ] {
            let left = ledger(&[], None).doubted(is_doubtful, has_ledger);

            assert_eq!(left.is_unread, is_unread, "{is_doubtful} {has_ledger}");
        }
    }

    fn ledger(tokens: &[&str], leases: Option<LeftLeases>) -> Left {
        let tokens = tokens.iter().map(|name| LeftToken {
            secret: secret(name),
            accessor: "a".to_owned(),
            namespace: None,
            lasts: None,
            is_written: true,
        });
        Left::of_ledger(Ok(tokens.collect()), false, leases)
    }

    fn leases(id: &str, more: usize) -> Option<LeftLeases> {
        let ids = vec![id.to_owned()];
        Some(LeftLeases { ids, more })
    }

    fn secret(name: &str) -> SecretText {
        SecretText::new(name.to_owned())
    }
}

//! The leases that may live at the end: those of answers that are kept, those that were replaced, and those that the
//! agent has not heard of.

use std::collections::BTreeSet;
use std::time::Duration;

use planescape_templates::{Answer, Request};
use planescape_vault::mount::Mount;

use super::{Entry, Secrets, lease_id};
use crate::clock::Moment;
use crate::failure::Failure;
use crate::living::LeftLeases;
use crate::token::made_in;

/// The margin after a life: a request may have been on its way for so long, and clocks drift.
const MARGIN: Duration = Duration::from_secs(65);

/// Leases that no answer stands for any more.
#[derive(Debug, Default)]
pub(super) struct Leases {
    left: Vec<(String, Moment)>,
    unheard: usize,
}

impl Leases {
    /// The answer of an entry goes, and its lease may live on. The lease may have been renewed without our hearing of
    /// it, by its life at most.
    pub(super) fn left(&mut self, entry: &Entry, now: Moment) {
        self.left.retain(|(_, gone)| *gone > now);
        let (Some(id), Some(Answer::Secret(Some(secret)))) = (entry.lease_id(), &entry.answer)
        else {
            return;
        };
        let end = entry.expires.map_or(now, |end| end.max(now));
        let life = secret.lease_duration();
        self.left.push((id, end + life + MARGIN));
    }

    /// The lease of an answer that no entry keeps.
    pub(super) fn stray(&mut self, lease: Option<(String, Moment)>) {
        self.left.extend(lease);
    }

    /// Whether a lease that was left may live.
    pub(super) fn may_live(&self, id: &str, now: Moment) -> bool {
        self.left
            .iter()
            .any(|(left, gone)| left == id && *gone > now)
    }

    /// Vault says that it is gone.
    pub(super) fn ended(&mut self, id: &str) {
        self.left.retain(|(left, _)| left != id);
    }

    /// Vault may have made a lease whose answer was lost.
    pub(super) fn unheard(&mut self, request: &Request, failure: &Failure, mount: Option<&Mount>) {
        let is_leased = !matches!(request, Request::List { .. } | Request::File { .. });
        if is_leased && failure.may_be_done() && !mount.is_some_and(is_kv) {
            self.unheard += 1;
        }
    }
}

/// The lease of an answer, and by when it is gone if nobody renews it.
pub(super) fn lease_of(answer: &Answer, now: Moment) -> Option<(String, Moment)> {
    let Answer::Secret(Some(secret)) = answer else {
        return None;
    };
    Some((lease_id(answer)?, now + secret.lease_duration() + MARGIN))
}

fn is_kv(mount: &Mount) -> bool {
    mount.is_kv_v1() || mount.is_kv_v2()
}

/// All leases that may live.
#[derive(Clone, Debug, Default)]
pub(crate) struct Leased {
    pub(crate) ids: BTreeSet<String>,
    /// How many more there may be.
    pub(crate) unheard: usize,
}

impl Leased {
    /// The leases of tokens that earlier lives have left; where those have named none, each token may have some.
    pub(crate) fn of_earlier_lives(tokens: usize, named: Option<LeftLeases>) -> Self {
        let LeftLeases { ids, more } = named.filter(|_| tokens > 0).unwrap_or(LeftLeases {
            ids: Vec::new(),
            more: tokens,
        });
        Self {
            ids: ids.into_iter().collect(),
            unheard: more,
        }
    }

    /// All of both; with `keeps_own`, only the leases of the first that are not among the second.
    pub(crate) fn with(&self, own: Self, keeps_own: bool) -> Self {
        let mut all = self.clone();
        if keeps_own {
            all.ids.retain(|id| !own.ids.contains(id));
        } else {
            all.ids.extend(own.ids);
            all.unheard += own.unheard;
        }
        all
    }
}

impl Secrets {
    /// The namespace of a token that a request makes, if its path names one.
    pub(crate) fn made_in(&self, request: &Request) -> Option<String> {
        made_in(request.path(), self.namespace.as_deref())
    }

    /// Somebody else was given a lease of our token, and does with it what they like.
    pub(crate) fn granted_to_others(&mut self) {
        self.leases.unheard += 1;
    }

    /// Whether nothing that was read ends with the token, or is that token.
    pub(crate) fn need_no_token(&self, now: Moment) -> bool {
        let leases = self.leases(now);
        let mut entries = self.entries.values();
        let is_free = entries
            .all(|entry| entry.made().is_none() && !entry.request.path().contains("auth/token/"));
        is_free && leases.ids.is_empty() && leases.unheard == 0
    }

    pub(crate) fn leases(&self, now: Moment) -> Leased {
        let held = self.entries.values().filter_map(Entry::lease_id);
        let left = self.leases.left.iter().filter(|(_, gone)| *gone > now);
        Leased {
            ids: held.chain(left.map(|(id, _)| id.clone())).collect(),
            unheard: self.leases.unheard + self.reading,
        }
    }
}

#[cfg(test)]
mod tests {
    use planescape_vault::{Error, Refusal};

    use super::*;

    #[test]
    fn a_lease_that_nobody_has_heard_of_is_counted_where_vault_may_have_made_one() {
        let (address, message) = (|| "vault:8200".to_owned(), String::new);
        let refused = |status| Error::Refused(Refusal::new(status, String::new(), None));
        for (error, may_have_made) in [
            (
                Error::Unreachable {
                    address: address(),
                    message: message(),
                },
                true,
            ),
            (
                Error::Unresolved {
                    address: address(),
                    message: message(),
                },
                false,
            ),
            (Error::Silent { address: address() }, true),
            (Error::Malformed { message: message() }, true),
            (refused(502), true),
            (refused(504), true),
            (refused(503), false),
            (refused(403), false),
            (Error::Unsendable { what: "token" }, false),
        ] {
            let failure = Failure::from(error);
            let list = Request::List {
                path: "kv/".to_owned(),
            };
            for (request, mount, is_leased) in [
                (read(), None, true),
                (read(), Some(mount("database", "")), true),
                (read(), Some(mount("kv", "1")), false),
                (read(), Some(mount("kv", "2")), false),
                (list, None, false),
            ] {
                let mut leases = Leases::default();

                leases.unheard(&request, &failure, mount.as_ref());

                let expected = usize::from(may_have_made && is_leased);
                assert_eq!(
                    leases.unheard, expected,
                    "{failure:?} {request:?} {mount:?}"
                );
            }
        }
    }

    #[test]
    fn each_of_several_leases_that_were_left_lives_until_its_own_end() {
        let at = |second| Moment::since_boot(Duration::from_secs(second));
        let mut leases = Leases::default();
        for (id, second) in [("a", 10), ("b", 20)] {
            leases.stray(Some((id.to_owned(), at(second))));
        }

        for (id, second, lives) in [
            ("a", 9, true),
            ("a", 10, false),
            ("b", 10, true),
            ("b", 20, false),
            ("c", 0, false),
        ] {
            assert_eq!(leases.may_live(id, at(second)), lives, "{id} {second}");
        }
        leases.ended("a");
        assert!(!leases.may_live("a", at(0)) && leases.may_live("b", at(0)));
    }

    #[test]
    fn leases_of_earlier_lives_are_named_or_counted_and_those_that_are_held_are_left_out() {
        let named = |ids: &[&str], more| LeftLeases {
            ids: ids.iter().map(|id| (*id).to_owned()).collect(),
            more,
        };
        for (tokens, said, expected) in [
            (0, None, (0, 0)),
            (0, Some(named(&["a"], 1)), (0, 0)),
            (2, None, (0, 2)),
            (2, Some(named(&["a"], 1)), (1, 1)),
        ] {
            let left = Leased::of_earlier_lives(tokens, said);
            assert_eq!((left.ids.len(), left.unheard), expected, "{tokens}");
        }
        let left = Leased::of_earlier_lives(1, Some(named(&["a", "b"], 1)));
        let own = || Leased {
            ids: ["b", "c"].map(str::to_owned).into(),
            unheard: 4,
        };

        let others = left.with(own(), true);
        let all = left.with(own(), false);

        assert_eq!(others.ids, BTreeSet::from(["a".to_owned()]));
        assert_eq!(others.unheard, 1);
        assert_eq!((all.ids.len(), all.unheard), (3, 5));
    }

    fn read() -> Request {
        Request::Read {
            path: "database/creds/ro".to_owned(),
        }
    }

    fn mount(kind: &str, version: &str) -> Mount {
        Mount::new("mount/", kind, version)
    }
}

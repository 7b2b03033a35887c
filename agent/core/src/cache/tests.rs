use std::time::Duration;

use super::*;

#[test]
fn a_lease_is_kept_where_its_token_is_ours() {
    let mut cache = cache();

    put_lease(&mut cache, 1, "own", "db/1");
    put_lease(&mut cache, 2, "stranger", "db/2");

    assert_eq!(kept(&cache), [1]);
}

#[test]
fn what_is_kept_is_counted_and_answers() {
    let mut cache = cache();
    assert!(cache.is_empty());

    put_lease(&mut cache, 1, "own", "db/1");
    put_lease(&mut cache, 2, "own", "db/2");

    assert_eq!((cache.len(), cache.is_empty()), (2, false));
    assert_eq!(cache.get(&key(2), at(60)), None, "its lease has ended");
    assert_eq!(cache.get(&key(2), at(59)), Some(&2));
}

#[test]
fn a_token_is_kept_where_it_has_no_parent_or_one_of_ours() {
    let mut cache = cache();

    put_token(&mut cache, 1, None, "orphan");
    put_token(&mut cache, 2, Some("stranger"), "child of a stranger");
    put_token(&mut cache, 3, Some("own"), "child");
    put_token(&mut cache, 4, Some("child"), "grandchild");
    put_lease(&mut cache, 5, "grandchild", "db/1");

    assert_eq!(kept(&cache), [1, 3, 4, 5]);
}

#[test]
fn what_is_held_says_how_to_put_it_again() {
    let mut cache = cache();
    put_token(&mut cache, 1, None, "orphan");
    put_lease(&mut cache, 2, "own", "db/1");

    let held = cache.held().map(|it| {
        let token = it.token.map(|token| token.expose().to_owned());
        (it.key, it.path, token, it.ends_at, *it.answer)
    });

    let held: Vec<_> = held.collect();
    let own = Some("own".to_owned());
    assert_eq!(
        held,
        [
            (key(1), "/v1/1", None, at(60), 1),
            (key(2), "/v1/2", own, at(60), 2),
        ]
    );
}

#[test]
fn what_cannot_be_renewed_is_not_kept() {
    let mut cache = cache();
    let carried = Carried::Lease {
        id: "db/1".to_owned(),
        grant: Grant::new(Duration::from_secs(60), false),
    };

    cache.put(asked(1, Some("own")), carried, 1, at(0));

    assert!(cache.is_empty());
}

#[test]
fn revocations_take_along_what_hangs_on_them() {
    let cases = [
        (Revocation::Token(token("child")), &[1, 6][..]),
        (
            Revocation::Accessor("accessor of child".to_owned()),
            &[1, 6],
        ),
        (Revocation::Accessor("accessor of own".to_owned()), &[1]),
        (Revocation::TokenAlone(token("child")), &[1, 3, 5, 6]),
        (Revocation::TokenAlone(token("child")).unsure(), &[1, 6]),
        (Revocation::Lease("db/4".to_owned()), &[1, 2, 3, 5, 6]),
        (
            Revocation::Leases {
                prefix: "db/".to_owned(),
                namespace: "root/".to_owned(),
            },
            &[1, 2, 3],
        ),
        (
            Revocation::Leases {
                prefix: "d".to_owned(),
                namespace: "root/".to_owned(),
            },
            &[1, 2, 3, 4, 5, 6],
        ),
        (
            Revocation::Leases {
                prefix: "db/".to_owned(),
                namespace: "team/".to_owned(),
            },
            &[1, 2, 3, 4, 5, 6],
        ),
        (
            Revocation::Path {
                prefix: "/v1/4".to_owned(),
                namespace: "root/".to_owned(),
            },
            &[1, 2, 3, 5, 6],
        ),
        (
            Revocation::Path {
                prefix: "/v1/4".to_owned(),
                namespace: "team/".to_owned(),
            },
            &[1, 2, 3, 4, 5, 6],
        ),
        (
            Revocation::Leases {
                prefix: "db/4".to_owned(),
                namespace: "root/".to_owned(),
            },
            &[1, 2, 3, 5, 6],
        ),
        (
            Revocation::Leases {
                prefix: String::new(),
                namespace: "root/".to_owned(),
            },
            &[],
        ),
        (Revocation::Token(token("none")), &[1, 2, 3, 4, 5, 6]),
        (Revocation::All, &[]),
    ];
    for (revocation, expected) in cases {
        let mut cache = cache();
        put_token(&mut cache, 1, None, "orphan");
        put_token(&mut cache, 2, Some("own"), "child");
        put_token(&mut cache, 3, Some("child"), "grandchild");
        put_lease(&mut cache, 4, "child", "db/4");
        put_lease(&mut cache, 5, "grandchild", "db/5");
        put_lease(&mut cache, 6, "own", "db/6");

        cache.revoke(revocation.clone(), at(0));

        assert_eq!(kept(&cache), expected, "{revocation:?}");
    }
}

#[test]
fn leases_of_a_token_that_was_replaced_are_not_renewed_any_more() {
    let mut cache = cache();
    put_lease(&mut cache, 1, "own", "db/1");

    cache.set_own(token("own"), None);
    assert_eq!(kept(&cache), [1]);
    cache.set_own(token("another"), None);

    assert!(cache.is_empty());
}

#[test]
fn a_lease_is_renewed_until_it_cannot_be() {
    let mut cache = cache();
    put_lease(&mut cache, 1, "own", "db/1");
    assert!(cache.take_due(at(10)).is_empty());

    let due = cache.timeout().unwrap();
    let renewals = cache.take_due(due);
    assert!(matches!(&renewals[..], [Renewal { lease: Some(id), .. }] if id == "db/1"));
    assert_eq!(renewals[0].engine, "root/db");
    assert!(cache.take_due(due).is_empty());
    let grant = Grant::new(Duration::from_secs(60), true);
    cache.renewed(renewals[0].of, Ok(grant), due, due);

    let next = cache.timeout().unwrap();
    assert!(next > due);
    let renewals = cache.take_due(next);
    assert_eq!(renewals.len(), 1);
    let gone = planescape_vault::Error::Refused(planescape_vault::Refusal::new(
        400,
        "lease not found".to_owned(),
        None,
    ));
    cache.renewed(renewals[0].of, Err(gone.into()), next, next);
    let mut now = next;
    for _ in 0..20 {
        now = cache.timeout().unwrap_or(now);
        for renewal in cache.take_due(now) {
            let gone = planescape_vault::Refusal::new(400, "lease not found".to_owned(), None);
            let gone = planescape_vault::Error::Refused(gone);
            cache.renewed(renewal.of, Err(gone.into()), now, now);
        }
    }

    assert!(cache.is_empty());
}

#[test]
fn what_is_revoked_while_its_answer_is_on_its_way_is_not_kept() {
    let put_late = |revocation: Revocation| {
        let mut cache = cache();
        cache.revoke(revocation, at(0));
        put_lease(&mut cache, 1, "own", "db/1");
        put_token(&mut cache, 2, Some("own"), "child");
        kept(&cache)
    };

    assert_eq!(put_late(Revocation::Lease("db/1".to_owned())), [2]);
    let accessor = "accessor of child".to_owned();
    assert_eq!(put_late(Revocation::Accessor(accessor)), [1]);
    assert_eq!(put_late(Revocation::Token(token("own"))), [0; 0]);
    assert_eq!(put_late(Revocation::All), [0; 0]);
    assert_eq!(put_late(Revocation::Lease("db/2".to_owned())), [1, 2]);
}

#[test]
fn what_is_asked_for_after_a_revocation_is_kept() {
    let mut cache = cache();
    cache.revoke(Revocation::All, at(0));

    let later = Asked {
        sent: at(1),
        ..asked(1, Some("own"))
    };
    let carried = Carried::Lease {
        id: "db/1".to_owned(),
        grant: Grant::new(Duration::from_secs(60), true),
    };

    assert!(cache.put(later, carried, 1, at(1)));
}

#[test]
fn the_last_128_revocations_are_remembered() {
    for (later, is_kept) in [(127, false), (128, true)] {
        let mut cache = cache();
        cache.revoke(Revocation::Lease("db/1".to_owned()), at(0));
        for number in 0..later {
            cache.revoke(Revocation::Lease(format!("other/{number}")), at(0));
        }

        put_lease(&mut cache, 1, "own", "db/1");

        assert_eq!(!cache.is_empty(), is_kept, "{later}");
    }
}

#[test]
fn what_hangs_on_a_token_goes_when_another_one_comes_in_its_place() {
    let mut cache = cache();
    put_token(&mut cache, 1, None, "first");
    put_lease(&mut cache, 2, "first", "db/1");

    put_token(&mut cache, 1, None, "second");

    assert_eq!(kept(&cache), [1]);
}

#[test]
fn a_renewal_says_nothing_about_what_came_in_its_place() {
    let mut cache = cache();
    put_lease(&mut cache, 1, "own", "db/1");
    let due = cache.timeout().unwrap();
    let renewals = cache.take_due(due);
    put_lease(&mut cache, 1, "own", "db/2");

    let long = Grant::new(Duration::from_secs(3600), true);
    cache.renewed(renewals[0].of, Ok(long), due, due);

    assert_eq!(cache.get(&key(1), at(61)), None);
}

#[test]
fn what_lies_in_a_namespace_that_its_path_names_is_renewed_and_revoked_there() {
    for (namespace, place) in [("root/", "team/"), ("people/", "people/team/")] {
        let mut cache = cache();
        let asked = |number, path: &str| Asked {
            path: format!("/v1/team/{path}"),
            namespace: namespace.to_owned(),
            ..asked(number, Some("own"))
        };
        let grant = Grant::new(Duration::from_secs(60), true);
        let id = "db/creds/ro/1".to_owned();
        let lease = Carried::Lease { id, grant };
        assert!(cache.put(asked(1, "db/creds/ro"), lease, 1, at(0)));
        let made = Carried::Token {
            token: token("child"),
            accessor: "accessor of child".to_owned(),
            is_orphan: false,
            grant,
        };
        assert!(cache.put(asked(2, "auth/token/create"), made, 2, at(0)));

        let due = cache.take_due(at(50));
        let places: Vec<&str> = due.iter().map(|it| it.namespace.as_str()).collect();
        assert_eq!(places, [place, place]);
        let revoked = |namespace: &str| Revocation::Leases {
            prefix: "db/creds".to_owned(),
            namespace: namespace.to_owned(),
        };
        cache.revoke(revoked(namespace), at(50));
        assert_eq!(kept(&cache), [1, 2], "{namespace}");
        cache.revoke(revoked(place), at(50));
        assert_eq!(kept(&cache), [2], "{namespace}");
    }
}

fn cache() -> Cache<u8> {
    let mut cache = Cache::new(1);
    cache.set_own(token("own"), Some("accessor of own".to_owned()));
    cache
}

/// Whether something that a path has handed out in a namespace is gone once `db/creds` or `auth/users` of a namespace is.
fn goes(path: &str, namespace: &str, carried: Carried, prefix: &str, revoked_in: &str) -> bool {
    let mut cache = cache();
    let asked = Asked {
        path: path.to_owned(),
        namespace: namespace.to_owned(),
        ..asked(1, Some("own"))
    };
    assert!(cache.put(asked, carried, 1, at(0)));

    let revocation = Revocation::Leases {
        prefix: prefix.to_owned(),
        namespace: revoked_in.to_owned(),
    };
    cache.revoke(revocation, at(0));

    cache.is_empty()
}

#[test]
fn what_is_leased_in_a_namespace_goes_there_wherever_the_request_named_that() {
    for (path, namespace, is_in) in [
        ("/v1/db/creds/a", "root/", "root/"),
        ("/v1/db/creds/a", "team/", "team/"),
        ("/v1/team/db/creds/a", "root/", "team/"),
        ("/v1/sub/db/creds/a", "team/", "team/sub/"),
        ("/v1/sys/wrapping/unwrap", "team/", "team/"),
        ("/v1/xdb/creds/a", "team/", "team/"),
    ] {
        for revoked_in in ["root/", "team/", "team/sub/"] {
            let carried = Carried::Lease {
                id: "db/creds/a/1.x".to_owned(),
                grant: Grant::new(Duration::from_secs(60), true),
            };
            let goes = goes(path, namespace, carried, "db/creds", revoked_in);
            assert_eq!(goes, revoked_in == is_in, "{path} {namespace} {revoked_in}");
        }
    }
}

#[test]
fn a_token_goes_with_the_leases_below_the_path_that_made_it() {
    let path = "/v1/auth/users/login/a";
    for (path, namespace, prefix, expected) in [
        (path, "team/", "auth/users", true),
        (path, "team/", "auth/user", false),
        (path, "root/", "auth/users", false),
        ("/v1/team/auth/users/login/a", "root/", "auth/users", true),
    ] {
        let carried = Carried::Token {
            token: token("orphan"),
            accessor: "accessor".to_owned(),
            is_orphan: true,
            grant: Grant::new(Duration::from_secs(60), true),
        };
        let goes = goes(path, namespace, carried, prefix, "team/");
        assert_eq!(goes, expected, "{path} {namespace} {prefix}");
    }
}

fn put_lease(cache: &mut Cache<u8>, number: u8, by: &str, id: &str) {
    let carried = Carried::Lease {
        id: id.to_owned(),
        grant: Grant::new(Duration::from_secs(60), true),
    };
    cache.put(asked(number, Some(by)), carried, number, at(0));
}

fn put_token(cache: &mut Cache<u8>, number: u8, by: Option<&str>, name: &str) {
    let carried = Carried::Token {
        token: token(name),
        accessor: format!("accessor of {name}"),
        is_orphan: by.is_none(),
        grant: Grant::new(Duration::from_secs(60), true),
    };
    cache.put(asked(number, by), carried, number, at(0));
}

fn asked(number: u8, by: Option<&str>) -> Asked {
    Asked {
        key: key(number),
        path: format!("/v1/{number}"),
        namespace: "root/".to_owned(),
        token: by.map(token),
        sent: at(0),
    }
}

fn key(number: u8) -> Key {
    [number; 32]
}

fn token(name: &str) -> SecretText {
    SecretText::new(name.to_owned())
}

fn kept(cache: &Cache<u8>) -> Vec<u8> {
    cache.entries.values().map(|entry| entry.answer).collect()
}

fn at(seconds: u64) -> Moment {
    Moment::since_boot(Duration::from_secs(seconds))
}

#[test]
fn engines_below_one_folder_are_told_apart() {
    assert_eq!(engine_of("team/db-a/creds/ro/1"), "team/db-a/creds");
    assert_eq!(engine_of("team/db-b/creds/ro/1"), "team/db-b/creds");
    assert_eq!(engine_of("db/1"), "db");
    assert_eq!(engine_of(""), "");
}

use std::fs;

use planescape_vault::Login;

use super::*;

const BODY: &str = r#"{"lease_id": "database/creds/app/1", "lease_duration": 60, "renewable": true,
    "data": {"username": "u"}}"#;

#[test]
fn the_next_life_finds_the_token_and_what_is_left_of_the_leases() {
    let folder = folder();
    let first = open(&folder, false);
    assert!(first.preloaded().is_none());
    save(&first, |it| it.keep_token(&token("t-1")));
    let path = key(&call("database/creds/app"));
    let now = SystemTime::now();
    save(&first, |it| it.keep(path, &secret(), body(), now));

    let second = open(&folder, false);

    assert_eq!(second.preloaded(), Some(token("t-1")));
    let now = now + Duration::from_secs(20);
    let leased = second.take(&key(&call("database/creds/app")), now).unwrap();
    assert_eq!(leased.secret.lease_id(), "database/creds/app/1");
    let age = leased.age.as_secs();
    assert!((19..=21).contains(&age), "{age}");
    // The secret is given once, and in this life alone.
    assert!(
        second
            .take(&key(&call("database/creds/app")), now)
            .is_none()
    );
    save(&second, |it| it.keep_token(&token("t-2")));
    assert!(open(&folder, false).preloaded().is_none());
}

#[test]
fn the_leases_that_a_life_has_named_are_handed_on_with_their_token_alone() {
    let folder = folder();
    let first = open(&folder, true);
    save(&first, |it| it.name_leases(&["db/0".to_owned()], 0));
    save(&first, |it| it.keep_token(&token("t-1")));
    assert_eq!(open(&folder, true).handed(), Some((token("t-1"), None)));
    let leases = ["db/1".to_owned()];
    save(&first, |it| it.name_leases(&leases, 2));
    assert!(!first.name_leases(&leases, 2), "it stands there");

    let (_, named) = open(&folder, true).handed().unwrap();

    let ids = leases.to_vec();
    assert_eq!(named, Some(LeftLeases { ids, more: 2 }));
    save(&first, |it| it.keep_token(&token("t-2")));
    assert_eq!(open(&folder, true).handed(), Some((token("t-2"), None)));
}

#[test]
fn why_the_cache_cannot_be_written_is_told_once_until_it_is_written_or_fails_otherwise() {
    let mut trouble = None;
    let mut told = |error: Option<&'static str>| {
        let result = error.map_or(Ok(()), |error| Err(anyhow::anyhow!(error)));
        news(&mut trouble, result)
    };

    assert_eq!(told(None), None);
    assert_eq!(told(Some("full")).as_deref(), Some("full"));
    assert_eq!(told(Some("full")), None);
    assert_eq!(told(Some("gone")).as_deref(), Some("gone"));
    assert_eq!(told(None), None);
    assert_eq!(told(Some("gone")).as_deref(), Some("gone"));
}

#[test]
fn of_a_cache_that_could_not_be_written_nothing_is_taken_but_the_token() {
    let folder = folder();
    let first = with_token(&folder);
    let (path, now) = (key(&call("a")), SystemTime::now());
    save(&first, |it| it.keep(path.clone(), &secret(), body(), now));
    save(&first, |it| it.keep_answers(vec![answer()]));
    save(&first, |it| it.name_leases(&["db/1".to_owned()], 0));
    // Without the token there is no key.
    let jwt = folder.path().join("jwt");
    fs::remove_file(&jwt).unwrap();
    save(&first, |it| it.name_leases(&["db/2".to_owned()], 0));
    fs::write(&jwt, "e.y.J\n").unwrap();

    let second = open(&folder, true);

    assert!(second.is_doubtful());
    assert_eq!(second.handed(), Some((token("t-1"), None)));
    assert!(second.take(&path, now).is_none());
    assert!(second.answers().is_empty());
    let ids = vec!["db/2".to_owned()];
    save(&second, |it| it.name_leases(&ids, 1));
    let third = open(&folder, true);
    let named = LeftLeases { ids, more: 1 };
    assert_eq!(third.handed(), Some((token("t-1"), Some(named))));
    // The tokens that the first life had by then are not known.
    assert!(third.is_doubtful());
    save(&third, |it| it.keep_token(&token("t-3")));
    assert!(open(&folder, true).is_doubtful());
    save(&third, Persistent::forget_all);
    assert!(!open(&folder, true).is_doubtful());
}

#[test]
fn a_cache_that_could_never_be_written_is_missed_until_all_is_forgotten() {
    let folder = folder();
    let first = open(&folder, true);
    assert!(!first.is_doubtful());
    let jwt = folder.path().join("jwt");
    fs::remove_file(&jwt).unwrap();
    save(&first, |it| it.keep_token(&token("t-1")));
    fs::write(&jwt, "e.y.J\n").unwrap();

    let second = open(&folder, true);

    assert!(second.is_doubtful());
    assert_eq!(second.handed(), None);
    save(&second, |it| it.keep_token(&token("t-2")));
    assert!(open(&folder, false).is_doubtful());
    // The life that was just opened has taken the file away.
    assert!(open(&folder, true).is_doubtful());
    // The first life gets on after all, and lacks nothing.
    save(&first, |it| it.keep_token(&token("t-3")));
    assert!(!open(&folder, true).is_doubtful());
    save(&second, Persistent::forget_all);
    assert!(!open(&folder, true).is_doubtful());
}

#[test]
fn a_lease_counts_from_its_last_renewal_and_not_beyond_its_end() {
    let folder = folder();
    let first = with_token(&folder);
    let now = SystemTime::now();
    keep(&first, "a", now);
    let grant = Grant::new(Duration::from_secs(3600), true);
    save(&first, |it| it.renewed("database/creds/app/1", grant, now));

    let in_time = SystemTime::now() + Duration::from_secs(3000);
    let leased = open(&folder, true).take(&key(&call("a")), in_time);
    assert!(leased.unwrap().age.is_zero());
    let too_late = SystemTime::now() + Duration::from_secs(3700);
    assert!(
        open(&folder, true)
            .take(&key(&call("a")), too_late)
            .is_none()
    );
}

#[test]
fn a_lease_counts_from_its_question_however_late_the_answer_was() {
    let folder = folder();
    let first = with_token(&folder);
    let now = SystemTime::now();
    let asked_at = now - Duration::from_secs(30);
    let text = BODY.replace("app/1", "app/2");
    let other = Secret::from_json(text.as_bytes()).unwrap();
    keep(&first, "a", asked_at);
    save(&first, |it| {
        it.keep(key(&call("b")), &other, Zeroizing::new(text), now)
    });
    let grant = Grant::new(Duration::from_secs(60), true);
    save(&first, |it| {
        it.renewed("database/creds/app/2", grant, asked_at)
    });

    let second = open(&folder, true);

    for path in ["a", "b"] {
        let leased = second.take(&key(&call(path)), now).unwrap();
        assert!(
            leased.age >= Duration::from_secs(29),
            "{path}: {:?}",
            leased.age
        );
    }
}

#[test]
fn a_token_that_a_template_has_made_is_handed_on_while_it_can_be_renewed() {
    for is_renewable in [true, false] {
        let folder = folder();
        let first = with_token(&folder);
        let text = format!(
            r#"{{"lease_id": "", "renewable": false, "data": null, "auth": {{"client_token": "child",
                "accessor": "a", "lease_duration": 3600, "renewable": {is_renewable}}}}}"#
        );
        let made = Secret::from_json(text.as_bytes()).unwrap();
        let call = key(&call("auth/token/create"));
        let asked_at = SystemTime::now() - Duration::from_secs(600);
        save(&first, |it| {
            it.keep(call.clone(), &made, Zeroizing::new(text), asked_at)
        });
        let again = Grant::new(Duration::from_secs(3600), true);
        let renewed_at = asked_at + Duration::from_secs(300);
        save(&first, |it| it.renewed("a", again, renewed_at));

        let taken = open(&folder, true).take(&call, SystemTime::now());

        let taken = taken.map(|it| (it.secret == made, it.age.as_secs() / 60));
        assert_eq!(taken, is_renewable.then_some((true, 5)));
    }
}

#[test]
fn tokens_that_another_one_has_replaced_are_handed_on_where_they_are_to_be_revoked() {
    for revokes in [true, false] {
        let folder = folder();
        let settings = settings(&folder, true);
        let open = || Persistent::open(Some(&settings), None, revokes).unwrap();
        let first = open();
        for number in 1..=5 {
            save(&first, |it| it.keep_token(&token(&format!("t-{number}"))));
        }
        // A sink or a file may hold the token again.
        save(&first, |it| it.keep_token(&token("t-2")));
        let replaced = || {
            let replaced = open().replaced().into_iter();
            let names = replaced.map(|it| it.expose().to_owned());
            names.collect::<Vec<_>>().join(" ")
        };
        assert_eq!(replaced(), if revokes { "t-1 t-3 t-4 t-5" } else { "" });

        save(&first, |it| it.token_revoked(&token("t-3")));
        save(&first, |it| it.forget(&[token("t-1"), token("t-5")]));

        assert_eq!(replaced(), if revokes { "t-4" } else { "" });
        assert!(!first.forget(&[token("t-2")]), "it is the one in use");
    }
}

/// A life may read elsewhere than the one before it, with the same token.
#[test]
fn an_answer_is_handed_on_to_reads_in_its_namespace_alone() {
    let folder = folder();
    let cache = with_token(&folder);
    let (call, now) = (call("a"), SystemTime::now());
    let place = cache.key_of(&call, Some("team/")).unwrap();
    save(&cache, |it| it.keep(place, &secret(), body(), now));

    let second = open(&folder, true);

    for (namespace, is_there) in [
        (None, false),
        (Some("other/"), false),
        (Some("team/"), true),
    ] {
        let place = second.key_of(&call, namespace).unwrap();
        assert_eq!(
            second.take(&place, now).is_some(),
            is_there,
            "{namespace:?}"
        );
    }
}

/// The old answer would be written into files that hold the newer one.
#[test]
fn an_answer_that_another_one_has_replaced_is_handed_on_no_more() {
    let folder = folder();
    let cache = with_token(&folder);
    let now = SystemTime::now();
    keep(&cache, "a", now);
    keep(&cache, "b", now);
    let text = BODY.replace("\"renewable\": true", "\"renewable\": false");
    let newer = Secret::from_json(text.as_bytes()).unwrap();
    let newer = |path: &str| {
        let text = Zeroizing::new(text.clone());
        cache.keep(key(&call(path)), &newer, text, now)
    };
    assert!(!newer("c"), "nothing is replaced");

    assert!(newer("a"));
    cache.write_down();

    let second = open(&folder, true);
    assert!(second.take(&key(&call("a")), now).is_none());
    assert!(second.take(&key(&call("b")), now).is_some());
}

#[test]
fn an_orphan_is_handed_on_past_the_token_that_has_made_it_until_it_ends() {
    let folder = folder();
    let first = with_token(&folder);
    let now = SystemTime::now();
    let long_ago = now - Duration::from_secs(7200);
    save(&first, |it| {
        it.keep_orphan(&login("o-1", "a-1", 3600), None, now)
    });
    let team = || Some("team/".to_owned());
    save(&first, |it| {
        it.keep_orphan(&login("o-2", "a-2", 0), team(), now)
    });
    save(&first, |it| {
        it.keep_orphan(&login("batch", "", 3600), None, now)
    });
    save(&first, |it| {
        it.keep_orphan(&login("o-3", "a-3", 3600), None, long_ago)
    });
    save(&first, |it| it.keep_token(&token("t-2")));
    let handed = || {
        let orphans = open(&folder, true).orphans(now);
        let names = orphans.into_iter().map(|it| {
            let namespace = it.namespace.as_deref().unwrap_or("-");
            let (token, accessor) = (it.secret.expose(), &it.accessor);
            format!("{token} {accessor} {namespace} {:?}", it.lasts)
        });
        names.collect::<Vec<_>>()
    };
    // The time of the token, and the margin of the clocks.
    assert_eq!(handed(), ["o-1 a-1 - Some(3720s)", "o-2 a-2 team/ None"]);

    let again = Grant::new(Duration::from_secs(3600), true);
    save(&first, |it| it.renewed("a-3", again, now));
    assert_eq!(
        handed(),
        [
            "o-1 a-1 - Some(3720s)",
            "o-2 a-2 team/ None",
            "o-3 a-3 - Some(3720s)"
        ]
    );

    let mut former = None;
    save(&first, |it| {
        former = it.renewal_asked("a-3");
        former.is_some()
    });
    assert_eq!(first.renewal_asked("a-3"), None, "it stands there");
    assert_eq!(handed()[2], "o-3 a-3 - None");
    save(&first, |it| it.renewal_refused("a-3", former.unwrap()));
    assert_eq!(handed()[2], "o-3 a-3 - Some(3720s)");

    save(&first, Persistent::forget_all);
    assert!(handed().is_empty());
}

#[test]
fn what_is_revoked_is_handed_on_no_more_though_the_token_is() {
    let folder = folder();
    let first = with_token(&folder);
    let now = SystemTime::now();
    keep(&first, "a", now);
    let text = r#"{"lease_id": "", "renewable": false, "data": null, "auth": {"client_token": "o-1",
        "accessor": "a-1", "lease_duration": 3600, "renewable": true}}"#;
    let made = Secret::from_json(text.as_bytes()).unwrap();
    let made_by = key(&call("auth/token/create-orphan"));
    let text = Zeroizing::new(text.to_owned());
    save(&first, |it| it.keep(made_by.clone(), &made, text, now));
    save(&first, |it| {
        it.keep_orphan(&login("o-1", "a-1", 3600), None, now)
    });
    assert!(open(&folder, true).take(&key(&call("a")), now).is_some());
    assert!(open(&folder, true).take(&made_by, now).is_some());

    save(&first, |it| it.lease_revoked("database/creds/app/1"));
    let second = open(&folder, true);
    assert!(second.take(&key(&call("a")), now).is_none());
    assert_eq!(second.orphans(now).len(), 1);
    save(&first, |it| it.token_revoked(&token("o-1")));
    assert!(!first.token_revoked(&token("t-1")), "it is none");

    let second = open(&folder, true);
    assert!(second.take(&made_by, now).is_none());
    assert!(second.orphans(now).is_empty());
    assert_eq!(second.preloaded(), Some(token("t-1")));
}

#[test]
fn what_has_ended_is_kept_no_longer() {
    let folder = folder();
    let cache = with_token(&folder);
    let now = SystemTime::now();
    let long_ago = now - Duration::from_secs(120);
    keep(&cache, "a", long_ago);

    keep(&cache, "b", now);

    let state = lock(&cache.file.as_ref().unwrap().state);
    assert!(state.kept.leased.keys().eq([&key(&call("b"))]));
}

#[test]
fn a_new_token_leaves_nothing_of_the_old_one() {
    let folder = folder();
    let first = with_token(&folder);
    let now = SystemTime::now();
    keep(&first, "a", now);
    save(&first, |it| it.keep_token(&token("t-2")));

    let second = open(&folder, true);

    assert_eq!(second.preloaded(), Some(token("t-2")));
    assert!(second.take(&key(&call("a")), SystemTime::now()).is_none());
}

#[test]
fn what_cannot_be_read_ends_the_agent_only_where_it_is_told_to() {
    let folder = folder();
    save(&open(&folder, true), |it| it.keep_token(&token("t-1")));
    fs::write(folder.path().join("jwt"), "another").unwrap();
    let persist = |exits_on_error| Persist {
        exits_on_error,
        ..settings(&folder, true)
    };

    let error = Persistent::open(Some(&persist(true)), None, true)
        .err()
        .unwrap();
    assert!(
        format!("{error:#}")
            .ends_with("was sealed with another token of the ServiceAccount, or is damaged")
    );
    let opened = Persistent::open(Some(&persist(false)), None, true).unwrap();
    assert!(opened.preloaded().is_none());
    assert!(opened.is_doubtful(), "its token may live");
}

#[test]
fn an_empty_file_is_a_new_one() {
    let folder = folder();
    fs::write(folder.path().join(NAME), "").unwrap();

    let first = open(&folder, false);
    save(&first, |it| it.keep_token(&token("t-1")));

    assert_eq!(open(&folder, false).preloaded(), Some(token("t-1")));
}

#[test]
fn answers_are_handed_on_with_the_token_that_they_hang_on_and_never_without_it() {
    let folder = folder();
    let first = open(&folder, true);
    save(&first, |it| it.keep_answers(vec![answer()]));
    assert!(open(&folder, true).answers().is_empty());
    save(&first, |it| it.keep_token(&token("t-1")));
    save(&first, |it| it.keep_answers(vec![answer()]));

    let second = open(&folder, true);

    let kept = second.answers();
    assert_eq!(kept.len(), 1);
    assert_eq!(
        (kept[0].path.as_str(), kept[0].body.as_str()),
        ("/v1/a", BODY)
    );
    save(&second, Persistent::forget_all);
    save(&second, |it| it.keep_answers(vec![answer()]));
    assert!(open(&folder, true).answers().is_empty());
}

#[test]
fn a_sink_holds_a_token_for_the_next_life_or_nothing() {
    let folder = folder();
    let sink = folder.path().join("sink");
    let found = |content: &[u8]| {
        fs::write(&sink, content).unwrap();
        Persistent::open(None, Some(&sink), true)
            .unwrap()
            .preloaded()
    };

    assert_eq!(found(b"hvs.abc\n"), Some(token("hvs.abc")));
    for no_token in [&b""[..], b"two words", b"\xff", b"{\"token\": 1, \"a\": 2}"] {
        assert_eq!(found(no_token), None, "{no_token:?}");
    }
    let missing = folder.path().join("none");
    assert!(
        Persistent::open(None, Some(&missing), true)
            .unwrap()
            .preloaded()
            .is_none()
    );
}

#[test]
fn calls_differ_by_all_that_vault_sees() {
    let put = |name: &str, value: &str, wrapped| Call::Put {
        path: "a".to_owned(),
        parameters: vec![(name.to_owned(), SecretText::new(value.to_owned()))],
        wrapped,
    };
    let keys = [
        key(&call("a")),
        key(&call("b")),
        key(&Call::List {
            path: "a".to_owned(),
        }),
        key(&put("x", "y", false)),
        key(&put("x", "z", false)),
        key(&put("xy", "", false)),
        key(&put("x", "y", true)),
    ];

    let different: std::collections::BTreeSet<_> = keys.iter().collect();
    assert_eq!(different.len(), keys.len());
}

fn save(cache: &Persistent, change: impl FnOnce(&Persistent) -> bool) {
    if change(cache) {
        cache.write_down();
    }
}

fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("jwt"), "e.y.J\n").unwrap();
    folder
}

fn settings(folder: &tempfile::TempDir, keeps_after_import: bool) -> Persist {
    Persist {
        folder: folder.path().display().to_string(),
        keeps_after_import,
        exits_on_error: true,
        token_file: folder.path().join("jwt").display().to_string(),
    }
}

fn open(folder: &tempfile::TempDir, keeps_after_import: bool) -> Persistent {
    Persistent::open(Some(&settings(folder, keeps_after_import)), None, true).unwrap()
}

/// A cache that goes on after its import and has the token `t-1`.
fn with_token(folder: &tempfile::TempDir) -> Persistent {
    let cache = open(folder, true);
    save(&cache, |it| it.keep_token(&token("t-1")));
    cache
}

/// Keeps an answer of this path.
fn keep(cache: &Persistent, path: &str, asked_at: SystemTime) {
    save(cache, |it| {
        it.keep(key(&call(path)), &secret(), body(), asked_at)
    });
}

fn token(text: &str) -> SecretText {
    SecretText::new(text.to_owned())
}

fn login(token: &str, accessor: &str, ttl: u64) -> Login {
    Login {
        token: SecretText::new(token.to_owned()),
        accessor: accessor.to_owned(),
        grant: Grant::new(Duration::from_secs(ttl), true),
        has_limited_uses: false,
        request: String::new(),
    }
}

fn answer() -> KeptAnswer {
    KeptAnswer {
        key: [7; 32],
        path: "/v1/a".to_owned(),
        namespace: "root/".to_owned(),
        token: Some(Plain::new("t-1")),
        ends_at: u64::MAX,
        came_at: 0,
        status: 200,
        headers: Vec::new(),
        body: Plain::new(BODY),
    }
}

fn call(path: &str) -> Call {
    Call::Get {
        path: path.to_owned(),
        query: None,
    }
}

fn secret() -> Secret {
    Secret::from_json(BODY.as_bytes()).unwrap()
}

fn body() -> Zeroizing<String> {
    Zeroizing::new(BODY.to_owned())
}

use super::*;

const OWN: &str = "hvs.own";

fn asking(path: &str) -> Asking<'_> {
    Asking {
        method: "GET",
        path,
        namespace: "",
        token: None,
        is_wrapped: false,
        body: Some(b""),
    }
}

fn decided(asking: &Asking<'_>) -> Result<Passage, Refused> {
    let own = SecretText::new(OWN.to_owned());
    decide(asking, ProxyToken::AgentUnlessGiven, Some(&own))
}

#[test]
fn each_path_has_one_spelling() {
    for (path, sent, meant) in [
        ("/v1/kv/app", "/v1/kv/app", "/v1/kv/app"),
        ("/v1/kv/%61pp", "/v1/kv/app", "/v1/kv/app"),
        ("/v1//kv/./x/../app/", "/v1/kv/app", "/v1/kv/app"),
        ("/v1/x%2F%2e%2E/kv%2fapp", "/v1/kv/app", "/v1/kv/app"),
        ("/../../v1/kv", "/v1/kv", "/v1/kv"),
        ("/v1/a%20b%3Fc%23", "/v1/a%20b%3Fc%23", "/v1/a b?c#"),
        ("/v1/a\\b%5C", "/v1/a%5Cb%5C", "/v1/a\\b\\"),
        ("/v1/%252D", "/v1/%252D", "/v1/%2D"),
        ("/v1/%C3%A9", "/v1/%C3%A9", "/v1/\u{e9}"),
        ("/v1/%FF", "/v1/%FF", "/v1/\u{fffd}"),
        ("", "/", "/"),
        ("*", "/%2A", "/*"),
    ] {
        let passage = decided(&asking(path)).unwrap();

        assert_eq!((&*passage.path, &*passage.meant), (sent, meant), "{path}");
        assert_eq!(
            decided(&asking(&passage.path)).unwrap().path,
            sent,
            "{path}"
        );
    }
    for path in ["/v1/%", "/v1/%2", "/v1/%zz", "/v1/%+1"] {
        assert_eq!(decided(&asking(path)).unwrap_err(), Refused::Path, "{path}");
    }
}

#[test]
fn a_request_carries_the_token_that_is_configured() {
    use ProxyToken::{Agent, AgentUnlessGiven, Request};

    let own = SecretText::new(OWN.to_owned());
    let another = SecretText::new("hvs.another".to_owned());
    for (whose, given, knows_own, expected) in [
        (Request, Some(&another), true, Some(("hvs.another", false))),
        (Request, None, true, None),
        (Request, Some(&own), true, Some((OWN, true))),
        (
            AgentUnlessGiven,
            Some(&another),
            true,
            Some(("hvs.another", false)),
        ),
        (AgentUnlessGiven, None, true, Some((OWN, true))),
        (AgentUnlessGiven, None, false, None),
        (Agent, Some(&another), true, Some((OWN, true))),
        (Agent, Some(&another), false, None),
    ] {
        let asking = Asking {
            token: given,
            ..asking("/v1/kv/app")
        };

        let passage = decide(&asking, whose, Some(&own).filter(|_| knows_own)).unwrap();

        let carried = passage.token.as_ref().map(SecretText::expose);
        let carried = carried.map(|token| (token, passage.carries_own));
        assert_eq!(carried, expected, "{whose:?} {given:?} {knows_own}");
    }
}

#[test]
fn the_agents_token_is_not_told_whatever_the_way_to_ask() {
    const LOOKUP: &str = r#"{"data":{"id":"hvs.own","accessor":"a","ttl":7},"auth":null}"#;
    const RENEWAL: &str = r#"{"auth":{"client_token":"hvs.own","accessor":"a"}}"#;
    const OTHER: &str = r#"{"data":{"id":"hvs.other","accessor":"b"}}"#;
    let hidden = Some(r#"{"data":{"ttl":7}}"#);
    let blank = Some(r#"{"auth":{"accessor":"","client_token":""}}"#);
    for (method, path, body, answer, expected) in [
        ("GET", "/v1/auth/token/lookup-self", "", LOOKUP, hidden),
        ("GET", "/v1/auth/token/lookup%2Dself", "", LOOKUP, hidden),
        ("GET", "/v1/auth%2Ftoken//lookup-self/", "", LOOKUP, hidden),
        ("GET", "/v1/team/auth/token/lookup-self", "", LOOKUP, hidden),
        (
            "PUT",
            "/v1/auth/token/lookup",
            r#"{"token":"hvs.own"}"#,
            LOOKUP,
            hidden,
        ),
        ("PUT", "/v1/auth/token/lookup", "{}", LOOKUP, hidden),
        (
            "PUT",
            "/v1/auth/token/lookup",
            r#"{"token":"hvs.other"}"#,
            OTHER,
            None,
        ),
        // Vault reads no body of this one.
        (
            "GET",
            "/v1/auth/token/lookup",
            r#"{"token":"hvs.other"}"#,
            LOOKUP,
            hidden,
        ),
        ("GET", "/v1/a/way/that/nobody/knows", "", LOOKUP, hidden),
        ("PUT", "/v1/auth/token/renew-self", "", RENEWAL, blank),
        (
            "PUT",
            "/v1/auth/token/renew",
            r#"{"token":""}"#,
            RENEWAL,
            blank,
        ),
        // A renewal may give it another spelling.
        (
            "GET",
            "/v1/auth/token/lookup-self",
            "",
            OTHER,
            Some(r#"{"data":{}}"#),
        ),
        (
            "GET",
            "/v1/kv/app",
            "",
            r#"{"data":{"password":"hvs.own"}}"#,
            None,
        ),
        (
            "GET",
            "/v1/auth/token/lookup-self",
            "",
            r#"{"errors":[]}"#,
            None,
        ),
        ("GET", "/v1/auth/token/lookup-self", "", "hvs.own", Some("")),
    ] {
        let passage = decided(&Asking {
            method,
            body: Some(body.as_bytes()),
            ..asking(path)
        });

        let told = passage.unwrap().told(answer.as_bytes());

        let told = told.map(|told| String::from_utf8(told).unwrap());
        assert_eq!(told.as_deref(), expected, "{method} {path} {body}");
    }
    let mine = SecretText::new("hvs.mine".to_owned());
    let passage = decided(&Asking {
        token: Some(&mine),
        ..asking("/v1/auth/token/lookup-self")
    });
    assert_eq!(passage.unwrap().told(OTHER.as_bytes()), None);
}

#[test]
fn the_agents_token_is_not_told_where_it_is_written_with_escapes() {
    let passage = decided(&asking("/v1/a/way/that/nobody/knows")).unwrap();

    let told = passage.told(br#"{"data":{"id":"hvs.\u006fwn","ttl":7}}"#);

    assert_eq!(told.as_deref(), Some(&br#"{"data":{"ttl":7}}"#[..]));
}

#[test]
fn nobody_is_handed_the_agents_token_wrapped() {
    for (path, body, refused) in [
        ("/v1/auth/token/lookup-self", Some(&b""[..]), true),
        ("/v1/auth/token/renew-self", Some(b""), true),
        (
            "/v1/auth/token/lookup",
            Some(br#"{"token":"hvs.other"}"#),
            false,
        ),
        ("/v1/auth/token/lookup", None, true),
        ("/v1/kv/app", None, false),
    ] {
        let decided = decided(&Asking {
            method: "PUT",
            is_wrapped: true,
            body,
            ..asking(path)
        });

        assert_eq!(decided.is_err(), refused, "{path}");
    }
}

fn revoked(path: &str, body: Option<&str>) -> Option<Revocation> {
    revoked_by("PUT", path, body)
}

fn revoked_by(method: &str, path: &str, body: Option<&str>) -> Option<Revocation> {
    let passage = decided(&Asking {
        method,
        namespace: "outer",
        ..asking(path)
    });
    passage.unwrap().revoked(body.map(str::as_bytes))
}

fn leases(prefix: &str, namespace: &str) -> Option<Revocation> {
    Some(Revocation::Leases {
        prefix: prefix.to_owned(),
        namespace: namespace.to_owned(),
    })
}

#[test]
fn a_revocation_is_understood_that_names_in_its_body_what_is_to_go() {
    let token = |name: &str| SecretText::new(name.to_owned());
    let own = Some(Revocation::Token(token(OWN)));
    let lease = Some(Revocation::Lease("db/1".to_owned()));
    let accessor = Some(Revocation::Accessor("a".to_owned()));
    for (path, body, expected) in [
        ("/v1/auth/token/revoke-self", "", own.clone()),
        ("/v1/auth/token/revoke%2Dself", "", own.clone()),
        ("/v1/team/auth/token/revoke-self", "", own),
        (
            "/v1/auth/token/revoke/",
            r#"{"token":"x"}"#,
            Some(Revocation::Token(token("x"))),
        ),
        ("/v1/auth/token/revoke", "", None),
        ("/v1/auth/token/revoke", "token=x", Some(Revocation::All)),
        (
            "/v1/auth/token/revoke-orphan",
            r#"{"token":"x"}"#,
            Some(Revocation::TokenAlone(token("x"))),
        ),
        (
            "/v1/auth/token/revoke-accessor",
            r#"{"accessor":"a"}"#,
            accessor,
        ),
        (
            "/v1/sys/leases/revoke",
            r#"{"lease_id":"db/1"}"#,
            lease.clone(),
        ),
        ("/v1/sys/revoke", r#"{"lease_id":"db/1"}"#, lease),
        ("/v1/kv/data/auth", "", None),
    ] {
        assert_eq!(revoked(path, Some(body)), expected, "{path}");
    }
    let unread = revoked("/v1/sys/leases/revoke", None);
    assert_eq!(unread, Some(Revocation::All), "it may have named anything");
    assert_eq!(revoked("/v1/kv/data/app", None), None);
}

#[test]
fn a_revocation_is_understood_that_names_in_its_path_what_is_to_go() {
    let lease = || Some(Revocation::Lease("db/1".to_owned()));
    for (path, expected) in [
        ("/v1/sys/leases/revoke/db/1", lease()),
        ("/v1/sys/leases/revoke/db%2F1", lease()),
        ("/v1/sys/revoke/db/1", lease()),
        (
            "/v1/sys/leases/revoke-force/db/creds",
            leases("db/creds", "outer/"),
        ),
        (
            "/v1/team/sys/leases/revoke-prefix/db/creds/",
            leases("db/creds", "outer/team/"),
        ),
        ("/v1/sys/revoke-prefix/db", leases("db", "outer/")),
        ("/v1/kv/mysys/revoke/x", None),
    ] {
        assert_eq!(revoked(path, None), expected, "{path}");
    }
}

/// A request that reads the settings of a mount revokes nothing, even if Vault is away and does not answer.
#[test]
fn what_was_leased_below_a_mount_goes_with_it_and_with_no_question_about_it() {
    for (path, expected) in [
        ("/v1/sys/mounts/db", leases("db", "outer/")),
        (
            "/v1/team/sys/auth/users/",
            leases("auth/users", "outer/team/"),
        ),
        ("/v1/kv/mysys/mounts/db", None),
    ] {
        assert_eq!(revoked_by("DELETE", path, None), expected, "{path}");
        for method in ["GET", "POST"] {
            assert_eq!(revoked_by(method, path, None), None, "{method} {path}");
        }
    }
}

#[test]
fn a_namespace_has_one_spelling() {
    for (name, spelt) in [
        ("", "root/"),
        ("/", "root/"),
        ("team", "team/"),
        ("/a/b/", "a/b/"),
    ] {
        assert_eq!(namespace(name), spelt, "{name}");
        let passage = decided(&Asking {
            namespace: name,
            ..asking("/v1/sys/revoke-prefix/db")
        });
        let passage = passage.unwrap();
        let revoked = Revocation::Leases {
            prefix: "db".to_owned(),
            namespace: passage.namespace.clone(),
        };
        assert_eq!(passage.namespace, spelt);
        assert_eq!(passage.revoked(None), Some(revoked), "{name}");
    }
}

#[test]
fn a_revocation_counts_where_vault_has_done_it_or_may_have() {
    let count: Vec<u16> = (100..600).filter(|status| may_be_done(*status)).collect();

    assert_eq!(count, [202, 204, 502, 504]);
}

#[test]
fn what_vault_may_have_handed_out_unheard_is_counted() {
    let given = SecretText::new("hvs.another".to_owned());
    let of = |path, token| {
        let asking = Asking {
            token,
            ..asking(path)
        };
        decided(&asking).unwrap()
    };
    let own = of("/v1/database/creds/ro", None);

    for (status, expected) in [
        (None, true),
        (Some(502), true),
        (Some(504), true),
        (Some(200), false),
        (Some(403), false),
        (Some(503), false),
    ] {
        assert_eq!(own.may_be_granted(status), expected, "{status:?}");
    }
    assert!(!of("/v1/database/creds/ro", Some(&given)).may_be_granted(None));
    for path in ["/v1/sys/health", "/v1/a/auth/token/renew-self"] {
        assert!(!of(path, None).may_be_granted(None), "{path}");
    }
}

#[test]
fn what_vault_hands_out_to_others_for_the_agents_token_is_told() {
    let lease = br#"{"lease_id":"database/creds/ro/1","lease_duration":60,"data":{}}"#;
    let token = br#"{"auth":{"client_token":"t","lease_duration":60}}"#;
    let own = decided(&asking("/v1/database/creds/ro")).unwrap();
    let given = SecretText::new("hvs.another".to_owned());
    let others = decided(&Asking {
        token: Some(&given),
        ..asking("/v1/database/creds/ro")
    });

    assert!(own.is_granted(lease) && own.is_granted(token));
    assert!(!own.is_granted(br#"{"lease_id":"","data":{"a":"b"}}"#));
    assert!(!others.unwrap().is_granted(lease));
    for path in [
        "/v1/sys/leases/renew",
        "/v1/sys/leases/renew/database/creds/ro/1",
        "/v1/a/sys/renew/database/creds/ro/1",
        "/v1/sys/renew",
        "/v1/a/auth/token/renew-self",
        "/v1/auth/token/renew",
    ] {
        assert!(!decided(&asking(path)).unwrap().is_granted(lease), "{path}");
    }
}

//! Which requests revoke what.

use planescape_agent_core::Revocation;
use planescape_vault::SecretText;
use serde::Deserialize;

/// A request that Vault answered with 204.
pub(super) struct Done<'a> {
    /// Its path, with `/v1/`.
    pub(super) path: &'a str,
    /// From its headers, with a slash at its end.
    pub(super) namespace: &'a str,
    pub(super) token: Option<&'a SecretText>,
    /// Nothing where it was too long to be read.
    pub(super) body: Option<&'a [u8]>,
}

#[derive(Default, Deserialize)]
struct Body {
    #[serde(default)]
    token: String,
    #[serde(default)]
    accessor: String,
    #[serde(default)]
    lease_id: String,
}

/// What it has revoked. A namespace may stand in the path. Whoever names it in a body that was not read may have meant anything.
pub(super) fn of(done: &Done<'_>) -> Option<Revocation> {
    let path = done.path.strip_prefix("/v1/")?;
    let named = |read: fn(Body) -> Option<Revocation>| match done.body {
        Some(body) => read(serde_json::from_slice(body).unwrap_or_default()),
        None => Some(Revocation::All),
    };
    let ends = |known: &str| path == known || path.ends_with(&format!("/{known}"));
    if ends("auth/token/revoke-self") {
        return done.token.cloned().map(Revocation::Token);
    }
    if ends("auth/token/revoke") {
        return named(|body| said(body.token).map(SecretText::new).map(Revocation::Token));
    }
    if ends("auth/token/revoke-orphan") {
        return named(|body| {
            said(body.token)
                .map(SecretText::new)
                .map(Revocation::TokenAlone)
        });
    }
    if ends("auth/token/revoke-accessor") {
        return named(|body| said(body.accessor).map(Revocation::Accessor));
    }
    if ends("sys/leases/revoke") {
        return named(|body| said(body.lease_id).map(Revocation::Lease));
    }
    for known in ["sys/leases/revoke-force/", "sys/leases/revoke-prefix/"] {
        let Some((before, prefix)) = path.split_once(known) else {
            continue;
        };
        let outer = done.namespace.trim_start_matches("root/");
        return Some(Revocation::Leases {
            prefix: prefix.to_owned(),
            namespace: super::cache::namespace(&format!("{outer}{before}")),
        });
    }
    None
}

fn said(text: String) -> Option<String> {
    (!text.is_empty()).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_way_to_revoke_is_understood() {
        let token = || SecretText::new("t".to_owned());
        let cases = [
            (
                "/v1/auth/token/revoke-self",
                "",
                Some(Revocation::Token(token())),
            ),
            (
                "/v1/team/auth/token/revoke-self",
                "",
                Some(Revocation::Token(token())),
            ),
            (
                "/v1/auth/token/revoke",
                r#"{"token":"x"}"#,
                Some(Revocation::Token(SecretText::new("x".to_owned()))),
            ),
            ("/v1/auth/token/revoke", "", None),
            (
                "/v1/auth/token/revoke-orphan",
                r#"{"token":"x"}"#,
                Some(Revocation::TokenAlone(SecretText::new("x".to_owned()))),
            ),
            (
                "/v1/auth/token/revoke-accessor",
                r#"{"accessor":"a"}"#,
                Some(Revocation::Accessor("a".to_owned())),
            ),
            (
                "/v1/sys/leases/revoke",
                r#"{"lease_id":"db/1"}"#,
                Some(Revocation::Lease("db/1".to_owned())),
            ),
            (
                "/v1/team/sys/leases/revoke-prefix/db/creds",
                "",
                Some(Revocation::Leases {
                    prefix: "db/creds".to_owned(),
                    namespace: "outer/team/".to_owned(),
                }),
            ),
            ("/v1/kv/data/auth", "", None),
        ];
        for (path, body, expected) in cases {
            let done = Done {
                path,
                namespace: "outer/",
                token: Some(&token()),
                body: Some(body.as_bytes()),
            };

            assert_eq!(of(&done), expected, "{path}");
        }
    }

    #[test]
    fn a_body_that_was_not_read_may_have_named_anything() {
        let of = |path| {
            of(&Done {
                path,
                namespace: "root/",
                token: None,
                body: None,
            })
        };

        assert_eq!(of("/v1/sys/leases/revoke"), Some(Revocation::All));
        assert_eq!(of("/v1/kv/data/app"), None);
    }
}

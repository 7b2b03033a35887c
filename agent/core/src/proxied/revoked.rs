//! The revocations that requests ask for.

use planescape_vault::SecretText;
use serde::Deserialize;

use super::Passage;
use crate::cache::Revocation;

#[derive(Default, Deserialize)]
struct Body {
    #[serde(default)]
    token: String,
    #[serde(default)]
    accessor: String,
    #[serde(default)]
    lease_id: String,
}

/// The revocation by a request once it is done. A body that was not read may have named anything.
pub(super) fn by(passage: &Passage, body: Option<&[u8]>) -> Option<Revocation> {
    let ends = |known| passage.ends(known);
    if ends("auth/token/revoke-self") {
        return passage.token.clone().map(Revocation::Token);
    }
    let by_body: fn(Body) -> Revocation = if ends("auth/token/revoke") {
        |body| Revocation::Token(SecretText::new(body.token))
    } else if ends("auth/token/revoke-orphan") {
        |body| Revocation::TokenAlone(SecretText::new(body.token))
    } else if ends("auth/token/revoke-accessor") {
        |body| Revocation::Accessor(body.accessor)
    } else if ends("sys/leases/revoke") || ends("sys/revoke") {
        |body| Revocation::Lease(body.lease_id)
    } else {
        return by_path(passage);
    };
    Some(match body {
        Some([]) => return None,
        // Vault reads forms, too.
        Some(body) => serde_json::from_slice(body).map_or(Revocation::All, by_body),
        None => Revocation::All,
    })
}

fn by_path(passage: &Passage) -> Option<Revocation> {
    let path = passage.meant.strip_prefix("/v1/")?;
    // `leases/` may be left out.
    let after = |known: &str| {
        let kinds = [format!("sys/leases/{known}/"), format!("sys/{known}/")];
        kinds.iter().find_map(|kind| around(path, kind))
    };
    if let Some((_, id)) = after("revoke") {
        return Some(Revocation::Lease(id.to_owned()));
    }
    let prefixed = after("revoke-force").or_else(|| after("revoke-prefix"));
    let (before, prefix) = match prefixed {
        Some((before, prefix)) => (before, prefix.to_owned()),
        None if passage.deletes => with_a_mount(path)?,
        // Other methods read the settings of a mount, or change them.
        None => return None,
    };
    let outer = passage.namespace.trim_start_matches("root/");
    Some(Revocation::Leases {
        prefix,
        namespace: super::namespace(&format!("{outer}{before}")),
    })
}

/// The leases below a mount go with it.
fn with_a_mount(path: &str) -> Option<(&str, String)> {
    let mut mounts = [("sys/mounts/", ""), ("sys/auth/", "auth/")].into_iter();
    mounts.find_map(|(mounts, kind)| {
        let (before, mount) = around(path, mounts)?;
        Some((before, [kind, mount].concat()))
    })
}

/// The parts of a path before and after a known one that begins at a whole name.
fn around<'a>(path: &'a str, known: &str) -> Option<(&'a str, &'a str)> {
    let (before, after) = path.split_once(known)?;
    (before.is_empty() || before.ends_with('/')).then_some((before, after))
}

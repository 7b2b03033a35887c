//! The reads in Vault, for a run's receipt.

use std::fmt::Write as _;

use planescape_vault::Secret;
use planescape_vault::mount::Mount;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// One answer of Vault, without its content. Only the name of a user that a database engine has made is taken from it,
/// since the name stands in the database's own list of users.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Access {
    /// The path that was asked for.
    pub path: String,
    /// Of a KV secret with versions, which one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<u64>,
    /// A digest of the lease's id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease: Option<String>,
    /// How long Vault has let the lease live at first, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl_seconds: Option<u64>,
    /// The database's user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// The id of the request in Vault's audit log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<String>,
}

impl Access {
    /// The receipt of an answer at a path in a mount, as far as the mount is known.
    #[must_use]
    pub fn of(path: &str, answer: &Secret, mount: Option<&Mount>) -> Self {
        let lease = Some(answer.lease_id()).filter(|id| !id.is_empty());
        let request = String::from_utf8_lossy(answer.request_id()).into_owned();
        let is_user = lease.is_some() && mount.is_some_and(Mount::is_database);
        let user = is_user.then(|| answer.text_field("username")).flatten();
        let version = mount.filter(|mount| mount.is_kv_v2());
        Self {
            path: path.to_owned(),
            version: version.and_then(|_| answer.version()),
            lease: lease.map(digest),
            ttl_seconds: lease.map(|_| answer.lease_duration().as_secs()),
            user: user.map(str::to_owned),
            request: Some(request).filter(|id| !id.is_empty()),
        }
    }
}

/// Names a lease or an accessor without giving it away: 16 hexadecimal digits.
#[must_use]
pub fn digest(id: &str) -> String {
    let digest = Sha256::digest(id.as_bytes());
    let mut text = String::with_capacity(16);
    for byte in &digest[..8] {
        write!(text, "{byte:02x}").expect("a text takes everything");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_no_value_but_the_name_of_a_database_user() {
        let body = br#"{"request_id":"r1","lease_id":"database/creds/ro/abc","lease_duration":60,
            "data":{"username":"v-user","password":"canary"}}"#;
        let answer = Secret::from_json(body).unwrap();
        let database = Mount::new("database/", "database", "");

        let access = Access::of("database/creds/ro", &answer, Some(&database));
        assert_eq!(access.user.as_deref(), Some("v-user"));
        assert_eq!(access.ttl_seconds, Some(60));
        assert_eq!(access.request.as_deref(), Some("r1"));
        let text = serde_json::to_string(&access).unwrap();
        assert!(!text.contains("canary") && !text.contains("abc"), "{text}");

        let other = Mount::new("rabbitmq/", "rabbitmq", "");
        for mount in [None, Some(&other)] {
            assert_eq!(Access::of("x/creds/ro", &answer, mount).user, None);
        }
    }

    #[test]
    fn a_digest_is_how_sha_256_begins() {
        assert_eq!(digest("abc"), "ba7816bf8f01cfea");
    }

    #[test]
    fn a_version_is_that_of_a_versioned_mount_and_no_field_of_a_secret() {
        let body = br#"{"data":{"data":{"a":"b"},"metadata":{"version":7}}}"#;
        let answer = Secret::from_json(body).unwrap();
        let version = |kind: &str| {
            let mount = Mount::new("kv/", "kv", kind);
            Access::of("kv/app", &answer, Some(&mount)).version
        };

        assert_eq!(version("2"), Some(7));
        assert_eq!(version("1"), None);
    }
}

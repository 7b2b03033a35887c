//! Every annotation key that the Agent Injector knows, and what we make of it; and the few that
//! only we know.

/// Both prefixes mean the same.
pub(super) const PREFIXES: [&str; 2] = ["vault.hashicorp.com/", "openbao.org/"];

/// A key without its prefix.
pub(super) struct Key {
    pub(super) name: &'static str,
    /// Whether the name of a secret or setting follows, as in `agent-inject-secret-db`.
    pub(super) takes_suffix: bool,
    pub(super) is_built: bool,
}

const fn built(name: &'static str) -> Key {
    Key {
        name,
        takes_suffix: false,
        is_built: true,
    }
}

const fn built_with_suffix(name: &'static str) -> Key {
    Key {
        name,
        takes_suffix: true,
        is_built: true,
    }
}

const fn not_yet(name: &'static str) -> Key {
    Key {
        name,
        takes_suffix: false,
        is_built: false,
    }
}

const fn not_yet_with_suffix(name: &'static str) -> Key {
    Key {
        name,
        takes_suffix: true,
        is_built: false,
    }
}

const KEYS: &[Key] = &[
    built("agent-auto-auth-exit-on-err"),
    not_yet("agent-cache-enable"),
    not_yet("agent-cache-exit-on-err"),
    not_yet("agent-cache-listener-port"),
    not_yet("agent-cache-use-auto-auth-token"),
    not_yet("agent-configmap"),
    not_yet("agent-copy-volume-mounts"),
    not_yet("agent-disable-idle-connections"),
    not_yet("agent-disable-keep-alives"),
    not_yet("agent-enable-quit"),
    not_yet("agent-extra-secret"),
    built("agent-image"),
    built("agent-init-first"),
    not_yet("agent-init-json-patch"),
    built("agent-inject"),
    not_yet_with_suffix("agent-inject-command-"),
    built("agent-inject-containers"),
    built("agent-inject-default-template"),
    built_with_suffix("agent-inject-file-"),
    built_with_suffix("agent-inject-perms-"),
    built_with_suffix("agent-inject-secret-"),
    built("agent-inject-status"),
    built_with_suffix("agent-inject-template-"),
    not_yet_with_suffix("agent-inject-template-file-"),
    not_yet("agent-inject-token"),
    not_yet("agent-json-patch"),
    built("agent-limits-cpu"),
    built("agent-limits-ephemeral"),
    built("agent-limits-mem"),
    built("agent-pre-populate"),
    built("agent-pre-populate-only"),
    not_yet("agent-request-namespace"),
    built("agent-requests-cpu"),
    built("agent-requests-ephemeral"),
    built("agent-requests-mem"),
    not_yet("agent-revoke-grace"),
    built("agent-revoke-on-shutdown"),
    built("agent-run-as-group"),
    built("agent-run-as-same-user"),
    built("agent-run-as-user"),
    built("agent-service-account-token-volume-name"),
    built("agent-set-security-context"),
    not_yet("agent-share-process-namespace"),
    not_yet_with_suffix("agent-telemetry-"),
    built_with_suffix("agent-template-left-delim-"),
    built_with_suffix("agent-template-right-delim-"),
    built_with_suffix("auth-config-"),
    built("auth-max-backoff"),
    built("auth-min-backoff"),
    built("auth-path"),
    built("auth-type"),
    built("ca-cert"),
    built("ca-key"),
    built("client-cert"),
    built("client-key"),
    not_yet("client-max-retries"),
    not_yet("client-timeout"),
    built_with_suffix("error-on-missing-key-"),
    not_yet("go-max-procs"),
    built("log-format"),
    built("log-level"),
    built("namespace"),
    built("preserve-secret-case"),
    built_with_suffix("preserve-secret-case-"),
    not_yet("proxy-address"),
    built("role"),
    built("secret-volume-path"),
    built_with_suffix("secret-volume-path-"),
    built("service"),
    built("template-config-exit-on-retry-failure"),
    built("template-lease-renewal-threshold"),
    built("template-max-connections-per-host"),
    built("template-static-secret-render-interval"),
    built("tls-secret"),
    built("tls-server-name"),
    built("tls-skip-verify"),
];

/// What the injector does not have: the second template language, and whom the token is for.
const OURS: &[Key] = &[
    built("agent-inject-default-template-engine"),
    built("auth-audience"),
    built_with_suffix("agent-inject-template-engine-"),
    built_with_suffix("agent-inject-template-output-"),
];

fn all() -> impl Iterator<Item = &'static Key> {
    KEYS.iter().chain(OURS)
}

/// The keys that are accepted, without suffix.
#[cfg(test)]
pub(super) fn built_names() -> impl Iterator<Item = &'static str> {
    all().filter(|key| key.is_built).map(|key| key.name)
}

/// The key that a name stands for; of two that fit, the longer.
pub(super) fn find(name: &str) -> Option<&'static Key> {
    all()
        .filter(|key| {
            if key.takes_suffix {
                name.len() > key.name.len() && name.starts_with(key.name)
            } else {
                name == key.name
            }
        })
        .max_by_key(|key| key.name.len())
}

/// The known key that a misspelt name most likely stands for, with the name's own suffix.
pub(super) fn nearest(name: &str) -> String {
    all()
        .flat_map(|key| spellings(key, name))
        .min_by_key(|(spelling, _)| strsim::osa_distance(name, spelling))
        .map(|(_, shown)| shown)
        .expect("there are keys")
}

/// What the name may have been meant to be, and how to say that. A suffix may begin at any dash.
fn spellings(key: &'static Key, name: &str) -> Vec<(String, String)> {
    if !key.takes_suffix {
        return vec![(key.name.to_owned(), key.name.to_owned())];
    }
    let bare = key.name.trim_end_matches('-').to_owned();
    let mut spellings = vec![(bare, format!("{}<name>", key.name))];
    for (dash, _) in name.match_indices('-') {
        let whole = format!("{}{}", key.name, &name[dash + 1..]);
        spellings.push((whole.clone(), whole));
    }
    spellings
}

#[cfg(test)]
mod tests {
    use planescape_templates::spelling::closest;

    use super::*;

    #[test]
    fn knows_the_74_keys_of_the_injector() {
        let bare = |key: &Key| key.name.trim_end_matches('-').to_owned();

        let names: std::collections::BTreeSet<String> = KEYS.iter().map(bare).collect();

        assert_eq!(names.len(), 74);
    }

    #[test]
    fn takes_the_longer_of_two_keys_that_fit() {
        assert!(find("agent-inject-template-db").is_some_and(|key| key.is_built));
        assert!(find("agent-inject-template-file-db").is_some_and(|key| !key.is_built));
        let key = find("agent-inject-template-engine-db").expect("it is a key");
        assert_eq!(key.name, "agent-inject-template-engine-");
    }

    #[test]
    fn knows_no_key_whose_suffix_is_empty() {
        assert!(find("agent-inject-secret-").is_none());
        assert!(find("agent-inject-secret").is_none());
    }

    #[test]
    fn suggests_the_nearest_key_with_the_suffix_kept() {
        for (misspelt, meant) in [
            ("rol", "role"),
            ("agent-inject-secrets-db", "agent-inject-secret-db"),
            ("agent-inject-tempalte-db", "agent-inject-template-db"),
            ("agent-inject-secret", "agent-inject-secret-<name>"),
            ("auth_path", "auth-path"),
            ("agent-injects", "agent-inject"),
            ("secret-volume-pth-my-db", "secret-volume-path-my-db"),
        ] {
            assert_eq!(nearest(misspelt), meant);
        }
    }

    #[test]
    fn suggests_nothing_that_is_far_away() {
        assert_eq!(closest("bd", ["db", "cache"].into_iter()), Some("db"));
        assert_eq!(closest("x", ["database"].into_iter()), None);
    }
}

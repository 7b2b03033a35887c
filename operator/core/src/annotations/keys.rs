//! Every annotation key that the Agent Injector knows, and what we make of it; and the few that
//! only we know.

/// Both prefixes mean the same.
pub(super) const PREFIXES: [&str; 2] = ["vault.hashicorp.com/", "openbao.org/"];

/// Keys with our own prefix.
pub(super) const OWN: &[&str] = &["planescape.io/lease-guard"];

/// A key without its prefix, if it is for the agent.
pub(super) fn name(key: &str) -> Option<&str> {
    let own = OWN.contains(&key).then(|| key.split_once('/'));
    let own = own.flatten().map(|(_, name)| name);
    own.or_else(|| PREFIXES.iter().find_map(|prefix| key.strip_prefix(prefix)))
}

/// A key without its prefix.
pub(super) struct Key {
    pub(super) name: &'static str,
    /// Whether the name of a secret or setting follows, as in `agent-inject-secret-db`.
    pub(super) takes_suffix: bool,
    /// Whether it says more about a secret that another key declares.
    is_companion: bool,
    pub(super) is_built: bool,
    /// A value that changes the pod, for the reference page and the guards; empty for what is not built.
    pub(super) example: &'static str,
    /// For the reference page; empty for what is not built.
    meaning: &'static str,
}

const fn key(name: &'static str) -> Key {
    Key {
        name,
        takes_suffix: false,
        is_companion: false,
        is_built: false,
        example: "",
        meaning: "",
    }
}

const fn built(name: &'static str, example: &'static str, meaning: &'static str) -> Key {
    Key {
        is_built: true,
        example,
        meaning,
        ..key(name)
    }
}

const fn built_with_suffix(
    name: &'static str,
    example: &'static str,
    meaning: &'static str,
) -> Key {
    Key {
        takes_suffix: true,
        ..built(name, example, meaning)
    }
}

const fn companion(name: &'static str, example: &'static str, meaning: &'static str) -> Key {
    Key {
        is_companion: true,
        ..built_with_suffix(name, example, meaning)
    }
}

const fn not_yet(name: &'static str) -> Key {
    key(name)
}

const fn not_yet_with_suffix(name: &'static str) -> Key {
    Key {
        takes_suffix: true,
        ..key(name)
    }
}

const KEYS: &[Key] = &[
    built(
        "agent-auto-auth-exit-on-err",
        "true",
        "`\"true\"`: the first login that fails ends the agent",
    ),
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
    built(
        "agent-image",
        "registry.example/planescape-agent:0.1.0",
        "the agent's image, instead of the operator's setting",
    ),
    built(
        "agent-init-first",
        "false",
        "`\"false\"`: the agent is the last of the init containers, as behind the proxy of a mesh; the first otherwise",
    ),
    not_yet("agent-init-json-patch"),
    built(
        "agent-inject",
        "true",
        "`\"true\"`: write the agent into the pod",
    ),
    companion(
        "agent-inject-command-",
        "kill -HUP 1",
        "what the agent runs in its own container after the file has changed; where it fails it is tried again, and the job starts all the same",
    ),
    built(
        "agent-inject-containers",
        "app",
        "the containers that get the files, with commas; all otherwise",
    ),
    built(
        "agent-inject-default-template",
        "json",
        "`map` or `json`, for secrets without a template",
    ),
    companion("agent-inject-file-", "db.env", "another file name"),
    companion(
        "agent-inject-perms-",
        "0400",
        "the file's mode, for example `\"0400\"`; 0644 otherwise",
    ),
    built_with_suffix(
        "agent-inject-secret-",
        "kv/data/db",
        "a path in Vault, rendered to `/vault/secrets/NAME`",
    ),
    built(
        "agent-inject-status",
        "injected",
        "`injected` is written by injectors: such a pod is left as it is",
    ),
    built_with_suffix(
        "agent-inject-template-",
        "{{ timestamp }}",
        "the template; without it, a line `key: value` for each field",
    ),
    not_yet_with_suffix("agent-inject-template-file-"),
    not_yet("agent-inject-token"),
    not_yet("agent-json-patch"),
    built(
        "agent-limits-cpu",
        "2",
        "how much processor the agent may use; an empty text takes the operator's setting away",
    ),
    built(
        "agent-limits-ephemeral",
        "2Gi",
        "how much storage, likewise",
    ),
    built("agent-limits-mem", "2Gi", "how much memory, likewise"),
    built(
        "agent-pre-populate",
        "false",
        "`\"false\"` is what a native sidecar does anyway",
    ),
    built(
        "agent-pre-populate-only",
        "true",
        "`\"true\"`: an init container renders and exits. Quicker by two seconds; nothing is renewed, and the credentials live to their TTL; where nothing is leased, the token is revoked. An attempt that fails revokes its token; where `restartPolicy` is `Never`, a Vault that is down delays the pod and does not fail it",
    ),
    not_yet("agent-request-namespace"),
    built(
        "agent-requests-cpu",
        "2",
        "how much processor is kept for the agent",
    ),
    built(
        "agent-requests-ephemeral",
        "1Gi",
        "how much storage, likewise",
    ),
    built("agent-requests-mem", "1Gi", "how much memory, likewise"),
    not_yet("agent-revoke-grace"),
    built(
        "agent-revoke-on-shutdown",
        "false",
        "`\"false\"`: the token lives on when the job ends",
    ),
    built(
        "agent-run-as-group",
        "2000",
        "the number of the agent's group",
    ),
    built(
        "agent-run-as-same-user",
        "true",
        "`\"true\"`: the agent is the user of the first container",
    ),
    built(
        "agent-run-as-user",
        "2000",
        "the number of the agent's user",
    ),
    built(
        "agent-service-account-token-volume-name",
        "token",
        "a projected volume of the pod whose token to use",
    ),
    built(
        "agent-set-security-context",
        "false",
        "`\"false\"`: the agent gets no security context of its own",
    ),
    not_yet("agent-share-process-namespace"),
    not_yet_with_suffix("agent-telemetry-"),
    companion(
        "agent-template-left-delim-",
        "<<",
        "what opens an action; `{{` otherwise",
    ),
    companion(
        "agent-template-right-delim-",
        ">>",
        "what closes an action; `}}` otherwise",
    ),
    built_with_suffix(
        "auth-config-",
        "/var/run/vault/token",
        "a setting of the auth method, as in the agent's configuration",
    ),
    built(
        "auth-max-backoff",
        "1h",
        "the longest wait after a failed login",
    ),
    built(
        "auth-min-backoff",
        "7s",
        "the first wait after a failed login",
    ),
    built(
        "auth-path",
        "auth/team",
        "where the auth method is mounted; `auth/kubernetes` otherwise; `auth/` may be left out",
    ),
    built("auth-type", "kubernetes", "`kubernetes`"),
    built(
        "ca-cert",
        "/vault/tls/ca.pem",
        "a file of certificate authorities in the agent's container",
    ),
    built("ca-key", "/vault/tls", "a folder of such files"),
    built(
        "client-cert",
        "/vault/tls/client.pem",
        "a file with the agent's certificate in its container",
    ),
    built(
        "client-key",
        "/vault/tls/client.key",
        "the file with its key",
    ),
    not_yet("client-max-retries"),
    not_yet("client-timeout"),
    companion(
        "error-on-missing-key-",
        "true",
        "`\"true\"`: a key that the secret lacks is an error",
    ),
    not_yet("go-max-procs"),
    built("log-format", "json", "`standard` or `json`"),
    built(
        "log-level",
        "debug",
        "`trace`, `debug`, `info`, `warn` or `error`",
    ),
    built("namespace", "team", "the Vault namespace"),
    built(
        "preserve-secret-case",
        "true",
        "`\"true\"`: the names of files keep their capitals",
    ),
    companion("preserve-secret-case-", "true", "the same for one file"),
    not_yet("proxy-address"),
    built(
        "role",
        "billing",
        "the role of Vault's Kubernetes auth method; required",
    ),
    built(
        "secret-volume-path",
        "/secrets",
        "another folder than `/vault/secrets`",
    ),
    companion("secret-volume-path-", "/secrets", "the same for one file"),
    built(
        "service",
        "https://vault.example:8200",
        "Vault's address, instead of the operator's setting",
    ),
    built(
        "template-config-exit-on-retry-failure",
        "false",
        "`\"false\"`: the agent tries for ever",
    ),
    built(
        "template-lease-renewal-threshold",
        "0.5",
        "the share of a lease that cannot be renewed after which it is read again; 0.9 otherwise",
    ),
    built(
        "template-max-connections-per-host",
        "3",
        "how many requests are in flight at once; 10 otherwise",
    ),
    built(
        "template-static-secret-render-interval",
        "1h",
        "how often secrets without a lease are read again; `5m` otherwise",
    ),
    built(
        "tls-secret",
        "vault-tls",
        "a Secret that is mounted at `/vault/tls`, for the files above; while it is missing the pod does not start",
    ),
    built(
        "tls-server-name",
        "vault.example",
        "the name that Vault's certificate must carry",
    ),
    built(
        "tls-skip-verify",
        "true",
        "`\"true\"`: accept any certificate",
    ),
];

/// Keys that the injector does not have, such as those of the second template language.
const OURS: &[Key] = &[
    built(
        "agent-inject-default-template-engine",
        "handlebars",
        "`go` or `handlebars` for all templates that do not say it themselves; `go` otherwise",
    ),
    built(
        "auth-audience",
        "vault",
        "whom the token that the agent logs in with is for, as the role's `audience` says; the operator's setting `PLANESCAPE_VAULT_AUDIENCE` otherwise. Without either, Vault receives a token that the API server accepts, too. A role without an `audience` takes only such a token",
    ),
    built(
        "lease-guard",
        "5m",
        "how long the token of an agent that is lost with its node may live on, with every lease: at least a minute, or `off`; the operator's setting `PLANESCAPE_LEASE_GUARD` otherwise, 30 minutes. Best written as `planescape.io/lease-guard`",
    ),
    companion(
        "agent-inject-template-engine-",
        "handlebars",
        "`go` or `handlebars`: the language of the template",
    ),
    companion(
        "agent-inject-template-output-",
        "base64-decoded",
        "`base64-decoded`: the rendered text is base64, and the file is what it stands for",
    ),
];

fn all() -> impl Iterator<Item = &'static Key> {
    KEYS.iter().chain(OURS)
}

/// Keys that say more about a secret that another one declares.
pub(super) fn companions() -> impl Iterator<Item = &'static str> {
    all().filter(|key| key.is_companion).map(|key| key.name)
}

/// The page of all annotations.
#[must_use]
pub fn page() -> String {
    let shown = |key: &Key| match key.takes_suffix {
        true => format!("`{}NAME`", key.name),
        false => format!("`{}`", key.name),
    };
    let (mut built, others): (Vec<&Key>, Vec<&Key>) = all().partition(|key| key.is_built);
    built.sort_by_key(|key| key.name);
    let mut page = "# Annotations

<!-- Generated by `planescape annotations`. -->

Each has the prefix `vault.hashicorp.com/` or `openbao.org/`; `NAME` is yours. Where `agent-inject` is `\"true\"`, a key
that is not here is refused with the nearest one that is, and so is a value that the agent would refuse.

| Annotation | For example | Meaning |
| --- | --- | --- |
"
    .to_owned();
    for key in built {
        page.push_str(&format!(
            "| {} | `{:?}` | {} |\n",
            shown(key),
            key.example,
            key.meaning
        ));
    }
    page.push_str("\nThe Vault Agent Injector has these, too, and they are refused for now:\n");
    let others: Vec<String> = others.into_iter().map(shown).collect();
    page.push_str(&format!("{}.\n", others.join(", ")));
    page
}

/// The keys that are accepted.
#[cfg(test)]
pub(super) fn built_keys() -> impl Iterator<Item = &'static Key> {
    all().filter(|key| key.is_built)
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

/// Spellings that the name may have been meant for, each with the text to print. A suffix may begin at any dash.
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
    fn the_page_is_what_the_table_says() {
        assert!(
            page() == include_str!("../../../../docs/reference/annotations.md"),
            "write the output of `planescape annotations` to docs/reference/annotations.md"
        );
    }

    #[test]
    fn takes_the_longer_of_two_keys_that_fit() {
        assert!(find("agent-inject-template-db").is_some_and(|key| key.is_built));
        assert!(find("agent-inject-template-file-db").is_some_and(|key| !key.is_built));
        let key = find("agent-inject-template-engine-db").expect("it is a key");
        assert_eq!(key.name, "agent-inject-template-engine-");
    }

    #[test]
    fn of_our_own_prefix_one_key_is_for_the_agent() {
        let keys = [
            "planescape.io/lease-guard",
            "planescape.io/role",
            "openbao.org/role",
        ];

        assert_eq!(keys.map(name), [Some("lease-guard"), None, Some("role")]);
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

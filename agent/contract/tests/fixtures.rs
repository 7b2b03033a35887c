//! The configurations that the tests of `vault agent` and `bao agent` load, by their names there and written anew: each
//! is accepted with what it says, or refused with a sentence. A file that upstream only loads, and that could not run,
//! is refused, and read beside another one.

use std::time::Duration;

use planescape_agent_contract::{
    Aad, Config, Encryption, Hook, ListenAddress, MountPath, Overrides, Persist, ProxyToken,
    Signal, Sink, TemplateText, Tree,
};

/// The name of a configuration, its files in order, and a check of its meaning.
type Accepted = (&'static str, &'static [&'static str], fn(&Config) -> bool);

/// The name of a configuration, its file, and the words of each of its problems.
type Refused = (&'static str, &'static str, &'static [&'static str]);

macro_rules! text {
    ($name:literal) => {
        include_str!(concat!("../testdata/fixtures/", $name, ".hcl"))
    };
}

macro_rules! accepted {
    ($name:literal, $says:expr) => {
        ($name, &[text!($name)], $says)
    };
}

macro_rules! refused {
    ($name:literal, $($says:literal),+) => {
        ($name, text!($name), &[$($says),+])
    };
}

const ACCEPTED: &[Accepted] = &[
    accepted!("config", has_sealed_sinks),
    accepted!("config-embedded-type", has_sealed_sinks),
    accepted!("config-method-wrapping", |it: &Config| wraps(it, 1, false)),
    accepted!("config-method-initial-backoff", |it: &Config| wraps(
        it, 5, false
    )),
    accepted!("config-method-exit-on-err", |it: &Config| wraps(
        it, 5, true
    )),
    accepted!("config-cache", serves),
    accepted!("config-cache-embedded-type", serves),
    accepted!("config-cache-no-auto_auth", |it: &Config| {
        it.proxy.caches && it.auth.method.is_none()
    }),
    (
        "config-cache-no-listeners beside a listener",
        &[
            text!("config-cache-no-auto_auth"),
            text!("config-cache-no-listeners"),
        ],
        |it: &Config| lends(it, ProxyToken::AgentUnlessGiven) && it.templates.len() == 1,
    ),
    accepted!("config-cache-auto_auth-no-sink", |it: &Config| {
        it.auth.sinks.is_empty() && lends(it, ProxyToken::AgentUnlessGiven)
    }),
    accepted!("config-cache-auto_auth-true", |it: &Config| lends(
        it,
        ProxyToken::AgentUnlessGiven
    )),
    accepted!("config-cache-auto_auth-false", |it: &Config| lends(
        it,
        ProxyToken::Request
    )),
    accepted!("config-cache-auto_auth-force", |it: &Config| lends(
        it,
        ProxyToken::Agent
    )),
    accepted!("config-cache-persist-false", |it: &Config| {
        let persist = it.proxy.persist.as_ref();
        persist.is_some_and(|it| !it.keeps_after_import && !it.exits_on_error)
    }),
    accepted!(
        "config-api_proxy-auto_auth-all-api_proxy-config",
        |it: &Config| lends(it, ProxyToken::Agent) && !it.proxy.caches
    ),
    accepted!("config-template-min", |it: &Config| renders(it, 1, 1)),
    accepted!("config-template-min-nosink", |it: &Config| renders(
        it, 1, 0
    )),
    accepted!("config-template-full", |it: &Config| renders(it, 1, 1)
        && says_everything(it)),
    accepted!("config-template-full-nosink", |it: &Config| renders(
        it, 1, 0
    )
        && says_everything(it)),
    accepted!("config-template-many", |it: &Config| renders(it, 2, 1)
        && says_a_little(it)),
    accepted!("config-template-many-nosink", |it: &Config| renders(
        it, 2, 0
    )
        && says_a_little(it)),
    accepted!("config-template-with-cache", |it: &Config| {
        renders(it, 1, 1) && it.proxy.caches
    }),
    (
        "config-template_config beside a listener",
        &[
            text!("config-template_config"),
            text!("config-cache-no-auto_auth"),
        ],
        |it: &Config| retries(it, 5) && tries(it, true, 60),
    ),
    (
        "config-template_config-empty beside a listener",
        &[
            text!("config-template_config-empty"),
            text!("config-cache-no-auto_auth"),
        ],
        |it: &Config| retries(it, 12) && tries(it, false, 300),
    ),
    accepted!("config-vault-retry", |it: &Config| retries(it, 5)),
    accepted!("config-vault-retry-empty", |it: &Config| retries(it, 12)),
    accepted!("config-disable-idle-connections-all", |it: &Config| closes(
        it, true, true
    )),
    accepted!(
        "config-disable-idle-connections-auto-auth",
        |it: &Config| closes(it, true, false)
    ),
    accepted!("config-disable-idle-connections-caching", |it: &Config| {
        closes(it, false, true)
    }),
    accepted!("config-disable-idle-connections-proxying", |it: &Config| {
        closes(it, false, true)
    }),
    accepted!(
        "config-disable-idle-connections-templating",
        |it: &Config| closes(it, true, false)
    ),
    accepted!("config-disable-idle-connections-empty", |it: &Config| {
        closes(it, false, false)
    }),
    accepted!("config-disable-keep-alives-all", |it: &Config| closes(
        it, true, true
    )),
    accepted!(
        "config-disable-keep-alives-auto-auth",
        |it: &Config| closes(it, true, false)
    ),
    accepted!("config-disable-keep-alives-caching", |it: &Config| closes(
        it, false, true
    )),
    accepted!("config-disable-keep-alives-proxying", |it: &Config| closes(
        it, false, true
    )),
    accepted!("config-disable-keep-alives-templating", |it: &Config| {
        closes(it, true, false)
    }),
    accepted!("config-disable-keep-alives-empty", |it: &Config| closes(
        it, false, false
    )),
    accepted!("config-env-templates-simple", |it: &Config| {
        starts(it, true, "SIGTERM") && it.templates.len() == 2
    }),
    accepted!("config-env-templates-complex", |it: &Config| {
        starts(it, false, "SIGINT") && it.proxy.caches
    }),
    accepted!("config-env-templates-with-source", |it: &Config| {
        starts(it, true, "SIGTERM") && matches!(it.templates[0].text, TemplateText::File(_))
    }),
    (
        "config-dir-cache",
        &[text!("config-dir-cache-1"), text!("config-dir-cache-2")],
        |it: &Config| lends(it, ProxyToken::AgentUnlessGiven) && it.proxy.listeners.len() == 4,
    ),
    (
        "config-dir-auto-auth-and-listener",
        &[
            text!("config-dir-auto-auth-and-listener-1"),
            text!("config-dir-auto-auth-and-listener-2"),
        ],
        |it: &Config| has_a_method(it) && it.proxy.listeners.len() == 1,
    ),
    (
        "config-dir-vault-block",
        &[
            text!("config-dir-vault-block-1"),
            text!("config-dir-vault-block-2"),
        ],
        |it: &Config| {
            let address = it.vault.connection.address.as_str();
            lends(it, ProxyToken::AgentUnlessGiven) && address == "http://127.0.0.1:1111"
        },
    ),
];

const REFUSED: &[Refused] = &[
    refused!(
        "bad-config-auto_auth-wrapped-multiple-sinks",
        "wrapping enabled on auth method and 0 or many sinks defined"
    ),
    refused!(
        "bad-config-method-wrapping-and-sink-wrapping",
        "wrapping enabled both on auth method and sink"
    ),
    refused!(
        "bad-config-disable-idle-connections",
        "unknown disable_idle_connections value: foo"
    ),
    refused!(
        "bad-config-disable-keep-alives",
        "unknown disable_keep_alives value: foo"
    ),
    refused!(
        "bad-config-env-templates-no-name",
        "expected one and only one environment variable name, got 0"
    ),
    refused!(
        "bad-config-env-templates-invalid-signal",
        "invalid signal \"notasignal\""
    ),
    refused!(
        "bad-config-env-templates-exec-signal-does-not-exist",
        "invalid signal \"SIGNOTHING\""
    ),
    refused!(
        "config-cache-persist-empty-type",
        "persist type must be specified"
    ),
    refused!(
        "bad-config-cache-inconsistent-auto_auth",
        "cache.use_auto_auth_token: is true but auto_auth not configured"
    ),
    refused!(
        "bad-config-cache-force-token-no-auth-method",
        "cache.use_auto_auth_token: is true but auto_auth not configured"
    ),
    refused!(
        "bad-config-cache-auto_auth-method-wrapping",
        "cache.use_auto_auth_token: is true and auto_auth uses wrapping"
    ),
    refused!(
        "bad-config-cache-no-listeners",
        "enabling the cache requires at least 1 template or 1 listener to be defined"
    ),
    refused!(
        "config-cache-no-listeners",
        "configuring the api_proxy requires at least 1 listener to be defined"
    ),
    refused!(
        "bad-config-auto_auth-nosinks-nocache-notemplates",
        "requires at least one sink or at least one template"
    ),
    refused!(
        "bad-config-api_proxy-cache",
        "use_auto_auth_token defined in both api_proxy and cache config"
    ),
    refused!(
        "bad-config-env-templates-missing-exec",
        "a top-level 'exec' element must be specified with 'env_template' entries"
    ),
    refused!(
        "bad-config-env-templates-with-proxy",
        "'env_template' cannot be specified with 'api_proxy'"
    ),
    refused!(
        "bad-config-env-templates-with-file-templates",
        "'exec' cannot be specified with 'template' entries"
    ),
    refused!(
        "bad-config-env-templates-disalowed-fields",
        "'create_dest_dirs' is not allowed",
        "'destination' is not allowed"
    ),
    refused!(
        "config-template_config",
        "no auto_auth, cache, or listener block found in config"
    ),
    refused!(
        "config-template_config-empty",
        "no auto_auth, cache, or listener block found in config"
    ),
];

#[test]
fn what_upstream_accepts_is_accepted_and_says_the_same() {
    for (name, texts, says) in ACCEPTED {
        let trees: Vec<Tree> = texts.iter().map(|text| parsed(name, text)).collect();

        let config = Config::new(&trees, &Overrides::default());

        let config = config.unwrap_or_else(|problems| panic!("{name}: {problems}"));
        let mut warnings = config.warnings.iter();
        // Nothing logs in for some of them.
        let is_known = warnings.all(|warning| warning.reason.starts_with("is never rendered"));
        assert!(is_known, "{name}: {:?}", config.warnings);
        assert!(says(&config), "{name}: {config:?}");
    }
}

#[test]
fn what_upstream_refuses_is_refused_with_a_sentence() {
    for (name, text, says) in REFUSED {
        let problems = Config::new(&[parsed(name, text)], &Overrides::default());

        let problems = problems.expect_err(name);
        let problems: Vec<String> = problems
            .as_slice()
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(problems.len(), says.len(), "{name}: {problems:?}");
        for (problem, said) in problems.iter().zip(*says) {
            assert!(problem.contains(said), "{name}: {problem}");
        }
    }
}

fn parsed(name: &str, text: &str) -> Tree {
    Tree::parse(text).unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn has_a_method(it: &Config) -> bool {
    it.auth.method.is_some() && it.auth.mount_path == MountPath::new("auth/aws")
}

/// Whether connections are closed after each request: the agent's own, and those of its listeners.
fn closes(it: &Config, own: bool, proxied: bool) -> bool {
    let vault = &it.vault;
    has_a_method(it) && vault.connection.keeps_idle != own && vault.proxy_keeps_idle != proxied
}

fn has_sealed_sinks(it: &Config) -> bool {
    let [first, second] = it.auth.sinks.as_slice() else {
        return false;
    };
    let is_sealed = |sink: &Sink, path: &str, aad: &Aad| {
        let sealed = Encryption {
            public_key: format!("{path}.key"),
            derives_key: true,
            aad: aad.clone(),
        };
        sink.path == path && sink.wrap_ttl == Some(seconds(300)) && sink.encryption == Some(sealed)
    };
    has_a_method(it)
        && it.auth.namespace.as_deref() == Some("my-namespace/")
        && is_sealed(first, "/run/agent/first", &Aad::Text("beside".to_owned()))
        && is_sealed(
            second,
            "/run/agent/second",
            &Aad::Variable("AAD".to_owned()),
        )
        && it.pid_file.as_deref() == Some("./pidfile")
        && it
            .log
            .file
            .as_ref()
            .is_some_and(|file| file.path == "/var/log/agent.log")
}

fn wraps(it: &Config, min_backoff: u64, exits_on_error: bool) -> bool {
    let auth = &it.auth;
    auth.wrap_ttl == Some(seconds(300))
        && auth.min_backoff == seconds(min_backoff)
        && auth.max_backoff == seconds(120)
        && auth.exit_on_error == exits_on_error
}

fn lends(it: &Config, token: ProxyToken) -> bool {
    it.proxy.token == token && !it.proxy.listeners.is_empty()
}

fn serves(it: &Config) -> bool {
    let [unix, plain, metrics, secure] = it.proxy.listeners.as_slice() else {
        return false;
    };
    let persist = Persist {
        folder: "/run/agent/cache".to_owned(),
        keeps_after_import: true,
        exits_on_error: true,
        token_file: "/run/agent/account".to_owned(),
    };
    let tls = &it.vault.connection.tls;
    matches!(&unix.address, ListenAddress::Unix { path, access: Some(_) } if path == "/run/agent/socket")
        && plain.address == ListenAddress::Tcp("127.0.0.1:8300".to_owned())
        && plain.tls.is_none()
        && metrics.is_for_metrics_only
        && secure.tls.is_some()
        && !secure.is_for_metrics_only
        && lends(it, ProxyToken::AgentUnlessGiven)
        && it.proxy.persist == Some(persist)
        && retries(it, 12)
        && tls.skip_verify
        && tls.server_name.as_deref() == Some("vault.example")
        && tls.ca_cert.is_some()
        && tls.ca_path.is_some()
        && tls.client.is_some()
}

fn renders(it: &Config, templates: usize, sinks: usize) -> bool {
    it.templates.len() == templates && it.auth.sinks.len() == sinks
}

fn says_everything(it: &Config) -> bool {
    let full = &it.templates[0];
    let hook = full.hook.as_ref();
    let wait = full.wait.as_ref();
    full.left_delimiter == "<<"
        && full.right_delimiter == ">>"
        && full.mode.is_some_and(|mode| mode.bits() == 0o655)
        && full.create_parents
        && full.error_on_missing_key
        && full.backup
        && full.sandbox_path.as_deref() == Some("/templates")
        && wait.is_some_and(|it| it.min == seconds(10) && it.max == seconds(40))
        && matches!(
            hook,
            Some(Hook::Run { program, timeout })
                if *timeout == seconds(10) && program.words() == ["app", "reload"]
        )
}

fn says_a_little(it: &Config) -> bool {
    let modes = it
        .templates
        .iter()
        .map(|it| it.mode.map(|mode| mode.bits()));
    let modes: Vec<Option<u32>> = modes.collect();
    let wait = it.templates[1].wait.as_ref();
    modes == [Some(0o600), Some(0o755)]
        && wait.is_some_and(|it| it.min == seconds(2) && it.max == seconds(10))
}

fn retries(it: &Config, count: u32) -> bool {
    it.vault.retries == count
}

fn tries(it: &Config, exits: bool, interval: u64) -> bool {
    let settings = &it.template_config;
    settings.exit_on_retry_failure == exits
        && settings.static_secret_render_interval == seconds(interval)
}

fn starts(it: &Config, restarts: bool, signal: &str) -> bool {
    it.exec.as_ref().is_some_and(|exec| {
        exec.restarts == restarts && Some(exec.stop_signal) == Signal::named(signal)
    })
}

//! The blocks `api_proxy`, `cache` and `listener`.

use std::time::Duration;

use crate::config::Auth;
use crate::proxy::{ListenAddress, Listener, ListenerTls, Persist, Proxy, ProxyToken};
use crate::reader::{Notes, Reader};
use crate::tree::Body;
use crate::{Id, Owner, Target, Template};

/// Settings of a listener that `vault agent` reads and that have no effect there either.
const WITHOUT_EFFECT: [&str; 14] = [
    "cluster_address",
    "cors_allowed_headers",
    "cors_allowed_origins",
    "custom_response_headers",
    "inflight_requests_logging",
    "profiling",
    "proxy_api",
    "proxy_protocol_authorized_addrs",
    "purpose",
    "telemetry",
    "tls_prefer_server_cipher_suites",
    "x_forwarded_for_authorized_addrs",
    "x_forwarded_for_client_cert_header",
    "x_forwarded_for_client_cert_header_decoders",
];
/// More such settings, which are durations.
const DURATIONS: [&str; 5] = [
    "http_idle_timeout",
    "http_read_header_timeout",
    "http_read_timeout",
    "http_write_timeout",
    "max_request_duration",
];
/// More such settings, which are booleans.
const BOOLEANS: [&str; 7] = [
    "cors_enabled",
    "redact_addresses",
    "redact_cluster_name",
    "redact_version",
    "tls_disable_client_certs",
    "x_forwarded_for_reject_not_authorized",
    "x_forwarded_for_reject_not_present",
];

/// How often certificates are looked at, unless said otherwise.
const RELOAD_INTERVAL: Duration = Duration::from_secs(60);
/// How often at most, as in OpenBao.
const SHORTEST_RELOAD_INTERVAL: Duration = Duration::from_secs(5);

/// The use of the agent's token that the `cache` of a file asks for, if the file has no `api_proxy` to ask for it.
pub(super) fn lent(file: &Body) -> Option<ProxyToken> {
    let notes = Notes::default();
    let file = Reader::new(file, &notes);
    if file.is_set("api_proxy") {
        return None;
    }
    token(&file.block("cache")).filter(|token| *token != ProxyToken::Request)
}

/// `lent` comes from the `cache` of a file and stands in for an `api_proxy`: no later file has one.
pub(super) fn read(
    root: &Reader<'_>,
    auth: &Auth,
    templates: &[Template],
    lent: Option<ProxyToken>,
) -> Proxy {
    let has_block = root.is_set("api_proxy");
    let api_proxy = root.block("api_proxy");
    let own = token(&api_proxy);
    consistency(&api_proxy);
    api_proxy.warn_unknown();
    let has_cache = root.is_set("cache");
    let cache = root.block("cache");
    let of_cache = token(&cache);
    let persist = persist(&cache);
    consistency(&cache);
    cache.ignore(&["force_auto_auth_token"]);
    cache.warn_unknown();
    for (key, usual) in [
        ("enforce_consistency", "never"),
        ("when_inconsistent", "fail"),
    ] {
        let says = |block: &Reader<'_>| {
            block
                .text(key)
                .is_some_and(|word| !["", usual].contains(&word))
        };
        if says(&api_proxy) && says(&cache) {
            let reason = "is configured in both api_proxy and cache blocks: remove it from cache";
            cache.problem(key, reason);
        }
    }
    let listeners: Vec<Listener> = root.blocks("listener").iter().map(listener).collect();
    if own.is_some() && of_cache.is_some() {
        root.problem(
            "cache.use_auto_auth_token",
            "use_auto_auth_token defined in both api_proxy and cache config: remove it from cache",
        );
    }
    if has_cache && listeners.is_empty() && templates.is_empty() {
        root.problem(
            "cache",
            "enabling the cache requires at least 1 template or 1 listener to be defined",
        );
    }
    // A block that is there decides alone, even if it is silent.
    let token = match has_block {
        true => own,
        false => lent,
    };
    let token = token.unwrap_or_default();
    if has_block || lent.is_some() {
        let field = if has_block {
            "api_proxy"
        } else {
            "cache.use_auto_auth_token"
        };
        check_company(root, field, &listeners, templates);
    }
    let is_lent = |token: Option<ProxyToken>| token.unwrap_or_default() != ProxyToken::Request;
    let said = [("cache", of_cache), ("api_proxy", Some(token))];
    if let Some((block, _)) = said.into_iter().find(|(_, token)| is_lent(*token)) {
        let field = format!("{block}.use_auto_auth_token");
        if auth.method.is_none() {
            let reason =
                "is true but auto_auth not configured: add an auto_auth block, or remove it";
            root.problem(&field, reason);
        } else if auth.wrap_ttl.is_some() {
            let reason = "is true and auto_auth uses wrapping: a wrapped token cannot be used";
            root.problem(&field, reason);
        }
    }
    Proxy {
        persist,
        listeners,
        token,
        caches: has_cache,
    }
}

/// Checks that an `api_proxy` has a listener, and no `env_template` beside it.
fn check_company(root: &Reader<'_>, field: &str, listeners: &[Listener], templates: &[Template]) {
    if listeners.is_empty() {
        root.problem(
            field,
            "configuring the api_proxy requires at least 1 listener to be defined",
        );
    }
    let is_variable = |template: &Template| matches!(template.target, Target::Variable(_));
    if templates.iter().any(is_variable) {
        root.problem(
            field,
            "'env_template' cannot be specified with 'api_proxy': remove one of them",
        );
    }
}

/// Reads the settings for nodes of a server that disagree: they have no effect.
fn consistency(block: &Reader<'_>) {
    for (key, words) in [
        ("enforce_consistency", ["always", "never"].as_slice()),
        ("when_inconsistent", &["retry", "forward", "fail"]),
    ] {
        words_only(block, key, words);
    }
}

fn words_only(block: &Reader<'_>, key: &'static str, words: &[&str]) {
    let word = block.string(key);
    if word.is_some_and(|word| !words.contains(&word.as_str())) {
        block.problem(key, format!("write one of {}", words.join(", ")));
    }
}

/// `true`, `false` or `force`.
fn token(block: &Reader<'_>) -> Option<ProxyToken> {
    const KEY: &str = "use_auto_auth_token";
    if let Some(text) = block.text(KEY)
        && text.eq_ignore_ascii_case("force")
    {
        return Some(ProxyToken::Agent);
    }
    if let Some(text) = block.text(KEY)
        && !text.is_empty()
        && crate::parse_bool(text).is_none()
    {
        block.problem(
            KEY,
            format!(
                "value of 'use_auto_auth_token' can be either true/false/force, {text:?} is an \
                 invalid option"
            ),
        );
        return None;
    }
    block.boolean(KEY).map(|is_used| match is_used {
        true => ProxyToken::AgentUnlessGiven,
        false => ProxyToken::Request,
    })
}

fn persist(cache: &Reader<'_>) -> Option<Persist> {
    const TOKEN_FILE: &str = "/var/run/secrets/kubernetes.io/serviceaccount/token";
    if !cache.is_set("persist") {
        return None;
    }
    let block = cache.block("persist");
    match block.kind().as_deref() {
        Some("kubernetes") => {}
        Some(other) => block.problem(
            "type",
            format!(
                "persistent key protection type {other:?} not supported: only kubernetes works"
            ),
        ),
        None => block.problem("type", "persist type must be specified"),
    }
    let folder = block.string("path");
    if folder.is_none() {
        block.problem("path", "must specify persistent cache path");
    }
    let token_file = block.string("service_account_token_file");
    let persist = Persist {
        folder: folder.unwrap_or_default(),
        keeps_after_import: block.boolean("keep_after_import").unwrap_or(false),
        exits_on_error: block.boolean("exit_on_err").unwrap_or(false),
        token_file: token_file.unwrap_or_else(|| TOKEN_FILE.to_owned()),
    };
    block.warn_unknown();
    Some(persist)
}

fn listener(block: &Reader<'_>) -> Listener {
    let kind = block.kind().map(|kind| kind.to_lowercase());
    let address = block.string("address");
    let address = match kind.as_deref() {
        Some("tcp") => ListenAddress::Tcp(tcp_address(block, address)),
        Some("unix") => ListenAddress::Unix {
            path: address.unwrap_or_else(|| {
                block.problem("address", "is missing: name the socket");
                String::new()
            }),
            access: access(block),
        },
        Some(other) => {
            block.problem("type", format!("unsupported listener type {other:?}"));
            ListenAddress::Tcp(String::new())
        }
        None => {
            block.problem("type", "listener type must be specified");
            ListenAddress::Tcp(String::new())
        }
    };
    let role = block.string("role").map(|role| role.to_lowercase());
    let is_for_metrics_only = match role.as_deref() {
        None | Some("default") => false,
        Some("metrics_only") => true,
        Some(other) => {
            block.problem("role", format!("unsupported listener role {other:?}"));
            false
        }
    };
    let agent_api = block.block("agent_api");
    let can_quit = agent_api.boolean("enable_quit").unwrap_or(false);
    agent_api.warn_unknown();
    let requires_header = block.boolean("require_request_header").unwrap_or(false);
    let tls = tls(block);
    if block.is_set("tls_cipher_suites") {
        block.warn(
            "tls_cipher_suites",
            "has no effect: set tls_min_version = \"tls13\" to leave the suites of TLS 1.2 out",
        );
    }
    block.ignore(&["socket_mode", "socket_user", "socket_group"]);
    check_without_effect(block);
    block.warn_unknown();
    Listener {
        address,
        is_for_metrics_only,
        requires_header,
        can_quit,
        tls,
    }
}

/// A setting without effect is still a mistake if its value cannot be.
fn check_without_effect(block: &Reader<'_>) {
    block.ignore(&WITHOUT_EFFECT);
    for key in DURATIONS {
        block.duration(key);
    }
    for key in BOOLEANS {
        block.boolean(key);
    }
    block.integer("max_request_size");
    let skips = block.integer("x_forwarded_for_hop_skips");
    if skips.is_some_and(|count| count < 0) {
        block.problem("x_forwarded_for_hop_skips", "cannot be negative");
    }
    let words = ["allow_authorized", "deny_unauthorized", "use_always"];
    words_only(block, "proxy_protocol_behavior", &words);
}

fn tcp_address(block: &Reader<'_>, address: Option<String>) -> String {
    let Some(address) = address else {
        return "127.0.0.1:8200".to_owned();
    };
    let port = address.rsplit_once(':').map(|(_, port)| port);
    if address.contains("{{") {
        let reason = "is a template, and those are not filled in: write the address itself, or \":8100\" for all of \
                      the machine's";
        block.problem("address", reason);
    } else if port.is_none_or(|port| port.parse::<u16>().is_err()) {
        let reason = format!("{address:?} has no port: write for example \"127.0.0.1:8100\"");
        block.problem("address", reason);
    }
    address
}

fn access(block: &Reader<'_>) -> Option<(crate::FileMode, Owner)> {
    let mode = block.octal("socket_mode");
    let user = block.string("socket_user");
    let group = block.string("socket_group");
    let owner = Owner {
        user: Some(Id::parse(&user?)),
        group: Some(Id::parse(&group?)),
    };
    Some((mode?, owner))
}

fn tls(block: &Reader<'_>) -> Option<ListenerTls> {
    let is_off = block.boolean("tls_disable").unwrap_or(false);
    let certificate = block.string("tls_cert_file");
    let key = block.string("tls_key_file");
    let authorities = block.string("tls_client_ca_file");
    let requires_client = block
        .boolean("tls_require_and_verify_client_cert")
        .unwrap_or(false);
    let reload_interval = reload_interval(block);
    let oldest = version(block, "tls_min_version").unwrap_or(12);
    let newest = version(block, "tls_max_version").unwrap_or(13);
    if is_off {
        return None;
    }
    if newest < 12 {
        block.problem("tls_max_version", "is not spoken: write tls12 or tls13");
    } else if newest < oldest {
        block.problem("tls_max_version", "is older than tls_min_version");
    } else if oldest < 12 {
        block.warn(
            "tls_min_version",
            "is not spoken: clients need TLS 1.2; write tls12 or tls13",
        );
    }
    if requires_client && authorities.is_none() {
        block.problem(
            "tls_client_ca_file",
            "is missing: tls_require_and_verify_client_cert needs it",
        );
    }
    let (Some(certificate), Some(key)) = (certificate, key) else {
        block.problem(
            "tls_cert_file",
            "is missing: name tls_cert_file and tls_key_file, or set tls_disable = true",
        );
        return None;
    };
    Some(ListenerTls {
        certificate,
        key,
        client_authorities: authorities,
        requires_client,
        only_1_3: oldest == 13,
        only_1_2: newest < 13,
        reload_interval,
    })
}

fn reload_interval(block: &Reader<'_>) -> Option<Duration> {
    let interval = block.duration("tls_auto_reload_interval");
    if interval.is_some_and(|interval| interval < SHORTEST_RELOAD_INTERVAL) {
        block.problem("tls_auto_reload_interval", "must be at least 5s");
    }
    let reloads = block.boolean("tls_auto_reload").unwrap_or(false);
    reloads.then(|| interval.unwrap_or(RELOAD_INTERVAL))
}

fn version(block: &Reader<'_>, key: &'static str) -> Option<u8> {
    match block.string(key)?.as_str() {
        "tls10" => Some(10),
        "tls11" => Some(11),
        "tls12" => Some(12),
        "tls13" => Some(13),
        other => {
            block.problem(
                key,
                format!("{other:?} is not a version: write tls12 or tls13"),
            );
            None
        }
    }
}

#[cfg(test)]
mod tests;

//! The `auto_auth` block.

use std::time::Duration;

use super::namespace;
use crate::FileMode;
use crate::config::{Auth, Sink};
use crate::method::{Kubernetes, Method};
use crate::reader::Reader;

const DEFAULT_MIN_BACKOFF: Duration = Duration::from_secs(1);
const DEFAULT_MAX_BACKOFF: Duration = Duration::from_secs(300);

pub(super) fn read(block: &Reader<'_>) -> Auth {
    if block.blocks("method").len() != 1 {
        block.problem("method", "one and only one \"method\" block is required");
    }
    let method = block.block("method");
    let min = method.duration("min_backoff").filter(|d| !d.is_zero());
    let max = method.duration("max_backoff").filter(|d| !d.is_zero());
    let mount_path = method.string("mount_path");
    let kind = method.kind().unwrap_or_default();
    let auth = Auth {
        method: read_method(&method, &kind),
        mount_path: match mount_path {
            Some(path) => path.trim_matches('/').to_owned(),
            None => format!("auth/{kind}"),
        },
        namespace: method.string("namespace").and_then(|name| namespace(&name)),
        min_backoff: min.unwrap_or(DEFAULT_MIN_BACKOFF),
        max_backoff: max.unwrap_or(DEFAULT_MAX_BACKOFF),
        backoff_is_explicit: min.is_some() || max.is_some(),
        exit_on_error: method.boolean("exit_on_err").unwrap_or(false),
        sinks: block.blocks("sink").iter().map(sink).collect(),
    };
    if auth.min_backoff > auth.max_backoff {
        method.problem(
            "min_backoff",
            "min_backoff cannot be greater than max_backoff",
        );
    }
    method.refuse(&["wrap_ttl"]);
    method.warn_unknown();
    block.ignore(&["enable_reauth_on_new_credentials"]);
    block.warn_unknown();
    auth
}

fn read_method(method: &Reader<'_>, kind: &str) -> Method {
    let settings = method.block("config");
    let read = Method::read(kind, &settings);
    if read.is_some() {
        settings.warn_unknown();
    } else if kind.is_empty() {
        method.problem("type", "method type must be specified");
    } else {
        let known = Method::KNOWN.join(", ");
        method.problem(
            "type",
            format!("unknown auth method \"{kind}\": choose one of {known}"),
        );
    }
    // A configuration with a problem is refused, whatever stands here.
    read.unwrap_or_else(|| Method::Kubernetes(Kubernetes::default()))
}

fn sink(block: &Reader<'_>) -> Sink {
    block.refuse(&[
        "wrap_ttl",
        "dh_type",
        "dh_path",
        "derive_key",
        "aad",
        "aad_env_var",
    ]);
    match block.kind().as_deref() {
        Some("file") => {}
        Some(other) => block.problem(
            "type",
            format!("unknown sink type \"{other}\": only file works"),
        ),
        None => block.problem("type", "sink type must be specified"),
    }
    let settings = block.block("config");
    let path = settings.string("path");
    if path.is_none() {
        settings.problem("path", "'path' not specified for file sink");
    }
    let mode = settings.mode("mode").unwrap_or(FileMode::SINK);
    settings.warn_unknown();
    block.warn_unknown();
    Sink {
        path: path.unwrap_or_default(),
        mode,
    }
}

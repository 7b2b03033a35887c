//! The `auto_auth` block.

mod sink;

use std::time::Duration;

use super::namespace;
use crate::MountPath;
use crate::config::{Auth, Sink};
use crate::method::{Kubernetes, LEFT_OUT, Method};
use crate::reader::Reader;

const DEFAULT_MIN_BACKOFF: Duration = Duration::from_secs(1);
const DEFAULT_MAX_BACKOFF: Duration = Duration::from_secs(300);

/// Without the block the agent never logs in.
pub(super) fn absent() -> Auth {
    Auth {
        method: None,
        mount_path: MountPath::new(""),
        namespace: None,
        min_backoff: DEFAULT_MIN_BACKOFF,
        max_backoff: DEFAULT_MAX_BACKOFF,
        backoff_is_explicit: false,
        exit_on_error: false,
        wrap_ttl: None,
        follows_new_credentials: false,
        sinks: Vec::new(),
    }
}

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
        method: Some(read_method(&method, &kind)),
        mount_path: MountPath::new(&mount_path.unwrap_or_else(|| format!("auth/{kind}"))),
        namespace: method.string("namespace").and_then(|name| namespace(&name)),
        min_backoff: min.unwrap_or(DEFAULT_MIN_BACKOFF),
        max_backoff: max.unwrap_or(DEFAULT_MAX_BACKOFF),
        backoff_is_explicit: min.is_some() || max.is_some(),
        exit_on_error: method.boolean("exit_on_err").unwrap_or(false),
        wrap_ttl: wrap_ttl(&method),
        follows_new_credentials: block
            .boolean("enable_reauth_on_new_credentials")
            .unwrap_or(false),
        sinks: read_sinks(block),
    };
    if auth.min_backoff > auth.max_backoff {
        method.problem(
            "min_backoff",
            "min_backoff cannot be greater than max_backoff",
        );
    }
    check_wrapping(block, &auth);
    method.warn_unknown();
    block.warn_unknown();
    auth
}

/// The `sink` blocks. Without any, the sinks in a `sinks` block, as some manuals write them, or that block as a sink.
fn read_sinks(block: &Reader<'_>) -> Vec<Sink> {
    let groups = block.blocks("sinks");
    let sinks = block.blocks("sink");
    if !sinks.is_empty() {
        if !groups.is_empty() {
            block.warn("sinks", "has no effect beside a sink block");
        }
        return sinks.iter().map(sink::read).collect();
    }
    let read = groups.iter().flat_map(|group| {
        if group.is_set("type") || group.is_set("config") {
            return vec![sink::read_grouped(group)];
        }
        let sinks = group.blocks("sink");
        group.warn_unknown();
        sinks.iter().map(sink::read_grouped).collect::<Vec<_>>()
    });
    read.collect()
}

/// Vault counts in seconds: for less than one it does not wrap.
fn wrap_ttl(block: &Reader<'_>) -> Option<Duration> {
    let ttl = block.duration("wrap_ttl").filter(|ttl| !ttl.is_zero())?;
    if ttl.as_secs() == 0 {
        let reason =
            "is less than a second, for which nothing is wrapped: write for example \"5m\"";
        block.problem("wrap_ttl", reason);
    }
    Some(ttl)
}

/// Only one reader can use a wrapped token, so there must be one sink.
fn check_wrapping(block: &Reader<'_>, auth: &Auth) {
    if auth.wrap_ttl.is_none() {
        return;
    }
    match auth.sinks.as_slice() {
        [sink] if sink.wrap_ttl.is_none() => {}
        [_] => block.problem(
            "method.wrap_ttl",
            "wrapping enabled both on auth method and sink: remove one of them",
        ),
        _ => block.problem(
            "method.wrap_ttl",
            "wrapping enabled on auth method and 0 or many sinks defined: define one sink",
        ),
    }
    if matches!(auth.method, Some(Method::TokenFile(_))) {
        block.problem(
            "method.wrap_ttl",
            "a token from a file is not made by a login that could wrap it: set wrap_ttl in the sink",
        );
    }
}

fn read_method(method: &Reader<'_>, kind: &str) -> Method {
    let settings = method.block("config");
    let read = Method::read(kind, &settings);
    let known = Method::KNOWN.join(", ");
    if read.is_some() {
        settings.warn_unknown();
    } else if kind.is_empty() {
        method.problem("type", "method type must be specified");
    } else if LEFT_OUT.contains(&kind) {
        method.problem(
            "type",
            format!("auth method \"{kind}\" is not supported: choose one of {known}"),
        );
    } else {
        method.problem(
            "type",
            format!("unknown auth method \"{kind}\": choose one of {known}"),
        );
    }
    // A configuration with a problem is refused, so any method serves here.
    read.unwrap_or_else(|| Method::Kubernetes(Kubernetes::default()))
}

#[cfg(test)]
mod tests;

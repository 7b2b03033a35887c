//! Paths against the mounts that serve them.

use planescape_vault::mount::Mount;

use crate::request::Answer;
use crate::request::Request;
use crate::responses::{Response, Responses};

use super::shape::{Engine, Origin};

/// All that is known of the secret behind a request.
pub(super) fn origin(request: &Request, responses: Option<&Responses>) -> Origin {
    let path = request.path();
    let mount = responses.and_then(|responses| responses.mount_of(path));
    let engine = match (mount, request) {
        // A write answers what the engine wants to say.
        (_, Request::Write { .. }) => Engine::Plain,
        (Some(mount), _) if mount.is_kv_v2() => versioned(path, mount),
        (Some(_), _) => Engine::Plain,
        (None, _) => usual(path),
    };
    let answer = match responses.and_then(|responses| responses.response(request)) {
        Some(Response::Answer(Answer::Secret(secret))) => secret,
        _ => None,
    };
    Origin {
        path: path.to_owned(),
        engine,
        answer,
    }
}

fn versioned(path: &str, mount: &Mount) -> Engine {
    match path.strip_prefix(mount.path()) {
        Some(rest) if rest.starts_with("metadata/") || rest.starts_with("subkeys/") => {
            Engine::Unknown
        }
        _ => Engine::Versioned,
    }
}

/// Without mounts: only KV version 2 is written with `data/` behind the mount.
fn usual(path: &str) -> Engine {
    let mut parts = path.split('/');
    match (parts.next(), parts.next(), parts.next()) {
        (Some(_), Some("data"), Some(_)) => Engine::Versioned,
        _ => Engine::Unknown,
    }
}

/// Says that a request's path is odd, and which one would be right.
pub(super) fn refuse(request: &Request, responses: &Responses) -> Option<(String, String)> {
    let path = request.path();
    let Some(mount) = responses.mount_of(path) else {
        return (responses.has_mounts() && !is_builtin(path)).then(|| {
            (
                format!("no mount serves `{path}`"),
                "name its mount among the responses' `mounts`".to_owned(),
            )
        });
    };
    let rest = path.strip_prefix(mount.path())?;
    let name = mount.path().trim_end_matches('/');
    match request {
        Request::List { .. } if mount.is_kv_v2() => {
            let inner = rest
                .strip_prefix("data/")
                .or((rest == "data").then_some(""))?;
            Some((
                format!("`{name}` is KV version 2, which lists below metadata/, not data/"),
                format!(
                    "write `{}`",
                    format!("{name}/{inner}").trim_end_matches('/')
                ),
            ))
        }
        Request::Read { .. } | Request::Write { .. } if mount.is_kv_v1() => {
            let inner = rest.strip_prefix("data/")?;
            Some((
                format!("`{name}` is KV version 1, which has no data/"),
                format!("write `{name}/{inner}`"),
            ))
        }
        _ => None,
    }
}

/// Paths that are served without a mount of the user's.
fn is_builtin(path: &str) -> bool {
    ["auth/", "sys/", "identity/", "cubbyhole/"]
        .iter()
        .any(|prefix| path.starts_with(prefix))
}

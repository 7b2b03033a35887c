//! A `sink` block.

use crate::config::{Aad, Encryption, Sink};
use crate::reader::Reader;
use crate::{FileMode, Id, Owner};

pub(super) fn read(block: &Reader<'_>) -> Sink {
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
    let sink = Sink {
        path: path.unwrap_or_default(),
        mode: settings.mode("mode").unwrap_or(FileMode::SINK),
        owner: Owner {
            user: id(&settings, ["owner", "uid"]),
            group: id(&settings, ["group", "gid"]),
        },
        wrap_ttl: super::wrap_ttl(block),
        encryption: encryption(block),
    };
    settings.warn_unknown();
    block.warn_unknown();
    sink
}

/// A sink in a `sinks` block, where `vault agent` passes over `wrap_ttl`: readers of the file expect a token.
pub(super) fn read_grouped(block: &Reader<'_>) -> Sink {
    let sink = read(block);
    if sink.wrap_ttl.is_some() {
        block.warn(
            "wrap_ttl",
            "has no effect in a `sinks` block: write the `sink` block without it around",
        );
    }
    Sink {
        wrap_ttl: None,
        ..sink
    }
}

/// `vault agent` and `bao agent` have different words for it.
fn id(settings: &Reader<'_>, keys: [&'static str; 2]) -> Option<Id> {
    let [first, second] = keys.map(|key| settings.id(key));
    first.or(second)
}

fn encryption(block: &Reader<'_>) -> Option<Encryption> {
    let kind = block.string("dh_type");
    let public_key = block.string("dh_path");
    let derives_key = block.boolean("derive_key").unwrap_or(false);
    let text = block.string("aad");
    let variable = block.string("aad_env_var");
    match kind.as_deref() {
        None | Some("curve25519") => {}
        Some(_) => block.problem("dh_type", "invalid value for 'dh_type': write curve25519"),
    }
    let both = "'dh_type' and 'dh_path' must be specified together";
    match (kind, public_key) {
        (Some(_), Some(public_key)) => {
            return Some(Encryption {
                public_key,
                derives_key,
                aad: match (variable, text) {
                    (Some(variable), _) => Aad::Variable(variable),
                    (None, text) => Aad::Text(text.unwrap_or_default()),
                },
            });
        }
        (Some(_), None) => block.problem("dh_path", both),
        (None, Some(_)) => block.problem("dh_type", both),
        (None, None) => {}
    }
    let needless = [
        ("aad", text.is_some()),
        ("aad_env_var", variable.is_some()),
        ("derive_key", derives_key),
    ];
    for (key, _) in needless.into_iter().filter(|(_, is_set)| *is_set) {
        block.problem(
            key,
            format!("specifying '{key}' without 'dh_type' and 'dh_path' does not make sense"),
        );
    }
    None
}

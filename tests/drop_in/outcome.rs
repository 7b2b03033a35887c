//! The traces of a run, without everything that differs from run to run.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use anyhow::Result;
use serde_json::Value;

use crate::scenario::Ask;

#[derive(Debug)]
pub(crate) struct Outcome {
    /// `None`: it had to be killed, or was.
    pub(crate) code: Option<i32>,
    /// By path: mode, owner and content.
    pub(crate) files: BTreeMap<String, String>,
    pub(crate) log: String,
    /// Operation and path, in order.
    pub(crate) requests: Vec<(String, String)>,
    /// The answers of its listener.
    pub(crate) answers: Vec<String>,
    /// The step that did not come to its end.
    pub(crate) stuck: Option<String>,
}

/// Every file below the folder.
pub(crate) fn files(
    folder: &Path,
    plain: impl Fn(&str) -> String,
) -> Result<BTreeMap<String, String>> {
    let mut files = BTreeMap::new();
    collect(folder, folder, &plain, &mut files)?;
    Ok(files)
}

fn collect(
    root: &Path,
    folder: &Path,
    plain: &impl Fn(&str) -> String,
    files: &mut BTreeMap<String, String>,
) -> Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let metadata = fs::symlink_metadata(&path)?;
        if metadata.is_dir() {
            collect(root, &path, plain, files)?;
            continue;
        }
        let name = path.strip_prefix(root)?.display().to_string();
        let mode = metadata.permissions().mode() & 0o7777;
        let owner = format!("{}:{}", metadata.uid(), metadata.gid());
        let content = fs::read(&path).unwrap_or_default();
        let content = match String::from_utf8(content) {
            Ok(text) => shape(&plain(&text)),
            Err(_) => "binary".to_owned(),
        };
        files.insert(name, format!("{mode:o} {owner} {content}"));
    }
    Ok(())
}

/// A token is another one each time.
pub(crate) fn without_tokens(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("hvs.") {
        plain.push_str(&rest[..at]);
        plain.push_str("<token>");
        let after = &rest[at + 4..];
        let end = after.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == '-'));
        rest = &after[end.unwrap_or(after.len())..];
    }
    plain + rest
}

/// Fields whose values differ each time.
const CHANGING: [&str; 20] = [
    "accessor",
    "client_token",
    "created_time",
    "clock_skew_ms",
    "cluster_id",
    "cluster_name",
    "creation_time",
    "display_name",
    "echo_duration_ms",
    "entity_id",
    "expire_time",
    "id",
    "issue_time",
    "lease_id",
    "password",
    "request_id",
    "server_time_utc",
    "token",
    "ttl",
    "username",
];

/// Status, `X-Cache` and body of an answer.
pub(crate) async fn answer(ask: &Ask, answer: reqwest::Response) -> Result<String> {
    let status = answer.status().as_u16();
    let cache = answer.headers().get("x-cache");
    let cache = cache.and_then(|it| it.to_str().ok()).unwrap_or_default();
    let age = answer.headers().contains_key("age");
    let head = format!("{} {} {status} {cache} {age}", ask.method, ask.path);
    let text = answer.text().await?;
    Ok(match serde_json::from_str::<Value>(&text) {
        Ok(mut value) => {
            steady(&mut value);
            format!("{head} {value}")
        }
        Err(_) => format!("{head} {}", text.lines().next().unwrap_or_default()),
    })
}

fn steady(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            // One side renews right after the login.
            fields.retain(|name, _| !name.starts_with("last_renewal"));
            for (name, value) in fields {
                if CHANGING.contains(&name.as_str()) && *value != Value::Null && *value != "" {
                    *value = "…".into();
                } else {
                    steady(value);
                }
            }
        }
        Value::Array(values) => values.iter_mut().for_each(steady),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// Only the keys of JSON, and how it ends: wrapped and sealed values differ each time.
fn shape(content: &str) -> String {
    let is_id = |c: char| c.is_ascii_hexdigit() || c == '-';
    if content.len() == 36 && content.chars().all(is_id) {
        return "an id".to_owned();
    }
    match serde_json::from_str::<Value>(content) {
        Ok(Value::Object(fields)) => {
            let end = &content[content.trim_end().len()..];
            format!("JSON with {:?}{end:?}", fields.keys().collect::<Vec<_>>())
        }
        _ => content.to_owned(),
    }
}

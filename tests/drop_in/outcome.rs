//! What a run leaves behind, with everything taken out that differs from run to run.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use anyhow::Result;
use serde_json::Value;

#[derive(Debug)]
pub(crate) struct Outcome {
    /// `None`: it had to be killed, or was.
    pub(crate) code: Option<i32>,
    /// By path: mode, owner and content.
    pub(crate) files: BTreeMap<String, String>,
    pub(crate) log: String,
    /// Operation and path, in order.
    pub(crate) requests: Vec<(String, String)>,
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
        let content = plain(&String::from_utf8_lossy(&content));
        files.insert(name, format!("{mode:o} {owner} {}", shape(&content)));
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

/// Of JSON only the keys: what is wrapped or sealed differs each time.
fn shape(content: &str) -> String {
    match serde_json::from_str::<Value>(content) {
        Ok(Value::Object(fields)) => format!("JSON with {:?}", fields.keys().collect::<Vec<_>>()),
        _ => content.to_owned(),
    }
}

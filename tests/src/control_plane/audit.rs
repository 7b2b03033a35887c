//! The API server's audit log: what was really asked of it, by which program, and when it was done.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use jiff::Timestamp;
use serde::Deserialize;

const POLICY: &str = include_str!("audit-policy.yaml");

/// One answered request.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Call {
    /// When it was done.
    #[serde(rename = "stageTimestamp")]
    pub at: Timestamp,
    /// `get`, `list`, `watch`, `create`, `update`, `patch`, `delete`, …
    pub verb: String,
    /// The program, as it calls itself.
    #[serde(default)]
    pub user_agent: String,
    /// The account that asked.
    #[serde(default)]
    pub user: Account,
    /// The object that it is about.
    #[serde(rename = "objectRef")]
    pub object: Object,
    /// How it was answered.
    #[serde(rename = "responseStatus", default)]
    pub answer: Answer,
    #[serde(rename = "requestURI")]
    uri: String,
    stage: String,
}

/// The account that asked.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Account {
    /// `system:serviceaccount:<namespace>:<name>` for a pod.
    pub username: String,
}

/// The object of a request.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Object {
    /// `batch`; empty for the core group.
    #[serde(default)]
    pub api_group: String,
    /// `jobs`.
    pub resource: String,
    /// `status`; empty for the object itself.
    #[serde(default)]
    pub subresource: String,
    /// Empty for all namespaces.
    #[serde(default)]
    pub namespace: String,
    /// Empty where the request names none.
    #[serde(default)]
    pub name: String,
}

/// How a request was answered.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Answer {
    /// The HTTP status.
    #[serde(default)]
    pub code: u16,
}

impl Call {
    /// Whether it comes from the operator.
    pub fn is_operators(&self) -> bool {
        self.user_agent.starts_with("planescape/")
    }

    /// Whether it changed something, or was to.
    pub fn is_write(&self) -> bool {
        !matches!(self.verb.as_str(), "get" | "list" | "watch")
    }

    /// Whether it was to change nothing.
    pub fn is_dry(&self) -> bool {
        self.uri.contains("dryRun=All")
    }

    /// `verb resource/subresource`.
    pub fn kind(&self) -> String {
        let Object {
            resource,
            subresource,
            ..
        } = &self.object;
        let dash = if subresource.is_empty() { "" } else { "/" };
        let dry = if self.is_dry() { " (dry run)" } else { "" };
        format!("{} {resource}{dash}{subresource}{dry}", self.verb)
    }
}

/// Arguments that tell the API server what to write down, and where.
pub(super) fn arguments(folder: &Path) -> Result<[String; 2]> {
    let policy = folder.join("audit-policy.yaml");
    fs::write(&policy, POLICY).with_context(|| format!("write {}", policy.display()))?;
    let log = log(folder);
    Ok([
        format!("--audit-policy-file={}", policy.display()),
        format!("--audit-log-path={}", log.display()),
    ])
}

/// Everything that was answered so far, in the order in which it was.
pub(super) fn read(folder: &Path) -> Result<Vec<Call>> {
    let text = text(folder)?;
    // The last line may still be on its way.
    let lines = text.lines().filter(|line| line.ends_with('}'));
    let calls = lines.map(|line| serde_json::from_str::<Call>(line).context("an audit entry"));
    let calls = calls.collect::<Result<Vec<_>>>()?;
    let done = calls
        .into_iter()
        .filter(|call| call.stage == "ResponseComplete");
    Ok(done.collect())
}

pub(super) fn text(folder: &Path) -> Result<String> {
    fs::read_to_string(log(folder)).context("read the audit log")
}

fn log(folder: &Path) -> PathBuf {
    folder.join("audit.log")
}

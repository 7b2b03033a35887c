//! Vault's audit log: what was really asked of it, by whom, and what came of it.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use serde::Deserialize;

/// A point in time as Vault writes it, RFC 3339 in UTC with nanoseconds: sorts as text.
pub type Moment = String;

/// One answered request.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// When Vault answered.
    pub time: Moment,
    /// Its id, which the answer carries as well.
    pub id: String,
    /// `read`, `update`, `list`, …
    pub operation: String,
    /// Without the leading `/v1/`: `auth/kubernetes/login`.
    pub path: String,
    /// The client's address, without its port.
    pub remote_address: String,
    /// The accessor of the token that asked, or that a login has made.
    pub accessor: Option<String>,
    /// The lease that was handed out.
    pub lease_id: Option<String>,
    /// Why the request was refused.
    pub error: Option<String>,
}

impl Entry {
    /// Whether it is `operation` on `path`.
    pub fn is(&self, operation: &str, path: &str) -> bool {
        self.operation == operation && self.path == path
    }
}

#[derive(Deserialize)]
struct Line {
    time: Moment,
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    auth: Auth,
    request: Request,
    #[serde(default)]
    response: Response,
    error: Option<String>,
}

#[derive(Default, Deserialize)]
struct Auth {
    accessor: Option<String>,
}

#[derive(Deserialize)]
struct Request {
    #[serde(default)]
    id: String,
    /// None for a method that Vault does not know.
    #[serde(default)]
    operation: String,
    path: String,
    #[serde(default)]
    remote_address: String,
}

#[derive(Default, Deserialize)]
struct Response {
    auth: Option<Auth>,
    secret: Option<Secret>,
}

#[derive(Deserialize)]
struct Secret {
    lease_id: Option<String>,
}

pub(super) fn read(path: &Path) -> Result<Vec<Entry>> {
    let text = fs::read_to_string(path).with_context(|| format!("read {}", path.display()))?;
    parse(&text)
}

fn parse(text: &str) -> Result<Vec<Entry>> {
    // The last line may be in the middle of being written.
    let complete = text.rfind('\n').map_or("", |end| &text[..end]);
    let mut entries = Vec::new();
    for line in complete.lines() {
        let line: Line = serde_json::from_str(line)
            .with_context(|| format!("audit log line not understood: {line}"))?;
        if line.kind == "response" {
            entries.push(line.into_entry());
        }
    }
    Ok(entries)
}

impl Line {
    fn into_entry(self) -> Entry {
        let made = self.response.auth.and_then(|auth| auth.accessor);
        Entry {
            time: self.time,
            id: self.request.id,
            operation: self.request.operation,
            path: self.request.path,
            remote_address: self.request.remote_address,
            accessor: made.or(self.auth.accessor),
            lease_id: self.response.secret.and_then(|secret| secret.lease_id),
            error: self.error,
        }
    }
}

impl std::fmt::Display for Entry {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let error = self.error.as_deref().unwrap_or_default();
        let Self {
            time,
            operation,
            path,
            remote_address,
            ..
        } = self;
        write!(
            formatter,
            "{time} {remote_address} {operation} {path} {error}"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_login_names_the_accessor_it_made_and_half_a_line_is_left_for_later() {
        let text = concat!(
            r#"{"time":"T1","type":"request","request":{"operation":"update","path":"auth/kubernetes/login"}}"#,
            "\n",
            r#"{"time":"T2","type":"response","request":{"operation":"update","path":"auth/kubernetes/login","remote_address":"10.0.0.1"},"response":{"auth":{"accessor":"abc"}}}"#,
            "\n",
            r#"{"time":"T3","type":"resp"#
        );
        let entries = parse(text).unwrap();
        assert_eq!(entries.len(), 1);
        assert!(entries[0].is("update", "auth/kubernetes/login"));
        assert_eq!(entries[0].accessor.as_deref(), Some("abc"));
        assert_eq!(entries[0].remote_address, "10.0.0.1");
    }

    #[test]
    fn a_line_that_is_no_json_is_an_error_not_a_request_less() {
        assert!(parse("nonsense\n").is_err());
    }

    #[test]
    fn a_refused_request_says_why() {
        let line = r#"{"time":"T","type":"response","error":"permission denied","request":{"operation":"read","path":"kv/data/x"}}"#;
        let entries = parse(&format!("{line}\n")).unwrap();
        assert_eq!(entries[0].error.as_deref(), Some("permission denied"));
    }
}

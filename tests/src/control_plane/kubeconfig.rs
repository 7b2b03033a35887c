//! Who talks to the API server, and the files that let them.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::Result;
use serde_json::json;

/// The API server's static tokens.
pub(super) const TOKENS: &str = "\
admin,admin,admin,system:masters
node,system:node:node,node,system:nodes
";

/// A user with a static token.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum User {
    /// May do everything.
    Admin,
    /// The kubelet of the node called `node`.
    Node,
}

impl User {
    fn name(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::Node => "node",
        }
    }
}

pub(super) fn path(folder: &Path, user: User) -> PathBuf {
    folder.join(format!("{}.kubeconfig", user.name()))
}

/// Writes a user's file; JSON is YAML.
pub(super) fn write(folder: &Path, address: SocketAddr, user: User) -> Result<()> {
    let name = user.name();
    let config = json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "testbed", "cluster": {
            "server": format!("https://{address}"),
            "certificate-authority": folder.join("apiserver.crt"),
        }}],
        "users": [{"name": name, "user": {"token": name}}],
        "contexts": [{"name": "testbed", "context": {"cluster": "testbed", "user": name}}],
        "current-context": "testbed",
    });
    fs::write(path(folder, user), serde_json::to_vec_pretty(&config)?)?;
    Ok(())
}

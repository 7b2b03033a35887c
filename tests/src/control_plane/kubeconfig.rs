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

/// Writes a user's file.
pub(super) fn write(folder: &Path, address: SocketAddr, user: User) -> Result<()> {
    let name = user.name();
    write_with_token(&path(folder, user), address, (name, "default"))
}

/// Writes a file for who bears a token, with a namespace of its own; JSON is YAML.
pub(super) fn write_with_token(
    path: &Path,
    address: SocketAddr,
    (token, namespace): (&str, &str),
) -> Result<()> {
    let authority = path.with_file_name("apiserver.crt");
    let context = json!({ "cluster": "testbed", "user": "user", "namespace": namespace });
    let config = json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "testbed", "cluster": {
            "server": format!("https://{address}"),
            "certificate-authority": authority,
        }}],
        "users": [{"name": "user", "user": {"token": token}}],
        "contexts": [{"name": "testbed", "context": context}],
        "current-context": "testbed",
    });
    fs::write(path, serde_json::to_vec_pretty(&config)?)?;
    Ok(())
}

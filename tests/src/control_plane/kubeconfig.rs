//! The users of the API server, and the files that let them in.

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use serde_json::json;
use tempfile::NamedTempFile;

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

/// Writes a file for the bearer of a token, with a namespace of its own; JSON is YAML.
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
    // A program of another test may be reading the same file.
    let folder = path.parent().context("a file is in a folder")?;
    let mut file = NamedTempFile::new_in(folder)?;
    file.write_all(&serde_json::to_vec_pretty(&config)?)?;
    file.persist(path)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::thread;

    use serde_json::Value;

    use super::*;

    #[test]
    fn a_file_that_is_written_again_is_whole_to_whoever_reads_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("account.kubeconfig");
        let address = "127.0.0.1:6443".parse().unwrap();
        let write = || write_with_token(&path, address, ("token", "team")).unwrap();
        let is_over = AtomicBool::new(false);
        write();

        thread::scope(|scope| {
            scope.spawn(|| {
                (0..2_000).for_each(|_| write());
                is_over.store(true, Ordering::Relaxed);
            });
            while !is_over.load(Ordering::Relaxed) {
                let text = fs::read(&path).unwrap();
                assert!(serde_json::from_slice::<Value>(&text).is_ok(), "{text:?}");
            }
        });
    }
}

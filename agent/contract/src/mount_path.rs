//! The path at which something is mounted in Vault.

use std::fmt;

/// A path without slashes at its ends, for example `auth/kubernetes`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MountPath(String);

impl MountPath {
    /// Takes the slashes at the ends away.
    #[must_use]
    pub fn new(path: &str) -> Self {
        Self(path.trim_matches('/').to_owned())
    }

    /// The path of something below.
    #[must_use]
    pub fn join(&self, below: &str) -> String {
        format!("{self}/{below}")
    }
}

impl fmt::Display for MountPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

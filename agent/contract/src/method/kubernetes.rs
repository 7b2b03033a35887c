//! `kubernetes`: the pod's ServiceAccount token.

use planescape_vault::wire::{self, Body};

use super::{Login, Material, Proof, UnusableFile, required, text};
use crate::reader::Reader;

/// Settings of the `kubernetes` method.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kubernetes {
    /// The role to log in to.
    pub role: String,
    /// The file with the ServiceAccount token.
    pub token_path: String,
}

impl Kubernetes {
    /// The kubelet puts the token here unless the pod says otherwise.
    pub const DEFAULT_TOKEN_PATH: &str = "/var/run/secrets/kubernetes.io/serviceaccount/token";
}

impl Default for Kubernetes {
    fn default() -> Self {
        Self {
            role: String::new(),
            token_path: Self::DEFAULT_TOKEN_PATH.to_owned(),
        }
    }
}

impl Login for Kubernetes {
    fn read(settings: &Reader<'_>) -> Self {
        let token_path = settings.string("token_path");
        Self {
            role: required(settings, "role"),
            token_path: token_path.unwrap_or_else(|| Self::DEFAULT_TOKEN_PATH.to_owned()),
        }
    }

    fn role(&self) -> Option<&str> {
        Some(&self.role)
    }

    fn materials(&self) -> Vec<Material> {
        vec![Material::new(&self.token_path)]
    }

    fn proof(&self, contents: &[Body]) -> Result<Proof, UnusableFile> {
        let token = text(&self.token_path, contents.first())?.trim();
        let fields = [("role", self.role.as_str()), ("jwt", token)];
        Ok(Proof::login(wire::fields(fields)))
    }
}

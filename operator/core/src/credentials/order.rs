//! The order of a run, as it stands on its Job.

use std::collections::BTreeMap;

use super::block::is_path;
use super::left::Place;
use serde::{Deserialize, Serialize};

/// As many as the definition of PlanescapeJobs lets anybody order, all of which the record of a run's leases must hold.
const MOST_SECRETS: usize = 16;

/// The order of a run. The Job carries it, so that an edit of the PlanescapeJob changes no run that has begun.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Order {
    /// The address of Vault.
    pub address: String,
    /// The Vault namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// The mount of the kubernetes auth method.
    pub auth_path: String,
    /// The role to log in as.
    pub role: String,
    /// The secrets to read.
    pub secrets: Vec<OrderedSecret>,
}

/// One secret of Vault, and the Secret that it becomes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OrderedSecret {
    /// The path in Vault.
    pub path: String,
    /// Parameters to send with the request, which then is a write.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub params: BTreeMap<String, String>,
    /// The name that the author's pod template refers to.
    pub secret_name: String,
    /// The Secret's content.
    #[serde(default)]
    pub content: Content,
}

/// The content of a Secret.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Content {
    /// Every field of the answer, under its own name.
    #[default]
    All,
    /// Keys, and the fields that they hold.
    Fields(BTreeMap<String, String>),
    /// Keys, and templates over the answer.
    Templates(BTreeMap<String, String>),
}

impl Order {
    /// Whether the operator can have written it: somebody else may write one on a Job by hand.
    #[must_use]
    pub(super) fn is_sound(&self) -> bool {
        let auth_path = self.auth_path.trim_matches('/');
        let mut paths = self.secrets.iter().map(|secret| secret.path.as_str());
        self.secrets.len() <= MOST_SECRETS && is_path(auth_path) && paths.all(is_path)
    }

    /// The Vault that the Secrets come from.
    #[must_use]
    pub fn place(&self) -> Place {
        Place {
            address: self.address.clone(),
            namespace: self.namespace.clone(),
        }
    }
}

impl OrderedSecret {
    /// The name of a run's own Secret.
    #[must_use]
    pub fn name_for(&self, job: &str) -> String {
        name_for(job, &self.secret_name)
    }
}

impl Content {
    /// The Secret's keys, where they are known before Vault has answered.
    #[must_use]
    pub fn keys(&self) -> Option<Vec<&str>> {
        match self {
            Self::All => None,
            Self::Fields(keys) | Self::Templates(keys) => {
                Some(keys.keys().map(String::as_str).collect())
            }
        }
    }
}

pub(super) fn name_for(job: &str, secret_name: &str) -> String {
    format!("{job}-{secret_name}")
}

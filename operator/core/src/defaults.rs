//! The operator's settings for PlanescapeJobs that have none of their own.

use std::collections::BTreeMap;

use jiff::SignedDuration;

use crate::annotations;
use crate::credentials;

/// Settings for PlanescapeJobs that have none of their own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Defaults {
    /// The agent's image.
    pub agent_image: String,
    /// The address of Vault; without it, every PlanescapeJob must name one.
    pub vault_address: Option<String>,
    /// PEM certificates to trust Vault by.
    pub vault_ca_cert: Option<String>,
    /// The mount of the kubernetes auth method.
    pub auth_path: String,
    /// The Vault namespace to log in to.
    pub namespace: Option<String>,
    /// The agent's user.
    pub user: i64,
    /// The agent's group.
    pub group: i64,
    /// Upper bounds of the agent, by resource name.
    pub limits: BTreeMap<&'static str, String>,
    /// Amounts that the scheduler reserves for the agent, by resource name.
    pub requests: BTreeMap<&'static str, String>,
    /// The audience of the token that the agent logs in with; the API server when absent.
    pub audience: Option<String>,
    /// Whether the label `job-name` of older runs' pods is changed to their Job's name.
    pub relabels_pods: bool,
    /// Within how many seconds after their instants recurring jobs start that ask Vault for something and do not say.
    pub vault_jitter_seconds: u32,
    /// How long a run may be kept by what its namespace or its node lacks before it is ended; for ever when absent.
    pub refused_run_limit: Option<SignedDuration>,
    /// How long Vault may deny a run what it asks for before it is ended; for ever when absent.
    pub denied_run_limit: Option<SignedDuration>,
    /// How long an agent's token may outlive an agent that is lost with its node; as long as Vault says when absent.
    pub lease_guard: Option<SignedDuration>,
}

/// Reads a lease guard: a duration of at least a minute, or `off`.
///
/// # Errors
/// It is neither.
pub fn lease_guard(text: &str) -> Result<Option<SignedDuration>, String> {
    if text == "off" {
        return Ok(None);
    }
    let duration: Option<SignedDuration> = text.parse().ok();
    let duration = duration
        .ok_or_else(|| format!("`{text}` is not a duration: write for example 30m, or off"))?;
    if duration < SignedDuration::from_mins(1) {
        return Err(format!(
            "`{text}` is less than a minute; write off for no guard"
        ));
    }
    Ok(Some(duration))
}

/// Reads the mount of an auth method. `auth/` may be left out, as in an annotation, and a namespace of Vault may stand before it.
///
/// # Errors
/// It is no path.
pub fn auth_path(text: &str) -> Result<String, String> {
    let path = credentials::auth_mount(text)?;
    if path.contains("/auth/") {
        return Ok(path.to_owned());
    }
    Ok(annotations::below_auth(path))
}

impl Default for Defaults {
    fn default() -> Self {
        Self {
            agent_image: "planescape/planescape-agent:0.1.0".into(),
            vault_address: None,
            vault_ca_cert: None,
            auth_path: "auth/kubernetes".into(),
            namespace: None,
            user: 100,
            group: 1000,
            limits: BTreeMap::from([
                ("cpu", "500m".into()),
                ("ephemeral-storage", "128Mi".into()),
                ("memory", "64Mi".into()),
            ]),
            requests: BTreeMap::from([
                ("cpu", "10m".into()),
                // Nodes that do not count local storage have none to reserve.
                ("ephemeral-storage", "0".into()),
                ("memory", "16Mi".into()),
            ]),
            audience: None,
            relabels_pods: true,
            vault_jitter_seconds: 0,
            refused_run_limit: Some(SignedDuration::from_mins(30)),
            denied_run_limit: Some(SignedDuration::from_mins(1)),
            lease_guard: Some(SignedDuration::from_mins(30)),
        }
    }
}

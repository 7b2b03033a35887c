//! Settings for PlanescapeJobs that have none of their own: for the operator, and for commands that explain its work.

use std::collections::BTreeMap;

use anyhow::{Context as _, anyhow, bail, ensure};
use clap::Args;
use jiff::SignedDuration;
use planescape_operator_core::annotations::amount;
use planescape_operator_core::defaults::{self, Defaults};

use super::vault;

/// What PlanescapeJobs get that do not say otherwise.
#[derive(Debug, Args)]
pub struct Jobs {
    /// The address of Vault, unless a PlanescapeJob names another one.
    #[arg(long, env = "PLANESCAPE_VAULT_ADDRESS", value_name = "URL")]
    pub vault_address: Option<String>,

    /// A PEM file to trust Vault by.
    #[arg(long, env = "PLANESCAPE_VAULT_CA_CERT", value_name = "FILE")]
    pub vault_ca_cert: Option<String>,

    /// The mount of Vault's kubernetes auth method; auth/kubernetes when absent.
    #[arg(long, env = "PLANESCAPE_VAULT_AUTH_PATH", value_name = "PATH")]
    pub vault_auth_path: Option<String>,

    /// The Vault namespace to log in to.
    #[arg(long, env = "PLANESCAPE_VAULT_NAMESPACE", value_name = "NAME")]
    pub vault_namespace: Option<String>,

    /// The agent's image; the one of this version when absent.
    #[arg(long, env = "PLANESCAPE_AGENT_IMAGE", value_name = "IMAGE")]
    pub agent_image: Option<String>,

    /// The audience of the token that agents log in with; the API server when absent.
    #[arg(long, env = "PLANESCAPE_VAULT_AUDIENCE", value_name = "AUDIENCE")]
    pub vault_audience: Option<String>,

    /// What agents may use, as NAME=QUANTITY with commas: cpu, memory, ephemeral-storage. An empty
    /// quantity takes a limit away.
    #[arg(long, env = "PLANESCAPE_AGENT_LIMITS", value_name = "LIMITS")]
    pub agent_limits: Option<String>,

    /// What the scheduler reserves for agents, written as the limits are.
    #[arg(long, env = "PLANESCAPE_AGENT_REQUESTS", value_name = "REQUESTS")]
    pub agent_requests: Option<String>,

    /// How many seconds Vault may deny a run a login, a path or a secret before it is ended as failed; for ever when 0.
    #[arg(
        long,
        env = "PLANESCAPE_DENIED_RUN_LIMIT",
        value_name = "SECONDS",
        default_value = "60"
    )]
    pub denied_run_limit: u32,

    /// How many seconds a run may lack what its namespace or its node has to give, such as a RoleBinding or a
    /// certificate, before it is ended as failed; for ever when 0.
    #[arg(
        long,
        env = "PLANESCAPE_REFUSED_RUN_LIMIT",
        value_name = "SECONDS",
        default_value = "1800"
    )]
    pub refused_run_limit: u32,

    /// Within how many seconds after their instants recurring jobs start that ask Vault for something and have no
    /// jitterSeconds: each always the same number, so that not all log in at once.
    #[arg(
        long,
        env = "PLANESCAPE_VAULT_JITTER_SECONDS",
        value_name = "SECONDS",
        default_value = "0",
        value_parser = clap::value_parser!(u32).range(0..=59)
    )]
    pub vault_jitter_seconds: u32,

    /// How long the token of an agent that is lost with its node may live on, with every lease: at least a minute, or
    /// off. A Vault that is away for longer ends the credentials of running jobs.
    #[arg(
        long,
        env = "PLANESCAPE_LEASE_GUARD",
        value_name = "DURATION",
        default_value = "30m"
    )]
    pub lease_guard: String,

    /// Whether pods of older runs get their own Job's name as label `job-name`, so that the label
    /// finds the latest run. It needs the permission to patch pods.
    #[arg(
        long,
        env = "PLANESCAPE_RELABEL_PODS",
        value_name = "BOOL",
        default_value = "true",
        action = clap::ArgAction::Set
    )]
    pub relabel_pods: bool,
}

impl Jobs {
    /// Settings for PlanescapeJobs that have none of their own. Empty ones count as absent, so that
    /// a manifest can leave a variable blank.
    pub fn defaults(&self) -> anyhow::Result<Defaults> {
        let given = |text: &Option<String>| vault::given(text.as_ref()).map(str::to_owned);
        let usual = Defaults::default();
        let agent_image = given(&self.agent_image).unwrap_or(usual.agent_image);
        ensure!(
            !agent_image.contains(char::is_whitespace),
            "--agent-image, PLANESCAPE_AGENT_IMAGE: `{agent_image}` holds a blank or a line end; take it away"
        );
        let limits = resources(given(&self.agent_limits), usual.limits)
            .context("--agent-limits, PLANESCAPE_AGENT_LIMITS")?;
        let requests = resources(given(&self.agent_requests), usual.requests)
            .context("--agent-requests, PLANESCAPE_AGENT_REQUESTS")?;
        check_requests(&requests, &limits)?;
        Ok(Defaults {
            agent_image,
            vault_address: vault::address(self.vault_address.as_ref())?,
            vault_ca_cert: vault::ca_cert(self.vault_ca_cert.as_ref())?,
            auth_path: vault::auth_path(self.vault_auth_path.as_ref())?.unwrap_or(usual.auth_path),
            namespace: given(&self.vault_namespace),
            audience: given(&self.vault_audience),
            limits,
            requests,
            relabels_pods: self.relabel_pods,
            vault_jitter_seconds: self.vault_jitter_seconds,
            refused_run_limit: limit(self.refused_run_limit),
            denied_run_limit: limit(self.denied_run_limit),
            lease_guard: defaults::lease_guard(&self.lease_guard)
                .map_err(|message| anyhow!("--lease-guard, PLANESCAPE_LEASE_GUARD: {message}"))?,
            user: usual.user,
            group: usual.group,
        })
    }
}

fn limit(seconds: u32) -> Option<SignedDuration> {
    (seconds > 0).then(|| SignedDuration::from_secs(seconds.into()))
}

/// The usual quantities, with those that are given in their place.
fn resources(
    given: Option<String>,
    mut quantities: BTreeMap<&'static str, String>,
) -> anyhow::Result<BTreeMap<&'static str, String>> {
    const NAMES: [&str; 3] = ["cpu", "ephemeral-storage", "memory"];
    for item in given.iter().flat_map(|given| given.split(',')) {
        let (name, quantity) = item.split_once('=').unwrap_or((item, ""));
        let name = NAMES.into_iter().find(|known| *known == name.trim());
        let quantity = quantity.trim();
        let is_quantity = quantity.is_empty() || amount(quantity).is_some();
        let (Some(name), true, true) = (name, item.contains('='), is_quantity) else {
            bail!("`{item}` is not a resource: write for example cpu=500m,memory=64Mi");
        };
        if quantity.is_empty() {
            quantities.remove(name);
        } else {
            quantities.insert(name, quantity.to_owned());
        }
    }
    Ok(quantities)
}

/// A fraction is not exact: 9m is more than 0.009 by its last bit.
const INEXACT: f64 = 1.0 + 1e-9;

/// Kubernetes refuses every pod whose containers ask for more than they may use.
fn check_requests(
    requests: &BTreeMap<&'static str, String>,
    limits: &BTreeMap<&'static str, String>,
) -> anyhow::Result<()> {
    for (name, request) in requests {
        let limit = limits.get(name);
        let exceeds =
            |limit: &&String| amount(request) > amount(limit).map(|limit| limit * INEXACT);
        if let Some(limit) = limit.filter(exceeds) {
            bail!(
                "--agent-requests, PLANESCAPE_AGENT_REQUESTS: {name}={request} is more than the limit, {name}={limit}; write less, or more in --agent-limits, PLANESCAPE_AGENT_LIMITS"
            );
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use clap::FromArgMatches as _;

    use super::*;

    #[test]
    fn takes_a_blank_setting_for_none() {
        let defaults = defaults(&[
            "--vault-address=",
            "--vault-auth-path=",
            "--vault-namespace=",
            "--vault-ca-cert=",
            "--agent-image=",
        ]);

        assert_eq!(defaults.unwrap(), Defaults::default());
    }

    #[test]
    fn hands_every_setting_on() {
        let defaults = defaults(&[
            "--vault-address=https://vault:8200",
            "--vault-auth-path=auth/other",
            "--vault-namespace=team",
            "--vault-audience=vault",
            "--refused-run-limit=0",
            "--denied-run-limit=90",
            "--lease-guard=5m",
            "--vault-jitter-seconds=30",
            "--relabel-pods=false",
            "--agent-image=agent:1",
        ])
        .unwrap();

        assert_eq!(
            defaults.vault_address.as_deref(),
            Some("https://vault:8200")
        );
        assert_eq!(defaults.auth_path, "auth/other");
        assert_eq!(defaults.namespace.as_deref(), Some("team"));
        assert_eq!(defaults.agent_image, "agent:1");
        assert_eq!(defaults.audience.as_deref(), Some("vault"));
        assert_eq!(defaults.vault_jitter_seconds, 30);
        assert_eq!(defaults.refused_run_limit, None);
        let denied = SignedDuration::from_secs(90);
        assert_eq!(defaults.denied_run_limit, Some(denied));
        let guard = SignedDuration::from_mins(5);
        assert_eq!(defaults.lease_guard, Some(guard));
        assert!(!defaults.relabels_pods);
    }

    #[test]
    fn takes_resources_one_by_one_and_refuses_what_are_none() {
        let taken = defaults(&["--agent-limits=cpu=,memory=1Gi"]).unwrap();

        assert_eq!(taken.limits.get("cpu"), None);
        assert_eq!(taken.limits["memory"], "1Gi");
        assert_eq!(taken.limits["ephemeral-storage"], "128Mi");
        for wrong in ["cpu", "gpu=1", "memory=64MB"] {
            let error = defaults(&[&format!("--agent-limits={wrong}")]);
            let error = format!("{:#}", error.unwrap_err());
            assert!(error.contains(wrong), "{error}");
        }
    }

    #[test]
    fn a_lease_guard_lasts_a_minute_at_least_or_is_off() {
        let guard = |text: &str| defaults(&[&format!("--lease-guard={text}")]);
        assert_eq!(guard("off").unwrap().lease_guard, None);
        assert!(guard("1m").unwrap().lease_guard.is_some());
        for wrong in ["59s", "soon", "-1h", ""] {
            assert!(guard(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn says_which_file_it_cannot_read() {
        let error = defaults(&["--vault-ca-cert=/nowhere/ca.crt"]).unwrap_err();

        assert_eq!(
            error.to_string(),
            "--vault-ca-cert, PLANESCAPE_VAULT_CA_CERT: cannot read /nowhere/ca.crt"
        );
    }

    #[test]
    fn refuses_what_every_planescapejob_would_be_blamed_for() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("ca.crt");
        std::fs::write(&file, "no certificate").unwrap();
        let ca_cert = format!("--vault-ca-cert={}", file.display());
        for (setting, said) in [
            (
                "--vault-address=vault.example:8200",
                "--vault-address, PLANESCAPE_VAULT_ADDRESS: `vault.example:8200` is not an address: write https://vault.example:8200",
            ),
            (
                "--vault-auth-path=auth/my cluster",
                "--vault-auth-path, PLANESCAPE_VAULT_AUTH_PATH: `auth/my cluster` is not a path: write for example auth/kubernetes",
            ),
            (
                "--agent-image= agent:1",
                "--agent-image, PLANESCAPE_AGENT_IMAGE: ` agent:1` holds a blank",
            ),
            (
                "--agent-limits=memory=8Mi",
                "--agent-requests, PLANESCAPE_AGENT_REQUESTS: memory=16Mi is more than the limit, memory=8Mi; write less",
            ),
            (&*ca_cert, "--vault-ca-cert, PLANESCAPE_VAULT_CA_CERT: "),
        ] {
            let error = defaults(&[setting]).unwrap_err().to_string();

            assert!(error.starts_with(said), "{error}");
        }
    }

    #[test]
    fn takes_what_agents_and_kubernetes_take() {
        let taken = defaults(&[
            "--vault-address= https://vault:8200\n",
            "--vault-auth-path=team/auth/kubernetes",
            "--vault-ca-cert= ",
            "--agent-limits=cpu=0.009",
            "--agent-requests=cpu=9m",
        ]);

        let taken = taken.unwrap();
        assert_eq!(taken.vault_address.as_deref(), Some("https://vault:8200"));
        assert_eq!(taken.auth_path, "team/auth/kubernetes");
        assert_eq!(taken.vault_ca_cert, None);
    }

    #[test]
    fn an_auth_method_is_mounted_below_auth() {
        for path in ["team", "auth/team", "/auth/team/"] {
            let taken = defaults(&[&format!("--vault-auth-path={path}")]);

            assert_eq!(taken.unwrap().auth_path, "auth/team", "{path}");
        }
    }

    fn defaults(arguments: &[&str]) -> anyhow::Result<Defaults> {
        let arguments = [&["operator"], arguments].concat();
        let command = Jobs::augment_args(clap::Command::new("operator"));
        let matches = command.try_get_matches_from(arguments)?;
        Jobs::from_arg_matches(&matches)?.defaults()
    }
}

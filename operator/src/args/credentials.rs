//! Settings of `planescape credentials`.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, anyhow, ensure};
use clap::Args;
use jiff::SignedDuration;
use planescape_operator_core::credentials::addresses::Addresses;
use planescape_operator_core::defaults::{self, Defaults};

use super::election::Election;
use super::serving::Serving;
use super::vault;

/// The settings of `planescape credentials`. Each can be given by an environment variable as well.
#[derive(Debug, Args)]
pub struct Credentials {
    /// The one Vault that runs get their Secrets from, unless there are several.
    #[arg(long, env = "PLANESCAPE_VAULT_ADDRESS", value_name = "URL")]
    pub vault_address: Option<String>,

    /// More Vaults that runs may get their Secrets from, with commas. No other one is ever talked to.
    #[arg(long, env = "PLANESCAPE_VAULT_ADDRESSES", value_name = "URLS")]
    pub vault_addresses: Option<String>,

    /// A PEM file to trust Vault by.
    #[arg(long, env = "PLANESCAPE_VAULT_CA_CERT", value_name = "FILE")]
    pub vault_ca_cert: Option<String>,

    /// The audience of the ServiceAccounts' tokens that Vault is shown, as the role's `audience` says. Never the
    /// API server.
    #[arg(
        long,
        env = "PLANESCAPE_CREDENTIALS_AUDIENCE",
        value_name = "AUDIENCE",
        default_value = "vault"
    )]
    pub audience: String,

    /// The mount of Vault's kubernetes auth method for PlanescapeJobs that do not say; as the operator has it.
    #[arg(long, env = "PLANESCAPE_VAULT_AUTH_PATH", value_name = "PATH")]
    pub vault_auth_path: Option<String>,

    /// The Vault namespace for PlanescapeJobs that do not say; as the operator has it.
    #[arg(long, env = "PLANESCAPE_VAULT_NAMESPACE", value_name = "NAME")]
    pub vault_namespace: Option<String>,

    /// The audience of the token that agents log in with; as the operator has it.
    #[arg(long, env = "PLANESCAPE_VAULT_AUDIENCE", value_name = "AUDIENCE")]
    pub vault_audience: Option<String>,

    /// How many logins a second each Vault is asked for at most.
    #[arg(
        long,
        env = "PLANESCAPE_VAULT_LOGINS_PER_SECOND",
        value_name = "COUNT",
        default_value = "20",
        value_parser = clap::value_parser!(u32).range(1..=1_000)
    )]
    pub vault_logins_per_second: u32,

    /// How long tokens and leases are to outlive this program, as far as Vault's roles let them.
    #[arg(
        long,
        env = "PLANESCAPE_CREDENTIALS_OUTAGE",
        value_name = "DURATION",
        default_value = "1h",
        value_parser = duration
    )]
    pub outage: SignedDuration,

    /// The role of Vault to log in as for revoking what killed agents leave; nobody revokes that when absent. Its
    /// policy needs no more than `update` on `auth/token/revoke-accessor`.
    #[arg(long, env = "PLANESCAPE_REVOCATION_ROLE", value_name = "ROLE")]
    pub revocation_role: Option<String>,

    /// The mount of Vault's kubernetes auth method that has this role.
    #[arg(
        long,
        env = "PLANESCAPE_REVOCATION_AUTH_PATH",
        value_name = "PATH",
        default_value = "auth/kubernetes"
    )]
    pub revocation_auth_path: String,

    /// The token of this program's own ServiceAccount to log in with for that.
    #[arg(
        long,
        env = "PLANESCAPE_REVOCATION_TOKEN_FILE",
        value_name = "FILE",
        default_value = "/var/run/secrets/planescape/vault/token"
    )]
    pub revocation_token_file: PathBuf,

    /// The namespace of the records of tokens, which nobody else may read; the program's own when absent.
    #[arg(
        long,
        env = "PLANESCAPE_CREDENTIALS_NAMESPACE",
        value_name = "NAME",
        value_parser = super::namespace_name
    )]
    pub own_namespace: Option<String>,

    /// The one namespace whose runs get Secrets; all when absent.
    #[arg(
        long,
        env = "PLANESCAPE_NAMESPACE",
        value_name = "NAME",
        value_parser = super::namespace_name
    )]
    pub namespace: Option<String>,

    /// How several such programs agree on who leads.
    #[command(flatten)]
    pub election: Election,

    /// The address at which it answers, and what it logs.
    #[command(flatten)]
    pub serving: Serving,
}

impl Credentials {
    /// The Vaults that it may talk to.
    pub fn addresses(&self) -> anyhow::Result<Addresses> {
        let one = vault::address(self.vault_address.as_ref())?;
        let lists = [one.as_deref(), self.vault_addresses.as_deref()];
        let lists: Vec<&str> = lists.into_iter().flatten().collect();
        let addresses = Addresses::parse(&lists.join(","));
        let addresses = addresses.map_err(|message| {
            anyhow!("--vault-addresses, PLANESCAPE_VAULT_ADDRESSES: {message}")
        })?;
        ensure!(
            !addresses.is_empty(),
            "--vault-addresses, PLANESCAPE_VAULT_ADDRESSES: names no Vault; write for example https://vault.vault.svc:8200"
        );
        Ok(addresses)
    }

    /// The operator's settings for PlanescapeJobs that have none of their own, as far as a login depends on them.
    pub fn defaults(&self) -> anyhow::Result<Defaults> {
        let given = |text: &Option<String>| vault::given(text.as_ref()).map(str::to_owned);
        let usual = Defaults::default();
        Ok(Defaults {
            vault_address: vault::address(self.vault_address.as_ref())?,
            auth_path: vault::auth_path(self.vault_auth_path.as_ref())?
                .unwrap_or_else(|| usual.auth_path.clone()),
            namespace: given(&self.vault_namespace),
            audience: given(&self.vault_audience),
            ..usual
        })
    }

    /// The mount of the auth method to log in at for revoking.
    pub fn revocation_auth_path(&self) -> anyhow::Result<String> {
        let path = defaults::auth_path(&self.revocation_auth_path);
        path.map_err(|message| {
            anyhow!("--revocation-auth-path, PLANESCAPE_REVOCATION_AUTH_PATH: {message}")
        })
    }

    /// The audience of tokens.
    pub fn audience(&self) -> anyhow::Result<&str> {
        let audience = self.audience.trim();
        ensure!(
            !audience.is_empty() && !audience.contains("kubernetes.default"),
            "--audience, PLANESCAPE_CREDENTIALS_AUDIENCE: `{audience}` would make tokens that the API server accepts; use one that only Vault's role names, such as vault"
        );
        Ok(audience)
    }

    /// The certificates to trust Vault by.
    pub fn vault_ca_cert(&self) -> anyhow::Result<Option<String>> {
        vault::ca_cert(self.vault_ca_cert.as_ref())
    }
}

fn duration(text: &str) -> anyhow::Result<SignedDuration> {
    let duration: SignedDuration = text
        .parse()
        .ok()
        .context("is not a duration; write for example 1h")?;
    ensure!(
        duration >= SignedDuration::from_mins(1) && Duration::try_from(duration).is_ok(),
        "is less than a minute; write 1m, or more"
    );
    Ok(duration)
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;

    #[derive(clap::Parser)]
    struct Program {
        #[command(flatten)]
        settings: Credentials,
    }

    #[test]
    fn talks_to_the_listed_vaults_and_to_no_other() {
        let settings = parse(&[
            "--vault-address=http://a",
            "--vault-addresses=http://b,http://c",
        ]);
        let addresses = settings.unwrap().addresses().unwrap();
        for address in ["http://a", "http://b", "http://c"] {
            assert!(addresses.check(address).is_ok(), "{address}");
        }
        assert!(addresses.check("http://d").is_err());

        let error = parse(&[]).unwrap().addresses().unwrap_err();
        assert!(error.to_string().contains("names no Vault"), "{error}");
    }

    #[test]
    fn says_which_setting_is_wrong_and_what_to_write() {
        for (arguments, said) in [
            (
                &["--vault-address=vault:8200"][..],
                "--vault-address, PLANESCAPE_VAULT_ADDRESS: `vault:8200` is not an address: write https://vault:8200",
            ),
            (
                &["--vault-address=http://a", "--vault-addresses=http://b,c:1"],
                "--vault-addresses, PLANESCAPE_VAULT_ADDRESSES: `c:1` is not an address: write https://c:1",
            ),
        ] {
            let error = parse(arguments).unwrap().addresses().unwrap_err();
            assert_eq!(error.to_string(), said);
        }
        let settings = parse(&["--vault-auth-path=team"]).unwrap();
        assert_eq!(settings.defaults().unwrap().auth_path, "auth/team");
        let settings = parse(&["--revocation-auth-path=a b"]).unwrap();
        let error = settings.revocation_auth_path().unwrap_err();
        assert!(error.to_string().contains("is not a path"), "{error}");
    }

    #[test]
    fn makes_no_token_that_the_api_server_accepts() {
        assert_eq!(parse(&[]).unwrap().audience().unwrap(), "vault");
        for wrong in ["", " ", "https://kubernetes.default.svc.cluster.local"] {
            let settings = parse(&[&format!("--audience={wrong}")]).unwrap();
            assert!(settings.audience().is_err(), "{wrong}");
        }
    }

    #[test]
    fn an_outage_lasts_a_minute_at_least() {
        assert!(parse(&["--outage=1m"]).is_ok());
        for wrong in ["30s", "-1h", "soon"] {
            assert!(parse(&[&format!("--outage={wrong}")]).is_err(), "{wrong}");
        }
    }

    fn parse(arguments: &[&str]) -> Result<Credentials, clap::Error> {
        let arguments = [&["credentials"], arguments].concat();
        Program::try_parse_from(arguments).map(|program| program.settings)
    }
}

//! A Vault that keeps what it holds on disk, so that it can be killed and come back as it was.

use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use nix::sys::signal::Signal;
use serde_json::json;
use sha2::{Digest as _, Sha256};

use super::{ROOT_TOKEN, Tls, Vault, http_client};
use crate::address;
use crate::process::Server;
use crate::run_folder::RunFolder;
use crate::servers;

/// The parts that a Vault needs to come back.
#[derive(Debug)]
pub(super) struct Disk {
    configuration: PathBuf,
    pub(super) key: String,
}

/// The plugins that [`servers::VAULT`] builds, by the kind of engine.
const PLUGINS: [(&str, &str); 2] = [
    ("database", "postgresql-database-plugin"),
    ("auth", "kubernetes"),
];

impl Vault {
    /// Starts a server as [`Vault::start`] does, with storage that outlives its process.
    pub async fn start_on_disk(run: &RunFolder, ip: IpAddr) -> Result<Self> {
        let folder = run.subfolder("vault")?;
        let (address, cluster) = (address::free(ip)?, address::free(ip)?);
        let plugins = servers::VAULT.build()?.join("plugins");
        let configuration = folder.join("vault.hcl");
        let storage = folder.join("storage");
        fs::create_dir(&storage)?;
        let settings = configured(&storage, &plugins, address, cluster);
        fs::write(&configuration, settings)?;
        let server = Server::start("vault", &serve(&configuration, &folder)?, &folder)?;
        let mut vault = Self {
            address,
            folder,
            tls: Tls::Off,
            http: http_client(None)?,
            server,
            disk: None,
        };
        address::until_accepting(&mut vault.server, address).await?;
        let shares = json!({"secret_shares": 1, "secret_threshold": 1});
        let made = vault.write("sys/init", &shares).await?;
        let text = |value: &serde_json::Value| value.as_str().map(str::to_owned);
        let key = text(&made["keys"][0]).context("a key to unseal it")?;
        let first = text(&made["root_token"]).context("a root token")?;
        vault.disk = Some(Disk { configuration, key });
        vault.unseal().await?;
        // As a server for development does.
        let root = json!({"id": ROOT_TOKEN, "policies": ["root"], "no_parent": true});
        vault.write_as(&first, "auth/token/create", &root).await?;
        for (kind, name) in PLUGINS {
            let digest = Sha256::digest(fs::read(plugins.join(name))?);
            let digest: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
            let plugin = json!({"sha256": digest, "command": name});
            let path = format!("sys/plugins/catalog/{kind}/{name}");
            vault.write(&path, &plugin).await?;
        }
        vault.enable_audit_log().await?;
        vault.enable_key_value().await?;
        Ok(vault)
    }

    /// Kills its process.
    pub async fn kill(&mut self) -> Result<()> {
        self.server.signal(Signal::SIGKILL)?;
        while self.server.is_running() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Ok(())
    }

    /// Starts it again after [`Self::kill`], and unseals it.
    pub async fn start_again(&mut self) -> Result<()> {
        let disk = self.disk.as_ref().context("a Vault that is on disk")?;
        let command = serve(&disk.configuration, &self.folder)?;
        self.server = Server::start("vault-again", &command, &self.folder)?;
        address::until_accepting(&mut self.server, self.address).await?;
        self.unseal().await
    }
}

fn serve(configuration: &Path, folder: &Path) -> Result<Command> {
    let mut command = Command::new(servers::VAULT.build()?.join("vault"));
    command
        .arg("server")
        .arg(format!("-config={}", configuration.display()))
        .env("HOME", folder);
    Ok(command)
}

/// The one kind of storage on disk that our build has: a cluster of one, which elects itself within a second or two.
fn configured(storage: &Path, plugins: &Path, address: SocketAddr, cluster: SocketAddr) -> String {
    format!(
        r#"
storage "raft" {{
  path                   = "{storage}"
  node_id                = "one"
  performance_multiplier = "1"
}}
listener "tcp" {{
  address         = "{address}"
  cluster_address = "{cluster}"
  tls_disable     = true
}}
api_addr         = "http://{address}"
cluster_addr     = "https://{cluster}"
plugin_directory = "{plugins}"
disable_mlock    = true
"#,
        storage = storage.display(),
        plugins = plugins.display(),
    )
}

//! A Vault server of our own: in memory or on disk, unsealed, audited, with the secrets engines that the
//! tests use.

use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use backon::{ConstantBuilder, Retryable as _};
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use vaultrs::client::{VaultClient, VaultClientSettingsBuilder};

use crate::address;
use crate::process::Server;
use crate::run_folder::RunFolder;
use crate::servers;

mod audit;
mod disk;
mod engines;

pub use audit::{Entry, Moment};
use disk::Disk;
pub use engines::Role;

/// The root token of every Vault we start.
pub const ROOT_TOKEN: &str = "root";

/// A running Vault server.
#[derive(Debug)]
pub struct Vault {
    address: SocketAddr,
    folder: PathBuf,
    tls: Tls,
    http: reqwest::Client,
    server: Server,
    /// None for a server for development, which holds everything in memory.
    disk: Option<Disk>,
}

/// Whether Vault is reached over TLS.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Tls {
    /// `http://`
    Off,
    /// `https://`, with a certificate of its own authority: see [`Vault::authority`].
    On,
}

/// Reads the engine `kv` with vaultrs, at an address that asks for no token.
pub async fn read_without_token(address: &str, path: &str) -> Result<Value> {
    let settings = VaultClientSettingsBuilder::default()
        .address(address)
        .token("")
        .build()?;
    let client = VaultClient::new(settings)?;
    Ok(vaultrs::kv2::read(&client, "kv", path).await?)
}

impl Vault {
    /// Starts a server that listens at `ip`, with an audit log and key-value engines.
    pub async fn start(run: &RunFolder, ip: IpAddr, tls: Tls) -> Result<Self> {
        let folder = run.subfolder("vault")?;
        let address = address::free(ip)?;
        let server = Server::start("vault", &serve(&folder, address, tls)?, &folder)?;
        let mut vault = Self {
            address,
            folder,
            tls,
            http: http_client(None)?,
            server,
            disk: None,
        };
        vault.until_ready().await?;
        vault.enable_audit_log().await?;
        vault.enable_key_value().await?;
        Ok(vault)
    }

    /// Starts an OpenBao in its place, without an audit log.
    pub async fn start_openbao(run: &RunFolder, ip: IpAddr) -> Result<Self> {
        let folder = run.subfolder("openbao")?;
        let address = address::free(ip)?;
        let binary = servers::OPENBAO.build()?.join("bao");
        let command = serve_with(&binary, &folder, address);
        let server = Server::start("openbao", &command, &folder)?;
        let mut bao = Self {
            address,
            folder,
            tls: Tls::Off,
            http: http_client(None)?,
            server,
            disk: None,
        };
        bao.until_ready().await?;
        bao.enable_key_value().await?;
        Ok(bao)
    }

    /// `VAULT_ADDR`.
    pub fn url(&self) -> String {
        let scheme = match self.tls {
            Tls::Off => "http",
            Tls::On => "https",
        };
        format!("{scheme}://{}", self.address)
    }

    /// Its address.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The certificate authority to trust; the file exists when TLS is on.
    pub fn authority(&self) -> PathBuf {
        self.folder.join("tls/vault-ca.pem")
    }

    /// A typed client with the root token.
    pub fn client(&self) -> Result<VaultClient> {
        let authorities = match self.tls {
            Tls::Off => Vec::new(),
            Tls::On => vec![self.authority().display().to_string()],
        };
        let settings = VaultClientSettingsBuilder::default()
            .address(self.url())
            .token(ROOT_TOKEN)
            .ca_certs(authorities)
            .build()?;
        Ok(VaultClient::new(settings)?)
    }

    /// `vault write PATH …` as root; the answer's JSON, or null.
    pub async fn write(&self, path: &str, body: &Value) -> Result<Value> {
        self.write_as(ROOT_TOKEN, path, body).await
    }

    async fn write_as(&self, token: &str, path: &str, body: &Value) -> Result<Value> {
        let url = format!("{}/v1/{path}", self.url());
        let answer = self
            .http
            .post(url)
            .header("X-Vault-Token", token)
            .json(body)
            .send()
            .await?;
        let status = answer.status();
        let text = answer.text().await?;
        ensure!(status.is_success(), "vault write {path}: {status}: {text}");
        if text.is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_str(&text).context("read Vault's answer")
    }

    /// `vault read PATH` with `token`: the status and the answer's JSON, whatever they are.
    pub async fn read_as(&self, token: &str, path: &str) -> Result<(u16, Value)> {
        let url = format!("{}/v1/{path}", self.url());
        let answer = self.http.get(url).header("X-Vault-Token", token);
        let answer = answer.send().await?;
        let status = answer.status().as_u16();
        Ok((status, answer.json().await.unwrap_or_default()))
    }

    /// `vault read PATH` as root.
    pub async fn read(&self, path: &str) -> Result<Value> {
        let (status, answer) = self.read_as(ROOT_TOKEN, path).await?;
        ensure!(status == 200, "vault read {path}: {status}: {answer}");
        Ok(answer)
    }

    /// The leases under `prefix`, as root sees them: `database/creds/readonly` and the like.
    pub async fn leases(&self, prefix: &str) -> Result<Vec<String>> {
        let path = format!("sys/leases/lookup/{prefix}?list=true");
        let (status, answer) = self.read_as(ROOT_TOKEN, &path).await?;
        ensure!(matches!(status, 200 | 404), "list leases: {status}");
        let keys = answer["data"]["keys"].as_array();
        Ok(keys
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .map(|key| format!("{prefix}/{key}"))
            .collect())
    }

    /// Seals it: it answers everything with 503 until it is unsealed.
    pub async fn seal(&self) -> Result<()> {
        Ok(vaultrs::sys::seal(&self.client()?).await?)
    }

    /// Unseals it again.
    pub async fn unseal(&self) -> Result<()> {
        let output = self.server.output();
        let key = match &self.disk {
            Some(disk) => Some(disk.key.as_str()),
            None => {
                let mut lines = output.lines();
                lines.find_map(|line| line.strip_prefix("Unseal Key: "))
            }
        };
        let key = key
            .context("Vault has not printed its unseal key")?
            .to_owned();
        vaultrs::sys::unseal(&self.client()?, Some(key), None, None).await?;
        let health = format!("{}/v1/sys/health", self.url());
        for _ in 0..600 {
            let answer = self.http.get(&health).send().await;
            if answer.is_ok_and(|answer| answer.status().is_success()) {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        bail!("Vault is not ready 30 s after it was unsealed")
    }

    /// Stops its process without ending it: connections are accepted, nothing is answered.
    pub fn freeze(&self) -> Result<()> {
        self.server.signal(Signal::SIGSTOP)
    }

    /// Lets a frozen process go on.
    pub fn thaw(&self) -> Result<()> {
        self.server.signal(Signal::SIGCONT)
    }

    /// All requests so far, oldest first, as the audit log has them.
    pub fn requests(&self) -> Result<Vec<Entry>> {
        audit::read(&self.audit_log())
    }

    fn audit_log(&self) -> PathBuf {
        self.folder.join("audit.log")
    }

    async fn until_ready(&mut self) -> Result<()> {
        if self.tls == Tls::On {
            let authority = self.authority();
            address::until(&mut self.server, Duration::from_secs(30), async || {
                authority.exists()
            })
            .await?;
            let certificate = reqwest::Certificate::from_pem(&fs::read(self.authority())?)?;
            self.http = http_client(Some(certificate))?;
        }
        let health = format!("{}/v1/sys/health", self.url());
        let http = self.http.clone();
        address::until(&mut self.server, Duration::from_secs(30), async || {
            let answer = http.get(&health).send().await;
            answer.is_ok_and(|answer| answer.status().is_success())
        })
        .await
    }

    /// Accessors are left readable, so that requests can be matched with who made them;
    /// tokens and values are hashed by Vault.
    async fn enable_audit_log(&self) -> Result<()> {
        let path = self.audit_log();
        let options = json!({"file_path": path, "hmac_accessor": "false"});
        let device = json!({"type": "file", "options": options});
        // A server that has just come up may not be able to yet.
        let enable = || self.write("sys/audit/file", &device);
        let patience = ConstantBuilder::new().with_delay(Duration::from_millis(200));
        match enable.retry(patience.with_max_times(10)).await {
            // An attempt that failed may have done it all the same.
            Err(error) if !error.to_string().contains("already in use") => Err(error),
            Ok(_) | Err(_) => Ok(()),
        }
    }
}

/// Keeps no connections: tests that share a server have a runtime each.
fn http_client(authority: Option<reqwest::Certificate>) -> Result<reqwest::Client> {
    let client = reqwest::Client::builder()
        .no_proxy()
        .pool_max_idle_per_host(0)
        .tls_certs_only(authority);
    Ok(client.build()?)
}

fn serve_with(binary: &Path, folder: &Path, address: SocketAddr) -> Command {
    let mut command = Command::new(binary);
    command
        .args(["server", "-dev", "-dev-no-store-token"])
        .arg(format!("-dev-root-token-id={ROOT_TOKEN}"))
        .arg(format!("-dev-listen-address={address}"))
        .env("HOME", folder);
    command
}

fn serve(folder: &Path, address: SocketAddr, tls: Tls) -> Result<Command> {
    let binaries = servers::VAULT.build()?;
    let mut command = serve_with(&binaries.join("vault"), folder, address);
    command.arg("-dev-plugin-dir").arg(binaries.join("plugins"));
    if tls == Tls::On {
        let certificates = folder.join("tls");
        fs::create_dir(&certificates)?;
        fs::set_permissions(&certificates, fs::Permissions::from_mode(0o755))?;
        command
            .arg("-dev-tls")
            .arg(format!("-dev-tls-cert-dir={}", certificates.display()))
            .arg(format!("-dev-tls-san={}", address.ip()));
    }
    Ok(command)
}

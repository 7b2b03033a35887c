//! The Kubernetes control plane: etcd, API server, controller manager, scheduler.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use backon::{ConstantBuilder, Retryable};
use k8s_openapi::api::authentication::v1::TokenRequest;
use k8s_openapi::api::core::v1::ServiceAccount;
use kube::api::PostParams;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Client, Config};
use tokio::io::AsyncWriteExt;

use crate::address;
use crate::process::{PROXY_VARIABLES, Server};
use crate::run_folder::RunFolder;
use crate::servers;

pub mod audit;
mod kubeconfig;

pub use kubeconfig::User;

/// The range that Services of the cluster get their addresses from.
pub(crate) const SERVICE_RANGE: &str = "10.96.0.0/16";

/// Vault may ask the API server whether a ServiceAccount's token is genuine.
const TOKEN_REVIEWER: &str = include_str!("control_plane/token-reviewer.yaml");

/// A running control plane without nodes.
#[derive(Debug)]
pub struct ControlPlane {
    address: SocketAddr,
    folder: PathBuf,
    binaries: PathBuf,
    // Each is ended before what it talks to.
    controllers: Vec<Server>,
    api_server: Mutex<Option<Server>>,
    etcd_address: SocketAddr,
    _etcd: Server,
}

impl ControlPlane {
    /// Starts all four; the API server listens at `ip`.
    pub async fn start(run: &RunFolder, ip: IpAddr) -> Result<Self> {
        let binaries = servers::KUBERNETES.build()?;
        let folder = run.subfolder("control-plane")?;
        write_credentials(&folder).await?;
        let (etcd, etcd_address) = start_etcd(&binaries, &folder).await?;
        let address = address::free(ip)?;
        let api_server = start_api_server((&binaries, &folder), address, etcd_address).await?;
        for user in [User::Admin, User::Node] {
            kubeconfig::write(&folder, address, user)?;
        }
        let controllers = controller_manager(&binaries, &folder)?;
        let scheduler = scheduler(&binaries, &folder)?;
        Ok(Self {
            address,
            binaries,
            controllers: vec![
                Server::start("kube-controller-manager", &controllers, &folder)?,
                Server::start("kube-scheduler", &scheduler, &folder)?,
            ],
            api_server: Mutex::new(Some(api_server)),
            etcd_address,
            _etcd: etcd,
            folder,
        })
    }

    /// Ends the controllers and the scheduler: what is there stays as it is.
    pub fn stand_still(&mut self) {
        self.controllers.clear();
    }

    /// Ends the API server at once, as `kill -9` does.
    pub fn kill_api_server(&self) {
        self.keep_api_server(None);
    }

    /// Starts it again where it was; returns when it is ready.
    pub async fn start_api_server(&self) -> Result<()> {
        let place = (self.binaries.as_path(), self.folder.as_path());
        let server = start_api_server(place, self.address, self.etcd_address).await?;
        self.keep_api_server(Some(server));
        Ok(())
    }

    fn keep_api_server(&self, server: Option<Server>) {
        let kept = self.api_server.lock();
        *kept.unwrap_or_else(PoisonError::into_inner) = server;
    }

    /// `https://…` of the API server.
    pub fn url(&self) -> String {
        format!("https://{}", self.address)
    }

    /// The requests to the API server so far, with their answers: Jobs, pods, PlanescapeJobs, events, Leases.
    pub fn calls(&self) -> Result<Vec<audit::Call>> {
        audit::read(&self.folder)
    }

    /// The API server's audit log as it stands.
    pub fn audit_log(&self) -> Result<String> {
        audit::text(&self.folder)
    }

    /// The address of the API server.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The certificate that clients have to trust, as PEM.
    pub fn authority(&self) -> Result<String> {
        Ok(fs::read_to_string(authority(&self.folder))?)
    }

    /// `KUBECONFIG` of a user.
    pub fn kubeconfig(&self, user: User) -> PathBuf {
        kubeconfig::path(&self.folder, user)
    }

    /// `KUBECONFIG` of a ServiceAccount, as its pods have it.
    pub async fn kubeconfig_of_account(&self, namespace: &str, name: &str) -> Result<PathBuf> {
        let token = self.service_account_token(namespace, name).await?;
        let path = self.folder.join(format!("{namespace}-{name}.kubeconfig"));
        kubeconfig::write_with_token(&path, self.address, (&token, namespace))?;
        Ok(path)
    }

    /// A client that may do everything.
    pub async fn client(&self) -> Result<Client> {
        let file = Kubeconfig::read_from(self.kubeconfig(User::Admin))?;
        let config = Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await?;
        Ok(Client::try_from(config)?)
    }

    /// Runs `kubectl` as a user who may do everything; what it prints on success.
    pub async fn kubectl(&self, arguments: &[&str]) -> Result<String> {
        self.kubectl_with_input(arguments, "").await
    }

    /// Runs `kubectl` in a namespace.
    pub async fn kubectl_in(&self, namespace: &str, arguments: &[&str]) -> Result<String> {
        let arguments = [&["--namespace", namespace], arguments].concat();
        self.kubectl(&arguments).await
    }

    /// `kubectl apply` of a manifest.
    pub async fn apply(&self, manifest: &str) -> Result<String> {
        self.kubectl_with_input(&["apply", "-f", "-"], manifest)
            .await
    }

    /// `kubectl apply` of a manifest whose objects name no namespace.
    pub async fn apply_in(&self, namespace: &str, manifest: &str) -> Result<String> {
        self.kubectl_with_input(&["apply", "-n", namespace, "-f", "-"], manifest)
            .await
    }

    /// A token of a ServiceAccount, as a pod would be given it; waits for new namespaces.
    pub async fn service_account_token(&self, namespace: &str, name: &str) -> Result<String> {
        let accounts: Api<ServiceAccount> = Api::namespaced(self.client().await?, namespace);
        let request = TokenRequest::default();
        let options = PostParams::default();
        let ask = || accounts.create_token_request(name, &options, &request);
        // The controller makes the account of a new namespace a moment later.
        let patience = ConstantBuilder::default()
            .with_delay(Duration::from_millis(50))
            .with_max_times(200);
        let is_not_there =
            |error: &kube::Error| matches!(error, kube::Error::Api(status) if status.code == 404);
        let answer = ask.retry(patience).when(is_not_there).await?;
        let status = answer.status.context("a token request without status")?;
        Ok(status.token)
    }

    /// The token with which Vault asks the API server about other tokens.
    pub async fn token_reviewer(&self) -> Result<String> {
        self.apply(TOKEN_REVIEWER).await?;
        self.service_account_token("kube-system", "token-reviewer")
            .await
    }

    /// The same with a text on its standard input.
    pub async fn kubectl_with_input(&self, arguments: &[&str], input: &str) -> Result<String> {
        let mut kubectl = tokio::process::Command::new("setpriv");
        kubectl.args(["--pdeathsig", "KILL", "--"]);
        for variable in PROXY_VARIABLES {
            kubectl.env_remove(variable);
        }
        let mut child = kubectl
            .arg(self.binaries.join("kubectl"))
            .args(arguments)
            .env("KUBECONFIG", self.kubeconfig(User::Admin))
            .env("KUBECACHEDIR", self.folder.join("kubectl-cache"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .context("run kubectl")?;
        let mut stdin = child.stdin.take().context("kubectl without stdin")?;
        stdin.write_all(input.as_bytes()).await?;
        drop(stdin);
        let output = child.wait_with_output().await?;
        let errors = String::from_utf8_lossy(&output.stderr);
        let status = output.status;
        ensure!(
            status.success(),
            "kubectl {}: {status}: {errors}",
            arguments.join(" ")
        );
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }
}

async fn write_credentials(folder: &Path) -> Result<()> {
    fs::write(folder.join("tokens.csv"), kubeconfig::TOKENS)?;
    let output = tokio::process::Command::new("openssl")
        .args([
            "ecparam",
            "-genkey",
            "-noout",
            "-name",
            "prime256v1",
            "-out",
        ])
        .arg(service_account_key(folder))
        .output()
        .await
        .context("run openssl")?;
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "openssl ecparam: {errors}");
    Ok(())
}

async fn start_etcd(binaries: &Path, folder: &Path) -> Result<(Server, SocketAddr)> {
    let loopback = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let address = address::free(loopback)?;
    let clients = format!("http://{address}");
    let peers = format!("http://{}", address::free(loopback)?);
    let mut command = Command::new(binaries.join("etcd"));
    command
        .arg("--data-dir")
        .arg(folder.join("etcd"))
        .args(["--listen-client-urls", &clients])
        .args(["--advertise-client-urls", &clients])
        .args(["--listen-peer-urls", &peers])
        .args(["--initial-advertise-peer-urls", &peers])
        .args(["--initial-cluster", &format!("default={peers}")])
        .arg("--unsafe-no-fsync");
    let mut server = Server::start("etcd", &command, folder)?;
    address::until_accepting(&mut server, address).await?;
    Ok((server, address))
}

async fn start_api_server(
    (binaries, folder): (&Path, &Path),
    address: SocketAddr,
    etcd: SocketAddr,
) -> Result<Server> {
    let mut command = api_server(binaries, folder, address, etcd);
    command.args(audit::arguments(folder)?);
    let mut server = Server::start("kube-apiserver", &command, folder)?;
    until_ready(&mut server, address).await?;
    Ok(server)
}

fn api_server(binaries: &Path, folder: &Path, address: SocketAddr, etcd: SocketAddr) -> Command {
    let key = service_account_key(folder);
    let mut command = Command::new(binaries.join("kube-apiserver"));
    command
        .arg(format!("--etcd-servers=http://{etcd}"))
        .arg(format!("--bind-address={}", address.ip()))
        .arg(format!("--advertise-address={}", address.ip()))
        .arg(format!("--secure-port={}", address.port()))
        .arg(format!("--cert-dir={}", folder.display()))
        .arg("--service-account-issuer=https://kubernetes.default.svc")
        .arg(format!("--service-account-key-file={}", key.display()))
        .arg(format!(
            "--service-account-signing-key-file={}",
            key.display()
        ))
        .arg(format!(
            "--token-auth-file={}",
            folder.join("tokens.csv").display()
        ))
        .arg("--authorization-mode=Node,RBAC")
        .arg(format!("--service-cluster-ip-range={SERVICE_RANGE}"))
        .arg("--allow-privileged=true")
        .arg("--kubelet-preferred-address-types=InternalIP")
        // Webhooks are reached at their pods: Services' addresses mean nothing outside the node.
        .arg("--enable-aggregator-routing=true");
    if address.ip().is_loopback() {
        // An Endpoints object may not name a loopback address.
        command.arg("--endpoint-reconciler-type=none");
    }
    command
}

async fn until_ready(server: &mut Server, address: SocketAddr) -> Result<()> {
    // The certificate is not known yet, and what is asked here is no secret.
    let http = reqwest::Client::builder()
        .no_proxy()
        .tls_danger_accept_invalid_certs(true)
        .build()?;
    let url = format!("https://{address}/readyz");
    address::until(server, Duration::from_secs(60), async || {
        let answer = http.get(&url).send().await;
        answer.is_ok_and(|answer| answer.status().is_success())
    })
    .await
}

fn controller_manager(binaries: &Path, folder: &Path) -> Result<Command> {
    let mut command = controller(&binaries.join("kube-controller-manager"), folder)?;
    command
        .arg(format!(
            "--service-account-private-key-file={}",
            service_account_key(folder).display()
        ))
        .arg(format!("--root-ca-file={}", authority(folder).display()));
    Ok(command)
}

fn scheduler(binaries: &Path, folder: &Path) -> Result<Command> {
    controller(&binaries.join("kube-scheduler"), folder)
}

/// The command of a program that only talks to the API server.
fn controller(program: &Path, folder: &Path) -> Result<Command> {
    let address = address::free(IpAddr::V4(Ipv4Addr::LOCALHOST))?;
    let kubeconfig = kubeconfig::path(folder, User::Admin);
    let certificates = folder.join(program.file_name().unwrap_or_default());
    let certificates = certificates.with_extension("certificates");
    let mut command = Command::new(program);
    command
        .arg(format!("--kubeconfig={}", kubeconfig.display()))
        .arg(format!("--bind-address={}", address.ip()))
        .arg(format!("--secure-port={}", address.port()))
        .arg(format!("--cert-dir={}", certificates.display()))
        .arg("--leader-elect=false");
    Ok(command)
}

fn service_account_key(folder: &Path) -> PathBuf {
    folder.join("service-accounts.key")
}

fn authority(folder: &Path) -> PathBuf {
    folder.join("apiserver.crt")
}

//! The levels a test can start.

use std::net::{IpAddr, Ipv4Addr};

use anyhow::Result;
use tokio::sync::OnceCell;

use crate::control_plane::ControlPlane;
use crate::machine::Machine;
use crate::node::{self, Node};
use crate::postgres::Postgres;
use crate::run_folder::RunFolder;
use crate::setup::{self, Purpose};
use crate::vault::{Tls, Vault};

/// The place where Vault keeps its data.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Storage {
    Memory,
    /// It can be killed and come back.
    Disk,
}

/// The operator's namespace.
pub const NAMESPACE: &str = "planescape-system";

const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// Vault and Postgres: secrets to read, and a database whose users come and go.
#[derive(Debug)]
pub struct Secrets {
    /// Has the database engine at `database/`, role `readonly`.
    pub vault: Vault,
    /// Has the table `users`.
    pub postgres: Postgres,
    /// Goes last: everything above writes into it.
    pub run: RunFolder,
}

impl Secrets {
    /// One that all tests of a process share; it ends with the process.
    pub async fn shared() -> Result<&'static Self> {
        static SHARED: OnceCell<Secrets> = OnceCell::const_new();
        SHARED.get_or_try_init(Self::start).await
    }

    /// Starts both.
    pub async fn start() -> Result<Self> {
        setup::require(Purpose::Servers)?;
        let run = RunFolder::create()?;
        let (vault, postgres) = start_secrets(&run, LOOPBACK, Storage::Memory).await?;
        Ok(Self {
            vault,
            postgres,
            run,
        })
    }
}

/// [`Secrets`], and a Kubernetes control plane whose ServiceAccounts Vault trusts. There is no
/// node: pods stay pending.
#[derive(Debug)]
pub struct Cluster {
    /// Has the roles `database-reader` and `key-value-reader` at `auth/kubernetes`.
    pub vault: Vault,
    /// Has the table `users`.
    pub postgres: Postgres,
    /// Has the namespace `planescape-system`.
    pub control_plane: ControlPlane,
    /// Goes last: everything above writes into it.
    pub run: RunFolder,
}

impl Cluster {
    /// One that all tests of a process share; it ends with the process.
    pub async fn shared() -> Result<&'static Self> {
        static SHARED: OnceCell<Cluster> = OnceCell::const_new();
        SHARED.get_or_try_init(Self::start).await
    }

    /// Starts all of it.
    pub async fn start() -> Result<Self> {
        setup::require(Purpose::Servers)?;
        let run = RunFolder::create()?;
        let (vault, postgres, control_plane) =
            start_cluster(&run, LOOPBACK, Storage::Memory).await?;
        Ok(Self {
            vault,
            postgres,
            control_plane,
            run,
        })
    }
}

/// [`Cluster`], and a node that runs pods. Servers outside the pods listen where pods reach
/// them.
#[derive(Debug)]
pub struct Testbed {
    /// Runs the pods; goes first.
    pub node: Node,
    /// Is `vault.planescape-system:8200` to pods.
    pub vault: Vault,
    /// Is `postgresql.planescape-system:5432` to pods.
    pub postgres: Postgres,
    /// Is `kubernetes.default:443` to pods.
    pub control_plane: ControlPlane,
    /// Goes last: everything above writes into it.
    pub run: RunFolder,
}

impl Testbed {
    /// One that all tests of a process share; it ends with the process.
    pub async fn shared() -> Result<&'static Self> {
        static SHARED: OnceCell<Testbed> = OnceCell::const_new();
        SHARED.get_or_try_init(Self::start).await
    }

    /// Starts all of it.
    pub async fn start() -> Result<Self> {
        Self::start_with(Storage::Memory).await
    }

    /// The same with a Vault that can be killed and started again.
    pub async fn start_with_vault_on_disk() -> Result<Self> {
        Self::start_with(Storage::Disk).await
    }

    async fn start_with(storage: Storage) -> Result<Self> {
        setup::require(Purpose::Pods)?;
        let run = RunFolder::create()?;
        let machine = Machine::start(&run)?;
        let ip = IpAddr::V4(machine.host_address());
        let (vault, postgres, control_plane) = start_cluster(&run, ip, storage).await?;
        let node = Node::start(&run, machine, &control_plane).await?;
        let bed = Self {
            node,
            vault,
            postgres,
            control_plane,
            run,
        };
        bed.prepare(NAMESPACE).await?;
        Ok(bed)
    }

    /// Makes `vault` and `postgresql` names within a namespace, which is created if need be.
    pub async fn prepare(&self, namespace: &str) -> Result<()> {
        let manifest = format!(
            "apiVersion: v1\nkind: Namespace\nmetadata:\n  name: {namespace}\n---\n{}---\n{}",
            node::service(namespace, "vault", 8200, self.vault.address()),
            node::service(namespace, "postgresql", 5432, self.postgres.address()),
        );
        self.control_plane.apply(&manifest).await?;
        for (service, port) in [("vault", 8200), ("postgresql", 5432)] {
            let get = [
                "get",
                "service",
                service,
                "-o",
                "jsonpath={.spec.clusterIP}",
            ];
            let address = self.control_plane.kubectl_in(namespace, &get).await?;
            self.node.until_reachable(&address, port).await?;
        }
        // A pod is refused as long as its namespace has no ServiceAccount.
        self.control_plane
            .service_account_token(namespace, "default")
            .await?;
        Ok(())
    }
}

async fn start_cluster(
    run: &RunFolder,
    ip: IpAddr,
    storage: Storage,
) -> Result<(Vault, Postgres, ControlPlane)> {
    choose_crypto();
    let ((vault, postgres), control_plane) = tokio::try_join!(
        start_secrets(run, ip, storage),
        ControlPlane::start(run, ip)
    )?;
    let manifest = format!("{{apiVersion: v1, kind: Namespace, metadata: {{name: {NAMESPACE}}}}}");
    let (reviewer, _) = tokio::try_join!(
        control_plane.token_reviewer(),
        control_plane.apply(&manifest)
    )?;
    vault
        .trust(&control_plane.url(), &control_plane.authority()?, &reviewer)
        .await?;
    Ok((vault, postgres, control_plane))
}

async fn start_secrets(run: &RunFolder, ip: IpAddr, storage: Storage) -> Result<(Vault, Postgres)> {
    choose_crypto();
    let vault = async {
        match storage {
            Storage::Memory => Vault::start(run, ip, Tls::Off).await,
            Storage::Disk => Vault::start_on_disk(run, ip).await,
        }
    };
    let (vault, postgres) = tokio::try_join!(vault, Postgres::start(run, ip))?;
    vault.serve_credentials_of(&postgres).await?;
    Ok((vault, postgres))
}

/// One provider for every TLS client in the process; the first choice stands.
fn choose_crypto() {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
}

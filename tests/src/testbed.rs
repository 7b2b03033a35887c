//! The levels a test can start.

use std::net::{IpAddr, Ipv4Addr};

use anyhow::Result;

use crate::control_plane::ControlPlane;
use crate::postgres::Postgres;
use crate::run_folder::RunFolder;
use crate::vault::{Tls, Vault};

/// Where the operator runs.
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
    /// Starts both.
    pub async fn start() -> Result<Self> {
        let run = RunFolder::create()?;
        let (vault, postgres) = start_secrets(&run, LOOPBACK).await?;
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
    /// Starts all of it.
    pub async fn start() -> Result<Self> {
        let run = RunFolder::create()?;
        let (vault, postgres, control_plane) = start_cluster(&run, LOOPBACK).await?;
        Ok(Self {
            vault,
            postgres,
            control_plane,
            run,
        })
    }
}

async fn start_cluster(run: &RunFolder, ip: IpAddr) -> Result<(Vault, Postgres, ControlPlane)> {
    choose_crypto();
    let ((vault, postgres), control_plane) =
        tokio::try_join!(start_secrets(run, ip), ControlPlane::start(run, ip))?;
    let namespace = ["create", "namespace", NAMESPACE];
    let (reviewer, _) = tokio::try_join!(
        control_plane.token_reviewer(),
        control_plane.kubectl(&namespace)
    )?;
    vault
        .trust(&control_plane.url(), &control_plane.authority()?, &reviewer)
        .await?;
    Ok((vault, postgres, control_plane))
}

async fn start_secrets(run: &RunFolder, ip: IpAddr) -> Result<(Vault, Postgres)> {
    choose_crypto();
    let (vault, postgres) =
        tokio::try_join!(Vault::start(run, ip, Tls::Off), Postgres::start(run, ip))?;
    vault.serve_credentials_of(&postgres).await?;
    Ok((vault, postgres))
}

/// One provider for every TLS client in the process; the first choice stands.
fn choose_crypto() {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
}

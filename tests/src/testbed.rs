//! The levels a test can start.

use std::net::{IpAddr, Ipv4Addr};

use anyhow::Result;

use crate::postgres::Postgres;
use crate::run_folder::RunFolder;
use crate::vault::{Tls, Vault};

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

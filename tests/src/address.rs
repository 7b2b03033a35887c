//! Ports that are free at this moment.

use std::net::{IpAddr, SocketAddr, TcpListener};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::process::Server;

/// An address at `ip` whose port nobody listens on.
pub fn free(ip: IpAddr) -> Result<SocketAddr> {
    let listener = TcpListener::bind((ip, 0)).with_context(|| format!("bind a port at {ip}"))?;
    Ok(listener.local_addr()?)
}

/// Waits until `server` accepts connections at `address`.
pub async fn until_accepting(server: &mut Server, address: SocketAddr) -> Result<()> {
    until(server, Duration::from_secs(30), async || {
        tokio::net::TcpStream::connect(address).await.is_ok()
    })
    .await
}

/// Asks `is_ready` every few milliseconds until it says so, `server` ends, or `patience` does.
pub async fn until(
    server: &mut Server,
    patience: Duration,
    is_ready: impl AsyncFn() -> bool,
) -> Result<()> {
    let started = Instant::now();
    while !is_ready().await {
        if !server.is_running() {
            bail!("{} ended: {}", server.name(), server.last_words());
        }
        if started.elapsed() > patience {
            let words = server.last_words();
            bail!("{} is not ready after {patience:?}: {words}", server.name());
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}

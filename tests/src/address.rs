//! Ports that nobody else takes before a server listens there.

use std::fs::File;
use std::hash::{BuildHasher, RandomState};
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use nix::fcntl::{Flock, FlockArg};

use crate::process::Server;

/// Below those that the kernel gives to connections by itself.
const PORTS: std::ops::Range<u16> = 20_000..32_000;

/// Locks that keep other processes of ours from the ports that this one was given.
static TAKEN: Mutex<Vec<Flock<File>>> = Mutex::new(Vec::new());

/// An address at `ip` whose port nobody listens on, and that is given to nobody else while this
/// process lives, whatever other copies run beside it.
pub fn free(ip: IpAddr) -> Result<SocketAddr> {
    for attempt in 0..1000 {
        let chance = RandomState::new().hash_one(attempt);
        let port = PORTS.start + (chance % u64::from(PORTS.end - PORTS.start)) as u16;
        let name = std::env::temp_dir().join(format!("planescape-port-{port}"));
        // A file of another user's copy: a port of theirs.
        let Ok(file) = File::options().create(true).append(true).open(name) else {
            continue;
        };
        let Ok(taken) = Flock::lock(file, FlockArg::LockExclusiveNonblock) else {
            continue;
        };
        if TcpListener::bind((ip, port)).is_ok() {
            TAKEN
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(taken);
            return Ok(SocketAddr::new(ip, port));
        }
    }
    bail!("no port is free at {ip}")
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

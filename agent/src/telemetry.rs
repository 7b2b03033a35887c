//! Pushes metrics to receivers that get them without asking. No send blocks; metrics that cannot be sent at once are
//! sent a second later.

use std::io::{self, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, TcpStream, UdpSocket};
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use planescape_agent_contract::{Receiver, Telemetry};
use planescape_agent_core::{Input, Pushed};
use tokio::net::lookup_host;
use tokio::time::{sleep, timeout};

use crate::files;
use crate::proxy::Metrics;

/// The pause between two looks for changed metrics.
const PAUSE: Duration = Duration::from_secs(1);
/// How long an attempt to reach a receiver may take, and how long it is until the next one.
const PATIENCE: Duration = Duration::from_secs(5);

/// One receiver, and the metrics that it has been told.
pub(crate) struct Pusher {
    receiver: Receiver,
    metrics: Arc<Metrics>,
    state: Mutex<State>,
}

struct State {
    pushed: Pushed,
    socket: Option<Socket>,
    /// Whether the log tells of a packet that was not taken. It does so once: a closed port refuses every other packet.
    is_told: bool,
}

impl Pusher {
    /// One pusher for each receiver.
    pub(crate) fn all(telemetry: &Telemetry, metrics: &Arc<Metrics>) -> Vec<Arc<Self>> {
        if telemetry.receivers.is_empty() {
            return Vec::new();
        }
        // The kernel gives this name itself, so no file system holds it up.
        let host = files::read(Path::new("/proc/sys/kernel/hostname")).unwrap_or_default();
        let host = String::from_utf8_lossy(&host);
        let receivers = telemetry.receivers.iter();
        let pushers = receivers.map(|receiver| {
            let state = State {
                pushed: Pushed::new(telemetry, receiver, host.trim()),
                socket: None,
                is_told: false,
            };
            Arc::new(Self {
                receiver: receiver.clone(),
                metrics: Arc::clone(metrics),
                state: Mutex::new(state),
            })
        });
        pushers.collect()
    }

    /// Pushes for ever.
    pub(crate) async fn go_on(self: Arc<Self>) -> Input {
        loop {
            let is_connected = self.state().socket.is_some();
            if is_connected {
                sleep(PAUSE).await;
                self.push();
                continue;
            }
            let attempt = timeout(PATIENCE, Socket::connect(&self.receiver)).await;
            match attempt.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())) {
                Ok(socket) => self.state().socket = Some(socket),
                Err(error) => {
                    self.failed(&mut self.state(), &error);
                    sleep(PATIENCE).await;
                }
            }
        }
    }

    /// Sends changed metrics, if that is possible at once.
    pub(crate) fn push(&self) {
        let mut state = self.state();
        let State { pushed, socket, .. } = &mut *state;
        let Some(open) = socket else { return };
        let mut trouble = None;
        pushed.tell(&self.metrics.all(), |packet| {
            trouble = open.takes(packet).err();
            trouble.is_none()
        });
        if let Some(error) = trouble {
            *socket = None;
            self.failed(&mut state, &error);
        }
    }

    fn failed(&self, state: &mut State, error: &io::Error) {
        if !std::mem::replace(&mut state.is_told, true) {
            let address = self.receiver.address();
            tracing::warn!(address, %error, "metrics cannot be pushed, will retry");
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

enum Socket {
    Datagrams(UdpSocket),
    Local(UnixDatagram),
    Stream(TcpStream),
}

impl Socket {
    async fn connect(receiver: &Receiver) -> io::Result<Self> {
        let address = receiver.address();
        if let Some(path) = address.strip_prefix("unix://") {
            let socket = UnixDatagram::unbound()?;
            socket.set_nonblocking(true)?;
            socket.connect(path)?;
            return Ok(Self::Local(socket));
        }
        // A port alone means this machine, as in Go.
        let address = match address.strip_prefix(':') {
            Some(port) => format!("localhost:{port}"),
            None => address.to_owned(),
        };
        if matches!(receiver, Receiver::Statsite(_)) {
            let stream = tokio::net::TcpStream::connect(address).await?;
            return Ok(Self::Stream(stream.into_std()?));
        }
        let found = lookup_host(address).await?.next();
        let found = found.ok_or(io::ErrorKind::NotFound)?;
        let own: IpAddr = match found.ip() {
            IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
            IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
        };
        let socket = UdpSocket::bind((own, 0))?;
        socket.set_nonblocking(true)?;
        socket.connect(found)?;
        Ok(Self::Datagrams(socket))
    }

    /// Fails if the receiver did not take the whole packet.
    fn takes(&self, packet: &str) -> io::Result<()> {
        let packet = packet.as_bytes();
        let sent = match self {
            Self::Datagrams(socket) => socket.send(packet),
            Self::Local(socket) => socket.send(packet),
            Self::Stream(stream) => {
                let mut stream: &TcpStream = stream;
                stream.write(packet)
            }
        };
        match sent? == packet.len() {
            true => Ok(()),
            false => Err(io::ErrorKind::WriteZero.into()),
        }
    }
}

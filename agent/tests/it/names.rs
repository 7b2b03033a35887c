//! Name servers that fail, and agents that ask them.

use std::net::{Ipv4Addr, UdpSocket};
use std::path::Path;
use std::thread;

use crate::agent::{Agent, Place};

/// The last part of the address that no name server is given, so that nobody comes to listen there.
const NOBODY: u8 = 255;

/// How a name server fails.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Failure {
    /// Nobody listens at its port.
    Gone,
    /// It never answers.
    Silent,
    /// It knows no name.
    KnowsNothing,
}

/// A name server at an address of loopback that is this process's own.
pub(crate) struct NameServer {
    address: Ipv4Addr,
    socket: Option<UdpSocket>,
}

impl NameServer {
    /// Only root may serve names.
    pub(crate) fn start(failure: Failure) -> Self {
        if failure == Failure::Gone {
            return Self {
                address: address(NOBODY),
                socket: None,
            };
        }
        let (address, socket) = bind();
        if failure == Failure::KnowsNothing {
            let answering = socket.try_clone().unwrap();
            // It ends with the process: each one is one idle thread.
            thread::spawn(move || know_nothing(&answering));
        }
        Self {
            address,
            socket: Some(socket),
        }
    }

    /// Waits until somebody asks for a name.
    pub(crate) async fn is_asked(&self) {
        let socket = self.socket.as_ref().expect("it listens").try_clone();
        let socket = socket.unwrap();
        let limit = std::time::Duration::from_secs(30);
        socket.set_read_timeout(Some(limit)).unwrap();
        let asked = tokio::task::spawn_blocking(move || socket.recv(&mut [0; 512]));
        asked.await.unwrap().expect("the agent asks for the name");
    }

    /// Starts an agent that asks it, in a mount namespace of its own. Names that stand in the file `hosts` of the place are
    /// known without it.
    pub(crate) fn start_agent(&self, place: &Place) -> Agent {
        let resolver = place.path("resolv.conf");
        let text = format!(
            "nameserver {}\noptions timeout:30 attempts:5\n",
            self.address
        );
        std::fs::write(&resolver, text).unwrap();
        let hosts = place.path("hosts");
        if !hosts.exists() {
            std::fs::write(&hosts, "").unwrap();
        }
        let script = "PATH=/usr/bin:/bin; mount --bind \"$0\" /etc/resolv.conf && mount --bind \"$1\" /etc/hosts && shift && exec \"$@\"";
        let (resolver, hosts) = (resolver.to_str().unwrap(), hosts.to_str().unwrap());
        let program = env!("CARGO_BIN_EXE_planescape-agent");
        let words = ["-m", "/bin/sh", "-c", script, resolver, hosts, program];
        place.start_as(Path::new("/usr/bin/unshare"), &words)
    }
}

fn address(last: u8) -> Ipv4Addr {
    let [.., high, low] = std::process::id().to_be_bytes();
    Ipv4Addr::new(127, high, low, last)
}

fn bind() -> (Ipv4Addr, UdpSocket) {
    (1..NOBODY)
        .map(address)
        .find_map(|address| Some((address, UdpSocket::bind((address, 53)).ok()?)))
        .expect("a free address of loopback, and leave to bind port 53")
}

/// Gives each question back as an answer with the code "no such name".
fn know_nothing(socket: &UdpSocket) {
    const ANSWER_NO_SUCH_NAME: [u8; 2] = [0x81, 0x83];
    let mut message = [0; 512];
    while let Ok((length, client)) = socket.recv_from(&mut message) {
        message[2..4].copy_from_slice(&ANSWER_NO_SUCH_NAME);
        // A client that is gone needs no answer.
        socket.send_to(&message[..length], client).ok();
    }
}

//! A server that only passes requests on, on one thread as our agent: bytes from one socket to another, or the same
//! answer for all. No program that reads and writes sockets is quicker.

use std::net::SocketAddr;
use std::sync::Arc;
use std::thread;

use anyhow::Result;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

#[derive(Clone)]
pub(crate) enum Bare {
    /// Every client gets a connection of its own to this address.
    PassOn(String),
    /// Every request comes whole.
    Answer(Arc<[u8]>),
}

impl Bare {
    /// Starts it until the benchmark ends, and returns its address.
    pub(crate) fn start(self) -> Result<SocketAddr> {
        let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .build()?;
        thread::spawn(move || runtime.block_on(self.serve(listener)));
        Ok(address)
    }

    async fn serve(self, listener: std::net::TcpListener) -> Result<()> {
        let listener = TcpListener::from_std(listener)?;
        let mut clients = JoinSet::new();
        loop {
            let (client, _) = listener.accept().await?;
            client.set_nodelay(true)?;
            clients.spawn(self.clone().serve_one(client));
        }
    }

    async fn serve_one(self, mut client: TcpStream) -> Result<()> {
        match self {
            Self::PassOn(address) => {
                let mut server = TcpStream::connect(address).await?;
                server.set_nodelay(true)?;
                copy_bidirectional(&mut client, &mut server).await?;
            }
            Self::Answer(answer) => {
                let mut request = [0; 4096];
                while client.read(&mut request).await? > 0 {
                    client.write_all(&answer).await?;
                }
            }
        }
        Ok(())
    }
}

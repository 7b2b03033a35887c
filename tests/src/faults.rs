//! A proxy that makes the network misbehave, in front of any server that speaks HTTP or TCP.

use std::io::{Error, ErrorKind};
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::time::Duration;

use anyhow::Result;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

/// The trouble between client and server.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Fault {
    /// Nothing.
    None,
    /// Nobody listens.
    Refused,
    /// Bytes reach the server only after this time.
    Delay(Duration),
    /// The connection is reset as soon as something was asked.
    Reset,
    /// The connection closes in the middle of the first answer's body.
    HalfBody,
    /// Every request is answered with this HTTP status, by the proxy.
    Status(u16),
    /// The connection is accepted, and nothing is ever answered.
    BlackHole,
    /// Connections that are open stay so and carry nothing any more; new ones are fine.
    Silent,
}

/// A running proxy; ends when dropped.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    fault: watch::Sender<Fault>,
    task: JoinHandle<()>,
}

impl Proxy {
    /// Starts a proxy at `ip` in front of `server`, with no fault yet.
    pub async fn start(ip: IpAddr, server: SocketAddr) -> Result<Self> {
        let listener = TcpListener::bind((ip, 0)).await?;
        let address = listener.local_addr()?;
        let (fault, current) = watch::channel(Fault::None);
        let task = tokio::spawn(accept(listener, server, current));
        Ok(Self {
            address,
            fault,
            task,
        })
    }

    /// Its address.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Changes what goes wrong. Connections that are open are cut, so that clients which keep
    /// theirs notice, unless they fall silent.
    pub fn set(&self, fault: Fault) {
        self.fault.send_replace(fault);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept(mut listener: TcpListener, server: SocketAddr, mut fault: watch::Receiver<Fault>) {
    let mut connections = JoinSet::new();
    loop {
        let is_refused = *fault.borrow_and_update() == Fault::Refused;
        if is_refused {
            let Ok(again) = refuse(listener, &mut fault).await else {
                return;
            };
            listener = again;
            continue;
        }
        tokio::select! {
            changed = fault.changed() => {
                if changed.is_err() {
                    return;
                }
            }
            accepted = listener.accept() => {
                let Ok((client, _)) = accepted else { return };
                let mut fault = fault.clone();
                fault.mark_unchanged();
                connections.spawn(async move {
                    let now = *fault.borrow();
                    let mut connection = pin!(misbehave(client, server, now));
                    let mut is_silent = false;
                    loop {
                        tokio::select! {
                            // Either side going away is part of the game.
                            _ = &mut connection, if !is_silent => return,
                            changed = fault.changed() => {
                                is_silent = *fault.borrow() == Fault::Silent;
                                if changed.is_err() || !is_silent {
                                    return;
                                }
                            }
                        }
                    }
                });
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

/// Listens no more until something else is to go wrong. The port stays taken meanwhile, so that nobody else gets it.
async fn refuse(
    listener: TcpListener,
    fault: &mut watch::Receiver<Fault>,
) -> std::io::Result<TcpListener> {
    const BACKLOG: u32 = 1024;
    let address = listener.local_addr()?;
    drop(listener);
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    let changed = fault.wait_for(|fault| *fault != Fault::Refused).await;
    changed.map(drop).map_err(Error::other)?;
    socket.listen(BACKLOG)
}

async fn misbehave(client: TcpStream, server: SocketAddr, fault: Fault) -> std::io::Result<()> {
    match fault {
        Fault::None | Fault::Silent => pass(client, server).await,
        Fault::Delay(time) => {
            tokio::time::sleep(time).await;
            pass(client, server).await
        }
        // A refused client came before the port was closed.
        Fault::Reset | Fault::Refused => reset(client).await,
        Fault::HalfBody => halve(client, server).await,
        Fault::Status(status) => answer(client, status).await,
        Fault::BlackHole => std::future::pending().await,
    }
}

async fn pass(mut client: TcpStream, server: SocketAddr) -> std::io::Result<()> {
    let mut server = TcpStream::connect(server).await?;
    copy_bidirectional(&mut client, &mut server).await?;
    Ok(())
}

/// Closing with no time to linger makes the kernel send a reset.
async fn reset(client: TcpStream) -> std::io::Result<()> {
    client.readable().await?;
    client.set_zero_linger()
}

async fn halve(client: TcpStream, server: SocketAddr) -> std::io::Result<()> {
    let server = TcpStream::connect(server).await?;
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let requests = tokio::io::copy(&mut from_client, &mut to_server);
    let answer = async {
        let (head, mut body) = read_head(&mut from_server).await?;
        let half = content_length(&head) / 2;
        while body.len() < half && from_server.read_buf(&mut body).await? > 0 {}
        body.truncate(half);
        to_client.write_all(&[head, body].concat()).await
    };
    tokio::select! {
        // The client may be done asking long before it is answered.
        Err(error) = requests => Err(error),
        result = answer => result,
    }
}

/// The head of a message, its empty line included, and what was read beyond.
async fn read_head(stream: &mut (impl AsyncRead + Unpin)) -> std::io::Result<(Vec<u8>, Vec<u8>)> {
    const END: &[u8] = b"\r\n\r\n";
    let mut head = Vec::new();
    loop {
        if let Some(end) = head.windows(END.len()).position(|bytes| bytes == END) {
            let beyond = head.split_off(end + END.len());
            return Ok((head, beyond));
        }
        if stream.read_buf(&mut head).await? == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
    }
}

fn content_length(head: &[u8]) -> usize {
    let head = String::from_utf8_lossy(head).to_ascii_lowercase();
    head.lines()
        .find_map(|line| line.strip_prefix("content-length:")?.trim().parse().ok())
        .unwrap_or(0)
}

async fn answer(mut client: TcpStream, status: u16) -> std::io::Result<()> {
    let body = r#"{"errors":["made up by a test"]}"#;
    let head = format!(
        "HTTP/1.1 {status} Made Up\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\
         connection: close\r\n\r\n",
        body.len()
    );
    read_head(&mut client).await?;
    client.write_all(format!("{head}{body}").as_bytes()).await?;
    client.shutdown().await?;
    // Closing with unread bytes would reset the connection before the answer is read.
    tokio::io::copy(&mut client, &mut tokio::io::sink()).await?;
    Ok(())
}

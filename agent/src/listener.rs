//! The agent listens on TCP or on a unix socket, with TLS or without.

mod accepts;
mod phases;
mod tls;

use std::convert::Infallible;
use std::io;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use anyhow::Context as _;
use http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use planescape_agent_contract::{FileMode, ListenAddress, Listener, Owner};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::files::SocketFile;
use crate::proxy::{Answer, Proxy, Rules};
pub(crate) use accepts::Accepts;
use phases::Phases;
pub(crate) use tls::Certificates;

/// How many connections a listener serves at once; more wait.
const CONNECTIONS: usize = 4096;
/// Headers of a request; proxies in a row add their own. hyper makes room for all of them with each request.
const MOST_HEADERS: usize = 256;
/// The most bytes that are read of a connection at once, and that its headers take; a long body fills several buffers.
const BUFFER: usize = 128 << 10;

/// A place where the agent listens, from before it serves there.
pub(crate) struct Bound {
    socket: Socket,
    rules: Rules,
    certificates: Option<Arc<Certificates>>,
}

enum Socket {
    Tcp(TcpListener),
    Unix {
        listener: UnixListener,
        /// The file is removed with the listener.
        file: SocketFile,
    },
}

impl Bound {
    /// Listens, without answering yet.
    pub(crate) async fn bind(
        listener: &Listener,
        certificates: Option<Certificates>,
    ) -> anyhow::Result<Self> {
        let socket = match &listener.address {
            ListenAddress::Tcp(address) => {
                let socket = tcp(address).await;
                Socket::Tcp(socket.with_context(|| format!("error creating listener: {address}"))?)
            }
            ListenAddress::Unix { path, access } => {
                let bound = unix(path.as_ref(), access.as_ref());
                bound.with_context(|| format!("error creating listener: {path}"))?
            }
        };
        Ok(Self {
            socket,
            rules: Rules::of(listener),
            certificates: certificates.map(Arc::new),
        })
    }

    /// The certificates, to be read again on SIGHUP.
    pub(crate) fn certificates(&self) -> Option<Arc<Certificates>> {
        self.certificates.clone()
    }

    /// Serves for as long as the agent lives.
    pub(crate) async fn serve(self, proxy: Arc<Proxy>) {
        tracing::info!(target: "agent.listener", address = %self.socket.address(), "listening");
        let slots = Arc::new(Semaphore::new(CONNECTIONS));
        let mut connections = JoinSet::new();
        let mut accepts = Accepts::default();
        loop {
            while connections.try_join_next().is_some() {}
            let Ok(slot) = Arc::clone(&slots).acquire_owned().await else {
                return;
            };
            let stream = match self.socket.accept().await {
                Ok(stream) => stream,
                Err(error) => {
                    let (is_told, pause) = accepts.failed(Instant::now());
                    if is_told {
                        tracing::warn!(target: "agent.listener", %error, "cannot accept a connection");
                    }
                    tokio::time::sleep(pause).await;
                    continue;
                }
            };
            accepts.succeeded();
            let (proxy, rules) = (Arc::clone(&proxy), self.rules);
            let certificates = self.certificates.clone();
            connections.spawn(async move {
                let _slot = slot;
                let stream = match certificates {
                    None => stream,
                    Some(certificates) => match certificates.accept(stream).await {
                        Ok(stream) => stream,
                        Err(error) => {
                            tracing::debug!(target: "agent.listener", %error, "TLS handshake failed");
                            return;
                        }
                    },
                };
                serve(stream, move |request| Arc::clone(&proxy).handle(request, rules)).await;
            });
        }
    }
}

/// A stream of any kind; one type for all of them, since each would have the whole of hyper's server for itself.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {
    /// Looks at the first bytes, and leaves them there. Kinds of streams that cannot do so show no byte.
    fn poll_first(&mut self, _: &mut Context<'_>, _: &mut ReadBuf<'_>) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(0))
    }
}

impl Stream for UnixStream {}

impl Stream for TcpStream {
    fn poll_first(
        &mut self,
        context: &mut Context<'_>,
        first: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<usize>> {
        self.poll_peek(context, first)
    }
}

impl Socket {
    fn address(&self) -> String {
        match self {
            Self::Tcp(listener) => listener
                .local_addr()
                .map_or_else(|error| error.to_string(), |address| address.to_string()),
            Self::Unix { file, .. } => file.path().display().to_string(),
        }
    }

    async fn accept(&self) -> io::Result<Box<dyn Stream>> {
        match self {
            Self::Tcp(listener) => {
                let (stream, _) = listener.accept().await?;
                stream.set_nodelay(true)?;
                Ok(Box::new(stream))
            }
            Self::Unix { listener, .. } => {
                let (stream, _) = listener.accept().await?;
                Ok(Box::new(stream))
            }
        }
    }
}

/// Answers the requests of a connection, one after the other.
async fn serve<S, A>(stream: S, answer: impl Fn(Request<Incoming>) -> A + Send)
where
    S: AsyncRead + AsyncWrite + Send + Unpin,
    A: Future<Output = Answer> + Send,
{
    let phases = Phases::new();
    let seen = phases.clone();
    let service = service_fn(move |request| {
        seen.asked();
        let (seen, answer) = (seen.clone(), answer(request));
        async move {
            let answer = answer.await;
            seen.answered();
            Ok::<_, Infallible>(answer)
        }
    });
    // The box hides the type: the compiler cannot prove of the type itself that it may be sent.
    let connection: Pin<Box<dyn Future<Output = hyper::Result<()>> + Send + '_>> = Box::pin(
        http1::Builder::new()
            // Go writes headers so: scripts look for `X-Cache` in the output of curl.
            .title_case_headers(true)
            // Some clients close their side once they have asked.
            .half_close(true)
            .max_headers(MOST_HEADERS)
            .max_buf_size(BUFFER)
            .serve_connection(TokioIo::new(phases.watch(stream)), service),
    );
    let served = phases.follow(connection).await;
    match served {
        Some(Ok(())) => {}
        Some(Err(error)) => {
            tracing::debug!(target: "agent.listener", %error, "connection ended");
        }
        None => {
            tracing::debug!(target: "agent.listener", "connection ended: its client took too long");
        }
    }
}

/// Listens at an address; without a host, at all addresses of the machine. Some machines have no IPv6 addresses.
async fn tcp(address: &str) -> io::Result<TcpListener> {
    let Some(port) = address.strip_prefix(':') else {
        return TcpListener::bind(address).await;
    };
    match TcpListener::bind(format!("[::]:{port}")).await {
        Ok(listener) => Ok(listener),
        Err(_) => TcpListener::bind(format!("0.0.0.0:{port}")).await,
    }
}

fn unix(path: &Path, access: Option<&(FileMode, Owner)>) -> anyhow::Result<Socket> {
    let file = SocketFile::make_room(path)?;
    let listener = UnixListener::bind(path)?;
    if let Some((mode, owner)) = access {
        file.restrict(*mode, owner)?;
    }
    Ok(Socket::Unix { listener, file })
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    #[tokio::test]
    async fn without_a_host_all_addresses_are_listened_at() {
        let listener = tcp(":0").await.unwrap();
        let address = listener.local_addr().unwrap();

        assert!(address.ip().is_unspecified());
        let asked = TcpStream::connect((Ipv4Addr::LOCALHOST, address.port())).await;
        assert!(asked.is_ok());
    }
}

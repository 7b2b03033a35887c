//! The certificate of a listener, read again on SIGHUP, or whenever it has changed.

use std::future::poll_fn;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use anyhow::Context as _;
use planescape_agent_contract::ListenerTls;
use planescape_vault_client::identity;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, version};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, ReadBuf};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::Stream;
use crate::files::{self, Digest};

/// How long a handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// The first byte of a handshake.
const HANDSHAKE_RECORD: u8 = 22;

/// The first bytes of requests.
const PLAIN: [&[u8]; 5] = [b"GET /", b"HEAD ", b"POST ", b"PUT /", b"OPTIO"];

const NO_TLS: &[u8] =
    b"HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n";

/// How the listener proves who it is, and whom it lets in.
#[derive(Debug)]
pub(crate) struct Certificates {
    settings: ListenerTls,
    config: RwLock<Arc<ServerConfig>>,
    /// The digest of the files when they were looked at last; `None` if one could not be read.
    seen: Mutex<Option<Digest>>,
}

impl Certificates {
    pub(crate) fn read(settings: &ListenerTls) -> anyhow::Result<Self> {
        Ok(Self {
            // The digest comes first: files that change in between are read once more.
            seen: Mutex::new(digest(settings).ok()),
            config: RwLock::new(Arc::new(config(settings)?)),
            settings: settings.clone(),
        })
    }

    /// Looks at the files for as long as the agent lives, if that is configured.
    pub(crate) async fn follow(self: Arc<Self>) {
        let Some(interval) = self.settings.reload_interval else {
            return;
        };
        loop {
            tokio::time::sleep(interval).await;
            let certificates = Arc::clone(&self);
            let looking = tokio::task::spawn_blocking(move || certificates.reload_if_changed());
            match looking.await {
                Ok(Ok(false)) => {}
                Ok(Ok(true)) => tracing::info!(target: "agent.listener", "certificate reloaded"),
                Ok(Err(error)) => {
                    tracing::error!(target: "agent.listener", error = %format!("{error:#}"), "the certificate is kept as it was");
                }
                Err(error) => std::panic::resume_unwind(error.into_panic()),
            }
        }
    }

    /// Whether the files have changed. An unusable file is told once, and tried again when it has changed.
    fn reload_if_changed(&self) -> anyhow::Result<bool> {
        let (now, unread) = match digest(&self.settings) {
            Ok(digest) => (Some(digest), None),
            Err(error) => (None, Some(error)),
        };
        let before = {
            let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
            std::mem::replace(&mut *seen, now)
        };
        if before == now {
            return Ok(false);
        }
        match unread {
            Some(error) => Err(error),
            None => self.reload().map(|()| true),
        }
    }

    /// Reads the files again. If one cannot be used, those that were read before stay.
    pub(crate) fn reload(&self) -> anyhow::Result<()> {
        let config = Arc::new(config(&self.settings)?);
        *self.config.write().unwrap_or_else(PoisonError::into_inner) = config;
        Ok(())
    }

    pub(super) async fn accept(&self, mut stream: Box<dyn Stream>) -> io::Result<Box<dyn Stream>> {
        let config = Arc::clone(&self.config.read().unwrap_or_else(PoisonError::into_inner));
        let accepted = async move {
            if has_refused(&mut *stream).await? {
                return Err(io::Error::other("the request is without TLS"));
            }
            let stream = TlsAcceptor::from(config).accept(stream).await?;
            Ok(Box::new(stream) as Box<dyn Stream>)
        };
        match tokio::time::timeout(HANDSHAKE, accepted).await {
            Ok(accepted) => accepted,
            Err(_) => Err(io::ErrorKind::TimedOut.into()),
        }
    }
}

impl Stream for TlsStream<Box<dyn Stream>> {}

/// Whether the stream began with something else than a handshake. A request is told so in the words of Go's server.
async fn has_refused(stream: &mut dyn Stream) -> io::Result<bool> {
    let mut room = [0; 1];
    let mut first = ReadBuf::new(&mut room);
    poll_fn(|context| stream.poll_first(context, &mut first)).await?;
    if matches!(first.filled(), [] | [HANDSHAKE_RECORD]) {
        return Ok(false);
    }
    let mut begun = [0; 5];
    stream.read_exact(&mut begun).await?;
    if PLAIN.contains(&begun.as_slice()) {
        stream.write_all(NO_TLS).await?;
    }
    stream.shutdown().await?;
    // Unread bytes would reset the connection before the client has seen the answer.
    while stream.read(&mut [0; 1024]).await? > 0 {}
    Ok(true)
}

fn config(settings: &ListenerTls) -> anyhow::Result<ServerConfig> {
    let versions: &[_] = match (settings.only_1_2, settings.only_1_3) {
        (true, _) => &[&version::TLS12],
        (false, true) => &[&version::TLS13],
        (false, false) => &[&version::TLS13, &version::TLS12],
    };
    let builder = ServerConfig::builder_with_protocol_versions(versions);
    let builder = match &settings.client_authorities {
        None => builder.with_no_client_auth(),
        Some(path) => {
            let mut roots = RootCertStore::empty();
            for certificate in certificates(path)? {
                roots.add(certificate).with_context(|| path.clone())?;
            }
            let verifier = WebPkiClientVerifier::builder(Arc::new(roots));
            let verifier = if settings.requires_client {
                verifier.build()?
            } else {
                verifier.allow_unauthenticated().build()?
            };
            builder.with_client_cert_verifier(verifier)
        }
    };
    let key = read(&settings.key)?;
    let key = PrivateKeyDer::from_pem_slice(&key).with_context(|| settings.key.clone())?;
    let provider = Arc::clone(builder.crypto_provider());
    let identity = identity(certificates(&settings.certificate)?, key, &provider)
        .with_context(|| format!("{} does not fit {}", settings.key, settings.certificate))?;
    let mut config = builder.with_cert_resolver(identity);
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

fn digest(settings: &ListenerTls) -> anyhow::Result<Digest> {
    let files = [&settings.certificate, &settings.key];
    files::digest(files.into_iter().chain(&settings.client_authorities))
}

fn certificates(path: &str) -> anyhow::Result<Vec<CertificateDer<'static>>> {
    let bytes = read(path)?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes).collect();
    let found = found.with_context(|| path.to_owned())?;
    anyhow::ensure!(!found.is_empty(), "{path}: holds no certificate");
    Ok(found)
}

fn read(path: &str) -> anyhow::Result<zeroize::Zeroizing<Vec<u8>>> {
    files::read(Path::new(path)).with_context(|| path.to_owned())
}

#[cfg(test)]
mod tests {
    use tokio::net::{TcpListener, TcpStream};

    use super::*;

    #[tokio::test]
    async fn a_request_without_tls_is_told_what_it_lacks() {
        let request = "GET /v1/sys/health HTTP/1.1\r\nHost: v\r\n\r\n";
        assert_eq!(told(&[request]).await, (true, NO_TLS.to_vec()));
        let in_pieces = told(&["G", "ET", &request[3..]]).await;
        assert_eq!(in_pieces, (true, NO_TLS.to_vec()));

        assert_eq!(told(&["LIST /v1/kv"]).await, (true, Vec::new()));
        // The first bytes of a handshake stay where they are.
        let greeting = told(&["\u{16}\u{3}\u{1}"]).await;
        assert_eq!(greeting, (false, b"\x16\x03\x01".to_vec()));
    }

    /// Whether the stream was refused; and the bytes of the answer, or those that are left to be read.
    async fn told(pieces: &[&str]) -> (bool, Vec<u8>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap())
            .await
            .unwrap();
        let (mut stream, _) = listener.accept().await.unwrap();
        let sending = async {
            for piece in pieces {
                client.write_all(piece.as_bytes()).await.unwrap();
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            client.shutdown().await.unwrap();
        };

        let (is_refused, ()) = tokio::join!(has_refused(&mut stream), sending);
        let is_refused = is_refused.unwrap();

        let mut bytes = Vec::new();
        let reader = if is_refused { &mut client } else { &mut stream };
        reader.read_to_end(&mut bytes).await.unwrap();
        (is_refused, bytes)
    }
}

//! Long bodies: a server that gives them and takes them, and keeps nothing, and its client.

use std::convert::Infallible;
use std::net::SocketAddr;

use anyhow::{Context as _, Result, ensure};
use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::{Method, Uri};
use axum::response::{IntoResponse as _, Response};
use futures::stream;
use http_body_util::BodyExt as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// The length of one write; lengths of bodies are a multiple of it.
pub const PART: usize = 64 << 10;

/// The header in which the server says how much it was sent.
const COUNTED: &str = "x-counted";

/// A running server; ends when dropped.
#[derive(Debug)]
pub struct BodyServer {
    address: SocketAddr,
    task: JoinHandle<()>,
}

/// Which way a body goes.
#[derive(Clone, Copy, Debug)]
pub enum Way {
    /// As an answer.
    FromVault,
    /// In a request that says how long it is.
    ToVault,
    /// In one that does not.
    ToVaultInChunks,
}

impl BodyServer {
    /// Starts one on loopback.
    pub async fn start() -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let app = Router::new().fallback(answer);
        let task = tokio::spawn(async move {
            // It serves until it is aborted.
            let _ = axum::serve(listener, app).await;
        });
        Ok(Self { address, task })
    }

    /// `VAULT_ADDR`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

impl Drop for BodyServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn answer(method: Method, uri: Uri, mut body: Body) -> Response {
    if method == Method::GET {
        let length = uri.query().and_then(|query| query.parse().ok());
        return zeros(length.unwrap_or(0));
    }
    let mut length = 0;
    while let Some(Ok(frame)) = body.frame().await {
        length += frame.data_ref().map_or(0, |data| data.len());
    }
    [(COUNTED, length.to_string())].into_response()
}

fn zeros(length: usize) -> Response {
    let part = Bytes::from(vec![0; PART]);
    let parts = (0..length / PART).map(move |_| Ok::<_, Infallible>(part.clone()));
    let headers = [
        ("content-type", "application/gzip".to_owned()),
        ("content-length", length.to_string()),
    ];
    (headers, Body::from_stream(stream::iter(parts))).into_response()
}

/// Passes so many bytes through the listener at `through`, in front of a [`BodyServer`].
pub async fn pass(way: Way, through: SocketAddr, length: usize) -> Result<()> {
    let mut stream = TcpStream::connect(through).await?;
    let path = "/v1/sys/storage/raft/snapshot";
    let (request, framing) = match way {
        Way::FromVault => (format!("GET {path}?{length}"), String::new()),
        Way::ToVault => (
            format!("PUT {path}"),
            format!("content-length: {length}\r\n"),
        ),
        Way::ToVaultInChunks => (
            format!("PUT {path}"),
            "transfer-encoding: chunked\r\n".to_owned(),
        ),
    };
    let head = format!(
        "{request} HTTP/1.1\r\nhost: v\r\nx-vault-token: t\r\nconnection: close\r\n{framing}\r\n"
    );
    stream.write_all(head.as_bytes()).await?;
    let part = vec![0; PART];
    match way {
        Way::FromVault => return receive(stream, part, length).await,
        Way::ToVault => send(&mut stream, &part, length).await?,
        Way::ToVaultInChunks => {
            let size = format!("{PART:x}\r\n");
            let chunk = [size.as_bytes(), &part[..], &b"\r\n"[..]].concat();
            send(&mut stream, &chunk, length).await?;
            stream.write_all(b"0\r\n\r\n").await?;
        }
    }
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    let counted = answer.lines().find_map(|line| {
        let (name, value) = line.split_once(": ")?;
        name.eq_ignore_ascii_case(COUNTED).then_some(value)
    });
    let counted: usize = counted.with_context(|| answer.clone())?.parse()?;
    ensure!(counted == length, "{counted} bytes came");
    Ok(())
}

async fn send(stream: &mut TcpStream, part: &[u8], length: usize) -> Result<()> {
    for _ in 0..length / PART {
        stream.write_all(part).await?;
    }
    Ok(())
}

/// The head and what stands between chunks are counted, too.
async fn receive(mut stream: TcpStream, mut part: Vec<u8>, length: usize) -> Result<()> {
    let mut received = 0;
    loop {
        match stream.read(&mut part).await? {
            0 => break,
            read => received += read,
        }
    }
    ensure!(received >= length, "{received} bytes came");
    Ok(())
}

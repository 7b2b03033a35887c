//! By how much the agents grow while a long body passes.

use std::path::Path;
use std::time::Instant;

use anyhow::{Result, ensure};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::process::Side;
use crate::proxied::listening;

const LENGTH: usize = 1 << 30;
const PART: usize = 64 << 10;

pub(crate) async fn growth(sides: [Side<'_>; 2], folder: &Path) -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = format!("http://{}", listener.local_addr()?);
    // It serves until it is dropped.
    let mut server = JoinSet::new();
    server.spawn(serve(listener));
    println!("| A body of 1 GiB from Vault | `vault agent` | our agent |");
    println!("| --- | ---: | ---: |");
    let mut cells = String::new();
    for side in sides {
        let (agent, listen) = listening(side, folder, &address).await?;
        let before = agent.resident()?;
        let begun = Instant::now();
        let received = download(TcpStream::connect(listen).await?).await?;
        ensure!(received >= LENGTH, "{received} bytes came");
        let grown = agent.peak()? - before;
        let time = begun.elapsed().as_secs_f64();
        cells += &format!(" {grown:.1} MiB more, {time:.1} s |");
    }
    println!("| growth and time |{cells}");
    println!();
    Ok(())
}

/// Answers each connection once.
async fn serve(listener: TcpListener) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        connections.spawn(answer(stream));
    }
}

async fn answer(mut stream: TcpStream) -> std::io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        if stream.read_buf(&mut head).await? == 0 {
            return Ok(());
        }
    }
    let head = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/gzip\r\ncontent-length: {LENGTH}\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await?;
    let part = vec![0_u8; PART];
    for _ in 0..LENGTH / PART {
        stream.write_all(&part).await?;
    }
    // Whoever has it all closes.
    while stream.read(&mut [0; 64]).await? > 0 {}
    Ok(())
}

/// How many bytes come, with the head and what stands between chunks.
async fn download(mut stream: TcpStream) -> Result<usize> {
    let request = "GET /v1/sys/storage/raft/snapshot HTTP/1.1\r\nhost: agent\r\nx-vault-token: t\r\nconnection: close\r\n\r\n";
    stream.write_all(request.as_bytes()).await?;
    let mut part = vec![0_u8; PART];
    let mut received = 0;
    loop {
        match stream.read(&mut part).await? {
            0 => return Ok(received),
            read => received += read,
        }
    }
}

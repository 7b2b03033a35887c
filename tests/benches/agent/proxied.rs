//! The memory and the speed of agents through which others ask Vault.

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use planescape_tests::vault::ROOT_TOKEN;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::bare::Bare;
use crate::process::{Agent, Side};

const CLIENTS: usize = 64;
/// Requests for some seconds: those that go to Vault, and those that do not.
const REQUESTS: [usize; 2] = [16_000, 160_000];

/// Clients, each with a connection of its own that stays.
const MANY_CLIENTS: usize = 1_000;

pub(crate) async fn rates(sides: [Side<'_>; 2], folder: &Path, address: &str) -> Result<()> {
    println!(
        "| {CLIENTS} clients | `vault agent` | our agent | times more | bare sockets, times |"
    );
    println!("| --- | ---: | ---: | ---: | ---: |");
    for (what, requests, method, path, body) in [
        (
            "KV reads, not kept",
            REQUESTS[0],
            "GET",
            "/v1/kv/data/bench-0",
            "",
        ),
        (
            "a token, kept",
            REQUESTS[1],
            "POST",
            "/v1/auth/token/create-orphan",
            r#"{"ttl":"1h"}"#,
        ),
    ] {
        let mut rates = Vec::new();
        let request = request(method, path, body);
        let mut answer = Vec::new();
        for side in sides {
            let (agent, listen) = listening(side, folder, address).await?;
            let mut client = Client::connect(listen).await?;
            client.ask(&request).await?;
            answer = client.answer;
            rates.push(proxied(&agent, listen, &request, requests).await?);
        }
        let vault = address.strip_prefix("http://").context("an address")?;
        let bare = match body {
            "" => Bare::PassOn(vault.to_owned()),
            _ => Bare::Answer(answer.into()),
        };
        let (bare, _) = rate(bare.start()?, &request, requests).await?;
        let cells: String = rates
            .iter()
            .map(|passed| {
                format!(
                    "{:.0}/s, 99 % in {:.1} ms, {:.0} µs each, {:.1} MiB | ",
                    passed.rate, passed.slowest, passed.processor, passed.held
                )
            })
            .collect();
        println!(
            "| {what} | {cells}{:.1} | {bare:.0}/s, {:.1} |",
            rates[1].rate / rates[0].rate,
            bare / rates[0].rate
        );
    }
    println!();
    Ok(())
}

pub(crate) async fn memory_of_many(
    sides: [Side<'_>; 2],
    folder: &Path,
    address: &str,
) -> Result<()> {
    let request = request("GET", "/v1/kv/data/bench-0", "");
    let mut held = Vec::new();
    for side in sides {
        let (agent, listen) = listening(side, folder, address).await?;
        let mut clients = Vec::new();
        for _ in 0..MANY_CLIENTS {
            let mut client = Client::connect(listen).await?;
            client.ask(&request).await?;
            clients.push(client);
        }
        held.push(agent.resident()?);
    }
    println!("| Clients that stay | `vault agent`, resident | our agent | times less |");
    println!("| ---: | ---: | ---: | ---: |");
    println!(
        "| {MANY_CLIENTS} | {:.1} MiB | {:.1} MiB | {:.0} |",
        held[0],
        held[1],
        held[0] / held[1]
    );
    println!();
    Ok(())
}

/// How one agent passed requests on.
struct Passed {
    /// Requests a second.
    rate: f64,
    /// The slowest hundredth, in milliseconds.
    slowest: f64,
    /// The agent's own processor time for each, in microseconds.
    processor: f64,
    /// The memory of the agent after it, in MiB.
    held: f64,
}

/// An agent with a cache, and where it listens.
pub(crate) async fn listening(
    side: Side<'_>,
    folder: &Path,
    address: &str,
) -> Result<(Agent, SocketAddr)> {
    let listen = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    let config = folder.join("proxy.hcl");
    fs::write(
        &config,
        format!(
            "vault {{ address = \"{address}\" }}\nlog_level = \"error\"\ncache {{}}\nlistener \"tcp\" {{ address = \"{listen}\" tls_disable = true }}\n"
        ),
    )?;
    let agent = Agent::start(side, &config, folder)?;
    let begun = Instant::now();
    while TcpStream::connect(listen).await.is_err() {
        ensure!(
            begun.elapsed() < Duration::from_secs(30),
            "it does not listen"
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Ok((agent, listen))
}

async fn proxied(
    agent: &Agent,
    listen: SocketAddr,
    request: &str,
    requests: usize,
) -> Result<Passed> {
    let spent = agent.processor_time()?;
    let (rate, slowest) = rate(listen, request, requests).await?;
    let spent = agent.processor_time()? - spent;
    Ok(Passed {
        rate,
        slowest,
        processor: spent.as_secs_f64() * 1e6 / requests as f64,
        held: agent.resident()?,
    })
}

/// Requests a second, and the slowest hundredth in milliseconds.
async fn rate(listen: SocketAddr, request: &str, requests: usize) -> Result<(f64, f64)> {
    let begun = Instant::now();
    let mut clients = JoinSet::new();
    for _ in 0..CLIENTS {
        let request = request.to_owned();
        clients.spawn(async move {
            let mut client = Client::connect(listen).await?;
            let mut times = Vec::new();
            for _ in 0..requests / CLIENTS {
                let asked = Instant::now();
                client.ask(&request).await?;
                times.push(asked.elapsed());
            }
            anyhow::Ok(times)
        });
    }
    let mut times = Vec::new();
    while let Some(done) = clients.join_next().await {
        times.extend(done??);
    }
    let rate = requests as f64 / begun.elapsed().as_secs_f64();
    times.sort();
    let slowest = times[times.len() * 99 / 100].as_secs_f64() * 1e3;
    Ok((rate, slowest))
}

/// One connection of a client that costs next to nothing, so that what is measured is the agent.
struct Client {
    stream: TcpStream,
    answer: Vec<u8>,
}

impl Client {
    async fn connect(address: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let answer = Vec::with_capacity(8 * 1024);
        Ok(Self { stream, answer })
    }

    /// Asks, and reads the whole answer.
    async fn ask(&mut self, request: &str) -> Result<()> {
        self.stream.write_all(request.as_bytes()).await?;
        self.answer.clear();
        while !self.is_whole()? {
            let read = self.stream.read_buf(&mut self.answer).await?;
            ensure!(read > 0, "the connection ended");
        }
        Ok(())
    }

    fn is_whole(&self) -> Result<bool> {
        let text = std::str::from_utf8(&self.answer)?;
        let Some((head, body)) = text.split_once("\r\n\r\n") else {
            return Ok(false);
        };
        ensure!(head.starts_with("HTTP/1.1 200 "), "{text}");
        let length = head.lines().find_map(|line| {
            let (name, value) = line.split_once(": ")?;
            name.eq_ignore_ascii_case("content-length")
                .then(|| value.parse::<usize>().ok())?
        });
        Ok(body.len() == length.context("content-length")?)
    }
}

fn request(method: &str, path: &str, body: &str) -> String {
    format!(
        "{method} {path} HTTP/1.1\r\nhost: agent\r\nx-vault-token: {ROOT_TOKEN}\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
}

//! What the agents hold and how fast they pass requests on: `vault agent` and ours, one after the other
//! on one Vault.
//!
//! ```text
//! cargo bench -p planescape-tests --bench agent
//! ```

#![expect(clippy::print_stdout, reason = "it reports to a terminal")]

use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use planescape_tests::programs::Program;
use planescape_tests::run_folder::RunFolder;
use planescape_tests::servers;
use planescape_tests::vault::{ROOT_TOKEN, Tls, Vault};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

const TEMPLATES: [usize; 3] = [1, 200, 500];
const CLIENTS: usize = 64;
const REQUESTS: usize = 16_000;

struct Agent {
    child: Child,
}

impl Agent {
    fn start(program: &Path, words: &[&str], config: &Path, folder: &Path) -> Result<Self> {
        let child = Command::new(program)
            .args(words)
            .arg(format!("-config={}", config.display()))
            .env_clear()
            .env("HOME", folder)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        Ok(Self { child })
    }

    /// What it has used.
    fn processor_time(&self) -> Result<Duration> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.child.id()))?;
        let (_, fields) = stat.rsplit_once(") ").context("stat")?;
        let fields: Vec<&str> = fields.split(' ').collect();
        let ticks = fields[11].parse::<u64>()? + fields[12].parse::<u64>()?;
        Ok(Duration::from_millis(ticks * 10))
    }

    /// What it holds, in MiB.
    fn resident(&self) -> Result<f64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib: f64 = line
            .context("VmRSS")?
            .trim()
            .trim_end_matches(" kB")
            .parse()?;
        Ok(kib / 1024.0)
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::main]
async fn main() -> Result<()> {
    let run = RunFolder::create()?;
    let vault = Vault::start(&run, IpAddr::V4(Ipv4Addr::LOCALHOST), Tls::Off).await?;
    for n in 0..500 {
        vault
            .put(&format!("bench-{n}"), &json!({"user": format!("user-{n}")}))
            .await?;
    }
    let folder = run.subfolder("bench")?;
    fs::write(folder.join("token"), ROOT_TOKEN)?;
    let theirs: (PathBuf, &[&str]) = (servers::VAULT.build()?.join("vault"), &["agent"]);
    let ours: (PathBuf, &[&str]) = (Program::Agent.build()?, &[]);
    println!("{} cores", thread::available_parallelism()?);
    println!("| Templates | `vault agent`, resident | our agent | times less |");
    println!("| ---: | ---: | ---: | ---: |");
    for count in TEMPLATES {
        let mut held = Vec::new();
        for (program, words) in [&theirs, &ours] {
            let out = folder.join("out");
            let _ = fs::remove_dir_all(&out);
            let config = rendering(&folder, &vault.url(), count)?;
            let agent = Agent::start(program, words, &config, &folder)?;
            until(|| fs::read_dir(&out).is_ok_and(|files| files.count() == count)).await?;
            tokio::time::sleep(Duration::from_secs(2)).await;
            held.push(agent.resident()?);
        }
        println!(
            "| {count} | {:.1} MiB | {:.1} MiB | {:.0} |",
            held[0],
            held[1],
            held[0] / held[1]
        );
    }
    println!();
    println!("| {CLIENTS} clients | `vault agent` | our agent | times more |");
    println!("| --- | ---: | ---: | ---: |");
    for (what, method, path, body) in [
        ("KV reads, not kept", "GET", "/v1/kv/data/bench-0", ""),
        (
            "a token, kept",
            "POST",
            "/v1/auth/token/create-orphan",
            r#"{"ttl":"1h"}"#,
        ),
    ] {
        let mut rates = Vec::new();
        let request = request(method, path, body);
        for (program, words) in [&theirs, &ours] {
            rates.push(proxied(program, words, &folder, &vault.url(), &request).await?);
        }
        let cells: String = rates
            .iter()
            .map(|passed| {
                format!(
                    "{:.0}/s, 99 % in {:.1} ms, {:.0} µs each, {:.1} MiB | ",
                    passed.rate, passed.slowest, passed.processor, passed.held
                )
            })
            .collect();
        println!("| {what} | {cells}{:.1} |", rates[1].rate / rates[0].rate);
    }
    Ok(())
}

fn rendering(folder: &Path, address: &str, count: usize) -> Result<PathBuf> {
    let path = folder.join("rendering.hcl");
    let folder = folder.display();
    let templates: String = (0..count)
        .map(|n| {
            format!(
                "template {{ contents = \"{{{{ with secret \\\"kv/data/bench-{n}\\\" }}}}{{{{ .Data.data.user }}}}{{{{ end }}}}\" destination = \"{folder}/out/{n}\" }}\n"
            )
        })
        .collect();
    fs::write(
        &path,
        format!(
            "vault {{ address = \"{address}\" }}\nauto_auth {{ method \"token_file\" {{ config = {{ token_file_path = \"{folder}/token\" }} }} }}\n{templates}"
        ),
    )?;
    Ok(path)
}

/// How one agent passed requests on.
struct Passed {
    /// Requests a second.
    rate: f64,
    /// The slowest hundredth, in milliseconds.
    slowest: f64,
    /// The agent's own processor time for each, in microseconds.
    processor: f64,
    /// What the agent holds after it, in MiB.
    held: f64,
}

async fn proxied(
    program: &Path,
    words: &[&str],
    folder: &Path,
    address: &str,
    request: &str,
) -> Result<Passed> {
    let listen = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    let config = folder.join("proxy.hcl");
    fs::write(
        &config,
        format!(
            "vault {{ address = \"{address}\" }}\nlog_level = \"error\"\ncache {{}}\nlistener \"tcp\" {{ address = \"{listen}\" tls_disable = true }}\n"
        ),
    )?;
    let agent = Agent::start(program, words, &config, folder)?;
    let begun = Instant::now();
    while Client::ask_once(listen, request).await.is_err() {
        ensure!(
            begun.elapsed() < Duration::from_secs(30),
            "it does not answer"
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let spent = agent.processor_time()?;
    let begun = Instant::now();
    let mut clients = JoinSet::new();
    for _ in 0..CLIENTS {
        let request = request.to_owned();
        clients.spawn(async move {
            let mut client = Client::connect(listen).await?;
            let mut times = Vec::new();
            for _ in 0..REQUESTS / CLIENTS {
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
    let rate = REQUESTS as f64 / begun.elapsed().as_secs_f64();
    let spent = agent.processor_time()? - spent;
    times.sort();
    Ok(Passed {
        rate,
        slowest: times[times.len() * 99 / 100].as_secs_f64() * 1e3,
        processor: spent.as_secs_f64() * 1e6 / REQUESTS as f64,
        held: agent.resident()?,
    })
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

    async fn ask_once(address: SocketAddr, request: &str) -> Result<()> {
        Self::connect(address).await?.ask(request).await
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

async fn until(is_so: impl Fn() -> bool) -> Result<()> {
    let begun = Instant::now();
    while !is_so() {
        ensure!(
            begun.elapsed() < Duration::from_secs(60),
            "not so after a minute"
        );
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    Ok(())
}

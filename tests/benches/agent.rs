//! What the agents hold and how fast they pass requests on: `vault agent` and ours, one after the other
//! on one Vault.
//!
//! ```text
//! cargo bench -p planescape-tests --bench agent
//! ```

#![expect(clippy::print_stdout, reason = "it reports to a terminal")]

use std::fs;
use std::net::{IpAddr, Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use planescape_tests::programs::Program;
use planescape_tests::run_folder::RunFolder;
use planescape_tests::servers;
use planescape_tests::vault::{ROOT_TOKEN, Tls, Vault};
use serde_json::{Value, json};
use tokio::task::JoinSet;

const TEMPLATES: [usize; 3] = [1, 200, 500];
const CLIENTS: usize = 64;
const REQUESTS: usize = 8_000;

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
        for (program, words) in [&theirs, &ours] {
            rates.push(proxied(program, words, &folder, &vault.url(), (method, path, body)).await?);
        }
        let [(theirs, their_worst, _), (ours, our_worst, held)] = [rates[0], rates[1]];
        println!(
            "| {what} | {theirs:.0}/s, 99 % in {their_worst:.1} ms | {ours:.0}/s, 99 % in {our_worst:.1} ms, {held:.1} MiB | {:.1} |",
            ours / theirs
        );
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

/// Requests a second, the slowest hundredth in milliseconds, and what the agent holds after it.
async fn proxied(
    program: &Path,
    words: &[&str],
    folder: &Path,
    address: &str,
    (method, path, body): (&str, &str, &'static str),
) -> Result<(f64, f64, f64)> {
    let listen = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    let config = folder.join("proxy.hcl");
    fs::write(
        &config,
        format!(
            "vault {{ address = \"{address}\" }}\nlog_level = \"error\"\ncache {{}}\nlistener \"tcp\" {{ address = \"{listen}\" tls_disable = true }}\n"
        ),
    )?;
    let agent = Agent::start(program, words, &config, folder)?;
    let client = reqwest::Client::builder().no_proxy().build()?;
    let url = format!("http://{listen}{path}");
    let method = reqwest::Method::from_bytes(method.as_bytes())?;
    let ask = {
        let (client, url, method) = (client.clone(), url.clone(), method.clone());
        move || {
            let request = client
                .request(method.clone(), &url)
                .header("X-Vault-Token", ROOT_TOKEN)
                .body(body);
            async move {
                let answer = request.send().await?;
                ensure!(answer.status().is_success(), "{}", answer.status());
                answer.json::<Value>().await?;
                Ok(())
            }
        }
    };
    let begun = Instant::now();
    while ask().await.is_err() {
        ensure!(
            begun.elapsed() < Duration::from_secs(30),
            "it does not answer"
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let begun = Instant::now();
    let mut clients = JoinSet::new();
    for _ in 0..CLIENTS {
        let ask = ask.clone();
        clients.spawn(async move {
            let mut times = Vec::new();
            for _ in 0..REQUESTS / CLIENTS {
                let asked = Instant::now();
                ask().await?;
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
    times.sort();
    let worst = times[times.len() * 99 / 100].as_secs_f64() * 1e3;
    Ok((rate, worst, agent.resident()?))
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

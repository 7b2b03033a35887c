//! How long an init run takes: login, one file for each secret, end. `vault agent`, our agent, and the
//! bare requests of a minimal client with as many connections, in turns on one Vault.
//!
//! ```text
//! cargo bench -p planescape-tests --bench startup
//! ```

#![expect(clippy::print_stdout, reason = "it reports to a terminal")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;
use planescape_tests::programs::Program;
use planescape_tests::servers;
use planescape_tests::testbed::Cluster;
use reqwest::Client;
use serde_json::{Value, json};
use tokio::task::JoinSet;

/// Templates, and how often each side runs.
const SIZES: [(usize, usize); 4] = [(1, 50), (50, 11), (200, 11), (500, 11)];
/// As many as both agents open.
const CONNECTIONS: usize = 10;

struct Run {
    wall: Duration,
    cpu: Duration,
}

#[tokio::main]
async fn main() -> Result<()> {
    let cluster = Cluster::start().await?;
    let ours = Program::Agent.build()?;
    let theirs = servers::VAULT.build()?.join("vault");
    let jwt = cluster
        .control_plane
        .service_account_token("default", "default")
        .await?;
    let largest = SIZES.iter().map(|(count, _)| *count).max().unwrap_or(0);
    for n in 0..largest {
        let body = json!({"user": format!("user-{n}"), "password": format!("password-{n}")});
        cluster.vault.put(&format!("bench-{n}"), &body).await?;
    }
    let cores = thread::available_parallelism()?;
    println!("{cores} cores; median of wall time, and of the processor's time in brackets");
    println!(
        "| Templates | `vault agent` | our agent | bare requests | times quicker | of bare | p99 |"
    );
    println!("| ---: | ---: | ---: | ---: | ---: | ---: | ---: |");
    for (count, runs) in SIZES {
        let folder = tempfile::tempdir()?;
        fs::write(folder.path().join("jwt"), &jwt)?;
        let config = configuration(folder.path(), &cluster.vault.url(), count);
        let (mut a, mut b, mut c) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..=runs {
            a.push(run(&theirs, &["agent"], &config, folder.path(), count)?);
            b.push(run(&ours, &[], &config, folder.path(), count)?);
            c.push(bare(&cluster.vault.url(), &jwt, count).await?);
        }
        let (theirs, ours, bare) = (median(&mut a), median(&mut b), median(&mut c));
        println!(
            "| {count} | {} | {} | {:.1} ms | {:.1} | {:.2} | {:.1} ms |",
            shown(&theirs),
            shown(&ours),
            bare.wall.as_secs_f64() * 1e3,
            theirs.wall.as_secs_f64() / ours.wall.as_secs_f64(),
            ours.wall.as_secs_f64() / bare.wall.as_secs_f64(),
            b.last().context("at least one run")?.wall.as_secs_f64() * 1e3,
        );
    }
    Ok(())
}

fn shown(run: &Run) -> String {
    let milliseconds = |time: Duration| time.as_secs_f64() * 1e3;
    format!(
        "{:.1} ms ({:.0} ms)",
        milliseconds(run.wall),
        milliseconds(run.cpu)
    )
}

/// The first run of a series warms up and does not count.
fn median(runs: &mut Vec<Run>) -> Run {
    runs.remove(0);
    runs.sort_by_key(|run| run.wall);
    let middle = &runs[runs.len() / 2];
    let mut cpu: Vec<Duration> = runs.iter().map(|run| run.cpu).collect();
    cpu.sort();
    Run {
        wall: middle.wall,
        cpu: cpu[cpu.len() / 2],
    }
}

fn configuration(folder: &Path, address: &str, count: usize) -> PathBuf {
    let path = folder.join("agent.hcl");
    let folder = folder.display();
    let templates: String = (0..count)
        .map(|n| {
            format!(
                "template {{\n contents = \"{{{{ with secret \\\"kv/data/bench-{n}\\\" }}}}{{{{ .Data.data.user }}}} {{{{ .Data.data.password }}}}{{{{ end }}}}\"\n destination = \"{folder}/out/{n}\"\n}}\n"
            )
        })
        .collect();
    let text = format!(
        r#"
        vault {{ address = "{address}" }}
        auto_auth {{ method "kubernetes" {{ config {{ role = "key-value-reader" token_path = "{folder}/jwt" }} }} }}
        exit_after_auth = true
        {templates}"#
    );
    fs::write(&path, text).expect("a folder that we made");
    path
}

fn run(program: &Path, words: &[&str], config: &Path, folder: &Path, count: usize) -> Result<Run> {
    let out = folder.join("out");
    let _ = fs::remove_dir_all(&out);
    let before = children();
    let started = Instant::now();
    let status = Command::new(program)
        .args(words)
        .arg(format!("-config={}", config.display()))
        .env_clear()
        .env("HOME", folder)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()?;
    let wall = started.elapsed();
    let cpu = children() - before;
    ensure!(status.success(), "{}: {status}", program.display());
    let written = fs::read_dir(&out)?.count();
    ensure!(
        written == count,
        "{} wrote {written} files",
        program.display()
    );
    Ok(Run { wall, cpu })
}

/// The processor time of ended children.
fn children() -> Duration {
    let usage =
        getrusage(UsageWho::RUSAGE_CHILDREN).expect("it takes no argument that can be wrong");
    let micros = usage.user_time().num_microseconds() + usage.system_time().num_microseconds();
    Duration::from_micros(u64::try_from(micros).unwrap_or(0))
}

/// A login, one look at the mount, and the reads.
async fn bare(address: &str, jwt: &str, count: usize) -> Result<Run> {
    let started = Instant::now();
    let client = Client::builder().no_proxy().build()?;
    let login: Value = client
        .put(format!("{address}/v1/auth/kubernetes/login"))
        .json(&json!({"role": "key-value-reader", "jwt": jwt}))
        .send()
        .await?
        .json()
        .await?;
    let token = login["auth"]["client_token"].as_str().context("a token")?;
    let get = |path: String| {
        let request = client.get(format!("{address}/v1/{path}"));
        request.header("x-vault-token", token).send()
    };
    get("sys/internal/ui/mounts/kv/data/bench-0".to_owned())
        .await?
        .bytes()
        .await?;
    let next = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let mut workers = JoinSet::new();
    for _ in 0..CONNECTIONS.min(count) {
        let (client, next) = (client.clone(), Arc::clone(&next));
        let (address, token) = (address.to_owned(), token.to_owned());
        workers.spawn(async move {
            loop {
                let n = next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                if n >= count {
                    return anyhow::Ok(());
                }
                let request = client.get(format!("{address}/v1/kv/data/bench-{n}"));
                let answer = request.header("x-vault-token", &token).send().await?;
                ensure!(answer.status().is_success(), "{}", answer.status());
                answer.bytes().await?;
            }
        });
    }
    while let Some(worker) = workers.join_next().await {
        worker??;
    }
    let wall = started.elapsed();
    let cpu = Duration::ZERO;
    Ok(Run { wall, cpu })
}

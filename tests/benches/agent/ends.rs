//! How fast the agents end when they are told to, also where names are looked up in vain.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use planescape_tests::faults::{Fault, Proxy};
use planescape_tests::scripted_vault::{Answer, ScriptedVault};

use crate::process::{Agent, Side, until};

const RUNS: usize = 100;
const RUNS_WITHOUT_NAMES: usize = 5;

const LOGIN: (&str, &str) = ("PUT", "/v1/auth/kubernetes/login");
const REVOCATION: (&str, &str) = ("PUT", "/v1/auth/token/revoke-self");

/// The name that Vault has where names matter.
const NAME: &str = "vault.example.com";

/// The runs of one side: from the signal to the revocation, where there is one, and to the end.
#[derive(Default)]
struct Times {
    revoked: Vec<Duration>,
    ended: Vec<Duration>,
}

pub(crate) async fn times(sides: [Side<'_>; 2], folder: &Path) -> Result<()> {
    let vault = ScriptedVault::start().await?;
    vault
        .on(LOGIN.0, LOGIN.1, Answer::login("hvs.t", "accessor", 3600))
        .on(REVOCATION.0, REVOCATION.1, Answer::empty());
    println!("| After SIGTERM | `vault agent` | our agent |");
    println!("| --- | ---: | ---: |");
    let [mut theirs, mut ours] = [Times::default(), Times::default()];
    for _ in 0..RUNS {
        for (number, times) in [&mut theirs, &mut ours].into_iter().enumerate() {
            let config = configuration(folder, &vault.url(), number == 1)?;
            let mut agent = Agent::start(sides[number], &config, folder)?;
            ready(folder).await?;
            let told = Instant::now();
            times.ended.push(agent.terminate().await?);
            times.revoked.extend(revoked_after(&vault, told));
        }
    }
    println!(
        "| until the revocation comes to Vault | revokes nothing | {} |",
        shown(&mut ours.revoked)?
    );
    println!(
        "| until it has ended | {} | {} |",
        shown(&mut theirs.ended)?,
        shown(&mut ours.ended)?
    );
    let [mut theirs, mut ours] = [Vec::new(), Vec::new()];
    for _ in 0..RUNS_WITHOUT_NAMES {
        for (number, times) in [&mut theirs, &mut ours].into_iter().enumerate() {
            times.push(end_without_names(sides[number], folder, &vault, number == 1).await?);
        }
    }
    println!(
        "| until it has ended, where no name server answers | {} | {} |",
        shown(&mut theirs)?,
        shown(&mut ours)?
    );
    println!();
    Ok(())
}

/// The name is known at first. Then it is not, and the connections are cut.
async fn end_without_names(
    (program, words): Side<'_>,
    folder: &Path,
    vault: &ScriptedVault,
    revokes: bool,
) -> Result<Duration> {
    let proxy = Proxy::start(IpAddr::V4(Ipv4Addr::LOCALHOST), vault.address()).await?;
    let (server, _socket) = silent_name_server()?;
    let (resolver, hosts) = (folder.join("resolv.conf"), folder.join("hosts"));
    fs::write(
        &resolver,
        format!("nameserver {server}\noptions timeout:30 attempts:5\n"),
    )?;
    fs::write(&hosts, format!("127.0.0.1 {NAME}\n"))?;
    let address = format!("http://{NAME}:{}", proxy.address().port());
    let config = configuration(folder, &address, revokes)?;
    let script = "PATH=/usr/bin:/bin && export PATH && mount --bind \"$0\" /etc/resolv.conf && mount --bind \"$1\" /etc/hosts && shift && exec \"$@\"";
    let mut command = Command::new("/usr/bin/unshare");
    command
        .args(["-m", "/bin/sh", "-c", script])
        .args([&resolver, &hosts])
        .arg(program)
        .args(words)
        .arg(format!("-config={}", config.display()));
    let mut agent = Agent::of(&mut command, folder)?;
    ready(folder).await?;
    // The mount shows what the file says now.
    fs::write(&hosts, "")?;
    proxy.set(Fault::None);
    tokio::time::sleep(Duration::from_millis(100)).await;
    agent.terminate().await
}

/// A port that nobody reads, and the socket that keeps it.
fn silent_name_server() -> Result<(Ipv4Addr, UdpSocket)> {
    let [.., high, low] = std::process::id().to_be_bytes();
    (1..=254)
        .map(|last| Ipv4Addr::new(127, high, low, last))
        .find_map(|address| Some((address, UdpSocket::bind((address, 53)).ok()?)))
        .context("a free address of loopback, and leave to bind port 53")
}

/// It has written its file, and a moment has passed.
async fn ready(folder: &Path) -> Result<()> {
    let out = folder.join("end/out");
    until(|| out.exists()).await?;
    tokio::time::sleep(Duration::from_millis(50)).await;
    Ok(())
}

fn configuration(folder: &Path, address: &str, revokes: bool) -> Result<PathBuf> {
    let path = folder.join("end.hcl");
    let out = folder.join("end");
    let _ = fs::remove_dir_all(&out);
    fs::create_dir(&out)?;
    fs::write(folder.join("jwt"), "jwt")?;
    let folder = folder.display();
    let own = if revokes {
        "planescape { revoke_on_exit = true }"
    } else {
        ""
    };
    let text = format!(
        r#"
        vault {{ address = "{address}" }}
        auto_auth {{
          method "kubernetes" {{ config {{ role = "reader" token_path = "{folder}/jwt" }} }}
          sink "file" {{ config {{ path = "{folder}/end/token" }} }}
        }}
        template {{ contents = "static" destination = "{folder}/end/out" }}
        {own}"#
    );
    fs::write(&path, text)?;
    Ok(path)
}

/// When the latest revocation came, if it came after the signal.
fn revoked_after(vault: &ScriptedVault, told: Instant) -> Option<Duration> {
    let requests = vault.requests();
    let last = requests.iter().rfind(|it| it.path == REVOCATION.1)?;
    last.at.checked_duration_since(told)
}

/// Half of them, and the slowest but one of a hundred.
fn shown(times: &mut [Duration]) -> Result<String> {
    times.sort();
    let last = times.len().checked_sub(1).context("no run at all")?;
    let milliseconds = |index: usize| times[index].as_secs_f64() * 1e3;
    Ok(format!(
        "{:.0} ms, 99 % within {:.0} ms",
        milliseconds(last / 2),
        milliseconds(last * 99 / 100)
    ))
}

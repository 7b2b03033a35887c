//! `cargo demo`: the whole testbed, and a job that reads the database on it.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::Parser;
use nix::sys::signal::{self, Signal};
use nix::unistd::Pid;
use planescape_tests::control_plane::User;
use planescape_tests::programs::Program;
use planescape_tests::setup::{self, Purpose};
use planescape_tests::testbed::Testbed;
use planescape_tests::{demo, preparation, servers, vault};
use serde::{Deserialize, Serialize};

/// Runs the guide's job on real servers and shows what happens when.
#[derive(Parser)]
struct Arguments {
    /// Install the Debian packages and the Rust target that are missing.
    #[arg(long)]
    yes: bool,
    /// Show a recurring job after the one-time job.
    #[arg(long)]
    cron: bool,
    /// Show it without a cluster, with nothing but Rust; says what is real and what is not.
    #[arg(long, exclusive = true)]
    local: bool,
    /// Leave everything up, and print how to reach it: `eval "$(cargo demo --keep)"`.
    #[arg(long)]
    keep: bool,
    /// Remove what `--keep` has left up.
    #[arg(long, exclusive = true)]
    down: bool,
    /// Bring the testbed up for another process, which waits.
    #[arg(long, hide = true)]
    hold: bool,
}

/// What the node gets images of, besides public ones.
const PROGRAMS: [Program; 2] = [Program::Agent, Program::Operator];

/// What `--down` has to know of a testbed that was left up.
#[derive(Deserialize, Serialize)]
struct Kept {
    process: u32,
    folder: PathBuf,
    /// What a shell needs to reach it.
    #[serde(default)]
    exports: Vec<String>,
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let result = match arguments {
        Arguments { down: true, .. } => take_down(),
        Arguments { local: true, .. } => demo::run_locally().await,
        Arguments { hold: true, .. } => hold(arguments.cron).await,
        Arguments { keep: true, .. } => prepare(&arguments).and_then(|()| keep(arguments.cron)),
        Arguments { .. } => match prepare(&arguments) {
            Ok(()) => show(arguments.cron).await.map(drop),
            Err(error) => Err(error),
        },
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

fn prepare(arguments: &Arguments) -> Result<()> {
    if arguments.yes {
        setup::install(Purpose::Pods)?;
    }
    setup::require(Purpose::Pods)?;
    preparation::prepare(&PROGRAMS)
}

/// Brings the testbed up and runs the job on it.
async fn show(cron: bool) -> Result<Testbed> {
    eprintln!("start Vault, Postgres, Kubernetes and a node …");
    let bed = Testbed::start().await?;
    demo::run(&bed, cron).await?;
    Ok(bed)
}

/// Lets another process bring the testbed up, so that it outlives this one.
fn keep(cron: bool) -> Result<()> {
    if let Some(kept) = kept()? {
        let folder = kept.folder.display();
        eprintln!("a testbed is up already in {folder}: `cargo demo --down` removes it");
        return print(&kept.exports);
    }
    let mut holder = Command::new(std::env::current_exe()?)
        .arg("--hold")
        .args(cron.then_some("--cron"))
        .stdin(Stdio::null())
        // Whoever reads what we print must not wait for what outlives us.
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .process_group(0)
        .spawn()?;
    let output = holder.stderr.take().context("a holder without output")?;
    for line in BufReader::new(output).lines() {
        let line = line?;
        if line == READY {
            let kept = kept()?.context("the testbed has ended")?;
            return print(&kept.exports);
        }
        eprintln!("{line}");
    }
    bail!("bringing the testbed up failed: {}", holder.wait()?)
}

/// The line by which the holder says that it will not say more.
const READY: &str = "everything is up";

async fn hold(cron: bool) -> Result<()> {
    let bed = show(cron).await?;
    let kept = Kept {
        process: std::process::id(),
        folder: bed.run.path().to_owned(),
        exports: exports(&bed)?,
    };
    fs::write(state_file()?, serde_json::to_vec(&kept)?)?;
    eprintln!("{READY}");
    std::future::pending().await
}

fn exports(bed: &Testbed) -> Result<Vec<String>> {
    let kubernetes = servers::KUBERNETES.build()?;
    let vault = servers::VAULT.build()?;
    let kubeconfig = bed.control_plane.kubeconfig(User::Admin);
    Ok(vec![
        format!("export KUBECONFIG={}", kubeconfig.display()),
        format!("export VAULT_ADDR={}", bed.vault.url()),
        format!("export VAULT_TOKEN={}", vault::ROOT_TOKEN),
        format!(
            "export PATH={}:{}:$PATH",
            kubernetes.display(),
            vault.display()
        ),
    ])
}

/// Standard output holds these lines and nothing else, so that a shell can take them.
#[expect(clippy::print_stdout, reason = "a shell evaluates these lines")]
fn print(exports: &[String]) -> Result<()> {
    for line in exports {
        println!("{line}");
    }
    eprintln!("to use them: eval \"$(cargo demo --keep)\"; to remove it all: cargo demo --down");
    Ok(())
}

/// Ends the holder; everything it has started ends with it.
fn take_down() -> Result<()> {
    let Some(kept) = kept()? else {
        eprintln!("nothing is up: `cargo demo --keep` brings a testbed up");
        return Ok(());
    };
    signal::kill(Pid::from_raw(kept.process.try_into()?), Signal::SIGTERM)?;
    while kept.folder.exists() {
        thread::sleep(Duration::from_millis(50));
    }
    fs::remove_file(state_file()?)?;
    Ok(())
}

/// The testbed that was left up, if it still is: its owner holds a lock.
fn kept() -> Result<Option<Kept>> {
    let Ok(state) = fs::read(state_file()?) else {
        return Ok(None);
    };
    let kept: Kept = serde_json::from_slice(&state)?;
    Ok(is_locked(&kept.folder).then_some(kept))
}

fn is_locked(folder: &Path) -> bool {
    File::open(folder.join("owner.lock")).is_ok_and(|file| file.try_lock().is_err())
}

fn state_file() -> Result<PathBuf> {
    Ok(servers::cache_folder()?.join("demo.json"))
}

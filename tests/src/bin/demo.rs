//! `cargo demo`: the whole testbed, and a job that reads the database on it.

use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use clap::Parser;
use nix::sys::signal::{self, Signal};
use nix::unistd::Pid;
use planescape_tests::control_plane::User;
use planescape_tests::demo::{self, Kept};
use planescape_tests::programs::Program;
use planescape_tests::setup::{self, Purpose};
use planescape_tests::testbed::Testbed;
use planescape_tests::{preparation, servers, vault};

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

/// The programs that the node gets images of, besides public ones.
const PROGRAMS: [Program; 2] = [Program::Agent, Program::Operator];

/// Everything that a testbed has started ends within this time.
const LONGEST_END: Duration = Duration::from_secs(60);

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
    if let Some(kept) = Kept::find()? {
        let folder = kept.folder.display();
        eprintln!("a testbed is up already in {folder}: `cargo demo --down` removes it");
        return print(&kept.exports);
    }
    let mut holder = Command::new(std::env::current_exe()?)
        .arg("--hold")
        .args(cron.then_some("--cron"))
        .stdin(Stdio::null())
        // A reader of what we print must not wait for what outlives us.
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .process_group(0)
        .spawn()?;
    let output = holder.stderr.take().context("a holder without output")?;
    for line in BufReader::new(output).lines() {
        let line = line?;
        if line == READY {
            let kept = Kept::find()?.context("the testbed has ended")?;
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
    kept.leave()?;
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
    let Some(kept) = Kept::find()? else {
        eprintln!("nothing is up: `cargo demo --keep` brings a testbed up");
        return Ok(());
    };
    signal::kill(Pid::from_raw(kept.process.try_into()?), Signal::SIGTERM)?;
    let asked = Instant::now();
    while kept.folder.exists() {
        ensure!(
            asked.elapsed() < LONGEST_END,
            "{} is still there a minute after process {} was told to end: see what it waits for, or end it with `kill -9`",
            kept.folder.display(),
            kept.process
        );
        thread::sleep(Duration::from_millis(50));
    }
    Kept::forget()
}

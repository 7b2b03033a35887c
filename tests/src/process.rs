//! Server processes that cannot outlive the process that started them.
//!
//! Each server is the first process of its own PID namespace. The kernel ends it when we die
//! (`setpriv --pdeathsig`), and with it everything it has started: Vault's plugins, Postgres'
//! workers, containerd's shims. No process is ever ended by its name.

use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::mpsc::{self, Sender};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};
use nix::sys::signal::{self, Signal};
use nix::unistd::Pid;

/// Servers here talk to each other, never to the world.
pub(crate) const PROXY_VARIABLES: [&str; 4] =
    ["HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"];

/// A running server, ended when dropped.
#[derive(Debug)]
pub struct Server {
    name: String,
    child: Child,
    log: PathBuf,
}

/// The memory of a process, in KiB.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Memory {
    /// Resident now.
    pub now: u64,
    /// The most that was resident.
    pub most: u64,
}

/// The place in which a server runs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Place {
    /// In a PID namespace of its own, and else like any other process of this machine.
    Here,
    /// As the first process of a new machine: its own network, mounts and host name too.
    NewMachine,
    /// Inside the machine whose first process has this id.
    Machine(u32),
}

impl Server {
    /// Starts `command` under `name`; its output goes to `<folder>/<name>.log`.
    pub fn start(name: &str, command: &Command, folder: &Path) -> Result<Self> {
        Self::start_at(Place::Here, name, command, folder)
    }

    /// Starts `command` somewhere else.
    pub fn start_at(place: Place, name: &str, command: &Command, folder: &Path) -> Result<Self> {
        let log = folder.join(format!("{name}.log"));
        let output = File::create(&log).with_context(|| format!("create {}", log.display()))?;
        let mut contained = contain(command, place);
        contained
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .process_group(0);
        let child = spawn_from_lasting_thread(contained)
            .with_context(|| format!("start {name} ({})", command.get_program().display()))?;
        Ok(Self {
            name: name.to_owned(),
            child,
            log,
        })
    }

    /// The server's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether the server has not ended.
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// The server's process id as this process sees it, once it has one.
    pub fn id(&self) -> Option<u32> {
        let outer = self.child.id();
        let children = fs::read_to_string(format!("/proc/{outer}/task/{outer}/children")).ok()?;
        children.split_whitespace().next()?.parse().ok()
    }

    /// Sends a signal to the server itself: `SIGSTOP` and `SIGCONT` make it hang and recover.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        let id = self
            .id()
            .with_context(|| format!("{} has ended", self.name))?;
        signal::kill(Pid::from_raw(id.try_into()?), signal)?;
        Ok(())
    }

    /// The memory of the server itself, without what it has started.
    pub fn memory(&self) -> Result<Memory> {
        let status = self.of_proc("status")?;
        let field = |name: &str| -> Result<u64> {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            let number = line.and_then(|line| line.split_whitespace().next());
            Ok(number
                .with_context(|| format!("{name} in {status}"))?
                .parse()?)
        };
        Ok(Memory {
            now: field("VmRSS:")?,
            most: field("VmHWM:")?,
        })
    }

    /// How long the server itself has had a processor.
    pub fn processor_time(&self) -> Result<Duration> {
        let stat = self.of_proc("stat")?;
        let (_, fields) = stat.rsplit_once(')').context("a name in brackets")?;
        let ticks = fields.split_whitespace().skip(11).take(2);
        let ticks: Vec<u64> = ticks.map(str::parse).collect::<Result<_, _>>()?;
        // The kernel counts hundredths of a second.
        Ok(Duration::from_millis(ticks.iter().sum::<u64>() * 10))
    }

    fn of_proc(&self, file: &str) -> Result<String> {
        let id = self
            .id()
            .with_context(|| format!("{} has ended", self.name))?;
        Ok(fs::read_to_string(format!("/proc/{id}/{file}"))?)
    }

    /// Everything the server has printed.
    pub fn output(&self) -> String {
        fs::read(&self.log).map_or_else(
            |error| format!("no log: {error}"),
            |bytes| String::from_utf8_lossy(&bytes).into_owned(),
        )
    }

    /// The end of what the server has printed, for error messages.
    pub fn last_words(&self) -> String {
        let output = self.output();
        let lines: Vec<_> = output.lines().collect();
        lines[lines.len().saturating_sub(15)..].join("\n")
    }
}

impl Drop for Server {
    /// Ends the server and waits: once its first process is reaped, its namespace is empty.
    fn drop(&mut self) {
        if self.signal(Signal::SIGKILL).is_err() {
            // It has ended, or was not there yet; what holds the namespace goes either way.
            let _ = self.child.kill();
        }
        let _ = self.child.wait();
    }
}

/// Wraps `command` so that it runs at `place` and dies with this process.
pub(crate) fn contain(command: &Command, place: Place) -> Command {
    let mut contained = Command::new("setpriv");
    contained.args(["--pdeathsig", "KILL", "--"]);
    let unshare = ["unshare", "--fork", "--kill-child=KILL", "--pid", "--ipc"];
    let mounts_and_names = ["--net", "--uts", "--mount", "--mount-proc"];
    match place {
        Place::Here => contained.args(unshare),
        Place::NewMachine => contained.args(unshare).args(mounts_and_names),
        Place::Machine(id) => contained
            .args(["nsenter", "--target", &id.to_string()])
            .args(["--pid", "--ipc", "--net", "--uts", "--mount"]),
    };
    contained
        .arg("--")
        .arg(command.get_program())
        .args(command.get_args());
    for variable in PROXY_VARIABLES {
        contained.env_remove(variable);
    }
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => contained.env(name, value),
            None => contained.env_remove(name),
        };
    }
    if let Some(folder) = command.get_current_dir() {
        contained.current_dir(folder);
    }
    contained
}

type Order = (Command, Sender<std::io::Result<Child>>);

/// The kernel's parent-death signal fires when the *thread* that forked ends, and tests run in
/// threads of their own: so one thread that lasts as long as the process does all the forking.
fn spawn_from_lasting_thread(command: Command) -> Result<Child> {
    static ORDERS: OnceLock<Sender<Order>> = OnceLock::new();
    let orders = ORDERS.get_or_init(|| {
        let (sender, receiver) = mpsc::channel::<Order>();
        thread::spawn(move || {
            for (mut command, reply) in receiver {
                // The asker has gone if this fails; dropping its child is then right.
                let _ = reply.send(command.spawn());
            }
        });
        sender
    });
    let (reply, result) = mpsc::channel();
    orders
        .send((command, reply))
        .context("the forking thread has ended")?;
    Ok(result.recv().context("the forking thread has ended")??)
}

//! Runs programs: those that follow a changed file, and the one in `exec`.

use std::io;
use std::os::unix::process::ExitStatusExt;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal as Number, kill, killpg};
use nix::unistd::Pid;
use planescape_agent_contract::{Exec, Hook, Program, Signal};
use planescape_agent_core::ChildEnd;
use planescape_vault::{Connection, Text};
use tokio::process;

use crate::{children, files, limits, shell, tools};

/// How long a program that was killed may take to be gone.
const LAST_PATIENCE: Duration = Duration::from_secs(5);

/// Variables that a program must not see: they hold the agent's configuration and tokens.
const OURS: [&str; 5] = [
    "VAULT_CONFIG",
    "VAULT_TOKEN",
    "BAO_TOKEN",
    "VAULT_WRAP_TTL",
    "BAO_WRAP_TTL",
];

/// How a program that follows a file finds Vault.
pub(super) fn environment(connection: &Connection) -> Vec<(String, String)> {
    let tls = &connection.tls;
    let client = tls.client.as_ref();
    let variables = [
        ("VAULT_ADDR", Some(connection.address.clone())),
        ("VAULT_CACERT", tls.ca_cert.clone()),
        ("VAULT_CACERT_BYTES", tls.ca_cert_bytes.clone()),
        ("VAULT_CAPATH", tls.ca_path.clone()),
        ("VAULT_CLIENT_CERT", client.map(|it| it.0.clone())),
        ("VAULT_CLIENT_KEY", client.map(|it| it.1.clone())),
        ("VAULT_TLS_SERVER_NAME", tls.server_name.clone()),
        (
            "VAULT_SKIP_VERIFY",
            tls.skip_verify.then(|| "true".to_owned()),
        ),
    ];
    // Programs for OpenBao look for other names.
    variables
        .into_iter()
        .filter_map(|(name, value)| Some((name, value?)))
        .flat_map(|(name, value)| {
            [
                (name.replacen("VAULT_", "BAO_", 1), value.clone()),
                (name.to_owned(), value),
            ]
        })
        .collect()
}

/// Runs the hook of the file at a path.
///
/// # Errors
/// Why it failed. The output of a program went to the agent's own outputs.
pub(super) async fn follow(
    hook: Hook,
    path: &str,
    environment: &[(String, String)],
) -> Result<(), String> {
    match hook {
        Hook::Run { program, timeout } => {
            let words = program.words();
            tracing::info!("(runner) executing command {words:?} from {path:?}");
            run(&program, timeout, environment).await
        }
        Hook::Signal { signal, process } => {
            let name = signal.name();
            tracing::info!("(runner) sending {name} to {process:?} from {path:?}");
            let telling = tokio::task::spawn_blocking(move || tools::tell(&process, signal));
            match telling.await {
                Ok(told) => told,
                Err(error) => std::panic::resume_unwind(error.into_panic()),
            }
        }
    }
}

/// Runs a program to its end, or kills it when it takes too long.
async fn run(
    program: &Program,
    timeout: Duration,
    environment: &[(String, String)],
) -> Result<(), String> {
    let mut command = command(program);
    command.envs(environment.iter().map(|(name, value)| (name, value)));
    let mut child = spawn(&mut command).map_err(|error| error.to_string())?;
    let group = Group::of(&child, program);
    tokio::select! {
        status = child.wait() => {
            children::ended(group.id);
            match status {
                Ok(status) if status.success() => Ok(()),
                Ok(status) => Err(described(status)),
                Err(error) => Err(error.to_string()),
            }
        }
        () = tokio::time::sleep(timeout) => {
            group.send(Number::SIGKILL);
            // A program that hangs in the kernel ends once the kernel lets go of it. Others do not wait so long.
            let _ = tokio::time::timeout(LAST_PATIENCE, child.wait()).await;
            children::ended(group.id);
            Err(format!("command did not exit within time limit {timeout:?}"))
        }
    }
}

/// The program in `exec`, while it runs.
#[derive(Debug)]
pub(super) struct Child {
    exec: Option<Exec>,
    running: Option<(process::Child, Group)>,
    failure: Option<String>,
}

impl Child {
    pub(super) fn new(exec: Option<Exec>) -> Self {
        Self {
            exec,
            running: None,
            failure: None,
        }
    }

    pub(super) fn start(&mut self, variables: Vec<(String, Text)>) {
        let Some(exec) = &self.exec else { return };
        match start(exec, variables) {
            Ok(child) => {
                tracing::info!(target: "agent.exec.server", program = exec.program.words()[0], "program started");
                let group = Group::of(&child, &exec.program);
                self.running = Some((child, group));
            }
            Err(error) => self.failure = Some(error.to_string()),
        }
    }

    pub(super) fn signal(&self, signal: Option<Signal>) {
        let Some((_, group)) = &self.running else {
            return;
        };
        let number = signal.map(|signal| Number::try_from(signal.number()));
        group.send(match number {
            Some(Ok(number)) => number,
            Some(Err(_)) | None => Number::SIGKILL,
        });
    }

    /// The end of the program. Without a program it waits for ever.
    pub(super) async fn ended(&mut self) -> ChildEnd {
        if let Some(message) = self.failure.take() {
            return ChildEnd::NotStarted { message };
        }
        let Some((child, _)) = &mut self.running else {
            return std::future::pending().await;
        };
        let status = child.wait().await;
        if let Some((_, group)) = self.running.take() {
            children::ended(group.id);
        }
        match status {
            Ok(status) => end(status),
            Err(error) => ChildEnd::NotStarted {
                message: error.to_string(),
            },
        }
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // This happens only after a second signal: an agent that is gone cannot look after its program.
        self.signal(None);
    }
}

/// A program, or the shell and all that it started.
#[derive(Clone, Copy, Debug)]
struct Group {
    id: Option<Pid>,
    is_group: bool,
}

impl Group {
    fn of(child: &process::Child, program: &Program) -> Self {
        let id = child.id().and_then(|id| i32::try_from(id).ok());
        Self {
            id: id.map(Pid::from_raw),
            is_group: matches!(program, Program::Shell(_)),
        }
    }

    /// Sends a signal. A program that has just ended gets none.
    fn send(self, signal: Number) {
        let Some(id) = self.id else { return };
        let _ = if self.is_group {
            killpg(id, signal)
        } else {
            kill(id, signal)
        };
    }
}

fn start(exec: &Exec, variables: Vec<(String, Text)>) -> io::Result<process::Child> {
    let mut command = command(&exec.program);
    for (name, value) in &variables {
        let value = std::os::unix::ffi::OsStrExt::from_bytes(value.as_bytes());
        let value: &std::ffi::OsStr = value;
        command.env(name, value);
    }
    if let Some(path) = &exec.stdout {
        command.stdout(output(path)?);
    }
    if let Some(path) = &exec.stderr {
        command.stderr(output(path)?);
    }
    spawn(&mut command)
}

fn output(path: &str) -> io::Result<Stdio> {
    let file = files::append(path.as_ref(), 0o644);
    file.map(Stdio::from)
        .map_err(|error| io::Error::new(error.kind(), format!("{path}: {error}")))
}

fn command(program: &Program) -> process::Command {
    let words = program.words();
    // An image with the agent alone has the agent for a shell.
    let is_own_shell = words[0] == "sh" && !shell::is_there();
    let mut command = if is_own_shell {
        let mut command = process::Command::new(shell::OWN);
        command.arg0("sh");
        command
    } else {
        process::Command::new(words[0])
    };
    command.args(&words[1..]);
    for name in OURS {
        command.env_remove(name);
    }
    if matches!(program, Program::Shell(_)) {
        command.process_group(0);
    }
    command
}

fn spawn(command: &mut process::Command) -> io::Result<process::Child> {
    let name = command
        .as_std()
        .get_program()
        .to_string_lossy()
        .into_owned();
    let child = limits::as_given(
        || command.spawn(),
        |child| child.as_ref().ok().and_then(process::Child::id),
    );
    let child = child.map_err(|error| io::Error::new(error.kind(), format!("{name}: {error}")))?;
    children::started(child.id());
    Ok(child)
}

fn end(status: ExitStatus) -> ChildEnd {
    match (status.code(), status.signal()) {
        (Some(code), _) => ChildEnd::Code(u8::try_from(code & 0xff).unwrap_or(u8::MAX)),
        (None, Some(signal)) => ChildEnd::Signal(signal),
        (None, None) => ChildEnd::Code(u8::MAX),
    }
}

fn described(status: ExitStatus) -> String {
    match status.code() {
        Some(code) => format!("the command ended with exit code {code}"),
        None => format!(
            "the command was ended by signal {}",
            status.signal().unwrap_or(0)
        ),
    }
}

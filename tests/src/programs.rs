//! Our own programs as they go into images: static, small, built once.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::image::{self, Image, Layer};
use crate::progress::{self, Log};

/// A program of ours.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Program {
    /// `planescape-agent`, which runs beside the jobs.
    Agent,
    /// `planescape`, the operator.
    Operator,
}

/// How cargo builds what goes into an image.
const STATIC: [&str; 2] = ["--profile=image", "--target=x86_64-unknown-linux-musl"];

/// Names under which the agent serves the commands that the Vault Agent Injector writes into pods.
const OTHER_NAMES: [&str; 12] = [
    "base64", "bao", "cat", "echo", "false", "kill", "pidof", "sh", "sleep", "touch", "true",
    "vault",
];
/// The names that the agent keeps beside a busybox, which serves the others.
const AGENTS: [&str; 2] = ["bao", "vault"];
/// The certificate authorities that everybody trusts.
const AUTHORITIES: &str = "/etc/ssl/certs/ca-certificates.crt";
/// The user that the injector lets the agent be.
const USERS: &str = "root:x:0:0:root:/root:/bin/sh\nvault:x:100:1000:vault:/home/vault:/bin/sh\n";
const GROUPS: &str = "root:x:0:\nvault:x:1000:\n";

/// The agent's image for pods whose `command` wants more of a shell than the agent is: the agent under the names
/// of `vault`, and a busybox.
pub fn agent_image_with_shell() -> Result<Image> {
    let name = "planescape/planescape-agent-busybox:0.1.0";
    let mut layer = image::shell()?;
    layer.folder("/tmp", 0o1777)?;
    agent_image(name, &Program::Agent.build()?, layer, &AGENTS)
}

/// The program under these names too, certificate authorities, and a home for the agent.
fn agent_image(name: &str, program: &Path, mut layer: Layer, names: &[&str]) -> Result<Image> {
    layer.add_program("/planescape-agent", program)?;
    for other in names {
        layer.link(&format!("/bin/{other}"), "/planescape-agent")?;
    }
    if let Ok(authorities) = std::fs::read(AUTHORITIES) {
        layer.add(AUTHORITIES, 0o644, &authorities)?;
    }
    layer.add("/etc/passwd", 0o644, USERS.as_bytes())?;
    layer.add("/etc/group", 0o644, GROUPS.as_bytes())?;
    layer.folder("/home/vault", 0o777)?;
    Ok(Image::new(name, layer)?.with_entrypoint(&["/planescape-agent"]))
}

impl Program {
    /// The environment variable that names a binary built before.
    pub fn variable(self) -> &'static str {
        match self {
            Self::Agent => "PLANESCAPE_AGENT",
            Self::Operator => "PLANESCAPE_OPERATOR",
        }
    }

    /// The path of the binary, which is built first unless the environment names one.
    pub fn build(self) -> Result<PathBuf> {
        if let Some(path) = std::env::var_os(self.variable()) {
            return Ok(path.into());
        }
        let what = format!("build {} for its image", self.binary());
        progress::step(&what, || self.build_with_cargo(&STATIC, Stdio::inherit()))
    }

    /// The same; what the compiler prints goes to the log.
    pub fn build_into(self, log: &Log) -> Result<PathBuf> {
        if let Some(path) = std::env::var_os(self.variable()) {
            return Ok(path.into());
        }
        log.note(self.binary());
        self.build_with_cargo(&STATIC, Stdio::from(log.handle()?))
    }

    /// How long the first build takes on two cores.
    pub fn usual(self) -> Duration {
        match self {
            Self::Agent => Duration::from_secs(90),
            Self::Operator => Duration::from_secs(140),
        }
    }

    /// The path of a binary built quickly, for this machine.
    pub fn build_for_here(self) -> Result<PathBuf> {
        let what = format!("build {}", self.binary());
        progress::step(&what, || self.build_with_cargo(&[], Stdio::inherit()))
    }

    /// The image that manifests name.
    pub fn image(self) -> Result<Image> {
        match self {
            Self::Agent => {
                let program = self.build()?;
                agent_image(self.image_name(), &program, Layer::new(), &OTHER_NAMES)
            }
            Self::Operator => Image::of_program(self.image_name(), &self.build()?),
        }
    }

    /// Each package alone: together they would share features that only one of them asks for.
    fn build_with_cargo(self, options: &[&str], messages: Stdio) -> Result<PathBuf> {
        let output = Command::new("cargo")
            .args(["build", "--quiet", "--locked"])
            .args(options)
            .args(["--message-format=json-render-diagnostics"])
            .args(["--package", self.package(), "--bin", self.binary()])
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            // Set by the test runner for the test harness alone.
            .env_remove("RUSTC_BOOTSTRAP")
            .stderr(messages)
            .output()
            .context("run cargo")?;
        ensure!(output.status.success(), "cargo build: {}", output.status);
        String::from_utf8(output.stdout)?
            .lines()
            .filter_map(|line| serde_json::from_str::<Value>(line).ok())
            .filter_map(|message| message["executable"].as_str().map(PathBuf::from))
            .next_back()
            .context("cargo has named no binary")
    }

    fn package(self) -> &'static str {
        match self {
            Self::Agent => "planescape-agent",
            Self::Operator => "planescape-operator",
        }
    }

    /// Its file's name.
    pub fn binary(self) -> &'static str {
        match self {
            Self::Agent => "planescape-agent",
            Self::Operator => "planescape",
        }
    }

    fn image_name(self) -> &'static str {
        match self {
            Self::Agent => "planescape/planescape-agent:0.1.0",
            Self::Operator => "planescape/planescape:0.1.0",
        }
    }
}

//! The parts, in the order in which they are worth knowing about.

use std::fmt;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use clap::ValueEnum;

use super::Tally;
use super::cargo::{self, Selection};
use crate::preparation;
use crate::programs::Program;
use crate::progress;
use crate::servers;
use crate::setup::Purpose;

/// Something that has to pass.
#[derive(Clone, Copy, Debug, PartialEq, ValueEnum)]
pub enum Part {
    /// Layout of the source.
    Format,
    /// Lints, with warnings denied.
    Clippy,
    /// Links and examples in the documentation.
    Docs,
    /// Licences, bans and sources of what we depend on.
    Licences,
    /// Unit and golden tests of each package, and the simulations of the agent's and the operator's decisions.
    Unit,
    /// The servers and our images: what the parts below need.
    Build,
    /// Random templates, rendered here and by consul-template; random schedules, read here and by robfig/cron; random
    /// CronJobs, lived through here and by the controller of Kubernetes.
    Differential,
    /// The real agent and operator as processes.
    Process,
    /// Our programs in conversation with real servers, short of pods.
    Conversation,
    /// The same configurations through `vault agent` and through ours.
    DropIn,
    /// Pods on a real node.
    Cluster,
    /// Each way in which a run can end while somebody is killed, with its bound; runs only where it is named.
    Ends,
    /// Ten minutes of an agent with five hundred short leases; runs only where it is named.
    Soak,
    /// Ten minutes of the same schedules as CronJobs and as PlanescapeJobs; runs only where it is named.
    SideBySide,
    /// The template engine against the original, which must be faster in nothing; runs only where it is named, on a
    /// machine that does nothing else.
    Speed,
}

/// Their tests need no servers.
/// One of them tests a client on answers that it makes itself.
const PURE: [&str; 6] = [
    "planescape-vault-client",
    "planescape-vault",
    "planescape-templates",
    "planescape-agent-contract",
    "planescape-agent-core",
    "planescape-operator-core",
];

/// These have tests that run programs as well.
const SHELLS: [&str; 2] = ["planescape-agent", "planescape-operator"];

const TESTBED: &str = "planescape-tests";

impl Part {
    /// All that runs where none is named.
    pub fn usual() -> Vec<Self> {
        let all = Self::value_variants().iter().copied();
        let named = |part: &Self| {
            matches!(
                part,
                Self::Ends | Self::Soak | Self::SideBySide | Self::Speed
            )
        };
        all.filter(|part| !named(part)).collect()
    }

    /// The purpose that the machine must be fit for.
    pub(super) fn needs(self) -> Option<Purpose> {
        match self {
            Self::Format | Self::Clippy | Self::Docs | Self::Licences | Self::Unit => None,
            Self::Differential
            | Self::Process
            | Self::Conversation
            | Self::DropIn
            | Self::Soak
            | Self::SideBySide
            | Self::Speed => Some(Purpose::Servers),
            Self::Build | Self::Cluster | Self::Ends => Some(Purpose::Pods),
        }
    }

    pub(super) fn run(self) -> Result<Tally> {
        match self {
            Self::Format => cargo::check(&["fmt", "--all", "--check"]),
            Self::Clippy => cargo::check(&[
                "clippy",
                "--quiet",
                "--locked",
                "--workspace",
                "--all-targets",
                "--",
                "--deny=warnings",
            ]),
            Self::Docs => check_docs(),
            Self::Licences => check_licences(),
            Self::Unit => test_units(),
            Self::Build => preparation::prepare(&[Program::Agent, Program::Operator])
                .map(|()| Tally::one(true)),
            Self::Differential => {
                let mut tally = run_templates("differential", &["20000"])?;
                tally.add(cargo::test(&Selection::Target(TESTBED, "cron"), None)?);
                tally.add(cargo::test(&Selection::Target(TESTBED, "cronjobs"), None)?);
                Ok(tally)
            }
            Self::Process => cargo::test(&Selection::Integration(&SHELLS), None),
            Self::Conversation => cargo::test(&Selection::Target(TESTBED, "it"), None),
            Self::DropIn => cargo::test(&Selection::Target(TESTBED, "drop_in"), None),
            Self::Soak => cargo::test(&Selection::Target(TESTBED, "soak"), None),
            Self::Speed => run_templates("side_by_side", &[]),
            Self::SideBySide => cargo::test(&Selection::Target(TESTBED, "side_by_side"), None),
            // Pods mostly wait.
            Self::Cluster => {
                let mut tally = cargo::test(&Selection::Target(TESTBED, "e2e"), Some(4))?;
                tally.add(cargo::test(&Selection::Target(TESTBED, "ends"), None)?);
                Ok(tally)
            }
            Self::Ends => cargo::check(&[
                "--config",
                "env.ENDS='all'",
                "test",
                "--locked",
                "--package",
                TESTBED,
                "--test",
                "ends",
                "--",
                "--nocapture",
            ]),
        }
    }
}

impl fmt::Display for Part {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = self.to_possible_value();
        formatter.pad(value.as_ref().map_or("", |value| value.get_name()))
    }
}

fn check_docs() -> Result<Tally> {
    let options = ["--quiet", "--locked", "--workspace"];
    let mut tally = cargo::check(&[&["doc", "--no-deps"][..], &options].concat())?;
    tally.add(cargo::check(&[&["test", "--doc"][..], &options].concat())?);
    Ok(tally)
}

fn test_units() -> Result<Tally> {
    let mut tally = cargo::test(&Selection::Everything(&PURE), None)?;
    tally.add(cargo::test(&Selection::Units(&SHELLS), None)?);
    tally.add(cargo::test(&Selection::Units(&[TESTBED]), None)?);
    tally.add(cargo::test(&Selection::Target(TESTBED, "sim"), None)?);
    tally.add(cargo::test(
        &Selection::Target(TESTBED, "sim_operator"),
        None,
    )?);
    Ok(tally)
}

/// An example that compares with consul-template. Seeds count up from one, so that every run has the same templates.
fn run_templates(name: &str, arguments: &[&str]) -> Result<Tally> {
    let reference = servers::TEMPLATES.build()?.join("reference");
    let reference = reference.to_str().context("a path that is text")?;
    let example = ["run", "--quiet", "--locked", "--release"];
    let example = [&example[..], &["--package", "planescape-templates"]].concat();
    let cases = ["--example", name, "--", reference];
    cargo::check(&[&example[..], &cases, arguments].concat())
}

/// Advisories are left out: their database cannot be fetched everywhere, and a new one must not
/// fail a change that has nothing to do with it.
fn check_licences() -> Result<Tally> {
    let status = Command::new(cargo_deny()?)
        .args(["--locked", "check", "bans", "licenses", "sources"])
        .current_dir(cargo::root())
        .status()?;
    Ok(Tally::one(status.success()))
}

fn cargo_deny() -> Result<PathBuf> {
    let version = "0.20.2";
    let folder = servers::cache_folder()?.join(format!("cargo-deny-{version}"));
    let program = folder.join("bin/cargo-deny");
    if !program.exists() {
        progress::step("build cargo-deny", || {
            let status = Command::new("cargo")
                .args(["install", "--quiet", "--locked", "cargo-deny"])
                .args(["--version", version, "--root"])
                .arg(&folder)
                .status()
                .context("run cargo")?;
            ensure!(status.success(), "cargo install cargo-deny: {status}");
            Ok(())
        })?;
    }
    Ok(program)
}

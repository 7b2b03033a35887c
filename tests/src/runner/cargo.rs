//! Cargo, and the test programs it builds.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

use super::Tally;

/// The tests to run, by package.
pub(super) enum Selection<'a> {
    /// All tests but those in documentation.
    Everything(&'a [&'a str]),
    /// The tests beside the code.
    Units(&'a [&'a str]),
    /// The tests in programs of their own.
    Integration(&'a [&'a str]),
    /// The tests in one program of one package.
    Target(&'a str, &'a str),
}

impl Selection<'_> {
    fn arguments(&self) -> Vec<&str> {
        let (packages, targets): (&[&str], &[&str]) = match self {
            Self::Everything(packages) | Self::Integration(packages) => (packages, &["--tests"]),
            Self::Units(packages) => (packages, &["--lib", "--bins"]),
            Self::Target(package, target) => (&[*package], &["--test", *target]),
        };
        let mut arguments = Vec::new();
        for package in packages {
            arguments.extend(["--package", package]);
        }
        arguments.extend(targets);
        arguments
    }

    /// `--tests` builds the unit tests as well.
    fn includes(&self, program: &TestProgram) -> bool {
        let is_integration = program.target.kind.iter().any(|kind| kind == "test");
        !matches!(self, Self::Integration(_)) || is_integration
    }
}

/// One line of cargo's answer.
#[derive(Deserialize)]
struct TestProgram {
    executable: PathBuf,
    manifest_path: PathBuf,
    profile: Profile,
    target: Target,
}

#[derive(Deserialize)]
struct Profile {
    test: bool,
}

#[derive(Deserialize)]
struct Target {
    name: String,
    kind: Vec<String>,
}

/// The repository's root.
pub(super) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("this package is in a folder of the repository")
}

/// Runs cargo; succeeding counts as one test passed.
pub(super) fn check(arguments: &[&str]) -> Result<Tally> {
    let status = Command::new("cargo")
        .args(arguments)
        .current_dir(root())
        .env("RUSTDOCFLAGS", "--deny=warnings")
        .status()
        .context("run cargo")?;
    Ok(Tally::one(status.success()))
}

/// Builds the selected tests, then runs them.
pub(super) fn test(selection: &Selection<'_>, threads: Option<usize>) -> Result<Tally> {
    let mut tally = Tally::default();
    for program in build(selection)? {
        tally.add(run(&program, threads)?);
    }
    Ok(tally)
}

fn build(selection: &Selection<'_>) -> Result<Vec<TestProgram>> {
    let output = Command::new("cargo")
        .args(["test", "--quiet", "--locked", "--no-run"])
        .arg("--message-format=json-render-diagnostics")
        .args(selection.arguments())
        .current_dir(root())
        .stderr(Stdio::inherit())
        .output()
        .context("run cargo")?;
    ensure!(output.status.success(), "the tests do not compile");
    let programs = String::from_utf8(output.stdout)?
        .lines()
        .filter_map(|line| serde_json::from_str::<TestProgram>(line).ok())
        .filter(|program| program.profile.test && selection.includes(program))
        .collect();
    Ok(programs)
}

/// The times of single tests are not stable in the test harness, which is told to show them all
/// the same; the variable must not reach any compiler.
fn run(program: &TestProgram, threads: Option<usize>) -> Result<Tally> {
    let mut command = Command::new(&program.executable);
    command
        .args(["-Zunstable-options", "--report-time"])
        .env("RUSTC_BOOTSTRAP", "1")
        .env("INSTA_UPDATE", "no")
        .stdout(Stdio::piped());
    if let Some(folder) = program.manifest_path.parent() {
        command.current_dir(folder);
        command.env("CARGO_MANIFEST_DIR", folder);
    }
    if let Some(threads) = threads {
        command.arg(format!("--test-threads={threads}"));
    }
    let mut child = command.spawn().context("run a test program")?;
    let output = child
        .stdout
        .take()
        .context("a test program without output")?;
    let mut tally = Tally::default();
    for line in BufReader::new(output).split(b'\n') {
        let line = String::from_utf8_lossy(&line?).into_owned();
        eprintln!("{line}");
        read_line(&line, &program.target.name, &mut tally);
    }
    let status = child.wait()?;
    if !status.success() && tally.failed == 0 {
        eprintln!("{}: {status}", program.target.name);
        tally.failed = 1;
    }
    Ok(tally)
}

fn read_line(line: &str, program: &str, tally: &mut Tally) {
    let Some((name, result)) = line
        .strip_prefix("test ")
        .and_then(|rest| rest.rsplit_once(" ... "))
    else {
        return;
    };
    if result.starts_with("ok") {
        tally.passed += 1;
    } else if result.starts_with("FAILED") {
        tally.failed += 1;
    }
    if let Some(time) = time(result) {
        tally.times.push((format!("{program} {name}"), time));
    }
}

/// The time in `ok <0.123s>`.
fn time(result: &str) -> Option<Duration> {
    let (_, time) = result.split_once('<')?;
    let seconds = time.strip_suffix("s>")?.parse().ok()?;
    Some(Duration::from_secs_f64(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tally(lines: &str) -> Tally {
        let mut tally = Tally::default();
        for line in lines.lines() {
            read_line(line, "it", &mut tally);
        }
        tally
    }

    #[test]
    fn results_are_counted_and_timed_test_by_test() {
        let tally = tally(
            "running 3 tests\n\
             test a::b ... ok <0.250s>\n\
             test c - should panic ... ok <0.001s>\n\
             test d ... FAILED <2.000s>\n\
             test result: FAILED. 2 passed; 1 failed; 0 ignored",
        );
        assert_eq!((tally.passed, tally.failed), (2, 1));
        assert_eq!(tally.times[0].0, "it a::b");
        assert_eq!(tally.times[2].1, Duration::from_secs(2));
    }

    #[test]
    fn what_a_test_prints_is_no_result() {
        assert_eq!(
            tally("testing ... ok\nok\ntest result: ok"),
            Tally::default()
        );
    }
}

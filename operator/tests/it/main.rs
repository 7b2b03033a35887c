//! The real program, as it is typed.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod convert;
mod cron;
mod documentation;
mod explain;
mod lint;
mod render;

use std::io::Write as _;
use std::process::{Command, Stdio};

/// The exit code and output of a program.
struct Outcome {
    code: Option<i32>,
    out: String,
    errors: String,
}

/// Runs `planescape` with this on its standard input, and a variable `SHELL_NAME`.
fn planescape(arguments: &[&str], input: &str) -> Outcome {
    let mut child = Command::new(env!("CARGO_BIN_EXE_planescape"))
        .args(arguments)
        .env("SHELL_NAME", "from outside")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A program that reads nothing may be gone already.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    let output = child.wait_with_output().unwrap();
    Outcome {
        code: output.status.code(),
        out: String::from_utf8(output.stdout).unwrap(),
        errors: String::from_utf8(output.stderr).unwrap(),
    }
}

/// A file with this content, gone with the returned folder.
fn file(name: &str, content: &str) -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    std::fs::write(&path, content).unwrap();
    let path = path.to_str().unwrap().to_owned();
    (folder, path)
}

//! The agent as a shell, beside the machine's own: the same lines do the same.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Stdio};

const AGENT: &str = env!("CARGO_BIN_EXE_planescape-agent");

/// The flags, and the line.
const LINES: [(&str, &str); 31] = [
    ("-c", "false; touch after"),
    ("-ec", "false; touch after"),
    ("-ec", "true && false; touch after"),
    ("-ec", "false && true; touch after"),
    ("-ec", "false || true; touch after"),
    ("-ec", "false || false; touch after"),
    ("-ec", "false | true; touch after"),
    ("-ec", "touch after; false"),
    // A token that is nowhere.
    ("-c", "vault token revoke -self || touch after"),
    ("-ec", "vault token revoke -self; touch after"),
    ("-c", "vault token revoke -self; touch after"),
    ("-c", "vault token revoke -self"),
    ("-c", "vault version > out; touch after"),
    ("-c", "vault version >> out && vault version >> out"),
    ("-c", "vault version | cat > out"),
    ("-c", "echo \"<$(vault version)>\" > out; cat out"),
    ("-c", "echo -n first; vault version; echo last"),
    (
        "-c",
        "echo 'no configuration' | vault agent -config=/dev/stdin",
    ),
    ("-c", "sh -c 'echo a > out; false' || touch after"),
    ("-c", "false &&\n touch after"),
    ("-c", "echo a \\\n b \"c\\\nd\" # e\n# f\ntouch after"),
    ("-c", "echo a 1> out; echo b 1>> out"),
    ("-c", "echo aGVsbG8= > out; base64 -d out"),
    ("-c", "echo a > out; echo b | cat out - out"),
    ("-c", "echo a > out; cat no-such-file out; touch after"),
    ("-c", "echo a | base64 - > out"),
    ("-c", "echo a | sh -c 'cat > out'"),
    ("-c", "exit 3; touch after"),
    ("-c", "false; exit"),
    ("-c", "true || exit 4; false || exit 5; touch after"),
    ("-c", "exit 6 | cat; touch after"),
];

#[test]
fn a_line_does_what_it_does_in_another_shell() {
    let folder = tempfile::tempdir().unwrap();
    let programs = folder.path().join("bin");
    fs::create_dir(&programs).unwrap();
    symlink(AGENT, programs.join("vault")).unwrap();
    symlink(AGENT, folder.path().join("sh")).unwrap();
    let mut differences = String::new();
    for (flags, line) in LINES {
        let of = |shell: &Path| outcome(shell, &programs, flags, line);
        let (ours, theirs) = (of(&folder.path().join("sh")), of(Path::new("/bin/sh")));
        if ours != theirs {
            differences += &format!("{flags} {line}\n  ours   {ours}\n  theirs {theirs}\n");
        }
    }
    assert!(differences.is_empty(), "{differences}");
}

/// The exit code, what it printed, and the files that it left.
fn outcome(shell: &Path, programs: &Path, flags: &str, line: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    let output = Command::new(shell)
        .args([flags, line])
        .current_dir(&folder)
        .env_clear()
        .env("PATH", format!("{}:/usr/bin:/bin", programs.display()))
        .env("VAULT_TOKEN_PATH", "/no/such/token")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    let read = |name: &str| fs::read_to_string(folder.path().join(name)).ok();
    let files = ["after", "out"].map(|name| (name, read(name)));
    format!("{:?} {printed:?} {files:?}", output.status.code())
}

//! Faults of the machine itself: places that are full, read-only or taken by something else.
//!
//! Mounts and limits are the agent's own: it starts in a mount namespace of its own.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Output;
use std::time::Duration;

use futures::{StreamExt as _, stream};
use planescape_tests::scripted_vault::{Answer, ScriptedVault};
use planescape_tests::testbed::Cluster;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;

use crate::agent::{DATABASE, Place, count, requests_of, until};

/// What is wrong, in words of the shell and from the agent's folder, and how an init run then ends: its exit code,
/// its report's reason and words, and the files of the folder `out`. The others end the same, but for what they revoke.
const TABLE: [(&str, &str); 16] = [
    (
        "mount --bind out out; mount -o remount,bind,ro out",
        "74 FileNotWritten out/db: Read-only file system (os error 30) []",
    ),
    (
        "mount -t tmpfs -o size=4k none out; head -c 4096 /dev/zero > out/x",
        "74 FileNotWritten out/db: No space left on device (os error 28) [x]",
    ),
    (
        "mount -t tmpfs -o nr_inodes=2 none out; : > out/x",
        "74 FileNotWritten out/db: No space left on device (os error 28) [x]",
    ),
    (
        ": > out/db; mount --bind out/db out/db",
        "74 FileNotWritten out/db: is a mount of its own, which cannot be replaced: mount its folder instead [db]",
    ),
    (
        "mkdir out/db",
        "74 FileNotWritten out/db: is a directory [db]",
    ),
    ("mkfifo out/db", "0 Rendered [db]"),
    (
        // Another user may not get to the program, where that lies.
        "chown -R 65534 . && : > agent && mount --bind \"$0\" agent && chmod 500 out && AGENT=./agent \
         AS='setpriv --reuid=65534 --regid=65534 --clear-groups'",
        "74 FileNotWritten out/db: Permission denied (os error 13) []",
    ),
    (
        "rmdir out; : > out",
        "74 FileNotWritten out/db: Not a directory (os error 20) [out]",
    ),
    (
        "rmdir out; ln -s out out",
        "74 FileNotWritten out/db: File exists (os error 17) []",
    ),
    (
        "rmdir reports; for fd in 3 4 5 6 7 8 9; do eval \"exec $fd>&-\"; done; ulimit -n 12",
        "74 none []",
    ),
    (
        "mkdir ledgers; mount -t tmpfs -o size=4k none ledgers; head -c 4096 /dev/zero > ledgers/x",
        "0 Rendered [db]",
    ),
    (NO_LEDGER, "0 Rendered [db]"),
    (
        "mkdir token",
        "64 InvalidConfig error creating file sink: token: is a directory []",
    ),
    (
        "mkdir reports; mount -t tmpfs -o size=4k none reports; head -c 4096 /dev/zero > reports/x",
        "0 none [db]",
    ),
    (
        "mkdir ready.sock",
        "64 InvalidConfig planescape.ready_socket: cannot listen at ready.sock: Is a directory (os error 21) []",
    ),
    (
        "rm jwt; mkdir jwt",
        "74 TokenFileUnreadable jwt: is a directory []",
    ),
];

/// Nobody knows what earlier lives have left.
const NO_LEDGER: &str = "mkdir -p ledgers/ledger";

const AT_ONCE: usize = 4;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Mode {
    Init,
    Sidecar,
    /// With a program that gets the secret in its environment, and writes it into the same file.
    Supervisor,
}

#[tokio::test]
async fn a_place_that_is_full_or_taken_is_named_and_nothing_is_left() {
    let cluster = Cluster::shared().await.unwrap();
    let modes = [Mode::Init, Mode::Sidecar, Mode::Supervisor];
    let cases = TABLE
        .into_iter()
        .flat_map(|row| modes.map(|mode| (row, mode)))
        // Where it writes no file, the folder and what is left of the files are the program's.
        .filter(|((fault, _), mode)| {
            *mode != Mode::Supervisor || !["out", "ulimit"].iter().any(|it| fault.contains(it))
        });
    let differences: Vec<Option<String>> = stream::iter(cases)
        .map(|((fault, expected), mode)| difference(cluster, fault, expected, mode))
        .buffered(AT_ONCE)
        .collect()
        .await;
    let differences: String = differences.into_iter().flatten().collect();
    assert!(differences.is_empty(), "{differences}");
}

async fn difference(cluster: &Cluster, fault: &str, expected: &str, mode: Mode) -> Option<String> {
    let expected = match mode {
        Mode::Init => expected.to_owned(),
        Mode::Sidecar | Mode::Supervisor if fault == NO_LEDGER => {
            "69 RevokeFailed a token of an earlier life may be left: the ledger or the persistent cache \
             could not be read or written; its leases end with their TTL [db]"
                .to_owned()
        }
        Mode::Sidecar | Mode::Supervisor => expected.replace("Rendered", "Revoked"),
    };
    let place = place(cluster, mode).await;
    let output = run(&place, fault, mode).await;
    let log = String::from_utf8_lossy(&output.stderr);
    if let Some(accessor) = accessor(&log) {
        let requests = requests_of(cluster, accessor);
        let revoked = count(&requests, "update", "auth/token/revoke-self");
        let kept = usize::from(output.status.success() && mode == Mode::Init);
        assert_eq!(revoked + kept, 1, "{fault}, {mode:?}: {log}");
    }
    let outcome = outcome(&place, &output);
    (outcome != expected)
        .then(|| format!("{fault}, {mode:?}\n  expected {expected}\n  got      {outcome}\n{log}\n"))
}

#[tokio::test]
async fn a_certificate_that_is_not_taken_up_is_told() {
    let vault = ScriptedVault::start().await.unwrap();
    vault
        .on(
            "PUT",
            "/v1/auth/kubernetes/login",
            Answer::login("t1", "a1", 3600),
        )
        .on(
            "PUT",
            "/v1/pki/issue/web",
            Answer::error(403, "permission denied"),
        );
    let place = Place::offline(&vault.url())
        .template(
            "cert",
            r#"{{ with pkiCert "pki/issue/web" }}{{ .Data.Cert }}{{ end }}"#,
        )
        .setting(r#"planescape { shared_folders = ["FOLDER"] }"#);
    fs::write(place.path("jwt"), "x").unwrap();
    fs::write(place.path("cert"), "whatever").unwrap();
    fs::set_permissions(place.path("cert"), fs::Permissions::from_mode(0o660)).unwrap();

    let agent = place.start();
    until("another one is asked for", async || {
        vault.count("PUT", "/v1/pki/issue/web") > 0
    })
    .await;
    let output = agent.terminate().await;

    let log = String::from_utf8_lossy(&output.stderr);
    assert!(log.contains("could have been written by others"), "{log}");
    assert!(log.contains("another is issued"), "{log}");
}

/// Services and log-in shells have a soft limit that is far below the hard one.
#[tokio::test]
async fn more_clients_than_the_soft_limit_has_files_are_served_and_programs_keep_that_limit() {
    let place = limit_of_a_program(64, 100).await;

    // It is given to what runs already.
    assert_eq!(place.read("limit"), "64\n");
}

#[tokio::test]
async fn where_few_files_are_open_programs_begin_with_the_limit_that_the_agent_was_given() {
    let place = limit_of_a_program(200, 0).await;

    assert_eq!(place.read("first"), "200\n");
}

#[tokio::test]
async fn a_lack_of_descriptors_is_told_once_and_ends_with_the_clients_that_take_them() {
    let vault = ScriptedVault::start().await.unwrap();
    let place = Place::offline(&vault.url())
        .setting(r#"listener "unix" { address = "FOLDER/agent.sock" tls_disable = true }"#);
    let limited = "ulimit -n 64 && exec \"$0\" \"$@\"";
    let words = ["-c", limited, env!("CARGO_BIN_EXE_planescape-agent")];
    let agent = place.start_as(Path::new("/bin/sh"), &words);
    let socket = place.path("agent.sock");
    until("it listens", async || socket.exists()).await;

    let mut clients = Vec::new();
    for _ in 0..100 {
        clients.push(UnixStream::connect(&socket).await.unwrap());
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    drop(clients);
    let mut client = UnixStream::connect(&socket).await.unwrap();
    let is_answered = is_answered(&mut client).await;
    let output = agent.terminate().await;

    let log = String::from_utf8_lossy(&output.stderr);
    assert!(is_answered, "{log}");
    let told = log.matches("cannot accept a connection").count();
    assert_eq!(told, 1, "{log}");
}

async fn limit_of_a_program(soft_limit: u32, count: usize) -> Place {
    let vault = ScriptedVault::start().await.unwrap();
    vault.on(
        "PUT",
        "/v1/auth/kubernetes/login",
        Answer::login("t1", "a1", 3600),
    );
    let place = Place::offline(&vault.url())
        .setting(r#"planescape { ready_socket = "FOLDER/ready.sock" }"#)
        .setting(r#"listener "unix" { address = "FOLDER/agent.sock" tls_disable = true }"#)
        .setting(
            r#"template {
              contents = "text"
              destination = "FOLDER/out"
              command = "ulimit -n > FOLDER/first; sleep 0.3; ulimit -n > FOLDER/limit"
            }"#,
        )
        .variable("PATH", "/usr/bin:/bin");
    let limited = format!("ulimit -Sn {soft_limit} && exec \"$0\" \"$@\"");
    let words = ["-c", &limited, env!("CARGO_BIN_EXE_planescape-agent")];
    let agent = place.start_as(Path::new("/bin/sh"), &words);
    let socket = place.path("agent.sock");
    until("it listens", async || socket.exists()).await;

    let mut clients = Vec::new();
    for _ in 0..count {
        let mut client = UnixStream::connect(&socket).await.unwrap();
        assert!(is_answered(&mut client).await, "{}", clients.len());
        clients.push(client);
    }
    fs::write(place.path("jwt"), "x").unwrap();
    until("the command has run", async || {
        !place.read("limit").is_empty()
    })
    .await;
    agent.terminate().await;
    place
}

/// Whether the agent begins to answer this client within five seconds.
async fn is_answered(client: &mut UnixStream) -> bool {
    client
        .write_all(b"GET /agent/v1/metrics HTTP/1.1\r\nhost: x\r\n\r\n")
        .await
        .unwrap();
    let mut answer = [0; 8];
    let answered = client.read_exact(&mut answer);
    let answered = tokio::time::timeout(Duration::from_secs(5), answered).await;
    answered.is_ok_and(|read| read.is_ok())
}

async fn place(cluster: &Cluster, mode: Mode) -> Place {
    let place = Place::new(cluster).await;
    let place = match mode {
        Mode::Init => place
            .template("out/db", DATABASE)
            .setting("exit_after_auth = true"),
        Mode::Sidecar => place.template("out/db", DATABASE),
        Mode::Supervisor => place
            .setting(r#"exec { command = ["sh", "-c", "echo \"$DB\" > out/db; exec sleep 60"] }"#)
            .setting(&format!(
                "env_template \"DB\" {{ contents = <<EOT\n{DATABASE}\nEOT\n}}"
            )),
    };
    let place = place.setting(
        r#"planescape {
              revoke_on_exit = true
              ledger = "FOLDER/ledgers/ledger"
              give_up_after = "5s"
              exit_on_refusal = true
              termination_log = "FOLDER/reports/report"
              ready_socket = "FOLDER/ready.sock"
            }"#,
    );
    fs::create_dir(place.path("out")).unwrap();
    place.variable("PATH", "/usr/bin:/bin:/usr/sbin:/sbin")
}

/// Prints the report and the files as the agent's own mounts have them. What goes on by itself is told to end once it is
/// ready; whether it has ended is asked of its program, which a process that nobody has waited for has no more.
async fn run(place: &Place, fault: &str, mode: Mode) -> Output {
    let folder = place.path("");
    let to_its_end = match mode {
        Mode::Init => "$AS \"${AGENT:-$0}\" \"$@\"",
        Mode::Sidecar | Mode::Supervisor => {
            "$AS \"${AGENT:-$0}\" \"$@\" & agent=$!
            until { [ -S ready.sock ] && [ -f out/db ] && [ -s out/db ]; } || ! [ -e /proc/$agent/exe ]; do sleep 0.05; done
            kill $agent 2>/dev/null; wait $agent"
        }
    };
    let script = format!(
        "cd {} && mkdir -p reports ledgers && {{ {fault}; }} && {{ {to_its_end}; }}
        code=$?; cat reports/report 2>/dev/null; echo; ls -A out; exit $code",
        folder.display()
    );
    let program = env!("CARGO_BIN_EXE_planescape-agent");
    let words = ["-m", "sh", "-c", &script, program];
    let agent = place.start_as(Path::new("/usr/bin/unshare"), &words);
    agent.output().await
}

fn outcome(place: &Place, output: &Output) -> String {
    let printed = String::from_utf8_lossy(&output.stdout);
    let (report, files) = printed.split_once('\n').unwrap_or_default();
    let report: serde_json::Value = serde_json::from_str(report).unwrap_or_default();
    let reason = report["reason"].as_str().unwrap_or("none");
    let message = report["message"].as_str().unwrap_or_default();
    let message = message.replace(&place.path("").display().to_string(), "");
    let files: Vec<_> = files.split_whitespace().collect();
    let words = [reason, &message, &format!("[{}]", files.join(" "))];
    let words = words.into_iter().filter(|word| !word.is_empty());
    let code = output.status.code().unwrap_or(-1);
    format!("{code} {}", words.collect::<Vec<_>>().join(" "))
}

/// Of the token that the agent logged in with.
fn accessor(log: &str) -> Option<&str> {
    let (_, after) = log.split_once("accessor=")?;
    after.split_whitespace().next()
}

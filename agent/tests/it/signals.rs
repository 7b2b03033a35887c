//! Signals, and what must not hold them up.

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::net::{IpAddr, Ipv4Addr};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use nix::fcntl::OFlag;
use nix::sys::signal::Signal;
use nix::sys::stat::Mode;
use nix::unistd::mkfifo;
use planescape_tests::faults::{Fault, Proxy};
use planescape_tests::scripted_vault::{Answer, ScriptedVault};
use tokio::process::Command;

use crate::agent::{Place, until};
use crate::names::{Failure, NameServer};

#[tokio::test]
async fn signals_that_ask_for_something_else_do_not_end_the_agent() {
    let (_vault, place) = quick().await;
    let agent = place.start();
    assert!(place.wait().await.success());

    let passed_over = [Signal::SIGALRM, Signal::SIGPWR, Signal::SIGXFSZ];
    let told = [Signal::SIGHUP, Signal::SIGUSR1, Signal::SIGUSR2];
    for signal in told.into_iter().chain(passed_over) {
        agent.signal(signal);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    // One that has a number alone.
    let mut shell = Command::new("sh");
    shell.arg("-c").arg(format!("kill -40 {}", agent.id()));
    assert!(shell.status().await.unwrap().success());
    tokio::time::sleep(Duration::from_millis(50)).await;
    let output = agent.terminate().await;

    assert_eq!(output.status.code(), Some(0));
    assert_eq!(place.report()["reason"], "Revoked");
    let log = String::from_utf8_lossy(&output.stderr);
    assert!(log.contains("agent config reload triggered"), "{log}");
    assert!(log.contains("SIGUSR1"), "{log}");
}

#[tokio::test]
async fn a_quit_signal_revokes_as_a_termination_does() {
    let (vault, place) = quick().await;
    let agent = place.start();
    assert!(place.wait().await.success());

    agent.signal(Signal::SIGQUIT);
    let output = agent.output().await;

    assert_eq!(output.status.code(), Some(0));
    assert_eq!(vault.count("PUT", "/v1/auth/token/revoke-self"), 1);
}

#[tokio::test]
async fn an_agent_without_files_does_not_say_that_it_rendered_them() {
    let (vault, _) = quick().await;
    let place = Place::offline(&vault.url()).setting(r#"pid_file = "FOLDER/pid""#);
    std::fs::write(place.path("jwt"), "x").unwrap();
    let agent = place.start();
    until("it has logged in", async || place.path("token").exists()).await;
    // The file is there a moment before the agent knows that it is.
    tokio::time::sleep(Duration::from_millis(200)).await;

    let output = agent.terminate().await;

    assert_eq!(output.status.code(), Some(0));
    let log = String::from_utf8_lossy(&output.stderr);
    assert!(log.contains("agent ends: code=0\n"), "{log}");
    let life = [
        "agent.auth.handler: starting auth handler\n",
        "agent.auth.handler: authenticating\n",
        "agent.auth.handler: starting renewal process\n",
        "agent.auth.handler: auth handler stopped\n",
    ];
    assert!(life.map(|line| log.find(line)).is_sorted(), "{log}");
    assert!(life.iter().all(|line| log.contains(line)), "{log}");
}

#[tokio::test]
async fn a_pipe_in_place_of_the_token_file_holds_up_nothing() {
    let (_vault, place) = quick().await;
    std::fs::remove_file(place.path("jwt")).unwrap();
    mkfifo(&place.path("jwt"), Mode::S_IRWXU).unwrap();
    let agent = place.start();
    until("it runs", async || place.path("ready.sock").exists()).await;
    tokio::time::sleep(Duration::from_millis(200)).await;

    let output = agent.terminate().await;

    assert_eq!(output.status.code(), Some(74));
    assert_eq!(place.report()["reason"], "TokenFileUnreadable");
    let message = place.report()["message"].to_string();
    assert!(message.contains("is not a regular file"), "{message}");
}

#[tokio::test]
async fn a_pipe_in_place_of_a_template_source_is_refused_at_once() {
    let vault = ScriptedVault::start().await.unwrap();
    let place = Place::offline(&vault.url())
        .setting(r#"template { source = "FOLDER/pipe" destination = "FOLDER/out" }"#);
    mkfifo(&place.path("pipe"), Mode::S_IRWXU).unwrap();

    let output = place.run().await;

    assert_eq!(output.status.code(), Some(1));
    let log = String::from_utf8_lossy(&output.stderr);
    assert!(log.contains("is not a regular file"), "{log}");
}

#[tokio::test]
async fn a_pipe_in_place_of_any_other_file_is_refused_at_once() {
    let (vault, _) = quick().await;
    let exec = r#"exec { command = "/bin/true" child_process_stdout = "FOLDER/pipe" }
        env_template "X" { contents = "x" }"#;
    for (setting, variable) in [
        (r#"log_file = "FOLDER/pipe""#, "UNUSED"),
        (exec, "UNUSED"),
        ("# none", "VAULT_CACERT"),
    ] {
        let place = Place::offline(&vault.url()).setting(setting);
        mkfifo(&place.path("pipe"), Mode::S_IRWXU).unwrap();
        std::fs::write(place.path("jwt"), "x").unwrap();
        let pipe = place.path("pipe").display().to_string();
        let place = place.variable(variable, &pipe);

        let output = place.run().await;

        let log = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{setting}: {log}");
        assert!(log.contains(&pipe), "{setting}: {log}");
        let is_told = log.contains("runtime error encountered") || setting != exec;
        assert!(is_told, "{log}");
    }
}

/// The name server takes questions and answers none, for longer than this test waits.
#[tokio::test]
async fn a_name_that_nobody_resolves_does_not_hold_up_the_end() {
    let server = NameServer::start(Failure::Silent);
    let place = Place::offline("http://vault.example.com:8200");
    std::fs::write(place.path("jwt"), "x").unwrap();
    let agent = server.start_agent(&place);
    server.is_asked().await;

    let output = agent.terminate().await;

    assert_eq!(
        output.status.code(),
        Some(143),
        "told to end before its files"
    );
}

/// The name is known at first. Then it is not, and the connections are cut.
#[tokio::test]
async fn where_a_name_server_is_silent_the_end_takes_less_than_ten_seconds() {
    let (vault, _) = quick().await;
    let proxy = Proxy::start(IpAddr::V4(Ipv4Addr::LOCALHOST), vault.address());
    let proxy = proxy.await.unwrap();
    let port = proxy.address().port();
    let place =
        Place::offline(&format!("http://vault.example.com:{port}")).template("text", "static");
    std::fs::write(place.path("jwt"), "x").unwrap();
    std::fs::write(place.path("hosts"), "127.0.0.1 vault.example.com\n").unwrap();
    let server = NameServer::start(Failure::Silent);
    let agent = server.start_agent(&place);
    assert!(place.wait().await.success());
    // The mount shows what the file says now.
    std::fs::write(place.path("hosts"), "").unwrap();
    proxy.set(Fault::None);

    let told = Instant::now();
    agent.terminate().await;

    let took = told.elapsed();
    assert!(took < Duration::from_secs(10), "{took:?}");
    let report = place.report();
    assert_eq!(report["reason"], "RevokeFailed", "{report}");
}

#[tokio::test]
async fn an_agent_whose_log_nobody_reads_any_more_goes_on() {
    let (_vault, place) = quick().await;
    let mut agent = place.start();
    agent.close_log();
    assert!(place.wait().await.success());

    let output = agent.terminate().await;

    assert_eq!(output.status.code(), Some(0));
    assert_eq!(place.report()["reason"], "Revoked");
}

/// A log driver that stalls, and a disk that hangs, take nothing and do not go away.
#[tokio::test]
async fn a_log_that_takes_nothing_holds_up_neither_work_nor_end() {
    for hanging in ["standard error", "log_file"] {
        let (vault, place) = quick().await;
        let place = place.revoking();
        let fifo = place.path("log");
        mkfifo(&fifo, Mode::S_IRWXU).unwrap();
        let pipe = full(&fifo);
        let place = match hanging {
            "log_file" => place.setting(r#"log_file = "FOLDER/log""#),
            _ => place,
        };
        let agent = match hanging {
            "log_file" => place.start(),
            _ => place.start_with_log(pipe),
        };
        assert!(place.wait().await.success(), "{hanging}");

        agent.signal(Signal::SIGTERM);
        let ended = agent.ends_within(Duration::from_secs(3)).await;

        assert!(ended.is_ok(), "{hanging}");
        assert_eq!(place.report()["reason"], "Revoked", "{hanging}");
        assert_eq!(vault.count("PUT", "/v1/auth/token/revoke-self"), 1);
    }
}

/// The end of a pipe that can be written, which is held open and takes nothing more.
fn full(fifo: &Path) -> File {
    let mut options = OpenOptions::new();
    options.read(true).write(true);
    let pipe = options.open(fifo).unwrap();
    let mut filling = options
        .custom_flags(OFlag::O_NONBLOCK.bits())
        .open(fifo)
        .unwrap();
    while filling.write(b"x").is_ok() {}
    pipe
}

/// A Vault that gives a token, and an agent with a text that asks for nothing.
#[tokio::test]
async fn whoever_asks_to_quit_twice_and_a_signal_after_it_leave_no_token() {
    let (vault, place) = revoking_after(Duration::from_secs(1)).await;
    let port = planescape_tests::address::free([127, 0, 0, 1].into()).unwrap();
    let place = place
        .revoking()
        .setting(&format!(
            "listener \"tcp\" {{ address = \"{port}\" tls_disable = true agent_api {{ enable_quit = true }} }}"
        ));
    let agent = place.start();
    assert!(place.wait().await.success());

    for _ in 0..2 {
        let url = format!("http://{port}/agent/v1/quit");
        let mut asked = Command::new("curl");
        asked.args(["-sSf", "-X", "POST", &url]);
        assert!(asked.status().await.unwrap().success());
    }
    until("it revokes", async || {
        vault.count("PUT", "/v1/auth/token/revoke-self") > 0
    })
    .await;
    agent.terminate().await;

    assert_eq!(place.report()["reason"], "Revoked");
}

/// Both the server and its worker have the name; the signal would end the worker.
#[tokio::test]
async fn a_program_is_told_that_its_file_has_changed_and_its_workers_are_not() {
    let (_vault, place) = quick().await;
    let name = format!("told{}", std::process::id());
    let place = place
        .setting(r#"planescape { ready_socket = "FOLDER/ready.sock" }"#)
        .setting(&format!(
            r#"template {{ contents = "a" destination = "FOLDER/a" signal = "SIGHUP" process = "{name}" }}
               template {{ contents = "b" destination = "FOLDER/b" signal = "SIGHUP" process = "no{name}" }}"#
        ));
    let script = r#"trap 'echo told >> told' HUP
        echo > up
        (while [ -e up ]; do sleep 0.1; done) & echo $! > worker
        while [ -e up ]; do sleep 0.1; done"#;
    let mut server = Command::new("/bin/sh");
    server.arg0(&name).args(["-c", script]);
    let server = server.current_dir(place.path("")).kill_on_drop(true);
    let server = server.spawn().unwrap();
    until("the server has its worker", async || {
        place.read("worker").ends_with('\n')
    })
    .await;
    let agent = place.start();
    assert!(place.wait().await.success());

    until("the server is told", async || {
        !place.read("told").is_empty()
    })
    .await;
    let output = agent.terminate().await;

    assert_eq!(place.read("told"), "told\n");
    let worker = Path::new("/proc").join(place.read("worker").trim());
    assert!(worker.exists(), "the worker lives");
    let log = String::from_utf8_lossy(&output.stderr);
    assert!(!log.contains("command failed"), "{log}");
    drop(server);
}

async fn quick() -> (ScriptedVault, Place) {
    revoking_after(Duration::ZERO).await
}

async fn revoking_after(delay: Duration) -> (ScriptedVault, Place) {
    let vault = ScriptedVault::start().await.unwrap();
    vault
        .on(
            "PUT",
            "/v1/auth/kubernetes/login",
            Answer::login("t1", "a1", 3600),
        )
        .on(
            "PUT",
            "/v1/auth/token/revoke-self",
            Answer::empty().after(delay),
        );
    let place = Place::offline(&vault.url()).template("static", "text");
    std::fs::write(place.path("jwt"), "x").unwrap();
    (vault, place)
}

//! The agent's budgets, measured on the binary that goes into the image.

use std::fs;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use planescape_tests::address;
use planescape_tests::long_bodies::{BodyServer, PART, Way, pass};
use planescape_tests::programs::Program;
use planescape_tests::testbed::Cluster;
use serde_json::json;
use tokio::net::TcpStream;
use tokio::process::Child;

use crate::agent::{DATABASE, Place, until};

const LARGEST_BINARY: u64 = 6_000_000;
/// With the certificates of public authorities.
const LARGEST_IMAGE: u64 = 6_000_000;

const KIBIBYTES_WITH_ONE: u64 = 6 * 1024;
const KIBIBYTES_WITH_MANY: u64 = 9 * 1024;
const MANY: usize = 200;

const LONG_BODY: usize = 64 << 20;
const KIBIBYTES_FOR_A_BODY: u64 = 2 * 1024;

#[test]
fn the_binary_is_at_most_six_megabytes_and_static() {
    let program = Program::Agent.build().unwrap();

    let size = fs::metadata(&program).unwrap().len();

    assert!(size <= LARGEST_BINARY, "{size} bytes");
    let ldd = std::process::Command::new("ldd")
        .arg(&program)
        .output()
        .unwrap();
    let says = String::from_utf8_lossy(&[ldd.stdout, ldd.stderr].concat()).into_owned();
    assert!(
        says.contains("statically linked") || says.contains("not a dynamic executable"),
        "{says}"
    );
}

#[test]
fn the_binary_holds_nothing_of_the_page_of_its_configuration() {
    let page = planescape_agent_contract::reference::page();
    let row = page.lines().find(|line| line.starts_with("| `pid_file`"));
    let meaning = row.and_then(|row| row.trim_end_matches(" |").rsplit_once("| "));
    let meaning = meaning.unwrap().1.as_bytes();

    let program = fs::read(Program::Agent.build().unwrap()).unwrap();

    let is_there = |words: &[u8]| program.windows(words.len()).any(|it| it == words);
    assert!(is_there(b"pid_file"), "the program is not what it was");
    assert!(!is_there(meaning), "the page is part of it");
}

#[test]
fn the_image_is_at_most_six_megabytes() {
    let archive = Program::Agent.image().unwrap().archive().unwrap();

    let size = fs::metadata(&archive).unwrap().len();
    fs::remove_file(&archive).unwrap();

    assert!(size <= LARGEST_IMAGE, "{size} bytes");
}

#[tokio::test]
async fn an_idle_agent_holds_at_most_six_mebibytes() {
    let cluster = Cluster::shared().await.unwrap();
    let place = Place::new(cluster).await.template("db", DATABASE);

    let kibibytes = resident(&place).await;

    assert!(kibibytes <= KIBIBYTES_WITH_ONE, "{kibibytes} KiB");
}

#[tokio::test]
async fn an_idle_agent_with_two_hundred_templates_holds_at_most_nine_mebibytes() {
    let cluster = Cluster::shared().await.unwrap();
    let mut place = Place::new(cluster).await.role("key-value-reader");
    for n in 0..MANY {
        let secret = json!({ "user": format!("user-{n}") });
        let path = format!("budget-{n}");
        cluster.vault.put(&path, &secret).await.unwrap();
        let text = format!(
            r#"{{{{ with secret "kv/data/{path}" }}}}{{{{ .Data.data.user }}}}{{{{ end }}}}"#
        );
        place = place.template(&path, &text);
    }

    let kibibytes = resident(&place).await;

    assert!(kibibytes <= KIBIBYTES_WITH_MANY, "{kibibytes} KiB");
}

/// As backups of Vault do that are taken and put back: `vault` sends those in chunks.
#[tokio::test]
async fn a_long_body_passes_with_at_most_two_mebibytes_more() {
    let vault = BodyServer::start().await.unwrap();
    let program = program().await;
    for way in [Way::FromVault, Way::ToVault, Way::ToVaultInChunks] {
        let port = address::free([127, 0, 0, 1].into()).unwrap();
        let place = Place::offline(&vault.url())
            .setting("cache {}")
            .listening(port);
        let mut command = place.command_of(&program, &[]);
        let mut agent = command.stderr(Stdio::null()).spawn().unwrap();
        until("it listens", async || {
            TcpStream::connect(port).await.is_ok()
        })
        .await;
        pass(way, port, PART).await.unwrap();
        let before = memory(&agent, "VmRSS:");

        pass(way, port, LONG_BODY).await.unwrap();

        let grown = memory(&agent, "VmHWM:").saturating_sub(before);
        agent.kill().await.unwrap();
        assert!(grown <= KIBIBYTES_FOR_A_BODY, "{way:?}: {grown} KiB");
    }
}

/// What it holds a second after its last file.
async fn resident(place: &Place) -> u64 {
    let program = program().await;
    let mut agent = place
        .command_of(&program, &[])
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    assert!(place.wait().await.success());
    tokio::time::sleep(Duration::from_secs(1)).await;

    let resident = memory(&agent, "VmRSS:");
    agent.kill().await.unwrap();
    resident
}

async fn program() -> PathBuf {
    tokio::task::spawn_blocking(|| Program::Agent.build())
        .await
        .unwrap()
        .unwrap()
}

/// A line of what the kernel says of it, in KiB.
fn memory(agent: &Child, name: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", agent.id().unwrap())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    let number = line.unwrap().trim().trim_end_matches(" kB");
    number.parse().unwrap()
}

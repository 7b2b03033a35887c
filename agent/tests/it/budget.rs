//! The agent's budgets, measured on the binary that goes into the image.

use std::fs;
use std::process::Stdio;
use std::time::Duration;

use planescape_tests::programs::Program;
use planescape_tests::testbed::Cluster;

use serde_json::json;

use crate::agent::{DATABASE, Place};

const LARGEST_BINARY: u64 = 6_000_000;
/// With the certificates of public authorities.
const LARGEST_IMAGE: u64 = 6_000_000;

const KIBIBYTES_WITH_ONE: u64 = 6 * 1024;
const KIBIBYTES_WITH_MANY: u64 = 9 * 1024;
const MANY: usize = 200;

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

/// What it holds a second after its last file.
async fn resident(place: &Place) -> u64 {
    let program = tokio::task::spawn_blocking(|| Program::Agent.build())
        .await
        .unwrap()
        .unwrap();
    let mut agent = place
        .command_of(&program, &[])
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    assert!(place.wait().await.success());
    tokio::time::sleep(Duration::from_secs(1)).await;

    let status = fs::read_to_string(format!("/proc/{}/status", agent.id().unwrap())).unwrap();
    agent.kill().await.unwrap();

    let resident = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .unwrap();
    resident.trim().trim_end_matches(" kB").parse().unwrap()
}

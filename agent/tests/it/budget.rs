//! The agent's budgets, measured on the binary that goes into the image.

use std::fs;
use std::process::Stdio;
use std::time::Duration;

use planescape_tests::programs::Program;
use planescape_tests::testbed::Cluster;

use crate::agent::{DATABASE, Place};

const LARGEST_BINARY: u64 = 6_000_000;
const LARGEST_RESIDENT: u64 = 6 * 1024;

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

#[tokio::test]
async fn an_idle_agent_holds_at_most_six_mebibytes() {
    let cluster = Cluster::shared().await.unwrap();
    let program = tokio::task::spawn_blocking(|| Program::Agent.build())
        .await
        .unwrap()
        .unwrap();
    let place = Place::new(cluster).await.template("db", DATABASE);
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
    let kibibytes: u64 = resident.trim().trim_end_matches(" kB").parse().unwrap();
    assert!(kibibytes <= LARGEST_RESIDENT, "{resident}");
}

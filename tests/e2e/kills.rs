//! The remains of an agent that the kernel kills on a real node.

use std::fs;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use planescape_tests::vault::Role;

use crate::jobs::{Place, database_job, until};

#[tokio::test]
async fn an_agent_that_is_killed_twice_leaves_no_lease_and_no_untrue_word() {
    let place = Place::new("killed").await;
    let role = Role {
        name: "killed",
        default_ttl: "10m",
        max_ttl: "1h",
    };
    place.bed.vault.set_database_role(role).await.unwrap();
    let script = "while [ ! -e /tmp/end ]; do sleep 0.2; done";
    place.apply(&database_job("killed", "killed", script)).await;
    for life in 1..=2_u64 {
        until(
            &format!("life {life} of the agent is ready"),
            60,
            async || {
                let leases = place.bed.vault.leases("database/creds/killed").await.ok()?;
                let agent = place.agent("killed").await.ok()?;
                let is_ready = agent["ready"] == true && agent["restartCount"] == life - 1;
                (is_ready && leases.len() as u64 >= life).then_some(())
            },
        )
        .await;
        kill_agent(&place, "killed").await;
    }
    until("the third life is ready", 60, async || {
        let agent = place.agent("killed").await.ok()?;
        (agent["ready"] == true && agent["restartCount"] == 2).then_some(())
    })
    .await;

    let pod = pod_name(&place, "killed").await;
    place
        .kubectl(&["exec", &pod, "-c", "main", "--", "touch", "/tmp/end"])
        .await;
    place.wait("killed", "Complete").await;

    let leases = place
        .bed
        .vault
        .leases("database/creds/killed")
        .await
        .unwrap();
    assert!(leases.is_empty(), "{leases:?}");
    assert_eq!(place.report("killed").await["reason"], "Revoked");
    // Each life has named its leases to the next one.
    until("the PlanescapeJob says so", 10, async || {
        let job = place.get("pjob/killed").await;
        (job["status"]["runs"][0]["lease"] == "Revoked").then_some(())
    })
    .await;
}

/// Ends the agent of this job's pod as the kernel does when memory runs out.
async fn kill_agent(place: &Place, name: &str) {
    let uid = pod_uid(place, name).await;
    let pid = agent_of_pod(&uid).expect("the pod's agent runs on this machine");
    kill(Pid::from_raw(pid), Signal::SIGKILL).unwrap();
    until("it is gone", 10, async || {
        (agent_of_pod(&uid) != Some(pid)).then_some(())
    })
    .await;
    tokio::time::sleep(Duration::from_millis(100)).await;
}

/// A process of the pod's cgroup that runs our agent.
fn agent_of_pod(uid: &str) -> Option<i32> {
    let processes = fs::read_dir("/proc").ok()?.flatten();
    processes
        .filter_map(|process| process.file_name().to_str()?.parse::<i32>().ok())
        .find(|pid| {
            let read = |file: &str| fs::read_to_string(format!("/proc/{pid}/{file}"));
            let is_in_pod = read("cgroup").is_ok_and(|cgroup| cgroup.contains(uid));
            is_in_pod && read("comm").is_ok_and(|name| name.starts_with("planescape-agen"))
        })
}

async fn pod_name(place: &Place, name: &str) -> String {
    of_pod(place, name, "name").await
}

async fn pod_uid(place: &Place, name: &str) -> String {
    of_pod(place, name, "uid").await
}

async fn of_pod(place: &Place, name: &str, field: &str) -> String {
    let selector = format!("job-name={name}");
    let path = format!("jsonpath={{.items[0].metadata.{field}}}");
    place
        .kubectl(&["get", "pods", "-l", &selector, "-o", &path])
        .await
}

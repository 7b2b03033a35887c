//! What is left of an agent that the kernel kills on a real node.

use std::fs;
use std::time::{Duration, Instant};

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
    until("the PlanescapeJob says so", 10, async || {
        let job = place.get("pjob/killed").await;
        (job["status"]["runs"][0]["lease"] == "Revoked").then_some(())
    })
    .await;
}

#[tokio::test]
async fn what_an_agent_leaves_that_cannot_be_started_again_is_revoked_within_five_seconds() {
    let place = Place::new("left").await;
    for way in ["deadline", "deleted", "killed", "oom"] {
        let role = Role {
            name: way,
            default_ttl: "10m",
            max_ttl: "1h",
        };
        place.bed.vault.set_database_role(role).await.unwrap();
        let pod = match way {
            "deadline" => "activeDeadlineSeconds: 12",
            _ => "activeDeadlineSeconds: 600",
        };
        let script = "while [ ! -e /tmp/end ]; do sleep 0.2; done";
        let job = database_job(way, way, script)
            .replace("backoffLimit: 0", &format!("backoffLimit: 0\n      {pod}"))
            .replace(
                "        spec:\n          containers",
                "        spec:\n          terminationGracePeriodSeconds: 1\n          containers",
            );
        place.apply(&job).await;
        until(&format!("{way}: there is a lease"), 60, async || {
            let agent = place.agent(way).await.ok()?;
            let leases = leases(&place, way).await;
            (agent["ready"] == true && leases == 1).then_some(())
        })
        .await;
        let (name, uid) = (pod_name(&place, way).await, pod_uid(&place, way).await);
        let agent = agent_of_pod(&uid).expect("the pod's agent runs on this machine");
        // It hears no signal any more.
        kill(Pid::from_raw(agent), Signal::SIGSTOP).unwrap();
        let end = ["exec", &name, "-c", "main", "--", "touch", "/tmp/end"];
        match way {
            "deleted" => {
                let delete = ["delete", "pod", &name, "--grace-period=1", "--wait=false"];
                place.kubectl(&delete).await;
            }
            "killed" => {
                place.kubectl(&end).await;
            }
            "oom" => {
                place.kubectl(&end).await;
                // The kubelet starts it again as long as the job's container runs.
                until("the job's container has ended", 20, async || {
                    let pod = place.get(&format!("pod/{name}")).await;
                    let state = &pod["status"]["containerStatuses"][0]["state"];
                    state["terminated"].is_object().then_some(())
                })
                .await;
                kill(Pid::from_raw(agent), Signal::SIGKILL).unwrap();
            }
            _ => {}
        }
        until(&format!("{way}: the agent is gone"), 60, async || {
            agent_of_pod(&uid).is_none().then_some(())
        })
        .await;
        let gone = Instant::now();

        until(&format!("{way}: the lease is gone"), 5, async || {
            (leases(&place, way).await == 0).then_some(())
        })
        .await;

        println!("{way}: {:?} after the end of the agent", gone.elapsed());
        until(&format!("{way}: the status says so"), 20, async || {
            let job = place.get(&format!("pjob/{way}")).await;
            (job["status"]["runs"][0]["lease"] == "RevokedByOperator").then_some(())
        })
        .await;
    }
}

/// A node that is lost looks like this: the pod is gone from the API server, and nobody heard of its agent again.
#[tokio::test]
async fn what_a_lost_pod_leaves_ends_with_its_guard_and_is_never_called_revoked() {
    let place = Place::new("lost").await;
    let role = Role {
        name: "lost",
        default_ttl: "10m",
        max_ttl: "1h",
    };
    place.bed.vault.set_database_role(role).await.unwrap();
    let script = "while [ ! -e /tmp/end ]; do sleep 0.2; done";
    let job = database_job("lost", "lost", script).replace(
        "            vault.hashicorp.com/role:",
        "            planescape.io/lease-guard: 1m\n            vault.hashicorp.com/role:",
    );
    place.apply(&job).await;
    until("there is a lease", 60, async || {
        let agent = place.agent("lost").await.ok()?;
        let is_held = place.get("pjob/lost").await["status"]["runs"][0]["lease"] == "Held";
        (is_held && agent["ready"] == true && leases(&place, "lost").await == 1).then_some(())
    })
    .await;
    let (name, uid) = (
        pod_name(&place, "lost").await,
        pod_uid(&place, "lost").await,
    );
    let agent = agent_of_pod(&uid).expect("the pod's agent runs on this machine");
    kill(Pid::from_raw(agent), Signal::SIGSTOP).unwrap();
    let stopped = Instant::now();
    let delete = ["delete", "pod", &name, "--force", "--grace-period=0"];
    place.kubectl(&delete).await;

    until("the lease is gone", 65, async || {
        (leases(&place, "lost").await == 0).then_some(())
    })
    .await;

    println!("lost: {:?} after the last breath", stopped.elapsed());
    let run = place.get("pjob/lost").await["status"]["runs"][0].clone();
    let lease = run["lease"].as_str().unwrap_or_default();
    assert!(!lease.starts_with("Revoked"), "{run}");
}

async fn leases(place: &Place, role: &str) -> usize {
    let path = format!("database/creds/{role}");
    place.bed.vault.leases(&path).await.unwrap().len()
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

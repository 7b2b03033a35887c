//! Jobs with more to them than one pod: an index for each of several, and rules for their failures.

use std::collections::{BTreeMap, BTreeSet};

use planescape_tests::vault::Role;
use serde_json::Value;

use crate::jobs::{Place, database_job, until};

const COUNT: usize = 3;

#[tokio::test]
async fn each_index_of_a_run_has_a_lease_of_its_own_and_gives_its_label_to_the_next_run() {
    let place = place("indexed").await;
    let script = ". /vault/secrets/db
        psql -Atc 'select 1' >/dev/null || exit 1
        echo \"index $JOB_COMPLETION_INDEX user $PGUSER\"
        while [ ! -e /tmp/end ]; do sleep 0.2; done";
    let job = database_job("indexed", "indexed", script).replace(
        "backoffLimit: 0",
        "backoffLimit: 0\n      completionMode: Indexed\n      completions: 3\n      parallelism: 3",
    );
    place.apply(&job).await;

    let users = users(&place).await;
    let indexes: Vec<&str> = users.keys().map(String::as_str).collect();
    assert_eq!(indexes, ["0", "1", "2"]);
    let distinct: BTreeSet<&String> = users.values().collect();
    assert_eq!(distinct.len(), COUNT, "{users:?}");
    assert_eq!(leases(&place).await, COUNT);
    let run = newest(&place).await;
    let first = pods(&place, "job-name=indexed").await;
    for index in indexes {
        let prefix = format!("{run}-{index}-");
        assert!(
            first.iter().any(|pod| pod.starts_with(&prefix)),
            "{first:?}"
        );
    }

    end(&place, &first).await;
    place.wait("indexed", "Complete").await;
    until("every lease is revoked", 10, async || {
        (leases(&place).await == 0).then_some(())
    })
    .await;
    until("the run says so", 10, async || {
        let job = place.get("pjob/indexed").await;
        (job["status"]["runs"][0]["lease"] == "Revoked").then_some(())
    })
    .await;

    let again = ["annotate", "pjob", "indexed", "planescape.io/rerun=again"];
    place.kubectl(&again).await;
    until("the label is the next run's alone", 60, async || {
        let older = pods(&place, &format!("job-name={run}")).await;
        let newer = pods(&place, "job-name=indexed").await;
        let is_handed_over = older == first && newer.iter().all(|pod| !first.contains(pod));
        (is_handed_over && newer.len() == COUNT).then_some(())
    })
    .await;
    place
        .kubectl(&["delete", "pjob", "indexed", "--wait=false"])
        .await;
}

#[tokio::test]
async fn a_failure_that_the_jobs_own_rule_names_ends_the_run_at_once() {
    let place = place("rules").await;
    let job = database_job("rules", "rules", "exit 42").replace(
        "backoffLimit: 0",
        "backoffLimit: 5
      podFailurePolicy:
        rules:
        - action: FailJob
          onExitCodes: {containerName: main, operator: In, values: [42]}",
    );
    place.apply(&job).await;

    place.wait("rules", "Failed").await;
    let job = until("the run is told", 10, async || {
        let job = place.get("pjob/rules").await;
        (job["status"]["runs"][0]["lease"] == "Revoked").then_some(job)
    })
    .await;

    assert_eq!(job["status"]["runs"][0]["reason"], "PodFailurePolicy");
    assert_eq!(pods(&place, "planescape.io/job=rules").await.len(), 1);
    assert_eq!(leases(&place).await, 0);
}

/// With database users of its own.
async fn place(name: &'static str) -> Place {
    let place = Place::new(name).await;
    let role = Role {
        name,
        default_ttl: "10m",
        max_ttl: "1h",
    };
    place.bed.vault.set_database_role(role).await.unwrap();
    place
}

async fn leases(place: &Place) -> usize {
    let path = format!("database/creds/{}", place.namespace);
    place.bed.vault.leases(&path).await.unwrap().len()
}

/// The user of each index, once all have said theirs.
async fn users(place: &Place) -> BTreeMap<String, String> {
    until("each index says who it is", 90, async || {
        let logs = ["logs", "-l", "job-name=indexed", "--tail=-1"];
        let logs = place.try_kubectl(&logs).await.ok()?;
        let said = logs.lines().filter_map(|line| {
            let (index, user) = line.strip_prefix("index ")?.split_once(" user ")?;
            Some((index.to_owned(), user.to_owned()))
        });
        let users: BTreeMap<String, String> = said.collect();
        (users.len() == COUNT).then_some(users)
    })
    .await
}

/// The name of the newest run's Job.
async fn newest(place: &Place) -> String {
    let job = place.get("pjob/indexed").await;
    let newest = job["status"]["runs"][0]["job"].as_str();
    newest.expect("it has a run").to_owned()
}

/// The pods in the order of their names.
async fn pods(place: &Place, selector: &str) -> Vec<String> {
    let get = ["get", "pods", "-l", selector, "-o", "json"];
    let list: Value = serde_json::from_str(&place.kubectl(&get).await).unwrap();
    let pods = list["items"].as_array().unwrap().iter();
    let names = pods.filter_map(|pod| pod["metadata"]["name"].as_str());
    let mut names: Vec<String> = names.map(str::to_owned).collect();
    names.sort();
    names
}

/// Lets the containers end.
async fn end(place: &Place, pods: &[String]) {
    for pod in pods {
        let touch = ["exec", pod, "-c", "main", "--", "touch", "/tmp/end"];
        place.kubectl(&touch).await;
    }
}

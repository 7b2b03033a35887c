//! PlanescapeJobs as kstatus sees them, by which Flux and other deployers wait.

use std::io::Write as _;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use planescape_tests::servers;
use planescape_tests::testbed::Cluster;
use serde_json::{Value, json};

use super::running::{Bed, once};

const SOON: Duration = Duration::from_secs(15);

#[tokio::test]
async fn deployers_wait_for_what_can_schedule_and_give_up_on_what_cannot() {
    let cluster = Cluster::shared().await.unwrap();
    let mut bed = Bed::new(cluster, "kstatus").await.unwrap();
    bed.kubectl(&["create", "quota", "none", "--hard=count/jobs.batch=1"])
        .await
        .unwrap();
    bed.apply(&once("waits")).await.unwrap();
    let unseen = bed.get("pjob/waits").await.unwrap();
    bed.start_operator().unwrap();
    let waiting = bed.until("pjob/waits", SOON, is_told).await.unwrap();
    for job in jobs() {
        bed.apply(&job).await.unwrap();
    }
    let mut told = vec![unseen, waiting];
    for job in jobs() {
        let name = format!("pjob/{}", job["metadata"]["name"].as_str().unwrap());
        told.push(bed.until(&name, SOON, is_told).await.unwrap());
    }
    bed.kill_operator();
    let mut edited = jobs().remove(0);
    edited["spec"]["schedule"] = json!("1 3 31 12 *");
    bed.apply(&edited).await.unwrap();
    told.push(bed.get("pjob/nightly").await.unwrap());
    let delete = ["delete", "pjob", "nightly", "--wait=false"];
    bed.kubectl(&delete).await.unwrap();
    told.push(bed.get("pjob/nightly").await.unwrap());

    let answers = kstatus(&told).unwrap();

    let words: Vec<&str> = answers
        .iter()
        .filter_map(|it| it.split(':').next())
        .collect();
    assert_eq!(
        words,
        [
            "InProgress",
            "InProgress",
            "Current",
            "Current",
            "InProgress",
            "Failed",
            "InProgress",
            "Terminating",
        ],
        "{answers:#?}"
    );
}

/// One that is due at the end of the year, a suspended one, one that the quota refuses, and one in a zone that is not.
fn jobs() -> Vec<Value> {
    let recurring = |name: &str, more: (&str, Value)| {
        let mut job = once(name);
        job["spec"]["schedule"] = json!("0 3 31 12 *");
        job["spec"][more.0] = more.1;
        // The finalizer keeps a deleted one, so that it can be looked at.
        job["metadata"]["finalizers"] = json!(["example.com/held"]);
        job
    };
    vec![
        recurring("nightly", ("suspend", json!(false))),
        recurring("suspended", ("suspend", json!(true))),
        once("refused"),
        recurring("nowhere", ("timeZone", json!("Mars/Olympus"))),
    ]
}

fn is_told(job: &Value) -> bool {
    job["status"]["conditions"].is_array()
}

fn kstatus(objects: &[Value]) -> Result<Vec<String>> {
    let program = servers::KSTATUS.build()?.join("reference");
    let mut child = Command::new(program)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let mut input = child.stdin.take().context("a pipe")?;
    for object in objects {
        writeln!(input, "{object}")?;
    }
    drop(input);
    let output = child.wait_with_output()?;
    ensure!(output.status.success(), "kstatus fails");
    let text = String::from_utf8(output.stdout)?;
    Ok(text.lines().map(str::to_owned).collect())
}

//! The examples and the guide's commands, as users type them.

use planescape_tests::testbed::NAMESPACE;
use planescape_tests::vault::Role;

use crate::jobs::{Place, until};

#[tokio::test]
async fn the_one_time_example_completes() {
    let place = Place::new("one-time").await;
    place
        .apply(include_str!("../../examples/jobs/one-time-job.yaml"))
        .await;
    place.wait("example-job", "Complete").await;
}

#[tokio::test]
async fn the_recurring_example_knows_its_next_run() {
    let place = Place::new("recurring").await;
    place
        .apply(include_str!("../../examples/jobs/cron-job.yaml"))
        .await;
    let next = until("the next run is known", 10, async || {
        let job = place.get("planescapejob/daily-backup-job").await;
        job["status"]["nextScheduleTime"]
            .as_str()
            .map(str::to_owned)
    })
    .await;
    assert!(next.contains("T02:00:00"), "{next}");
}

#[tokio::test]
async fn the_demo_example_completes_under_the_restricted_standard() {
    let place = Place::new("restricted").await;
    let enforce = "pod-security.kubernetes.io/enforce=restricted";
    place
        .kubectl(&["label", "namespace", "restricted", enforce])
        .await;
    let vault = &place.bed.vault;
    let role = Role {
        name: "demo-stack-postgresql",
        default_ttl: "1h",
        max_ttl: "2h",
    };
    vault.set_database_role(role).await.unwrap();
    vault
        .set_kubernetes_role("demo-stack-job-role", "database-reader", "1h")
        .await
        .unwrap();

    place
        .apply(include_str!("../../examples/jobs/demo-job.yaml"))
        .await;
    place.wait("demo-job", "Complete").await;

    let log = place.logs("demo-job").await;
    assert!(log.contains("Got credentials for v-"), "{log}");
}

#[tokio::test]
async fn the_migration_example_completes() {
    let place = Place::new(NAMESPACE).await;
    place
        .bed
        .control_plane
        .apply(include_str!("../../examples/jobs/migration-job.yaml"))
        .await
        .unwrap();
    place.wait("migration-job", "Complete").await;
    let tables = place
        .bed
        .postgres
        .query("select to_regclass('notes')")
        .await
        .unwrap();
    assert_eq!(tables, [["notes"]]);
}

/// The guide's commands about a job called `my-job`, with `POD` for the pod's name.
const COMMANDS: [&str; 5] = [
    "kubectl get planescapejobs -n planescape-system",
    "kubectl describe planescapejob my-job -n planescape-system",
    "kubectl get jobs -l job-name=my-job -n planescape-system",
    "kubectl logs -l job-name=my-job -n planescape-system",
    "kubectl logs POD -n planescape-system",
];

const RECURRING: &str = r#"
apiVersion: planescape.io/v1alpha1
kind: PlanescapeJob
metadata: {name: my-job}
spec:
  schedule: "* * * * *"
  jobTemplate:
    spec:
      template:
        spec:
          containers:
          - name: main
            image: busybox:1.35
            command: [sh, -c, "echo run of $(hostname)"]
"#;

#[tokio::test]
async fn the_guides_commands_find_the_runs_of_a_recurring_job() {
    let place = Place::new(NAMESPACE).await;
    let [list, describe, history, newest, pod] = COMMANDS;
    place.apply(RECURRING).await;
    let runs = until("two runs are retained and done", 150, async || {
        let jobs = typed(&place, history).await.ok()?;
        let done = jobs.lines().filter(|line| line.contains("Complete"));
        (done.count() >= 2).then_some(jobs)
    })
    .await;

    let listed = typed(&place, list).await.unwrap();
    assert!(listed.contains("my-job"), "{listed}");

    let described = typed(&place, describe).await.unwrap();
    assert!(described.contains("Last Schedule Time"), "{described}");

    let names = runs.lines().filter_map(|line| line.split(' ').next());
    let last_run = names.max().unwrap_or_default();
    let printed = until("the newest run alone is in the log", 15, async || {
        let log = typed(&place, newest).await.ok()?;
        (log.lines().count() == 1).then_some(log)
    })
    .await;
    let last_pod = printed.trim_start_matches("run of ").trim_end();
    assert!(last_pod.starts_with(last_run), "{printed} after {runs}");

    let log = typed(&place, &pod.replace("POD", last_pod)).await.unwrap();
    assert_eq!(log, printed);
    place.kubectl(&["delete", "planescapejob", "my-job"]).await;
}

#[test]
fn the_guide_has_these_commands() {
    let guide = include_str!("../../docs/job-management-guide.md");
    for command in &COMMANDS[..4] {
        assert!(guide.contains(command), "{command}");
    }
}

/// Runs a line of the guide, as it stands there.
async fn typed(place: &Place, line: &str) -> anyhow::Result<String> {
    let words: Vec<&str> = line.split(' ').skip(1).collect();
    place.bed.control_plane.kubectl(&words).await
}

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

#[tokio::test]
async fn the_guides_commands_find_the_runs_of_a_recurring_job() {
    let place = Place::new(NAMESPACE).await;
    place
        .apply(
            r#"
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
"#,
        )
        .await;
    let selector = ["-l", "job-name=my-job", "-n", NAMESPACE];
    let cluster = &place.bed.control_plane;
    until("two runs are retained and done", 150, async || {
        let jobs = cluster
            .kubectl(
                &[
                    &["get", "jobs"],
                    &selector[..],
                    &["-o", "jsonpath={.items[*].status.succeeded}"],
                ]
                .concat(),
            )
            .await
            .ok()?;
        (jobs.split_whitespace().count() >= 2).then_some(())
    })
    .await;

    let listed = cluster
        .kubectl(&["get", "planescapejobs", "-n", NAMESPACE])
        .await
        .unwrap();
    assert!(listed.contains("my-job"), "{listed}");
    let described = cluster
        .kubectl(&["describe", "planescapejob", "my-job", "-n", NAMESPACE])
        .await
        .unwrap();
    assert!(described.contains("Last Schedule Time"), "{described}");
    let jobs = cluster
        .kubectl(&[&["get", "jobs"], &selector[..], &["-o", "name"]].concat())
        .await
        .unwrap();
    let mut names: Vec<&str> = jobs
        .lines()
        .filter_map(|line| line.strip_prefix("job.batch/"))
        .collect();
    names.sort_unstable();
    let newest = *names.last().unwrap();
    assert!(names.len() >= 2, "{jobs}");
    let log = until("the newest run alone is in the log", 15, async || {
        let log = cluster
            .kubectl(&[&["logs"], &selector[..]].concat())
            .await
            .ok()?;
        (log.lines().count() == 1).then_some(log)
    })
    .await;
    assert!(log.starts_with("run of my-job-"), "{log}");
    let pods = cluster
        .kubectl(&[
            "get",
            "pods",
            "-n",
            NAMESPACE,
            "-l",
            &format!("batch.kubernetes.io/job-name={newest}"),
            "-o",
            "jsonpath={.items[0].metadata.name}",
        ])
        .await
        .unwrap();
    let log = cluster
        .kubectl(&["logs", &pods, "-n", NAMESPACE])
        .await
        .unwrap();
    assert_eq!(log, format!("run of {pods}\n"));
    place.kubectl(&["delete", "planescapejob", "my-job"]).await;
}

//! `planescape convert`.

use super::{Outcome, planescape};

const CRONJOB: &str = "apiVersion: v1
kind: List
items:
- apiVersion: v1
  kind: ConfigMap
  metadata: {name: other}
- apiVersion: batch/v1
  kind: CronJob
  metadata: {name: backup, namespace: team}
  spec:
    schedule: '0 2 * * *'
    timeZone: Europe/Berlin
    concurrencyPolicy: Forbid
    jobTemplate:
      spec:
        template:
          spec:
            restartPolicy: OnFailure
            containers: [{name: main, image: 'busybox:1.35'}]
            volumes: [{name: key, secret: {secretName: key, defaultMode: 0400}}]
";

#[test]
fn a_cronjob_becomes_a_manifest_and_what_differs_is_told_beside_it() {
    let outcome = convert(CRONJOB);

    assert_eq!(outcome.code, Some(0), "{}", outcome.errors);
    let job: serde_json::Value = serde_saphyr::from_str(&outcome.out).unwrap();
    assert_eq!(job["kind"], "PlanescapeJob");
    assert_eq!(job["spec"]["timeZone"], "Europe/Berlin");
    assert_eq!(job["spec"]["forbidBehavior"], "Queue");
    let template = &job["spec"]["jobTemplate"]["spec"]["template"]["spec"];
    assert_eq!(template["restartPolicy"], "OnFailure");
    assert_eq!(template["volumes"][0]["secret"]["defaultMode"], 256);
    for note in ["spec.dstPolicy", "spec.forbidBehavior"] {
        let told = outcome.errors.contains(&format!("backup: {note}: "));
        assert!(told, "{}", outcome.errors);
    }
}

#[test]
fn what_cannot_be_a_planescapejob_is_told_with_its_field() {
    for (from, to, expected) in [
        (
            "0 2 * * *",
            "@every 30s",
            "spec.schedule: `30s` is not a duration",
        ),
        (
            "Europe/Berlin",
            "Mars/Base",
            "spec.timeZone: `Mars/Base` is not a time zone",
        ),
        (
            "OnFailure",
            "Always",
            "restartPolicy: must be Never or OnFailure",
        ),
        (
            "kind: CronJob",
            "kind: Job",
            "holds no CronJob; write it with",
        ),
        (
            "name: backup",
            "name: Backup, labels: {v: 1.10}",
            "with a letter or digit at both ends\nmetadata.labels[v]: must be a text: put the value in quotes",
        ),
        (
            "    schedule:",
            "    shedule: x\n    schedule:",
            "spec.shedule: is not a field",
        ),
    ] {
        let outcome = convert(&CRONJOB.replace(from, to));

        assert_eq!((outcome.code, &*outcome.out), (Some(1), ""), "{to}");
        assert!(outcome.errors.contains(expected), "{}", outcome.errors);
    }
}

fn convert(input: &str) -> Outcome {
    planescape(&["convert", "cronjob", "-"], input)
}

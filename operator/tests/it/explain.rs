//! `planescape explain`.

use super::{Outcome, planescape};

const JOBS: &str = "apiVersion: v1
kind: ConfigMap
metadata: {name: other}
---
apiVersion: planescape.io/v1alpha1
kind: PlanescapeJob
metadata: {name: nightly, namespace: team}
spec:
  schedule: '0 2 * * *'
  timeZone: Europe/Berlin
  jobTemplate:
    spec:
      template:
        metadata:
          annotations:
            vault.hashicorp.com/agent-inject: 'true'
            vault.hashicorp.com/role: reports
            vault.hashicorp.com/agent-inject-secret-db: database/creds/readonly
        spec:
          containers: [{name: main, image: 'busybox:1.35', resources: {limits: {memory: 64Mi}}}]
---
apiVersion: planescape.io/v1alpha1
kind: PlanescapeJob
metadata: {name: once}
spec:
  schedule: '@once'
  jobTemplate:
    spec:
      template:
        spec:
          containers: [{name: main, image: 'busybox:1.35', resources: {limits: {memory: 64Mi}}}]
";

#[test]
fn every_planescapejob_of_a_file_becomes_documents_that_can_be_read() {
    let outcome = explain(JOBS, &[]);

    assert_eq!(outcome.code, Some(0), "{}", outcome.errors);
    let documents: Vec<serde_json::Value> = serde_saphyr::from_multiple(&outcome.out).unwrap();
    let kinds: Vec<_> = documents.iter().map(|it| it["kind"].as_str()).collect();
    assert_eq!(kinds, [Some("Job"), None, Some("Job")]);
    for told in [
        "# PlanescapeJob team/nightly",
        "#   path \"database/creds/readonly\" { capabilities = [\"read\"] }",
        "give --vault-address",
    ] {
        assert!(outcome.out.contains(told), "{told}: {}", outcome.out);
    }
}

#[test]
fn programs_get_a_list() {
    let outcome = explain(JOBS, &["--json", "--vault-address=https://vault:8200"]);

    let list: serde_json::Value = serde_json::from_str(&outcome.out).unwrap();
    assert_eq!(list[0]["vault"][0]["address"], "https://vault:8200");
    assert_eq!(list[0]["nextRuns"].as_array().unwrap().len(), 10);
    assert_eq!(list[0]["leaseGuard"]["seconds"], 1800);
    assert_eq!(list[1]["nextRuns"].as_array().unwrap().len(), 1);
    assert_eq!(list[0]["warnings"], serde_json::json!([]));
}

#[test]
fn the_operators_settings_are_those_of_the_operator() {
    let settings = [
        "--json",
        "--vault-address=https://vault:8200",
        "--agent-image=registry.example/agent:7",
        "--agent-limits=memory=99Mi",
        "--vault-audience=vault",
        "--vault-jitter-seconds=30",
    ];
    let outcome = explain(JOBS, &settings);

    let list: serde_json::Value = serde_json::from_str(&outcome.out).unwrap();
    let pod = &list[0]["job"]["spec"]["template"]["spec"];
    let agent = &pod["initContainers"][0];
    assert_eq!(agent["image"], "registry.example/agent:7");
    assert_eq!(agent["resources"]["limits"]["memory"], "99Mi");
    assert!(
        pod["volumes"]
            .to_string()
            .contains("\"audience\":\"vault\""),
        "{pod}"
    );
    let warnings = list[0]["warnings"].to_string();
    assert!(
        warnings.contains("--vault-jitter-seconds of the operator"),
        "{warnings}"
    );
    let wrong = explain(JOBS, &["--agent-limits=memory=much"]);
    assert_eq!(wrong.code, Some(1));
    assert!(wrong.errors.contains("--agent-limits"), "{}", wrong.errors);
}

#[test]
fn what_cannot_run_is_told_with_its_field_and_nothing_is_printed() {
    for (from, to, expected) in [
        ("0 2 * * *", "0 25 * * *", "nightly:\nspec.schedule: "),
        ("Berlin", "Bonn", "is not a time zone"),
        (
            "'@once'",
            "'@once'\n  suspended: true",
            "once:\nspec.suspended: is not a field of a PlanescapeJob: did you mean `suspend`?",
        ),
        ("v1alpha1", "v1", "apiVersion: write planescape.io/v1alpha1"),
        (
            "agent-inject-secret-db",
            "agent-inject-secert-db",
            "agent-inject-secert-db",
        ),
        (
            "agent-inject: 'true'",
            "agent-inject: true",
            "annotations[vault.hashicorp.com/agent-inject]: must be a text: put the value in quotes",
        ),
        (
            "kind: PlanescapeJob",
            "kind: CronJob",
            "holds no PlanescapeJob",
        ),
        ("spec:", "spec: [", "is not YAML"),
    ] {
        let outcome = explain(&JOBS.replace(from, to), &[]);

        assert_eq!((outcome.code, &*outcome.out), (Some(1), ""), "{to}");
        assert!(outcome.errors.contains(expected), "{}", outcome.errors);
    }
}

#[test]
fn a_key_that_stands_twice_refuses_the_object_that_has_it_and_no_other() {
    let of_another = explain(
        &JOBS.replace("kind: ConfigMap", "kind: ConfigMap\nkind: ConfigMap"),
        &[],
    );
    assert_eq!(of_another.code, Some(0), "{}", of_another.errors);
    let told =
        "planescape: standard input: line 3 says `kind` a second time: leave one of them out\n";
    assert_eq!(of_another.errors, told);

    let own = explain(
        &JOBS.replace(
            "timeZone: Europe/Berlin",
            "timeZone: Mars/Base\n  schedule: '@daily'",
        ),
        &[],
    );
    assert_eq!((own.code, &*own.out), (Some(1), ""));
    let told = "PlanescapeJob nightly:\nline 11 says `schedule` a second time: leave one of them out\nspec.timeZone: ";
    assert!(own.errors.contains(told), "{}", own.errors);
}

#[test]
fn what_cannot_run_is_warned_of_as_well() {
    let wrong = JOBS
        .replace("busybox:1.35", "busybox")
        .replace("Berlin", "Bonn");

    let outcome = explain(&wrong, &[]);

    let warning =
        "warning: spec.jobTemplate.spec.template.spec.containers[0].image: busybox names no tag";
    assert_eq!(
        (outcome.code, outcome.errors.matches(warning).count()),
        (Some(1), 1)
    );
}

fn explain(input: &str, options: &[&str]) -> Outcome {
    planescape(&[&["explain", "-"], options].concat(), input)
}

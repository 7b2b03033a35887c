use insta::assert_snapshot;
use serde_json::json;

use super::*;
use crate::api::as_stored;
use crate::job::validate::validate;

#[test]
fn says_what_a_job_with_an_agent_comes_to() {
    let explained = explain(&nightly(), &defaults(), now()).unwrap();

    assert_snapshot!(explained.to_string());
    let pod = explained.job.pointer("/spec/template/spec").unwrap();
    assert_eq!(pod["initContainers"][0]["name"], "vault-agent");
    let configuration = explained.agent_configuration.unwrap();
    assert_eq!(configuration["planescape"]["lease_guard"], "1800s");
}

#[test]
fn says_what_a_job_with_secrets_comes_to() {
    let mut manifest = nightly();
    manifest["spec"]["jobTemplate"]["spec"]["template"]["metadata"] = json!({});
    manifest["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"][0]["envFrom"] =
        json!([{ "secretRef": { "name": "db" } }]);
    manifest["spec"]["exclusionWindows"] = json!([]);
    manifest["spec"]["schedule"] = json!("@every 90m");
    manifest["spec"]["timeZone"] = Value::Null;
    manifest["spec"]["vault"] = json!({
        "role": "reports",
        "secrets": [{ "name": "db", "secretName": "db", "path": "database/creds/readonly" }],
    });

    let explained = explain(&manifest, &defaults(), now()).unwrap();

    assert_snapshot!(explained.to_string());
}

#[test]
fn says_that_leases_live_while_their_run_waits_in_a_queue() {
    let mut manifest = nightly();
    let template = &mut manifest["spec"]["jobTemplate"];
    template["metadata"] = json!({ "labels": { "kueue.x-k8s.io/queue-name": "reports" } });
    template["spec"]["template"]["metadata"] = json!({});
    let said = |manifest: &Value| {
        let explained = explain(manifest, &defaults(), now()).unwrap();
        let warnings = explained.warnings.iter();
        warnings
            .filter(|it| it.contains("in the queue reports"))
            .count()
    };
    assert_eq!(said(&manifest), 0);

    manifest["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"][0]["envFrom"] =
        json!([{ "secretRef": { "name": "db" } }]);
    manifest["spec"]["vault"] = json!({
        "role": "reports",
        "secrets": [{ "name": "db", "secretName": "db", "path": "database/creds/readonly" }],
    });
    assert_eq!(said(&manifest), 1);
}

#[test]
fn says_everything_that_is_wrong_with_its_field() {
    let mut manifest = nightly();
    manifest["spec"]["shedule"] = json!("x");
    manifest["spec"]["timeZone"] = json!("Mars/Base");
    manifest["spec"]["jobTemplate"]["spec"]["template"]["spec"]["restartPolicy"] = json!("Always");

    let problems = explain(&manifest, &defaults(), now()).unwrap_err();

    let lines: Vec<String> = problems.iter().map(Problem::to_string).collect();
    assert_snapshot!(lines.join("\n"));
}

#[test]
fn warns_of_what_cannot_run_as_far_as_it_can_be_read() {
    let mut manifest = nightly();
    manifest["spec"]["suspend"] = json!("true");
    let pod = &mut manifest["spec"]["jobTemplate"]["spec"]["template"];
    pod["metadata"]["annotations"]["planescape.io/leas-guard"] = json!("5m");
    pod["spec"]["containers"][0]["image"] = json!("busybox");
    pod["spec"]["containers"][0]["comand"] = json!(["true"]);

    let warnings = warnings(&manifest);

    for told in [
        "nobody reads planescape.io/leas-guard",
        "busybox names no tag",
        "did you mean `command`?",
    ] {
        assert!(
            warnings.iter().any(|it| it.contains(told)),
            "{told}: {warnings:?}"
        );
    }
    manifest["spec"]["jobTemplate"] = Value::Null;
    assert_eq!(super::warnings(&manifest), [""; 0]);
}

#[test]
fn names_a_field_of_the_job_that_nobody_knows() {
    let mut manifest = nightly();
    let spec = &mut manifest["spec"]["jobTemplate"]["spec"];
    spec["backofLimit"] = json!(3);
    spec["template"]["spec"]["containers"][0]["comand"] = json!(["true"]);

    let explained = explain(&manifest, &defaults(), now()).unwrap();

    let known = explained.warnings.iter();
    let unknown: Vec<&String> = known.filter(|it| it.contains("did you mean")).collect();
    assert_eq!(unknown.len(), 2, "{unknown:?}");
}

#[test]
fn names_an_annotation_that_nobody_reads() {
    let mut manifest = nightly();
    let pod = &mut manifest["spec"]["jobTemplate"]["spec"]["template"];
    pod["metadata"]["annotations"]["planescape.io/leas-guard"] = json!("5m");

    let explained = explain(&manifest, &defaults(), now()).unwrap();

    let told = "nobody reads planescape.io/leas-guard; did you mean planescape.io/lease-guard?";
    let mut warnings = explained.warnings.iter();
    assert!(
        warnings.any(|it| it.contains(told)),
        "{:?}",
        explained.warnings
    );
}

#[test]
fn says_how_late_runs_start_that_ask_vault() {
    let defaults = Defaults {
        vault_jitter_seconds: 30,
        ..defaults()
    };
    let warned = |manifest: &Value| {
        let warnings = explain(manifest, &defaults, now()).unwrap().warnings;
        warnings
            .into_iter()
            .find(|it| it.contains(" after the time above"))
    };
    let mut manifest = nightly();
    let setting = "--vault-jitter-seconds of the operator: each run starts";

    let unknown = warned(&manifest).unwrap();
    assert!(
        unknown.starts_with(&format!("{setting} up to 30 s")),
        "{unknown}"
    );

    manifest["metadata"]["uid"] = json!("0f6a0bbd-6d7e-4c4e-9df5-4c6f2f3f9f01");
    let (job, _) = validate(&as_stored(&manifest).unwrap(), &defaults, now()).unwrap();
    let known = format!("{setting} {} s after the time above", job.delay.as_secs());
    assert_eq!(warned(&manifest), Some(known));

    manifest["spec"]["jitterSeconds"] = json!(0);
    assert_eq!(warned(&manifest), None);
}

#[test]
fn a_window_counts_when_a_run_starts_and_one_that_leaves_nothing_is_named() {
    let mut manifest = nightly();
    manifest["metadata"]["uid"] = json!("0f6a0bbd-6d7e-4c4e-9df5-4c6f2f3f9f01");
    manifest["spec"]["schedule"] = json!("0 2 * * *");
    manifest["spec"]["timeZone"] = json!("UTC");
    manifest["spec"]["jitterSeconds"] = json!(600);
    let (job, _) = validate(&as_stored(&manifest).unwrap(), &defaults(), now()).unwrap();
    assert!(job.delay.as_secs() > 1, "{:?}", job.delay);
    // It begins between the instant and the start.
    let window = |schedule: &str| json!([{ "schedule": schedule, "duration": "1h" }]);
    let warns = |explained: &Explanation| {
        let mut warnings = explained.warnings.iter();
        warnings.any(|it| it.starts_with("spec.exclusionWindows: none of the next 10 runs"))
    };

    let first = "2026-10-24T02:00:01Z";
    manifest["spec"]["exclusionWindows"] =
        json!([{ "from": first, "until": "2026-10-24T03:00:00Z" }]);
    let once = explain(&manifest, &defaults(), now()).unwrap();
    let excluded: Vec<bool> = once.next_runs.iter().map(|run| run.excluded).collect();
    assert_eq!(excluded, [vec![true], vec![false; 9]].concat());
    assert!(!warns(&once));

    manifest["spec"]["exclusionWindows"] = window("0 2 * * *");
    let never = explain(&manifest, &defaults(), now()).unwrap();
    assert!(warns(&never), "{:?}", never.warnings);
}

/// Changes to a manifest, by their place, and the one warning about them.
type Odd = (
    &'static [(&'static str, &'static str)],
    Option<&'static str>,
);

const ODD: &[Odd] = &[
    (
        &[("pod/containers/0/image", "\"busybox\"")],
        Some("containers[0].image: busybox names no tag"),
    ),
    (
        &[("pod/containers/0/image", "null")],
        Some("containers[0].image: is missing"),
    ),
    (
        &[("pod/containers/0/image", "\"\"")],
        Some("containers[0].image: is missing"),
    ),
    (
        &[("pod/containers/0/image", "\"registry:5000/team/app\"")],
        Some("registry:5000/team/app names no tag"),
    ),
    (
        &[("pod/containers/0/image", "\"app:latest\"")],
        Some("app:latest has the tag latest"),
    ),
    (
        &[("pod/containers/0/image", "\"registry:5000/app:1.2\"")],
        None,
    ),
    (
        &[("pod/containers/0/image", "\"app:latest@sha256:5e0d1c7a\"")],
        None,
    ),
    (
        &[(
            "pod/initContainers",
            r#"[{ "name": "first", "image": "busybox", "resources": { "limits": { "memory": "1Gi" } } }]"#,
        )],
        Some("initContainers[0].image: busybox names no tag"),
    ),
    (
        &[("pod/containers/0/resources", "{}")],
        Some("containers[0]: has no memory limit"),
    ),
    (
        &[
            ("pod/containers/0/resources", "{}"),
            ("pod/resources", r#"{ "limits": { "memory": "1Gi" } }"#),
        ],
        None,
    ),
    (
        &[("pod/restartPolicy", "\"OnFailure\"")],
        Some("restartPolicy: with OnFailure"),
    ),
    (
        &[
            ("pod/restartPolicy", "\"OnFailure\""),
            (
                "pod/containers/0/terminationMessagePolicy",
                "\"FallbackToLogsOnError\"",
            ),
        ],
        None,
    ),
    (
        &[("startingDeadlineSeconds", "0")],
        Some("startingDeadlineSeconds: 0 skips"),
    ),
    (&[("startingDeadlineSeconds", "1")], None),
    (
        &[("jobTemplate/spec/activeDeadlineSeconds", "86401")],
        Some("a run may last 86401 s, and the next one is due after 86400 s"),
    ),
    (&[("jobTemplate/spec/activeDeadlineSeconds", "86400")], None),
    (
        &[("maxActiveRuns", "3")],
        Some("maxActiveRuns: counts under concurrencyPolicy Allow alone; under Forbid"),
    ),
    (
        &[("maxActiveRuns", "3"), ("concurrencyPolicy", "\"Allow\"")],
        None,
    ),
    (
        &[(
            "exclusionWindows",
            r#"[{ "from": "2026-10-22T00:00:00Z", "until": "2026-10-23T12:00:00Z" }]"#,
        )],
        Some("exclusionWindows[0]: is over since 2026-10-23T12:00:00Z"),
    ),
    (
        &[
            ("jobTemplate/spec/activeDeadlineSeconds", "86401"),
            ("concurrencyPolicy", "\"Allow\""),
        ],
        None,
    ),
    (
        &[("dstPolicy", "\"Kubernetes\"")],
        Some("has no 2027-03-28T02:30:00, as its clock is turned forward at 2027-03-28T01:00:00Z"),
    ),
    (
        &[
            ("dstPolicy", "\"Kubernetes\""),
            ("schedule", "\"30 * * * *\""),
        ],
        None,
    ),
    (
        &[
            ("dstPolicy", "\"Kubernetes\""),
            ("schedule", "\"30 3 * * *\""),
        ],
        None,
    ),
];

/// A variable, and whether its value looks like a secret.
const VARIABLES: &[(&str, &str, bool)] = &[
    ("PGPASSWORD", "hunter2", true),
    ("dbPassword", "hunter2", true),
    ("SLACK_TOKEN", "hunter2", true),
    ("AWS_SECRET_ACCESS_KEY", "hunter2", true),
    ("apiKey", "hunter2", true),
    ("DB_PWD", "hunter2", true),
    ("PGPASSWORD", "", false),
    ("PGPASSWORD", "$(OTHER)", false),
    ("TLS_KEY", "/etc/tls/tls.key", false),
    ("PASSWORD_FILE", "hunter2", false),
    ("REQUIRE_TOKEN", "true", false),
    ("SSH_PUBLIC_KEY", "hunter2", false),
    ("PARTITION_KEY", "customer", false),
    ("SORT_KEY", "created", false),
    ("MONKEY", "hunter2", false),
    ("PWD", "hunter2", false),
];

#[test]
fn warns_of_what_works_and_is_rarely_meant() {
    let warned = |edits: &[(&str, Value)]| {
        let mut manifest = nightly();
        for (field, value) in edits {
            let field = field.replace("pod/", "jobTemplate/spec/template/spec/");
            let field = format!("/spec/{field}");
            let (parent, name) = field.rsplit_once('/').unwrap();
            manifest.pointer_mut(parent).unwrap()[name] = value.clone();
        }
        explain(&manifest, &defaults(), now()).unwrap().warnings
    };
    let usual = warned(&[]);
    let unusual = |edits: &[(&str, Value)]| {
        let mut warnings = warned(edits);
        warnings.retain(|warning| !usual.contains(warning));
        warnings
    };

    for (edits, told) in ODD {
        let edits = edits.iter();
        let edits = edits.map(|(field, value)| (*field, serde_json::from_str(value).unwrap()));
        let edits: Vec<(&str, Value)> = edits.collect();
        let warnings = unusual(&edits);

        assert_eq!(
            warnings.len(),
            usize::from(told.is_some()),
            "{edits:?}: {warnings:?}"
        );
        if let Some(told) = told {
            assert!(warnings[0].contains(told), "{edits:?}: {warnings:?}");
        }
    }
    for (name, value, is_told) in VARIABLES {
        let env = json!([{ "name": name, "value": value }]);
        let warnings = unusual(&[("pod/containers/0/env", env)]);

        assert_eq!(
            warnings.len(),
            usize::from(*is_told),
            "{name}={value}: {warnings:?}"
        );
        let told = format!("containers[0].env: {name} looks like a secret");
        let is_right = |it: &String| it.contains(&told) && !it.contains("hunter2");
        assert!(warnings.iter().all(is_right), "{warnings:?}");
    }
}

#[test]
fn warns_of_runs_that_start_after_the_next_one_is_due() {
    let warns = |seconds: i64| {
        let mut manifest = nightly();
        manifest["spec"]["schedule"] = json!("* * * * *");
        manifest["spec"]["jitterSeconds"] = json!(seconds);
        let warnings = explain(&manifest, &defaults(), now()).unwrap().warnings;
        let told = format!(
            "a run may start {seconds} s after its instant, and the next one is due after 60 s"
        );
        warnings.iter().any(|warning| warning.contains(&told))
    };

    assert!(warns(61));
    assert!(!warns(60));
}

fn now() -> Timestamp {
    "2026-10-23T12:00:00Z".parse().unwrap()
}

fn defaults() -> Defaults {
    Defaults {
        vault_address: Some("https://vault:8200".to_owned()),
        lease_guard: Some(SignedDuration::from_mins(30)),
        ..Defaults::default()
    }
}

fn nightly() -> Value {
    json!({
        "apiVersion": "planescape.io/v1alpha1",
        "kind": "PlanescapeJob",
        "metadata": { "name": "nightly", "namespace": "team" },
        "spec": {
            "schedule": "30 2 * * *",
            "timeZone": "Europe/Berlin",
            "exclusionWindows": [{ "from": "2026-10-27T00:00:00Z", "until": "2026-10-28T00:00:00Z" }],
            "jobTemplate": { "spec": { "template": {
                "metadata": { "annotations": {
                    "vault.hashicorp.com/agent-inject": "true",
                    "vault.hashicorp.com/role": "reports",
                    "vault.hashicorp.com/agent-inject-secret-db": "database/creds/readonly",
                    "vault.hashicorp.com/agent-inject-secret-app": "kv/app",
                } },
                "spec": {
                    "containers": [{
                        "name": "main", "image": "busybox:1.35",
                        "resources": { "limits": { "memory": "64Mi" } },
                    }],
                },
            } } },
        },
    })
}

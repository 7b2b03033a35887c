use serde_json::json;

use super::*;

#[test]
fn takes_the_policy_that_fits_the_kind() {
    assert_eq!(valid("@once").policy, ConcurrencyPolicy::Allow);
    assert_eq!(valid("@hourly").policy, ConcurrencyPolicy::Forbid);
}

#[test]
fn names_problems_of_schedule_zone_and_template_together() {
    let problems = problems(json!({
        "schedule": "0 0 30 2 *",
        "jobTemplate": { "spec": { "manualSelector": true, "template": {
            "metadata": { "annotations": { "vault.hashicorp.com/agent-inject": "maybe" } },
            "spec": { "restartPolicy": "Always", "containers": [] },
        } } },
    }));

    assert_eq!(
        problems,
        [
            "spec.jobTemplate.spec.manualSelector: is set by the operator; leave it out",
            "spec.jobTemplate.spec.template.metadata.annotations[vault.hashicorp.com/agent-inject]: `maybe` is not a boolean: write true or false",
            "spec.jobTemplate.spec.template.spec.containers: needs at least one container",
            "spec.jobTemplate.spec.template.spec.restartPolicy: must be Never or OnFailure",
            "spec.schedule: never fires within eight years: look at its day and month",
        ]
    );
}

#[test]
fn names_what_has_no_meaning_beside_the_rest() {
    let once = problems(json!({
        "jitterSeconds": 5,
        "missedRunPolicy": "Skip",
        "dstPolicy": "Kubernetes",
        "forbidBehavior": "Queue",
        "exclusionWindows": [{ "schedule": "@daily", "duration": "1h" }],
        "jobTemplate": job_template(),
    }));
    let recurring = problems(json!({
        "schedule": "@daily",
        "exclusionWindows": [
            { "from": "tomorrow", "until": "2026-12-27T00:00:00" },
            { "from": "2026-12-24T00:00:00Z", "until": "2026-12-24T00:00:00Z" },
            { "schedule": "@every 1h", "duration": "1h" },
            { "schedule": "@daily", "duration": "1d" },
            { "from": "2026-12-24T00:00:00Z" },
            { "schedule": "0 0 30 2 *", "duration": "1h" },
        ],
        "jobTemplate": job_template(),
    }));

    let no_meaning = "has no meaning with schedule @once; leave it out";
    assert_eq!(
        once,
        [
            format!("spec.dstPolicy: {no_meaning}"),
            format!("spec.exclusionWindows: {no_meaning}"),
            "spec.forbidBehavior: Queue needs concurrencyPolicy: Forbid".to_owned(),
            format!("spec.jitterSeconds: {no_meaning}"),
            format!("spec.missedRunPolicy: {no_meaning}"),
        ]
    );
    let window = |position: usize| format!("spec.exclusionWindows[{position}]");
    for (problem, expected) in recurring.iter().zip([
        format!(
            "{}.from: `tomorrow` is not a time: write for example 2026-12-24T00:00:00",
            window(0)
        ),
        format!("{}.until: must be later than from", window(1)),
        format!("{}.schedule: must be five cron fields", window(2)),
        format!("{}.duration: `1d` is not a duration", window(3)),
        format!(
            "{}: needs either from and until, or schedule and duration",
            window(4)
        ),
        format!(
            "{}.schedule: never fires within eight years: look at its day and month",
            window(5)
        ),
    ]) {
        assert!(problem.starts_with(&expected), "{problem} / {expected}");
    }
}

#[test]
fn disruptions_are_left_out_of_account_only_where_kubernetes_can() {
    let ignoring = |restarts: &str, rules: usize| {
        let mut template = job_template();
        template["spec"]["template"]["spec"]["restartPolicy"] = json!(restarts);
        template["spec"]["podFailurePolicy"] = json!({ "rules": vec![json!({}); rules] });
        json!({ "disruptionPolicy": "Ignore", "jobTemplate": template })
    };

    assert_eq!(
        problems(ignoring("OnFailure", 20)),
        [
            "spec.disruptionPolicy: Ignore adds a rule to podFailurePolicy, which may have twenty; leave one out",
            "spec.disruptionPolicy: Ignore needs restartPolicy: Never in the pod template",
        ]
    );
    let job = job(ignoring("Never", 19));
    assert!(validate(&job, &Defaults::default(), Timestamp::UNIX_EPOCH).is_ok());
}

#[test]
fn names_a_zone_that_does_not_exist() {
    let problems = problems(json!({
        "schedule": "@daily",
        "timeZone": "Europe/Atlantis",
        "jobTemplate": job_template(),
    }));

    assert_eq!(
        problems,
        [
            "spec.timeZone: `Europe/Atlantis` is not a time zone: write an IANA name, such as Europe/Berlin or UTC"
        ]
    );
}

#[test]
fn refuses_templates_that_no_environment_can_hold() {
    let with_template = |template: &str| {
        json!({ "jobTemplate": { "spec": { "template": {
            "metadata": { "annotations": {
                "vault.hashicorp.com/agent-inject": "true",
                "vault.hashicorp.com/role": "reader",
                "vault.hashicorp.com/service": "https://vault:8200",
                "vault.hashicorp.com/agent-inject-template-db": template,
            } },
            "spec": { "containers": [{ "name": "main" }] },
        } } } })
    };

    let problems = problems(with_template(&"a".repeat(100_000)));

    assert!(
        problems[0].contains("Linux hands over 131058"),
        "{problems:?}"
    );
    let spec = with_template(&"a".repeat(90_000));
    assert!(validate(&job(spec), &Defaults::default(), Timestamp::UNIX_EPOCH).is_ok());
}

#[test]
fn refuses_what_the_agent_would_refuse() {
    let refused = |annotations: &[(&str, &str)]| {
        let mut all = json!({
            "vault.hashicorp.com/agent-inject": "true",
            "vault.hashicorp.com/role": "reader",
            "vault.hashicorp.com/service": "https://vault:8200",
            "vault.hashicorp.com/agent-inject-secret-db": "database/creds/app",
        });
        for (key, value) in annotations {
            all[*key] = json!(value);
        }
        let problems = problems(json!({ "jobTemplate": { "spec": { "template": {
            "metadata": { "annotations": all },
            "spec": { "containers": [{ "name": "main" }] },
        } } } }));
        let field = "spec.jobTemplate.spec.template.metadata.annotations";
        problems.join("; ").replace(field, "")
    };

    assert_eq!(
        refused(&[("openbao.org/auth-min-backoff", "10m")]),
        "[openbao.org/auth-min-backoff]: min_backoff cannot be greater than max_backoff"
    );
    assert_eq!(
        refused(&[("vault.hashicorp.com/template-lease-renewal-threshold", "2")]),
        "[vault.hashicorp.com/template-lease-renewal-threshold]: is not between 0 and 1"
    );
    assert_eq!(
        refused(&[("vault.hashicorp.com/client-cert", "/tls/tls.crt")]),
        "[vault.hashicorp.com/client-key]: is missing: client_cert needs it"
    );
    let device = refused(&[("vault.hashicorp.com/secret-volume-path", "/dev")]);
    let field = "[vault.hashicorp.com/agent-inject-template-db]: ";
    assert!(device.starts_with(field), "{device}");
    assert!(device.contains("a device's place"), "{device}");
}

#[test]
fn the_operators_spread_is_for_recurring_jobs_that_ask_vault_and_do_not_say() {
    let defaults = Defaults {
        vault_address: Some("https://vault:8200".to_owned()),
        vault_jitter_seconds: 59,
        ..Defaults::default()
    };
    let vault = json!({ "role": "reader", "path": "database/creds/app" });
    let most = |change: Value| {
        let mut spec =
            json!({ "schedule": "@hourly", "vault": vault, "jobTemplate": job_template() });
        for (field, value) in change.as_object().unwrap() {
            spec[field] = value.clone();
        }
        let delays = (0..50).map(|number| {
            let mut job = job(spec.clone());
            job.metadata.uid = Some(format!("uid-{number}"));
            let validated = validate(&job, &defaults, Timestamp::UNIX_EPOCH);
            validated.unwrap().0.delay.as_secs()
        });
        delays.max().unwrap()
    };

    assert!((30..=59).contains(&most(json!({}))));
    assert!((1..=10).contains(&most(json!({ "startingDeadlineSeconds": 10 }))));
    assert!(most(json!({ "jitterSeconds": 600 })) > 59);
    for none in [
        json!({ "jitterSeconds": 0 }),
        json!({ "vault": null }),
        json!({ "schedule": "@once" }),
    ] {
        assert_eq!(most(none.clone()), 0, "{none}");
    }
}

#[test]
fn an_empty_vault_block_says_what_to_write() {
    let problems = problems(json!({ "vault": {}, "jobTemplate": job_template() }));

    let [address, path, role] = &problems[..] else {
        panic!("{problems:?}");
    };
    assert!(
        address.starts_with("spec.vault.address: is missing"),
        "{address}"
    );
    assert!(
        path.starts_with("spec.vault.path: is missing: write a path of Vault"),
        "{path}"
    );
    assert_eq!(
        role,
        "spec.vault.role: is missing: the Vault role to log in as"
    );
}

fn valid(schedule: &str) -> ValidatedJob {
    let spec = json!({ "schedule": schedule, "jobTemplate": job_template() });
    let valid = validate(&job(spec), &Defaults::default(), Timestamp::UNIX_EPOCH);
    valid.unwrap().0
}

fn problems(spec: Value) -> Vec<String> {
    let problems = validate(&job(spec), &Defaults::default(), Timestamp::UNIX_EPOCH).unwrap_err();
    problems.iter().map(Problem::to_string).collect()
}

fn job_template() -> Value {
    json!({ "spec": { "template": { "spec": { "containers": [{ "name": "main" }] } } } })
}

fn job(spec: Value) -> PlanescapeJob {
    let mut job = PlanescapeJob::new("my-job", serde_json::from_value(spec).unwrap());
    job.metadata.namespace = Some("team".into());
    job.metadata.uid = Some("u".into());
    job
}

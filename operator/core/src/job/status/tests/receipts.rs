//! Receipts: who read what in Vault, and for how long that is told.

use super::*;
use crate::api::names::TEMPLATE_ANNOTATION;
use crate::receipt::{Receipt, settled_between};

#[test]
fn a_run_tells_who_logged_in_and_what_was_read_also_when_its_pods_are_gone() {
    let report = json!({
        "phase": "done", "reason": "Revoked", "role": "reader", "accessor": "the-accessor",
        "login_request": "r1", "reads": [
            { "path": "kv/app", "version": 7, "request": "r2" },
            { "path": "database/creds/ro", "lease": "0123456789abcdef", "ttl_seconds": 3600, "user": "v-ro" },
        ],
    });
    let mut state = terminated(0, &report);
    state["terminated"]["finishedAt"] = json!("2026-11-24T10:00:08Z");
    let scene = Scene::injected()
        .with_run(ended("Complete"))
        .with_agent(json!({ "state": state }));

    let after = scene.status();
    let run = &after.runs[0];
    let summary = run.receipt.clone().unwrap();
    assert_eq!(summary.paths, ["database/creds/ro", "kv/app@7"]);
    assert_eq!(
        (summary.role.as_deref(), summary.leases),
        (Some("reader"), 1)
    );
    assert_eq!(summary.revoked_time, Some(Time(at("2026-11-24T10:00:08Z"))));
    assert_ne!(summary.accessors, ["the-accessor"]);
    assert_eq!(
        settled_between(scene_status(&scene).as_ref(), &after).len(),
        1
    );
    assert!(
        settled_between(Some(&after), &after).is_empty(),
        "told once"
    );

    let whole =
        scene.with_facts(|facts| Receipt::of("team", "my-job", run, facts.observed.jobs.first()));
    let text = serde_json::to_string(&whole).unwrap();
    assert!(
        !text.contains("the-accessor") && !text.contains('\n'),
        "{text}"
    );
    assert_eq!(whole.logins[0].service_account, "team/default");
    assert_eq!(whole.logins[0].reads[1].user.as_deref(), Some("v-ro"));

    let mut later = scene.seen(&after);
    later.pods.clear();
    assert_eq!(later.status().runs[0].receipt, Some(summary));
}

#[test]
fn what_the_same_login_reads_later_is_told_too() {
    let scene = |paths: &[&str]| {
        let reads: Vec<Value> = paths.iter().map(|path| json!({ "path": path })).collect();
        let report =
            json!({ "phase": "running", "reason": "LoggedIn", "accessor": "a", "reads": reads });
        let again = json!({ "state": { "running": {} }, "lastState": terminated(137, &report) });
        Scene::injected().with_run(json!({})).with_agent(again)
    };
    let first = scene(&["kv/a"]).status();

    let later = scene(&["kv/a", "kv/b"]).seen(&first).status();

    let paths = later.runs[0].receipt.clone().unwrap().paths;
    assert_eq!(paths, ["kv/a", "kv/b"]);
}

#[test]
fn credentials_that_may_end_before_a_run_are_told_of_once() {
    let scene = |deadline: Value, max_seconds: Value| {
        let report = json!({ "phase": "done", "reason": "Revoked", "accessor": "a",
            "max_seconds": max_seconds });
        let mut scene = Scene::injected()
            .with_run(ended("Complete"))
            .with_agent(json!({ "state": terminated(0, &report) }));
        scene.job["spec"]["jobTemplate"]["spec"]["activeDeadlineSeconds"] = deadline;
        let digest = scene.with_facts(|facts| facts.validated.unwrap().digest.clone());
        scene.jobs[0]["metadata"]["annotations"][TEMPLATE_ANNOTATION] = json!(digest);
        scene
    };
    let reason = |scene: &Scene| condition(&scene.status(), "VaultReady").1.to_owned();

    let short = scene(json!(7200), json!(3600));
    let after = short.status();
    let (status, told, message) = condition(&after, "VaultReady");
    assert_eq!((status, told), ("True", "LeaseMayExpireDuringRun"));
    assert!(
        message.contains("1h") && message.contains("2h"),
        "{message}"
    );
    let event = "LeaseMayExpireDuringRun".to_owned();
    assert!(reasons(&short, &after).contains(&event));
    let again = short.seen(&after);
    assert!(!reasons(&again, &again.status()).contains(&event));

    assert_eq!(reason(&scene(json!(3600), json!(3600))), "Rendered");
    assert_eq!(
        reason(&scene(json!(7200), Value::Null)),
        "Rendered",
        "nothing is known"
    );
    let by_length = scene(Value::Null, json!(5));
    assert_eq!(
        reason(&by_length),
        "LeaseMayExpireDuringRun",
        "it lasted 8 s"
    );
    assert_eq!(reason(&scene(Value::Null, json!(9))), "Rendered");
}

fn scene_status(scene: &Scene) -> Option<PlanescapeJobStatus> {
    scene.with_facts(|facts| facts.job.status.clone())
}

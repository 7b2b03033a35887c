//! Statuses about agents and their leases, from the agents' reports.

use super::*;
use crate::api::names::ENDED_ANNOTATION;

#[test]
fn says_what_vault_refused_with_role_path_and_status() {
    let report = json!({
        "phase": "read", "reason": "PermissionDenied", "message": "permission denied",
        "role": "reader", "path": "database/creds/app", "status": 403,
    });
    let scene = Scene::injected()
        .with_run(json!({}))
        .with_agent(json!({ "lastState": terminated(77, &report) }));

    let after = scene.status();

    let message = "permission denied (role `reader`, path `database/creds/app`, HTTP 403)";
    assert_eq!(
        condition(&after, "VaultReady"),
        ("False", "PermissionDenied", message)
    );
    assert_eq!(
        condition(&after, "Ready"),
        ("False", "VaultNotReady", message)
    );
    assert_eq!(reasons(&scene, &after), ["VaultPermissionDenied"]);
    assert_eq!(reasons(&scene.seen(&after), &after), [""; 0]);
}

#[test]
fn forgets_a_refusal_once_the_agent_has_rendered() {
    let report = json!({ "phase": "login", "reason": "LoginDenied" });
    let ready = json!({
        "started": true,
        "ready": true,
        "state": { "running": {} },
        "lastState": terminated(77, &report),
    });

    let after = Scene::injected()
        .with_run(json!({}))
        .with_agent(ready)
        .status();

    assert_eq!(condition(&after, "VaultReady").0, "True");
    assert_eq!(after.runs[0].lease, Some(Lease::Held));
}

#[test]
fn an_agent_that_only_runs_has_rendered_nothing() {
    let running = json!({ "started": true, "ready": false, "state": { "running": {} } });

    let after = Scene::injected()
        .with_run(json!({}))
        .with_agent(running)
        .status();

    assert_eq!(condition(&after, "VaultReady").0, "Unknown");
    assert_eq!(after.runs[0].lease, None);
}

#[test]
fn says_that_no_agent_has_spoken_yet() {
    let after = Scene::injected().with_run(json!({})).status();

    assert_eq!(condition(&after, "VaultReady").0, "Unknown");
    assert_eq!(condition(&after, "Ready").0, "True");
}

#[test]
fn tells_of_a_revoked_lease() {
    let report = json!({ "phase": "done", "reason": "Revoked", "accessor": "in-clear" });
    let scene = Scene::injected()
        .with_run(ended("Complete"))
        .with_agent(json!({ "state": terminated(0, &report) }));

    let after = scene.status();

    assert_eq!(after.runs[0].lease, Some(Lease::Revoked));
    assert_eq!(condition(&after, "VaultReady").0, "True");
    assert!(reasons(&scene, &after).contains(&"LeaseRevoked".to_owned()));
    assert!(!serde_json::to_string(&after).unwrap().contains("in-clear"));
}

#[test]
fn believes_the_retry_and_not_the_pod_that_failed() {
    let denied = json!({ "phase": "login", "reason": "LoginDenied" });
    let denied = json!({ "state": terminated(77, &denied) });
    let ready = json!({ "started": true, "ready": true, "state": { "running": {} } });
    let failed = Scene::injected().with_run(json!({})).with_pod(
        "z",
        "Failed",
        "2026-11-24T10:00:01Z",
        &denied,
    );

    let retried = failed.with_pod("a", "Running", "2026-11-24T10:00:11Z", &ready);

    assert_eq!(condition(&failed.status(), "VaultReady").0, "False");
    assert_eq!(condition(&retried.status(), "VaultReady").0, "True");
    let beside = failed.with_pod("a", "Running", "2026-11-24T10:00:01Z", &ready);
    assert_eq!(condition(&beside.status(), "VaultReady").1, "LoginDenied");
    let complete = Scene {
        jobs: Scene::once().with_run(ended("Complete")).jobs,
        ..beside
    };
    assert_eq!(condition(&complete.status(), "VaultReady").0, "True");
}

#[test]
fn tells_the_newest_of_several_failures_in_whatever_order_they_come() {
    let says = |reason: &str| {
        let report = json!({ "phase": "read", "reason": reason });
        json!({ "lastState": terminated(77, &report) })
    };
    let mut scene = Scene::injected()
        .with_run(json!({}))
        .with_pod("b", "Running", "2026-11-24T10:00:11Z", &says("Sealed"))
        .with_pod("a", "Running", "2026-11-24T10:00:01Z", &says("NoAnswer"));

    let one_way = scene.status();
    scene.pods.reverse();

    assert_eq!(condition(&one_way, "VaultReady").1, "Sealed");
    assert_eq!(scene.status(), one_way);
}

#[test]
fn tells_the_worst_of_several_leases() {
    let revoked = json!({ "phase": "done", "reason": "Revoked" });
    let revoked = json!({ "state": terminated(0, &revoked) });
    let lost = json!({ "phase": "done", "reason": "RevokeFailed" });
    let lost = json!({ "state": terminated(0, &lost) });
    let held = json!({ "started": true, "ready": true, "state": { "running": {} } });
    let time = "2026-11-24T10:00:01Z";
    let scene = Scene::injected().with_run(json!({}));

    let one_held =
        scene
            .with_pod("a", "Running", time, &held)
            .with_pod("b", "Succeeded", time, &revoked);
    let one_lost = one_held.with_pod("c", "Succeeded", time, &lost);

    assert_eq!(one_held.status().runs[0].lease, Some(Lease::Held));
    assert_eq!(one_lost.status().runs[0].lease, Some(Lease::RevokeFailed));
    let without_pod = one_held.seen(&one_lost.status());
    assert_eq!(
        without_pod.status().runs[0].lease,
        Some(Lease::RevokeFailed)
    );
}

#[test]
fn an_agent_that_is_about_to_be_started_again_is_not_given_up() {
    let report = json!({ "phase": "running", "reason": "LoggedIn", "unrevoked": ["a1"] });
    let killed = Scene::injected()
        .with_run(json!({}))
        .with_agent(json!({ "state": terminated(137, &report) }));

    let after = killed.status();

    assert_eq!(after.runs[0].lease, Some(Lease::Held));
    assert!(!reasons(&killed, &after).contains(&"AgentKilled".to_owned()));
}

#[test]
fn the_next_life_of_a_killed_agent_has_the_last_word() {
    let report = json!({ "phase": "running", "reason": "LoggedIn", "unrevoked": ["a1"] });
    let again = json!({ "state": { "running": {} }, "lastState": terminated(137, &report) });
    let revoked = json!({ "phase": "done", "reason": "Revoked" });
    let done = json!({
        "state": terminated(0, &revoked),
        "lastState": terminated(137, &report),
    });
    let lease = |status, agent| {
        let scene = Scene::injected().with_run(status).with_agent(agent);
        scene.status().runs[0].lease
    };

    assert_eq!(lease(json!({}), again), Some(Lease::Held));
    assert_eq!(lease(ended("Complete"), done), Some(Lease::Revoked));
}

#[test]
fn believes_the_tokens_that_are_named_and_not_the_word_before_them() {
    for report in [
        json!({ "phase": "done", "reason": "Revoked", "unrevoked": ["a1"] }),
        json!({ "phase": "read", "reason": "PermissionDenied", "unrevoked": ["a1"] }),
    ] {
        let scene = Scene::injected()
            .with_run(ended("Failed"))
            .with_agent(json!({ "state": terminated(77, &report) }));

        let after = scene.status();

        assert_eq!(after.runs[0].lease, Some(Lease::RevokeFailed), "{report}");
        let events = scene.with_facts(|facts| events(facts, &after));
        let mut events = events.iter();
        assert!(events.any(|it| it.reason == "RevokeFailed" && it.note.contains("a1")));
    }
}

#[test]
fn a_token_that_an_agent_keeps_on_purpose_is_no_failure() {
    let report = json!({ "phase": "done", "reason": "Rendered", "unrevoked": ["a1"] });
    let scene = Scene::injected()
        .with_run(ended("Complete"))
        .with_agent(json!({ "state": terminated(0, &report) }));

    let after = scene.status();

    assert_eq!(after.runs[0].lease, Some(Lease::Expiring));
    assert!(!reasons(&scene, &after).contains(&"RevokeFailed".to_owned()));
}

#[test]
fn names_the_policy_only_where_the_policy_is_the_cause() {
    let note = |report: Value| {
        let scene = Scene::injected()
            .with_run(ended("Complete"))
            .with_agent(json!({ "state": terminated(0, &report) }));
        let after = scene.status();
        condition(&after, "VaultReady").2.to_owned()
    };
    let report = |status: u16, message: &str| json!({ "phase": "done", "reason": "RevokeFailed", "status": status, "message": message });

    let denied = note(report(403, "permission denied"));
    assert!(denied.contains("auth/token/revoke-self"), "{denied}");
    let sealed = note(report(503, "Vault is sealed"));
    assert!(sealed.contains("Vault is sealed"), "{sealed}");
    assert!(!sealed.contains("revoke-self"), "{sealed}");
}

#[test]
fn tells_of_a_missing_value_and_of_its_cure() {
    let place = "template[0] 1:28: {{.Data.x}} has no value; `<no value>` is written";
    let report = json!({ "phase": "done", "reason": "Revoked", "warnings": [place] });
    let scene = Scene::injected()
        .with_run(ended("Complete"))
        .with_agent(json!({ "state": terminated(0, &report) }));

    let after = scene.status();

    let (status, _, message) = condition(&after, "VaultReady");
    assert_eq!(status, "True");
    assert!(
        message.contains(place) && message.contains("error-on-missing-key"),
        "{message}"
    );
    assert!(reasons(&scene, &after).contains(&"TemplateWarning".to_owned()));
    assert!(!reasons(&scene.seen(&after), &after).contains(&"TemplateWarning".to_owned()));
}

#[test]
fn a_job_that_works_is_not_ended_because_vault_refuses_its_agent_after_a_restart() {
    let denied = json!({ "phase": "login", "reason": "LoginDenied" });
    let denied = json!({ "state": terminated(77, &denied) });
    let mut scene = Scene::injected().with_run(json!({})).with_agent(denied);
    let after = scene.status();
    let late = "2026-11-24T10:45:00Z";
    let ending = |scene: &Scene| secrets::ending(&scene.seen(&after), late);
    assert_eq!(ending(&scene), Some("VaultRefused"));

    scene.pods[0]["status"]["containerStatuses"] = json!([{
        "name": "main", "image": "", "imageID": "", "ready": true, "restartCount": 0,
        "state": { "running": {} },
    }]);

    assert_eq!(ending(&scene), None);
}

#[test]
fn a_refused_run_that_stops_was_ended_or_is_held_back_by_somebody_is_left_alone() {
    let denied = json!({ "phase": "login", "reason": "LoginDenied" });
    let denied = json!({ "state": terminated(77, &denied) });
    let scene = Scene::injected().with_run(json!({})).with_agent(denied);
    let scene = scene.seen(&scene.status());
    let ending = |change: fn(&mut Value)| {
        let mut changed = scene.clone();
        change(&mut changed.jobs[0]);
        secrets::ending(&changed, "2026-11-24T10:45:00Z")
    };

    assert_eq!(ending(|_| {}), Some("VaultRefused"));
    assert_eq!(
        ending(|job| job["metadata"]["deletionTimestamp"] = json!("2026-11-24T10:44:50Z")),
        None
    );
    assert_eq!(
        ending(|job| job["metadata"]["annotations"][ENDED_ANNOTATION] = json!("Vault refuses it")),
        None
    );
    assert_eq!(
        ending(|job| job["spec"] = json!({ "template": {}, "suspend": true })),
        None
    );
}

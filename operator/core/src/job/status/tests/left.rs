//! What is told of tokens that a killed agent has left.

use super::*;
use crate::api::names::REVOKED_ANNOTATION_PREFIX;

#[test]
fn never_says_revoked_of_an_agent_that_was_killed() {
    let report = json!({ "phase": "running", "reason": "LoggedIn", "unrevoked": ["a1"] });
    let killed = json!({ "state": terminated(137, &report) });
    let scene = Scene::injected()
        .with_run(ended("Complete"))
        .with_agent(killed);

    let after = scene.status();

    assert_eq!(after.runs[0].lease, Some(Lease::Unknown));
    assert_eq!(condition(&after, "VaultReady").1, "AgentKilled");
    assert!(reasons(&scene, &after).contains(&"AgentKilled".to_owned()));
    let mut without_pod = scene.seen(&after);
    without_pod.pods.clear();
    assert_eq!(without_pod.status().runs[0].lease, Some(Lease::Unknown));
}

#[test]
fn says_until_when_what_a_killed_agent_has_left_may_live() {
    let killed = |report: &Value| {
        let mut state = terminated(137, report);
        state["terminated"]["finishedAt"] = json!("2026-11-24T10:00:08Z");
        let scene = Scene::injected().with_run(ended("Failed"));
        scene.with_agent(json!({ "state": state }))
    };
    let life =
        json!({ "phase": "running", "reason": "LoggedIn", "unrevoked": ["a1"], "ttl_seconds": 60 });
    let scene = killed(&life);
    let after = scene.status();
    assert_eq!(after.runs[0].lease, Some(Lease::Expiring));
    let until = Some(Time(at("2026-11-24T10:01:13Z")));
    assert_eq!(after.runs[0].lease_until, until);
    assert_eq!(after.runs[0].unrevoked, ["a1"]);
    let (_, reason, message) = condition(&after, "VaultReady");
    assert_eq!(reason, "AgentKilled");
    assert!(message.contains("2026-11-24T10:01:13Z"), "{message}");
    assert!(reasons(&scene, &after).contains(&"AgentKilled".to_owned()));
    let mut without_pod = scene.seen(&after);
    without_pod.pods.clear();
    let later = without_pod.status();
    assert_eq!(
        (later.runs[0].lease, later.runs[0].lease_until.clone()),
        (Some(Lease::Expiring), until)
    );

    let refused =
        json!({ "phase": "done", "reason": "RevokeFailed", "unrevoked": ["a1"], "ttl_seconds": 5 });
    let run = &killed(&refused).status().runs[0];
    assert_eq!(run.lease, Some(Lease::RevokeFailed));
    assert_eq!(run.lease_until, Some(Time(at("2026-11-24T10:00:18Z"))));
}

#[test]
fn claims_nothing_of_an_agent_whose_end_nobody_saw() {
    let works = json!({ "state": { "running": {} }, "started": true, "ready": true });
    let running = Scene::injected().with_run(json!({})).with_agent(works);
    let held = running.status();
    assert_eq!(held.runs[0].lease, Some(Lease::Held));

    let mut ended_without_pod = running.seen(&held);
    ended_without_pod.jobs[0]["status"] = ended("Failed");
    ended_without_pod.pods.clear();
    let after = ended_without_pod.status();
    assert_eq!(after.runs[0].lease, Some(Lease::Unknown));
    assert!(reasons(&ended_without_pod, &after).contains(&"AgentLost".to_owned()));

    let mut deleted = running.seen(&held);
    deleted.jobs.clear();
    deleted.pods.clear();
    let after = deleted.status();
    assert_eq!(after.runs[0].lease, Some(Lease::Unknown));
    assert!(!reasons(&deleted, &after).contains(&"AgentLost".to_owned()));
}

#[test]
fn says_revoked_by_the_operator_once_every_token_that_was_left_is() {
    let report = json!({ "phase": "running", "reason": "LoggedIn", "unrevoked": ["a1", "a2"] });
    let mut scene = Scene::injected()
        .with_run(ended("Failed"))
        .with_agent(json!({ "state": terminated(137, &report) }));
    let revoked = |accessors: Value, pod: &str| {
        let key = format!("{REVOKED_ANNOTATION_PREFIX}{pod}");
        let text = json!({ "revoked": accessors, "trouble": "permission denied" }).to_string();
        (key, json!(text))
    };
    let tell = |scene: &mut Scene, (key, text): (String, Value)| {
        scene.jobs[0]["metadata"]["annotations"][key] = text;
    };

    tell(&mut scene, revoked(json!(["a1"]), "one"));
    let after = scene.status();
    assert_eq!(after.runs[0].lease, Some(Lease::Unknown));
    assert_eq!(after.runs[0].unrevoked, ["a2"]);
    assert!(
        condition(&after, "VaultReady")
            .2
            .contains("permission denied")
    );

    // Its pods are gone before the other one is revoked.
    let mut later = scene.seen(&after);
    later.pods.clear();
    assert_eq!(later.status().runs[0].unrevoked, ["a2"]);
    tell(&mut later, revoked(json!(["a2"]), "two"));
    tell(&mut scene, revoked(json!(["a2"]), "two"));
    for scene in [scene.seen(&after), later] {
        let settled = scene.status();
        assert_eq!(settled.runs[0].lease, Some(Lease::RevokedByOperator));
        assert!(settled.runs[0].unrevoked.is_empty());
        assert!(reasons(&scene, &settled).contains(&"LeaseRevoked".to_owned()));
        let again = scene.seen(&settled).status();
        assert_eq!(again.runs[0].lease, Some(Lease::RevokedByOperator));
    }
}

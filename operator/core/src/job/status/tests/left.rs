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

//! Statuses about tokens that a killed agent has left.

use base64::{Engine as _, prelude::BASE64_STANDARD};

use super::*;
use crate::api::names::REVOKED_ANNOTATION_PREFIX;
use crate::api::v1alpha1::HolderVault;

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
    assert_eq!(after.runs[0].holders[0].accessors, ["a1"]);
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
fn remembers_at_which_vault_the_tokens_of_a_pod_are_that_is_gone() {
    let report = json!({ "phase": "running", "reason": "LoggedIn", "unrevoked": ["a1"] });
    let mut scene = Scene::injected()
        .with_run(ended("Failed"))
        .with_agent(json!({ "state": terminated(137, &report) }));
    let document = json!({
        "vault": { "address": "https://vault:8200" },
        "auto_auth": { "method": { "type": "kubernetes", "namespace": "team/" } },
        "planescape": { "revoke_on_exit": true },
    });
    let document = BASE64_STANDARD.encode(document.to_string());
    scene.pods[0]["spec"] = json!({ "containers": [], "initContainers": [{
        "name": "vault-agent", "env": [{ "name": "VAULT_CONFIG", "value": document }],
    }] });
    let vault = Some(HolderVault {
        address: "https://vault:8200".to_owned(),
        namespace: Some("team/".to_owned()),
    });

    let after = scene.status();
    assert_eq!(after.runs[0].holders[0].vault, vault);
    let mut without_pod = scene.seen(&after);
    without_pod.pods.clear();
    assert_eq!(without_pod.status().runs[0].holders[0].vault, vault);
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
    assert_eq!(after.runs[0].holders[0].accessors, ["a2"]);
    assert!(
        condition(&after, "VaultReady")
            .2
            .contains("permission denied")
    );

    // Its pods are gone before the other one is revoked.
    let mut later = scene.seen(&after);
    later.pods.clear();
    assert_eq!(later.status().runs[0].holders[0].accessors, ["a2"]);
    tell(&mut later, revoked(json!(["a2"]), "two"));
    tell(&mut scene, revoked(json!(["a2"]), "two"));
    for scene in [scene.seen(&after), later] {
        let settled = scene.status();
        assert_eq!(settled.runs[0].lease, Some(Lease::RevokedByOperator));
        assert!(settled.runs[0].holders.is_empty());
        assert!(reasons(&scene, &settled).contains(&"LeaseRevoked".to_owned()));
        let again = scene.seen(&settled).status();
        assert_eq!(again.runs[0].lease, Some(Lease::RevokedByOperator));
    }
}

/// Pods of one run, by name and what their agents say.
fn pods(scene: &Scene, agents: &[(&str, &Value)]) -> Scene {
    let mut scene = scene.clone();
    scene.pods.clear();
    for (name, agent) in agents {
        scene = scene.with_pod(name, "Running", "2026-11-24T10:00:01Z", agent);
        let pod = scene.pods.last_mut().unwrap();
        if agent["state"]["terminated"].is_object() {
            pod["status"]["phase"] = json!("Failed");
        }
    }
    scene
}

fn works() -> Value {
    json!({ "state": { "running": {} }, "started": true, "ready": true })
}

fn told(report: &Value) -> Value {
    json!({ "state": terminated(0, report) })
}

#[test]
fn a_pod_that_vanished_is_not_forgotten_when_another_one_of_its_run_revokes() {
    let revoked = told(&json!({ "phase": "done", "reason": "Revoked" }));
    let run = Scene::injected().with_run(json!({}));
    let both = pods(&run, &[("a", &works()), ("b", &works())]);
    let held = both.status();
    assert_eq!(held.runs[0].lease, Some(Lease::Held));
    assert_eq!(held.runs[0].holders.len(), 2);

    let lost = pods(&run.seen(&held), &[("b", &works())]);
    let after = lost.status();
    assert_eq!(after.runs[0].lease, Some(Lease::Unknown));
    assert!(reasons(&lost, &after).contains(&"AgentLost".to_owned()));

    let mut ended_run = pods(&run.seen(&after), &[("b", &revoked)]);
    ended_run.jobs[0]["status"] = ended("Complete");
    let after = ended_run.status();
    assert_eq!(after.runs[0].lease, Some(Lease::Unknown));
    let left: Vec<&str> = after.runs[0]
        .holders
        .iter()
        .map(|it| it.pod.as_str())
        .collect();
    assert_eq!(left, ["a"]);

    let mut later = ended_run.seen(&after);
    later.pods.clear();
    assert_eq!(later.status().runs[0].lease, Some(Lease::Unknown));
    later.jobs.clear();
    assert_eq!(later.status().runs[0].lease, Some(Lease::Unknown));
}

#[test]
fn what_one_pod_has_left_says_nothing_of_another() {
    let left = |accessor: &str| {
        told(&json!({ "phase": "running", "reason": "LoggedIn", "unrevoked": [accessor] }))
    };
    let run = Scene::injected().with_run(ended("Failed"));
    let mut before = pods(&run, &[("a", &left("a1")), ("b", &works())]);
    before.jobs[0]["status"] = json!({});
    let held = before.status();
    assert_eq!(held.runs[0].lease, Some(Lease::Unknown));

    // Both are gone, and the accessor of one is known.
    let mut gone = run.seen(&held);
    let key = format!("{REVOKED_ANNOTATION_PREFIX}a");
    gone.jobs[0]["metadata"]["annotations"][key] = json!(json!({ "revoked": ["a1"] }).to_string());
    let after = gone.status();
    assert_eq!(after.runs[0].lease, Some(Lease::Unknown));
    assert_eq!(after.runs[0].holders.len(), 1);
    assert_eq!(after.runs[0].holders[0].pod, "b");
}

#[test]
fn a_pod_whose_node_is_lost_holds_nothing_that_anybody_vouches_for() {
    let run = Scene::injected().with_run(json!({}));
    let held = pods(&run, &[("a", &works())]).status();
    let mut lost = pods(&run.seen(&held), &[("a", &works())]);
    lost.pods[0]["status"]["phase"] = json!("Failed");
    assert_eq!(lost.status().runs[0].lease, Some(Lease::Unknown));

    let mut silent = pods(&run.seen(&held), &[("a", &told(&json!({})))]);
    silent.pods[0]["status"]["initContainerStatuses"][0]["state"] =
        json!({ "terminated": { "exitCode": 137 } });
    assert_eq!(silent.status().runs[0].lease, Some(Lease::Unknown));
}

#[test]
fn claims_nothing_of_pods_beyond_those_that_it_remembers() {
    let names: Vec<String> = (0..300).map(|number| format!("pod-{number}")).collect();
    let works = works();
    let all = |agent| -> Vec<(&str, &Value)> {
        names.iter().map(|name| (name.as_str(), agent)).collect()
    };
    let run = Scene::injected().with_run(json!({}));
    let held = pods(&run, &all(&works)).status();
    assert_eq!(held.runs[0].lease, Some(Lease::Held));
    assert_eq!(held.runs[0].holders.len(), 201);

    let revoked = told(&json!({ "phase": "done", "reason": "Revoked" }));
    let after = pods(&run.seen(&held), &all(&revoked)).status();
    assert_eq!(after.runs[0].lease, Some(Lease::Unknown));
}

#[test]
fn a_lease_is_called_revoked_when_somebody_has_looked() {
    let report = json!({ "phase": "done", "reason": "Revoked", "leases": ["db/creds/x/1"] });
    let mut scene = Scene::injected()
        .with_run(ended("Complete"))
        .with_agent(told(&report));
    let pod = scene.pods[0]["metadata"]["uid"]
        .as_str()
        .unwrap()
        .to_owned();
    let tell = |scene: &mut Scene, told: Value| {
        let key = format!("{REVOKED_ANNOTATION_PREFIX}{pod}");
        scene.jobs[0]["metadata"]["annotations"][key] = json!(told.to_string());
    };

    let nobody_looked = scene.status();
    assert_eq!(nobody_looked.runs[0].lease, Some(Lease::TokenRevoked));
    assert!(
        !serde_json::to_string(&nobody_looked)
            .unwrap()
            .contains("db/creds/x/1")
    );
    tell(
        &mut scene,
        json!({ "revoked": [], "trouble": "lease abc lives" }),
    );
    let alive = scene.seen(&nobody_looked);
    let lives = alive.status();
    assert_eq!(lives.runs[0].lease, Some(Lease::RevokeFailed));
    let events = alive.with_facts(|facts| events(facts, &lives));
    assert!(
        events
            .iter()
            .any(|it| it.reason == "RevokeFailed" && it.note.contains("abc"))
    );
    tell(&mut scene, json!({ "revoked": [], "has_no_lease": true }));
    let gone = scene.seen(&lives).status();
    assert_eq!(gone.runs[0].lease, Some(Lease::Revoked));

    // Its pod went before anybody had looked.
    let mut without_pod = scene.seen(&nobody_looked);
    without_pod.pods.clear();
    assert_eq!(without_pod.status().runs[0].lease, Some(Lease::Revoked));
}

#[test]
fn the_leases_that_a_killed_agent_has_named_are_looked_for() {
    let report = json!({ "phase": "running", "reason": "LoggedIn", "unrevoked": ["a1"],
        "leases": ["db/creds/x/1"], "names_leases": true });
    let mut scene = Scene::injected()
        .with_run(ended("Failed"))
        .with_agent(json!({ "state": terminated(137, &report) }));
    let pod = scene.pods[0]["metadata"]["uid"]
        .as_str()
        .unwrap()
        .to_owned();
    let mut lease = |told: Value| {
        let key = format!("{REVOKED_ANNOTATION_PREFIX}{pod}");
        scene.jobs[0]["metadata"]["annotations"][key] = json!(told.to_string());
        let after = scene.status();
        let (_, reason, message) = condition(&after, "VaultReady");
        (after.runs[0].lease, reason.to_owned(), message.to_owned())
    };

    let token_alone = lease(json!({ "revoked": ["a1"] }));
    assert_eq!(token_alone.0, Some(Lease::RevokedByOperator));
    let (alive, reason, message) =
        lease(json!({ "revoked": ["a1"], "trouble": "lease abc lives" }));
    assert_eq!(alive, Some(Lease::RevokeFailed));
    assert_eq!(reason, "AgentKilled");
    assert!(message.contains("lease abc lives"), "{message}");
    let (gone, reason, _) = lease(json!({ "revoked": ["a1"], "has_no_lease": true }));
    assert_eq!(gone, Some(Lease::Revoked));
    assert_eq!(reason, "RevokedByOperator");
}

#[test]
fn what_the_agent_heard_of_its_lease_counts_until_somebody_looks() {
    let report = json!({ "phase": "done", "reason": "Revoked", "leases": ["db/creds/x/1"],
        "message": "cannot revoke lease abc: the database is down" });
    let scene = Scene::injected()
        .with_run(ended("Complete"))
        .with_agent(told(&report));

    let after = scene.status();

    assert_eq!(after.runs[0].lease, Some(Lease::RevokeFailed));
    assert!(
        condition(&after, "VaultReady")
            .2
            .contains("the database is down")
    );
}

#[test]
fn leases_that_nobody_can_name_are_never_called_revoked() {
    let report = json!({ "phase": "done", "reason": "Revoked", "more_leases": 1 });
    let scene = Scene::injected()
        .with_run(ended("Complete"))
        .with_agent(told(&report));

    let after = scene.status();

    assert_eq!(after.runs[0].lease, Some(Lease::TokenRevoked));
    let later = scene.seen(&after);
    assert_eq!(later.status().runs[0].lease, Some(Lease::TokenRevoked));
}

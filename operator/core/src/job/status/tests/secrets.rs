//! Statuses about runs that get Secrets.

use super::*;
use crate::api::names::{CREDENTIALS_ANNOTATION, ORDER_ANNOTATION, SUPPLIED_ANNOTATION};

#[test]
fn a_run_that_nobody_supplies_says_who_should() {
    let after = waiting(&Value::Null).status();

    let (status, reason, message) = condition(&after, "VaultReady");
    assert_eq!((status, reason), ("Unknown", "Pending"));
    assert!(message.contains("planescape credentials"), "{message}");
}

#[test]
fn what_keeps_a_run_from_its_secrets_is_told_at_once_and_ends_it_in_the_end() {
    let report = json!({
        "phase": "read", "reason": "PermissionDenied", "message": "permission denied",
        "path": "database/creds/readonly", "status": 403,
    });
    let scene = waiting(&report);
    let after = scene.status();

    assert_eq!(
        condition(&after, "VaultReady"),
        (
            "False",
            "PermissionDenied",
            "permission denied (path `database/creds/readonly`, HTTP 403)"
        )
    );
    assert!(reasons(&scene, &after).contains(&"VaultPermissionDenied".to_owned()));
    assert_eq!(condition(&after, "Ready").1, "VaultNotReady");
    assert_eq!(ending(&scene.seen(&after), "2026-11-24T10:00:59Z"), None);
    let late = "2026-11-24T10:01:00Z";
    assert_eq!(ending(&scene.seen(&after), late), Some("VaultRefused"));
}

#[test]
fn nobody_says_that_the_secrets_of_a_run_are_there_that_ended_without_them() {
    let denied = json!({
        "phase": "read", "reason": "PermissionDenied", "message": "permission denied", "status": 403,
    });
    let before = waiting(&denied).status();
    let mut ended_without = waiting(&json!({ "phase": "done", "reason": "Revoked" })).seen(&before);
    ended_without.jobs[0]["status"] = ended("Failed");

    let after = ended_without.status();

    assert_eq!(after.runs[0].lease, Some(Lease::Revoked));
    assert_eq!(
        condition(&after, "VaultReady"),
        condition(&before, "VaultReady")
    );
}

#[test]
fn a_run_waits_for_vault_as_long_as_it_may_start() {
    let report = json!({ "phase": "login", "reason": "Sealed", "message": "Vault is sealed" });
    let mut scene = waiting(&report);
    let after = scene.status();
    assert_eq!(condition(&after, "Ready").1, "WaitingForVault");
    let tomorrow = "2026-11-25T10:00:00Z";
    assert_eq!(
        ending(&scene.seen(&after), tomorrow),
        None,
        "an outage ends nothing"
    );

    scene.job["spec"]["startingDeadlineSeconds"] = json!(60);
    assert_eq!(ending(&scene.seen(&after), "2026-11-24T10:01:00Z"), None);
    let late = "2026-11-24T10:01:01Z";
    assert_eq!(ending(&scene.seen(&after), late), Some("VaultUnavailable"));
    scene.jobs[0]["metadata"]["annotations"][SUPPLIED_ANNOTATION] = json!("true");
    assert_eq!(
        ending(&scene.seen(&after), late),
        None,
        "somebody else suspended it"
    );
}

#[test]
fn a_run_that_has_its_secrets_is_not_ended_by_what_keeps_them_from_being_tended() {
    let report = json!({ "phase": "running", "reason": "LoggedIn" });
    let after = supplied(&report, json!({})).status();
    let report = json!({
        "phase": "read", "reason": "PermissionDenied", "message": "permission denied", "status": 403,
    });
    let scene = supplied(&report, json!({})).seen(&after);
    let after = scene.status();

    assert_eq!(after.runs[0].lease, Some(Lease::Held));
    let told = condition(&after, "VaultReady");
    assert_eq!((told.0, told.1), ("False", "PermissionDenied"));
    let late = "2026-11-24T10:45:00Z";
    assert_eq!(ending(&scene.seen(&after), late), None);
    let mut unseen = supplied(&report, json!({}));
    unseen.job["status"] = Value::Null;
    assert_eq!(unseen.status().runs[0].lease, Some(Lease::Held));
}

pub(super) fn ending(scene: &Scene, now: &str) -> Option<&'static str> {
    let later = Scene {
        now: at(now),
        ..scene.clone()
    };
    later.with_facts(|facts| {
        let mut actions = facts.plan.actions.iter();
        actions.find_map(|action| {
            let Action::End { ending, .. } = action else {
                return None;
            };
            Some(ending.reason())
        })
    })
}

#[test]
fn credentials_that_have_ended_are_held_by_nobody() {
    let ended = json!({ "phase": "read", "reason": "CredentialsEnded", "at": 1_795_514_405 });
    let run = supplied(&ended, json!({})).status().runs.remove(0);

    assert_eq!(run.lease, Some(Lease::Expiring));
    assert_eq!(run.lease_until, Some(Time(at("2026-11-24T10:00:05Z"))));
}

#[test]
fn credentials_whose_end_vault_has_not_confirmed_are_not_called_revoked() {
    let report = json!({ "phase": "done", "reason": "CredentialsEnded", "at": 1_795_514_405,
        "more_leases": 1, "message": "ended by its TTL" });
    let scene = supplied(&report, ended("Complete"));
    let after = scene.status();
    let run = &after.runs[0];

    assert_eq!(run.lease, Some(Lease::Expiring));
    assert_eq!(run.lease_until, Some(Time(at("2026-11-24T10:00:05Z"))));
    let reasons = reasons(&scene, &after);
    assert!(reasons.contains(&"LeaseUnconfirmed".to_owned()));
    assert!(!reasons.contains(&"LeaseRevoked".to_owned()));
    let mut renewed = report;
    renewed["ttl_seconds"] = json!(595);
    let after = supplied(&renewed, ended("Complete")).status();
    let until = after.runs[0].lease_until.clone();
    assert_eq!(until, Some(Time(at("2026-11-24T10:10:05Z"))));
    // Longer than there is time.
    renewed["ttl_seconds"] = json!(u64::MAX);
    let after = supplied(&renewed, ended("Complete")).status();
    assert_eq!(after.runs[0].lease_until, None);
}

#[test]
fn a_lease_is_held_failed_and_revoked_after_all() {
    let report = |phase: &str, reason: &str| json!({ "phase": phase, "reason": reason });
    let held = supplied(&report("running", "LoggedIn"), json!({}));
    let after = held.status();
    assert_eq!(after.runs[0].lease, Some(Lease::Held));
    assert_eq!(
        condition(&after, "VaultReady"),
        ("True", "Supplied", "every Secret is there")
    );

    let failed = supplied(&report("done", "RevokeFailed"), ended("Complete")).seen(&after);
    let after = failed.status();
    assert_eq!(after.runs[0].lease, Some(Lease::RevokeFailed));
    assert!(reasons(&failed, &after).contains(&"RevokeFailed".to_owned()));

    let revoked = supplied(&report("done", "Revoked"), ended("Complete")).seen(&after);
    let after = revoked.status();
    assert_eq!(after.runs[0].lease, Some(Lease::Revoked));
    assert!(reasons(&revoked, &after).contains(&"LeaseRevoked".to_owned()));
}

fn waiting(report: &Value) -> Scene {
    let mut scene = supplied(report, json!({}));
    scene.jobs[0]["spec"]["suspend"] = json!(true);
    let annotations = scene.jobs[0]["metadata"]["annotations"].as_object_mut();
    annotations.unwrap().remove(SUPPLIED_ANNOTATION);
    scene.jobs[0]["metadata"]["annotations"][ORDER_ANNOTATION] = json!("{}");
    scene
}

fn supplied(report: &Value, status: Value) -> Scene {
    let mut scene = Scene::once().with_run(status);
    scene.job["spec"]["vault"] = json!({ "role": "reader", "secrets": [
        { "name": "db", "path": "database/creds/readonly", "secretName": "vault-db-creds" },
    ] });
    let container = "/spec/jobTemplate/spec/template/spec/containers/0";
    let container = scene.job.pointer_mut(container).unwrap();
    container["envFrom"] = json!([{ "secretRef": { "name": "vault-db-creds" } }]);
    scene.jobs[0]["spec"] = json!({ "template": { "spec": { "containers": [] } } });
    scene.jobs[0]["metadata"]["annotations"][SUPPLIED_ANNOTATION] = json!("true");
    if !report.is_null() {
        scene.jobs[0]["metadata"]["annotations"][CREDENTIALS_ANNOTATION] =
            json!(report.to_string());
    }
    scene
}

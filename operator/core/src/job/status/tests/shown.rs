//! The text and the time of conditions.

use super::each::{hourly, told_of};
use super::*;
use crate::api::names::{ENDED_ANNOTATION, ENDED_AS_ANNOTATION, PREFLIGHT_ANNOTATION};
use crate::job::plan::{Skip, Skipped};

#[test]
fn what_the_api_server_says_of_the_next_job_is_shown_and_kept_for_the_generation() {
    let message = "exceeded quota".to_owned();
    for (checked, status, reason, ready, stalled) in [
        (Checked::Accepted, "True", "Accepted", "Scheduled", false),
        (
            Checked::Invalid(message.clone()),
            "False",
            "InvalidTemplate",
            "InvalidTemplate",
            true,
        ),
        (
            Checked::Refused(message.clone()),
            "False",
            "Refused",
            "FailedCreate",
            false,
        ),
        (
            Checked::Unknown(message.clone()),
            "Unknown",
            "NotChecked",
            "Scheduled",
            false,
        ),
    ] {
        let mut scene = hourly();
        scene.applied.checked = Some(checked);
        let first = scene.status();
        let mut later = scene.seen(&first);
        later.applied = Applied::default();

        for told in [&first, &later.status()] {
            let (is, why, _) = condition(told, "TemplateValid");
            assert_eq!((is, why), (status, reason));
            assert_eq!(condition(told, "Ready").1, ready, "{reason}");
            assert_eq!(has(told, "Stalled"), stalled, "{reason}");
        }
        if reason != "Accepted" {
            assert_eq!(condition(&first, "TemplateValid").2, message);
        }
        later.job["metadata"]["generation"] = json!(2);
        assert!(!has(&later.status(), "TemplateValid"), "{reason}");
    }
}

#[test]
fn a_condition_has_changed_when_its_status_has() {
    let mut scene = hourly();
    let first = scene.status();
    scene = scene.seen(&first);
    scene.job["spec"]["suspend"] = json!(true);
    scene.now = at("2026-11-24T10:40:00.5Z");
    let after = scene.status();
    let since = |status: &PlanescapeJobStatus, kind: &str| {
        let mut conditions = status.conditions.iter();
        let condition = conditions.find(|it| it.type_ == kind).unwrap();
        condition.last_transition_time.0
    };

    let (early, late) = (at("2026-11-24T10:30:00Z"), at("2026-11-24T10:40:00Z"));
    for (kind, expected) in [
        ("Ready", early),
        ("ScheduleValid", early),
        ("Active", early),
        ("Suspended", late),
    ] {
        assert_eq!(since(&first, kind), early, "{kind}");
        assert_eq!(since(&after, kind), expected, "{kind}");
    }
    assert_eq!(condition(&after, "Ready").1, "Suspended");
}

#[test]
fn what_keeps_a_pod_from_starting_is_shown_as_long_as_it_does() {
    let mut scene = hourly()
        .with_run(json!({ "startTime": "2026-11-24T10:00:00Z" }))
        .with_agent(json!({}));
    let mut ready = |pod: Value| {
        scene.pods[0]["status"] = pod;
        let status = scene.status();
        let (_, reason, message) = condition(&status, "Ready");
        (reason.to_owned(), message.to_owned())
    };
    let container = |reason: &str| {
        json!([{ "name": "main", "image": "", "imageID": "", "ready": false, "restartCount": 0,
            "state": { "waiting": { "reason": reason, "message": "no such image" } } }])
    };
    let scheduled = |reason: &str| {
        json!({ "phase": "Pending", "conditions": [{ "type": "PodScheduled", "status": "False",
            "reason": reason, "message": "0/3 nodes are available" }] })
    };

    for (pod, told) in [
        (
            json!({ "phase": "Pending", "containerStatuses": container("ErrImagePull") }),
            "container main of pod my-job-1-abcde does not start: ErrImagePull: no such image",
        ),
        (
            scheduled("Unschedulable"),
            "pod my-job-1-abcde does not start: Unschedulable: 0/3 nodes are available",
        ),
    ] {
        assert_eq!(ready(pod), ("PodsWaiting".to_owned(), told.to_owned()));
    }
    for pod in [
        json!({ "phase": "Failed", "containerStatuses": container("ErrImagePull") }),
        json!({ "phase": "Pending", "containerStatuses": container("PodInitializing") }),
        scheduled("SchedulingGated"),
    ] {
        assert_eq!(ready(pod.clone()).0, "Scheduled", "{pod}");
    }
}

#[test]
fn what_was_found_before_the_first_run_is_shown_for_its_generation_and_told_once() {
    let found = |reason: &str, generation: i64| {
        let mut scene = Scene::injected();
        scene.job["spec"]["schedule"] = json!("0 * * * *");
        scene.now = at("2026-11-24T10:30:00Z");
        let report = json!({ "phase": "login", "reason": reason, "message": "so" });
        let found =
            json!({ "generation": generation, "at": "2026-11-24T10:29:00Z", "report": report });
        scene.job["metadata"]["annotations"] = json!({ PREFLIGHT_ANNOTATION: found.to_string() });
        scene
    };

    let denied = found("LoginDenied", 1);
    let after = denied.status();
    let told = ("False", "LoginDenied", "so");
    assert_eq!(condition(&after, "VaultReady"), told);
    assert_eq!(condition(&after, "Ready").0, "True", "a run may do better");
    assert_eq!(reasons(&denied, &after), ["VaultLoginFailed"]);
    assert_eq!(reasons(&denied.seen(&after), &after), [""; 0]);
    let allowed = found("Ok", 1);
    let after = allowed.status();
    assert_eq!(condition(&after, "VaultReady").0, "True");
    assert_eq!(reasons(&allowed, &after), [""; 0]);
    let of_another_spec = found("LoginDenied", 2).status();
    assert_eq!(condition(&of_another_spec, "VaultReady").0, "Unknown");
    let running = denied.with_run(json!({})).status();
    assert_eq!(condition(&running, "VaultReady").0, "Unknown");
}

#[test]
fn a_pod_that_its_node_has_prepared_or_started_is_waited_for_no_more() {
    let mut scene = hourly()
        .with_run(json!({ "startTime": "2026-11-24T10:00:00Z" }))
        .with_agent(json!({}));
    let mut is_unprepared = |phase: &str, ready: &str, scheduled: &str| {
        let condition = |kind: &str, status: &str| json!({ "type": kind, "status": status, "lastTransitionTime": "2026-11-24T10:00:05Z" });
        scene.pods[0]["status"] = json!({ "phase": phase, "conditions": [
            condition("PodReadyToStartContainers", ready), condition("PodScheduled", scheduled),
        ] });
        scene.with_facts(|facts| facts.plan.unprepared.is_some())
    };

    assert!(is_unprepared("Pending", "False", "True"));
    assert!(!is_unprepared("Pending", "True", "True"));
    assert!(!is_unprepared("Pending", "False", "False"));
    assert!(!is_unprepared("Running", "False", "True"));
}

#[test]
fn a_one_time_job_that_never_ran_says_why_and_goes_on_to() {
    let mut copied = Scene::once();
    copied.job["metadata"]["annotations"] = json!({ "planescape.io/once-started": "other/job" });
    let elsewhere = copied.status();
    assert_eq!(condition(&elsewhere, "Stalled").1, "StartedElsewhere");
    assert_eq!(condition(&elsewhere, "Ready").0, "False");
    assert_eq!(condition(&elsewhere, "Ready").1, "StartedElsewhere");

    let scene = Scene::once();
    let tick = at("2026-11-24T10:00:00Z");
    let (late, _) = told_of(&scene, |plan| {
        let why = Skipped::TooLate;
        plan.skip = Some(Skip { tick, why });
    });
    let mut later = scene.seen(&late);
    later.now = at("2026-11-24T11:00:00Z");
    for status in [&late, &later.status()] {
        assert_eq!(condition(status, "Failed").1, "MissedDeadline");
        assert_eq!(condition(status, "Stalled").1, "MissedDeadline");
        assert_eq!(condition(status, "Ready").0, "False");
    }
}

#[test]
fn a_run_that_was_ended_says_why_and_one_that_was_complete_before_does_not() {
    let end = |how: &str, word: Option<&str>| {
        let mut scene = Scene::once().with_run(ended(how));
        let annotations = &mut scene.jobs[0]["metadata"]["annotations"];
        annotations[ENDED_ANNOTATION] = json!("no pod has started");
        annotations[ENDED_AS_ANNOTATION] = json!(word);
        if word.is_none() {
            annotations
                .as_object_mut()
                .unwrap()
                .remove(ENDED_AS_ANNOTATION);
        }
        let run = scene.status().runs.remove(0);
        (run.reason, run.message)
    };
    let told = |word: &str| (Some(word.to_owned()), Some("no pod has started".to_owned()));

    assert_eq!(end("Failed", Some("Stuck")), told("Stuck"));
    assert_eq!(end("Failed", None), told("VaultRefused"));
    assert_eq!(end("Complete", Some("Stuck")), (None, None));
}

#[test]
fn the_end_of_a_one_time_run_is_told_once_and_not_as_trouble_of_the_job_too() {
    let scene = Scene::once().with_run(ended("Failed"));

    assert_eq!(reasons(&scene, &scene.status()), ["SawCompletedJob"]);
}

fn has(status: &PlanescapeJobStatus, kind: &str) -> bool {
    status.conditions.iter().any(|it| it.type_ == kind)
}

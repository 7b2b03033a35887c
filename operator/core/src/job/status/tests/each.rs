//! Each event, from what makes it.

use super::*;
use crate::job::plan::{Skip, Skipped};

#[test]
fn each_way_to_pass_without_a_run_is_counted_by_itself_and_told_in_words_of_its_own() {
    let mut scene = hourly();
    let counts = json!({ "forbid": 3, "tooLate": 3, "missed": 3, "tooMany": 3, "excluded": 3,
        "conflict": 3, "edited": 3 });
    scene.job["status"] = json!({ "skipped": counts });
    let tick = at("2026-11-24T10:00:00Z");
    for (why, field, told_as, words) in [
        (
            Skipped::Forbid,
            "forbid",
            "JobAlreadyActive",
            "still active",
        ),
        (
            Skipped::TooMany,
            "tooMany",
            "TooManyActive",
            "maxActiveRuns",
        ),
        (
            Skipped::Excluded,
            "excluded",
            "RunExcluded",
            "spec.exclusionWindows",
        ),
        (
            Skipped::Missed,
            "missed",
            "MissSchedule",
            "spec.missedRunPolicy",
        ),
        (
            Skipped::TooLate,
            "tooLate",
            "MissSchedule",
            "startingDeadlineSeconds",
        ),
    ] {
        let (after, events) = told_of(&scene, |plan| plan.skip = Some(Skip { tick, why }));

        let mut expected = counts.clone();
        expected[field] = json!(4);
        assert_eq!(json!(after.skipped), expected, "{why:?}");
        let [event] = &events[..] else {
            panic!("{why:?}: {events:?}");
        };
        // A skip that the author asked for is no cause for worry.
        let is_meant = matches!(why, Skipped::Forbid | Skipped::Excluded);
        assert_eq!(event.kind == EventKind::Normal, is_meant, "{why:?}");
        assert_eq!(event.reason, told_as);
        assert!(event.note.contains(words), "{}", event.note);
        assert!(event.note.contains("10:00:00Z"), "{}", event.note);
    }
    scene.applied.conflict = Some(Taken {
        tick,
        job: "my-job-1".to_owned(),
    });
    let mut expected = counts;
    expected["conflict"] = json!(4);
    assert_eq!(json!(scene.status().skipped), expected);
    let (_, events) = told_of(&scene, |_| {});
    let taken = words(&events);
    let taken = taken.into_iter().filter(|it| *it == "NameConflict");
    assert_eq!(taken.count(), 1, "{events:?}");
}

#[test]
fn more_than_a_hundred_that_were_missed_have_a_word_of_their_own() {
    let tick = at("2026-11-24T10:00:00Z");
    for (missed, expected) in [
        (0, &["JobAlreadyActive"][..]),
        (1, &["JobAlreadyActive", "MissSchedule"][..]),
        (100, &["JobAlreadyActive", "MissSchedule"][..]),
        (101, &["JobAlreadyActive", "TooManyMissedTimes"][..]),
    ] {
        let (_, events) = told_of(&hourly(), |plan| {
            let why = Skipped::Forbid;
            (plan.skip, plan.missed) = (Some(Skip { tick, why }), missed);
        });
        assert_eq!(words(&events), expected, "{missed}");
    }
}

#[test]
fn each_change_of_the_schedule_is_told_once() {
    let dropped = at("2026-11-24T10:20:00Z");
    for (known, is_suspended, expected) in [
        ("0 * * * * UTC", false, &[""; 0][..]),
        ("0 * * * * UTC", true, &["Suspended"][..]),
        ("0 * * * * UTC (suspended)", false, &["Resumed"][..]),
        ("30 * * * * UTC", false, &["ScheduleChanged"][..]),
    ] {
        let mut scene = hourly();
        scene.job["spec"]["suspend"] = json!(is_suspended);
        let reference = json!({ "schedule": known, "since": "2026-11-24T10:00:00Z" });
        scene.job["status"] = json!({ "scheduleReference": reference });

        let (after, events) = told_of(&scene, |_| {});
        assert_eq!(words(&events), expected, "{known} {is_suspended}");
        let (_, again) = told_of(&scene.seen(&after), |_| {});
        assert_eq!(words(&again), [""; 0], "{known} {is_suspended}");
        if known == "30 * * * * UTC" || is_suspended {
            let (_, events) = told_of(&scene, |plan| plan.dropped = Some(dropped));
            assert_eq!(words(&events), expected, "the run that it takes away");
            assert!(events[0].note.contains("10:20:00Z"), "{}", events[0].note);
        }
    }
}

#[test]
fn a_run_that_begins_to_wait_is_told_of_once_where_nothing_is_stopped_for_it() {
    let waiting = |policy: &str, behavior: &str| {
        let started = json!({ "startTime": "2026-11-24T10:00:00Z" });
        let mut scene = hourly().with_run(started).with_agent(json!({}));
        scene.job["spec"]["concurrencyPolicy"] = json!(policy);
        scene.job["spec"]["forbidBehavior"] = json!(behavior);
        scene.now = at("2026-11-24T11:00:01Z");
        scene
    };

    let queued = waiting("Forbid", "Queue");
    let (after, events) = told_of(&queued, |_| {});
    assert_eq!(words(&events), ["RunQueued"]);
    let (_, again) = told_of(&queued.seen(&after), |_| {});
    assert_eq!(words(&again), [""; 0]);
    let (after, events) = told_of(&waiting("Replace", "Skip"), |_| {});
    assert!(after.pending_schedule_time.is_some());
    assert_eq!(words(&events), [""; 0]);
}

#[test]
fn what_becomes_of_a_request_for_a_run_by_hand_is_told() {
    let refused = |problem: Option<&str>| {
        let refused = RefusedRerun {
            id: "1234567890".to_owned(),
            problem: problem.map(str::to_owned),
        };
        let (after, events) = told_of(&hourly(), |plan| plan.refused_rerun = Some(refused));
        assert_eq!(after.reruns, ["1234567890"]);
        let [event] = &events[..] else {
            panic!("{events:?}");
        };
        (event.kind, event.reason.clone())
    };
    let ignored = (EventKind::Normal, "RerunIgnored".to_owned());
    assert_eq!(refused(None), ignored);
    let invalid = (EventKind::Warning, "InvalidRerun".to_owned());
    assert_eq!(refused(Some("has no token")), invalid);

    let mut scene = hourly().started();
    scene.applied.started.as_mut().unwrap().rerun = Some("1234567890".to_owned());
    let (after, events) = told_of(&scene, |_| {});
    assert_eq!(words(&events), ["Rerun", "SuccessfulCreate"]);
    let is_about = |event: &Event| event.job.as_deref() == Some("my-job-1");
    assert!(events.iter().all(is_about), "{events:?}");
    assert_eq!(after.last_schedule_time, None, "no instant is settled");
}

#[test]
fn what_was_done_to_jobs_is_told_of_each() {
    let mut scene = hourly();
    scene.applied.adopted = vec!["adopted".to_owned()];
    scene.applied.deleted = vec![
        ("replaced".to_owned(), Deletion::Replace),
        ("old".to_owned(), Deletion::History),
    ];
    let endings = [
        Ending::VaultRefused,
        Ending::VaultUnavailable,
        Ending::Stuck,
    ];
    let ended = endings.map(|ending| (ending.reason().to_owned(), ending, "so".to_owned()));
    scene.applied.ended = ended.to_vec();
    let about = |events: &[Event]| -> Vec<(String, String)> {
        let events = events.iter().cloned();
        events
            .map(|event| (event.reason, event.job.unwrap_or_default()))
            .collect()
    };
    let pair = |(reason, job): (&str, &str)| (reason.to_owned(), job.to_owned());

    let (_, events) = told_of(&scene, |_| {});
    let expected = [
        ("Replaced", "replaced"),
        ("Adopted", "adopted"),
        ("VaultRefused", "VaultRefused"),
        ("VaultUnavailable", "VaultUnavailable"),
        ("Stuck", "Stuck"),
    ];
    assert_eq!(about(&events), expected.map(pair));
    let tidied = scene.with_facts(events_of_deletions);
    assert_eq!(about(&tidied), [pair(("SuccessfulDelete", "old"))]);
}

#[test]
fn a_clock_that_was_ahead_and_a_pod_that_knows_no_names_are_warned_of() {
    let wrong = at("2026-11-24T15:00:00Z");
    let (_, events) = told_of(&hourly(), |plan| plan.clock_was_at = Some(wrong));
    assert_eq!(words(&events), ["ClockSkew"]);
    assert!(events[0].note.contains("15:00:00Z"), "{}", events[0].note);
    let (_, events) = told_of(&hourly(), |plan| plan.unbelieved = Some(wrong));
    assert_eq!(words(&events), ["ClockSkew"]);

    let mut scene = Scene::injected();
    scene.job["spec"]["schedule"] = json!("0 * * * *");
    scene.job["spec"]["jobTemplate"]["spec"]["template"]["spec"]["hostNetwork"] = json!(true);
    let (after, events) = told_of(&scene, |_| {});
    assert_eq!(words(&events), ["HostNetwork"]);
    let (_, again) = told_of(&scene.seen(&after), |_| {});
    assert_eq!(words(&again), [""; 0]);
    let pod = &mut scene.job["spec"]["jobTemplate"]["spec"]["template"]["spec"];
    pod["dnsPolicy"] = json!("ClusterFirstWithHostNet");
    let (_, events) = told_of(&scene, |_| {});
    assert_eq!(words(&events), [""; 0]);
}

/// Halfway between two instants.
pub(super) fn hourly() -> Scene {
    let mut scene = Scene::once();
    scene.job["spec"]["schedule"] = json!("0 * * * *");
    scene.now = at("2026-11-24T10:30:00Z");
    scene
}

/// The status and the events where the plan is another.
pub(super) fn told_of(
    scene: &Scene,
    change: impl FnOnce(&mut Plan),
) -> (PlanescapeJobStatus, Vec<Event>) {
    scene.with_facts(|facts| {
        let mut plan = facts.plan.clone();
        change(&mut plan);
        let facts = Facts {
            plan: &plan,
            ..*facts
        };
        let after = status(&facts);
        let told = events(&facts, &after);
        (after, told)
    })
}

fn words(events: &[Event]) -> Vec<&str> {
    events.iter().map(|event| event.reason.as_str()).collect()
}

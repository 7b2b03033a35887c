//! Decisions at the very instant, a moment before it and a moment after it.

use serde_json::{Value, json};

use super::tests::{UID, at, cron, end, once, plan_of, plan_with_pods, pod, run, ticks};
use super::*;
use crate::api::names::ENDED_ANNOTATION;
use crate::api::v1alpha1::PlanescapeJobStatus;

#[test]
fn whatever_a_postponed_plan_leaves_out_is_looked_at_again() {
    let (now, wake) = (at("2026-11-24T10:00:01Z"), at("2026-11-24T10:00:11Z"));
    let postponed = |action: Option<Action>, skip: Option<Skip>| {
        let mut plan = Plan {
            actions: action.into_iter().collect(),
            skip,
            missed: 1,
            excluded: 2,
            ..Plan::default()
        };
        plan.postpone(wake);
        plan
    };
    let replace = Action::Delete {
        job: "old".into(),
        uid: "u".into(),
        version: None,
        why: Deletion::Replace,
    };
    let rerun = Action::Rerun {
        id: "1".into(),
        at: now,
        request: Request::default(),
    };
    let skip = Skip {
        tick: now,
        why: Skipped::Forbid,
    };
    for (action, skip) in [
        (Some(Action::Create { tick: now }), None),
        (Some(rerun), None),
        (Some(replace), None),
        (None, Some(skip)),
    ] {
        let expected = Plan {
            wake: Some(wake),
            ..Plan::default()
        };
        assert_eq!(postponed(action.clone(), skip), expected, "{action:?}");
    }
    assert_eq!(postponed(None, None), Plan::default());
}

#[test]
fn a_failure_puts_nothing_off_that_is_due() {
    let now = at("2026-11-24T10:00:00Z");
    for (wake, due, again) in [
        (None, None, "2026-11-24T10:00:37Z"),
        (Some("2026-11-24T10:00:10Z"), None, "2026-11-24T10:00:10Z"),
        // This wake led to the failure.
        (Some("2026-11-24T10:00:00Z"), None, "2026-11-24T10:00:37Z"),
        (Some("2026-11-24T09:59:00Z"), None, "2026-11-24T10:00:37Z"),
        (None, Some("2026-11-24T10:00:10Z"), "2026-11-24T10:00:10Z"),
        (None, Some("2026-11-24T09:59:00Z"), "2026-11-24T10:00:00Z"),
        (
            Some("2026-11-24T10:05:00Z"),
            Some("2026-11-24T10:06:00Z"),
            "2026-11-24T10:00:37Z",
        ),
    ] {
        let wakes = Wakes {
            wake: wake.map(at),
            due: due.map(at),
        };
        let told = wake_after_failure(wakes, now, SignedDuration::from_secs(37));
        assert_eq!(told, at(again), "{wakes:?}");
    }
}

#[test]
fn a_schedule_that_may_have_changed_unread_is_looked_at_soon_whatever_fails() {
    let due = |generation: i64, known: Option<&str>| {
        let mut job = cron("0 * * * *");
        job["metadata"]["generation"] = json!(generation);
        if let Some(schedule) = known {
            let reference = json!({ "schedule": schedule, "since": "2026-11-24T10:00:00Z" });
            job["status"] = json!({ "scheduleReference": reference });
        }
        plan_of(&job, &[], "2026-11-24T10:10:00Z").wakes()
    };
    let next = Some(at("2026-11-24T11:00:00Z"));
    let soon = Some(at("2026-11-24T10:10:05Z"));

    for (generation, known, expected) in [
        (1, None, next),
        (2, None, soon),
        (3, Some("0 * * * * UTC"), next),
        (3, Some("30 * * * * UTC"), soon),
    ] {
        let wakes = due(generation, known);
        assert_eq!(wakes.due, expected, "{generation} {known:?}");
        assert_eq!(wakes.wake, next, "{generation} {known:?}");
    }
}

#[test]
fn a_run_by_hand_starts_neither_beside_an_instant_that_is_due_nor_before_an_adoption() {
    let mut job = cron("0 * * * *");
    job["metadata"]["annotations"] = json!({ "planescape.io/rerun": "fix" });
    job["spec"]["concurrencyPolicy"] = json!("Allow");
    job["status"] = json!({
        "lastScheduleTime": "2026-11-24T10:00:00Z",
        "scheduleReference": { "schedule": "0 * * * * UTC", "since": "2026-11-24T09:00:00Z" },
    });
    let (idle, due) = ("2026-11-24T10:30:00Z", "2026-11-24T11:00:01Z");
    let eleven = at("2026-11-24T11:00:00Z");
    let mut restored = run("2026-11-24T10:00:00Z");
    restored["metadata"]["ownerReferences"] = json!([]);
    restored["metadata"]["labels"] = json!({ "planescape.io/job": "my-job" });

    assert_eq!(reruns(&plan_of(&job, &[], idle)), 1);
    let both = plan_of(&job, &[], due);
    assert_eq!((ticks(&both), reruns(&both)), (vec![eleven], 0));
    assert_eq!(reruns(&plan_of(&job, &[restored], idle)), 0);
    job["spec"]["concurrencyPolicy"] = json!("Forbid");
    let announced = plan_of(&job, &[], due).announced;
    assert_eq!(announced, Some(Announced::Tick(eleven)));
    job["spec"]["suspend"] = json!(true);
    job["spec"]["concurrencyPolicy"] = json!("Allow");
    let by_hand_alone = plan_of(&job, &[], idle);
    assert_eq!(by_hand_alone.next, None);
    assert!(by_hand_alone.starts_something());
}

#[test]
fn a_request_gets_one_run_and_none_beside_as_many_as_may_be() {
    let mut job = cron("0 * * * *");
    job["metadata"]["annotations"] = json!({ "planescape.io/rerun": "fix" });
    job["spec"]["concurrencyPolicy"] = json!("Allow");
    job["spec"]["maxActiveRuns"] = json!(2);
    job["status"] = json!({
        "lastScheduleTime": "2026-11-24T10:00:00Z",
        "scheduleReference": { "schedule": "0 * * * * UTC", "since": "2026-11-24T09:00:00Z" },
    });
    let now = "2026-11-24T10:30:00Z";
    let running = [run("2026-11-24T10:00:00Z"), run("2026-11-24T09:30:00Z")];

    assert_eq!(reruns(&plan_of(&job, &running[..1], now)), 1);
    assert_eq!(reruns(&plan_of(&job, &running, now)), 0);
    let typed: PlanescapeJob = serde_json::from_value(job.clone()).unwrap();
    let id = waiting_rerun(&typed).unwrap();
    let mut met = run("2026-11-24T10:29:00Z");
    met["metadata"]["labels"] = json!({ "planescape.io/run-uid": format!("{UID}-rerun-{id}") });
    end(&mut met, "Complete");
    assert_eq!(reruns(&plan_of(&job, &[met], now)), 0, "it had its run");
}

fn reruns(plan: &Plan) -> usize {
    let is_rerun = |action: &&Action| matches!(action, Action::Rerun { .. });
    plan.actions.iter().filter(is_rerun).count()
}

#[test]
fn an_announcement_counts_for_its_own_run_from_two_seconds_after_it_on() {
    let mut job = cron("0 * * * *");
    let due = at("2026-11-24T11:00:00Z");
    // Which run the status names, since when, and what of it starts when.
    for (tick, since, now, starts) in [
        (
            "2026-11-24T10:00:00Z",
            "2026-11-24T10:00:10Z",
            "2026-11-24T11:00:04Z",
            Err("2026-11-24T11:00:06Z"),
        ),
        (
            "2026-11-24T11:00:00Z",
            "2026-11-24T11:00:09Z",
            "2026-11-24T11:00:04Z",
            Err("2026-11-24T11:00:06Z"),
        ),
        (
            "2026-11-24T11:00:00Z",
            "2026-11-24T11:00:02Z",
            "2026-11-24T11:00:03.999Z",
            Err("2026-11-24T11:00:04Z"),
        ),
        (
            "2026-11-24T11:00:00Z",
            "2026-11-24T11:00:02Z",
            "2026-11-24T11:00:04Z",
            Ok("2026-11-24T12:00:00Z"),
        ),
    ] {
        job["status"] = json!({
            "lastScheduleTime": "2026-11-24T09:00:00Z",
            "announcedRun": { "scheduledTime": tick, "since": since },
        });

        let plan = plan_of(&job, &[], now);

        let (started, wake) = match starts {
            Ok(next) => (vec![due], next),
            Err(later) => (vec![], later),
        };
        assert_eq!(ticks(&plan), started, "{tick} {since} {now}");
        assert_eq!(plan.wake, Some(at(wake)), "{tick} {since} {now}");
    }
}

#[test]
fn a_run_that_was_announced_in_time_has_three_seconds_to_start() {
    let mut job = cron("0 * * * *");
    job["spec"]["startingDeadlineSeconds"] = json!(5);
    let eleven = at("2026-11-24T11:00:00Z");
    job["status"] = json!({
        "lastScheduleTime": "2026-11-24T09:00:00Z",
        "announcedRun": { "scheduledTime": eleven.to_string(), "since": "2026-11-24T11:00:04Z" },
    });

    let last = plan_of(&job, &[], "2026-11-24T11:00:07Z");
    let late = plan_of(&job, &[], "2026-11-24T11:00:07.001Z");

    assert_eq!(ticks(&last), [eleven]);
    assert_eq!(late.skip.map(|skip| skip.why), Some(Skipped::TooLate));
}

#[test]
fn an_instant_is_excluded_by_a_window_that_it_lies_in_or_is_noticed_in() {
    let settled = |from: &str, until: &str, now: &str| {
        let mut job = cron("0 * * * *");
        job["spec"]["exclusionWindows"] = json!([{ "from": from, "until": until }]);
        job["status"] = json!({ "lastScheduleTime": "2026-11-24T11:00:00Z" });
        let plan = plan_of(&job, &[], now);
        (plan.creates(), plan.skip.map(|skip| skip.why))
    };
    let excluded = (false, Some(Skipped::Excluded));
    let (around, after) = (
        ("2026-11-24T12:00:00Z", "2026-11-24T12:30:00Z"),
        ("2026-11-24T12:20:00Z", "2026-11-24T12:50:00Z"),
    );

    for (window, now, expected) in [
        (around, "2026-11-24T12:00:00Z", excluded),
        (around, "2026-11-24T12:40:00Z", excluded),
        (after, "2026-11-24T12:19:59Z", (true, None)),
        (after, "2026-11-24T12:20:00Z", excluded),
        (after, "2026-11-24T12:50:00Z", (true, None)),
    ] {
        assert_eq!(settled(window.0, window.1, now), expected, "{now}");
    }
}

#[test]
fn a_deadline_says_alone_what_is_missed() {
    let mut job = cron("0 * * * *");
    job["spec"]["missedRunPolicy"] = json!("Skip");
    job["spec"]["startingDeadlineSeconds"] = json!(600);

    assert!(plan_of(&job, &[], "2026-11-24T11:05:00Z").creates());
}

#[test]
fn a_run_of_an_instant_to_come_is_found_as_far_as_clocks_may_differ() {
    let mut job = cron("0 * * * *");
    job["status"] = json!({ "lastScheduleTime": "2026-11-24T10:00:00Z" });
    let early = [run("2026-11-24T11:00:00Z")];
    let found = |now: &str| plan_of(&job, &early, now).found.map(|found| found.tick);

    assert_eq!(
        found("2026-11-24T10:55:00Z"),
        Some(at("2026-11-24T11:00:00Z"))
    );
    assert_eq!(found("2026-11-24T10:54:59Z"), None);
}

#[test]
fn an_instant_that_has_a_run_or_had_one_is_neither_missed_nor_run_again() {
    let mut job = cron("0 * * * *");
    job["status"] = json!({ "lastScheduleTime": "2026-11-24T10:00:00Z" });
    let mut untold = run("2026-11-24T12:00:00Z");
    end(&mut untold, "Complete");

    let plan = plan_of(&job, &[untold], "2026-11-24T15:30:00Z");
    assert_eq!(ticks(&plan), [at("2026-11-24T15:00:00Z")]);
    assert_eq!(plan.missed, 3, "eleven, thirteen and fourteen");
    job["status"]["runs"] = json!([{ "job": "my-job-1", "uid": "gone",
        "scheduledTime": "2026-11-24T15:00:00Z", "outcome": "Succeeded" }]);
    assert_eq!(ticks(&plan_of(&job, &[], "2026-11-24T15:30:00Z")), []);
}

#[test]
fn a_clock_was_wrong_that_was_more_than_five_minutes_ahead() {
    let now = at("2026-11-24T10:30:00Z");
    let settled = |status: Value| {
        let status: PlanescapeJobStatus = serde_json::from_value(status).unwrap();
        Settled::of(Some(&status), now)
    };
    let last = |last: &str| settled(json!({ "lastScheduleTime": last })).clock_was_at;
    let before = |before: &str| {
        let status = json!({ "lastScheduleTime": "2026-11-24T12:00:00Z",
            "settledSince": "2026-11-24T12:00:00Z", "settledBefore": before });
        settled(status).ahead.map(|ahead| *ahead.start())
    };
    let since = |since: &str| {
        let mut job = cron("0 * * * *");
        let reference = json!({ "schedule": "0 * * * * UTC", "since": since });
        job["status"] = json!({ "scheduleReference": reference });
        let plan = plan_of(&job, &[], "2026-11-24T10:30:00Z");
        plan.reference.map(|it| it.since.0)
    };
    let (five, more) = ("2026-11-24T10:35:00Z", "2026-11-24T10:35:01Z");

    assert_eq!((last(five), last(more)), (None, Some(at(more))));
    let twelve = Some(at("2026-11-24T12:00:00Z"));
    assert_eq!((before(five), before(more)), (twelve, Some(now)));
    assert_eq!((since(five), since(more)), (Some(at(five)), Some(now)));
}

#[test]
fn no_status_is_believed_that_says_that_all_has_run_for_more_than_a_month_to_come() {
    let settled = |from: &str, until: &str| {
        let status = json!({ "settledAhead": { "from": from, "until": until } });
        let status: PlanescapeJobStatus = serde_json::from_value(status).unwrap();
        let settled = Settled::of(Some(&status), at("2026-11-24T10:30:00Z"));
        let first = settled.ahead.map(|ahead| *ahead.start());
        (first, settled.unbelieved)
    };
    let (from, far) = ("2026-11-24T11:00:00Z", "2036-01-01T00:00:00Z");
    let (month, more) = ("2026-12-25T11:00:00Z", "2026-12-25T11:00:01Z");

    assert_eq!(settled(from, month), (Some(at(from)), None));
    assert_eq!(settled(from, more), (Some(at(more)), Some(at(more))));
    assert_eq!(settled(far, far), (Some(at(far)), None));
}

#[test]
fn another_interval_counts_from_the_edit() {
    let mut job = cron("@every 2h");
    job["status"] = json!({ "scheduleReference": { "schedule": "@every 1h UTC",
        "since": "2026-11-24T10:00:00Z", "anchor": "2026-11-24T10:00:00Z" } });

    let plan = plan_of(&job, &[], "2026-11-24T10:30:00Z");

    assert_eq!(plan.next, Some(at("2026-11-24T12:30:00Z")));
}

#[test]
fn an_edit_takes_away_what_was_to_start_up_to_then_and_has_not() {
    let now = "2026-11-24T12:20:00Z";
    let waiting = |edit: &str, last: &str| {
        let mut job = cron("30 * * * *");
        job["metadata"]["managedFields"] = json!([{ "manager": "kubectl", "operation": "Update",
            "time": edit, "fieldsV1": { "f:spec": { "f:schedule": {} } } }]);
        job["status"] = json!({
            "lastScheduleTime": last, "pendingScheduleTime": "2026-11-24T12:00:00Z",
            "scheduleReference": { "schedule": "0 * * * * UTC", "since": "2026-11-24T10:00:00Z" },
        });
        job
    };
    let (noon, eleven) = ("2026-11-24T12:00:00Z", "2026-11-24T11:00:00Z");
    let started = [run(noon)];
    let dropped = |job: &Value, runs: &[Value]| plan_of(job, runs, now).dropped;

    assert_eq!(dropped(&waiting(noon, eleven), &[]), Some(at(noon)));
    let before = waiting("2026-11-24T11:59:59Z", eleven);
    assert_eq!(dropped(&before, &[]), None, "it was to start after that");
    assert_eq!(dropped(&waiting(noon, noon), &[]), None, "it was settled");
    assert_eq!(dropped(&waiting(noon, eleven), &started), None);
    let mut resumed = waiting(noon, eleven);
    resumed["status"]["scheduleReference"]["schedule"] = json!("30 * * * * UTC (suspended)");
    assert_eq!(dropped(&resumed, &[]), None, "it was not to run");
}

#[test]
fn a_time_that_has_come_is_not_waited_for() {
    let mut job = cron("0 * * * *");
    job["spec"]["stuckAfterSeconds"] = json!(300);
    let running = [run("2026-11-24T11:00:00Z")];
    let at_ten_seconds = plan_of(&job, &running, "2026-11-24T11:00:10Z");
    let at_five_minutes = plan_of(&job, &running, "2026-11-24T11:05:00Z");

    assert_eq!(at_ten_seconds.podless.as_deref(), Some("my-job-29925300"));
    assert_eq!(at_ten_seconds.wake, Some(at("2026-11-24T11:05:00Z")));
    assert_eq!(ends(&at_five_minutes), 1);
    assert_eq!(at_five_minutes.wake, Some(at("2026-11-24T12:00:00Z")));
}

#[test]
fn a_run_is_active_until_it_is_complete_or_has_failed() {
    let job = cron("0 * * * *");
    let is_active = |kind: &str, status: &str| {
        let mut running = run("2026-11-24T11:00:00Z");
        running["status"]["conditions"] = json!([{ "type": kind, "status": status }]);
        let plan = plan_of(&job, &[running], "2026-11-24T12:00:00Z");
        plan.skip.map(|skip| skip.why) == Some(Skipped::Forbid)
    };

    for (kind, status, expected) in [
        ("Suspended", "True", true),
        ("FailureTarget", "True", true),
        ("Complete", "False", true),
        ("Complete", "True", false),
        ("Failed", "True", false),
    ] {
        assert_eq!(is_active(kind, status), expected, "{kind} {status}");
    }
}

#[test]
fn a_run_that_lost_its_annotation_is_still_that_of_the_instant_that_its_label_names() {
    let tick = at("2026-11-24T11:00:00Z");
    let mut stripped = run("2026-11-24T11:00:00Z");
    stripped["metadata"]["annotations"] = json!(null);
    stripped["metadata"]["creationTimestamp"] = json!("2026-11-24T11:00:03Z");
    let label = format!("{UID}-{}", tick.as_second());
    stripped["metadata"]["labels"] = json!({ "planescape.io/run-uid": label });
    end(&mut stripped, "Complete");

    let plan = plan_of(&cron("0 * * * *"), &[stripped], "2026-11-24T11:00:05Z");

    assert_eq!(ticks(&plan), []);
    assert_eq!(plan.found.map(|found| found.tick), Some(tick));
}

#[test]
fn a_run_that_stops_or_was_ended_or_lies_between_two_pods_is_not_stuck() {
    let mut job = cron("0 * * * *");
    job["spec"]["stuckAfterSeconds"] = json!(300);
    let tick = "2026-11-24T11:00:00Z";
    let is_stuck = |run: &Value, pods: &[Value]| {
        let plan = plan_with_pods(
            &job,
            std::slice::from_ref(run),
            pods,
            "2026-11-24T11:30:00Z",
        );
        ends(&plan) == 1
    };
    let running = run(tick);
    let mut stopping = running.clone();
    stopping["metadata"]["deletionTimestamp"] = json!("2026-11-24T11:29:00Z");
    let mut ended = running.clone();
    ended["metadata"]["annotations"][ENDED_ANNOTATION] = json!("stuck");
    let mut over = pod("pod", tick);
    over["status"] = json!({ "phase": "Failed" });

    assert!(is_stuck(&running, &[]));
    assert!(!is_stuck(&stopping, &[]));
    assert!(!is_stuck(&ended, &[]));
    assert!(!is_stuck(&running, &[over]));
}

#[test]
fn a_run_whose_last_pod_is_gone_is_stuck_where_no_other_one_comes_for_long() {
    let tick = "2026-11-24T11:00:00Z";
    let mut gone = run(tick);
    gone["status"]["failed"] = json!(1);
    gone["metadata"]["managedFields"] = json!([
        { "manager": "planescape", "time": "2026-11-24T11:29:00Z" },
        { "manager": "kube-controller-manager", "subresource": "status", "time": "2026-11-24T11:20:00Z" },
    ]);
    let mut over = pod("pod", tick);
    over["status"] = json!({ "phase": "Failed" });
    let planned = |run: &Value, (limit, pods): (u32, &[Value]), now: &str| {
        let mut job = cron("0 * * * *");
        job["spec"]["stuckAfterSeconds"] = json!(limit);
        let plan = plan_with_pods(&job, std::slice::from_ref(run), pods, now);
        (ends(&plan) == 1, plan.podless.is_some(), plan.wake)
    };

    let (before, due) = ("2026-11-24T11:34:59Z", "2026-11-24T11:35:00Z");
    for pods in [&[][..], std::slice::from_ref(&over)] {
        let wake = Some(at(due));
        assert_eq!(planned(&gone, (300, pods), before), (false, false, wake));
        let wake = Some(at("2026-11-24T12:00:00Z"));
        assert_eq!(planned(&gone, (300, pods), due), (true, true, wake));
        let wake = Some(at("2026-11-24T11:40:00Z"));
        assert_eq!(planned(&gone, (1_200, pods), due), (false, true, wake));
    }
    let next = pod("next", tick);
    assert!(!planned(&gone, (300, &[over, next]), due).0);
    gone["status"]["active"] = json!(1);
    assert!(!planned(&gone, (300, &[]), due).0, "it is on its way");
}

#[test]
fn a_run_that_goes_on_after_a_suspension_is_not_stuck_for_the_time_before() {
    let mut job = cron("0 * * * *");
    job["spec"]["stuckAfterSeconds"] = json!(300);
    let mut without_pods = run("2026-11-24T11:00:00Z");
    without_pods["status"]["conditions"] = json!([{ "type": "Suspended", "status": "True" }]);
    let mut after_a_pod = without_pods.clone();
    after_a_pod["status"]["failed"] = json!(1);
    after_a_pod["metadata"]["managedFields"] =
        json!([{ "subresource": "status", "time": "2026-11-24T11:10:00Z" }]);
    let planned = |run: &Value| {
        let now = "2026-11-24T11:40:00Z";
        let plan = plan_with_pods(&job, std::slice::from_ref(run), &[], now);
        (ends(&plan) == 1, plan.podless.is_some())
    };

    // Somebody lets it go on, and the Job controller has not seen that.
    for mut resumed in [without_pods, after_a_pod] {
        assert_eq!(planned(&resumed), (false, false));
        resumed["status"]["conditions"][0]["status"] = json!("False");
        assert_eq!(planned(&resumed), (true, true));
    }
}

#[test]
fn a_one_time_run_that_waits_for_one_by_hand_is_still_to_start() {
    let mut job = once();
    job["spec"]["concurrencyPolicy"] = json!("Forbid");
    job["spec"]["forbidBehavior"] = json!("Queue");
    job["status"] = json!({ "reruns": ["1234567890"] });
    let mut by_hand = run("2026-11-24T10:00:00Z");
    by_hand["metadata"]["labels"] =
        json!({ "planescape.io/run-uid": format!("{UID}-rerun-1234567890") });

    let plan = plan_of(&job, &[by_hand], "2026-11-24T10:00:01Z");

    assert_eq!((plan.creates(), plan.next), (false, None));
    assert_eq!(plan.pending, Some(at("2026-11-24T10:00:00Z")));
    assert!(plan.starts_something());
}

#[test]
fn what_a_run_waits_for_comes_before_what_is_recorded_and_that_before_tidying() {
    let (job, uid) = ("my-job-1".to_owned(), "u".to_owned());
    let delete = |why| Action::Delete {
        job: job.clone(),
        uid: uid.clone(),
        version: None,
        why,
    };
    let at = at("2026-11-24T10:00:00Z");
    let actions = [
        Action::Create { tick: at },
        Action::Adopt {
            job: job.clone(),
            uid: uid.clone(),
        },
        delete(Deletion::Replace),
        Action::Check { tick: at },
        Action::MarkStarted {
            job_uid: uid.clone(),
        },
        delete(Deletion::History),
        Action::Release {
            job: job.clone(),
            uid: uid.clone(),
        },
    ];

    let priorities = actions.map(|action| action.priority());

    let (run, record, tidy) = (Priority::Run, Priority::Record, Priority::Tidy);
    assert_eq!(priorities, [run, run, run, record, record, tidy, tidy]);
    assert!(run < record && record < tidy);
}

fn ends(plan: &Plan) -> usize {
    let is_end = |action: &&Action| matches!(action, Action::End { .. });
    plan.actions.iter().filter(is_end).count()
}

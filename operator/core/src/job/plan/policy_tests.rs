//! Fields of a spec about runs that are late, overlap, fall into a window or do not get on.

use serde_json::json;

use super::tests::{UID, at, cron, end, once, plan_of, plan_with_pods, pod, run, ticks};
use super::*;
use crate::api::names::{CREDENTIALS_ANNOTATION, ENDED_ANNOTATION, ORDER_ANNOTATION};
use crate::defaults::Defaults;
use crate::job::validate::validate;

#[test]
fn a_queued_run_starts_when_the_other_has_ended_and_only_the_latest() {
    let mut job = cron("0 * * * *");
    job["spec"]["forbidBehavior"] = json!("Queue");
    job["status"] = json!({ "lastScheduleTime": "2026-11-24T11:00:00Z" });
    let mut running = run("2026-11-24T11:00:00Z");

    let waiting = plan_of(&job, &[running.clone()], "2026-11-24T12:00:01Z");
    let later = plan_of(&job, &[running.clone()], "2026-11-24T13:00:01Z");
    end(&mut running, "Complete");
    let after = plan_of(&job, &[running], "2026-11-24T13:20:00Z");

    assert_eq!((ticks(&waiting), waiting.skip), (vec![], None));
    assert_eq!(waiting.pending, Some(at("2026-11-24T12:00:00Z")));
    assert_eq!(later.pending, Some(at("2026-11-24T13:00:00Z")));
    assert_eq!(ticks(&after), [at("2026-11-24T13:00:00Z")]);
    assert_eq!(after.missed, 1);
}

#[test]
fn a_queued_run_that_waits_beyond_its_deadline_is_skipped() {
    let mut job = cron("0 * * * *");
    job["spec"]["forbidBehavior"] = json!("Queue");
    job["spec"]["startingDeadlineSeconds"] = json!(600);
    job["status"] = json!({ "pendingScheduleTime": "2026-11-24T12:00:00Z" });
    let running = [run("2026-11-24T11:00:00Z")];

    let in_time = plan_of(&job, &running, "2026-11-24T12:10:00Z");
    let too_late = plan_of(&job, &running, "2026-11-24T12:10:01Z");

    assert_eq!(in_time.skip, None);
    assert_eq!(too_late.skip.map(|skip| skip.why), Some(Skipped::TooLate));
}

#[test]
fn a_queued_run_does_not_outlive_its_deadline_as_a_replacement() {
    let mut job = cron("0 * * * *");
    job["spec"]["concurrencyPolicy"] = json!("Replace");
    job["spec"]["startingDeadlineSeconds"] = json!(45);
    job["status"] = json!({ "pendingScheduleTime": "2026-11-24T12:00:00Z",
        "resolved": { "concurrencyPolicy": "Forbid" } });
    let running = [run("2026-11-24T11:00:00Z")];

    let queued = plan_of(&job, &running, "2026-11-24T12:02:00Z");
    job["status"]["resolved"]["concurrencyPolicy"] = json!("Replace");
    let promised = plan_of(&job, &running, "2026-11-24T12:02:00Z");

    assert_eq!(queued.skip.map(|skip| skip.why), Some(Skipped::TooLate));
    assert_eq!(promised.skip, None);
}

#[test]
fn a_deletion_by_somebody_else_lifts_neither_deadline_nor_window_under_replace() {
    let told = |field: &str, value: serde_json::Value, deleted: &str, now: &str| {
        let mut job = cron("0 * * * *");
        job["spec"]["concurrencyPolicy"] = json!("Replace");
        job["spec"][field] = value;
        let mut stopping = run("2026-11-24T11:00:00Z");
        stopping["metadata"]["deletionTimestamp"] = json!(deleted);
        let plan = plan_of(&job, &[stopping], now);
        (plan.skip.map(|skip| skip.why), plan.pending.is_some())
    };
    let deadline = |deleted: &str, now: &str| {
        let deadline = json!(60);
        told("startingDeadlineSeconds", deadline, deleted, now)
    };
    let too_late = (Some(Skipped::TooLate), false);
    let waits = (None, true);

    // The operator was away for half an hour.
    let late = deadline("2026-11-24T12:29:50Z", "2026-11-24T12:30:00Z");
    assert_eq!(late, too_late);
    let before = deadline("2026-11-24T11:59:50Z", "2026-11-24T12:02:00Z");
    assert_eq!(before, too_late);
    let second_before = deadline("2026-11-24T11:59:59Z", "2026-11-24T12:02:00Z");
    assert_eq!(second_before, too_late, "it was before the instant");
    let in_time = deadline("2026-11-24T11:59:50Z", "2026-11-24T12:00:00Z");
    assert_eq!(in_time, waits);
    let ours = deadline("2026-11-24T12:00:00Z", "2026-11-24T12:02:00Z");
    assert_eq!(ours, waits, "it may have been ours");

    let window = json!([{ "from": "2026-11-24T11:30:00Z", "until": "2026-11-24T12:30:00Z" }]);
    let within = "2026-11-24T12:05:00Z";
    let excluded = told("exclusionWindows", window, within, "2026-11-24T12:05:10Z");
    assert_eq!(excluded, (Some(Skipped::Excluded), false));
    let policy = json!("Skip");
    let missed = told("missedRunPolicy", policy, within, "2026-11-24T12:05:10Z");
    assert_eq!(missed, (Some(Skipped::Missed), false));
}

#[test]
fn what_was_missed_is_skipped_where_the_author_wants_so() {
    let mut job = cron("0 * * * *");
    job["spec"]["missedRunPolicy"] = json!("Skip");

    let punctual = plan_of(&job, &[], "2026-11-24T12:01:00Z");
    let late = plan_of(&job, &[], "2026-11-24T12:01:00.5Z");
    let mut queued = job.clone();
    queued["spec"]["forbidBehavior"] = json!("Queue");
    queued["status"] = json!({ "pendingScheduleTime": "2026-11-24T12:00:00Z" });
    let queued = plan_of(&queued, &[], "2026-11-24T12:30:00Z");

    assert_eq!(ticks(&punctual), [at("2026-11-24T12:00:00Z")]);
    assert_eq!(late.skip.map(|skip| skip.why), Some(Skipped::Missed));
    assert_eq!(late.missed, 1);
    assert_eq!(ticks(&queued), [at("2026-11-24T12:00:00Z")]);
}

#[test]
fn a_spread_job_starts_the_same_time_after_each_instant_and_counts_its_deadline_from_there() {
    let mut job = cron("0 * * * *");
    job["spec"]["jitterSeconds"] = json!(600);
    job["spec"]["startingDeadlineSeconds"] = json!(10);
    let idle = plan_of(&job, &[], "2026-11-24T10:30:00Z");
    let starts = idle.next.unwrap();
    let delay = starts.duration_since(at("2026-11-24T11:00:00Z"));
    assert!((1..=600).contains(&delay.as_secs()), "{delay}");
    assert_eq!(idle.wake, Some(starts));

    let early = plan_of(
        &job,
        &[],
        &(starts - SignedDuration::from_secs(1)).to_string(),
    );
    let due = plan_of(
        &job,
        &[],
        &(starts + SignedDuration::from_secs(10)).to_string(),
    );
    let late = plan_of(
        &job,
        &[],
        &(starts + SignedDuration::from_secs(11)).to_string(),
    );

    assert!(!early.creates() && early.skip.is_none());
    assert_eq!(ticks(&due), [at("2026-11-24T11:00:00Z")]);
    assert_eq!(
        due.next.map(|next| next.duration_since(starts)),
        Some(SignedDuration::from_hours(1))
    );
    assert_eq!(late.skip.map(|skip| skip.why), Some(Skipped::TooLate));
}

#[test]
fn a_run_that_is_due_in_a_window_is_skipped_and_the_next_one_is_named() {
    let mut job = cron("0 * * * *");
    job["spec"]["exclusionWindows"] = json!([
        { "from": "2026-11-24T12:00:00Z", "until": "2026-11-24T14:00:00Z" },
        { "schedule": "0 14 * * *", "duration": "90m" },
    ]);
    job["status"] = json!({ "lastScheduleTime": "2026-11-24T11:00:00Z" });

    let before = plan_of(&job, &[], "2026-11-24T11:30:00Z");
    let inside = plan_of(&job, &[], "2026-11-24T13:00:01Z");
    let after = plan_of(&job, &[], "2026-11-24T16:00:00Z");

    assert_eq!(before.next, Some(at("2026-11-24T16:00:00Z")));
    assert_eq!(before.wake, Some(at("2026-11-24T12:00:00Z")));
    assert_eq!(inside.skip.map(|skip| skip.why), Some(Skipped::Excluded));
    assert_eq!((inside.missed, inside.excluded), (0, 1));
    assert_eq!(ticks(&after), [at("2026-11-24T16:00:00Z")]);
}

#[test]
fn a_token_asks_for_one_run_that_leaves_the_schedule_alone() {
    let mut job = cron("0 * * * *");
    job["metadata"]["annotations"] = json!({ "planescape.io/rerun": "fix" });
    job["spec"]["suspend"] = json!(true);
    let reruns = |job: &serde_json::Value, runs: &[serde_json::Value]| {
        let plan = plan_of(job, runs, "2026-11-24T10:30:00Z");
        let ids = plan.actions.into_iter().filter_map(|action| {
            let Action::Rerun { id, .. } = action else {
                return None;
            };
            Some(id)
        });
        (ids.collect::<Vec<_>>(), plan.refused_rerun)
    };

    let (unseen, refused) = reruns(&job, &[]);
    assert!(unseen.is_empty());
    let refused = refused.unwrap();
    assert_eq!(refused.problem, None);

    let reference =
        json!({ "schedule": "0 * * * * UTC (suspended)", "since": "2026-11-24T10:00:00Z" });
    job["status"] = json!({ "scheduleReference": reference });
    assert!(reruns(&job, &[]).0.is_empty(), "it is announced first");
    let announced = json!({ "rerun": refused.id, "since": "2026-11-24T10:29:58Z" });
    job["status"]["announcedRun"] = announced;
    let (ids, _) = reruns(&job, &[]);
    assert_eq!(ids, std::slice::from_ref(&refused.id));
    let mut made = run("2026-11-24T10:29:00Z");
    made["metadata"]["labels"] =
        json!({ "planescape.io/run-uid": format!("{UID}-rerun-{}", refused.id) });
    assert!(reruns(&job, &[made]).0.is_empty());
    let running = run("2026-11-24T10:00:00Z");
    assert!(reruns(&job, std::slice::from_ref(&running)).0.is_empty());
    job["spec"]["concurrencyPolicy"] = json!("Allow");
    assert_eq!(reruns(&job, &[running]).0.len(), 1);
    job["status"]["reruns"] = json!([refused.id]);
    assert!(reruns(&job, &[]).0.is_empty());

    job["metadata"]["annotations"]["planescape.io/rerun"] = json!("{\"args\": []}");
    let (none, refused) = reruns(&job, &[]);
    assert!(none.is_empty() && refused.unwrap().problem.is_some());
}

#[test]
fn a_run_that_no_status_names_is_announced_before_it_starts_alone() {
    let mut job = cron("0 * * * *");
    job["spec"]["startingDeadlineSeconds"] = json!(5);
    job["status"] = json!({
        "lastScheduleTime": "2026-11-24T08:00:00Z", "nextScheduleTime": "2026-11-24T09:00:00Z",
    });
    let due = at("2026-11-24T11:00:00Z");
    let now = "2026-11-24T11:00:04.500Z";

    let late = plan_of(&job, &[], now);
    assert_eq!(
        (ticks(&late), late.announced),
        (vec![], Some(Announced::Tick(due)))
    );
    assert_eq!(late.wake, Some(at("2026-11-24T11:00:06.500Z")));

    let announced = json!({ "scheduledTime": due.to_string(), "since": "2026-11-24T11:00:04Z" });
    let mut named = job.clone();
    named["status"]["announcedRun"] = announced;
    assert_eq!(ticks(&plan_of(&named, &[], "2026-11-24T11:00:05.900Z")), []);
    let later = plan_of(&named, &[], "2026-11-24T11:00:06.100Z");
    assert_eq!(ticks(&later), [due], "in time when it was announced");
    let others = [run("2026-11-24T09:00:00Z")];
    let beside = plan_of(&named, &others, "2026-11-24T11:00:06.100Z");
    assert_eq!(beside.skip.map(|skip| skip.why), Some(Skipped::Forbid));

    for change in ["concurrencyPolicy", "nextScheduleTime"] {
        let mut other = job.clone();
        match change {
            "concurrencyPolicy" => other["spec"][change] = json!("Allow"),
            _ => other["status"][change] = json!(due.to_string()),
        }
        assert_eq!(ticks(&plan_of(&other, &[], now)), [due], "{change}");
    }
}

#[test]
fn a_run_by_hand_counts_as_active_and_never_as_an_instant() {
    let mut job = cron("0 * * * *");
    job["status"] = json!({ "lastScheduleTime": "2026-11-24T10:00:00Z" });
    let mut by_hand = run("2026-11-24T11:00:00Z");
    by_hand["metadata"]["labels"] =
        json!({ "planescape.io/run-uid": format!("{UID}-rerun-1234567890") });

    let busy = plan_of(&job, &[by_hand.clone()], "2026-11-24T11:00:01Z");
    end(&mut by_hand, "Complete");
    let free = plan_of(&job, &[by_hand], "2026-11-24T11:00:01Z");

    assert_eq!(busy.skip.map(|skip| skip.why), Some(Skipped::Forbid));
    assert_eq!(ticks(&free), [at("2026-11-24T11:00:00Z")]);
}

#[test]
fn what_ran_while_the_clock_was_ahead_does_not_run_when_it_is_ahead_again() {
    let mut job = cron("*/2 * * * *");
    job["status"] = json!({
        "lastScheduleTime": "2026-11-24T10:04:46Z",
        "settledAhead": { "from": "2026-11-24T11:04:00Z", "until": "2026-11-24T11:04:00Z" },
    });

    let again = plan_of(&job, &[], "2026-11-24T11:05:21Z");
    let later = plan_of(&job, &[], "2026-11-24T11:06:00Z");

    assert_eq!((ticks(&again), again.skip), (vec![], None));
    assert_eq!(ticks(&later), [at("2026-11-24T11:06:00Z")]);
}

#[test]
fn a_run_whose_pods_do_not_start_is_ended_when_its_time_is_up() {
    let mut job = cron("0 * * * *");
    job["spec"]["stuckAfterSeconds"] = json!(300);
    let mut running = run("2026-11-24T11:00:00Z");
    running["status"] = json!({ "startTime": "2026-11-24T11:00:00Z" });
    let mut waiting = pod("pod", "2026-11-24T11:00:00Z");
    waiting["metadata"]["creationTimestamp"] = json!("2026-11-24T11:00:10Z");
    let mut started = waiting.clone();
    waiting["status"] = json!({ "phase": "Pending", "containerStatuses": [{
        "name": "main", "state": { "waiting": { "reason": "ImagePullBackOff", "message": "no such image" } },
    }] });
    started["status"] = json!({ "phase": "Running" });
    let mut restarting = waiting.clone();
    restarting["status"]["containerStatuses"][0]["lastState"] =
        json!({ "terminated": { "exitCode": 1 } });
    let endings = |pods: &[serde_json::Value], now: &str| {
        let plan = plan_with_pods(&job, &[running.clone()], pods, now);
        let ends = plan.actions.iter().filter_map(|action| {
            let Action::End { ending, why, .. } = action else {
                return None;
            };
            Some((*ending, why.clone()))
        });
        (ends.collect::<Vec<_>>(), plan.wake)
    };

    let (none, wake) = endings(&[waiting.clone()], "2026-11-24T11:05:09Z");
    assert!(none.is_empty());
    assert_eq!(wake, Some(at("2026-11-24T11:05:10Z")));
    let (ended, _) = endings(&[waiting], "2026-11-24T11:05:10Z");
    let [(Ending::Stuck, why)] = &ended[..] else {
        panic!("{ended:?}");
    };
    assert!(why.contains("ImagePullBackOff: no such image"), "{why}");
    for begun in [started, restarting] {
        assert!(endings(&[begun], "2026-11-24T11:30:00Z").0.is_empty());
    }
    assert_eq!(endings(&[], "2026-11-24T11:30:00Z").0.len(), 1);
}

#[test]
fn a_run_whose_pod_is_gone_waits_for_the_one_that_takes_its_place() {
    let mut job = cron("0 * * * *");
    job["spec"]["stuckAfterSeconds"] = json!(300);
    let planned = |counted: &str, pods: u32| {
        let mut running = run("2026-11-24T11:00:00Z");
        running["status"] = json!({ "startTime": "2026-11-24T11:00:00Z", counted: pods });
        let plan = plan_of(&job, &[running], "2026-11-24T11:30:00Z");
        let mut actions = plan.actions.iter();
        let is_ended = actions.any(|action| matches!(action, Action::End { .. }));
        (is_ended, plan.podless.is_some())
    };

    for counted in ["active", "terminating", "succeeded", "failed"] {
        assert_eq!(planned(counted, 1), (false, false), "{counted}");
        assert_eq!(planned(counted, 0), (true, true), "{counted}");
    }
}

#[test]
fn a_run_that_began_after_its_deadline_has_as_long_for_its_secrets() {
    let mut job = once();
    job["spec"]["startingDeadlineSeconds"] = json!(60);
    let mut waiting = run("2026-11-24T10:00:00Z");
    waiting["spec"]["suspend"] = json!(true);
    waiting["status"] = json!({});
    waiting["metadata"]["annotations"][ORDER_ANNOTATION] = json!("{}");
    let ends = |waiting: &serde_json::Value, created: &str, now: &str| {
        let mut waiting = waiting.clone();
        waiting["metadata"]["creationTimestamp"] = json!(created);
        let plan = plan_of(&job, &[waiting], now);
        let mut actions = plan.actions.into_iter();
        actions.any(
            |it| matches!(it, Action::End { ending, .. } if ending == Ending::VaultUnavailable),
        )
    };

    let punctual = "2026-11-24T10:00:01Z";
    assert!(!ends(&waiting, punctual, "2026-11-24T10:01:00.999Z"));
    assert!(ends(&waiting, punctual, "2026-11-24T10:01:01Z"));
    assert!(ends(&waiting, punctual, "2026-11-24T11:30:00Z"));
    // A queue that has let it go makes no Secrets.
    waiting["spec"]["suspend"] = json!(false);
    assert!(ends(&waiting, punctual, "2026-11-24T10:01:01Z"));
    // It was decided in time, and made when that was over.
    let just_late = "2026-11-24T10:01:00Z";
    assert!(!ends(&waiting, just_late, "2026-11-24T10:02:00.999Z"));
    // The job was suspended until then.
    let late = "2026-11-24T12:00:00Z";
    assert!(!ends(&waiting, late, "2026-11-24T12:01:00.999Z"));
    assert!(ends(&waiting, late, "2026-11-24T12:01:01Z"));
}

#[test]
fn secrets_have_the_second_that_a_deadline_of_none_leaves_and_end_nothing_without_one() {
    let mut waiting = run("2026-11-24T10:00:00Z");
    waiting["metadata"]["annotations"][ORDER_ANNOTATION] = json!("{}");
    let ends = |deadline: serde_json::Value, created: serde_json::Value, now: &str| {
        let mut job = once();
        job["spec"]["startingDeadlineSeconds"] = deadline;
        let mut waiting = waiting.clone();
        waiting["metadata"]["creationTimestamp"] = created;
        let plan = plan_of(&job, &[waiting], now);
        let mut actions = plan.actions.iter();
        (
            actions.any(|it| matches!(it, Action::End { .. })),
            plan.wake,
        )
    };
    let tick = json!("2026-11-24T10:00:00Z");

    let second = Some(at("2026-11-24T10:00:01Z"));
    let at_once = ends(json!(0), tick.clone(), "2026-11-24T10:00:00.030Z");
    assert_eq!(at_once, (false, second));
    assert!(ends(json!(0), tick.clone(), "2026-11-24T10:00:01Z").0);
    // A Job that does not say when it was made counts from its instant.
    assert!(ends(json!(0), json!(null), "2026-11-24T10:00:01Z").0);
    assert!(!ends(json!(null), tick, "2026-11-25T10:00:00Z").0);
}

#[test]
fn a_run_without_its_secrets_is_ended_once_and_not_while_it_stops_or_works() {
    let (tick, now) = ("2026-11-24T10:00:00Z", "2026-11-24T10:01:01Z");
    let mut job = once();
    job["spec"]["startingDeadlineSeconds"] = json!(60);
    let mut waiting = run(tick);
    waiting["spec"]["suspend"] = json!(true);
    waiting["metadata"]["creationTimestamp"] = json!(tick);
    waiting["metadata"]["annotations"][ORDER_ANNOTATION] = json!("{}");
    let mut stopping = waiting.clone();
    stopping["metadata"]["deletionTimestamp"] = json!("2026-11-24T10:00:50Z");
    let mut ended = waiting.clone();
    ended["metadata"]["annotations"][ENDED_ANNOTATION] = json!("stuck");
    let mut refused = waiting.clone();
    let report = json!({ "phase": "login", "reason": "LoginDenied" });
    refused["metadata"]["annotations"][CREDENTIALS_ANNOTATION] = json!(report.to_string());
    job["status"] = json!({ "runs": [{
        "job": refused["metadata"]["name"], "uid": refused["metadata"]["uid"], "outcome": "Running",
        "scheduledTime": tick, "refusedSince": tick, "deniedSince": tick,
    }] });
    let mut works = pod("pod", tick);
    works["status"] = json!({ "containerStatuses": [{
        "name": "main", "image": "", "imageID": "", "ready": true, "restartCount": 0,
        "state": { "running": {} },
    }] });
    let endings = |run: &serde_json::Value, pods: &[serde_json::Value]| {
        let plan = plan_with_pods(&job, std::slice::from_ref(run), pods, now);
        let ends = plan.actions.iter().filter_map(|action| {
            let Action::End { ending, .. } = action else {
                return None;
            };
            Some(*ending)
        });
        ends.collect::<Vec<_>>()
    };

    assert_eq!(endings(&waiting, &[]), [Ending::VaultUnavailable]);
    assert_eq!(endings(&refused, &[]), [Ending::VaultRefused]);
    assert_eq!(endings(&stopping, &[]), []);
    assert_eq!(endings(&ended, &[]), []);
    assert_eq!(endings(&waiting, &[works]), []);
}

#[test]
fn a_run_that_its_queue_holds_back_is_active_and_neither_stuck_nor_without_pods() {
    let mut job = cron("0 * * * *");
    job["spec"]["stuckAfterSeconds"] = json!(300);
    job["spec"]["concurrencyPolicy"] = json!("Forbid");
    let mut held_back = run("2026-11-24T11:00:00Z");
    // The Job controller takes the time of its start away a moment after the suspension.
    held_back["spec"]["suspend"] = json!(true);

    let plan = plan_of(&job, &[held_back.clone()], "2026-11-24T11:30:00Z");
    let next = plan_of(&job, &[held_back], "2026-11-24T12:00:00Z");

    let is_end = |action: &Action| matches!(action, Action::End { .. });
    assert!(!plan.actions.iter().any(is_end), "{:?}", plan.actions);
    assert_eq!(plan.podless, None);
    assert_eq!(next.skip.map(|skip| skip.why), Some(Skipped::Forbid));
}

#[test]
fn an_edit_names_the_run_that_it_takes_away() {
    let mut job = cron("0 * * * *");
    job["spec"]["forbidBehavior"] = json!("Queue");
    job["status"] = json!({
        "lastScheduleTime": "2026-11-24T11:00:00Z", "pendingScheduleTime": "2026-11-24T12:00:00Z",
        "scheduleReference": { "schedule": "0 * * * * UTC", "since": "2026-11-24T10:00:00Z" },
    });
    let running = [run("2026-11-24T11:00:00Z")];
    let dropped = |job: &serde_json::Value| plan_of(job, &running, "2026-11-24T12:20:00Z").dropped;
    let noon = Some(at("2026-11-24T12:00:00Z"));
    let change = |field: &str, value: serde_json::Value| {
        let mut job = job.clone();
        job["spec"][field] = value;
        job
    };
    let windows = json!([{ "from": "2026-12-24T00:00:00Z", "until": "2026-12-27T00:00:00Z" }]);

    assert_eq!(dropped(&job), None, "it waits");
    assert_eq!(dropped(&change("exclusionWindows", windows)), noon);
    assert_eq!(dropped(&change("schedule", json!("30 * * * *"))), noon);
    let mut suspended = change("suspend", json!(true));
    assert_eq!(dropped(&suspended), noon);
    // A refused run that is tried again is not named by the status.
    suspended["status"]["pendingScheduleTime"] = json!(null);
    assert_eq!(dropped(&suspended), noon);
    suspended["status"]["lastScheduleTime"] = json!("2026-11-24T12:00:00Z");
    assert_eq!(dropped(&suspended), None);

    let mut resumed = job.clone();
    resumed["status"]["scheduleReference"]["schedule"] = json!("0 * * * * UTC (suspended)");
    resumed["status"]["pendingScheduleTime"] = json!(null);
    assert_eq!(dropped(&resumed), None, "it was not to run");
}

#[test]
fn a_run_is_late_from_when_it_was_to_start_and_not_from_its_instant() {
    let late = |status: serde_json::Value| {
        let mut job = cron("0 * * * *");
        job["status"] = status;
        let job = serde_json::from_value(job).unwrap();
        let now = at("2026-11-24T12:20:00Z");
        let (validated, _) = validate(&job, &Defaults::default(), now).unwrap();
        let tick = at("2026-11-24T12:00:00Z");
        lateness(&job, &validated, tick, now).map(|late| late.as_secs())
    };
    let since = |since: &str| json!({ "scheduleReference": { "schedule": "0 * * * * UTC", "since": since } });

    assert_eq!(late(since("2026-11-24T10:00:00Z")), Some(20 * 60));
    assert_eq!(late(since("2026-11-24T12:19:00Z")), Some(60));
    let pending = json!({ "pendingScheduleTime": "2026-11-24T12:00:00Z" });
    assert_eq!(late(pending), None);
}

#[test]
fn a_run_that_has_waited_for_its_turn_beyond_its_deadline_does_not_start() {
    let may = |deadline: serde_json::Value, pending: Option<&str>, now: &str| {
        let mut job = cron("0 * * * *");
        job["spec"]["startingDeadlineSeconds"] = deadline;
        job["status"] = json!({ "pendingScheduleTime": pending });
        let job = serde_json::from_value(job).unwrap();
        let (validated, _) = validate(&job, &Defaults::default(), at(now)).unwrap();
        may_still_start(&job, &validated, at("2026-11-24T12:00:00Z"), at(now))
    };
    let noon = Some("2026-11-24T12:00:00Z");

    assert!(may(json!(30), None, "2026-11-24T12:00:35Z"));
    assert!(!may(json!(30), None, "2026-11-24T12:00:35.001Z"));
    assert!(
        may(json!(30), noon, "2026-11-24T12:01:00Z"),
        "it was promised"
    );
    assert!(may(json!(null), None, "2026-11-24T12:30:00Z"));
}

#[test]
fn a_status_of_the_year_2028_or_9999_keeps_no_run_from_starting() {
    let status = |last: &str| {
        [
            json!({ "lastScheduleTime": last }),
            json!({ "lastScheduleTime": last, "settledSince": "2026-11-24T09:00:00Z" }),
            json!({ "settledAhead": { "from": "2026-11-24T10:31:00Z", "until": last } }),
        ]
    };
    let all = ["2028-01-01T00:00:00Z", "9999-12-30T21:00:00Z"].map(status);
    for status in all.into_iter().flatten() {
        let mut job = cron("0 * * * *");
        job["status"] = status;
        job["status"]["scheduleReference"] =
            json!({ "schedule": "0 * * * * UTC", "since": "2026-11-24T10:00:00Z" });

        let plan = plan_of(&job, &[], "2026-11-24T10:30:00Z");

        let next = Some(at("2026-11-24T11:00:00Z"));
        assert_eq!((plan.next, plan.due), (next, next), "{job}");
    }
}

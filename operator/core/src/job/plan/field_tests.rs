//! Faults that were found in the field, each of which once started a run too many or too few.

use serde_json::{Value, json};

use super::tests::{
    UID, at, cron, end, once, plan_of, plan_with, plan_with_pods, pod, released, run, ticks,
    unfiltered_plan,
};
use super::*;
use crate::defaults::Defaults;

#[test]
fn a_postponed_plan_settles_nothing_and_goes_on_with_the_rest() {
    let now = at("2026-11-24T10:00:01Z");
    let create = Action::Create { tick: now };
    let delete = |why| Action::Delete {
        job: "old".into(),
        uid: "u".into(),
        version: None,
        why,
    };
    let mut plan = Plan {
        actions: vec![create, delete(Deletion::Replace), delete(Deletion::History)],
        skip: Some(Skip {
            tick: now,
            why: Skipped::Forbid,
        }),
        missed: 3,
        wake: Some(at("2026-11-24T11:00:00Z")),
        ..Plan::default()
    };

    assert!(plan.starts_something());
    plan.postpone(at("2026-11-24T10:00:11Z"));

    assert_eq!(plan.actions, [delete(Deletion::History)]);
    assert_eq!((plan.skip, plan.missed), (None, 0));
    assert_eq!(plan.wake, Some(at("2026-11-24T10:00:11Z")));
    assert!(!plan.starts_something());

    let mut idle = unfiltered_plan(&cron("0 * * * *"), "2026-11-24T10:10:00Z");
    assert!(idle.starts_something());
    idle.postpone(at("2026-11-24T10:10:10Z"));
    assert_eq!(idle.wake, Some(at("2026-11-24T11:00:00Z")));
    let mut over = once();
    over["status"] = json!({ "lastScheduleTime": "2026-11-24T10:00:00Z" });
    assert!(!unfiltered_plan(&over, "2026-11-24T10:10:00Z").starts_something());
}

#[test]
fn a_forged_owner_in_another_namespace_blocks_nothing() {
    let mut forged = run("2026-11-24T11:00:00Z");
    forged["metadata"]["namespace"] = json!("elsewhere");
    forged["spec"]["suspend"] = json!(true);

    for policy in ["Forbid", "Replace"] {
        let mut job = cron("0 * * * *");
        job["spec"]["concurrencyPolicy"] = json!(policy);
        let plan = plan_of(&job, &[forged.clone()], "2026-11-24T12:00:00Z");

        assert_eq!(ticks(&plan), [at("2026-11-24T12:00:00Z")], "{policy}");
    }
}

#[test]
fn an_ended_job_that_is_being_deleted_stays_until_its_end_is_recorded() {
    let mut job = cron("0 * * * *");
    job["status"] = json!({ "lastScheduleTime": "2026-11-24T10:00:00Z", "runs": [
        { "job": "my-job-29925240", "uid": "uid-2026-11-24T10:00:00Z",
          "scheduledTime": "2026-11-24T10:00:00Z", "outcome": "Running" },
    ] });
    let mut run = run("2026-11-24T10:00:00Z");
    run["metadata"]["deletionTimestamp"] = json!("2026-11-24T10:00:03Z");
    assert_eq!(
        released(&plan_of(&job, &[run.clone()], "2026-11-24T10:00:04Z")),
        1
    );

    end(&mut run, "Complete");
    assert_eq!(
        released(&plan_of(&job, &[run.clone()], "2026-11-24T10:00:04Z")),
        0
    );
    job["status"]["runs"] = json!([]);
    assert_eq!(released(&plan_of(&job, &[run], "2026-11-24T10:00:04Z")), 0);
}

#[test]
fn a_run_without_its_annotation_still_counts() {
    let mut stripped = run("2026-11-24T11:00:00Z");
    stripped["metadata"]["annotations"] = json!(null);
    stripped["metadata"]["creationTimestamp"] = json!("2026-11-24T11:00:00Z");

    let plan = plan_of(&cron("0 * * * *"), &[stripped], "2026-11-24T12:00:00Z");

    assert_eq!(plan.skip.map(|skip| skip.why), Some(Skipped::Forbid));
}

#[test]
fn what_settles_an_instant_is_read_afresh() {
    let mut job = cron("0 * * * *");
    let idle = plan_of(&job, &[], "2026-11-24T10:30:00Z");
    job["status"] = json!({ "scheduleReference": idle.reference });
    let typed = serde_json::from_value(job.clone()).unwrap();
    assert!(!idle.needs_fresh_reading(&typed));
    let running = [run("2026-11-24T11:00:00Z")];

    let skipped = plan_of(&job, &running, "2026-11-24T12:00:00Z");
    let mut replacing = job.clone();
    replacing["spec"]["concurrencyPolicy"] = json!("Replace");
    let replaced = plan_of(&replacing, &running, "2026-11-24T12:00:00Z");

    assert!(skipped.skip.is_some() && skipped.needs_fresh_reading(&typed));
    assert!(replaced.needs_fresh_reading(&typed));
    let checking = unfiltered_plan(&job, "2026-11-24T10:30:00Z");
    assert!(checking.needs_fresh_reading(&typed));
    job["spec"]["schedule"] = json!("30 * * * *");
    let edited = plan_of(&job, &[], "2026-11-24T10:40:00Z");
    assert!(edited.actions.is_empty() && edited.skip.is_none());
    assert!(edited.needs_fresh_reading(&typed), "it counts from now on");
}

#[test]
fn runs_come_before_records_and_records_before_tidying() {
    let mut job = cron("0 * * * *");
    job["spec"]["concurrencyPolicy"] = json!("Allow");
    job["spec"]["successfulJobsHistoryLimit"] = json!(0);
    job["status"] = json!({ "lastScheduleTime": "2026-11-24T11:00:00Z", "runs": [
        { "job": "my-job-29925300", "uid": "uid-2026-11-24T11:00:00Z",
          "scheduledTime": "2026-11-24T11:00:00Z", "outcome": "Succeeded" },
    ] });
    let mut old = run("2026-11-24T11:00:00Z");
    end(&mut old, "Complete");

    let plan = plan_of(&job, &[old], "2026-11-24T12:00:00Z");

    let priorities: Vec<Priority> = plan.actions.iter().map(Action::priority).collect();
    assert_eq!(priorities, [Priority::Run, Priority::Tidy, Priority::Tidy]);
}

#[test]
fn no_instant_runs_twice_when_the_clock_was_ahead_for_a_while() {
    let mut job = cron("0 * * * *");
    job["spec"]["successfulJobsHistoryLimit"] = json!(0);
    job["spec"]["failedJobsHistoryLimit"] = json!(0);
    // 10:00 ran; then the clock said 12:00 and 13:00, and now it is 10:05.
    job["status"] = json!({
        "lastScheduleTime": "2026-11-24T13:00:00Z",
        "settledSince": "2026-11-24T12:00:00Z",
        "scheduleReference": { "schedule": "0 * * * * UTC", "since": "2026-11-24T08:00:00Z" },
    });

    let status = serde_json::from_value(job["status"].clone()).unwrap();
    let ahead = Settled::of(Some(&status), at("2026-11-24T10:05:00Z")).ahead;
    let ran = at("2026-11-24T12:00:00Z")..=at("2026-11-24T13:00:00Z");
    assert_eq!(ahead, Some(ran));
    let back = plan_of(&job, &[], "2026-11-24T10:05:00Z");
    assert_eq!(ticks(&back), []);
    assert_eq!(back.next, Some(at("2026-11-24T11:00:00Z")));
    job["status"]["lastScheduleTime"] = json!("2026-11-24T10:05:00Z");
    job["status"]["nextScheduleTime"] = json!("2026-11-24T11:00:00Z");
    job["status"]["settledAhead"] =
        json!({ "from": "2026-11-24T12:00:00Z", "until": "2026-11-24T13:00:00Z" });

    let missed = plan_of(&job, &[], "2026-11-24T11:00:00Z");
    assert_eq!(ticks(&missed), [at("2026-11-24T11:00:00Z")]);
    assert_eq!(missed.next, Some(at("2026-11-24T14:00:00Z")));
    job["status"]["lastScheduleTime"] = json!("2026-11-24T11:00:00Z");
    job["status"]["nextScheduleTime"] = json!("2026-11-24T14:00:00Z");
    for done in ["2026-11-24T12:00:00Z", "2026-11-24T13:00:00Z"] {
        assert_eq!(ticks(&plan_of(&job, &[], done)), [], "{done}");
    }
    let after = plan_of(&job, &[], "2026-11-24T14:00:00Z");
    assert_eq!(ticks(&after), [at("2026-11-24T14:00:00Z")]);
}

#[test]
fn no_instant_runs_twice_when_the_clock_was_ahead_and_is_behind_then() {
    let mut job = cron("0 * * * *");
    // 10:00 ran; then the clock said 12:00, and now it is a minute before 10:00 again.
    job["status"] = json!({
        "lastScheduleTime": "2026-11-24T12:00:00Z",
        "settledSince": "2026-11-24T12:00:00Z",
        "settledBefore": "2026-11-24T10:00:00Z",
        "scheduleReference": { "schedule": "0 * * * * UTC", "since": "2026-11-24T08:00:00Z" },
    });
    let settled = |job: &Value| {
        let status = serde_json::from_value(job["status"].clone()).unwrap();
        Settled::of(Some(&status), at("2026-11-24T09:59:00Z"))
    };
    let twelve = at("2026-11-24T12:00:00Z");

    let behind = settled(&job);
    let again = plan_of(&job, &[], "2026-11-24T10:00:00Z");
    // It was wrong in two ways, and only the last is known from its beginning.
    job["status"]["settledBefore"] = json!("2026-11-24T11:00:00Z");
    let unknown = settled(&job);

    assert_eq!(behind.last, Some(at("2026-11-24T10:00:00Z")));
    assert_eq!(behind.ahead, Some(twelve..=twelve));
    assert_eq!(ticks(&again), []);
    assert_eq!(unknown.ahead, Some(at("2026-11-24T09:59:00Z")..=twelve));
}

#[test]
fn an_edit_while_nobody_looked_loses_no_instant_after_it() {
    let mut job = cron("0 * * * *");
    job["status"] = json!({
        "lastScheduleTime": "2026-11-24T10:00:00Z",
        "scheduleReference": {
            "schedule": "0 * * * * UTC (suspended)", "since": "2026-11-24T10:00:00Z",
        },
    });
    job["metadata"]["managedFields"] = json!([
        { "manager": "kubectl", "operation": "Update", "time": "2026-11-24T10:30:00Z",
          "fieldsV1": { "f:spec": { "f:suspend": {} } } },
        { "manager": "planescape", "operation": "Update", "time": "2026-11-24T11:10:00Z",
          "subresource": "status", "fieldsV1": { "f:status": {} } },
        { "manager": "planescape", "operation": "Update", "time": "2026-11-24T11:10:00Z",
          "fieldsV1": { "f:metadata": {} } },
    ]);

    let plan = plan_of(&job, &[], "2026-11-24T11:20:00Z");

    // The status of a suspended job has named no next run.
    let eleven = at("2026-11-24T11:00:00Z");
    assert_eq!(plan.announced, Some(Announced::Tick(eleven)));
}

#[test]
fn the_return_of_an_operators_setting_corrects_no_spec() {
    let mut job = cron("0 * * * *");
    job["metadata"]["generation"] = json!(3);
    job["spec"]["vault"] = json!({ "role": "r", "path": "kv/data/x" });
    let without = plan_of(&job, &[], "2026-11-24T10:30:00Z");
    assert_eq!(ticks(&without), []);
    job["status"] = json!({ "scheduleReference": without.reference });

    let with = Defaults {
        vault_address: Some("https://vault:8200".into()),
        ..Defaults::default()
    };
    let plan = plan_with(&job, &[], &with, "2026-11-24T11:20:00Z");

    let eleven = at("2026-11-24T11:00:00Z");
    assert_eq!(plan.announced, Some(Announced::Tick(eleven)));
}

#[test]
fn a_template_that_an_operators_setting_broke_is_checked_when_the_setting_is_back() {
    let mut job = cron("0 * * * *");
    job["metadata"]["generation"] = json!(3);
    let condition = json!({
        "type": "TemplateValid", "status": "False", "reason": "InvalidTemplate", "message": "",
        "observedGeneration": 3, "lastTransitionTime": "2026-11-24T10:30:00Z",
    });
    job["status"] = json!({ "conditions": [condition], "scheduleReference": {
        "schedule": "0 * * * * UTC", "since": "2026-11-24T10:00:00Z", "invalidGeneration": 3,
    } });

    let back = unfiltered_plan(&job, "2026-11-24T10:40:00Z");
    job["status"]["scheduleReference"]["invalidGeneration"] = json!(2);
    let refused = unfiltered_plan(&job, "2026-11-24T10:40:00Z");

    assert!(back.checks(), "{:?}", back.actions);
    assert!(!refused.checks(), "{:?}", refused.actions);
}

#[test]
fn an_interval_keeps_its_phase_when_it_is_suspended_or_mended() {
    let mut job = cron("@every 1h");
    let first = plan_of(&job, &[], "2026-11-24T10:20:00Z");
    job["status"] = json!({ "scheduleReference": first.reference });
    job["spec"]["suspend"] = json!(true);
    let suspended = plan_of(&job, &[], "2026-11-24T10:25:00Z");
    job["status"] = json!({ "scheduleReference": suspended.reference });
    job["spec"]["suspend"] = json!(false);

    let resumed = plan_of(&job, &[], "2026-11-24T10:40:00Z");

    assert_eq!(resumed.next, Some(at("2026-11-24T11:00:00Z")));
    job["status"] = json!({ "scheduleReference": resumed.reference });
    let template = job["spec"]["jobTemplate"].clone();
    job["spec"]["jobTemplate"] = json!({});
    let broken = plan_of(&job, &[], "2026-11-24T10:45:00Z");
    assert!(!broken.creates() && broken.next.is_none());
    job["status"] = json!({ "scheduleReference": broken.reference });
    job["spec"]["jobTemplate"] = template;
    job["metadata"]["generation"] = json!(2);

    let mended = plan_of(&job, &[], "2026-11-24T10:50:00Z");

    assert_eq!(mended.next, Some(at("2026-11-24T11:00:00Z")));
}

#[test]
fn a_deadline_of_zero_is_the_second_itself() {
    let mut job = cron("0 * * * *");
    job["spec"]["startingDeadlineSeconds"] = json!(0);

    assert!(plan_of(&job, &[], "2026-11-24T11:00:00.250Z").creates());
    let late = plan_of(&job, &[], "2026-11-24T11:00:01Z");
    assert_eq!(late.skip.map(|skip| skip.why), Some(Skipped::TooLate));
}

#[test]
fn as_many_runs_are_active_as_may_be() {
    let mut job = cron("0 * * * *");
    job["spec"]["concurrencyPolicy"] = json!("Allow");
    job["spec"]["maxActiveRuns"] = json!(2);
    let one = [run("2026-11-24T10:00:00Z")];
    let two = [run("2026-11-24T10:00:00Z"), run("2026-11-24T11:00:00Z")];

    assert!(plan_of(&job, &one, "2026-11-24T12:00:00Z").creates());
    let full = plan_of(&job, &two, "2026-11-24T12:00:00Z");
    assert_eq!(full.skip.map(|skip| skip.why), Some(Skipped::TooMany));
}

#[test]
fn a_job_that_lost_its_owner_is_adopted_and_not_run_again() {
    let mut restored = run("2026-11-24T10:00:00Z");
    restored["metadata"]["ownerReferences"] = json!([]);
    restored["metadata"]["finalizers"] = json!([]);
    restored["metadata"]["labels"] = json!({ "planescape.io/job": "my-job" });
    let adopted = Action::Adopt {
        job: "my-job-29925240".into(),
        uid: "uid-2026-11-24T10:00:00Z".into(),
    };

    for job in [once(), cron("0 * * * *")] {
        let plan = plan_of(&job, &[restored.clone()], "2026-11-24T11:00:00Z");
        assert_eq!(plan.actions, std::slice::from_ref(&adopted), "{job}");
    }
    end(&mut restored, "Complete");
    let ended = plan_of(&cron("0 * * * *"), &[restored], "2026-11-24T11:00:00Z");
    assert!(ended.creates());
}

#[test]
fn a_mark_of_another_planescapejob_starts_nothing_and_is_named() {
    let mut copied = once();
    copied["metadata"]["annotations"] = json!({ "planescape.io/once-started": "other/job" });
    let typed = serde_json::from_value(copied.clone()).unwrap();

    assert!(!plan_of(&copied, &[], "2026-11-24T10:00:01Z").creates());
    assert_eq!(has_run_elsewhere(&typed), Some("other/job"));
    copied["metadata"]["annotations"] =
        json!({ "planescape.io/once-started": format!("{UID}/job") });
    let own = serde_json::from_value(copied).unwrap();
    assert_eq!(has_run_elsewhere(&own), None);
    let settled = json!({ "lastScheduleTime": "2026-11-24T10:00:00Z" });
    for (mut job, status) in [(cron("0 * * * *"), json!(null)), (once(), settled)] {
        job["metadata"]["annotations"] = json!({ "planescape.io/once-started": "other/job" });
        job["status"] = status;
        let job = serde_json::from_value(job).unwrap();
        assert_eq!(has_run_elsewhere(&job), None, "it says nothing of this one");
    }
}

#[test]
fn each_run_that_is_refused_for_good_is_ended_after_a_while() {
    let ticks = [
        "2026-11-24T11:00:00Z",
        "2026-11-24T10:20:00Z",
        "2026-11-24T10:00:00Z",
    ];
    let runs = ticks.map(run);
    let mut job = cron("0 * * * *");
    job["spec"]["concurrencyPolicy"] = json!("Allow");
    job["status"] = json!({ "runs": [{
        "job": runs[1]["metadata"]["name"], "uid": runs[1]["metadata"]["uid"], "outcome": "Running",
        "scheduledTime": ticks[1], "refusedSince": "2026-11-24T10:10:05Z",
        "deniedSince": "2026-11-24T10:20:05Z",
    }] });
    let ended_after = |heard: &str, reason: &str, now: &str| {
        let report = json!({ "phase": "read", "reason": reason, "path": "kv/data/x" });
        let agent = |state: Value, is_ready: bool| {
            json!({ "name": "vault-agent", "image": "", "imageID": "", "ready": is_ready,
                "started": is_ready, "restartCount": 9, "state": state })
        };
        let refused = json!({ "terminated": {
            "exitCode": 77, "message": report.to_string(), "finishedAt": heard } });
        let works = json!({ "running": {} });
        let states = [
            agent(works, true),
            agent(refused.clone(), false),
            agent(refused, false),
        ];
        let pods: Vec<Value> = runs
            .iter()
            .zip(states)
            .map(|(run, status)| {
                let mut pod = pod("pod", ticks[0]);
                pod["metadata"]["ownerReferences"][0]["name"] = run["metadata"]["name"].clone();
                pod["metadata"]["ownerReferences"][0]["uid"] = run["metadata"]["uid"].clone();
                pod["status"] = json!({ "initContainerStatuses": [status] });
                pod
            })
            .collect();
        let plan = plan_with_pods(&job, &runs, &pods, now);
        let ended: Vec<String> = plan
            .actions
            .iter()
            .filter_map(|action| {
                let Action::End { job, .. } = action else {
                    return None;
                };
                Some(job.clone())
            })
            .collect();
        (ended, plan.wake)
    };
    let ended = |reason: &str, now: &str| ended_after("2026-11-24T10:20:36Z", reason, now);
    let second = runs[1]["metadata"]["name"].as_str().unwrap().to_owned();

    // The third run does not tell since when.
    let (none, wake) = ended("PermissionDenied", "2026-11-24T10:21:04Z");
    assert!(none.is_empty());
    assert_eq!(wake, Some(at("2026-11-24T10:21:05Z")));
    let only_second = vec![second];
    assert_eq!(
        ended("PermissionDenied", "2026-11-24T10:21:05Z").0,
        only_second
    );
    assert!(ended("NotGranted", "2026-11-24T10:40:04Z").0.is_empty());
    assert_eq!(ended("NotGranted", "2026-11-24T10:40:05Z").0, only_second);
    assert!(ended("Sealed", "2026-11-24T12:50:00Z").0.is_empty());
    // The agent waits for its next attempt, and has not been denied anything since.
    let stale = |now: &str| ended_after("2026-11-24T10:20:05Z", "PermissionDenied", now).0;
    assert!(stale("2026-11-24T10:40:04Z").is_empty());
    assert_eq!(stale("2026-11-24T10:40:05Z"), only_second);
}

#[test]
fn a_template_is_checked_once_for_each_generation() {
    let mut job = cron("0 * * * *");
    job["metadata"]["generation"] = json!(2);
    let checks = |job: &Value| {
        let plan = unfiltered_plan(job, "2026-11-24T10:10:00Z");
        let actions = plan.actions.iter();
        actions
            .filter(|it| matches!(it, Action::Check { .. }))
            .count()
    };
    let known = |generation: i64, status: &str, reason: &str| {
        json!({ "conditions": [{
            "type": "TemplateValid", "status": status, "reason": reason, "message": "",
            "observedGeneration": generation, "lastTransitionTime": "2026-11-24T10:00:00Z",
        }] })
    };

    assert_eq!(checks(&job), 1);
    assert!(unfiltered_plan(&job, "2026-11-24T10:10:00Z").only_checks());
    let due = unfiltered_plan(&job, "2026-11-24T11:00:01Z");
    assert!(due.creates() && !due.only_checks());
    for (generation, status, reason, expected) in [
        (2, "True", "Accepted", 0),
        (2, "False", "InvalidTemplate", 0),
        (2, "False", "Refused", 1),
        (2, "Unknown", "NotChecked", 1),
        (1, "True", "Accepted", 1),
    ] {
        job["status"] = known(generation, status, reason);
        assert_eq!(checks(&job), expected, "{generation} {status} {reason}");
    }
    job["status"] = known(2, "Unknown", "NotChecked");
    let mut plan = unfiltered_plan(&job, "2026-11-24T10:10:00Z");
    assert_eq!(plan.wake, Some(at("2026-11-24T10:11:00Z")));
    plan.put_off_check(at("2026-11-24T10:10:30Z"));
    assert_eq!(
        (plan.checks(), plan.wake),
        (false, Some(at("2026-11-24T10:10:30Z")))
    );
    let early = unfiltered_plan(&job, "2026-11-24T10:00:59Z");
    let minute_later = at("2026-11-24T10:01:00Z");
    assert_eq!((early.checks(), early.wake), (false, Some(minute_later)));
    assert!(unfiltered_plan(&job, "2026-11-24T10:01:00Z").checks());
}

#[test]
fn a_template_is_checked_that_a_run_is_still_to_be_made_of() {
    let settled = json!({ "lastScheduleTime": "2026-11-24T10:00:00Z" });
    let mut suspended = once();
    suspended["spec"]["suspend"] = json!(true);
    for (mut job, status, is_checked) in [
        (cron("0 * * * *"), settled.clone(), true),
        (suspended, json!({}), true),
        (once(), settled, false),
    ] {
        job["status"] = status;
        let plan = unfiltered_plan(&job, "2026-11-24T10:10:00Z");
        assert_eq!(plan.checks(), is_checked, "{job}");
    }
}

#[test]
fn pods_are_relabelled_only_where_that_is_allowed() {
    let mut job = cron("0 * * * *");
    job["status"] = json!({});
    let runs = [run("2026-11-24T10:00:00Z"), run("2026-11-24T11:00:00Z")];
    let defaults = Defaults {
        relabels_pods: false,
        ..Defaults::default()
    };

    assert_eq!(
        plan_with(&job, &runs, &defaults, "2026-11-24T11:10:00Z").actions,
        []
    );
}

#[test]
fn a_schedule_that_counts_from_a_time_far_ahead_counts_from_now() {
    for (schedule, next) in [
        ("0 * * * *", "2026-11-24T11:00:00Z"),
        ("@every 90m", "2026-11-24T12:00:00Z"),
    ] {
        let mut job = cron(schedule);
        job["status"] = json!({ "scheduleReference": {
            "schedule": format!("{schedule} UTC"),
            "since": "9999-01-01T00:00:00Z", "anchor": "9999-01-01T00:00:00Z",
        } });

        let plan = plan_of(&job, &[], "2026-11-24T10:30:00Z");
        assert_eq!(plan.next, Some(at(next)));
        job["status"] = json!({ "scheduleReference": plan.reference, "nextScheduleTime": next });

        assert_eq!(ticks(&plan_of(&job, &[], next)), [at(next)]);
    }
}

#[test]
fn a_clock_that_is_behind_takes_no_edit_back() {
    let mut job = cron("0 * * * *");
    job["metadata"]["managedFields"] = json!([
        { "manager": "kubectl", "operation": "Update", "time": "2026-11-24T12:02:00Z",
          "fieldsV1": { "f:spec": { "f:suspend": {} } } },
    ]);
    job["status"] = json!({ "scheduleReference": {
        "schedule": "0 * * * * UTC", "since": "2026-11-24T12:02:00Z",
    } });

    let behind = plan_of(&job, &[], "2026-11-24T11:02:00Z");

    let since = behind.reference.map(|it| it.since.0);
    assert_eq!(since, Some(at("2026-11-24T12:02:00Z")));
}

//! Which instants a status tells of, and which run it announces.

use super::each::{hourly, told_of};
use super::*;

#[test]
fn a_series_goes_on_until_an_instant_is_left_out() {
    let window = json!([{ "from": "2026-11-24T10:30:00Z", "until": "2026-11-24T12:30:00Z" }]);
    let told = |since: &str, windows: &Value, tick: &str| {
        let mut scene = hourly().started();
        scene.job["spec"]["exclusionWindows"] = windows.clone();
        scene.job["status"] = json!({ "lastScheduleTime": "2026-11-24T10:00:00Z",
            "settledSince": since, "settledBefore": "2026-11-24T08:00:00Z" });
        scene.applied.started.as_mut().unwrap().tick = at(tick);
        scene.now = at(tick) + jiff::SignedDuration::from_secs(1);
        let after = scene.status();
        let time = |time: Option<Time>| time.map(|time| time.0);
        (time(after.settled_since), time(after.settled_before))
    };
    let (none, [eight, nine, ten, eleven, twelve, thirteen]) = (
        json!([]),
        [8, 9, 10, 11, 12, 13].map(|hour| format!("2026-11-24T{hour:02}:00:00Z")),
    );

    for (since, windows, tick, expected) in [
        (&nine, &none, &eleven, (&nine, &eight)),
        (&nine, &none, &thirteen, (&thirteen, &ten)),
        (&nine, &window, &thirteen, (&thirteen, &ten)),
        // The clock was ahead when that was written.
        (&twelve, &none, &eleven, (&eleven, &ten)),
        // It is told again.
        (&ten, &none, &ten, (&ten, &eight)),
    ] {
        let expected = (Some(at(expected.0)), Some(at(expected.1)));
        assert_eq!(told(since, windows, tick), expected, "{since} {tick}");
    }
}

#[test]
fn the_last_instant_moves_back_only_where_the_clock_was_ahead() {
    let mut late = hourly().started();
    late.job["status"] = json!({ "lastScheduleTime": "2026-11-24T11:00:00Z" });
    late.now = at("2026-11-24T11:20:00Z");
    let mut ahead = hourly();
    ahead.job["status"] = json!({ "lastScheduleTime": "2026-11-24T15:00:00Z",
        "settledSince": "2026-11-24T14:00:00Z",
        "scheduleReference": { "schedule": "0 * * * * UTC", "since": "2026-11-24T08:00:00Z" } });

    let late = late.status();
    let ahead = ahead.status();

    let last = |status: &PlanescapeJobStatus| status.last_schedule_time.as_ref().map(|it| it.0);
    assert_eq!(last(&late), Some(at("2026-11-24T11:00:00Z")));
    assert_eq!(last(&ahead), Some(at("2026-11-24T10:30:00Z")));
    let known = ahead.settled_ahead.map(|it| (it.from.0, it.until.0));
    let ran = (at("2026-11-24T14:00:00Z"), at("2026-11-24T15:00:00Z"));
    assert_eq!((known, ahead.settled_since), (Some(ran), None));
}

#[test]
fn a_run_that_is_gone_counts_as_the_last_as_far_as_clocks_may_differ() {
    let last = |tick: &str| {
        let mut scene = hourly();
        scene.job["status"] = json!({ "runs": [{ "job": "my-job-1", "uid": "gone",
            "scheduledTime": tick, "outcome": "Succeeded" }] });
        let status = scene.status();
        status.last_schedule_time.map(|it| it.0)
    };
    let five = "2026-11-24T10:35:00Z";

    assert_eq!(last(five), Some(at(five)));
    assert_eq!(last("2026-11-24T10:35:01Z"), None);
}

#[test]
fn the_end_of_a_run_that_no_status_has_named_is_told_although_the_history_is_full() {
    let mut scene = hourly();
    scene.job["spec"]["rerunJobsHistoryLimit"] = json!(1);
    for (id, tick) in [
        ("known", "2026-11-24T10:10:00Z"),
        ("new", "2026-11-24T10:05:00Z"),
    ] {
        scene = with_rerun(scene, id, tick);
    }
    scene.job["status"] = json!({ "reruns": ["known"], "runs": [{ "job": "my-job-known",
        "uid": "known", "scheduledTime": "2026-11-24T10:10:00Z", "outcome": "Succeeded",
        "rerun": "known" }] });

    let (after, events) = told_of(&scene, |_| {});

    let names: Vec<&str> = after.runs.iter().map(|run| run.job.as_str()).collect();
    assert_eq!(names, ["my-job-known", "my-job-new"]);
    let jobs: Vec<_> = events.iter().map(|it| it.job.as_deref()).collect();
    assert_eq!(jobs, [Some("my-job-new")]);
}

#[test]
fn a_run_that_was_told_to_its_end_and_forgotten_is_not_told_again() {
    let runs = |tick: &str, rerun: Option<&str>| {
        let mut scene = hourly().started();
        scene.job["status"] =
            json!({ "lastScheduleTime": "2026-11-24T12:00:00Z", "reruns": ["1111111111"] });
        scene.now = at("2026-11-24T12:20:00Z");
        let started = scene.applied.started.as_mut().unwrap();
        (started.tick, started.rerun) = (at(tick), rerun.map(str::to_owned));
        scene.status().runs.len()
    };

    for (tick, rerun, told) in [
        ("2026-11-24T11:00:00Z", None, 0),
        ("2026-11-24T12:00:00Z", None, 0),
        ("2026-11-24T12:01:00Z", None, 1),
        ("2026-11-24T12:10:00Z", Some("1111111111"), 0),
        ("2026-11-24T12:10:00Z", Some("2222222222"), 1),
    ] {
        assert_eq!(runs(tick, rerun), told, "{tick} {rerun:?}");
    }
}

#[test]
fn an_announcement_of_another_run_or_of_a_time_to_come_is_made_anew() {
    let announced = |tick: &str, since: &str| {
        let mut scene = hourly();
        scene.job["status"] = json!({
            "lastScheduleTime": "2026-11-24T10:00:00Z",
            "announcedRun": { "scheduledTime": tick, "since": since },
        });
        scene.now = at("2026-11-24T11:20:01.5Z");
        json!(scene.status().announced_run)
    };
    let of_eleven =
        |since: &str| json!({ "scheduledTime": "2026-11-24T11:00:00Z", "since": since });
    let (now, before) = ("2026-11-24T11:20:01Z", "2026-11-24T11:20:00Z");

    let eleven = "2026-11-24T11:00:00Z";
    assert_eq!(announced(eleven, before), of_eleven(before));
    assert_eq!(announced("2026-11-24T10:00:00Z", before), of_eleven(now));
    assert_eq!(announced(eleven, "2026-11-24T11:30:00Z"), of_eleven(now));
}

#[test]
fn a_run_by_hand_is_announced_until_it_is_refused() {
    let announced = |refused: &str| {
        let mut scene = hourly();
        scene.job["status"] = json!({
            "announcedRun": { "rerun": "1111111111", "since": "2026-11-24T10:29:00Z" },
        });
        scene.applied.refused_rerun = Some(RefusedRerun::by_the_api_server(refused.into(), "no"));
        let (after, _) = told_of(&scene, |plan| {
            plan.announced = Some(Announced::Rerun("1111111111".to_owned()));
        });
        after.announced_run.is_some()
    };

    assert!(announced("2222222222"));
    assert!(!announced("1111111111"));
}

#[test]
fn requests_are_remembered_in_the_order_in_which_they_came() {
    let mut scene = hourly();
    scene.job["status"] = json!({ "reruns": ["a", "b"] });
    for (id, tick) in [("a", "2026-11-24T10:10:00Z"), ("c", "2026-11-24T10:05:00Z")] {
        scene = with_rerun(scene, id, tick);
    }

    let after = scene.status();

    assert_eq!(after.reruns, ["c", "a", "b"]);
    assert_eq!(after.last_schedule_time, None, "no instant is settled");
}

/// With a run by hand that is complete.
fn with_rerun(scene: Scene, id: &str, tick: &str) -> Scene {
    let mut scene = scene.with_run(ended("Complete"));
    let job = scene.jobs.last_mut().unwrap();
    job["metadata"]["name"] = json!(format!("my-job-{id}"));
    job["metadata"]["uid"] = json!(id);
    job["metadata"]["labels"] = json!({ "planescape.io/run-uid": format!("u-rerun-{id}") });
    job["metadata"]["annotations"]["planescape.io/scheduled-at"] = json!(tick);
    scene
}

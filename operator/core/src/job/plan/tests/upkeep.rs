//! Jobs that are let go, pruned and relabelled.

use super::*;

#[test]
fn lets_a_job_go_once_its_run_is_recorded_and_marked() {
    let runs = [run("2026-11-24T10:00:00Z")];
    let release = Action::Release {
        job: "my-job-29925240".into(),
        uid: "uid-2026-11-24T10:00:00Z".into(),
    };
    let mut job = once();

    assert_eq!(plan_of(&job, &runs, NOW).actions, []);
    job["status"] = json!({});
    assert_eq!(plan_of(&job, &runs, NOW).actions, []);
    job["status"] = json!({ "lastScheduleTime": "2026-11-24T10:00:00Z" });
    let mark = Action::MarkStarted {
        job_uid: "uid-2026-11-24T10:00:00Z".into(),
    };
    let marking = plan_of(&job, &runs, NOW);
    assert_eq!(marking.actions, [mark]);
    assert!(marking.changes_the_object());
    job["metadata"]["annotations"] = json!({ "planescape.io/once-started": format!("{UID}/x") });
    let marked = plan_of(&job, &runs, NOW);
    assert_eq!(marked.actions, [release]);
    assert!(!marked.changes_the_object());
}

#[test]
fn a_run_by_hand_is_let_go_and_takes_the_place_of_no_one_time_run() {
    let mut job = once();
    job["status"] = json!({ "reruns": ["1234567890"] });
    let mut by_hand = run("2026-11-24T10:00:00Z");
    by_hand["metadata"]["labels"] =
        json!({ "planescape.io/run-uid": format!("{UID}-rerun-1234567890") });

    let plan = plan_of(&job, &[by_hand], NOW);

    assert!(plan.creates() && !plan.changes_the_object());
    assert_eq!(released(&plan), 1);
}

#[test]
fn a_job_that_goes_lets_each_of_its_runs_go() {
    let mut job = cron("0 * * * *");
    job["status"] = json!({});
    let runs = [run("2026-11-24T10:00:00Z"), run("2026-11-24T11:00:00Z")];
    let released_of = |job: &Value| released(&plan_of(job, &runs, "2026-11-24T11:10:00Z"));

    assert_eq!(released_of(&job), 0, "nothing is recorded");
    job["metadata"]["deletionTimestamp"] = json!("2026-11-24T11:05:00Z");
    assert_eq!(released_of(&job), 2);
}

#[test]
fn runs_by_hand_have_a_history_of_their_own() {
    let mut job = cron("0 * * * *");
    job["spec"]["successfulJobsHistoryLimit"] = json!(1);
    job["spec"]["rerunJobsHistoryLimit"] = json!(1);
    let ticks = ["10:00", "10:10", "10:20"].map(|time| format!("2026-11-24T{time}:00Z"));
    let mut runs = ticks.each_ref().map(|tick| run(tick));
    for (position, run) in runs.iter_mut().enumerate() {
        end(run, if position == 2 { "Failed" } else { "Complete" });
        if position > 0 {
            run["metadata"]["labels"] =
                json!({ "planescape.io/run-uid": format!("{UID}-rerun-123456789{position}") });
        }
    }
    let recorded = runs.each_ref().map(|run| {
        json!({ "job": run["metadata"]["name"], "uid": run["metadata"]["uid"],
            "scheduledTime": run["status"]["startTime"], "outcome": "Succeeded" })
    });
    job["status"] = json!({ "lastScheduleTime": ticks[0], "runs": recorded });

    let plan = plan_of(&job, &runs, "2026-11-24T10:30:00Z");

    let deleted = plan.actions.iter().filter_map(|action| {
        let Action::Delete { uid, .. } = action else {
            return None;
        };
        Some(uid.as_str())
    });
    assert_eq!(deleted.collect::<Vec<_>>(), [format!("uid-{}", ticks[1])]);
}

#[test]
fn keeps_a_job_that_deletes_itself_until_its_end_is_recorded() {
    let mut job = cron("0 * * * *");
    job["status"] = json!({ "lastScheduleTime": "2026-11-24T10:00:00Z", "runs": [
        { "job": "my-job-29925240", "uid": "uid-2026-11-24T10:00:00Z",
          "scheduledTime": "2026-11-24T10:00:00Z", "outcome": "Running" },
    ] });
    let mut run = run("2026-11-24T10:00:00Z");
    run["spec"]["ttlSecondsAfterFinished"] = json!(0);

    assert_eq!(released(&plan_of(&job, &[run.clone()], NOW)), 0);
    end(&mut run, "Complete");
    assert_eq!(released(&plan_of(&job, &[run.clone()], NOW)), 0);
    job["status"]["runs"][0]["outcome"] = json!("Succeeded");
    assert_eq!(released(&plan_of(&job, &[run], NOW)), 1);
}

#[test]
fn a_job_that_deletes_itself_and_that_no_watch_shows_is_let_go_when_its_end_is_told() {
    let mut job = cron("0 * * * *");
    job["status"] = json!({ "lastScheduleTime": "2026-11-24T10:00:00Z", "runs": [
        { "job": "my-job-29925240", "uid": "uid-2026-11-24T10:00:00Z",
          "scheduledTime": "2026-11-24T10:00:00Z", "outcome": "Running" },
    ] });
    let job: PlanescapeJob = typed(&job);
    let owner = Identity::of(&job.metadata).unwrap();
    let let_go = |labels: &Value, has_ended: bool| {
        let mut run = run("2026-11-24T10:00:00Z");
        run["spec"]["ttlSecondsAfterFinished"] = json!(0);
        run["metadata"]["labels"] = labels.clone();
        if has_ended {
            end(&mut run, "Complete");
        }
        let run: k8s_openapi::api::batch::v1::Job = typed(&run);
        let known = [KnownJob::fresh(&run).unwrap()];
        let pods: [KnownPod; 0] = [];
        let observed = Observed::of(&owner, &known, &pods);
        released(&plan(
            &job,
            Err(&[]),
            &observed,
            &Defaults::default(),
            at(NOW),
        ))
    };

    let (hidden, shown) = (json!({}), json!({ "planescape.io/job": "my-job" }));
    assert_eq!(let_go(&hidden, false), 0);
    assert_eq!(let_go(&hidden, true), 1);
    assert_eq!(let_go(&shown, true), 0);
}

#[test]
fn prunes_the_oldest_runs_of_each_outcome() {
    let mut job = cron("0 * * * *");
    job["spec"]["successfulJobsHistoryLimit"] = json!(1);
    job["spec"]["failedJobsHistoryLimit"] = json!(0);
    job["status"] = json!({ "lastScheduleTime": "2026-11-24T13:00:00Z", "runs": [
        { "job": "my-job-29925420", "uid": "uid-2026-11-24T13:00:00Z",
          "scheduledTime": "2026-11-24T13:00:00Z", "outcome": "Running" },
    ] });
    let mut runs: Vec<Value> = (10..14)
        .map(|hour| run(&format!("2026-11-24T{hour}:00:00Z")))
        .collect();
    for (run, how) in runs.iter_mut().zip(["Complete", "Failed", "Complete"]) {
        end(run, how);
        run["metadata"]["finalizers"] = json!([]);
    }
    runs[3]["metadata"]["finalizers"] = json!([]);

    let plan = plan_of(&job, &runs, "2026-11-24T13:10:00Z");

    let deleted: Vec<&str> = plan
        .actions
        .iter()
        .filter_map(|action| {
            if let Action::Delete {
                uid,
                why: Deletion::History,
                ..
            } = action
            {
                Some(uid.as_str())
            } else {
                None
            }
        })
        .collect();
    assert_eq!(
        deleted,
        ["uid-2026-11-24T10:00:00Z", "uid-2026-11-24T11:00:00Z"]
    );
}

#[test]
fn keeps_what_is_not_recorded_yet() {
    let mut job = cron("0 * * * *");
    job["spec"]["successfulJobsHistoryLimit"] = json!(0);
    job["status"] = json!({ "runs": [] });
    let mut run = run("2026-11-24T10:00:00Z");
    end(&mut run, "Complete");

    let plan = plan_of(&job, &[run], "2026-11-24T10:10:00Z");

    assert_eq!(plan.actions, []);
}

#[test]
fn gives_the_name_to_the_newest_runs_pods_only() {
    let mut job = cron("0 * * * *");
    job["status"] = json!({});
    let runs = [run("2026-11-24T10:00:00Z"), run("2026-11-24T11:00:00Z")];
    let pods = [
        pod("old", "2026-11-24T10:00:00Z"),
        pod("new", "2026-11-24T11:00:00Z"),
    ];

    let plan = plan_with_pods(&job, &runs, &pods, "2026-11-24T11:10:00Z");

    assert_eq!(
        plan.actions,
        [Action::Relabel {
            pod: "old".into(),
            uid: "old".into(),
            job: "my-job-29925240".into(),
        }]
    );
}

#[test]
fn looks_again_at_a_run_that_somebody_took_our_label_off() {
    let job: PlanescapeJob = typed(&cron("0 * * * *"));
    let (defaults, now) = (Defaults::default(), at("2026-11-24T10:10:00Z"));
    let validated = validate(&job, &defaults, now);
    let validated = validated.as_ref().map(|(validated, _)| validated);
    let validated = validated.map_err(Vec::as_slice);
    let owner = Identity::of(&job.metadata).unwrap();
    let wake = |labels: &Value| {
        let mut run = run("2026-11-24T10:00:00Z");
        run["metadata"]["labels"] = labels.clone();
        let run: k8s_openapi::api::batch::v1::Job = typed(&run);
        let known = [KnownJob::fresh(&run).unwrap()];
        let pods: [KnownPod; 0] = [];
        let observed = Observed::of(&owner, &known, &pods);
        plan(&job, validated, &observed, &defaults, now).wake
    };

    let a_minute_later = Some(at("2026-11-24T10:11:00Z"));

    assert_eq!(wake(&json!({ "team": "a" })), a_minute_later);
    assert!(wake(&json!({ "planescape.io/job": "my-job" })) > a_minute_later);
}

//! Facts that must not pass without a word.

use super::*;
use crate::job::plan::{Found, Settled};

#[test]
fn a_run_that_an_earlier_attempt_has_made_is_not_the_one_that_is_due() {
    let mut applied = Scene::once().started().applied;
    let create = |tick: &str| Plan {
        actions: vec![Action::Create { tick: at(tick) }],
        ..Plan::default()
    };
    let own = create("2026-11-24T10:00:00Z");

    assert!(applied.is_only_made(&own));
    assert!(!applied.is_only_made(&create("2026-11-24T11:00:00Z")));
    assert!(!applied.is_only_made(&Plan::default()));
    applied.failure = Some(refusal(false));
    assert!(!applied.is_only_made(&own));
}

#[test]
fn a_new_pod_of_a_refused_run_is_another_attempt_and_no_end_of_the_refusal() {
    let refused = |reason: &str| {
        let report = json!({ "phase": "login", "reason": reason });
        terminated(77, &report)
    };
    let scene = |pods: &[Value]| {
        let mut scene = Scene::once().with_run(json!({}));
        for (number, state) in pods.iter().enumerate() {
            scene = scene.with_agent(json!({ "state": state }));
            let pod = scene.pods.last_mut().unwrap();
            pod["metadata"]["uid"] = json!(number.to_string());
            pod["metadata"]["creationTimestamp"] = json!(format!("2026-11-24T10:00:0{number}Z"));
            let is_over = number + 1 < pods.len();
            pod["status"]["phase"] = json!(if is_over { "Failed" } else { "Pending" });
        }
        scene
    };
    let told = |scene: &Scene| {
        let run = scene.status().runs.remove(0);
        (run.refused_since.is_some(), run.denied_since.is_some())
    };
    let waits = json!({ "waiting": { "reason": "PodInitializing" } });
    let works = json!({ "running": {} });

    let first = scene(&[refused("NotGranted")]);
    assert_eq!(told(&first), (true, false));
    let first = scene(&[refused("LoginDenied")]);
    assert_eq!(told(&first), (true, true));
    let before = first.status();
    let tried = scene(&[refused("LoginDenied"), waits]).seen(&before);
    assert_eq!(told(&tried), (true, true));
    let mut begun = tried.clone();
    begun.pods[1]["status"]["containerStatuses"] = json!([{ "name": "main", "image": "",
        "imageID": "", "ready": true, "restartCount": 0, "state": { "running": {} } }]);
    assert_eq!(told(&begun), (false, false));
    let mut over = tried;
    over.pods[1]["status"]["phase"] = json!("Failed");
    assert_eq!(told(&over), (false, false));
    let mut well = scene(&[refused("LoginDenied"), works]).seen(&before);
    well.pods[1]["status"]["initContainerStatuses"][0]["started"] = json!(true);
    well.pods[1]["status"]["initContainerStatuses"][0]["ready"] = json!(true);
    assert_eq!(told(&well), (false, false));
}

#[test]
fn how_a_pod_failed_is_remembered_when_it_is_gone() {
    let mut scene = Scene::once().with_run(json!({})).with_agent(json!({}));
    let fails = |scene: &mut Scene, code: i32, at: &str| {
        scene.pods[0]["status"]["containerStatuses"] = json!([{
            "name": "main", "image": "", "imageID": "", "ready": false, "restartCount": 1,
            "lastState": { "terminated": { "exitCode": code, "finishedAt": at, "message": "no table" } },
        }]);
    };
    fails(&mut scene, 1, "2026-11-24T10:00:02Z");
    let first = scene.status();
    fails(&mut scene, 1, "2026-11-24T10:00:04Z");
    assert_eq!(scene.seen(&first).status(), first, "it says nothing new");
    fails(&mut scene, 2, "2026-11-24T10:00:07Z");
    let second = scene.seen(&first).status();
    let mut gone = Scene::once().with_run(ended("Failed")).seen(&second);

    let told = gone.status().runs[0].failure.clone().unwrap();
    assert_eq!(
        (told.container.as_deref(), told.exit_code),
        (Some("main"), Some(2))
    );
    assert_eq!(told.message.as_deref(), Some("no table"));
    gone.jobs[0]["status"] = ended("Complete");
    assert_eq!(gone.status().runs[0].failure, None);
}

#[test]
fn a_refusal_is_told_beside_the_start_of_the_run_before() {
    let mut scene = Scene::once().started();
    scene.job["spec"]["schedule"] = json!("0 * * * *");
    scene.now = at("2026-11-24T11:00:01Z");
    scene.applied.failure = Some(refusal(true));

    let after = scene.status();

    let told = reasons(&scene, &after);
    assert_eq!(told, ["FailedCreate", "SuccessfulCreate"]);
    assert_eq!(condition(&after, "TemplateValid").1, "InvalidTemplate");
    let ten = Some(Time(at("2026-11-24T10:00:00Z")));
    assert_eq!(after.last_schedule_time, ten);
}

#[test]
fn the_start_of_another_run_takes_no_announcement_away() {
    let mut scene = Scene::once().started();
    scene.job["spec"]["schedule"] = json!("0 * * * *");
    let announced = json!({
        "scheduledTime": "2026-11-24T11:00:00Z", "since": "2026-11-24T11:20:00Z",
    });
    scene.job["status"] = json!({
        "announcedRun": announced, "nextScheduleTime": "2026-11-24T12:00:00Z",
        "scheduleReference": { "schedule": "0 * * * * UTC", "since": "2026-11-24T10:00:00Z" },
    });
    scene.now = at("2026-11-24T11:20:01Z");

    let waiting = scene.status();
    scene.applied.started.as_mut().unwrap().tick = at("2026-11-24T11:00:00Z");
    let started = scene.status();

    assert_eq!(json!(waiting.announced_run), announced);
    assert_eq!(started.announced_run, None);
}

#[test]
fn no_instant_that_nobody_has_told_of_runs_again_once_the_clock_is_right() {
    let found = Found {
        tick: at("2026-11-24T10:30:00Z"),
        missed: 3,
    };
    // Made by an attempt of ours, or by one that is dead.
    for mut scene in [Scene::once().started(), Scene::once().with_run(json!({}))] {
        scene.job["spec"]["schedule"] = json!("*/10 * * * *");
        scene.now = at("2026-11-24T10:35:00Z");

        let after = scene.with_facts(|facts| {
            let mut plan = facts.plan.clone();
            plan.found = Some(found);
            status(&Facts {
                plan: &plan,
                ..*facts
            })
        });

        // It was half past eight all the time.
        let settled = Settled::of(Some(&after), at("2026-11-24T08:30:00Z"));
        for tick in ["2026-11-24T10:00:00Z", "2026-11-24T10:30:00Z"] {
            assert!(settled.includes(at(tick)), "{tick}");
        }
    }
}

#[test]
fn the_end_of_the_oldest_run_is_told_although_the_history_is_full() {
    let mut scene = Scene::once();
    scene.job["spec"]["schedule"] = json!("0 * * * *");
    scene.job["spec"]["concurrencyPolicy"] = json!("Allow");
    scene.now = at("2026-11-24T14:30:00Z");
    for hour in 10..15 {
        scene = scene.with_run(if hour == 10 {
            json!({})
        } else {
            ended("Complete")
        });
        let job = scene.jobs.last_mut().unwrap();
        job["metadata"]["name"] = json!(format!("my-job-{hour}"));
        job["metadata"]["uid"] = json!(format!("uid-{hour}"));
        job["metadata"]["annotations"]["planescape.io/scheduled-at"] =
            json!(format!("2026-11-24T{hour}:00:00Z"));
    }
    let before = scene.status();
    let mut scene = scene.seen(&before);
    scene.jobs[0]["status"] = ended("Failed");

    let after = scene.status();

    let of_it = |told: &&Event| told.job.as_deref() == Some("my-job-10");
    let told = scene.with_facts(|facts| events(facts, &after));
    let told: Vec<_> = told.iter().filter(of_it).map(|it| &it.reason).collect();
    assert_eq!(told, ["SawCompletedJob"]);
    let counted = ended_between(Some(&before), &after);
    assert_eq!(counted.len(), 1, "{counted:?}");
    assert_eq!(counted[0].outcome, "Failed");
    // It is forgotten with the next change, which costs no write of its own.
    let mut scene = scene.seen(&after);
    scene.now = at("2026-11-24T14:31:00Z");
    assert_eq!(scene.status(), after);
    scene.job["metadata"]["generation"] = json!(2);
    let names = scene.status().runs.into_iter().map(|run| run.job);
    let names: Vec<String> = names.collect();
    assert_eq!(names, ["my-job-14", "my-job-13", "my-job-12", "my-job-11"]);
}

#[test]
fn what_an_operators_setting_broke_is_well_when_the_setting_is_back() {
    let mut scene = Scene::once();
    scene.job["spec"]["schedule"] = json!("0 * * * *");
    let invalid = json!({
        "type": "TemplateValid", "status": "False", "reason": "InvalidTemplate", "message": "no address",
        "observedGeneration": 1, "lastTransitionTime": "2026-11-24T09:00:00Z",
    });
    scene.job["status"] = json!({ "conditions": [invalid], "scheduleReference": {
        "schedule": "0 * * * * UTC", "since": "2026-11-24T08:00:00Z", "invalidGeneration": 1,
    } });

    let after = scene.status();
    scene.job["status"]["scheduleReference"]["invalidGeneration"] = json!(null);
    let refused = scene.status();

    assert_eq!(condition(&after, "Ready").0, "True");
    assert!(!after.conditions.iter().any(|it| it.type_ == "Stalled"));
    assert_eq!(condition(&refused, "Stalled").1, "InvalidTemplate");
}

#[test]
fn a_request_that_the_api_server_will_never_take_is_told_once_and_leaves_the_template_alone() {
    let mut scene = Scene::once();
    scene.job["spec"]["schedule"] = json!("0 * * * *");
    scene.applied.refused_rerun = Some(RefusedRerun::by_the_api_server(
        "1234567890".to_owned(),
        "spec.template.spec.containers[0].env[0].name: Required value",
    ));

    let after = scene.status();

    assert_eq!(reasons(&scene, &after), ["InvalidRerun"]);
    assert_eq!(after.reruns, ["1234567890"]);
    assert_eq!(condition(&after, "Ready").0, "True");
    let kinds = after.conditions.iter().map(|it| it.type_.as_str());
    assert!(
        !kinds
            .into_iter()
            .any(|kind| kind == "TemplateValid" || kind == "Stalled")
    );
}

#[test]
fn a_schedule_of_which_windows_leave_nothing_is_not_ready() {
    let mut scene = Scene::once();
    scene.job["spec"]["schedule"] = json!("0 2 * * *");
    scene.job["spec"]["exclusionWindows"] = json!([{ "schedule": "0 1 * * *", "duration": "3h" }]);

    let after = scene.status();

    let (status, reason, message) = condition(&after, "Ready");
    assert_eq!((status, reason), ("False", "NeverRuns"));
    assert!(message.contains("spec.exclusionWindows"), "{message}");
    assert_eq!(reasons(&scene, &after), ["NeverRuns"]);
    scene.job["spec"]["suspend"] = json!(true);
    assert_eq!(condition(&scene.status(), "Ready").0, "True");
}

#[test]
fn a_run_that_an_edit_takes_away_is_counted_and_named() {
    let mut scene = Scene::once();
    scene.job["spec"]["schedule"] = json!("0 * * * *");
    scene.job["spec"]["suspend"] = json!(true);
    scene.job["status"] = json!({
        "lastScheduleTime": "2026-11-24T10:00:00Z",
        "pendingScheduleTime": "2026-11-24T11:00:00Z",
        "scheduleReference": { "schedule": "0 * * * * UTC", "since": "2026-11-24T08:00:00Z" },
    });
    scene.now = at("2026-11-24T11:10:00Z");

    let after = scene.status();

    assert_eq!(after.skipped.edited, 1);
    let told = scene.with_facts(|facts| events(facts, &after));
    let told: Vec<_> = told.iter().filter(|it| it.reason == "Suspended").collect();
    assert!(told[0].note.contains("2026-11-24T11:00:00Z"), "{told:?}");
    let again = scene.seen(&after);
    assert_eq!(again.status(), after);
}

#[test]
fn what_cannot_be_tidied_up_is_told_with_the_job() {
    let untidy = |action: &Action| {
        let told = event_of_untidiness(action, "denied by a webhook");
        told.map(|event| (event.reason, event.job))
    };
    let delete = |why| Action::Delete {
        job: "my-job-1".into(),
        uid: "u".into(),
        version: None,
        why,
    };
    let release = Action::Release {
        job: "my-job-1".into(),
        uid: "u".into(),
    };

    let job = Some("my-job-1".to_owned());
    let deleted = untidy(&delete(Deletion::History));
    assert_eq!(deleted, Some(("FailedDelete".to_owned(), job.clone())));
    assert_eq!(untidy(&release), Some(("FailedRelease".to_owned(), job)));
}

fn refusal(is_lasting: bool) -> Failure {
    Failure {
        reason: "FailedCreate",
        message: "exceeded quota".to_owned(),
        is_lasting,
    }
}

mod upkeep;

use serde_json::{Value, json};

use super::*;
use crate::api::names::{
    CRONJOB_TIMESTAMP_ANNOTATION, RUN_TRACKING_FINALIZER, SCHEDULED_AT_ANNOTATION,
};
use crate::defaults::Defaults;
use crate::job::identity::Identity;
use crate::job::observed::{KnownJob, KnownPod};
use crate::job::validate::validate;

pub(super) const UID: &str = "0f6a0bbd-6d7e-4c4e-9df5-4c6f2f3f9f01";

#[test]
fn builds_the_job_of_a_one_time_run() {
    let plan = plan_of(&once(), &[], "2026-11-24T10:00:00Z");

    let [Action::Create { tick }] = &plan.actions[..] else {
        panic!("{:?}", plan.actions);
    };
    assert_eq!(*tick, at("2026-11-24T10:00:00Z"));
    assert_eq!((plan.next, plan.wake), (None, None));
    insta::assert_json_snapshot!(built(&once(), *tick));
}

#[test]
fn builds_the_job_of_a_scheduled_run_with_the_users_own_metadata() {
    let mut job = cron("0 2 * * *");
    job["spec"]["timeZone"] = json!("Europe/Rome");
    job["spec"]["jobTemplate"]["metadata"] =
        json!({ "labels": { "team": "blue" }, "annotations": { "note": "mine" } });
    job["spec"]["jobTemplate"]["spec"]["backoffLimit"] = json!(2);
    job["spec"]["jobTemplate"]["spec"]["aFieldOfTomorrow"] = json!(true);
    job["spec"]["jobTemplate"]["spec"]["template"]["spec"]["restartPolicy"] = json!("OnFailure");

    let plan = plan_of(&job, &[], "2026-11-25T01:00:00.020Z");

    let created = ticks(&plan).first().map(|tick| built(&job, *tick));
    insta::assert_json_snapshot!(created);
}

#[test]
fn a_run_is_marked_with_its_instant_as_a_cronjobs_is() {
    let marked = |zone: &str| {
        let mut job = cron("0 2 * * *");
        job["spec"]["timeZone"] = json!(zone);
        let tick = at("2026-11-25T02:00:00Z");
        built(&job, tick)["metadata"]["annotations"][CRONJOB_TIMESTAMP_ANNOTATION].take()
    };

    assert_eq!(marked("UTC"), "2026-11-25T02:00:00Z");
    assert_eq!(marked("Europe/London"), "2026-11-25T02:00:00Z");
    assert_eq!(marked("Asia/Kolkata"), "2026-11-25T07:30:00+05:30");
}

#[test]
fn disruptions_are_the_first_that_a_job_is_asked_to_leave_out() {
    let mut job = once();
    job["spec"]["disruptionPolicy"] = json!("Ignore");
    let rule =
        |job: &Value| built(job, at("2026-11-24T10:00:00Z"))["spec"]["podFailurePolicy"].take();
    let ours = json!({ "action": "Ignore",
        "onPodConditions": [{ "type": "DisruptionTarget", "status": "True" }] });

    assert_eq!(rule(&job), json!({ "rules": [ours] }));
    let theirs =
        json!({ "action": "FailJob", "onExitCodes": { "operator": "In", "values": [137] } });
    job["spec"]["jobTemplate"]["spec"]["podFailurePolicy"] = json!({ "rules": [theirs] });
    assert_eq!(rule(&job), json!({ "rules": [ours, theirs] }));
}

#[test]
fn starts_a_one_time_run_only_once() {
    let mut recorded = once();
    recorded["status"] = json!({ "lastScheduleTime": "2026-11-24T10:00:00Z" });
    let mut marked = once();
    marked["metadata"]["annotations"] = json!({ "planescape.io/once-started": "some-uid" });
    let mut suspended = once();
    suspended["spec"]["suspend"] = json!(true);
    let mut deleting = once();
    deleting["metadata"]["deletionTimestamp"] = json!("2026-11-24T10:00:00Z");

    for job in [&recorded, &marked, &suspended, &deleting] {
        assert!(
            !plan_of(job, &[], "2026-11-24T11:00:00Z").creates(),
            "{job}"
        );
    }
    let running = [run("2026-11-24T10:00:00Z")];
    assert!(!plan_of(&once(), &running, "2026-11-24T11:00:00Z").creates());
}

/// Schedule, created (or last run), now, the tick that is due, how many were missed before it.
type Case = (
    &'static str,
    &'static str,
    &'static str,
    Option<&'static str>,
    i64,
);

const DUE: &[Case] = &[
    (
        "0 * * * *",
        "2016-05-19T10:00:00Z",
        "2016-05-19T10:00:30Z",
        None,
        0,
    ),
    (
        "0 * * * *",
        "2016-05-19T10:00:00Z",
        "2016-05-19T11:01:00Z",
        Some("2016-05-19T11:00:00Z"),
        0,
    ),
    (
        "0 * * * *",
        "2016-05-19T09:59:59Z",
        "2016-05-19T10:00:00Z",
        Some("2016-05-19T10:00:00Z"),
        0,
    ),
    (
        "0 * * * *",
        "2016-05-19T10:00:10Z",
        "2016-05-19T15:01:00Z",
        Some("2016-05-19T15:00:00Z"),
        4,
    ),
    (
        "30 6-16/4 * * 1-5",
        "2016-05-19T10:30:00Z",
        "2016-05-20T10:31:00Z",
        Some("2016-05-20T10:30:00Z"),
        2,
    ),
    (
        "30 10,11,12 * * 1-5",
        "2016-05-19T10:30:00Z",
        "2016-05-20T16:30:00Z",
        Some("2016-05-20T12:30:00Z"),
        4,
    ),
    (
        "30 6-16/4 * * 1-5",
        "2016-05-19T10:30:00Z",
        "2016-05-23T10:31:00Z",
        Some("2016-05-23T10:30:00Z"),
        5,
    ),
    (
        "30 6-16/4 * * 1-5",
        "2026-02-16T06:30:00Z",
        "2026-02-17T01:48:00Z",
        Some("2026-02-16T14:30:00Z"),
        1,
    ),
    (
        "@every 1h",
        "2016-05-19T09:01:00Z",
        "2016-05-26T10:00:00Z",
        Some("2016-05-26T09:01:00Z"),
        167,
    ),
    (
        "*/5 * * * *",
        "2016-05-19T10:30:00Z",
        "2016-05-19T10:31:00Z",
        None,
        0,
    ),
];

#[test]
fn finds_the_latest_tick_that_is_due() {
    for (schedule, created, now, tick, missed) in DUE {
        let mut job = cron(schedule);
        job["metadata"]["creationTimestamp"] = json!(created);

        let plan = plan_of(&job, &[], now);

        assert_eq!(
            ticks(&plan),
            tick.iter().map(|tick| at(tick)).collect::<Vec<_>>(),
            "{schedule}"
        );
        assert_eq!(plan.missed, *missed, "{schedule} at {now}");
    }
}

#[test]
fn wakes_at_the_next_tick() {
    let plan = plan_of(&cron("0 * * * *"), &[], "2026-11-24T10:59:00Z");

    assert_eq!(plan.wake, Some(at("2026-11-24T11:00:00Z")));
    assert_eq!(plan.next, plan.wake);
}

#[test]
fn runs_no_tick_twice() {
    let mut job = cron("0 * * * *");
    job["status"] = json!({
        "lastScheduleTime": "2026-11-24T11:00:00Z",
        "scheduleReference": { "schedule": "0 * * * * UTC", "since": "2026-11-24T10:00:00Z" },
    });

    assert!(!plan_of(&job, &[], "2026-11-24T11:30:00Z").creates());
    let created = [run("2026-11-24T12:00:00Z")];
    assert!(!plan_of(&job, &created, "2026-11-24T12:00:01Z").creates());
}

#[test]
fn never_starts_a_run_for_an_instant_before_an_edit() {
    let mut job = cron("30 * * * *");
    job["status"] = json!({
        "lastScheduleTime": "2026-11-24T11:00:00Z",
        "scheduleReference": { "schedule": "0 * * * * UTC", "since": "2026-11-24T10:00:00Z" },
    });

    let plan = plan_of(&job, &[], "2026-11-24T11:45:00Z");

    assert!(!plan.creates());
    let since = plan.reference.map(|reference| reference.since.0);
    assert_eq!(since, Some(at("2026-11-24T11:45:00Z")));
    assert_eq!(plan.next, Some(at("2026-11-24T12:30:00Z")));
}

#[test]
fn is_not_stopped_by_a_last_run_in_the_far_future() {
    let mut job = cron("0 * * * *");
    job["status"] = json!({
        "lastScheduleTime": "2036-01-01T00:00:00Z",
        "scheduleReference": { "schedule": "0 * * * * UTC", "since": "2026-11-24T10:00:00Z" },
    });

    let noticed = plan_of(&job, &[], "2026-11-24T11:30:00Z");
    job["status"]["lastScheduleTime"] = json!("2026-11-24T11:30:00Z");
    job["status"]["nextScheduleTime"] = json!("2026-11-24T12:00:00Z");
    let plan = plan_of(&job, &[], "2026-11-24T12:00:00Z");

    assert_eq!(noticed.clock_was_at, Some(at("2036-01-01T00:00:00Z")));
    assert_eq!(ticks(&noticed), []);
    assert_eq!(ticks(&plan), [at("2026-11-24T12:00:00Z")]);
}

#[test]
fn skips_a_tick_that_is_later_than_its_deadline() {
    let mut job = cron("0 * * * *");
    job["spec"]["startingDeadlineSeconds"] = json!(10);

    let in_time = plan_of(&job, &[], "2026-11-24T11:00:10Z");
    let too_late = plan_of(&job, &[], "2026-11-24T11:00:11Z");

    assert!(in_time.creates());
    assert_eq!(
        too_late.skip,
        Some(Skip {
            tick: at("2026-11-24T11:00:00Z"),
            why: Skipped::TooLate
        })
    );
}

#[test]
fn settles_an_overlap_as_the_policy_says() {
    let running = [run("2026-11-24T11:00:00Z")];
    let now = "2026-11-24T12:00:00Z";
    let with_policy = |policy: &str| {
        let mut job = cron("0 * * * *");
        job["spec"]["concurrencyPolicy"] = json!(policy);
        plan_of(&job, &running, now)
    };

    assert!(with_policy("Allow").creates());
    let forbid = plan_of(&cron("0 * * * *"), &running, now);
    assert_eq!(forbid, with_policy("Forbid"));
    assert_eq!(forbid.skip.map(|skip| skip.why), Some(Skipped::Forbid));
    let replace = with_policy("Replace");
    assert!(!replace.creates());
    assert_eq!(
        replace.actions,
        [Action::Delete {
            job: "my-job-29925300".into(),
            uid: "uid-2026-11-24T11:00:00Z".into(),
            version: None,
            why: Deletion::Replace,
        }]
    );
    assert!(replace.wake < Some(at("2026-11-24T12:01:00Z")));
}

#[test]
fn starts_the_replacement_when_the_old_run_is_gone() {
    let mut job = cron("0 * * * *");
    job["spec"]["concurrencyPolicy"] = json!("Replace");
    let mut stopping = run("2026-11-24T11:00:00Z");
    stopping["metadata"]["deletionTimestamp"] = json!("2026-11-24T12:00:00Z");

    let waiting = plan_of(&job, &[stopping], "2026-11-24T12:00:05Z");
    let gone = plan_of(&job, &[], "2026-11-24T12:00:06Z");

    assert_eq!(waiting.actions, []);
    assert_eq!(ticks(&gone), [at("2026-11-24T12:00:00Z")]);
}

#[test]
fn starts_the_replacement_however_long_the_old_run_takes_to_stop() {
    let mut job = cron("0 * * * *");
    job["spec"]["concurrencyPolicy"] = json!("Replace");
    job["spec"]["startingDeadlineSeconds"] = json!(10);
    let mut stopping = run("2026-11-24T11:00:00Z");
    stopping["metadata"]["deletionTimestamp"] = json!("2026-11-24T12:00:00Z");

    let waiting = plan_of(&job, &[stopping], "2026-11-24T12:00:25Z");
    job["status"] = json!({ "pendingScheduleTime": "2026-11-24T12:00:00Z" });
    let gone = plan_of(&job, &[], "2026-11-24T12:00:31Z");
    let later = plan_of(&job, &[], "2026-11-24T13:00:31Z");

    assert_eq!((waiting.actions, waiting.skip), (vec![], None));
    assert_eq!(ticks(&gone), [at("2026-11-24T12:00:00Z")]);
    assert_eq!(later.skip.map(|skip| skip.why), Some(Skipped::TooLate));
}

#[test]
fn looks_at_the_next_tick_while_an_old_run_stops() {
    let mut job = cron("* * * * *");
    job["spec"]["concurrencyPolicy"] = json!("Replace");
    let mut stopping = run("2026-11-24T11:59:00Z");
    stopping["metadata"]["deletionTimestamp"] = json!("2026-11-24T12:00:00Z");

    let waiting = plan_of(&job, &[stopping], "2026-11-24T12:00:55Z");

    assert_eq!(waiting.wake, Some(at("2026-11-24T12:01:00Z")));
}

#[test]
fn starts_a_one_time_run_that_was_resumed_after_its_deadline() {
    let mut job = once();
    job["spec"]["startingDeadlineSeconds"] = json!(10);
    job["status"] = json!({ "scheduleReference": {
        "schedule": "@once UTC (suspended)", "since": "2026-11-24T10:00:00Z",
    } });

    assert!(plan_of(&job, &[], "2026-11-24T11:00:00Z").creates());
    job["status"]["scheduleReference"]["schedule"] = json!("@once UTC");
    job["status"]["scheduleReference"]["since"] = json!("2026-11-24T11:00:00Z");
    assert!(plan_of(&job, &[], "2026-11-24T11:00:10Z").creates());
    let too_late = plan_of(&job, &[], "2026-11-24T11:00:12Z");
    assert_eq!(too_late.skip.map(|skip| skip.why), Some(Skipped::TooLate));
}

#[test]
fn allows_for_the_part_of_a_second_that_the_time_of_creation_lacks() {
    let mut job = once();
    job["spec"]["startingDeadlineSeconds"] = json!(0);

    assert!(plan_of(&job, &[], "2026-11-24T10:00:00.900Z").creates());
}

#[test]
fn a_corrected_spec_starts_no_run_for_the_past() {
    let mut schedule = cron("0 0 30 2 *");
    let mut template = cron("0 * * * *");
    template["spec"]["jobTemplate"]["spec"]["manualSelector"] = json!(true);

    for job in [&mut schedule, &mut template] {
        job["metadata"]["generation"] = json!(1);
        let invalid = plan_of(job, &[], "2026-11-24T10:30:00Z");
        job["status"] = json!({ "scheduleReference": invalid.reference });
        job["spec"] = cron("0 * * * *")["spec"].clone();
        job["metadata"]["generation"] = json!(2);
        let corrected = plan_of(job, &[], "2026-11-24T11:45:00Z");

        assert_eq!(ticks(&corrected), [], "{job}");
        assert_eq!(corrected.next, Some(at("2026-11-24T12:00:00Z")));
    }
}

#[test]
fn looks_again_when_a_job_ought_to_have_a_pod() {
    let running = [run("2026-11-24T11:00:00Z")];

    let plan = plan_of(&cron("0 * * * *"), &running, "2026-11-24T11:00:03Z");

    assert_eq!(plan.wake, Some(at("2026-11-24T11:00:10Z")));
}

const NOW: &str = "2026-11-24T10:00:01Z";

pub(super) fn once() -> Value {
    json!({
        "apiVersion": "planescape.io/v1alpha1",
        "kind": "PlanescapeJob",
        "metadata": {
            "name": "my-job",
            "namespace": "team",
            "uid": UID,
            "creationTimestamp": "2026-11-24T10:00:00Z",
        },
        "spec": { "jobTemplate": { "spec": { "template": { "spec": {
            "containers": [{ "name": "main", "image": "busybox:1.35" }],
        } } } } },
    })
}

pub(super) fn cron(schedule: &str) -> Value {
    let mut job = once();
    job["spec"]["schedule"] = json!(schedule);
    job
}

/// A Job of ours that runs.
pub(super) fn run(tick: &str) -> Value {
    let minute = at(tick).as_second() / 60;
    json!({
        "metadata": {
            "name": format!("my-job-{minute}"),
            "namespace": "team",
            "ownerReferences": [{
                "apiVersion": "planescape.io/v1alpha1", "kind": "PlanescapeJob",
                "name": "my-job", "uid": UID, "controller": true,
            }],
            "uid": format!("uid-{tick}"),
            "annotations": { SCHEDULED_AT_ANNOTATION: tick },
            "finalizers": [RUN_TRACKING_FINALIZER],
        },
        "spec": { "template": { "spec": { "containers": [] } } },
        "status": { "startTime": tick },
    })
}

pub(super) fn end(run: &mut Value, condition: &str) {
    run["status"]["conditions"] = json!([{ "type": condition, "status": "True" }]);
}

pub(super) fn pod(name: &str, tick: &str) -> Value {
    let minute = at(tick).as_second() / 60;
    json!({ "metadata": {
        "name": name,
        "namespace": "team",
        "uid": name,
        "labels": { "job-name": "my-job" },
        "ownerReferences": [{
            "apiVersion": "batch/v1", "kind": "Job", "name": format!("my-job-{minute}"),
            "uid": format!("uid-{tick}"), "controller": true,
        }],
    } })
}

pub(super) fn plan_of(job: &Value, runs: &[Value], now: &str) -> Plan {
    plan_with_pods(job, runs, &[], now)
}

pub(super) fn plan_with_pods(job: &Value, runs: &[Value], pods: &[Value], now: &str) -> Plan {
    checked_elsewhere(full_plan(job, runs, pods, &Defaults::default(), now))
}

pub(super) fn plan_with(job: &Value, runs: &[Value], defaults: &Defaults, now: &str) -> Plan {
    let pods: Vec<Value> = runs
        .iter()
        .map(|run| {
            let tick = run["metadata"]["annotations"][SCHEDULED_AT_ANNOTATION].as_str();
            pod("pod", tick.unwrap())
        })
        .collect();
    checked_elsewhere(full_plan(job, runs, &pods, defaults, now))
}

pub(super) fn unfiltered_plan(job: &Value, now: &str) -> Plan {
    full_plan(job, &[], &[], &Defaults::default(), now)
}

/// The check of the template has a test of its own.
fn checked_elsewhere(mut plan: Plan) -> Plan {
    plan.actions
        .retain(|action| !matches!(action, Action::Check { .. }));
    plan
}

fn full_plan(job: &Value, runs: &[Value], pods: &[Value], defaults: &Defaults, now: &str) -> Plan {
    let job: PlanescapeJob = serde_json::from_value(job.clone()).unwrap();
    let jobs: Vec<k8s_openapi::api::batch::v1::Job> = runs.iter().map(typed).collect();
    let pods: Vec<k8s_openapi::api::core::v1::Pod> = pods.iter().map(typed).collect();
    let owner = Identity::of(&job.metadata).unwrap();
    let jobs: Vec<KnownJob> = jobs.iter().filter_map(KnownJob::of).collect();
    let pods: Vec<KnownPod> = pods.iter().filter_map(KnownPod::of).collect();
    let observed = Observed::of(&owner, &jobs, &pods);
    let validated = validate(&job, defaults, at(now));
    let validated = validated.as_ref().map(|(validated, _)| validated);
    let validated = validated.map_err(Vec::as_slice);
    plan(&job, validated, &observed, defaults, at(now))
}

fn built(job: &Value, tick: Timestamp) -> Value {
    let (validated, material) = validate(&typed(job), &Defaults::default(), tick).unwrap();
    crate::run::build(&validated, &material, &crate::run::Occasion::Tick(tick))
}

fn typed<T: serde::de::DeserializeOwned>(value: &Value) -> T {
    serde_json::from_value(value.clone()).unwrap()
}

pub(super) fn ticks(plan: &Plan) -> Vec<Timestamp> {
    plan.actions
        .iter()
        .filter_map(|action| {
            if let Action::Create { tick } = action {
                Some(*tick)
            } else {
                None
            }
        })
        .collect()
}

pub(super) fn released(plan: &Plan) -> usize {
    let is_release = |action: &&Action| matches!(action, Action::Release { .. });
    plan.actions.iter().filter(is_release).count()
}

pub(super) fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

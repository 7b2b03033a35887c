//! Oddities that work and are rarely meant, in a pod template and in a schedule.

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::RUNS;
use crate::api::PlanescapeJob;
use crate::api::v1alpha1::{ConcurrencyPolicy, DstPolicy, ForbidBehavior};
use crate::job::validate::ValidatedJob;
use crate::schedule::{Schedule, Window};

const POD: &str = "spec.jobTemplate.spec.template.spec";

/// How far ahead clocks that are turned are looked for.
const A_YEAR: SignedDuration = SignedDuration::from_hours(366 * 24);

/// Endings of the names of variables that hold a secret, in lower case and without marks between words.
const SECRET: &[&str] = &[
    "password",
    "passwd",
    "passphrase",
    "pwd",
    "secret",
    "token",
    "credential",
    "credentials",
    "apikey",
];

/// Names that end like one of these and are none.
const OPEN: &[&str] = &["publickey", "partitionkey", "sortkey", "oldpwd"];

pub(super) fn warn(
    job: &PlanescapeJob,
    validated: &ValidatedJob,
    now: Timestamp,
    warnings: &mut Vec<String>,
) {
    warn_of_pods(job, warnings);
    warnings.extend(of_deadlines(job, validated, now));
    warnings.extend(of_jitter(job, validated, now));
    warnings.extend(of_limit(job, validated));
    warnings.extend(of_windows(validated, now));
    warnings.extend(of_clock(job, validated, now));
}

/// Warnings that depend on the pod template alone.
pub(super) fn warn_of_pods(job: &PlanescapeJob, warnings: &mut Vec<String>) {
    let pod = &job.spec.job_template["spec"]["template"]["spec"];
    for kind in ["initContainers", "containers"] {
        for (position, container) in listed(&pod[kind]).enumerate() {
            let field = format!("{POD}.{kind}[{position}]");
            warnings.extend(of_image(&field, container));
            warnings.extend(of_memory(&field, container, pod));
            warnings.extend(of_variables(&field, container));
        }
    }
    warnings.extend(of_logs(pod));
}

fn listed(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn of_image(field: &str, container: &Value) -> Option<String> {
    let image = container["image"].as_str().unwrap_or_default();
    if image.is_empty() {
        return Some(format!(
            "{field}.image: is missing; the API server refuses the Job, unless a webhook names one"
        ));
    }
    // A registry may have a port.
    let (_, name) = image.rsplit_once('/').unwrap_or(("", image));
    if name.contains('@') {
        return None;
    }
    let what = match name.split_once(':') {
        None => "names no tag",
        Some((_, "latest")) => "has the tag latest",
        Some(_) => return None,
    };
    Some(format!(
        "{field}.image: {image} {what}, so that what runs may change from one run to the next; name a version, or a digest"
    ))
}

fn of_memory(field: &str, container: &Value, pod: &Value) -> Option<String> {
    let has_limit = |of: &Value| !of["resources"]["limits"]["memory"].is_null();
    let is_limited = has_limit(container) || has_limit(pod);
    (!is_limited).then(|| {
        format!(
            "{field}: has no memory limit; unless its namespace sets one, it may take the memory of its whole node"
        )
    })
}

/// The value is secret, and must not stand in a log.
fn of_variables(field: &str, container: &Value) -> Vec<String> {
    let literals = listed(&container["env"]).filter_map(|variable| {
        let name = variable["name"].as_str()?;
        let value = variable["value"].as_str()?;
        (holds_secret(name) && is_literal(value)).then_some(name)
    });
    let warnings = literals.map(|name| {
        format!(
            "{field}.env: {name} looks like a secret, and whoever may read PlanescapeJobs, Jobs or pods can read its value; take it from Vault, or from a Secret"
        )
    });
    warnings.collect()
}

fn holds_secret(name: &str) -> bool {
    let letters = name.chars().filter(char::is_ascii_alphanumeric);
    let plain: String = letters.map(|letter| letter.to_ascii_lowercase()).collect();
    let is_open = plain == "pwd" || OPEN.iter().any(|open| plain.ends_with(open));
    // Not every word that ends so is a key.
    let (_, last_word) = name.rsplit_once(['_', '-', '.']).unwrap_or(("", name));
    let is_key = last_word.eq_ignore_ascii_case("key") || name.ends_with("Key");
    !is_open && (is_key || SECRET.iter().any(|secret| plain.ends_with(secret)))
}

/// Whether a value is no switch, no reference to another variable and no path of a file.
fn is_literal(value: &str) -> bool {
    let is_reference = value.starts_with("$(") && value.ends_with(')');
    let is_path = value
        .strip_prefix('/')
        .is_some_and(|rest| rest.contains('/'));
    !matches!(value, "" | "true" | "false") && !is_reference && !is_path
}

fn of_logs(pod: &Value) -> Option<String> {
    let keeps_end =
        |container: &Value| container["terminationMessagePolicy"] == "FallbackToLogsOnError";
    let is_lost = pod["restartPolicy"] == "OnFailure" && !listed(&pod["containers"]).all(keeps_end);
    is_lost.then(|| {
        format!(
            "{POD}.restartPolicy: with OnFailure Kubernetes deletes the pod of a run that has failed too often, and its logs; \
             terminationMessagePolicy: FallbackToLogsOnError of its containers keeps their end in status.runs[].failure"
        )
    })
}

fn of_deadlines(job: &PlanescapeJob, validated: &ValidatedJob, now: Timestamp) -> Vec<String> {
    let mut warnings = Vec::new();
    if job.spec.starting_deadline_seconds == Some(0) {
        warnings.push(
            "spec.startingDeadlineSeconds: 0 skips every run that does not start within the second that it is due in, as when the operator restarts".to_owned(),
        );
    }
    let skips =
        validated.policy == ConcurrencyPolicy::Forbid && validated.forbid == ForbidBehavior::Skip;
    let longest = validated.run_deadline.filter(|_| skips);
    let interval = shortest_interval(&validated.schedule, now);
    if let (Some(longest), Some(interval)) = (longest, interval)
        && longest > interval
    {
        let (longest, interval) = (longest.as_secs(), interval.as_secs());
        warnings.push(format!(
            "spec.jobTemplate.spec.activeDeadlineSeconds: a run may last {longest} s, and the next one is due after {interval} s: Forbid skips what is due while it lasts"
        ));
    }
    warnings
}

/// Between the next instants.
fn shortest_interval(schedule: &Schedule, now: Timestamp) -> Option<SignedDuration> {
    let next = |tick: &Timestamp| schedule.next(now, *tick);
    let ticks = std::iter::successors(schedule.next(now, now), next);
    let ticks: Vec<Timestamp> = ticks.take(RUNS).collect();
    let pairs = ticks.iter().zip(ticks.iter().skip(1));
    pairs.map(|(one, next)| next.duration_since(*one)).min()
}

fn of_jitter(job: &PlanescapeJob, validated: &ValidatedJob, now: Timestamp) -> Option<String> {
    let most = job.spec.jitter_seconds?;
    let interval = shortest_interval(&validated.schedule, now)?.as_secs();
    (most > interval).then(|| {
        format!(
            "spec.jitterSeconds: a run may start {most} s after its instant, and the next one is due after {interval} s"
        )
    })
}

fn of_limit(job: &PlanescapeJob, validated: &ValidatedJob) -> Option<String> {
    let is_without_effect =
        job.spec.max_active_runs.is_some() && validated.policy != ConcurrencyPolicy::Allow;
    is_without_effect.then(|| {
        format!(
            "spec.maxActiveRuns: counts under concurrencyPolicy Allow alone; under {:?} one run is active at a time",
            validated.policy
        )
    })
}

fn of_windows(validated: &ValidatedJob, now: Timestamp) -> Vec<String> {
    let windows = validated.excluded.iter().enumerate();
    let over = windows.filter_map(|(position, window)| match window {
        Window::Fixed { until, .. } if *until <= now => Some(format!(
            "spec.exclusionWindows[{position}]: is over since {until}, and keeps no run from starting"
        )),
        Window::Fixed { .. } | Window::Recurring { .. } => None,
    });
    over.collect()
}

fn of_clock(job: &PlanescapeJob, validated: &ValidatedJob, now: Timestamp) -> Option<String> {
    let Schedule::Calendar(calendar) = &validated.schedule else {
        return None;
    };
    if job.spec.dst_policy != DstPolicy::Kubernetes {
        return None;
    }
    let (reading, turned) = calendar.left_out(now, now.checked_add(A_YEAR).ok()?)?;
    let zone = &validated.zone;
    Some(format!(
        "spec.dstPolicy: {zone} has no {reading}, as its clock is turned forward at {turned}: with Kubernetes no run starts for it, with OncePerOccurrence one starts at {turned}"
    ))
}

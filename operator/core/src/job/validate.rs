//! From a PlanescapeJob as it is written to one that can run, or to everything that keeps it
//! from running.

use jiff::{SignedDuration, Timestamp, tz::TimeZone};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::annotations::{self, Injection};
use crate::api::PlanescapeJob;
use crate::api::v1alpha1::{
    ConcurrencyPolicy, DisruptionPolicy, DstPolicy, ForbidBehavior, MissedRunPolicy, ONCE,
    PlanescapeJobSpec,
};
use crate::credentials::{self, Order};
use crate::defaults::Defaults;
use crate::inject;
use crate::job::identity::Identity;
use crate::problem::{Kind, Problem};
use crate::run;
use crate::schedule::{self, Schedule, Window};

/// Linux takes no longer environment variable than 128 KiB, with its name.
const LARGEST_CONFIGURATION: usize = (128 << 10) - "VAULT_CONFIG=".len() - 1;

/// As the API server says.
const MOST_FAILURE_RULES: usize = 20;

/// A PlanescapeJob that can run.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ValidatedJob {
    /// Which PlanescapeJob it is.
    pub identity: Identity,
    /// When to run.
    pub schedule: Schedule,
    /// The zone's name.
    pub zone: String,
    /// The policy for a run that is due while the previous one is active.
    pub policy: ConcurrencyPolicy,
    /// How many runs may be active at once.
    pub most_active: Option<usize>,
    /// The behaviour of Forbid towards a run that is due while another is active.
    pub forbid: ForbidBehavior,
    /// How long after its instant each run starts.
    pub delay: SignedDuration,
    /// Times in which no run starts.
    pub excluded: Vec<Window>,
    /// How long a run may last.
    pub run_deadline: Option<SignedDuration>,
    /// How late a run may start.
    pub deadline: Option<SignedDuration>,
    /// The policy for a run that could not start when it was due.
    pub missed: MissedRunPolicy,
    /// A digest of the job template and the vault block.
    pub digest: String,
    /// The part of the agent that the status tells, where there is one.
    pub agent: Option<Agent>,
    /// Whether its Jobs get Secrets from Vault, and wait for them.
    pub has_secrets: bool,
    /// Which of its annotations are not read, a line each.
    pub unread: Option<Box<str>>,
}

/// The material of its Jobs: too much to keep in memory for every PlanescapeJob.
#[derive(Clone, Debug)]
pub struct Material {
    /// `spec.jobTemplate`.
    pub template: Value,
    /// The agent to write into it.
    pub injection: Option<Injection>,
    /// The order of its Secrets.
    pub order: Option<Order>,
    /// The policy for a run whose pod was disrupted.
    pub disruption: DisruptionPolicy,
}

/// The part that the status tells of an agent in the pods.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Agent {
    /// Vault's host.
    pub vault_host: String,
    /// Whether its container comes before the author's own init containers.
    pub comes_first: bool,
    /// The Secret whose certificates it trusts Vault by.
    pub tls_secret: Option<String>,
    /// Whether the pod uses the host's network, where no name of the cluster is known.
    pub knows_no_names: bool,
}

/// Checks everything that the API server's schema cannot.
pub fn validate(
    job: &PlanescapeJob,
    defaults: &Defaults,
    now: Timestamp,
) -> Result<(ValidatedJob, Material), Vec<Problem>> {
    let spec = &job.spec;
    let mut problems = Vec::new();
    let identity = Identity::of(&job.metadata);
    if identity.is_none() {
        let message = "has no name, namespace or UID: the API server has not stored it";
        problems.push(Problem::template("metadata", message));
    }
    let schedule = schedule(spec, now)
        .map_err(|problem| problems.push(problem))
        .ok();
    let policy = policy(spec);
    let excluded = windows(spec, &mut problems, now);
    refuse_odd_scheduling(spec, policy, &mut problems);
    refuse_odd_template(spec, &mut problems);
    let injection = injection(spec, defaults)
        .map_err(|more| problems.extend(more))
        .ok();
    let order = credentials::read(spec, defaults)
        .map_err(|more| problems.extend(more))
        .ok();
    let (Some(identity), Some(schedule), Some(injection), Some(order), true) =
        (identity, schedule, injection, order, problems.is_empty())
    else {
        problems.sort();
        // An agent and Secrets may lack the same.
        problems.dedup();
        return Err(problems);
    };
    let asks_vault = injection.is_some() || order.is_some();
    let validated = ValidatedJob {
        schedule,
        zone: zone_name(spec).to_owned(),
        policy,
        forbid: spec.forbid_behavior,
        delay: delay(most_delay(spec, defaults, asks_vault), &identity.uid),
        excluded,
        most_active: spec
            .max_active_runs
            .and_then(|most| usize::try_from(most).ok()),
        deadline: spec
            .starting_deadline_seconds
            .map(SignedDuration::from_secs),
        missed: spec.missed_run_policy,
        digest: run::digest(spec),
        agent: injection.as_ref().map(|it| agent(it, &spec.job_template)),
        identity,
        run_deadline: run_deadline(&spec.job_template),
        has_secrets: order.is_some(),
        unread: unread(job),
    };
    let template = spec.job_template.clone();
    Ok((
        validated,
        Material {
            template,
            injection,
            order,
            disruption: spec.disruption_policy,
        },
    ))
}

fn unread(job: &PlanescapeJob) -> Option<Box<str>> {
    let unread = annotations::unread(job);
    (!unread.is_empty()).then(|| unread.join("\n").into())
}

fn agent(injection: &Injection, template: &Value) -> Agent {
    let pod = template.pointer("/spec/template/spec");
    let pod = pod.unwrap_or(&Value::Null);
    let policy = pod["dnsPolicy"].as_str();
    let knows_names = matches!(policy, Some("ClusterFirstWithHostNet" | "None"));
    Agent {
        vault_host: injection.server.host().to_owned(),
        comes_first: injection.comes_first,
        tls_secret: injection.server.tls_secret.clone(),
        knows_no_names: pod["hostNetwork"] == true && !knows_names,
    }
}

/// The policy for a run that is due while the previous one is active.
pub fn policy(spec: &PlanescapeJobSpec) -> ConcurrencyPolicy {
    let usual = if spec.schedule == ONCE {
        ConcurrencyPolicy::Allow
    } else {
        ConcurrencyPolicy::Forbid
    };
    spec.concurrency_policy.unwrap_or(usual)
}

/// The same for the same PlanescapeJob, and spread evenly over many.
fn delay(most: u64, uid: &str) -> SignedDuration {
    let seconds = run::spread(uid) % (most + 1);
    SignedDuration::from_secs(i64::try_from(seconds).unwrap_or(0))
}

/// The longest delay. The operator's setting stands in for the author's, as far as a run may start so late.
pub(crate) fn most_delay(spec: &PlanescapeJobSpec, defaults: &Defaults, asks_vault: bool) -> u64 {
    let usual = i64::from(defaults.vault_jitter_seconds);
    let usual = usual.min(spec.starting_deadline_seconds.unwrap_or(usual));
    let usual = if asks_vault && spec.schedule != ONCE {
        usual
    } else {
        0
    };
    u64::try_from(spec.jitter_seconds.unwrap_or(usual)).unwrap_or(0)
}

fn windows(spec: &PlanescapeJobSpec, problems: &mut Vec<Problem>, now: Timestamp) -> Vec<Window> {
    let zone = schedule::zone(zone_name(spec)).unwrap_or(TimeZone::UTC);
    let mut windows = Vec::new();
    for (position, window) in spec.exclusion_windows.iter().enumerate() {
        let mut refuse = |field: &str, message: String| {
            let field = format!("spec.exclusionWindows[{position}]{field}");
            problems.push(Problem::new(Kind::Schedule, field, message));
        };
        match Window::parse(window, &zone, spec.dst_policy) {
            Ok(window) if window.never_begins(now) => {
                refuse(".schedule", schedule::Error::Never.to_string());
            }
            Ok(window) => windows.push(window),
            Err((field, message)) => refuse(field, message),
        }
    }
    windows
}

/// A field without meaning beside the rest of the spec is a mistake somewhere.
fn refuse_odd_scheduling(
    spec: &PlanescapeJobSpec,
    policy: ConcurrencyPolicy,
    problems: &mut Vec<Problem>,
) {
    let mut refuse = |field: &str, message: &str| {
        problems.push(Problem::new(Kind::Schedule, field, message));
    };
    if spec.schedule == ONCE {
        for (field, is_set) in [
            ("spec.jitterSeconds", spec.jitter_seconds.is_some()),
            (
                "spec.missedRunPolicy",
                spec.missed_run_policy != MissedRunPolicy::default(),
            ),
            ("spec.exclusionWindows", !spec.exclusion_windows.is_empty()),
            ("spec.dstPolicy", spec.dst_policy != DstPolicy::default()),
        ] {
            if is_set {
                refuse(field, "has no meaning with schedule @once; leave it out");
            }
        }
    }
    if spec.forbid_behavior == ForbidBehavior::Queue && policy != ConcurrencyPolicy::Forbid {
        refuse(
            "spec.forbidBehavior",
            "Queue needs concurrencyPolicy: Forbid",
        );
    }
}

fn zone_name(spec: &PlanescapeJobSpec) -> &str {
    spec.time_zone.as_deref().unwrap_or("UTC")
}

fn schedule(spec: &PlanescapeJobSpec, now: Timestamp) -> Result<Schedule, Problem> {
    let zone = match &spec.time_zone {
        None => TimeZone::UTC,
        Some(name) => schedule::zone(name).ok_or_else(|| {
            let message = format!(
                "`{name}` is not a time zone: write an IANA name, such as Europe/Berlin or UTC"
            );
            Problem::new(Kind::TimeZone, "spec.timeZone", message)
        })?,
    };
    let fail =
        |error: schedule::Error| Problem::new(Kind::Schedule, "spec.schedule", error.to_string());
    let schedule = Schedule::parse(&spec.schedule, zone, spec.dst_policy).map_err(fail)?;
    if !schedule.is_once() && schedule.next(now, now).is_none() {
        return Err(fail(schedule::Error::Never));
    }
    Ok(schedule)
}

fn run_deadline(template: &Value) -> Option<SignedDuration> {
    let seconds = template["spec"]["activeDeadlineSeconds"].as_i64();
    seconds.map(SignedDuration::from_secs)
}

/// Refuses the same as the schema, of which a cluster may have an older one.
fn refuse_odd_template(spec: &PlanescapeJobSpec, problems: &mut Vec<Problem>) {
    let field = |pointer: &str| format!("spec.jobTemplate{}", pointer.replace('/', "."));
    let mut refuse = |pointer: &str, message: &str| {
        problems.push(Problem::template(field(pointer), message));
    };
    let template = &spec.job_template;
    let ours = |pointer: &str| template.pointer(pointer).filter(|value| !value.is_null());
    let refusal = "is set by the operator; leave it out";
    if ours("/spec/selector").is_some() {
        refuse("/spec/selector", refusal);
    }
    // The default, written out, asks for nothing.
    if ours("/spec/manualSelector").is_some_and(|value| *value != false) {
        refuse("/spec/manualSelector", refusal);
    }
    let policy = "/spec/template/spec/restartPolicy";
    if let Some(value) = template.pointer(policy)
        && !matches!(value.as_str(), Some("Never" | "OnFailure"))
    {
        refuse(policy, "must be Never or OnFailure");
    }
    if spec.disruption_policy == DisruptionPolicy::Ignore {
        refuse_uncountable(template, problems);
    }
    let mut refuse = |pointer: &str, message: &str| {
        problems.push(Problem::template(field(pointer), message));
    };
    let containers = "/spec/template/spec/containers";
    let listed = template.pointer(containers).and_then(Value::as_array);
    if listed.is_none_or(Vec::is_empty) {
        refuse(containers, "needs at least one container");
    }
}

/// Kubernetes takes rules about failures only where it restarts no container, and twenty at most.
fn refuse_uncountable(template: &Value, problems: &mut Vec<Problem>) {
    let mut refuse = |message: &str| {
        problems.push(Problem::template("spec.disruptionPolicy", message));
    };
    let restarts = template.pointer("/spec/template/spec/restartPolicy");
    if restarts.is_some_and(|policy| policy == "OnFailure") {
        refuse("Ignore needs restartPolicy: Never in the pod template");
    }
    let rules = template.pointer("/spec/podFailurePolicy/rules");
    if rules
        .and_then(Value::as_array)
        .is_some_and(|rules| rules.len() >= MOST_FAILURE_RULES)
    {
        refuse("Ignore adds a rule to podFailurePolicy, which may have twenty; leave one out");
    }
}

fn injection(
    spec: &PlanescapeJobSpec,
    defaults: &Defaults,
) -> Result<Option<Injection>, Vec<Problem>> {
    let pod = spec.job_template.pointer("/spec/template");
    let pod = pod.unwrap_or(&Value::Null);
    let injection = annotations::read(pod, spec.vault.as_ref(), defaults)?;
    let size = injection.as_ref().map_or(0, inject::configuration_size);
    if size > LARGEST_CONFIGURATION {
        let field = "spec.jobTemplate.spec.template.metadata.annotations";
        let message = format!(
            "the agent's configuration takes {size} bytes, and Linux hands over {LARGEST_CONFIGURATION} at most; write shorter templates"
        );
        return Err(vec![Problem::template(field, message)]);
    }
    let refused: Vec<Problem> = injection
        .iter()
        .flat_map(inject::refusals)
        .map(|(name, message)| Problem::template(annotations::field(pod, &name), message))
        .collect();
    if !refused.is_empty() {
        return Err(refused);
    }
    Ok(injection)
}

#[cfg(test)]
mod tests;

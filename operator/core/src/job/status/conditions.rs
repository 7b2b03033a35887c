//! `status.conditions`.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

use super::Facts;
use super::vault::{self, Standing};
use crate::api::names::KUBERNETES_JOB_NAME_LABEL;
use crate::api::v1alpha1::{Outcome, PlanescapeJobStatus};
use crate::job::observed::Report;
use crate::job::plan::Blocker;
use crate::problem::{Kind as ProblemKind, Problem};

const LONGEST_MESSAGE: usize = 4_096;

/// One condition, before it is compared with the one that is there.
struct Finding {
    kind: &'static str,
    status: &'static str,
    reason: String,
    message: String,
}

impl Finding {
    fn new(kind: &'static str, holds: bool, reason: &str, message: impl Into<String>) -> Self {
        Self {
            kind,
            status: if holds { "True" } else { "False" },
            reason: reason.to_owned(),
            message: message.into(),
        }
    }
}

/// All of them, in the order in which a reader wants them.
pub(super) fn of(
    facts: &Facts<'_>,
    before: &PlanescapeJobStatus,
    after: &PlanescapeJobStatus,
) -> Vec<Condition> {
    let vault = vault_ready(facts, before);
    let mut findings = vec![
        ready(facts, vault.as_ref(), after),
        schedule_valid(facts),
        suspended(facts),
        active(after),
    ];
    findings.extend(vault);
    findings.extend(end(facts, after));
    findings
        .into_iter()
        .map(|finding| condition(finding, facts, before))
        .collect()
}

/// The time of transition changes only when the status does.
fn condition(finding: Finding, facts: &Facts<'_>, before: &PlanescapeJobStatus) -> Condition {
    let same = before
        .conditions
        .iter()
        .find(|it| it.type_ == finding.kind && it.status == finding.status);
    let since = same.map_or(whole_seconds(facts.now), |same| same.last_transition_time.0);
    Condition {
        type_: finding.kind.to_owned(),
        status: finding.status.to_owned(),
        reason: finding.reason,
        message: finding.message.chars().take(LONGEST_MESSAGE).collect(),
        last_transition_time: Time(since),
        observed_generation: facts.job.metadata.generation,
    }
}

fn ready(facts: &Facts<'_>, vault: Option<&Finding>, after: &PlanescapeJobStatus) -> Finding {
    const KIND: &str = "Ready";
    if let Err(problems) = facts.validated {
        let kinds = problems.iter().map(|problem| problem.kind);
        let reason = kinds.min().unwrap_or(ProblemKind::Template).reason();
        return Finding::new(KIND, false, reason, listed(problems.iter()));
    }
    if let Some(failure) = &facts.applied.failure {
        return Finding::new(KIND, false, failure.reason, failure.message.as_str());
    }
    if let Some(blocker) = &facts.plan.blocked_by {
        return Finding::new(KIND, false, "ReplaceBlocked", blocked(blocker));
    }
    if let Some(job) = &facts.plan.podless {
        let message =
            format!("Job {job} has no pod; its events say why: kubectl describe job {job}");
        return Finding::new(KIND, false, "NoPods", message);
    }
    if let Some(vault) = vault.filter(|vault| vault.status == "False") {
        return Finding::new(KIND, false, "VaultNotReady", vault.message.as_str());
    }
    if facts.job.spec.suspend {
        return Finding::new(
            KIND,
            true,
            "Suspended",
            "starts nothing while spec.suspend is true",
        );
    }
    match (&after.next_schedule_time, after.active.first()) {
        (Some(next), _) => Finding::new(KIND, true, "Scheduled", format!("next run at {}", next.0)),
        (None, Some(run)) => Finding::new(KIND, true, "Started", format!("Job {} runs", run.name)),
        (None, None) => Finding::new(KIND, true, "Settled", "nothing is left to start"),
    }
}

fn blocked(blocker: &Blocker) -> String {
    let Blocker { job, since } = blocker;
    format!(
        "Job {job} is being deleted since {since} and is not gone, and the run that replaces it waits; \
        see what still stops: kubectl get pods -l {KUBERNETES_JOB_NAME_LABEL}={job}; if its node is lost, \
        delete the pod with --force"
    )
}

fn listed<'a>(problems: impl Iterator<Item = &'a Problem>) -> String {
    let texts: Vec<String> = problems.map(Problem::to_string).collect();
    texts.join("\n")
}

fn schedule_valid(facts: &Facts<'_>) -> Finding {
    const KIND: &str = "ScheduleValid";
    let problems = facts.validated.err().unwrap_or_default();
    let mut wrong = problems.iter().filter(|it| it.kind.concerns_schedule());
    match wrong.next() {
        Some(problem) => Finding::new(KIND, false, problem.kind.reason(), problem.message.as_str()),
        None => Finding::new(KIND, true, "Valid", facts.job.spec.schedule.as_str()),
    }
}

fn suspended(facts: &Facts<'_>) -> Finding {
    if facts.job.spec.suspend {
        Finding::new("Suspended", true, "Suspended", "spec.suspend is true")
    } else {
        Finding::new("Suspended", false, "NotSuspended", "")
    }
}

fn active(after: &PlanescapeJobStatus) -> Finding {
    let names: Vec<&str> = after.active.iter().map(|run| run.name.as_str()).collect();
    if names.is_empty() {
        return Finding::new("Active", false, "NoJobRuns", "");
    }
    Finding::new("Active", true, "JobRuns", names.join(", "))
}

/// What the newest run's agents say; what they said last, once their pods are gone.
fn vault_ready(facts: &Facts<'_>, before: &PlanescapeJobStatus) -> Option<Finding> {
    const KIND: &str = "VaultReady";
    let mut known = before.conditions.iter();
    let known = known.find(|condition| condition.type_ == KIND);
    let is_wanted = match facts.validated {
        Ok(validated) => validated.injection.is_some(),
        Err(_) => known.is_some(),
    };
    if !is_wanted {
        return None;
    }
    Some(match vault::standing(facts) {
        Standing::Failed(report) => failed(KIND, report),
        Standing::Rendered => Finding::new(KIND, true, "Rendered", "every file is rendered"),
        Standing::Pending => match known {
            Some(known) => Finding {
                kind: KIND,
                status: status_text(&known.status),
                reason: known.reason.clone(),
                message: known.message.clone(),
            },
            None => Finding {
                kind: KIND,
                status: "Unknown",
                reason: "Pending".to_owned(),
                message: "no agent has logged in yet".to_owned(),
            },
        },
    })
}

fn failed(kind: &'static str, report: &Report) -> Finding {
    Finding::new(kind, false, &report.reason, vault::sentence(report))
}

fn status_text(text: &str) -> &'static str {
    match text {
        "True" => "True",
        "False" => "False",
        _ => "Unknown",
    }
}

/// For one-time jobs: how the one run ended, in a Job's own words.
fn end(facts: &Facts<'_>, after: &PlanescapeJobStatus) -> Option<Finding> {
    if facts.job.spec.schedule != crate::api::v1alpha1::ONCE {
        return None;
    }
    if let Some(skip) = facts.plan.skip {
        let message = format!("due at {}, noticed too late", skip.tick);
        return Some(Finding::new("Failed", true, "MissedDeadline", message));
    }
    let Some(run) = after.runs.first() else {
        let mut known = facts.job.status.iter().flat_map(|it| &it.conditions);
        let missed = known.find(|it| it.type_ == "Failed")?;
        return Some(Finding::new(
            "Failed",
            true,
            &missed.reason,
            missed.message.as_str(),
        ));
    };
    let reason = run.reason.as_deref();
    let message = run.message.clone().unwrap_or_default();
    match run.outcome {
        Outcome::Running => None,
        Outcome::Succeeded => Some(Finding::new("Complete", true, "JobComplete", message)),
        Outcome::Failed | Outcome::Deleted => {
            let reason = reason.unwrap_or("JobFailed");
            Some(Finding::new("Failed", true, reason, message))
        }
    }
}

/// Kubernetes keeps whole seconds.
fn whole_seconds(now: Timestamp) -> Timestamp {
    Timestamp::from_second(now.as_second()).unwrap_or(now)
}

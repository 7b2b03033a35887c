//! `status.conditions`.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use planescape_agent_contract::{Reason, Report};

use super::vault::{self, Standing};
use super::{Checked, Facts, Taken, is_older, older_run, replace_older};
use super::{excluded, fit, held_back};
use crate::api::names::{KUBERNETES_JOB_NAME_LABEL, ONCE_STARTED_ANNOTATION};
use crate::api::v1alpha1::{Outcome, PlanescapeJobStatus};
use crate::inject::SIDECAR;
use crate::job::observed::{ObservedJob, Waiting};
use crate::job::plan::{self, Blocker};
use crate::problem::{Kind as ProblemKind, Problem};

/// The reason of `TemplateValid` if some annotations are not read, and of the event.
pub(super) const UNREAD: &str = "UnknownAnnotation";

/// The reason of a mistake that the author has to mend.
const INVALID: &str = "InvalidTemplate";

pub(super) const RENDERED_WITH_WARNINGS: &str = "RenderedWithWarnings";

/// The reason of a conflict: something else bears the name of a run.
const NAME_CONFLICT: &str = "NameConflict";

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
    let vault = vault_ready(facts, before).map(|vault| fitted(facts, after, vault));
    let template = template_valid(facts, before);
    let ready = ready(facts, template.as_ref(), vault.as_ref(), after);
    let mut findings = vec![ready];
    findings.extend(stalled(facts, template.as_ref(), after));
    findings.push(schedule_valid(facts));
    findings.extend(template);
    findings.extend([suspended(facts), active(after)]);
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

/// Whether runs can start, and the one that is on its way does.
fn ready(
    facts: &Facts<'_>,
    template: Option<&Finding>,
    vault: Option<&Finding>,
    after: &PlanescapeJobStatus,
) -> Finding {
    const KIND: &str = "Ready";
    if let Err(problems) = facts.validated {
        let kinds = problems.iter().map(|problem| problem.kind);
        let reason = kinds.min().unwrap_or(ProblemKind::Template).reason();
        return Finding::new(KIND, false, reason, listed(problems.iter()));
    }
    if let Some(failure) = &facts.applied.failure {
        return Finding::new(KIND, false, failure.reason, failure.message.as_str());
    }
    if let Some(stalled) = stalled(facts, template, after) {
        return Finding {
            kind: KIND,
            status: "False",
            ..stalled
        };
    }
    if let Some(template) = template.filter(|template| template.status == "False") {
        let message = template.message.as_str();
        return Finding::new(KIND, false, "FailedCreate", message);
    }
    if let Some(blocker) = &facts.plan.blocked_by {
        return Finding::new(KIND, false, "ReplaceBlocked", blocked(blocker));
    }
    if let Some(job) = &facts.plan.podless {
        return Finding::new(KIND, false, "NoPods", podless(facts, job));
    }
    if let Some(message) = waiting(facts) {
        return Finding::new(KIND, false, "PodsWaiting", message);
    }
    if let Some(pod) = &facts.plan.unprepared {
        return Finding::new(KIND, false, "PodsWaiting", unprepared(facts, pod));
    }
    // How a past run ended says nothing about the next.
    let is_running = facts
        .observed
        .jobs
        .first()
        .is_some_and(|run| run.end.is_none());
    if let Some(vault) = vault.filter(|vault| vault.status == "False" && is_running) {
        let reason = if vault::waits_for_vault(facts) {
            "WaitingForVault"
        } else {
            "VaultNotReady"
        };
        return Finding::new(KIND, false, reason, vault.message.as_str());
    }
    if facts.job.spec.suspend {
        return Finding::new(
            KIND,
            true,
            "Suspended",
            "starts nothing while spec.suspend is true",
        );
    }
    if let Some(message) = conflict(facts, after) {
        return Finding::new(KIND, false, NAME_CONFLICT, message);
    }
    if excluded::never_runs(facts) {
        return Finding::new(KIND, false, "NeverRuns", excluded::NEVER_RUNS);
    }
    match (&after.next_schedule_time, after.active.first()) {
        (Some(next), _) => Finding::new(KIND, true, "Scheduled", format!("next run at {}", next.0)),
        (None, Some(run)) => Finding::new(KIND, true, "Started", held_back::standing(facts, run)),
        (None, None) => Finding::new(KIND, true, "Settled", "nothing is left to start"),
    }
}

/// Tells of another owner's Job with the name of the run that was due last, until a later one is due or the spec is changed.
fn conflict(facts: &Facts<'_>, after: &PlanescapeJobStatus) -> Option<String> {
    if let Some(taken) = &facts.applied.conflict {
        return Some(taken.words());
    }
    let last = after.last_schedule_time.as_ref()?;
    let mut told = facts.job.status.iter().flat_map(|it| &it.conditions);
    let told = told.find(|it| it.type_ == "Ready" && it.reason == NAME_CONFLICT)?;
    let is_of_last = told.message.starts_with(&Taken::beginning(last.0));
    let is_current = told.observed_generation == facts.job.metadata.generation;
    (is_of_last && is_current).then(|| told.message.clone())
}

/// The failure that no retry mends, for tools that wait: absent while there is none.
fn stalled(
    facts: &Facts<'_>,
    template: Option<&Finding>,
    after: &PlanescapeJobStatus,
) -> Option<Finding> {
    let stalled = |reason: &str, message: String| Finding::new("Stalled", true, reason, message);
    if let Err(problems) = facts.validated {
        let kinds = problems.iter().map(|problem| problem.kind);
        let reason = kinds.min().unwrap_or(ProblemKind::Template).reason();
        return Some(stalled(reason, listed(problems.iter())));
    }
    if let Some(marker) = plan::has_run_elsewhere(facts.job) {
        return Some(stalled("StartedElsewhere", started_elsewhere(marker)));
    }
    if let Some(template) = template.filter(|it| it.status == "False" && it.reason == INVALID) {
        return Some(stalled(INVALID, template.message.clone()));
    }
    if let Some(message) = changed_after_start(facts, after) {
        return Some(stalled("TemplateChanged", message));
    }
    let end = end(facts, after).filter(|end| end.kind == "Failed" && end.status == "True")?;
    Some(stalled(&end.reason, end.message))
}

fn started_elsewhere(marker: &str) -> String {
    format!(
        "annotation {ONCE_STARTED_ANNOTATION} is of another PlanescapeJob ({marker}): this one was copied or restored, \
        and starts nothing, because its run may have been made; if it was not, take the annotation away"
    )
}

/// A one-time job runs once: what is written into its template afterwards never does.
fn changed_after_start(facts: &Facts<'_>, after: &PlanescapeJobStatus) -> Option<String> {
    let validated = facts.validated.ok()?;
    let run = after
        .runs
        .first()
        .filter(|_| validated.schedule.is_once())?;
    let made_of = run.template.as_ref()?;
    (*made_of != validated.digest).then(|| {
        format!(
            "the spec was changed after Job {} had started, and a one-time job runs once: this generation does not run; \
            create a PlanescapeJob of another name, or delete this one and create it again",
            run.job
        )
    })
}

fn podless(facts: &Facts<'_>, job: &str) -> String {
    let text = format!("Job {job} has no pod; its events say why: kubectl describe job {job}");
    match facts.validated {
        Ok(validated) if validated.agent.is_some() => format!(
            "{text}; where a quota or a LimitRange wants other resources of {SIDECAR}, annotations such as agent-limits-cpu set them"
        ),
        Ok(_) | Err(_) => text,
    }
}

/// The reason why the run that is on its way does not start.
fn waiting(facts: &Facts<'_>) -> Option<String> {
    let run = facts
        .observed
        .jobs
        .first()
        .filter(|run| run.end.is_none())?;
    let pod = run.pods.last().filter(|pod| !pod.is_over)?;
    let waiting = pod.waiting.as_ref()?;
    let whom = match &waiting.container {
        Some(container) => format!("container {container} of pod {}", pod.name),
        None => format!("pod {}", pod.name),
    };
    let Waiting {
        reason, message, ..
    } = waiting;
    let text = format!("{whom} does not start: {reason}: {message}");
    Some(with_advice(facts, text))
}

/// Adds advice if the run is made of an older spec.
fn with_advice(facts: &Facts<'_>, message: String) -> String {
    match older_run(facts) {
        Some(run) => format!("{message}; {}", replace_older(&run.name)),
        None => message,
    }
}

/// The template may hold annotations that are not read.
fn accepted(facts: &Facts<'_>) -> Finding {
    const KIND: &str = "TemplateValid";
    let unread = facts.validated.ok().and_then(|it| it.unread.as_deref());
    match unread {
        Some(unread) => Finding::new(KIND, true, UNREAD, unread),
        None => Finding::new(KIND, true, "Accepted", ""),
    }
}

/// The API server's answer to a dry run of the Job that the next run will be.
fn template_valid(facts: &Facts<'_>, before: &PlanescapeJobStatus) -> Option<Finding> {
    const KIND: &str = "TemplateValid";
    if let Err(problems) = facts.validated {
        let wrong = problems.iter().filter(|it| !it.kind.concerns_schedule());
        let message = listed(wrong);
        return (!message.is_empty()).then(|| Finding::new(KIND, false, INVALID, message));
    }
    // An earlier attempt may have made the run that started.
    if let Some(failure) = facts.applied.failure.as_ref().filter(|it| it.is_lasting) {
        return Some(Finding::new(KIND, false, INVALID, failure.message.as_str()));
    }
    if facts.applied.started.is_some() {
        return Some(accepted(facts));
    }
    Some(match &facts.applied.checked {
        Some(Checked::Accepted) => accepted(facts),
        Some(Checked::Invalid(message)) => Finding::new(KIND, false, INVALID, message.as_str()),
        Some(Checked::Refused(message)) => Finding::new(KIND, false, "Refused", message.as_str()),
        Some(Checked::Unknown(message)) => Finding {
            kind: KIND,
            status: "Unknown",
            reason: "NotChecked".to_owned(),
            message: message.clone(),
        },
        None => {
            let mut known = before.conditions.iter();
            let known = known.find(|it| {
                it.type_ == KIND && it.observed_generation == facts.job.metadata.generation
            })?;
            if plan::was_invalid(facts.job) {
                return None;
            }
            if known.status == "True" {
                return Some(accepted(facts));
            }
            Finding {
                kind: KIND,
                status: status_text(&known.status),
                reason: known.reason.clone(),
                message: known.message.clone(),
            }
        }
    })
}

fn blocked(blocker: &Blocker) -> String {
    let Blocker { job, since } = blocker;
    format!(
        "Job {job} is being deleted since {since} and is not gone, and the run that replaces it waits; \
        see what still stops: kubectl get pods -l {KUBERNETES_JOB_NAME_LABEL}={job}; if its node is lost, \
        delete the pod with --force"
    )
}

/// The kubelet says why in the pod's events alone. Which Secret the agent needs is known here.
fn unprepared(facts: &Facts<'_>, pod: &str) -> String {
    let agent = facts.validated.ok().and_then(|it| it.agent.as_ref());
    let needs = match agent.and_then(|agent| agent.tls_secret.as_deref()) {
        Some(secret) => format!(
            "; its agent needs Secret {secret} of the same namespace, which annotation tls-secret names: kubectl get secret {secret}"
        ),
        None => String::new(),
    };
    format!(
        "the node has started nothing of pod {pod}: a Secret, ConfigMap or volume that the pod names may not exist{needs}; see its events: kubectl describe pod {pod}"
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

/// The report of the newest run's agents; their last one, once their pods are gone.
fn vault_ready(facts: &Facts<'_>, before: &PlanescapeJobStatus) -> Option<Finding> {
    const KIND: &str = "VaultReady";
    let mut known = before.conditions.iter();
    let known = known.find(|condition| condition.type_ == KIND);
    let is_wanted = match facts.validated {
        Ok(validated) => validated.agent.is_some() || validated.has_secrets,
        Err(_) => known.is_some(),
    };
    if !is_wanted {
        return None;
    }
    let unknown = |message: String| Finding {
        kind: KIND,
        status: "Unknown",
        reason: "Pending".to_owned(),
        message,
    };
    if let Some(pod) = &facts.plan.unprepared {
        return Some(Finding {
            kind: KIND,
            status: "Unknown",
            reason: "PodNotPrepared".to_owned(),
            message: unprepared(facts, pod),
        });
    }
    let preflight = || tried(facts);
    let Some(run) = facts.observed.jobs.first() else {
        if let Some(tried) = preflight() {
            return Some(tried);
        }
        let message = match known {
            Some(_) => "no run is left that could tell",
            None => held_back::nobody_has_logged_in(facts),
        };
        return Some(unknown(message.to_owned()));
    };
    if run.end.is_some() && is_older(facts, run) {
        if let Some(tried) = preflight() {
            return Some(tried);
        }
        let message = format!("the spec was changed since Job {} ran", run.name);
        return Some(unknown(message));
    }
    Some(match vault::standing(facts) {
        Standing::Failed(report) => {
            let message = with_advice(facts, at_address(facts, report));
            Finding::new(KIND, false, report.reason.as_str(), message)
        }
        Standing::Rendered => rendered(run),
        Standing::Supplied => supplied(run),
        Standing::Pending if let Some(killed) = vault::killed(run) => {
            let mut message = format!("the agent was killed after its login: {}", killed.words());
            if let Some(trouble) = vault::trouble(run) {
                message.push_str("; ");
                message.push_str(trouble);
            }
            Finding::new(KIND, false, "AgentKilled", message)
        }
        Standing::Pending if let Some(why) = vault::revocation_failure(run) => {
            let message = format!("the lease is not revoked: {why}");
            Finding::new(KIND, false, "RevokeFailed", message)
        }
        Standing::Pending if vault::was_revoked_for_it(run) => {
            Finding::new(KIND, true, "RevokedByOperator", REVOKED_FOR_IT)
        }
        Standing::Pending => match known {
            Some(known) => Finding {
                kind: KIND,
                status: status_text(&known.status),
                reason: known.reason.clone(),
                message: known.message.clone(),
            },
            None => unknown(held_back::nobody_has_logged_in(facts).to_owned()),
        },
    })
}

/// The finding of `planescape credentials` before there was a run of this spec.
fn tried(facts: &Facts<'_>) -> Option<Finding> {
    let report = vault::preflight(facts)?;
    let is_well = report.reason == Reason::Allowed;
    let message = at_address(facts, &report);
    Some(Finding::new(
        "VaultReady",
        is_well,
        report.reason.as_str(),
        message,
    ))
}

/// All is well with Vault now; whether it stays so until a run has ended is another question.
fn fitted(facts: &Facts<'_>, after: &PlanescapeJobStatus, vault: Finding) -> Finding {
    let is_well = matches!(
        vault.reason.as_str(),
        "Rendered" | "Supplied" | fit::MAY_EXPIRE
    );
    if vault.status != "True" || !is_well {
        return vault;
    }
    match fit::misfit(facts, &after.runs) {
        Some(message) => Finding::new(vault.kind, true, fit::MAY_EXPIRE, message),
        None if vault.reason == fit::MAY_EXPIRE => {
            let has_agent = facts.validated.is_ok_and(|it| it.agent.is_some());
            let (reason, message) = match has_agent {
                true => ("Rendered", "every file is rendered"),
                false => ("Supplied", "every Secret is there"),
            };
            Finding::new(vault.kind, true, reason, message)
        }
        None => vault,
    }
}

/// Every Secret is there; their lease may not be revoked all the same.
fn supplied(run: &ObservedJob) -> Finding {
    const KIND: &str = "VaultReady";
    if let Some(why) = vault::revocation_failure(run) {
        let message = format!("the lease is not revoked: {why}");
        return Finding::new(KIND, true, "RevokeFailed", message);
    }
    let report = run.credentials.as_ref();
    let message = report.and_then(|report| report.message.as_deref());
    Finding::new(
        KIND,
        true,
        "Supplied",
        message.unwrap_or("every Secret is there"),
    )
}

const REVOKED_FOR_IT: &str = "the agent of the last run was killed, or could not revoke its token; `planescape credentials` has revoked it";

/// Every file is there; something may be amiss all the same.
fn rendered(run: &ObservedJob) -> Finding {
    const KIND: &str = "VaultReady";
    if let Some(why) = vault::revocation_failure(run) {
        let message = format!("every file is rendered, and the lease is not revoked: {why}");
        return Finding::new(KIND, true, "RevokeFailed", message);
    }
    match &vault::warnings(run)[..] {
        [] => Finding::new(KIND, true, "Rendered", "every file is rendered"),
        warnings => {
            let message = format!("{}\n{MISSING_KEY_ADVICE}", warnings.join("\n"));
            Finding::new(KIND, true, RENDERED_WITH_WARNINGS, message)
        }
    }
}

const MISSING_KEY_ADVICE: &str =
    "the annotation error-on-missing-key-NAME: \"true\" makes a missing value an error";

/// A report, with Vault's address where it is about reaching Vault.
fn at_address(facts: &Facts<'_>, report: &Report) -> String {
    let sentence = vault::sentence(report);
    let is_about_reaching = matches!(
        report.reason,
        Reason::Unreachable | Reason::NoAnswer | Reason::TlsError | Reason::Sealed
    );
    let validated = facts.validated.ok();
    let agent = validated.and_then(|validated| validated.agent.as_ref());
    match agent.map(|agent| agent.vault_host.as_str()) {
        Some(host) if is_about_reaching && !sentence.contains(host) => {
            format!("{sentence} (Vault at {host})")
        }
        Some(_) | None => sentence,
    }
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
    if let Some(message) = changed_after_start(facts, after) {
        return Some(Finding::new("Complete", false, "TemplateChanged", message));
    }
    if let Some(skip) = facts.plan.skip {
        let message = format!("due at {}, noticed too late", skip.tick);
        return Some(Finding::new("Failed", true, "MissedDeadline", message));
    }
    let Some(run) = after.runs.first() else {
        let mut known = facts.job.status.iter().flat_map(|it| &it.conditions);
        let missed = known.find(|it| it.type_ == "Failed" && it.status == "True")?;
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

//! What the agents in a run's pods say about Vault, and what is said of a run's Secrets.

use planescape_agent_contract::{Phase, REVOKE_POLICY, Reason, Report};

use super::Facts;
use crate::api::v1alpha1::Lease;
use crate::job::observed::{ObservedAgent, ObservedJob, ObservedPod};

/// Where a run stands with Vault.
pub(super) enum Standing<'a> {
    /// No agent has said anything yet.
    Pending,
    /// The files are rendered.
    Rendered,
    /// The Secrets are there, and there is no agent to wait for.
    Supplied,
    /// An agent says what keeps it.
    Failed(&'a Report),
}

/// What Vault refuses the agents of a run, if trying again will not help by itself.
pub(crate) fn lasting_refusal(run: &ObservedJob) -> Option<String> {
    let failures = run.pods.iter().filter_map(|pod| failure(run, pod));
    let report = failures.chain(unsupplied(run)).next_back()?;
    let is_lasting = match report.reason {
        Reason::Sealed
        | Reason::Standby
        | Reason::ServerError
        | Reason::Unreachable
        | Reason::NoAnswer
        | Reason::KubernetesRefused
        | Reason::RateLimited => false,
        Reason::LoggedIn
        | Reason::Rendered
        | Reason::Revoked
        | Reason::RevokeFailed
        | Reason::Terminated
        | Reason::Interrupted
        | Reason::Other(_) => false,
        Reason::InvalidConfig
        | Reason::TemplateFailed
        | Reason::RoleNotFound
        | Reason::AudienceMismatch
        | Reason::LoginDenied
        | Reason::AuthMethodNotFound
        | Reason::PermissionDenied
        | Reason::SecretNotFound
        | Reason::SecretDeleted
        | Reason::RequestRefused
        | Reason::TlsError
        | Reason::MalformedAnswer
        | Reason::TokenFileUnreadable
        | Reason::FileNotWritten
        | Reason::FileUnreadable
        | Reason::NotGranted
        | Reason::ServiceAccountNotFound
        | Reason::AddressRefused
        | Reason::BatchToken
        | Reason::SecretConflict
        | Reason::SecretMisfit
        | Reason::CommandFailed => true,
    };
    is_lasting.then(|| sentence(report))
}

/// Why the lease of a run could not be revoked, and which tokens live on.
pub(super) fn revocation_failure(run: &ObservedJob) -> Option<String> {
    let reports = agents(run).filter_map(|agent| agent.report.as_ref());
    let mut failed = reports.chain(&run.credentials).filter(|it| may_live(it));
    let report = failed.next()?;
    let mut parts = vec![sentence(report)];
    if !report.unrevoked.is_empty() {
        parts.push(format!("accessors: {}", report.unrevoked.join(", ")));
    }
    // The agent may have said so itself.
    if report.status == Some(403) && !parts[0].contains("revoke-self") {
        parts.push(format!("the role's policy needs: {REVOKE_POLICY}"));
    }
    Some(parts.join("; "))
}

/// Whether an agent of a run was killed after its login, and nobody took up its work.
pub(super) fn was_killed(run: &ObservedJob) -> bool {
    leases(run).any(|lease| lease == Lease::Unknown)
}

/// What the agents of a run noticed in its templates.
pub(super) fn warnings(run: &ObservedJob) -> Vec<&str> {
    let reports = agents(run).filter_map(|agent| agent.report.as_ref());
    let warnings = reports.flat_map(|report| &report.warnings);
    warnings.map(String::as_str).collect()
}

/// Of the newest run.
pub(super) fn standing<'a>(facts: &Facts<'a>) -> Standing<'a> {
    let Some(run) = facts.observed.jobs.first() else {
        return Standing::Pending;
    };
    let failures = run.pods.iter().filter_map(|pod| failure(run, pod));
    if let Some(report) = failures.chain(unsupplied(run)).next_back() {
        return Standing::Failed(report);
    }
    let has_rendered = |agent: &ObservedAgent| agent.is_ready || agent.is_done;
    if agents(run).any(has_rendered) {
        return Standing::Rendered;
    }
    let has_agent = facts.validated.is_ok_and(|it| it.agent.is_some());
    if run.credentials.is_some() && !has_agent {
        return Standing::Supplied;
    }
    Standing::Pending
}

/// What keeps a run from its Secrets.
fn unsupplied(run: &ObservedJob) -> Option<&Report> {
    let report = run.credentials.as_ref()?;
    let is_failure = !matches!(report.phase, Phase::Running | Phase::Done);
    is_failure.then_some(report)
}

/// What a pod's agent fails at, unless that is past: the pod was tried again, or was not needed.
fn failure<'a>(run: &ObservedJob, pod: &'a ObservedPod) -> Option<&'a Report> {
    let report = pod.agent.as_ref()?.failure()?;
    let is_complete = run.end.as_ref().is_some_and(|end| end.is_success);
    let has_newer = run.pods.last().is_some_and(|it| it.created > pod.created);
    let is_past = pod.is_over && (is_complete || has_newer);
    (!is_past).then_some(report)
}

/// What became of a run's leases, as far as it is known: of several, the worst. A lease that could
/// not be revoked stays so when its pod is gone.
pub(super) fn lease(job: &ObservedJob, recorded: Option<Lease>) -> Option<Lease> {
    let lost = recorded.filter(|lease| matches!(lease, Lease::RevokeFailed | Lease::Unknown));
    // That of Secrets is tried again.
    let lost = lost.filter(|_| of_secrets(job) != Some(Lease::Revoked));
    let worst = leases(job).chain(lost).max_by_key(|lease| severity(*lease));
    let has_ended = job.end.is_some();
    match worst.or(recorded) {
        Some(Lease::Held) if has_ended => Some(Lease::Expiring),
        lease => lease,
    }
}

fn severity(lease: Lease) -> u8 {
    match lease {
        Lease::Revoked => 0,
        Lease::Expiring => 1,
        Lease::Held => 2,
        Lease::Unknown => 3,
        Lease::RevokeFailed => 4,
    }
}

/// What each agent says of its leases, and what is said of those of the Secrets.
fn leases(job: &ObservedJob) -> impl Iterator<Item = Lease> {
    let agents = job.pods.iter().filter_map(|pod| {
        let is_over = pod.is_over || job.end.is_some();
        lease_of(pod.agent.as_ref()?, is_over)
    });
    agents.chain(of_secrets(job))
}

fn of_secrets(job: &ObservedJob) -> Option<Lease> {
    let report = job.credentials.as_ref()?;
    match (report.phase, &report.reason) {
        (Phase::Running, _) => Some(Lease::Held),
        (Phase::Done, Reason::Revoked) => Some(Lease::Revoked),
        (Phase::Done, _) => Some(Lease::RevokeFailed),
        (Phase::Config | Phase::Login | Phase::Read, _)
        | (Phase::Render | Phase::Write | Phase::Other, _) => None,
    }
}

fn lease_of(agent: &ObservedAgent, is_over: bool) -> Option<Lease> {
    if agent.is_ready {
        return Some(Lease::Held);
    }
    match &agent.report {
        // It was killed, and what it holds it wrote before it could know how that ends. While its pod
        // lives it is started again, and its next life revokes what this one has left.
        Some(report) if report.phase == Phase::Running => {
            (is_over && !agent.is_restarted).then_some(Lease::Unknown)
        }
        Some(report) if may_live(report) => Some(Lease::RevokeFailed),
        Some(report) if report.phase == Phase::Done && report.reason == Reason::Revoked => {
            Some(Lease::Revoked)
        }
        Some(_) | None => agent.is_done.then_some(Lease::Expiring),
    }
}

/// Whether an agent that ended by itself says that a token of its lives on although it should not.
/// One that is content to have rendered keeps its token on purpose.
fn may_live(report: &Report) -> bool {
    let is_content = report.reason == Reason::Rendered;
    let has_ended = report.phase != Phase::Running;
    let names_some = has_ended && !is_content && !report.unrevoked.is_empty();
    report.reason == Reason::RevokeFailed || names_some
}

fn agents(job: &ObservedJob) -> impl Iterator<Item = &ObservedAgent> {
    job.pods.iter().filter_map(|pod| pod.agent.as_ref())
}

/// What an agent's report says, in one sentence with role, path and HTTP status.
pub(super) fn sentence(report: &Report) -> String {
    let message = report
        .message
        .as_deref()
        .unwrap_or("the agent gave no reason");
    let role = report.role.as_ref().map(|role| format!("role `{role}`"));
    let path = report.path.as_ref().map(|path| format!("path `{path}`"));
    let status = report.status.map(|status| format!("HTTP {status}"));
    let details: Vec<String> = [role, path, status].into_iter().flatten().collect();
    if details.is_empty() {
        return message.to_owned();
    }
    format!("{message} ({})", details.join(", "))
}

/// The reason of the event that tells of a report.
pub(super) fn event_reason(report: &Report) -> &'static str {
    match report.phase {
        Phase::Login => "VaultLoginFailed",
        Phase::Read if report.status == Some(403) => "VaultPermissionDenied",
        Phase::Read => "VaultReadFailed",
        Phase::Render => "VaultRenderFailed",
        Phase::Write => "VaultWriteFailed",
        Phase::Config | Phase::Running | Phase::Done | Phase::Other => "VaultAgentFailed",
    }
}

//! What the agents in a run's pods say about Vault, and what is said of a run's Secrets.

use planescape_agent_contract::{Phase, REVOKE_POLICY, Reason, Report};

use super::Facts;
use crate::api::v1alpha1::{Lease, Run};
use crate::credentials::left::accessors;
use crate::job::observed::{ObservedAgent, ObservedJob, ObservedPod, may_live};

/// So many tokens of a run are remembered.
const MOST_UNREVOKED: usize = 20;

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
    let reports = reports.filter(|report| !is_revoked(run, &accessors(report)));
    let mut failed = reports
        .chain(&run.credentials)
        .filter(|it| it.phase != Phase::Running && may_live(it));
    let report = failed.next()?;
    let mut parts = vec![sentence(report)];
    parts.extend(trouble(run).map(str::to_owned));
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

/// Why `planescape credentials` could not revoke what an agent has left.
pub(super) fn trouble(run: &ObservedJob) -> Option<&str> {
    let mut troubles = run
        .revocations
        .iter()
        .filter_map(|it| it.trouble.as_deref());
    troubles.next()
}

/// Whether an agent of a run was killed after its login, and its tokens were revoked for it.
pub(super) fn was_revoked_for_it(run: &ObservedJob) -> bool {
    leases(run).any(|lease| lease == Lease::RevokedByOperator)
}

/// Whether Vault has said of all these tokens that it knows them no more.
fn is_revoked(run: &ObservedJob, accessors: &[String]) -> bool {
    let is_known = |accessor| {
        run.revocations
            .iter()
            .any(|it| it.revoked.contains(accessor))
    };
    !accessors.is_empty() && accessors.iter().all(is_known)
}

/// The accessors of tokens that may live although nobody holds them, for who revokes them later than their pod
/// is gone.
pub(super) fn unrevoked(
    job: &ObservedJob,
    lease: Option<Lease>,
    recorded: &[String],
) -> Vec<String> {
    if !matches!(lease, Some(Lease::Unknown | Lease::RevokeFailed)) {
        return Vec::new();
    }
    let over = job
        .pods
        .iter()
        .filter(|pod| pod.is_over || job.end.is_some());
    let agents = over.filter_map(|pod| pod.agent.as_ref());
    let reports = agents.filter(|agent| !agent.is_restarted);
    let reports = reports.filter_map(|agent| agent.report.as_ref());
    let left = reports
        .filter(|report| may_live(report))
        .flat_map(accessors);
    let mut all: Vec<String> = left.chain(recorded.iter().cloned()).collect();
    all.retain(|accessor| !is_revoked(job, std::slice::from_ref(accessor)));
    all.sort();
    all.dedup();
    all.truncate(MOST_UNREVOKED);
    all
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
pub(super) fn lease(job: &ObservedJob, known: Option<&Run>) -> Option<Lease> {
    let mut recorded = known.and_then(|run| run.lease);
    if known.is_some_and(|run| is_revoked(job, &run.unrevoked)) {
        recorded = Some(Lease::RevokedByOperator);
    }
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
        Lease::RevokedByOperator => 1,
        Lease::Expiring => 2,
        Lease::Held => 3,
        Lease::Unknown => 4,
        Lease::RevokeFailed => 5,
    }
}

/// What each agent says of its leases, and what is said of those of the Secrets.
fn leases(job: &ObservedJob) -> impl Iterator<Item = Lease> {
    let agents = job.pods.iter().filter_map(|pod| {
        let is_over = pod.is_over || job.end.is_some();
        let agent = pod.agent.as_ref()?;
        let lease = lease_of(agent, is_over)?;
        let is_lost = matches!(lease, Lease::Unknown | Lease::RevokeFailed);
        let is_settled = |report| is_revoked(job, &accessors(report));
        Some(match &agent.report {
            Some(report) if is_lost && is_settled(report) => Lease::RevokedByOperator,
            Some(_) | None => lease,
        })
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

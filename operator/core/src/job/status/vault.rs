//! The reports about Vault: of the agents in a run's pods, and on a run's Secrets.

use jiff::{SignedDuration, Timestamp};
use planescape_agent_contract::{Phase, REVOKE_POLICY, Reason, Report};

use super::Facts;
use crate::api::v1alpha1::{Holder, Lease, Run};
use crate::credentials::left::{Revocation, accessors};
use crate::credentials::preflight::Preflight;
use crate::job::observed::{ObservedAgent, ObservedJob, ObservedPod, may_live};

/// A renewal may be on its way when an agent is killed, and its node tells whole seconds.
const MARGIN: SignedDuration = SignedDuration::from_secs(5);

/// The state of a run's credentials in Vault.
pub(super) enum Standing<'a> {
    /// No agent has said anything yet.
    Pending,
    /// The files are rendered.
    Rendered,
    /// The Secrets are there, and there is no agent to wait for.
    Supplied,
    /// An agent says why it does not go on.
    Failed(&'a Report),
}

/// A refusal that keeps a run from its secrets, and that a retry does not mend.
pub(crate) struct Refusal {
    /// In a sentence.
    pub(crate) said: String,
    /// Whether Vault has answered what the job asks for; otherwise its namespace or its node lacks something that
    /// somebody is still to give.
    pub(crate) is_denied: bool,
    /// When an agent said so; it may be tried again only minutes later.
    pub(crate) heard: Option<Timestamp>,
}

/// The refusal that the agents of a run meet, if a retry does not mend it.
pub(crate) fn lasting_refusal(run: &ObservedJob) -> Option<Refusal> {
    // A container that works has what it needs. A refused agent that was started again has left its files, and the
    // Secrets are there even if they cannot be renewed.
    if run.pods.iter().any(|pod| pod.has_begun && !pod.is_over) {
        return None;
    }
    let failures = run.pods.iter().filter_map(|pod| {
        let ended = pod.agent.as_ref().and_then(|agent| agent.ended);
        Some((failure(run, pod)?, ended))
    });
    let unsupplied = unsupplied(run).filter(|_| run.waits_for_secrets.is_some());
    let unsupplied = unsupplied.map(|report| (report, None));
    let (report, heard) = failures.chain(unsupplied).next_back()?;
    let is_denied = match report.reason {
        Reason::Sealed
        | Reason::Standby
        | Reason::ServerError
        | Reason::Unreachable
        | Reason::NoAnswer
        | Reason::KubernetesRefused
        | Reason::RateLimited => return None,
        Reason::Starting
        | Reason::LoggedIn
        | Reason::Rendered
        | Reason::Revoked
        | Reason::RevokeFailed
        | Reason::Terminated
        | Reason::Interrupted
        | Reason::Allowed
        | Reason::Other(_) => return None,
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
        | Reason::AddressRefused
        | Reason::BatchToken
        | Reason::LimitedUses => true,
        Reason::TlsError
        | Reason::MalformedAnswer
        | Reason::TokenFileUnreadable
        | Reason::FileNotWritten
        | Reason::FileUnreadable
        | Reason::NotGranted
        | Reason::ServiceAccountNotFound
        | Reason::CredentialsEnded
        | Reason::TtlTooShort
        | Reason::SecretConflict
        | Reason::SecretMisfit
        | Reason::CommandFailed => false,
    };
    Some(Refusal {
        said: sentence(report),
        is_denied,
        heard,
    })
}

/// Whether the newest pod of a run has neither failed nor got on.
pub(super) fn is_tried(run: &ObservedJob) -> bool {
    run.pods.last().is_some_and(|pod| {
        let agent = pod.agent.as_ref();
        let is_silent =
            agent.is_none_or(|agent| agent.report.is_none() && !agent.is_ready && !agent.is_done);
        is_silent && !pod.is_over && !pod.has_begun
    })
}

/// Why the lease of a run could not be revoked, and which tokens live on.
pub(super) fn revocation_failure(run: &ObservedJob) -> Option<String> {
    let reports = agents(run).filter_map(|agent| agent.report.as_ref());
    let reports = reports.filter(|report| !is_revoked(run, &accessors(report)));
    let mut failed = reports
        .chain(&run.credentials)
        .filter(|it| it.phase != Phase::Running && may_live(it));
    let Some(report) = failed.next() else {
        return run.pods.iter().find_map(|pod| living_lease(run, pod));
    };
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

/// Why a lease of a pod's agent has outlived its token.
fn living_lease(run: &ObservedJob, pod: &ObservedPod) -> Option<String> {
    let fate = fate_of_pod(run, pod)?;
    let report = pod.agent.as_ref()?.report.as_ref()?;
    let is_known = fate.lease == Some(Lease::RevokeFailed) && report.has_open_leases();
    let told = revocation(run, &pod.uid).and_then(|it| it.trouble.clone());
    is_known.then(|| told.unwrap_or_else(|| sentence(report)))
}

/// The fate of the tokens that the agent of a pod has left.
fn revocation<'a>(run: &'a ObservedJob, pod: &str) -> Option<&'a Revocation> {
    run.revocations.iter().find(|it| it.pod == pod)
}

/// Whether Vault has said that the agent of a pod has left no lease.
pub(super) fn has_no_lease(run: &ObservedJob, pod: &str) -> bool {
    revocation(run, pod).is_some_and(|it| it.has_no_lease)
}

/// The fate of an agent of a run that was killed after its login, and whose work was not taken up.
pub(super) fn killed(run: &ObservedJob) -> Option<Fate> {
    let was_killed = |pod: &&ObservedPod| {
        let report = pod.agent.as_ref().and_then(|agent| agent.report.as_ref());
        report.is_some_and(|report| report.phase == Phase::Running)
    };
    let killed = run.pods.iter().filter(was_killed);
    let mut fates = killed.filter_map(|pod| fate_of_pod(run, pod));
    fates.find(|fate| fate.is_one_of(&AT_LARGE))
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
    run.pods.iter().any(|pod| {
        let agent = pod.agent.as_ref();
        let report = agent.and_then(|agent| agent.report.as_ref());
        let was_killed = report.is_some_and(|report| report.phase == Phase::Running);
        let lease = fate_of_pod(run, pod).and_then(|fate| fate.lease);
        lease == Some(Lease::RevokedByOperator) || (was_killed && lease == Some(Lease::Revoked))
    })
}

/// Whether Vault has said of all these tokens that it knows them no more.
pub(super) fn is_revoked(run: &ObservedJob, accessors: &[String]) -> bool {
    let is_known = |accessor| {
        run.revocations
            .iter()
            .any(|it| it.revoked.contains(accessor))
    };
    !accessors.is_empty() && accessors.iter().all(is_known)
}

/// The accessors of tokens that the agent of a pod has left and that may live, for a program that revokes them after
/// the pod is gone.
pub(super) fn left_by(job: &ObservedJob, pod: &ObservedPod) -> Vec<String> {
    let is_over = pod.is_over || job.end.is_some();
    let agent = pod.agent.as_ref();
    let agent = agent.filter(|agent| is_over && !agent.is_restarted);
    let report = agent.and_then(|agent| agent.report.as_ref());
    let mut all = report
        .filter(|report| may_live(report))
        .map(accessors)
        .unwrap_or_default();
    all.retain(|accessor| !is_revoked(job, std::slice::from_ref(accessor)));
    all.sort();
    all.dedup();
    all
}

/// The warnings of a run's agents about its templates.
pub(super) fn warnings(run: &ObservedJob) -> Vec<&str> {
    let reports = agents(run).filter_map(|agent| agent.report.as_ref());
    let warnings = reports.flat_map(|report| &report.warnings);
    warnings.map(String::as_str).collect()
}

/// The standing of the newest run.
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
    if run.is_supplied && run.credentials.is_some() && !has_agent {
        return Standing::Supplied;
    }
    Standing::Pending
}

/// The result of a trial login for the spec as it is now.
pub(super) fn preflight(facts: &Facts<'_>) -> Option<Report> {
    let preflight = Preflight::of(facts.job)?;
    let is_current = Some(preflight.generation) == facts.job.metadata.generation;
    is_current.then_some(preflight.report)
}

/// Whether the run waits because Vault serves nobody: it goes on by itself when Vault is back.
pub(super) fn waits_for_vault(facts: &Facts<'_>) -> bool {
    let Standing::Failed(report) = standing(facts) else {
        return false;
    };
    matches!(
        report.reason,
        Reason::Sealed | Reason::Standby | Reason::Unreachable | Reason::NoAnswer
    )
}

/// The failure that keeps a run from its Secrets, or keeps these from being tended.
fn unsupplied(run: &ObservedJob) -> Option<&Report> {
    let report = run.credentials.as_ref()?;
    let is_failure = !matches!(report.phase, Phase::Running | Phase::Done);
    is_failure.then_some(report)
}

/// The failure of a pod's agent, unless that is past: the pod was tried again, or was not needed.
fn failure<'a>(run: &ObservedJob, pod: &'a ObservedPod) -> Option<&'a Report> {
    let report = pod.agent.as_ref()?.failure()?;
    let is_complete = run.end.as_ref().is_some_and(|end| end.is_success);
    let has_newer = run.pods.last().is_some_and(|it| it.created > pod.created);
    let is_past = pod.is_over && (is_complete || has_newer);
    (!is_past).then_some(report)
}

/// The fate of leases, and the latest end of those that nobody holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Fate {
    pub(super) lease: Option<Lease>,
    pub(super) until: Option<Timestamp>,
}

impl Fate {
    fn new(lease: Lease, until: Option<Timestamp>) -> Self {
        Self {
            lease: Some(lease),
            until,
        }
    }

    pub(super) fn of_run(run: &Run) -> Self {
        Self {
            lease: run.lease,
            until: run.lease_until.as_ref().map(|time| time.0),
        }
    }

    /// How long leases without a holder may live.
    pub(super) fn words(&self) -> String {
        match self.until {
            Some(until) => format!("its token and leases end by {until} at the latest"),
            None => "its token and leases may live until their TTL ends".to_owned(),
        }
    }

    fn is_one_of(&self, leases: &[Lease]) -> bool {
        self.lease.is_some_and(|lease| leases.contains(&lease))
    }
}

/// Leases that may live although nobody holds them.
const AT_LARGE: [Lease; 3] = [Lease::Expiring, Lease::Unknown, Lease::RevokeFailed];

/// The fate of a run's leases, as far as it is known: of several, the worst. `holders` are those of its pods, also of
/// those that are gone.
pub(super) fn fate(job: &ObservedJob, holders: &[Holder], known: Option<&Run>) -> Fate {
    let all = holders.iter().map(Holder::fate).chain(of_secrets(job));
    let all: Vec<Fate> = all.collect();
    let worst = all.iter().max_by_key(|fate| fate.lease.map(severity));
    let Some(worst) = worst else {
        let recorded = known.map(Fate::of_run).unwrap_or_default();
        // Its agent was seen at work, and its end was not seen.
        let is_lost = job.end.is_some() && recorded.lease == Some(Lease::Held);
        let unknown = Fate::new(Lease::Unknown, None);
        return if is_lost { unknown } else { recorded };
    };
    let at_large = all.iter().filter(|fate| fate.is_one_of(&AT_LARGE));
    let untils: Option<Vec<Timestamp>> = at_large.map(|fate| fate.until).collect();
    let until = untils.and_then(|untils| untils.into_iter().max());
    Fate {
        lease: worst.lease,
        until: until.filter(|_| worst.is_one_of(&AT_LARGE)),
    }
}

fn severity(lease: Lease) -> u8 {
    match lease {
        Lease::Revoked => 0,
        Lease::RevokedByOperator => 1,
        Lease::TokenRevoked => 2,
        Lease::Expiring => 3,
        Lease::Held => 4,
        Lease::Unknown => 5,
        Lease::RevokeFailed => 6,
    }
}

/// The fate of a pod's leases by the word of its agent; none while it has said nothing that lasts.
pub(super) fn fate_of_pod(job: &ObservedJob, pod: &ObservedPod) -> Option<Fate> {
    let agent = pod.agent.as_ref()?;
    if agent.is_ready && pod.is_over {
        // Its node is lost: what the kubelet said last is not how it ended.
        return Some(Fate::new(Lease::Unknown, None));
    }
    let fate = fate_of(agent, pod.is_over || job.end.is_some())?;
    if let Some(report) = agent.report.as_ref().filter(|it| it.has_open_leases())
        && fate.lease == Some(Lease::Revoked)
    {
        return Some(Fate::new(of_open_leases(job, pod, report), None));
    }
    let is_settled = |report: &&Report| may_live(report) && is_revoked(job, &accessors(report));
    let settled = agent.report.as_ref().filter(is_settled);
    Some(match settled {
        Some(report) if fate.is_one_of(&AT_LARGE) => {
            Fate::new(of_revoked_for_it(job, pod, report), None)
        }
        Some(_) | None => fate,
    })
}

/// The tokens of a killed agent are revoked. It may have named their leases, and somebody looked for them.
fn of_revoked_for_it(job: &ObservedJob, pod: &ObservedPod, report: &Report) -> Lease {
    let told = revocation(job, &pod.uid).filter(|_| report.names_leases);
    match told {
        Some(told) if told.has_no_lease => Lease::Revoked,
        Some(told) if told.trouble.is_some() => Lease::RevokeFailed,
        Some(_) | None => Lease::RevokedByOperator,
    }
}

/// Vault answers the revocation of a token before it comes to the leases.
fn of_open_leases(job: &ObservedJob, pod: &ObservedPod, report: &Report) -> Lease {
    let told = revocation(job, &pod.uid);
    if told.is_some_and(|told| told.has_no_lease) {
        return Lease::Revoked;
    }
    let is_alive = told.is_some_and(|told| told.trouble.is_some());
    // The agent's last answer may be out of date, where somebody has looked since.
    match is_alive || (told.is_none() && report.message.is_some()) {
        true => Lease::RevokeFailed,
        false => Lease::TokenRevoked,
    }
}

fn of_secrets(job: &ObservedJob) -> Option<Fate> {
    let report = job.credentials.as_ref()?;
    let lease = match (report.phase, &report.reason) {
        (Phase::Running, _) => Lease::Held,
        // Of a token whose end is not confirmed, the time says the most.
        (_, Reason::CredentialsEnded) => Lease::Expiring,
        (Phase::Done, Reason::Revoked) if report.has_open_leases() => Lease::TokenRevoked,
        (Phase::Done, Reason::Revoked) => Lease::Revoked,
        (Phase::Done, _) => Lease::RevokeFailed,
        // A failure to tend the lease says nothing about the lease itself.
        (Phase::Config | Phase::Login | Phase::Read, _)
        | (Phase::Render | Phase::Write | Phase::Other, _)
            if job.is_supplied =>
        {
            Lease::Held
        }
        (Phase::Config | Phase::Login | Phase::Read, _)
        | (Phase::Render | Phase::Write | Phase::Other, _) => return None,
    };
    let said = report.at.and_then(|at| Timestamp::from_second(at).ok());
    let until = match lease {
        Lease::RevokeFailed => said.and_then(|said| end_of(report, said)),
        Lease::Expiring if report.ttl_seconds.is_none() => said,
        Lease::Expiring => said.and_then(|said| end_of(report, said)),
        Lease::Held
        | Lease::Revoked
        | Lease::RevokedByOperator
        | Lease::TokenRevoked
        | Lease::Unknown => None,
    };
    Some(Fate::new(lease, until))
}

fn fate_of(agent: &ObservedAgent, is_over: bool) -> Option<Fate> {
    if agent.is_ready {
        return Some(Fate::new(Lease::Held, None));
    }
    let report = agent.report.as_ref()?;
    let until = until(agent, report);
    let lease = match report.phase {
        // It was killed, and wrote what it holds before it could know how that ends; or it has not begun. While its
        // pod lives it is started again, and its next life revokes what this one has left.
        Phase::Running | Phase::Config if !is_over || agent.is_restarted => return None,
        Phase::Running if until.is_some() => Lease::Expiring,
        Phase::Running => Lease::Unknown,
        _ if may_live(report) => Lease::RevokeFailed,
        Phase::Done if report.reason == Reason::Revoked => {
            return Some(Fate::new(Lease::Revoked, None));
        }
        _ if agent.is_done => Lease::Expiring,
        Phase::Config | Phase::Login | Phase::Read => return None,
        Phase::Render | Phase::Write | Phase::Done | Phase::Other => return None,
    };
    Some(Fate::new(lease, until))
}

/// Until when the tokens that an agent has left may live at most: Vault's last grant, counted from the end of the
/// agent, and not from its last renewal, whose time is not known.
fn until(agent: &ObservedAgent, report: &Report) -> Option<Timestamp> {
    end_of(report, agent.ended?)
}

fn end_of(report: &Report, said: Timestamp) -> Option<Timestamp> {
    let seconds = i64::try_from(report.ttl_seconds?).ok()?;
    let life = SignedDuration::from_secs(seconds).checked_add(MARGIN)?;
    said.checked_add(life).ok()
}

fn agents(job: &ObservedJob) -> impl Iterator<Item = &ObservedAgent> {
    job.pods.iter().filter_map(|pod| pod.agent.as_ref())
}

/// An agent's report in one sentence, with role, path and HTTP status.
pub(crate) fn sentence(report: &Report) -> String {
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
        Phase::Read if report.status == Some(403) || report.reason == Reason::PermissionDenied => {
            "VaultPermissionDenied"
        }
        Phase::Read => "VaultReadFailed",
        Phase::Render => "VaultRenderFailed",
        Phase::Write => "VaultWriteFailed",
        Phase::Config | Phase::Running | Phase::Done | Phase::Other => "VaultAgentFailed",
    }
}

//! The receipt of a run: who logged in to Vault for it, what was read, and what became of that. Never a value.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use planescape_agent_contract::{Access, Reason, Report, digest};
use serde::Serialize;

use crate::api::v1alpha1::{Lease, Outcome, PlanescapeJobStatus, Run, RunReceipt};
use crate::job::observed::ObservedJob;

/// So much of a run stands in the status.
const MOST_ACCESSORS: usize = 8;
const MOST_PATHS: usize = 16;
const LONGEST_PATH: usize = 160;

/// All that is known of a run's credentials, as one line of JSON.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Receipt {
    /// The namespace.
    pub namespace: String,
    /// The PlanescapeJob.
    pub planescape_job: String,
    /// The Job's name.
    pub job: String,
    /// The Job's UID.
    pub job_uid: String,
    /// The instant it was scheduled for.
    pub scheduled_time: Time,
    /// When the Job started.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start_time: Option<Time>,
    /// When the Job ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub finish_time: Option<Time>,
    /// How far it has come.
    pub outcome: Outcome,
    /// The fate of its credentials.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lease: Option<Lease>,
    /// Until when they may live, where nobody holds them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lease_until: Option<Time>,
    /// The logins for it, while its Job and pods can still be seen.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub logins: Vec<Login>,
    /// The part that the status keeps when they are gone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub summary: Option<RunReceipt>,
}

/// Somebody who logged in for a run.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Login {
    /// The program.
    pub by: By,
    /// The agent's pod.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pod: Option<String>,
    /// As which ServiceAccount, with its namespace.
    pub service_account: String,
    /// As which role.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    /// A digest of the token's accessor.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub accessor: Option<String>,
    /// The id of the login in Vault's audit log.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request: Option<String>,
    /// The reads.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub reads: Vec<Access>,
    /// How much more was read than a pod's status has room for.
    #[serde(skip_serializing_if = "is_zero")]
    pub more_reads: usize,
    /// The life in seconds after which Vault renewed no further.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_seconds: Option<u64>,
    /// The reason of its last report.
    pub end: Reason,
    /// When it said so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended: Option<Timestamp>,
}

/// The programs that log in for runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum By {
    /// The agent in a pod.
    Agent,
    /// `planescape credentials`.
    Credentials,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for it so")]
fn is_zero(count: &usize) -> bool {
    *count == 0
}

impl Receipt {
    /// The receipt of a run in the status of a PlanescapeJob, with the word of its Job and pods while they are there.
    #[must_use]
    pub fn of(namespace: &str, planescape_job: &str, run: &Run, job: Option<&ObservedJob>) -> Self {
        let logins = job.map(|job| logins(namespace, job)).unwrap_or_default();
        let summary = run.receipt.clone().filter(|_| logins.is_empty());
        Self {
            namespace: namespace.to_owned(),
            planescape_job: planescape_job.to_owned(),
            job: run.job.clone(),
            job_uid: run.uid.clone(),
            scheduled_time: run.scheduled_time.clone(),
            start_time: run.start_time.clone(),
            finish_time: run.finish_time.clone(),
            outcome: run.outcome,
            lease: run.lease,
            lease_until: run.lease_until.clone(),
            logins,
            summary,
        }
    }
}

/// The logins for a run that its Job and pods still tell of.
fn logins(namespace: &str, job: &ObservedJob) -> Vec<Login> {
    let account = format!("{namespace}/{}", job.service_account);
    let agents = job.pods.iter().filter_map(|pod| {
        let agent = pod.agent.as_ref()?;
        let report = agent.report.as_ref()?;
        Some(Login {
            pod: Some(pod.name.clone()),
            accessor: report.accessor.as_deref().map(digest),
            ended: agent.ended,
            ..login(By::Agent, &account, report)
        })
    });
    let credentials = job.credentials.iter().map(|report| Login {
        ended: report.at.and_then(|at| Timestamp::from_second(at).ok()),
        ..login(By::Credentials, &account, report)
    });
    let all = credentials.chain(agents);
    all.filter(|login| login.accessor.is_some()).collect()
}

fn login(by: By, account: &str, report: &Report) -> Login {
    Login {
        by,
        pod: None,
        service_account: account.to_owned(),
        role: report.role.clone(),
        accessor: report.accessor.clone(),
        request: report.login_request.clone(),
        reads: report.reads.clone(),
        more_reads: report.more_reads,
        max_seconds: report.max_seconds,
        end: report.reason.clone(),
        ended: None,
    }
}

/// The part of a run's receipt that the status keeps.
pub(crate) fn summary(job: &ObservedJob) -> Option<RunReceipt> {
    let logins = logins("", job);
    let first = logins.first()?;
    let accessors = logins.iter().filter_map(|login| login.accessor.clone());
    let reads = || logins.iter().flat_map(|login| &login.reads);
    let mut paths: Vec<String> = reads().map(told).collect();
    paths.sort();
    paths.dedup();
    paths.truncate(MOST_PATHS);
    let maxima = logins.iter().filter_map(|login| login.max_seconds);
    let leases = reads().filter(|read| read.lease.is_some()).count();
    Some(RunReceipt {
        role: first.role.clone(),
        service_account: job.service_account.clone(),
        accessors: accessors.take(MOST_ACCESSORS).collect(),
        paths,
        leases: i32::try_from(leases).unwrap_or(i32::MAX),
        max_seconds: maxima.min().and_then(|it| i64::try_from(it).ok()),
        revoked_time: revoked(job, &logins).map(Time),
    })
}

/// When the last of its tokens was revoked.
fn revoked(job: &ObservedJob, logins: &[Login]) -> Option<Timestamp> {
    let own = logins.iter().filter(|login| login.end == Reason::Revoked);
    let own = own.filter_map(|login| login.ended);
    own.chain(job.revocations.iter().filter_map(|it| it.at))
        .max()
}

/// The path of a read; with its version for a KV secret that has versions.
fn told(read: &Access) -> String {
    let path: String = read.path.chars().take(LONGEST_PATH).collect();
    match read.version {
        Some(version) => format!("{path}@{version}"),
        None => path,
    }
}

/// The runs whose credentials have come to what stands in `after`, and not yet in `before`.
pub fn settled_between<'a>(
    before: Option<&PlanescapeJobStatus>,
    after: &'a PlanescapeJobStatus,
) -> Vec<&'a Run> {
    let known = |run: &Run| {
        let mut runs = before.iter().flat_map(|before| &before.runs);
        runs.any(|it| it.uid == run.uid && it.lease == run.lease && is_settled(it))
    };
    let settled = after.runs.iter().filter(|run| is_settled(run));
    settled.filter(|run| !known(run)).collect()
}

fn is_settled(run: &Run) -> bool {
    run.outcome != Outcome::Running && run.lease.is_some_and(|lease| lease != Lease::Held)
}

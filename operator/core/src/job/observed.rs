//! The Jobs and pods of a PlanescapeJob in the cluster, reduced to what decisions need.

mod agent;
mod failure;
mod waiting;

use std::borrow::Borrow;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::batch::v1::{Job, JobSpec, JobStatus};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference, Time};
use planescape_agent_contract::Report;
use serde::{Deserialize, Serialize};

pub use agent::{ObservedAgent, may_live};
pub use waiting::Waiting;

use super::identity::{Identity, is_of_kind};
use crate::api::names::{
    CREDENTIALS_ANNOTATION, ENDED_ANNOTATION, ENDED_AS_ANNOTATION, GROUP, JOB_LABEL,
    LEGACY_JOB_NAME_LABEL, ORDER_ANNOTATION, REVOKED_ANNOTATION_PREFIX, RUN_TRACKING_FINALIZER,
    RUN_UID_LABEL, SCHEDULED_AT_ANNOTATION, SUPPLIED_ANNOTATION, TEMPLATE_ANNOTATION,
};
use crate::api::v1alpha1::PodFailure;
use crate::credentials::left::Revocation;
use crate::run;

/// The grace period of pods that name none.
const USUAL_GRACE: SignedDuration = SignedDuration::from_secs(30);

/// A Job's `managedBy` names this one unless somebody else makes its pods.
const JOB_CONTROLLER: &str = "kubernetes.io/job-controller";

/// The Jobs and pods of a PlanescapeJob in the cluster.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Observed {
    /// Its Jobs, the newest first.
    pub jobs: Vec<ObservedJob>,
    /// Jobs that run and bear its label and the marks of a run, and that nobody owns.
    pub unowned: Vec<UnownedJob>,
}

/// A Job that lost its owner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnownedJob {
    /// Its name.
    pub name: String,
    /// Its UID.
    pub uid: String,
}

/// One Job, that is, one run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ObservedJob {
    /// Its name.
    pub name: String,
    /// Its UID.
    pub uid: String,
    /// Its resourceVersion, where it was read a moment ago.
    pub version: Option<Box<str>>,
    /// The instant it was scheduled for.
    pub tick: Timestamp,
    /// The digits in its name, where somebody asked for it by hand.
    pub rerun: Option<String>,
    /// When it started.
    pub started: Option<Timestamp>,
    /// How it ended.
    pub end: Option<End>,
    /// Since when it is being deleted.
    pub deleting_since: Option<Timestamp>,
    /// How long its pods may take to stop.
    pub grace: SignedDuration,
    /// Whether the Job controller is to make pods for it.
    pub expects_pods: bool,
    /// Whether the Job controller has counted a pod of it, even one that is gone; for a Job that goes on.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub has_had_pods: bool,
    /// When the Job controller last wrote its counts, if it has had pods and none is left; for a Job that goes on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub podless_since: Option<Timestamp>,
    /// Whether it was read, and bears our label no more: no watch shows its changes.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_hidden: bool,
    /// Whether it bears our finalizer.
    pub is_tracked: bool,
    /// A digest of what it was made of.
    pub template: Option<String>,
    /// Whether we told the Job controller to end it.
    pub is_ended: bool,
    /// Whether it is deleted some time after it ended.
    pub has_ttl: bool,
    /// Whether it is suspended.
    pub is_suspended: bool,
    /// The ServiceAccount of its pods.
    pub service_account: String,
    /// Since when it waits for its Secrets: suspended, unless somebody has lifted that.
    pub waits_for_secrets: Option<Timestamp>,
    /// Whether it had its Secrets and was let go.
    pub is_supplied: bool,
    /// The report on its Secrets.
    pub credentials: Option<Report>,
    /// The fate of the tokens that its agents have left.
    pub revocations: Vec<Revocation>,
    /// Its pods, the oldest first.
    pub pods: Vec<ObservedPod>,
}

/// How a Job ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct End {
    /// When.
    pub at: Option<Timestamp>,
    /// Whether it is complete.
    pub is_success: bool,
    /// Kubernetes' word for why.
    pub reason: Option<String>,
    /// Kubernetes' sentence for why.
    pub message: Option<String>,
}

/// One pod of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ObservedPod {
    /// Its name.
    pub name: String,
    /// Its UID.
    pub uid: String,
    /// When it was made.
    pub created: Option<Timestamp>,
    /// Whether it has ended.
    pub is_over: bool,
    /// The value of its label `job-name`.
    pub job_name_label: Option<String>,
    /// Whether a container of the job's own has begun its work.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub has_begun: bool,
    /// Our agent in it.
    pub agent: Option<ObservedAgent>,
    /// The reason why a container of it does not start.
    pub waiting: Option<Waiting>,
    /// How it, or a container of the job's own, failed last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<Box<PodFailure>>,
    /// Since when its node prepares it, and has started nothing of it.
    pub prepared_since: Option<Timestamp>,
}

/// A Job as it is kept in memory: what decisions depend on, and whose it is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct KnownJob {
    /// Its namespace.
    pub namespace: String,
    /// The PlanescapeJob among its owners.
    pub owner: Option<Owner>,
    /// The PlanescapeJob that its label names.
    pub label: Option<String>,
    /// The run that it is; the pods are kept by themselves.
    pub run: ObservedJob,
    has_owners: bool,
    is_scheduled: bool,
}

/// The PlanescapeJob among the owners of a Job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owner {
    /// Its name.
    pub name: String,
    /// Its UID.
    pub uid: String,
    /// Whether it is the owner that controls the Job.
    pub controls: bool,
}

/// A pod as it is kept in memory.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct KnownPod {
    /// Its namespace.
    pub namespace: String,
    /// The PlanescapeJob that its label names.
    pub label: Option<String>,
    /// Name and UID of the Job that controls it.
    pub job: Option<(String, String)>,
    /// The part that decisions depend on.
    pub pod: ObservedPod,
}

impl Observed {
    /// From Jobs and pods, of which only those count that belong to the PlanescapeJob.
    pub fn of<J: Borrow<KnownJob>, P: Borrow<KnownPod>>(
        owner: &Identity,
        jobs: &[J],
        pods: &[P],
    ) -> Self {
        let jobs = jobs.iter().map(Borrow::<KnownJob>::borrow);
        let lost = jobs.clone().filter(|job| job.is_lost(owner));
        let unowned = lost.map(|job| UnownedJob {
            name: job.run.name.clone(),
            uid: job.run.uid.clone(),
        });
        let owned = jobs.filter(|job| job.is_of(owner));
        let mut observed = Self {
            unowned: unowned.collect(),
            jobs: owned.map(|job| job.with_pods(pods)).collect(),
        };
        let newest_first =
            |a: &ObservedJob, b: &ObservedJob| (b.tick, &b.name).cmp(&(a.tick, &a.name));
        observed.jobs.sort_by(newest_first);
        observed
    }

    /// The Jobs that have not ended.
    pub fn active(&self) -> impl Iterator<Item = &ObservedJob> {
        self.jobs.iter().filter(|job| job.end.is_none())
    }
}

impl KnownJob {
    /// Keeps the part of a Job that decisions need; none if the API server has not stored it.
    pub fn of(job: &Job) -> Option<Self> {
        let metadata = &job.metadata;
        let labels = metadata.labels.as_ref();
        let owners = metadata.owner_references.as_deref().unwrap_or_default();
        Some(Self {
            namespace: metadata.namespace.clone()?,
            owner: Owner::of(owners),
            label: labels.and_then(|labels| labels.get(JOB_LABEL)).cloned(),
            run: ObservedJob::new(job)?,
            has_owners: !owners.is_empty(),
            is_scheduled: annotation(metadata, SCHEDULED_AT_ANNOTATION).is_some(),
        })
    }

    /// Knowledge of a Job that was read a moment ago.
    pub fn fresh(job: &Job) -> Option<Self> {
        let mut known = Self::of(job)?;
        known.run.version = job.metadata.resource_version.as_deref().map(Into::into);
        known.run.is_hidden = known.label.is_none();
        Some(known)
    }

    /// Whether a PlanescapeJob controls it.
    pub fn is_of(&self, identity: &Identity) -> bool {
        let controller = self.owner.as_ref().filter(|owner| owner.controls);
        self.namespace == identity.namespace
            && controller
                .is_some_and(|owner| owner.name == identity.name && owner.uid == identity.uid)
    }

    /// Whether it was a run of a PlanescapeJob of this name and runs on without an owner.
    fn is_lost(&self, identity: &Identity) -> bool {
        self.namespace == identity.namespace
            && self.label.as_ref() == Some(&identity.name)
            && !self.has_owners
            && !self.run.is_deleting()
            && self.is_scheduled
            && self.run.end.is_none()
    }

    fn with_pods<P: Borrow<KnownPod>>(&self, pods: &[P]) -> ObservedJob {
        let pods = pods.iter().map(Borrow::<KnownPod>::borrow);
        let own = pods.filter(|pod| pod.is_of(self));
        let mut run = self.run.clone();
        run.pods.extend(own.map(|pod| pod.pod.clone()));
        run.pods
            .sort_by(|a, b| (a.created, &a.name).cmp(&(b.created, &b.name)));
        run
    }
}

impl Owner {
    fn of(owners: &[OwnerReference]) -> Option<Self> {
        let of_kind = owners
            .iter()
            .filter(|owner| is_of_kind(owner, GROUP, "PlanescapeJob"));
        let mut ours: Vec<&OwnerReference> = of_kind.collect();
        ours.sort_by_key(|owner| owner.controller != Some(true));
        let owner = ours.first()?;
        Some(Self {
            name: owner.name.clone(),
            uid: owner.uid.clone(),
            controls: owner.controller == Some(true),
        })
    }
}

impl KnownPod {
    /// Keeps the part of a pod that decisions need; none if the API server has not stored it.
    pub fn of(pod: &Pod) -> Option<Self> {
        let metadata = &pod.metadata;
        let labels = metadata.labels.as_ref();
        let mut owners = metadata.owner_references.iter().flatten();
        let job = owners
            .find(|owner| owner.controller == Some(true) && is_of_kind(owner, "batch", "Job"));
        Some(Self {
            namespace: metadata.namespace.clone()?,
            label: labels.and_then(|labels| labels.get(JOB_LABEL)).cloned(),
            job: job.map(|job| (job.name.clone(), job.uid.clone())),
            pod: ObservedPod::new(pod)?,
        })
    }

    fn is_of(&self, job: &KnownJob) -> bool {
        let owner = self.job.as_ref();
        owner.is_some_and(|(name, uid)| *name == job.run.name && *uid == job.run.uid)
            && self.namespace == job.namespace
    }
}

impl ObservedJob {
    /// Whether it is being deleted.
    pub fn is_deleting(&self) -> bool {
        self.deleting_since.is_some()
    }

    fn new(job: &Job) -> Option<Self> {
        let uid = job.metadata.uid.clone()?;
        let spec = job.spec.as_ref();
        let status = job.status.as_ref();
        let end = End::of(job);
        let has_had_pods = end.is_none() && status.is_some_and(counts_a_pod);
        Some(Self {
            name: job.metadata.name.clone()?,
            version: None,
            tick: tick(&job.metadata)?,
            rerun: run_uid(&job.metadata)
                .and_then(run::rerun_of)
                .map(str::to_owned),
            started: status
                .and_then(|status| status.start_time.as_ref())
                .map(instant),
            end,
            deleting_since: job.metadata.deletion_timestamp.as_ref().map(instant),
            grace: grace(spec),
            expects_pods: spec.is_none_or(expects_pods) && !status.is_some_and(rests),
            has_had_pods,
            podless_since: podless_since(job).filter(|_| has_had_pods),
            is_hidden: false,
            is_tracked: is_tracked(&job.metadata),
            template: annotation(&job.metadata, TEMPLATE_ANNOTATION).map(str::to_owned),
            is_ended: annotation(&job.metadata, ENDED_ANNOTATION).is_some(),
            has_ttl: spec.is_some_and(|spec| spec.ttl_seconds_after_finished.is_some()),
            is_suspended: spec.is_some_and(|spec| spec.suspend == Some(true)),
            service_account: service_account(spec),
            waits_for_secrets: waits_for_secrets(job),
            is_supplied: annotation(&job.metadata, SUPPLIED_ANNOTATION).is_some(),
            credentials: annotation(&job.metadata, CREDENTIALS_ANNOTATION)
                .and_then(|report| serde_json::from_str(report).ok()),
            revocations: revocations(&job.metadata),
            pods: Vec::new(),
            uid,
        })
    }
}

impl End {
    fn of(job: &Job) -> Option<Self> {
        let status = job.status.as_ref()?;
        let condition =
            status.conditions.iter().flatten().find(|it| {
                it.status == "True" && matches!(it.type_.as_str(), "Complete" | "Failed")
            })?;
        let completed = status.completion_time.as_ref();
        let is_success = condition.type_ == "Complete";
        let ours = annotation(&job.metadata, ENDED_ANNOTATION).filter(|_| !is_success);
        Some(Self {
            at: completed
                .or(condition.last_transition_time.as_ref())
                .map(instant),
            is_success,
            reason: match ours {
                Some(_) => {
                    let word = annotation(&job.metadata, ENDED_AS_ANNOTATION);
                    Some(word.unwrap_or("VaultRefused").to_owned())
                }
                None => condition.reason.clone(),
            },
            message: ours.map(str::to_owned).or(condition.message.clone()),
        })
    }
}

impl ObservedPod {
    fn new(pod: &Pod) -> Option<Self> {
        let labels = pod.metadata.labels.as_ref();
        let phase = pod.status.as_ref().and_then(|it| it.phase.as_deref());
        Some(Self {
            name: pod.metadata.name.clone()?,
            uid: pod.metadata.uid.clone()?,
            created: pod.metadata.creation_timestamp.as_ref().map(instant),
            is_over: matches!(phase, Some("Succeeded" | "Failed")),
            job_name_label: labels
                .and_then(|labels| labels.get(LEGACY_JOB_NAME_LABEL))
                .cloned(),
            has_begun: has_begun(pod),
            agent: ObservedAgent::of(pod),
            waiting: Waiting::of(pod),
            failure: failure::of(pod).map(Box::new),
            prepared_since: waiting::prepared_since(pod),
        })
    }
}

/// Whether a container of the pod has started. A container that waits to be started again has.
fn has_begun(pod: &Pod) -> bool {
    let statuses = pod
        .status
        .as_ref()
        .and_then(|it| it.container_statuses.as_ref());
    statuses.into_iter().flatten().any(|container| {
        let states = [&container.state, &container.last_state];
        let mut states = states.into_iter().flatten();
        states.any(|state| state.running.is_some() || state.terminated.is_some())
    })
}

/// Whether an object bears our finalizer.
pub fn is_tracked(metadata: &ObjectMeta) -> bool {
    let mut finalizers = metadata.finalizers.iter().flatten();
    finalizers.any(|finalizer| finalizer == RUN_TRACKING_FINALIZER)
}

fn annotation<'a>(metadata: &'a ObjectMeta, key: &str) -> Option<&'a str> {
    metadata.annotations.as_ref()?.get(key).map(String::as_str)
}

fn revocations(metadata: &ObjectMeta) -> Vec<Revocation> {
    let annotations = metadata.annotations.iter().flatten();
    annotations
        .filter_map(|(key, text)| {
            let pod = key.strip_prefix(REVOKED_ANNOTATION_PREFIX)?;
            let told: Revocation = serde_json::from_str(text).ok()?;
            let pod = pod.to_owned();
            Some(Revocation { pod, ..told })
        })
        .collect()
}

fn grace(spec: Option<&JobSpec>) -> SignedDuration {
    let pod = spec.and_then(|spec| spec.template.spec.as_ref());
    let seconds = pod.and_then(|pod| pod.termination_grace_period_seconds);
    seconds.map_or(USUAL_GRACE, SignedDuration::from_secs)
}

fn waits_for_secrets(job: &Job) -> Option<Timestamp> {
    let metadata = &job.metadata;
    let is_supplied = annotation(metadata, SUPPLIED_ANNOTATION).is_some();
    annotation(metadata, ORDER_ANNOTATION).filter(|_| !is_supplied)?;
    let created = metadata.creation_timestamp.as_ref().map(instant);
    created.or_else(|| tick(metadata))
}

fn service_account(spec: Option<&JobSpec>) -> String {
    let pod = spec.and_then(|spec| spec.template.spec.as_ref());
    let name = pod.and_then(|pod| pod.service_account_name.clone());
    let name = name.filter(|name| !name.is_empty());
    name.unwrap_or_else(|| "default".to_owned())
}

fn expects_pods(spec: &JobSpec) -> bool {
    let manager = spec.managed_by.as_deref();
    spec.suspend != Some(true)
        && spec.parallelism != Some(0)
        && manager.is_none_or(|manager| manager == JOB_CONTROLLER)
}

/// Whether the Job controller has suspended it, and has not seen yet that somebody lets it go on: until then its status tells of
/// the time before.
fn rests(status: &JobStatus) -> bool {
    let mut conditions = status.conditions.iter().flatten();
    conditions.any(|it| it.type_ == "Suspended" && it.status == "True")
}

fn counts_a_pod(status: &JobStatus) -> bool {
    let counts = [
        status.active,
        status.terminating,
        status.succeeded,
        status.failed,
    ];
    counts.into_iter().flatten().any(|count| count > 0)
}

/// The last write of the status. The managed fields name each writer with the time of its last change. The status of a
/// Job changes no more while no pod can be made.
fn podless_since(job: &Job) -> Option<Timestamp> {
    let status = job.status.as_ref()?;
    let left = [status.active, status.terminating];
    if left.into_iter().flatten().any(|count| count > 0) {
        return None;
    }
    let writers = job.metadata.managed_fields.iter().flatten();
    let of_status = writers.filter(|writer| writer.subresource.as_deref() == Some("status"));
    let times = of_status.filter_map(|writer| writer.time.as_ref());
    times.map(instant).max()
}

/// As its annotation says. Somebody may take that away, and the Job still runs: then as its label
/// or its time of creation says.
fn tick(metadata: &ObjectMeta) -> Option<Timestamp> {
    let annotated = annotation(metadata, SCHEDULED_AT_ANNOTATION);
    let annotated = annotated.and_then(|tick| tick.parse().ok());
    let scheduled = run_uid(metadata).filter(|label| run::rerun_of(label).is_none());
    let labelled = scheduled
        .and_then(|label| label.rsplit_once('-')?.1.parse().ok())
        .and_then(|seconds| Timestamp::from_second(seconds).ok());
    annotated
        .or(labelled)
        .or_else(|| metadata.creation_timestamp.as_ref().map(instant))
}

fn run_uid(metadata: &ObjectMeta) -> Option<&str> {
    let labels = metadata.labels.as_ref()?;
    labels.get(RUN_UID_LABEL).map(String::as_str)
}

fn instant(time: &Time) -> Timestamp {
    time.0
}

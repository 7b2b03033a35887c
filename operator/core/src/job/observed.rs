//! What belongs to a PlanescapeJob in the cluster, reduced to what decisions need.

mod agent;

use std::borrow::Borrow;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::batch::v1::{Job, JobSpec};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};

pub use agent::{ObservedAgent, Phase, Report};

use crate::api::names::{LEGACY_JOB_NAME_LABEL, RUN_TRACKING_FINALIZER, SCHEDULED_AT_ANNOTATION};

/// What pods get that do not say how long they may take to stop.
const USUAL_GRACE: SignedDuration = SignedDuration::from_secs(30);

/// Whom a Job's `managedBy` names unless somebody else makes its pods.
const JOB_CONTROLLER: &str = "kubernetes.io/job-controller";

/// What belongs to a PlanescapeJob in the cluster.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Observed {
    /// Its Jobs, the newest first.
    pub jobs: Vec<ObservedJob>,
}

/// One Job, that is, one run.
#[derive(Clone, Debug, PartialEq)]
pub struct ObservedJob {
    /// Its name.
    pub name: String,
    /// Its UID.
    pub uid: String,
    /// The instant it was scheduled for.
    pub tick: Timestamp,
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
    /// Whether it bears our finalizer.
    pub is_tracked: bool,
    /// Whether it is deleted some time after it ended.
    pub has_ttl: bool,
    /// Its pods, the oldest first.
    pub pods: Vec<ObservedPod>,
}

/// How a Job ended.
#[derive(Clone, Debug, PartialEq, Eq)]
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
#[derive(Clone, Debug, PartialEq)]
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
    /// Our agent in it.
    pub agent: Option<ObservedAgent>,
}

impl Observed {
    /// From a PlanescapeJob's Jobs and their pods.
    pub fn new<J: Borrow<Job>, P: Borrow<Pod>>(jobs: &[J], pods: &[P]) -> Self {
        let mut jobs: Vec<ObservedJob> = jobs
            .iter()
            .filter_map(|job| ObservedJob::new(job.borrow(), pods))
            .collect();
        jobs.sort_by(|a, b| (b.tick, &b.name).cmp(&(a.tick, &a.name)));
        Self { jobs }
    }

    /// The Jobs that have not ended.
    pub fn active(&self) -> impl Iterator<Item = &ObservedJob> {
        self.jobs.iter().filter(|job| job.end.is_none())
    }
}

impl ObservedJob {
    /// Whether it is being deleted.
    pub fn is_deleting(&self) -> bool {
        self.deleting_since.is_some()
    }

    fn new<P: Borrow<Pod>>(job: &Job, pods: &[P]) -> Option<Self> {
        let uid = job.metadata.uid.clone()?;
        let spec = job.spec.as_ref();
        let status = job.status.as_ref();
        let belongs = |pod: &&P| is_owned_by(&Borrow::<Pod>::borrow(*pod).metadata, &uid);
        let mut pods: Vec<ObservedPod> = pods
            .iter()
            .filter(belongs)
            .filter_map(|pod| ObservedPod::new(pod.borrow()))
            .collect();
        pods.sort_by(|a, b| (a.created, &a.name).cmp(&(b.created, &b.name)));
        Some(Self {
            name: job.metadata.name.clone()?,
            tick: tick(&job.metadata)?,
            started: status
                .and_then(|status| status.start_time.as_ref())
                .map(instant),
            end: End::of(job),
            deleting_since: job.metadata.deletion_timestamp.as_ref().map(instant),
            grace: grace(spec),
            expects_pods: spec.is_none_or(expects_pods),
            is_tracked: is_tracked(&job.metadata),
            has_ttl: spec.is_some_and(|spec| spec.ttl_seconds_after_finished.is_some()),
            pods,
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
        Some(Self {
            at: completed
                .or(condition.last_transition_time.as_ref())
                .map(instant),
            is_success: condition.type_ == "Complete",
            reason: condition.reason.clone(),
            message: condition.message.clone(),
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
            agent: ObservedAgent::of(pod),
        })
    }
}

/// Whether an object is owned and controlled by the object with this UID.
pub fn is_owned_by(metadata: &ObjectMeta, uid: &str) -> bool {
    metadata
        .owner_references
        .iter()
        .flatten()
        .any(|owner| owner.uid == uid && owner.controller == Some(true))
}

/// Whether an object bears our finalizer.
pub fn is_tracked(metadata: &ObjectMeta) -> bool {
    let mut finalizers = metadata.finalizers.iter().flatten();
    finalizers.any(|finalizer| finalizer == RUN_TRACKING_FINALIZER)
}

fn grace(spec: Option<&JobSpec>) -> SignedDuration {
    let pod = spec.and_then(|spec| spec.template.spec.as_ref());
    let seconds = pod.and_then(|pod| pod.termination_grace_period_seconds);
    seconds.map_or(USUAL_GRACE, SignedDuration::from_secs)
}

fn expects_pods(spec: &JobSpec) -> bool {
    let manager = spec.managed_by.as_deref();
    spec.suspend != Some(true)
        && spec.parallelism != Some(0)
        && manager.is_none_or(|manager| manager == JOB_CONTROLLER)
}

fn tick(metadata: &ObjectMeta) -> Option<Timestamp> {
    let annotations = metadata.annotations.as_ref()?;
    annotations.get(SCHEDULED_AT_ANNOTATION)?.parse().ok()
}

fn instant(time: &Time) -> Timestamp {
    time.0
}

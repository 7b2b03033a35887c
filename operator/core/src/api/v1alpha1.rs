//! `planescape.io/v1alpha1`, as users write it and as we report on it.
#![expect(
    unreachable_pub,
    reason = "the schema derive copies each struct into a function"
)]

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::scheduling::is_usual;
pub use super::scheduling::{
    DisruptionPolicy, DstPolicy, ExclusionWindow, ForbidBehavior, MissedRunPolicy,
};
use super::schema;
pub use super::vault_secrets::{Scope, VaultSecret};

/// The schedule of a job that runs once, as soon as it is created.
pub const ONCE: &str = "@once";

const NAME_RULE: &str = "size(self.metadata.name) <= 52 && self.metadata.name.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')";
const KIND_RULE: &str = "(self.schedule == '@once') == (oldSelf.schedule == '@once')";
const ONCE_TEMPLATE_RULE: &str = "self.spec.schedule != '@once' || !has(oldSelf.status) \
    || !has(oldSelf.status.lastScheduleTime) \
    || (self.spec.jobTemplate == oldSelf.spec.jobTemplate \
        && has(self.spec.vault) == has(oldSelf.spec.vault) \
        && (!has(self.spec.vault) || self.spec.vault == oldSelf.spec.vault))";
const ONCE_ZONE_RULE: &str = "self.schedule != '@once' || !has(self.timeZone)";
const SCHEDULE_SHAPE_RULE: &str = "self == '@once' \
    || self.matches('^@(hourly|daily|midnight|weekly|monthly|yearly|annually)$') \
    || self.matches('^@every [+]?(([0-9]+([.][0-9]*)?|[.][0-9]+)(h|m|s|ms|us|µs|μs|ns))+$') \
    || self.matches('^ *[^@ ][^ ]*( +[^ ]+){4} *$')";
const SCHEDULE_ZONE_RULE: &str = "!self.contains('TZ')";
const EVERY_RULE: &str = "!self.matches('^@every [+]?(([0-9]+([.][0-9]*)?|[.][0-9]+)(h|m|s|ms|us|µs|μs|ns))+$') \
    || duration(self.substring(7)) >= duration('1m')";
const ZONE_RULE: &str = "self.matches('^[A-Za-z0-9_.+][A-Za-z0-9_.+-]{0,13}(/[A-Za-z0-9_.+][A-Za-z0-9_.+-]{0,13}){0,2}$') \
    && self.split('/').all(c, c != '.' && c != '..') && self.lowerAscii() != 'local'";
const VAULT_ROLE_RULE: &str =
    "!self.enabled || (has(self.role) && (has(self.path) || has(self.secrets)))";

/// A job that runs once or on a schedule, and is given its own Vault credentials each time.
#[derive(CustomResource, KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "planescape.io",
    version = "v1alpha1",
    kind = "PlanescapeJob",
    doc = "A job that runs once or on a schedule, and is given its own Vault credentials each time.",
    namespaced,
    status = "PlanescapeJobStatus",
    derive = "PartialEq",
    shortname = "pjob",
    category = "all",
    category = "planescape",
    validation = Rule::new(NAME_RULE).message("metadata.name must be a DNS label of at most 52 characters, because Jobs, pods and labels are named after it"),
    validation = Rule::new(ONCE_TEMPLATE_RULE).message("spec.jobTemplate and spec.vault: field is immutable once the one-time job has started; create a PlanescapeJob of another name, or delete this one and create it again"),
    printcolumn(name = "Schedule", type_ = "string", json_path = ".spec.schedule"),
    printcolumn(name = "Timezone", type_ = "string", json_path = ".spec.timeZone", priority = 1),
    printcolumn(name = "Concurrency", type_ = "string", json_path = ".status.resolved.concurrencyPolicy", priority = 1),
    printcolumn(name = "Suspend", type_ = "boolean", json_path = ".spec.suspend"),
    printcolumn(name = "Active", type_ = "integer", json_path = ".status.activeCount"),
    printcolumn(name = "Last Schedule", type_ = "date", json_path = ".status.lastScheduleTime"),
    printcolumn(name = "Next", type_ = "string", json_path = ".status.nextScheduleTime"),
    printcolumn(name = "Last Result", type_ = "string", json_path = ".status.lastResult"),
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].status"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[x_kube(
    validation = Rule::new(KIND_RULE).message("may not change between @once and a recurring schedule").field_path(".schedule"),
    validation = Rule::new(ONCE_ZONE_RULE).message("has no meaning with schedule @once").field_path(".timeZone"),
)]
#[serde(rename_all = "camelCase")]
pub struct PlanescapeJobSpec {
    /// `@once`, five cron fields, `@hourly`, `@daily`, `@weekly`, `@monthly`, `@yearly`, or `@every` and a duration of at least one minute.
    #[serde(default = "once")]
    #[schemars(length(min = 1, max = 256))]
    #[x_kube(
        validation = Rule::new(SCHEDULE_SHAPE_RULE).message("must be @once, five cron fields, @hourly, @daily, @midnight, @weekly, @monthly, @yearly, @annually, or @every and a duration such as 1h30m"),
        validation = Rule::new(SCHEDULE_ZONE_RULE).message("may not set a time zone; use spec.timeZone"),
        validation = Rule::new(EVERY_RULE).message("@every needs at least one minute"),
    )]
    pub schedule: String,

    /// The IANA time zone that the schedule is read in; UTC when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    #[x_kube(validation = Rule::new(ZONE_RULE).message("must be the name of an IANA time zone, such as Europe/Berlin"))]
    pub time_zone: Option<String>,

    /// What becomes of readings that come twice or not at all when the clock is turned.
    #[serde(default, skip_serializing_if = "is_usual")]
    pub dst_policy: DstPolicy,

    /// Starts nothing new while true. Running Jobs go on.
    #[serde(default)]
    pub suspend: bool,

    /// How late a run may start, in seconds. A run that is later is skipped and recorded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub starting_deadline_seconds: Option<i64>,

    /// What to do when a run is due while another is active.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub concurrency_policy: Option<ConcurrencyPolicy>,

    /// What Forbid does with a run that is due while another is active.
    #[serde(default, skip_serializing_if = "is_usual")]
    pub forbid_behavior: ForbidBehavior,

    /// What to do with a run that could not start when it was due.
    #[serde(default, skip_serializing_if = "is_usual")]
    pub missed_run_policy: MissedRunPolicy,

    /// Spreads the runs of jobs that are due together: each starts up to so many seconds after its instant, always the same number for the same job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 86400))]
    pub jitter_seconds: Option<i64>,

    /// Times in which no run starts. A run that is due in one is skipped and recorded.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 50))]
    pub exclusion_windows: Vec<ExclusionWindow>,

    /// After how many seconds a run is ended as failed whose pods do not start, for want of an image, a Secret or a node; never when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub stuck_after_seconds: Option<i64>,

    /// What becomes of a run whose pod was disrupted: drained, preempted, evicted or taken away with its node.
    #[serde(default, skip_serializing_if = "is_usual")]
    pub disruption_policy: DisruptionPolicy,

    /// How many runs may be active at once under Allow. A run that is due beyond that is skipped and recorded; without a limit when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub max_active_runs: Option<i32>,

    /// How many successful Jobs to keep.
    #[serde(default = "three")]
    #[schemars(range(min = 0, max = 1000))]
    pub successful_jobs_history_limit: i32,

    /// How many failed Jobs to keep.
    #[serde(default = "one")]
    #[schemars(range(min = 0, max = 1000))]
    pub failed_jobs_history_limit: i32,

    /// How many Jobs to keep of the runs that were asked for by hand, however they ended.
    #[serde(default = "three")]
    #[schemars(range(min = 0, max = 1000))]
    pub rerun_jobs_history_limit: i32,

    /// The Job to create for each run, as in a CronJob.
    #[schemars(schema_with = "schema::job_template")]
    pub job_template: Value,

    /// What each run gets from Vault: Kubernetes Secrets of its own, and in short form one file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vault: Option<VaultBlock>,
}

/// What to do when a run is due while another is active. Allow for @once, Forbid for a recurring schedule, when absent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ConcurrencyPolicy {
    /// Start the new run beside the old one.
    Allow,
    /// Skip the new run.
    Forbid,
    /// Stop the old run, then start the new one.
    Replace,
}

/// What each run gets from Vault: Kubernetes Secrets of its own, and in short form one file, `/vault/secrets/creds` with `key=value` lines.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[x_kube(validation = Rule::new(VAULT_ROLE_RULE).message("role, and path or secrets, are required when enabled"))]
#[serde(rename_all = "camelCase")]
pub struct VaultBlock {
    /// Whether the Job's pods get anything of it.
    #[serde(default = "yes")]
    pub enabled: bool,
    /// The Vault role to log in as.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256))]
    pub role: Option<String>,
    /// The path to read into the file, for example database/creds/readonly.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024))]
    pub path: Option<String>,
    /// How long one credential is expected to last, as a duration. Vault's role decides; it is checked, not sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    pub ttl: Option<String>,
    /// Where the kubernetes auth method is mounted; the operator's setting when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub auth_path: Option<String>,
    /// The Vault namespace to log in to; the operator's setting when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub namespace: Option<String>,
    /// Where Vault is; the operator's setting when absent. For secrets it must be one of those that the administrator lists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024))]
    pub address: Option<String>,
    /// Secrets of Vault that each run gets as Kubernetes Secrets of its own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(min = 1, max = 16))]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub secrets: Vec<VaultSecret>,
}

/// What the operator reports.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
// Until an operator has looked, deployers that follow kstatus wait instead of taking it as current.
// Fields of a younger operator stay, even if the definition or this operator is older.
#[schemars(extend("default" = { "observedGeneration": -1 }, "x-kubernetes-preserve-unknown-fields" = true))]
pub struct PlanescapeJobStatus {
    /// The generation of the spec that this status speaks of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Ready, ScheduleValid, TemplateValid, Suspended, Active, VaultReady; Stalled where no retry helps; for one-time jobs also Complete or Failed.
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
    /// How the last finished run ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_result: Option<Outcome>,
    /// How many Jobs are running.
    pub active_count: i32,
    /// The Jobs that are running.
    pub active: Vec<ActiveRun>,
    /// The instant of the schedule that was last acted upon.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_schedule_time: Option<Time>,
    /// The first of the unbroken series of instants that ends with lastScheduleTime.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub settled_since: Option<Time>,
    /// The last instant that was acted upon before that series: should the clock turn out to have been ahead, nothing up
    /// to it runs again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub settled_before: Option<Time>,
    /// Instants that were acted upon while the clock was ahead of the time: they do not run again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub settled_ahead: Option<Ahead>,
    /// When the last successful run ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_successful_time: Option<Time>,
    /// When the last failed run ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_failure_time: Option<Time>,
    /// When the next run is due; absent while suspended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_schedule_time: Option<Time>,
    /// The instant whose run starts once the run that it replaces, or waits for, has ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pending_schedule_time: Option<Time>,
    /// The run that starts out of turn: another operator must see it before it starts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub announced_run: Option<AnnouncedRun>,
    /// The schedule as last acted upon, and since when: earlier instants never start a run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub schedule_reference: Option<ScheduleReference>,
    /// What the spec left open.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resolved: Option<Resolved>,
    /// How many runs did not start, by reason.
    #[serde(skip_serializing_if = "is_none_skipped")]
    pub skipped: Skipped,
    /// Which requests for a run by hand were met or refused, newest first: the digits in their Jobs' names.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub reruns: Vec<String>,
    /// The latest runs, newest first.
    pub runs: Vec<Run>,
    /// What only younger operators know.
    #[serde(flatten)]
    #[schemars(skip)]
    pub unknown: BTreeMap<String, Value>,
}

/// A Job that is running.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ActiveRun {
    /// The Job's name.
    pub name: String,
    /// The Job's UID.
    pub uid: String,
    /// The instant it was scheduled for.
    pub scheduled_time: Time,
}

/// The schedule as last acted upon.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ScheduleReference {
    /// The schedule, its time zone and whether it was suspended.
    pub schedule: String,
    /// Since when it is so.
    pub since: Time,
    /// What the intervals of `@every` count from: neither suspending nor mending moves it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub anchor: Option<Time>,
    /// The latest generation of the spec that could not run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub invalid_generation: Option<i64>,
}

/// A run that starts soon, although the status did not say before that it comes next.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AnnouncedRun {
    /// The instant it is scheduled for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scheduled_time: Option<Time>,
    /// The digits in the Job's name, where somebody asked for the run by hand.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rerun: Option<String>,
    /// Since when it stands here.
    pub since: Time,
}

/// From one instant of a schedule to another, both included.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Ahead {
    /// The first.
    pub from: Time,
    /// The last.
    pub until: Time,
}

/// What the spec left open, as decided.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Resolved {
    /// The effective concurrency policy.
    pub concurrency_policy: ConcurrencyPolicy,
    /// The effective time zone; absent with `@once`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time_zone: Option<String>,
}

/// How many runs did not start, by reason.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Skipped {
    /// The previous run was still active.
    #[serde(skip_serializing_if = "is_zero")]
    pub forbid: i64,
    /// Later than `startingDeadlineSeconds`.
    #[serde(skip_serializing_if = "is_zero")]
    pub too_late: i64,
    /// A later run was due already.
    #[serde(skip_serializing_if = "is_zero")]
    pub missed: i64,
    /// As many runs as `maxActiveRuns` allows were active.
    #[serde(skip_serializing_if = "is_zero")]
    pub too_many: i64,
    /// In one of `exclusionWindows`.
    #[serde(skip_serializing_if = "is_zero")]
    pub excluded: i64,
    /// Somebody else's Job bears the name.
    #[serde(skip_serializing_if = "is_zero")]
    pub conflict: i64,
    /// The schedule was changed, or the job suspended, before a run could start that was due.
    #[serde(skip_serializing_if = "is_zero")]
    pub edited: i64,
}

/// One run, that is, one Job.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Run {
    /// The Job's name.
    pub job: String,
    /// The Job's UID.
    pub uid: String,
    /// The instant it was scheduled for; of a run by hand, when it was made.
    pub scheduled_time: Time,
    /// The digits in the Job's name, where somebody asked for the run by hand.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rerun: Option<String>,
    /// When the Job started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_time: Option<Time>,
    /// When the Job ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finish_time: Option<Time>,
    /// Where it stands.
    pub outcome: Outcome,
    /// Why, in one word.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Why, in a sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Since when what its pods or its Secrets wait for is refused, where trying again will not help by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused_since: Option<Time>,
    /// Since when it is Vault's answer to what the run asks for, as long as it is that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub denied_since: Option<Time>,
    /// What the kubelet said of the pod of it that failed last, as long as the run has not succeeded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<PodFailure>,
    /// What became of its Vault lease.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease: Option<Lease>,
    /// Until when its credentials may live at most, where nobody holds them and that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease_until: Option<Time>,
    /// Who logged in to Vault for it, and what was read; `planescape receipt` prints more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub receipt: Option<RunReceipt>,
    /// The pods whose agents hold a lease, or have left one that may live.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub holders: Vec<Holder>,
    /// A digest of the jobTemplate and vault block that it was made of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template: Option<String>,
}

/// How a pod of a run failed, as the kubelet says. The pod itself may be gone, and its log with it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PodFailure {
    /// The pod's name.
    pub pod: String,
    /// The container that failed; none where the pod failed as a whole, by eviction for example.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container: Option<String>,
    /// Its exit code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i32>,
    /// Why, in one word: `Error`, `OOMKilled`, `Evicted`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The end of the container's termination message, or Kubernetes' sentence for the pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// When that was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finish_time: Option<Time>,
}

/// A pod whose agent holds a lease, or has left one that may live.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Holder {
    /// The pod's name; `...` for all beyond two hundred.
    pub pod: String,
    /// The pod's UID.
    pub uid: String,
    /// What became of it.
    pub lease: Lease,
    /// Until when it may live at most, where nobody holds it and that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Time>,
    /// The accessors of tokens that nobody holds and that may live.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub accessors: Vec<String>,
    /// The Vault that knows these tokens, so that they are found when pod and Job are gone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vault: Option<HolderVault>,
}

/// A Vault, and one of its namespaces.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HolderVault {
    /// Its address.
    pub address: String,
    /// The Vault namespace of the login.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
}

/// Who logged in to Vault for a run, and what was read. Never a value.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RunReceipt {
    /// The role of the login.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    /// The ServiceAccount of the login.
    pub service_account: String,
    /// Digests of the accessors of its tokens.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub accessors: Vec<String>,
    /// The paths that were read; of KV secrets with versions PATH@VERSION.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub paths: Vec<String>,
    /// How many leases came of that.
    pub leases: i32,
    /// The life in seconds after which Vault renewed a token or lease no further, where it came to that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_seconds: Option<i64>,
    /// When its tokens were revoked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked_time: Option<Time>,
}

/// Where a run stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Outcome {
    /// The Job has not ended.
    Running,
    /// The Job is complete.
    Succeeded,
    /// The Job failed.
    Failed,
    /// The Job was deleted before it ended.
    Deleted,
}

/// What became of a run's Vault lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Lease {
    /// The agent holds it.
    Held,
    /// Whoever held it gave it back, and Vault has said that it is gone.
    Revoked,
    /// The agent's token is revoked, and nobody has looked whether Vault has come to the leases.
    TokenRevoked,
    /// The agent was killed or could not give it back, and `planescape credentials` has revoked its token.
    RevokedByOperator,
    /// Vault did not let it be given back; it ends with its TTL.
    RevokeFailed,
    /// Nobody holds it; it ends with its TTL.
    Expiring,
    /// Nobody holds it that is known, and nothing is known of its end.
    Unknown,
}

fn once() -> String {
    ONCE.to_owned()
}

fn one() -> i32 {
    1
}

fn yes() -> bool {
    true
}

fn three() -> i32 {
    3
}

fn is_none_skipped(skipped: &Skipped) -> bool {
    *skipped == Skipped::default()
}

fn is_zero(count: &i64) -> bool {
    *count == 0
}

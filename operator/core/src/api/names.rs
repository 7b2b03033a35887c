//! Keys that we write on Jobs, pods and PlanescapeJobs.

/// The API group, and the prefix of every key of ours.
pub const GROUP: &str = "planescape.io";

/// Label on Jobs and pods: the PlanescapeJob they belong to.
pub const JOB_LABEL: &str = "planescape.io/job";

/// Label on Jobs and pods: one value per run, never used twice. The Job's selector.
pub const RUN_UID_LABEL: &str = "planescape.io/run-uid";

/// Label on Jobs and on the pods of the newest run: the PlanescapeJob's name, so that
/// `kubectl logs -l job-name=…` means what a user expects of it.
pub const LEGACY_JOB_NAME_LABEL: &str = "job-name";

/// Label on pods: the name of their Job, as Kubernetes itself sets it.
pub const KUBERNETES_JOB_NAME_LABEL: &str = "batch.kubernetes.io/job-name";

/// Recommended label: the maker of an object.
pub const MANAGED_BY_LABEL: &str = "app.kubernetes.io/managed-by";

/// The value of [`MANAGED_BY_LABEL`], our field manager and the controller that events name.
pub const MANAGER: &str = "planescape";

/// Annotation on Jobs: the instant this run was scheduled for, in UTC.
pub const SCHEDULED_AT_ANNOTATION: &str = "planescape.io/scheduled-at";

/// The same in the PlanescapeJob's time zone, under the name that tools for CronJobs look for.
pub const CRONJOB_TIMESTAMP_ANNOTATION: &str = "batch.kubernetes.io/cronjob-scheduled-timestamp";

/// Annotation on a one-time PlanescapeJob: its own UID and that of the Job it started, with a slash
/// between. A PlanescapeJob that bears it does not start, even when the status is lost.
pub const ONCE_STARTED_ANNOTATION: &str = "planescape.io/once-started";

/// Annotation on Jobs: a digest of what the PlanescapeJob said when the Job was made of it.
pub const TEMPLATE_ANNOTATION: &str = "planescape.io/template";

/// Annotation on Jobs: why the operator ended the run.
pub const ENDED_ANNOTATION: &str = "planescape.io/ended-because";

/// Annotation on Jobs: the same in one word.
pub const ENDED_AS_ANNOTATION: &str = "planescape.io/ended-as";

/// Annotation on a PlanescapeJob: a run by hand is asked for, once for each value that was not there before.
pub const RERUN_ANNOTATION: &str = "planescape.io/rerun";

/// Finalizer on Jobs: keeps a Job until the status tells of its run, so that a run is never
/// mistaken for one that did not happen yet.
pub const RUN_TRACKING_FINALIZER: &str = "planescape.io/run-tracking";

/// Label on Jobs that wait for Secrets of their own; its value is `true`.
pub const CREDENTIALS_LABEL: &str = "planescape.io/credentials";

/// Annotation on such Jobs: what they are to get from Vault, in JSON.
pub const ORDER_ANNOTATION: &str = "planescape.io/vault-order";

/// Annotation on such Jobs: what became of that, in JSON.
pub const CREDENTIALS_ANNOTATION: &str = "planescape.io/vault-report";

/// Annotation on such Jobs: they had their Secrets and were let go. A later suspension is meant.
pub const SUPPLIED_ANNOTATION: &str = "planescape.io/supplied";

/// Annotation on such Jobs: the queue that they are to stand in once their Secrets are there.
pub const QUEUE_ANNOTATION: &str = "planescape.io/queue-name";

/// Kueue's label on Jobs: their queue. It suspends those that bear it, and lifts that once there is room.
pub const KUEUE_LABEL: &str = "kueue.x-k8s.io/queue-name";

/// Finalizer on such Jobs: keeps a Job until its lease is revoked.
pub const LEASE_FINALIZER: &str = "planescape.io/vault-lease";

/// Annotation on PlanescapeJobs: what came of trying what their runs ask Vault for, in JSON.
pub const PREFLIGHT_ANNOTATION: &str = "planescape.io/vault-preflight";

/// Annotation on Jobs, followed by a pod's UID: what became of the tokens that its agent has left, in JSON.
pub const REVOKED_ANNOTATION_PREFIX: &str = "planescape.io/revoked-";

/// Annotation on a run's Secrets: the name that the pod template refers to.
pub const SECRET_NAME_ANNOTATION: &str = "planescape.io/secret-name";

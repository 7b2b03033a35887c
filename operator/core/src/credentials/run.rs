//! A run that gets Secrets, as its Job tells.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use planescape_agent_contract::Report;

use super::order::Order;
use crate::api::names::{
    CREDENTIALS_ANNOTATION, ENDED_ANNOTATION, JOB_LABEL, KUEUE_LABEL, LEASE_FINALIZER,
    ORDER_ANNOTATION, QUEUE_ANNOTATION, SUPPLIED_ANNOTATION,
};
use crate::job::identity::Identity;

/// The finalizer of a deletion that takes a Job's pods first.
const FOREGROUND: &str = "foregroundDeletion";

/// The grace period of pods that name none.
const USUAL_GRACE: i64 = 30;

/// So much may the clocks of two machines differ, or one of them be set.
pub(super) const CLOCKS: SignedDuration = SignedDuration::from_mins(2);

/// How much longer than their grace period pods may take, by the API server's clock and by ours.
const STOPPING_MARGIN: SignedDuration = SignedDuration::from_secs(30).saturating_add(CLOCKS);

/// A run that gets Secrets.
#[derive(Clone, Debug, PartialEq)]
pub struct Run {
    /// Its PlanescapeJob.
    pub owner: Identity,
    /// The Job's name.
    pub job: String,
    /// The Job's UID.
    pub uid: String,
    /// The pods' ServiceAccount.
    pub service_account: String,
    /// Its order.
    pub order: Order,
    /// The lock that keeps it from having pods.
    pub lock: Lock,
    /// How far it has come.
    pub stage: Stage,
    /// Whether the Job stays until its lease is revoked.
    pub is_claimed: bool,
    /// The last report that its status was told.
    pub told: Option<Report>,
}

/// A lock that keeps a Job from having pods.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lock {
    /// It is suspended.
    Suspended,
    /// It is suspended, and this queue lifts that.
    Queue(String),
    /// Nothing.
    Open,
}

/// How far a run has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Its Secrets are not there. Its Job is suspended until then, unless somebody has lifted that: pods wait for them, too.
    Waiting,
    /// It had its Secrets. Its Job may have pods, or somebody has suspended it again: a person, or its queue.
    Running,
    /// Its Job is being deleted after its pods; until when those are waited for.
    Stopping(Timestamp),
    /// It has ended, or is deleted.
    Over {
        /// Since when the Job is being deleted.
        deleted: Option<Timestamp>,
    },
}

impl Run {
    /// The run of a Job that a PlanescapeJob controls and that carries an order. A Job that we hold may have lost
    /// either, as by `--cascade=orphan`: then nothing is supplied, and the token is revoked all the same. None for any
    /// other Job.
    #[must_use]
    pub fn of(job: &Job) -> Option<Self> {
        let metadata = &job.metadata;
        let annotation = |key: &str| metadata.annotations.as_ref()?.get(key);
        let pod = job.spec.as_ref()?.template.spec.as_ref()?;
        let account = pod.service_account_name.clone();
        let account = account.filter(|name| !name.is_empty());
        let order = annotation(ORDER_ANNOTATION);
        let order: Option<Order> = order.and_then(|text| serde_json::from_str(text).ok());
        let order = order.filter(Order::is_sound);
        let (owner, order) = match (Identity::of_owner(metadata), order) {
            (Some(owner), Some(order)) => (owner, order),
            (owner, Some(_) | None) if is_claimed(metadata) => {
                (owner.or_else(|| lost_owner(metadata))?, Order::default())
            }
            (Some(_) | None, Some(_) | None) => return None,
        };
        Some(Self {
            owner,
            job: metadata.name.clone()?,
            uid: metadata.uid.clone()?,
            service_account: account.unwrap_or_else(|| "default".to_owned()),
            order,
            lock: lock(job),
            stage: stage(job),
            is_claimed: is_claimed(metadata),
            told: told(metadata),
        })
    }

    /// The same run as its Job is now. An edit of the order on the Job changes nothing: the run keeps the order that it
    /// began with, which says where its token is.
    #[must_use]
    pub fn again(&self, job: &Job) -> Self {
        Self {
            lock: lock(job),
            stage: stage(job),
            is_claimed: is_claimed(&job.metadata),
            told: told(&job.metadata),
            ..self.clone()
        }
    }

    /// Whether its pods are gone, or are not waited for any more.
    #[must_use]
    pub fn is_over(&self, now: Timestamp) -> bool {
        match self.stage {
            Stage::Waiting | Stage::Running => false,
            Stage::Stopping(until) => until <= now,
            Stage::Over { .. } => true,
        }
    }

    /// The stage in one word; none once nothing is left to do for it.
    #[must_use]
    pub fn standing(&self) -> Option<&'static str> {
        match self.stage {
            Stage::Waiting => Some("Waiting"),
            Stage::Running => Some("Running"),
            Stage::Stopping(_) => Some("Stopping"),
            Stage::Over { .. } => self.is_claimed.then_some("Ending"),
        }
    }

    /// Whether its Job is being deleted.
    #[must_use]
    pub fn is_deleted(&self) -> bool {
        matches!(self.stage, Stage::Stopping(_)) || self.deleted().is_some()
    }

    /// Since when a Job without pods is being deleted.
    #[must_use]
    pub fn deleted(&self) -> Option<Timestamp> {
        match self.stage {
            Stage::Over { deleted } => deleted,
            Stage::Waiting | Stage::Running | Stage::Stopping(_) => None,
        }
    }
}

fn lock(job: &Job) -> Lock {
    if job.spec.as_ref().and_then(|spec| spec.suspend) != Some(true) {
        return Lock::Open;
    }
    let wanted = job
        .metadata
        .annotations
        .as_ref()
        .and_then(|it| it.get(QUEUE_ANNOTATION));
    let queue = wanted.or_else(|| job.metadata.labels.as_ref()?.get(KUEUE_LABEL));
    match queue.filter(|queue| !queue.is_empty()) {
        Some(queue) => Lock::Queue(queue.clone()),
        None => Lock::Suspended,
    }
}

/// As far as the Job still says whose it was.
fn lost_owner(metadata: &ObjectMeta) -> Option<Identity> {
    let labels = metadata.labels.as_ref();
    let name = labels.and_then(|labels| labels.get(JOB_LABEL));
    Some(Identity {
        namespace: metadata.namespace.clone()?,
        name: name.or(metadata.name.as_ref())?.clone(),
        uid: String::new(),
    })
}

fn is_claimed(metadata: &ObjectMeta) -> bool {
    let mut finalizers = metadata.finalizers.iter().flatten();
    finalizers.any(|it| it == LEASE_FINALIZER)
}

fn told(metadata: &ObjectMeta) -> Option<Report> {
    let report = metadata.annotations.as_ref()?.get(CREDENTIALS_ANNOTATION)?;
    serde_json::from_str(report).ok()
}

fn stage(job: &Job) -> Stage {
    let metadata = &job.metadata;
    let spec = job.spec.as_ref();
    let status = job.status.as_ref();
    let mut conditions = status.iter().flat_map(|it| it.conditions.iter().flatten());
    let has_ended = conditions
        .any(|it| it.status == "True" && matches!(it.type_.as_str(), "Complete" | "Failed"));
    if let Some(deleted) = metadata.deletion_timestamp.as_ref().map(|time| time.0) {
        let mut finalizers = metadata.finalizers.iter().flatten();
        let is_foreground = finalizers.any(|it| it == FOREGROUND);
        let count = |number: Option<i32>| number.unwrap_or_default();
        let pods = status.map_or(0, |it| count(it.active) + count(it.terminating));
        if is_foreground && pods > 0 && !has_ended {
            let pod = spec.and_then(|spec| spec.template.spec.as_ref());
            let grace = pod.and_then(|pod| pod.termination_grace_period_seconds);
            let grace = SignedDuration::from_secs(grace.unwrap_or(USUAL_GRACE));
            let until = deleted.saturating_add(grace.saturating_add(STOPPING_MARGIN));
            return Stage::Stopping(until.unwrap_or(deleted));
        }
        return Stage::Over {
            deleted: Some(deleted),
        };
    }
    if has_ended {
        return Stage::Over { deleted: None };
    }
    let annotations = metadata.annotations.as_ref();
    let is_supplied = annotations.is_some_and(|it| it.contains_key(SUPPLIED_ANNOTATION));
    // The operator has given it up before it began; its Job fails as soon as the Job controller sees that.
    let is_given_up = annotations.is_some_and(|it| it.contains_key(ENDED_ANNOTATION));
    if is_given_up && !is_supplied {
        return Stage::Over { deleted: None };
    }
    if is_supplied {
        Stage::Running
    } else {
        Stage::Waiting
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn a_job_without_a_planescapejob_or_an_order_is_none_of_ours() {
        assert!(run(json!({})).is_some());
        assert!(run(json!({ "metadata": { "ownerReferences": [] } })).is_none());
        assert!(run(json!({ "metadata": { "annotations": {} } })).is_none());
    }

    #[test]
    fn an_order_of_more_secrets_than_anybody_may_ask_for_is_none_of_ours() {
        let ordered = |count: usize| {
            let secret = json!({ "path": "kv/a", "secretName": "a" });
            let mut order = order();
            order["secrets"] = json!(vec![secret; count]);
            json!({ "metadata": { "annotations": { ORDER_ANNOTATION: order.to_string() } } })
        };

        assert!(run(ordered(16)).is_some());
        assert!(run(ordered(17)).is_none());
    }

    #[test]
    fn an_order_with_a_path_that_becomes_another_on_its_way_is_none_of_ours() {
        let ordered = |auth_path: &str, path: &str| {
            let mut order = order();
            order["authPath"] = json!(auth_path);
            order["secrets"] = json!([{ "path": path, "secretName": "a" }]);
            json!({ "metadata": { "annotations": { ORDER_ANNOTATION: order.to_string() } } })
        };

        assert!(run(ordered("auth/team", "kv/a")).is_some());
        for odd in ["../../other", "kv/%2e%2e/a", "kv//a", "kv/a?b"] {
            assert!(run(ordered("auth/team", odd)).is_none(), "{odd}");
            assert!(run(ordered(odd, "kv/a")).is_none(), "{odd}");
        }
    }

    #[test]
    fn a_job_that_we_hold_and_that_lost_its_order_or_owner_is_let_go_in_the_end() {
        let held = json!([LEASE_FINALIZER]);
        for lost in ["annotations", "ownerReferences"] {
            let metadata = json!({ lost: null, "finalizers": held });
            let seen = run(json!({ "metadata": metadata })).unwrap();

            assert!(seen.is_claimed && seen.order == Order::default(), "{lost}");
            assert_eq!(seen.owner.namespace, "team", "{lost}");
            let not_held = json!({ "metadata": { lost: null } });
            assert_eq!(run(not_held), None, "{lost}");
        }
    }

    #[test]
    fn whatever_becomes_of_its_order_a_run_that_has_begun_is_seen_to_end() {
        let begun = run(json!({})).unwrap();
        let ended = json!([{ "type": "Complete", "status": "True" }]);
        for annotations in [json!({}), json!({ ORDER_ANNOTATION: "{}" })] {
            let job = json!({
                "metadata": { "annotations": annotations, "finalizers": [LEASE_FINALIZER] },
                "status": { "conditions": ended },
            });

            let seen = begun.again(&serde_json::from_value(job).unwrap());

            assert_eq!(seen.order, begun.order);
            assert_eq!(seen.owner, begun.owner);
            assert!(seen.is_claimed && seen.stage == Stage::Over { deleted: None });
        }
    }

    #[test]
    fn an_order_that_is_copied_is_one_of_the_namespace_that_it_was_copied_to() {
        let copy = json!({ "metadata": { "namespace": "other", "uid": "k" } });

        let copy = run(copy).unwrap();

        assert_eq!(copy.owner.namespace, "other");
        assert_eq!(copy.service_account, "default");
    }

    #[test]
    fn tells_where_a_run_stands() {
        let stage = |change: Value| run(change).unwrap().stage;
        let ended = json!([{ "type": "Complete", "status": "True" }]);
        let deleted = "2026-11-24T10:00:00Z";

        assert_eq!(
            stage(json!({ "spec": { "suspend": true } })),
            Stage::Waiting
        );
        let given_up = json!({ ORDER_ANNOTATION: order().to_string(), ENDED_ANNOTATION: "why" });
        assert_eq!(
            stage(json!({ "metadata": { "annotations": given_up } })),
            Stage::Over { deleted: None }
        );
        let supplied =
            json!({ ORDER_ANNOTATION: order().to_string(), SUPPLIED_ANNOTATION: "true" });
        assert_eq!(
            stage(json!({ "spec": { "suspend": true }, "metadata": { "annotations": supplied } })),
            Stage::Running,
            "somebody suspended it after it was let go"
        );
        assert_eq!(stage(json!({})), Stage::Waiting, "somebody was quicker");
        assert_eq!(
            stage(json!({ "status": { "conditions": ended } })),
            Stage::Over { deleted: None }
        );
        let gone = Stage::Over {
            deleted: Some(deleted.parse().unwrap()),
        };
        assert_eq!(
            stage(
                json!({ "metadata": { "deletionTimestamp": deleted }, "status": { "active": 1 } })
            ),
            gone,
            "its pods are deleted only after it"
        );
        let foreground =
            json!({ "deletionTimestamp": deleted, "finalizers": ["foregroundDeletion"] });
        assert_eq!(
            stage(json!({ "metadata": foreground, "status": { "terminating": 1 } })),
            Stage::Stopping("2026-11-24T10:03:00Z".parse().unwrap())
        );
        assert_eq!(stage(json!({ "metadata": foreground })), gone);
        let done = json!({ "terminating": 1, "conditions": ended });
        assert_eq!(
            stage(json!({ "metadata": foreground, "status": done })),
            gone
        );
        for (kind, status) in [("Suspended", "True"), ("Complete", "False")] {
            let conditions = json!([{ "type": kind, "status": status }]);
            let goes_on = stage(json!({ "status": { "conditions": conditions } }));
            assert_eq!(goes_on, Stage::Waiting, "{kind} {status}");
        }
    }

    #[test]
    fn stands_somewhere_until_nothing_is_left_to_do_for_it() {
        let standing = |stage: Stage, is_claimed: bool| {
            let run = Run {
                stage,
                is_claimed,
                ..run(json!({})).unwrap()
            };
            run.standing()
        };
        let over = Stage::Over { deleted: None };

        assert_eq!(standing(Stage::Waiting, false), Some("Waiting"));
        assert_eq!(standing(Stage::Running, true), Some("Running"));
        let stopping = Stage::Stopping(Timestamp::UNIX_EPOCH);
        assert_eq!(standing(stopping, true), Some("Stopping"));
        assert_eq!(standing(over, true), Some("Ending"));
        assert_eq!(standing(over, false), None);
    }

    #[test]
    fn its_queue_is_the_one_that_it_waits_for_or_else_the_one_that_it_is_in() {
        let lock = |metadata: Value, is_suspended: bool| {
            let spec = json!({ "suspend": is_suspended });
            run(json!({ "metadata": metadata, "spec": spec }))
                .unwrap()
                .lock
        };
        let labels = json!({ KUEUE_LABEL: "default" });
        let annotations =
            json!({ ORDER_ANNOTATION: order().to_string(), QUEUE_ANNOTATION: "reports" });
        let labelled = json!({ "labels": labels });
        let both = json!({ "labels": labels, "annotations": annotations });

        assert_eq!(lock(json!({}), true), Lock::Suspended);
        assert_eq!(lock(labelled, true), Lock::Queue("default".to_owned()));
        let reports = Lock::Queue("reports".to_owned());
        assert_eq!(lock(both.clone(), true), reports);
        // A queue takes no other name once it has let the Job go.
        assert_eq!(lock(both, false), Lock::Open);
    }

    fn order() -> Value {
        json!({ "address": "http://vault:8200", "authPath": "auth/kubernetes", "role": "r", "secrets": [] })
    }

    fn run(change: Value) -> Option<Run> {
        let mut job = json!({
            "metadata": {
                "name": "my-job-1", "namespace": "team", "uid": "j",
                "annotations": { ORDER_ANNOTATION: order().to_string() },
                "ownerReferences": [{
                    "apiVersion": "planescape.io/v1alpha1", "kind": "PlanescapeJob",
                    "name": "my-job", "uid": "u", "controller": true,
                }],
            },
            "spec": { "template": { "spec": { "containers": [] } } },
        });
        for (part, fields) in change.as_object().unwrap() {
            for (field, value) in fields.as_object().unwrap() {
                job[part][field] = value.clone();
            }
        }
        Run::of(&serde_json::from_value(job).unwrap())
    }
}

//! The reason why a pod does not start, as the kubelet and the scheduler say.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use serde::{Deserialize, Serialize};

/// Words of the kubelet's for a container that does not start by itself.
const STUCK: [&str; 8] = [
    "CreateContainerConfigError",
    "CreateContainerError",
    "ErrImageNeverPull",
    "ErrImagePull",
    "ImageInspectError",
    "ImagePullBackOff",
    "InvalidImageName",
    "RunContainerError",
];

/// The reason why a pod does not start.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Waiting {
    /// The container; none where the whole pod waits for a node.
    pub container: Option<String>,
    /// Kubernetes' word for why.
    pub reason: String,
    /// Kubernetes' sentence for why.
    pub message: String,
    /// Whether the container has run before: it waits to be started again.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub has_run: bool,
}

impl Waiting {
    pub(super) fn of(pod: &Pod) -> Option<Self> {
        let status = pod.status.as_ref()?;
        let init = status.init_container_statuses.iter().flatten();
        let mut containers = init.chain(status.container_statuses.iter().flatten());
        let container = containers.find_map(|container| {
            let waiting = container.state.as_ref()?.waiting.as_ref()?;
            let reason = waiting.reason.clone()?;
            let last = container.last_state.as_ref();
            let has_ended = last.is_some_and(|last| last.terminated.is_some());
            STUCK.contains(&reason.as_str()).then(|| Self {
                container: Some(container.name.clone()),
                reason,
                message: waiting.message.clone().unwrap_or_default(),
                has_run: has_ended || container.restart_count > 0,
            })
        });
        container.or_else(|| {
            let mut conditions = status.conditions.iter().flatten();
            let unscheduled = conditions.find(|it| {
                it.type_ == "PodScheduled"
                    && it.status == "False"
                    && it.reason.as_deref() == Some("Unschedulable")
            })?;
            Some(Self {
                container: None,
                reason: "Unschedulable".to_owned(),
                message: unscheduled.message.clone().unwrap_or_default(),
                has_run: false,
            })
        })
    }
}

/// Since when the node prepares a pod and has started nothing of it: its volumes, its network.
pub(super) fn prepared_since(pod: &Pod) -> Option<Timestamp> {
    let status = pod.status.as_ref()?;
    let condition = |kind: &str, holds: &str| {
        let mut conditions = status.conditions.iter().flatten();
        conditions.find(|it| it.type_ == kind && it.status == holds)
    };
    condition("PodReadyToStartContainers", "False")?;
    let scheduled = condition("PodScheduled", "True")?;
    let is_pending = status.phase.as_deref() == Some("Pending");
    is_pending.then_some(scheduled.last_transition_time.as_ref()?.0)
}

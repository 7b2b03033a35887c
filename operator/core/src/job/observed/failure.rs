//! How a pod failed, as the kubelet says.

use k8s_openapi::api::core::v1::{ContainerState, ContainerStatus, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use crate::api::v1alpha1::PodFailure;
use crate::inject::{INIT_CONTAINER, SIDECAR};

/// In characters. The last words of a program are at the end.
const LONGEST_MESSAGE: usize = 512;

/// The pod as a whole, or else the container of the job's own that failed last. Containers that start the pod count
/// where none of the others has failed.
pub(super) fn of(pod: &Pod) -> Option<PodFailure> {
    let name = pod.metadata.name.as_deref()?;
    let status = pod.status.as_ref()?;
    if status.phase.as_deref() == Some("Failed") && status.reason.is_some() {
        let conditions = status.conditions.iter().flatten();
        return Some(PodFailure {
            pod: name.to_owned(),
            container: None,
            exit_code: None,
            reason: status.reason.clone(),
            message: status.message.as_deref().and_then(end),
            finish_time: conditions
                .filter_map(|it| it.last_transition_time.clone())
                .max(),
        });
    }
    let own = latest(name, status.container_statuses.as_deref());
    own.or_else(|| latest(name, status.init_container_statuses.as_deref()))
}

fn latest(pod: &str, containers: Option<&[ContainerStatus]>) -> Option<PodFailure> {
    let containers = containers.unwrap_or_default().iter();
    let own = containers.filter(|it| !matches!(it.name.as_str(), SIDECAR | INIT_CONTAINER));
    let failures = own.filter_map(|it| {
        let now = of_state(pod, &it.name, it.state.as_ref());
        now.or_else(|| of_state(pod, &it.name, it.last_state.as_ref()))
    });
    failures.max_by(|a, b| ended(a).cmp(&ended(b)))
}

fn of_state(pod: &str, container: &str, state: Option<&ContainerState>) -> Option<PodFailure> {
    let terminated = state?.terminated.as_ref()?;
    (terminated.exit_code != 0).then(|| PodFailure {
        pod: pod.to_owned(),
        container: Some(container.to_owned()),
        exit_code: Some(terminated.exit_code),
        reason: terminated.reason.clone(),
        message: terminated.message.as_deref().and_then(end),
        finish_time: terminated.finished_at.clone(),
    })
}

fn ended(failure: &PodFailure) -> Option<&Time> {
    failure.finish_time.as_ref()
}

fn end(message: &str) -> Option<String> {
    let message = message.trim();
    let skipped = message.chars().count().saturating_sub(LONGEST_MESSAGE);
    let end: String = message.chars().skip(skipped).collect();
    (!end.is_empty()).then_some(end)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn failure(status: Value) -> Value {
        let pod = json!({ "metadata": { "name": "p" }, "status": status });
        serde_json::to_value(of(&serde_json::from_value(pod).unwrap())).unwrap()
    }

    fn container(name: &str, state: Value, last: Value) -> Value {
        json!({ "name": name, "image": "", "imageID": "", "ready": false, "restartCount": 1,
            "state": state, "lastState": last })
    }

    fn ended(code: i32, at: &str, message: &str) -> Value {
        json!({ "terminated": { "exitCode": code, "reason": "Error", "finishedAt": at, "message": message } })
    }

    #[test]
    fn the_container_that_failed_last_tells_why() {
        let early = ended(1, "2026-11-24T10:00:00Z", "early");
        let late = ended(3, "2026-11-24T10:00:09Z", "no such table\n");
        let waits = json!({ "waiting": { "reason": "CrashLoopBackOff" } });
        let told = json!({ "pod": "p", "container": "b", "exitCode": 3, "reason": "Error",
            "message": "no such table", "finishTime": "2026-11-24T10:00:09Z" });

        let own = json!({ "containerStatuses": [
            container("a", early.clone(), json!({})), container("b", waits, late.clone()),
        ], "initContainerStatuses": [container("before", ended(9, "2026-11-24T11:00:00Z", "x"), json!({}))] });
        assert_eq!(failure(own), told);
        let before = json!({ "initContainerStatuses": [
            container("b", late, json!({})), container(SIDECAR, early, json!({})),
        ] });
        assert_eq!(failure(before), told);
    }

    #[test]
    fn neither_success_nor_the_agent_is_a_failure() {
        let well = ended(0, "2026-11-24T10:00:00Z", "done");
        let ill = ended(1, "2026-11-24T10:00:00Z", "{}");
        let status = json!({ "phase": "Running",
            "containerStatuses": [container("a", well, json!({}))],
            "initContainerStatuses": [container(SIDECAR, ill.clone(), json!({})),
                container(INIT_CONTAINER, ill, json!({}))] });

        assert_eq!(failure(status), Value::Null);
    }

    #[test]
    fn an_evicted_pod_tells_why_as_a_whole() {
        let killed = ended(137, "2026-11-24T10:00:00Z", "");
        let status = json!({ "phase": "Failed", "reason": "Evicted",
            "message": "The node was low on resource: memory.",
            "conditions": [{ "type": "Ready", "status": "False", "lastTransitionTime": "2026-11-24T10:00:02Z" },
                { "type": "PodScheduled", "status": "True", "lastTransitionTime": "2026-11-24T09:00:00Z" }],
            "containerStatuses": [container("a", killed, json!({}))] });

        let told = json!({ "pod": "p", "reason": "Evicted",
            "message": "The node was low on resource: memory.", "finishTime": "2026-11-24T10:00:02Z" });
        assert_eq!(failure(status), told);
    }

    #[test]
    fn of_a_long_message_the_end_is_kept() {
        let long = format!("{}ü!", "a".repeat(9_000));
        let status = json!({ "containerStatuses":
            [container("a", ended(1, "2026-11-24T10:00:00Z", &long), json!({}))] });

        let failure = failure(status);
        let message = failure["message"].as_str().unwrap();
        assert_eq!(message.chars().count(), LONGEST_MESSAGE);
        assert!(message.ends_with("aü!"));
    }
}

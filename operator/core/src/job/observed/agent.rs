//! Our agent in a pod, as the kubelet reports it.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{ContainerState, ContainerStateTerminated, Pod};
use planescape_agent_contract::{Phase, Reason, Report};
use serde::{Deserialize, Serialize};

use crate::credentials::left::{Place, accessors, place};
use crate::inject::{INIT_CONTAINER, SIDECAR};

/// Our agent in a pod.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObservedAgent {
    /// Whether it ends before the job begins.
    pub is_init: bool,
    /// Whether every file is rendered and it still runs.
    pub is_ready: bool,
    /// Whether it ended well, with every file rendered.
    pub is_done: bool,
    /// Whether it runs, or is to run, again: what it said before is not its last word.
    pub is_restarted: bool,
    /// Its report when it last ended.
    pub report: Option<Report>,
    /// When that was, by the clock of its node.
    pub ended: Option<Timestamp>,
    /// The Vault that holds the tokens that it may have left.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<Place>,
}

impl ObservedAgent {
    pub(super) fn of(pod: &Pod) -> Option<Self> {
        let statuses = pod
            .status
            .as_ref()?
            .init_container_statuses
            .iter()
            .flatten();
        let status = statuses
            .into_iter()
            .find(|status| matches!(status.name.as_str(), SIDECAR | INIT_CONTAINER))?;
        let ended = status.state.as_ref().and_then(terminated);
        let ended_before = status.last_state.as_ref().and_then(terminated);
        let is_running = status
            .state
            .as_ref()
            .is_some_and(|state| state.running.is_some());
        // A life that was killed before it could say anything leaves what the one before it had.
        let report = match (ended.and_then(report), ended_before.and_then(report)) {
            (Some(last), Some(before)) => Some(carrying(last, &before)),
            (last, before) => last.or(before),
        };
        let has_left = report.as_ref().is_some_and(may_live);
        let spec = pod.spec.as_ref().filter(|_| has_left);
        Some(Self {
            is_init: status.name == INIT_CONTAINER,
            // Started says so where the job waits for the files, ready where a probe does.
            is_ready: is_running && status.started == Some(true) && status.ready,
            is_done: ended.is_some_and(has_rendered),
            is_restarted: ended.is_none(),
            report,
            place: spec.and_then(place),
            ended: ended
                .or(ended_before)
                .and_then(|ended| Some(ended.finished_at.as_ref()?.0)),
        })
    }

    /// The report on why it does not render, if it said so and has not succeeded since.
    pub fn failure(&self) -> Option<&Report> {
        if self.is_ready || self.is_done {
            return None;
        }
        let report = self.report.as_ref()?;
        // An agent that was killed at work has said who it is, not what failed.
        let is_failure = !matches!(report.phase, Phase::Done | Phase::Running);
        is_failure.then_some(report)
    }
}

/// Whether the last word of an agent leaves tokens that may live although they should not: it was killed, could not
/// revoke them, or names some. An agent that is content to have rendered keeps its token on purpose.
pub fn may_live(report: &Report) -> bool {
    let is_content = report.reason == Reason::Rendered;
    let names_some = !is_content && !report.unrevoked.is_empty();
    let was_killed = report.phase == Phase::Running;
    was_killed || report.reason == Reason::RevokeFailed || names_some
}

/// A life that could not read its configuration knows nothing of what the one before it has left.
fn carrying(last: Report, before: &Report) -> Report {
    let is_ignorant = last.phase == Phase::Config && last.unrevoked.is_empty();
    if !is_ignorant || !may_live(before) {
        return last;
    }
    Report {
        unrevoked: accessors(before),
        ttl_seconds: before.ttl_seconds,
        ..last
    }
}

fn terminated(state: &ContainerState) -> Option<&ContainerStateTerminated> {
    state.terminated.as_ref()
}

/// Whether the agent has rendered. One that ends well and says nothing may have been told to end before that.
fn has_rendered(ended: &ContainerStateTerminated) -> bool {
    // An agent that failed to revoke its token has another exit code, unless it is to keep the token.
    let says_so = |report: Report| {
        matches!(
            report.reason,
            Reason::Rendered | Reason::Revoked | Reason::RevokeFailed
        )
    };
    ended.exit_code == 0 && report(ended).is_some_and(says_so)
}

fn report(ended: &ContainerStateTerminated) -> Option<Report> {
    // Behind a short report stands the end of a longer one where the agent was killed before it could cut that off.
    let texts = serde_json::Deserializer::from_str(ended.message.as_ref()?);
    texts.into_iter().next()?.ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_end_after_rendering_is_done() {
        let cases = [
            (0, r#"{"phase":"done","reason":"Rendered"}"#, true),
            (0, r#"{"phase":"done","reason":"Revoked"}"#, true),
            (0, "", false),
            (0, r#"{"phase":"done","reason":"Terminated"}"#, false),
            (143, r#"{"phase":"done","reason":"Terminated"}"#, false),
            (69, r#"{"phase":"done","reason":"RevokeFailed"}"#, false),
            (0, r#"{"phase":"done","reason":"RevokeFailed"}"#, true),
            (0, r#"{"phase":"done","reason":"Revoked"}"a1"]}"#, true),
        ];
        for (exit_code, message, is_done) in cases {
            let ended = ContainerStateTerminated {
                exit_code,
                message: Some(message.to_owned()),
                ..ContainerStateTerminated::default()
            };

            assert_eq!(has_rendered(&ended), is_done, "{exit_code} {message}");
        }
    }

    #[test]
    fn a_life_that_ends_without_a_word_leaves_what_the_one_before_it_had() {
        let last = r#"{"phase":"running","reason":"LoggedIn","unrevoked":["a1"]}"#;
        let agent = |message: Option<&str>| {
            let pod = serde_json::json!({ "status": { "initContainerStatuses": [{
                "name": SIDECAR, "image": "", "imageID": "", "ready": false, "restartCount": 1,
                "state": { "terminated": { "exitCode": 137, "message": message } },
                "lastState": { "terminated": { "exitCode": 137, "message": last } },
            }] } });
            let pod: Pod = serde_json::from_value(pod).unwrap();
            ObservedAgent::of(&pod).and_then(|agent| agent.report)
        };

        for silent in [None, Some("")] {
            let report = agent(silent).unwrap();
            assert!(may_live(&report), "{silent:?}");
            assert_eq!(report.unrevoked, ["a1"]);
        }
        let ignorant = agent(Some(r#"{"phase":"config","reason":"InvalidConfig"}"#)).unwrap();
        assert_eq!(ignorant.reason, Reason::InvalidConfig);
        assert_eq!(ignorant.unrevoked, ["a1"]);
        let revoked = agent(Some(r#"{"phase":"done","reason":"Revoked"}"#)).unwrap();
        assert!(!may_live(&revoked));
    }
}

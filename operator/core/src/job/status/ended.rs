//! Which runs ended between two statuses, in words that can be counted.

use jiff::Timestamp;

use crate::api::v1alpha1::{Outcome, PlanescapeJobStatus};

/// A run that has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ended {
    /// `Succeeded`, `Failed` or `Deleted`.
    pub outcome: &'static str,
    /// Why: one of a few words; empty where there is none.
    pub reason: &'static str,
    /// When.
    pub at: Option<Timestamp>,
}

/// Kubernetes' words and ours. Other managers of Jobs may write others.
const REASONS: [&str; 9] = [
    "BackoffLimitExceeded",
    "DeadlineExceeded",
    "FailedIndexes",
    "MaxFailedIndexesExceeded",
    "PodFailurePolicy",
    "VaultRefused",
    "VaultUnavailable",
    "Stuck",
    "JobDeleted",
];

/// The runs of `after` that ended, and whose end `before` does not tell.
pub fn ended_between(
    before: Option<&PlanescapeJobStatus>,
    after: &PlanescapeJobStatus,
) -> Vec<Ended> {
    let told = |uid: &str| {
        let mut runs = before.iter().flat_map(|before| &before.runs);
        runs.any(|run| run.uid == uid && run.outcome != Outcome::Running)
    };
    let ended = after.runs.iter().filter(|run| !told(&run.uid));
    let ended = ended.filter_map(|run| {
        let outcome = match run.outcome {
            Outcome::Running => return None,
            Outcome::Succeeded => "Succeeded",
            Outcome::Failed => "Failed",
            Outcome::Deleted => "Deleted",
        };
        let reason = run.reason.as_deref().unwrap_or_default();
        let known = REASONS.into_iter().find(|known| *known == reason);
        Some(Ended {
            outcome,
            reason: known.unwrap_or(if reason.is_empty() { "" } else { "Other" }),
            at: run.finish_time.as_ref().map(|time| time.0),
        })
    });
    ended.collect()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn counts_an_end_once_and_in_few_words() {
        let running = status(&[run("a", "Running", Value::Null)]);
        let ended = status(&[
            run("a", "Failed", json!("BackoffLimitExceeded")),
            run("b", "Failed", json!("SomebodysOwnWord")),
            run("c", "Succeeded", Value::Null),
            run("d", "Running", Value::Null),
        ]);

        let words = |before: Option<&PlanescapeJobStatus>, after| -> Vec<_> {
            let ended = ended_between(before, after).into_iter();
            ended.map(|it| (it.outcome, it.reason)).collect()
        };

        assert_eq!(
            words(Some(&running), &ended),
            [
                ("Failed", "BackoffLimitExceeded"),
                ("Failed", "Other"),
                ("Succeeded", "")
            ]
        );
        assert_eq!(words(Some(&ended), &ended), []);
        assert_eq!(words(None, &ended).len(), 3);
    }

    fn status(runs: &[Value]) -> PlanescapeJobStatus {
        serde_json::from_value(json!({ "runs": runs })).unwrap()
    }

    fn run(uid: &str, outcome: &str, reason: Value) -> Value {
        json!({
            "job": uid, "uid": uid, "scheduledTime": "2026-11-24T10:00:00Z",
            "outcome": outcome, "reason": reason,
        })
    }
}

//! Whether credentials live as long as the runs that use them.

use jiff::SignedDuration;

use super::Facts;
use crate::api::v1alpha1::{Outcome, Run};

/// The reason of condition and event.
pub(super) const MAY_EXPIRE: &str = "LeaseMayExpireDuringRun";

/// Why the credentials of a run may end before it does. `runs` are those of the new status. The longest life that Vault
/// allows is known from runs of the same spec, once Vault has renewed some credentials no further.
pub(super) fn misfit(facts: &Facts<'_>, runs: &[Run]) -> Option<String> {
    let validated = facts.validated.ok()?;
    let same = || {
        let digest = Some(&validated.digest);
        runs.iter()
            .filter(move |run| run.template.as_ref() == digest)
    };
    let maxima = same().filter_map(|run| run.receipt.as_ref()?.max_seconds);
    let maximum = SignedDuration::from_secs(maxima.min()?);
    let (length, whence) = match validated.run_deadline {
        Some(deadline) => (deadline, "activeDeadlineSeconds lets a run last"),
        None => (
            same().filter_map(length).max()?,
            "the longest of the last runs lasted",
        ),
    };
    (length > maximum).then(|| {
        format!(
            "Vault lets the credentials of a run live for {maximum:#} at most, and {whence} {length:#}; raise max_ttl of \
            the role that makes them, or token_max_ttl of the role of the login, or make the run shorter: what it holds \
            in variables or open sessions then ends before it does"
        )
    })
}

fn length(run: &Run) -> Option<SignedDuration> {
    let is_whole = matches!(run.outcome, Outcome::Succeeded | Outcome::Failed);
    let (start, finish) = (run.start_time.as_ref()?, run.finish_time.as_ref()?);
    is_whole.then(|| finish.0.duration_since(start.0))
}

//! The message about a run whose Job has no pods yet, and is not meant to.

use super::Facts;
use crate::api::v1alpha1::ActiveRun;

/// Whether a run is at work, or what it waits for.
pub(super) fn standing(facts: &Facts<'_>, run: &ActiveRun) -> String {
    let mut jobs = facts.observed.jobs.iter();
    let seen = jobs.find(|job| job.uid == run.uid);
    let standing = match seen {
        Some(job) if job.waits_for_secrets.is_some() => "waits for its Secrets",
        Some(job) if job.is_suspended => "is suspended, by its queue or by somebody",
        Some(_) | None => "runs",
    };
    format!("Job {} {standing}", run.name)
}

/// Why there is no report about Vault.
pub(super) fn nobody_has_logged_in(facts: &Facts<'_>) -> &'static str {
    let has_secrets = facts.validated.is_ok_and(|it| it.has_secrets);
    let newest = facts.observed.jobs.first();
    match newest.filter(|run| run.end.is_none()) {
        Some(run) if has_secrets && run.waits_for_secrets.is_some() => {
            "the run waits for its Secrets, which `planescape credentials` makes; is it running?"
        }
        Some(run) if run.is_suspended => {
            "nobody has logged in yet: the run's Job is suspended, by its queue or by somebody"
        }
        Some(_) | None => "nobody has logged in yet",
    }
}

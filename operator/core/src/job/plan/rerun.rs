//! Whether a run that somebody asked for by hand starts now.

use jiff::Timestamp;

use super::{Action, Announced, Plan};
use crate::api::PlanescapeJob;
use crate::api::names::RERUN_ANNOTATION;
use crate::api::v1alpha1::ConcurrencyPolicy;
use crate::job::observed::Observed;
use crate::job::validate::ValidatedJob;
use crate::run::{Request, requested_id};

/// A request that gets no run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefusedRerun {
    /// The digits in its Job's name.
    pub id: String,
    /// The mistake in it; none if it is older than the object.
    pub problem: Option<String>,
}

impl RefusedRerun {
    /// A request whose Job the API server will never take.
    pub fn by_the_api_server(id: String, said: &str) -> Self {
        let problem = format!("asks for a Job that the API server does not take: {said}");
        Self {
            id,
            problem: Some(problem),
        }
    }
}

/// The digits in the requested Job's name, if the status tells neither that the request was met nor that it was
/// refused. A PlanescapeJob has one request at a time: another one in its place takes it away.
pub fn waiting_rerun(job: &PlanescapeJob) -> Option<String> {
    let annotations = job.metadata.annotations.as_ref()?;
    let id = requested_id(
        job.metadata.uid.as_deref()?,
        annotations.get(RERUN_ANNOTATION)?,
    );
    let mut handled = job.status.iter().flat_map(|status| &status.reruns);
    (!handled.any(|known| *known == id)).then_some(id)
}

/// A request waits until the policy allows its run; instants of the schedule come first.
pub(super) fn plan(
    plan: &mut Plan,
    job: &PlanescapeJob,
    validated: &ValidatedJob,
    observed: &Observed,
    now: Timestamp,
) {
    let annotations = job.metadata.annotations.as_ref();
    let Some(text) = annotations.and_then(|it| it.get(RERUN_ANNOTATION)) else {
        return;
    };
    let Some(id) = waiting_rerun(job) else {
        return;
    };
    let mut seen = observed.jobs.iter();
    if seen.any(|run| run.rerun.as_ref() == Some(&id)) {
        return;
    }
    let request = Request::parse(text);
    let status = job.status.as_ref();
    // A manifest or a backup that bears a token asks for nothing.
    let is_new = status.is_none_or(|status| status.schedule_reference.is_none());
    let request = match request {
        Ok(request) if !is_new => request,
        Ok(_) => {
            plan.refused_rerun = Some(RefusedRerun { id, problem: None });
            return;
        }
        Err(problem) => {
            let problem = Some(problem);
            plan.refused_rerun = Some(RefusedRerun { id, problem });
            return;
        }
    };
    if plan.settles() || plan.is_held_up() || !observed.unowned.is_empty() {
        return;
    }
    let active = observed.active().count();
    let may_run = match validated.policy {
        ConcurrencyPolicy::Allow => validated.most_active.is_none_or(|most| active < most),
        ConcurrencyPolicy::Forbid | ConcurrencyPolicy::Replace => active == 0,
    };
    let announced = Announced::Rerun(id.clone());
    let is_alone = validated.policy != ConcurrencyPolicy::Allow;
    if may_run && (!is_alone || plan.announce(announced, status, now)) {
        plan.actions.push(Action::Rerun {
            id,
            at: now,
            request,
        });
    }
}

//! One attempt at a PlanescapeJob: the look at it, the plan that follows, and the doing.

use std::time::Instant;

use jiff::{SignedDuration, Timestamp};
use planescape_operator_core::job::identity::Identity;
use planescape_operator_core::job::known::Whole;
use planescape_operator_core::job::observed::Observed;
use planescape_operator_core::job::plan::{self, RECHECK};
use planescape_operator_core::job::status::{Applied, Facts, Failure};

use super::queue::Urgency;
use super::{Attempt, Context, Error, Failed, Name, apply, rechecks, report, tidy};
use crate::cluster::fresh;

/// When to look again at what is due while the clock is wrong.
const CLOCK_CHECK: SignedDuration = SignedDuration::from_secs(10);

impl Attempt {
    pub(super) fn new(
        whole: Whole,
        identity: Identity,
        observed: Observed,
        context: &Context,
    ) -> Self {
        let Whole {
            mut job,
            validated,
            material,
        } = whole;
        let now = Timestamp::now();
        let checked = validated.as_ref().map_err(Vec::as_slice);
        let mut plan = plan::plan(&job, checked, &observed, &context.defaults, now);
        let concerns_clock = !job.spec.suspend && plan.starts_something();
        let clock_problem = context.skew.problem().filter(|_| concerns_clock);
        if clock_problem.is_some() {
            plan.postpone(now.checked_add(CLOCK_CHECK).unwrap_or(now));
        }
        // Nothing after the plan needs them, and many may wait for their turn.
        job.metadata.managed_fields = None;
        let mut attempt = Self {
            job,
            identity,
            validated,
            material,
            observed,
            plan,
            clock_problem,
            now,
        };
        if attempt.plan.checks() {
            let (name, version) = (attempt.name(), attempt.version());
            let wait = context.rechecks.wait(&name, &version, Instant::now());
            let wait = wait.map(|wait| SignedDuration::try_from(wait).unwrap_or(RECHECK));
            if let Some(wait) = wait {
                attempt.put_off_check(wait);
            }
        }
        attempt
    }

    /// The same from the API server, unless the object is gone.
    pub(super) async fn fresh(&self, context: &Context) -> Result<Option<Self>, Error> {
        let fresh = fresh::from_server(&self.identity, context).await?;
        Ok(fresh.map(|(job, observed)| Self::new(job, self.identity.clone(), observed, context)))
    }

    /// Does what is planned, and reports. Tidying comes last, and never fails an attempt.
    pub(super) async fn make(
        &self,
        applied: &mut Applied,
        context: &Context,
    ) -> Result<Option<Timestamp>, Failed> {
        let wake = self.plan.wake;
        applied.failure = self.clock_problem.clone().map(|message| Failure {
            reason: "ClockSkew",
            message,
            is_lasting: false,
        });
        let trouble = apply::apply(self, applied, context).await;
        if trouble.is_none() && applied.is_only_made(&self.plan) {
            // Others may wait for their Jobs. A name in the queue takes less memory than an attempt.
            context.begun.keep(self, applied);
            context.queue.push(self.name(), Urgency::Changed);
            return Ok(wake);
        }
        if trouble.is_none() && applied.failure.is_none() && self.plan.changes_the_object() {
            // The watch brings it back as it is now.
            context.begun.keep(self, applied);
            return Ok(wake);
        }
        let postponed = match report::report(self, applied, context).await {
            Err(error) if error.is_gone() => return Ok(None),
            written => written.map_err(|error| Failed::planned(&self.plan, error))?,
        };
        let is_told = postponed.is_none();
        if is_told {
            applied.started = None;
        } else {
            context.begun.keep(self, applied);
        }
        let failed = |error| Failed {
            is_told,
            ..Failed::planned(&self.plan, error)
        };
        let tidied = tidy::tidy(self, applied, context).await;
        if let Some(trouble) = trouble {
            return Err(failed(trouble));
        }
        // Due runs are looked at again soon, and everything when the clock is right.
        if let Some(failure) = &applied.failure
            && self.clock_problem.is_none()
        {
            return Err(failed(Error::Refused(failure.message.clone())));
        }
        Ok([wake, postponed, tidied].into_iter().flatten().min())
    }

    pub(super) fn put_off_check(&mut self, wait: SignedDuration) {
        let again = self.now.checked_add(wait).unwrap_or(self.now);
        self.plan.put_off_check(again);
    }

    pub(super) fn version(&self) -> rechecks::Version {
        (self.identity.uid.clone(), self.job.metadata.generation)
    }

    pub(super) fn name(&self) -> Name {
        (self.identity.namespace.clone(), self.identity.name.clone())
    }

    /// How late the run of an instant is that was made now, unless something held it on purpose.
    pub(super) fn lateness(&self, tick: Timestamp) -> Option<SignedDuration> {
        let validated = self.validated.as_ref().ok()?;
        plan::lateness(&self.job, validated, tick, Timestamp::now())
    }

    pub(super) fn may_still_start(&self, tick: Timestamp) -> bool {
        let validated = self.validated.as_ref();
        validated.is_ok_and(|it| plan::may_still_start(&self.job, it, tick, Timestamp::now()))
    }

    pub(super) fn facts<'a>(&'a self, applied: &'a Applied) -> Facts<'a> {
        Facts {
            job: &self.job,
            validated: self.validated.as_ref().map_err(Vec::as_slice),
            observed: &self.observed,
            plan: &self.plan,
            applied,
            now: self.now,
            reported: Timestamp::now(),
        }
    }
}

//! The consequences of an answer, or of none.

use planescape_templates::{Answer, Request};
use planescape_vault::Grant;

use super::Agent;
use super::made::{is_wrapped, orphan};
use crate::clock::{Moment, Now};
use crate::command::Notice;
use crate::failure::{Failure, Remedy};
use crate::life::Life;
use crate::secrets::{Reply, Taken, Trouble};
use crate::session::{Asker, Doubt};
use crate::token::Ticket;
use crate::troubles::Concern;

impl Agent {
    /// The remedy for a failed request; a success proves its token. A refusal that speaks of an
    /// invalid token is checked before it is believed.
    pub(super) fn weigh(
        &mut self,
        ticket: Ticket,
        asker: Asker,
        failure: Option<&Failure>,
        now: Moment,
    ) -> Remedy {
        if let Some(shutdown) = self.life.shutdown() {
            shutdown.hear(failure);
        }
        let Some(failure) = failure else {
            self.session.prove(ticket.token, &asker);
            return Remedy::Retry;
        };
        let remedy = failure.remedy();
        if remedy != Remedy::CheckToken || !self.session.is_current(ticket.token) {
            return remedy;
        }
        match self.session.doubt(asker, ticket.sent, now) {
            Doubt::Checking => Remedy::CheckToken,
            Doubt::Unfounded => Remedy::GiveUp,
        }
    }

    pub(super) fn answered(
        &mut self,
        request: &Request,
        ticket: Ticket,
        result: Result<Answer, Failure>,
        now: Now,
    ) {
        let asker = Asker::Read(request.path().to_owned());
        let remedy = self.weigh(ticket, asker, result.as_ref().err(), now.moment);
        let answer = result.as_ref().ok();
        let made = answer.and_then(|answer| orphan(request, answer));
        if answer.is_some_and(|answer| is_wrapped(request, answer)) {
            self.granted_to_others();
        }
        let reply = Reply {
            request,
            ticket,
            result,
        };
        let current = self.session.token();
        let before = self.secrets.lease_id(request);
        let taken = self.secrets.answered(reply, current, &mut self.dice, now);
        if let Taken::Changed = &taken {
            self.overlap(request, before, now.moment);
        }
        // This comes before the report of the answer, which counts what cannot be revoked.
        if let Some(made) = made {
            let namespace = self.secrets.made_in(request);
            self.adopt(made, namespace, now.moment);
        }
        self.take(request, taken, remedy, now.moment);
    }

    /// A new lease is replaced early enough for an overlap, and the one before it lives on.
    fn overlap(&mut self, request: &Request, before: Option<String>, now: Moment) {
        let Some(overlap) = self.renderer.overlap(request) else {
            return;
        };
        if self.secrets.lease_id(request) == before {
            return;
        }
        if let Some(before) = before {
            self.secrets.replaced(request, before, overlap);
        }
        self.secrets.replace_early(request, overlap, true, now);
    }

    pub(super) fn lease_renewed(
        &mut self,
        request: &Request,
        ticket: Ticket,
        result: Result<Grant, Failure>,
        now: Moment,
    ) {
        match self.secrets.made(request, ticket) {
            // The token has asked for its own renewal.
            Some(made) => self.session.made_renewed(made, &result, now),
            None => {
                let asker = Asker::Renewal(request.path().to_owned());
                self.weigh(ticket, asker, result.as_ref().err(), now);
            }
        }
        let is_renewed = result.is_ok();
        let reply = Reply {
            request,
            ticket,
            result,
        };
        let notice = self.secrets.lease_renewed(reply, &mut self.dice, now);
        self.log(notice);
        if let Some(overlap) = self.renderer.overlap(request).filter(|_| is_renewed) {
            self.secrets.replace_early(request, overlap, false, now);
        }
    }

    pub(super) fn take(&mut self, request: &Request, taken: Taken, remedy: Remedy, now: Moment) {
        match taken {
            Taken::Changed => {
                self.verdict.mend(&Concern::Request(request.clone()));
                self.renderer.answer_changed(request, now);
                // The first answers are reported together, when all are there.
                if matches!(self.life, Life::Ready) {
                    self.introduce(now);
                    self.check_files(request, now);
                }
            }
            Taken::Same => {
                self.verdict.mend(&Concern::Request(request.clone()));
                if self.life.is_working() {
                    self.check_files(request, now);
                    for template in self.renderer.users(request) {
                        self.ask_again(template, now);
                    }
                }
            }
            Taken::Unchanged => self.verdict.mend(&Concern::Request(request.clone())),
            Taken::Failed(trouble) => self.request_failed(Some(trouble), remedy, now),
        }
    }

    fn check_files(&mut self, request: &Request, now: Moment) {
        let interval = self.secrets.interval();
        let checks = self.renderer.checks(request, interval, now);
        self.commands.extend(checks);
    }

    pub(super) fn request_failed(&mut self, trouble: Option<Trouble>, remedy: Remedy, now: Moment) {
        let Some(trouble) = trouble else { return };
        let accessor = self.accessor();
        let end = self.verdict.request_failed(&trouble, remedy, accessor);
        let end = end.filter(|_| self.life.is_working());
        self.log(Some(Notice::RequestFailed {
            request: trouble.request,
            failure: trouble.failure,
            failures: trouble.failures,
            backoff: end.is_none().then_some(trouble.backoff),
        }));
        self.stop_with(end, now);
    }
}

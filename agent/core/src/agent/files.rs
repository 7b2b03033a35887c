//! The consequences of a rendered text and a written file.

use planescape_templates::{Pass, Request};

use super::Agent;
use crate::clock::Moment;
use crate::command::{Command, Destination, Notice};
use crate::failure::Failure;
use crate::life::Life;
use crate::shutdown::Shutdown;
use crate::troubles::Concern;

impl Agent {
    pub(super) fn rendered(&mut self, template: usize, result: Result<Pass, String>, now: Moment) {
        if !self.life.is_working() {
            return;
        }
        if !self.renderer.has(template) {
            self.renderer.hand_on(template);
            return;
        }
        let secrets = &self.secrets;
        let is_answered = |request: &Request| secrets.answer(request).is_some();
        let outcome = self.renderer.rendered(template, result, is_answered, now);
        self.commands.extend(outcome.commands);
        for request in &outcome.wanted {
            self.secrets.want(request, now);
        }
        for request in &outcome.unwanted {
            self.secrets.forget(request, now);
            self.verdict.forget(request);
        }
        if let Some((name, value)) = outcome.variable {
            self.verdict.mend(&Concern::Template(template));
            if let Some(supervisor) = &mut self.supervisor {
                supervisor.set(&name, value, now);
            }
        }
        if let Some(message) = outcome.failure {
            let place = self.renderer.place(template);
            let block = self.renderer.block(template);
            let end = self.verdict.render_failed((template, block), &message);
            let end = end.filter(|_| self.renderer.error_is_fatal(template));
            self.log(Some(Notice::RenderFailed {
                template: place,
                message,
            }));
            self.ask_again(template, now);
            self.stop_with(end, now);
        }
    }

    /// A text does not fit its answers: somebody may mend them before they would be read again.
    pub(super) fn ask_again(&mut self, template: usize, now: Moment) {
        let again = self.renderer.asked_again(template, &mut self.dice, now);
        let Some((at, requests)) = again else { return };
        for request in &requests {
            self.secrets.ask_again(request, at);
        }
    }

    pub(super) fn written(
        &mut self,
        destination: Destination,
        result: Result<bool, Failure>,
        now: Moment,
    ) {
        if let Destination::Template(gone) = destination
            && !self.renderer.has(gone)
        {
            let heir = self.renderer.hand_on(gone);
            if let Some(heir) = heir.filter(|_| matches!(result, Ok(true))) {
                self.hooks.file_changed(heir);
            }
            return;
        }
        let failure = match result {
            Ok(has_changed) => {
                match destination {
                    Destination::Template(index) => {
                        self.renderer.written(index, now);
                        self.verdict.mend(&Concern::Template(index));
                        if has_changed {
                            self.hooks.file_changed(index);
                        }
                    }
                    Destination::Sink(index) => self.sinks.written(index),
                }
                self.unwritten.mend(destination);
                self.verdict.mend(&Concern::Write(destination));
                return;
            }
            Err(failure) => failure,
        };
        let dice = &mut self.dice;
        let (wait, is_news) = self.unwritten.fail(destination, &failure, dice);
        let until = now + wait;
        let is_fatal = match destination {
            Destination::Template(index) => {
                self.renderer.not_written(index, until);
                self.renderer.error_is_fatal(index)
            }
            Destination::Sink(index) => {
                self.sinks.not_written(index, until);
                true
            }
        };
        let end = self.verdict.write_failed(destination, &failure);
        let end = end.filter(|_| is_fatal && self.life.is_working());
        if is_news || end.is_some() {
            self.log(Some(Notice::WriteFailed {
                destination,
                failure,
                backoff: end.is_none().then_some(wait),
            }));
        }
        self.stop_with(end, now);
    }

    pub(super) fn check_ready(&mut self, now: Moment) {
        let is_starting = matches!(self.life, Life::Starting);
        let is_complete = self.renderer.is_complete() && self.sinks.is_complete();
        if !is_starting || !is_complete || self.session.awaits_login() || self.hooks.is_busy() {
            return;
        }
        self.life = Life::Ready;
        self.verdict.ready();
        self.commands.push_back(Command::AnnounceReady);
        self.introduce(now);
        if !self.exit_after_auth {
            return;
        }
        let shutdown = match self.needs_token(now) {
            true => {
                // The files hold nothing any more that earlier lives read.
                let left = match self.revoke_on_exit {
                    true => self.session.take_retired(),
                    false => Vec::new(),
                };
                Shutdown::new(self.rendered_end(now), left, now).keeping_token()
            }
            false => self.leave_nothing(now),
        };
        self.life = Life::Stopping(Box::new(shutdown));
    }

    /// Whether somebody uses the token after the agent's end, or it cannot be revoked.
    fn needs_token(&self, now: Moment) -> bool {
        let is_used = self.shares_token || self.session.has_orphans();
        let is_needed = is_used || !self.secrets.need_no_token(now);
        is_needed || !self.revoke_on_exit || self.accessor().is_none()
    }

    /// Everything was rendered, and nothing of it lives by a token.
    fn leave_nothing(&mut self, now: Moment) -> Shutdown {
        let mut end = self.rendered_end(now);
        end.report.unrevoked.clear();
        end.report.ttl_seconds = None;
        let tokens = self.session.take_tokens();
        self.way_out(end, tokens, now).excused()
    }
}

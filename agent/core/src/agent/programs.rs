//! The programs that the agent runs, and what their ends mean.

use planescape_agent_contract::{Phase, Reason, Report};

use super::Agent;
use crate::clock::Moment;
use crate::command::Notice;
use crate::hooks::FailedRun;
use crate::input::ChildEnd;
use crate::supervisor::Ended;
use crate::verdict::{End, ExitCode};

impl Agent {
    pub(super) fn hook_ended(&mut self, hook: usize, result: Result<(), String>, now: Moment) {
        let dice = &mut self.dice;
        let failed = self.hooks.ended(hook, result.is_ok(), dice, now);
        let (Some(failed), Err(message)) = (failed, result) else {
            return;
        };
        let failed = FailedRun {
            file: self.renderer.place(failed.file),
            ..failed
        };
        let end = self.verdict.hook_failed(&failed, &message);
        let end = end.filter(|_| self.life.is_working());
        self.log(Some(Notice::HookFailed {
            file: failed.file,
            message,
            backoff: failed.again.filter(|_| end.is_none()),
        }));
        self.stop_with(end, now);
    }

    /// A program that ends by itself takes the agent along, with its exit code.
    pub(super) fn child_ended(&mut self, child: ChildEnd, now: Moment) {
        let Some(supervisor) = &mut self.supervisor else {
            return;
        };
        let ended = supervisor.ended();
        if let Some(shutdown) = self.life.shutdown() {
            shutdown.start_clock(now);
            return;
        }
        let (code, message) = match child {
            ChildEnd::NotStarted { message } => (
                ExitCode::Program(1),
                format!("unable to start the program: {message}"),
            ),
            _ if ended == Ended::Expected => return,
            ChildEnd::Code(code) => (
                ExitCode::Program(code),
                format!("the program ended with exit code {code}"),
            ),
            ChildEnd::Signal(signal) => (
                ExitCode::Program(255),
                format!("the program was ended by signal {signal}"),
            ),
        };
        let report = Report {
            message: Some(message),
            accessor: self.accessor(),
            unrevoked: self.kept(),
            ttl_seconds: self.kept_seconds(now),
            ..Report::new(Phase::Done, Reason::Rendered)
        };
        self.stop(End { code, report }, now);
    }

    pub(super) fn advance_programs(&mut self, now: Moment) {
        if self.life.is_working() {
            let renderer = &self.renderer;
            let run = self.hooks.advance(|| renderer.is_making(), now);
            self.commands.extend(run);
        }
        let Some(supervisor) = &mut self.supervisor else {
            return;
        };
        let ran = supervisor.is_running();
        self.commands.extend(supervisor.advance(now));
        if let Some(shutdown) = self.life.shutdown()
            && ran
            && !supervisor.is_running()
        {
            shutdown.start_clock(now);
        }
    }
}

//! The whole agent: one value, fed with what happened, asked for what to do.

mod troubles;

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use planescape_agent_contract::{Auth, Config, Method, Planescape, Problem, Template};
use planescape_templates::Request;
use planescape_vault::SecretText;
use planescape_vault::Text;

use crate::auth::{Living, Session};
use crate::clock::{Moment, Now};
use crate::command::{Command, Destination, Notice};
use crate::dice::Dice;
use crate::failure::{Failure, Remedy};
use crate::input::{Grant, Input, Login};
use crate::render::Renderer;
use crate::report::{self, ExitCode, Phase, Report};
use crate::secrets::{Secrets, Trouble};
use crate::shutdown::{Awaited, Shutdown};
use crate::sinks::Sinks;
use troubles::{Concern, Troubles};

/// After this many in a row a refusal is believed.
const BELIEVED: u32 = 3;

/// How long after a failed write the next one comes.
const WRITE_BACKOFF: Duration = Duration::from_secs(2);

/// Everything the agent knows and intends.
#[derive(Debug)]
pub struct Agent {
    auth: Auth,
    planescape: Planescape,
    exit_after_auth: bool,
    exit_on_retry_failure: bool,
    retries: u32,
    session: Session,
    secrets: Secrets,
    renderer: Renderer,
    sinks: Sinks,
    dice: Dice,
    started: Moment,
    is_ready: bool,
    troubles: Troubles,
    shutdown: Option<Shutdown>,
    commands: VecDeque<Command>,
    has_ended: bool,
}

/// What the agent starts with.
#[derive(Debug)]
pub struct Start {
    /// The validated configuration.
    pub config: Config,
    /// The text of each template, in the configuration's order.
    pub texts: Vec<Vec<u8>>,
    /// What the template function `env` sees.
    pub variables: BTreeMap<String, String>,
    /// A token that an earlier life of this agent left; revoked at the end with ours.
    pub left_token: Option<SecretText>,
    /// Any number; different in each process.
    pub seed: u64,
}

impl Agent {
    /// Parses the templates; nothing happens before the first input.
    ///
    /// # Errors
    /// Every template that does not parse.
    pub fn new(start: Start, now: Now) -> Result<Self, Vec<Problem>> {
        let config = start.config;
        let secrets = Secrets::new(&config);
        let texts: Vec<(Template, Vec<u8>)> =
            config.templates.into_iter().zip(start.texts).collect();
        let left = start
            .left_token
            .filter(|_| config.planescape.revoke_on_exit);
        Ok(Self {
            session: Session::new(&config.auth, left),
            renderer: Renderer::new(&texts, start.variables, start.seed)?,
            sinks: Sinks::new(config.auth.sinks.len()),
            auth: config.auth,
            planescape: config.planescape,
            exit_after_auth: config.exit_after_auth,
            exit_on_retry_failure: config.template_config.exit_on_retry_failure,
            retries: config.vault.retries,
            secrets,
            dice: Dice::new(start.seed),
            started: now.moment,
            is_ready: false,
            troubles: Troubles::default(),
            shutdown: None,
            commands: VecDeque::new(),
            has_ended: false,
        })
    }

    /// Takes in what happened and decides what follows.
    pub fn handle(&mut self, input: Input, now: Now) {
        if self.has_ended {
            return;
        }
        match input {
            Input::Timeout => {}
            Input::LoggedIn(result) => self.logged_in(result, now.moment),
            Input::TokenRenewed(result) => {
                let notice = match result {
                    Ok(grant) => self.session.renewed(grant, &mut self.dice, now.moment),
                    Err(failure) => {
                        self.session
                            .renewal_failed(failure, &mut self.dice, now.moment)
                    }
                };
                self.log(notice);
            }
            Input::MountFound { request, result } => {
                let dice = &mut self.dice;
                let trouble = self.secrets.mount_found(&request, result, dice, now.moment);
                self.judge_request(trouble, now.moment);
            }
            Input::Answered { request, result } => {
                let is_answer = result.is_ok();
                let trouble = self.secrets.answered(&request, result, &mut self.dice, now);
                if is_answer && trouble.is_none() {
                    self.troubles.mend(&Concern::Request(request.clone()));
                    self.renderer.answer_changed(&request);
                }
                self.judge_request(trouble, now.moment);
            }
            Input::LeaseRenewed { request, result } => self.lease_renewed(&request, result, now),
            Input::Written {
                destination,
                result,
            } => self.written(destination, result, now.moment),
            Input::Revoked(result) => {
                let notice = self
                    .shutdown
                    .as_mut()
                    .and_then(|shutdown| shutdown.revoked(result, &mut self.dice, now.moment));
                self.commands.extend(notice.map(Command::Log));
            }
            Input::Terminate => self.terminate(now.moment),
        }
        self.advance(now);
    }

    /// The next thing to do, in order.
    pub fn poll_command(&mut self) -> Option<Command> {
        self.commands.pop_front()
    }

    /// When to feed [`Input::Timeout`] if nothing else happens before.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Moment> {
        if self.has_ended {
            return None;
        }
        if let Some(shutdown) = &self.shutdown {
            return Some(shutdown.timeout());
        }
        let with_a_token = [
            self.secrets.timeout(),
            self.renderer.timeout(),
            self.sinks.timeout(),
        ];
        let has_token = self.session.token().is_some();
        let always = [self.session.timeout(), self.give_up_at()];
        with_a_token
            .into_iter()
            .filter(|_| has_token)
            .chain(always)
            .flatten()
            .min()
    }

    /// Whether every file and sink was written at least once.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.is_ready
    }

    fn advance(&mut self, now: Now) {
        if self.has_ended {
            return;
        }
        if self.shutdown.is_none() && self.give_up_at().is_some_and(|moment| moment <= now.moment) {
            let latest = self.troubles.latest();
            let (code, report) = latest.unwrap_or_else(|| self.lateness());
            self.stop(code, report, now.moment);
        }
        if self.shutdown.is_none() {
            self.commands.extend(self.session.advance(now.moment));
            // No file without a login, not even one that asks for nothing.
            if self.session.token().is_some() {
                self.render(now);
            }
        }
        if self.shutdown.is_none() {
            let token = self.session.token().cloned();
            let commands = self.secrets.advance(token.as_ref(), now.moment);
            self.commands.extend(commands);
            if let Some(token) = &token {
                let commands = self.sinks.advance(&Text::from(token.expose()), now.moment);
                self.commands.extend(commands);
            }
            self.check_ready(now.moment);
        }
        if let Some(shutdown) = &mut self.shutdown {
            let revokes = self.planescape.revoke_on_exit;
            let awaited = Awaited {
                login: revokes && self.session.is_logging_in(),
                lease: revokes && self.secrets.is_reading(),
            };
            let command = shutdown.advance(awaited, now.moment);
            self.has_ended = matches!(command, Some(Command::Exit { .. }));
            self.commands.extend(command);
        }
    }

    fn render(&mut self, now: Now) {
        let (commands, failures) = self.renderer.advance(self.secrets.answers(), now);
        self.commands.extend(commands);
        let wanted = self.renderer.wanted();
        self.secrets.keep(&wanted, now.moment);
        self.troubles.keep(&wanted);
        for failure in failures {
            let report = Report {
                message: Some(failure.message.clone()),
                path: Some(format!("template[{}]", failure.template)),
                ..Report::new(Phase::Render, "TemplateFailed")
            };
            self.log(Notice::RenderFailed {
                template: failure.template,
                message: failure.message,
            });
            self.troubles.note(
                Concern::Template(failure.template),
                Remedy::GiveUp,
                (ExitCode::Template, report.clone()),
            );
            if self.ends_on_failure() {
                self.stop(ExitCode::Template, report, now.moment);
                return;
            }
        }
    }

    fn check_ready(&mut self, now: Moment) {
        if self.is_ready || !self.renderer.is_complete() || !self.sinks.is_complete() {
            return;
        }
        self.is_ready = true;
        self.troubles = Troubles::default();
        self.commands.push_back(Command::AnnounceReady);
        if self.exit_after_auth {
            let report = Report {
                accessor: self.accessor(),
                ..Report::new(Phase::Done, "Rendered")
            };
            self.shutdown = Some(Shutdown::keeping(report, now));
        }
    }

    fn logged_in(&mut self, result: Result<Login, Failure>, now: Moment) {
        match (result, &mut self.shutdown) {
            (Ok(login), Some(shutdown)) => {
                self.session.login_ended();
                if self.planescape.revoke_on_exit {
                    shutdown.add(Living::of_login(login, now));
                }
            }
            (Ok(login), None) => {
                let notice = self.session.logged_in(login, &mut self.dice, now);
                self.secrets.token_replaced(now);
                self.sinks.token_replaced();
                self.troubles.mend(&Concern::Login);
                self.log(notice);
            }
            (Err(failure), _) => self.login_failed(failure, now),
        }
    }

    fn login_failed(&mut self, failure: Failure, now: Moment) {
        let report = Report {
            role: Some(self.role().to_owned()),
            path: Some(format!("{}/login", self.auth.mount_path)),
            ..Report::of_failure(Phase::Login, &failure)
        };
        let remedy = failure.remedy();
        let code = report::exit_code(&failure);
        let notice = self.session.login_failed(failure, &mut self.dice, now);
        self.log(notice);
        let end = (code, report.clone());
        let refusals = self.troubles.note(Concern::Login, remedy, end);
        let is_believed = refusals >= BELIEVED;
        if self.auth.exit_on_error || (is_believed && self.reports_early()) {
            self.stop(code, report, now);
        }
    }

    fn lease_renewed(&mut self, request: &Request, result: Result<Grant, Failure>, now: Now) {
        let dice = &mut self.dice;
        let notice = match result {
            Ok(grant) => self.secrets.lease_renewed(request, grant, dice, now.moment),
            Err(failure) => {
                let is_lost = failure.remedy() == Remedy::LogInAgain;
                if is_lost && !self.secrets.is_outdated(request) {
                    self.session.lose();
                }
                self.secrets
                    .renewal_failed(request, failure, dice, now.moment)
            }
        };
        self.log(notice);
    }

    fn judge_request(&mut self, trouble: Option<Trouble>, now: Moment) {
        let Some(trouble) = trouble else { return };
        self.log(trouble.notice());
        let remedy = trouble.failure.remedy();
        let code = report::exit_code(&trouble.failure);
        let report = Report {
            role: Some(self.role().to_owned()),
            path: Some(trouble.request.path().to_owned()),
            accessor: self.accessor(),
            ..Report::of_failure(Phase::Read, &trouble.failure)
        };
        let concern = Concern::Request(trouble.request);
        let refusals = self.troubles.note(concern, remedy, (code, report.clone()));
        if remedy == Remedy::LogInAgain {
            self.session.lose();
            self.log(Notice::TokenLost);
            return;
        }
        let is_enough = if self.reports_early() {
            refusals >= BELIEVED
        } else {
            trouble.failures > self.retries && self.ends_on_failure()
        };
        if is_enough {
            self.stop(code, report, now);
        }
    }

    fn written(&mut self, destination: Destination, result: Result<(), Failure>, now: Moment) {
        let Err(failure) = result else {
            match destination {
                Destination::Template(index) => {
                    self.renderer.written(index);
                    self.troubles.mend(&Concern::Template(index));
                }
                Destination::Sink(index) => self.sinks.written(index),
            }
            self.troubles.mend(&Concern::Write(destination));
            return;
        };
        let backoff = WRITE_BACKOFF;
        match destination {
            Destination::Template(index) => self.renderer.not_written(index, now + backoff),
            Destination::Sink(index) => self.sinks.not_written(index, now + backoff),
        }
        let report = Report::of_failure(Phase::Write, &failure);
        let end = (ExitCode::File, report.clone());
        self.troubles
            .note(Concern::Write(destination), failure.remedy(), end);
        self.log(Notice::WriteFailed {
            destination,
            failure,
            backoff,
        });
        let is_template = matches!(destination, Destination::Template(_));
        if is_template && self.ends_on_failure() {
            self.stop(ExitCode::File, report, now);
        }
    }

    fn terminate(&mut self, now: Moment) {
        if self.shutdown.is_some() {
            self.has_ended = true;
            self.commands.push_back(Command::Exit {
                code: ExitCode::Interrupted,
                report: Report::new(Phase::Done, "Interrupted"),
            });
            return;
        }
        let (code, report) = if self.is_ready {
            let report = Report {
                accessor: self.accessor(),
                ..Report::new(Phase::Done, "Rendered")
            };
            (ExitCode::Done, report)
        } else {
            let latest = self.troubles.latest();
            latest.unwrap_or_else(|| self.interruption())
        };
        self.stop(code, report, now);
    }

    fn stop(&mut self, code: ExitCode, report: Report, now: Moment) {
        if self.shutdown.is_some() {
            return;
        }
        self.log(Notice::Stopping);
        let tokens = if self.planescape.revoke_on_exit {
            self.session.take_tokens()
        } else {
            Vec::new()
        };
        self.shutdown = Some(Shutdown::new(code, report, tokens, now));
    }

    /// A program that runs with the files keeps them, whatever fails later; who configured no
    /// revocation asked for `vault agent`'s way.
    fn ends_on_failure(&self) -> bool {
        self.exit_on_retry_failure && !(self.is_ready && self.planescape.revoke_on_exit)
    }

    /// Whether a refusal is reported by ending, so that the pod shows it, and nothing else is.
    fn reports_early(&self) -> bool {
        self.planescape.exit_on_refusal && !self.is_ready
    }

    fn give_up_at(&self) -> Option<Moment> {
        let limit = self.planescape.give_up_after?;
        (!self.is_ready).then(|| self.started + limit)
    }

    /// The report where nothing failed and still nothing came.
    fn lateness(&self) -> (ExitCode, Report) {
        let phase = match self.session.token() {
            None => Phase::Login,
            Some(_) => Phase::Read,
        };
        let report = Report {
            role: Some(self.role().to_owned()),
            accessor: self.accessor(),
            ..Report::of_failure(phase, &Failure::Silent)
        };
        (ExitCode::Unavailable, report)
    }

    /// The report of an end that came before the files.
    fn interruption(&self) -> (ExitCode, Report) {
        let report = Report {
            message: Some("told to end before every file was rendered".to_owned()),
            role: Some(self.role().to_owned()),
            accessor: self.accessor(),
            ..Report::new(Phase::Done, "Terminated")
        };
        (ExitCode::Interrupted, report)
    }

    fn role(&self) -> &str {
        let Method::Kubernetes(method) = &self.auth.method;
        &method.role
    }

    fn accessor(&self) -> Option<String> {
        self.session.accessor().map(str::to_owned)
    }

    fn log(&mut self, notice: Notice) {
        self.commands.push_back(Command::Log(notice));
    }
}

#[cfg(test)]
mod tests;

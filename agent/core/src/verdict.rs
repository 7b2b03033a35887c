//! The verdict on a failure: whether the agent goes on, or ends, and how it then reports.

use planescape_agent_contract::{Config, Method, Phase, Reason, Report};
use planescape_templates::Request;
use planescape_vault::Error;

use crate::clock::Moment;
use crate::command::Destination;
use crate::failure::{Failure, Remedy};
use crate::hooks::FailedRun;
use crate::secrets::Trouble;
use crate::troubles::{Concern, Troubles};

/// A refusal is believed after this many in a row.
const BELIEVED: u32 = 3;

/// How the process ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExitCode {
    /// Done, nothing left behind.
    Done,
    /// The configuration is wrong.
    Config,
    /// A template does not fit what Vault answered.
    Template,
    /// Vault could not be reached within the limit, or a token was not revoked.
    Unavailable,
    /// A file could not be read or written.
    File,
    /// A program that follows a file failed.
    Hook,
    /// Vault refused.
    Denied,
    /// A signal came before everything was rendered, or a second one.
    Interrupted,
    /// The program in `exec` ended by itself with this code; 255: by a signal.
    Program(u8),
}

impl ExitCode {
    /// Our own code for it.
    #[must_use]
    fn number(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Config => 64,
            Self::Template => 65,
            Self::Unavailable => 69,
            Self::Hook => 70,
            Self::File => 74,
            Self::Denied => 77,
            Self::Interrupted => 143,
            Self::Program(code) => code,
        }
    }

    /// The code of the process: our own, or the one that `vault agent` has.
    #[must_use]
    pub fn of_process(self, has_own_exit_codes: bool) -> u8 {
        if has_own_exit_codes {
            self.number()
        } else {
            self.of_vault_agent()
        }
    }

    /// The code that `vault agent` has for it.
    #[must_use]
    fn of_vault_agent(self) -> u8 {
        match self {
            Self::Done | Self::Interrupted => 0,
            Self::Config
            | Self::Template
            | Self::Unavailable
            | Self::Hook
            | Self::File
            | Self::Denied => 1,
            Self::Program(code) => code,
        }
    }
}

/// How the agent ends.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct End {
    pub(crate) code: ExitCode,
    pub(crate) report: Report,
}

/// The settings about failures, and the failures that are not yet mended.
#[derive(Debug)]
pub(crate) struct Verdict {
    pub(crate) role: Option<String>,
    login_path: String,
    retries: u32,
    exit_on_login_failure: bool,
    exit_on_retry_failure: bool,
    exit_on_refusal: bool,
    revoke_on_exit: bool,
    exit_after_auth: bool,
    /// Until when everything must be rendered.
    give_up_at: Option<Moment>,
    is_ready: bool,
    has_own_exit_codes: bool,
    troubles: Troubles,
}

impl Verdict {
    pub(crate) fn new(config: &Config, now: Moment) -> Self {
        let give_up_after = config.planescape.give_up_after;
        Self {
            role: config
                .auth
                .method
                .as_ref()
                .and_then(Method::role)
                .map(str::to_owned),
            login_path: config.auth.mount_path.join("login"),
            retries: config.vault.retries,
            exit_on_login_failure: config.auth.exit_on_error,
            exit_on_retry_failure: config.template_config.exit_on_retry_failure,
            exit_on_refusal: config.planescape.exit_on_refusal,
            revoke_on_exit: config.planescape.revoke_on_exit,
            exit_after_auth: config.exit_after_auth,
            give_up_at: give_up_after.map(|limit| now + limit),
            is_ready: false,
            has_own_exit_codes: config.has_own_exit_codes,
            troubles: Troubles::default(),
        }
    }

    /// Everything is rendered: what failed before is mended.
    pub(crate) fn ready(&mut self) {
        self.is_ready = true;
        self.troubles.mend_all();
    }

    /// The latest failure that is not yet mended.
    pub(crate) fn trouble(&self) -> Option<String> {
        let report = &self.troubles.latest()?.report;
        let reason = report.reason.to_string();
        Some(match &report.message {
            Some(message) => format!("{reason}: {message}"),
            None => reason,
        })
    }

    pub(crate) fn mend(&mut self, concern: &Concern) {
        self.troubles.mend(concern);
    }

    /// When the agent ends because it is late.
    pub(crate) fn give_up_at(&self) -> Option<Moment> {
        self.give_up_at.filter(|_| !self.is_ready)
    }

    pub(crate) fn login_failed(&mut self, failure: &Failure) -> Option<End> {
        let end = End {
            code: exit_code(failure),
            report: Report {
                role: self.role.clone(),
                path: Some(self.login_path.clone()),
                ..of_failure(Phase::Login, failure)
            },
        };
        // A login has no token that Vault might not know.
        let remedy = match failure.remedy() {
            Remedy::CheckToken => Remedy::GiveUp,
            remedy @ (Remedy::Retry | Remedy::GiveUp) => remedy,
        };
        let refusals = self.troubles.note(Concern::Login, remedy, end.clone());
        let is_believed = refusals >= BELIEVED && self.reports_early();
        (self.exit_on_login_failure || is_believed).then_some(end)
    }

    pub(crate) fn request_failed(
        &mut self,
        trouble: &Trouble,
        remedy: Remedy,
        accessor: Option<String>,
    ) -> Option<End> {
        let end = End {
            code: exit_code(&trouble.failure),
            report: Report {
                role: self.role.clone(),
                path: Some(trouble.request.path().to_owned()),
                accessor,
                ..of_failure(Phase::Read, &trouble.failure)
            },
        };
        let concern = Concern::Request(trouble.request.clone());
        let refusals = self.troubles.note(concern, remedy, end.clone());
        let is_enough = match remedy {
            Remedy::CheckToken => false,
            Remedy::Retry | Remedy::GiveUp if self.reports_early() => refusals >= BELIEVED,
            Remedy::Retry | Remedy::GiveUp => {
                trouble.failures > self.retries && self.ends_on_failure()
            }
        };
        is_enough.then_some(end)
    }

    /// Takes the text's number and its block in the configuration.
    pub(crate) fn render_failed(
        &mut self,
        (template, block): (usize, String),
        message: &str,
    ) -> Option<End> {
        let report = Report {
            message: Some(message.to_owned()),
            path: Some(block),
            ..Report::new(Phase::Render, Reason::TemplateFailed)
        };
        let code = ExitCode::Template;
        let end = End { code, report };
        let concern = Concern::Template(template);
        self.troubles.note(concern, Remedy::GiveUp, end.clone());
        self.ends_on_failure().then_some(end)
    }

    pub(crate) fn write_failed(
        &mut self,
        destination: Destination,
        failure: &Failure,
    ) -> Option<End> {
        let end = End {
            code: ExitCode::File,
            report: of_failure(Phase::Write, failure),
        };
        let concern = Concern::Write(destination);
        self.troubles.note(concern, failure.remedy(), end.clone());
        let is_template = matches!(destination, Destination::Template(_));
        (is_template && self.ends_on_failure()).then_some(end)
    }

    pub(crate) fn hook_failed(&self, failed: &FailedRun, message: &str) -> Option<End> {
        let FailedRun { file, key, .. } = failed;
        let report = Report {
            message: Some(message.to_owned()),
            path: Some(format!("template[{file}].{key}")),
            ..Report::new(Phase::Write, Reason::CommandFailed)
        };
        let code = ExitCode::Hook;
        let ends = self.ends_on_failure() && !self.is_init_run();
        ends.then_some(End { code, report })
    }

    /// Whether the program that commands are for has yet to start. As an init container `vault agent` ends well even if
    /// commands fail, and our sidecar is one until everything is rendered.
    fn is_init_run(&self) -> bool {
        !self.is_ready && (self.exit_after_auth || self.has_own_exit_codes)
    }

    /// The end of an agent that was told to end before it was ready: `vault agent` ends well.
    pub(crate) fn interrupted(&self, accessor: Option<String>) -> End {
        if self.has_own_exit_codes {
            self.unfinished(|verdict| verdict.interruption(accessor))
        } else {
            self.interruption(accessor)
        }
    }

    /// The end of an agent that is late, or was told to end before it was ready.
    pub(crate) fn unfinished(&self, otherwise: impl FnOnce(&Self) -> End) -> End {
        let latest = self.troubles.latest().cloned();
        latest.unwrap_or_else(|| otherwise(self))
    }

    /// The end of an agent that is late although nothing failed.
    pub(crate) fn lateness(&self, accessor: Option<String>) -> End {
        let phase = if accessor.is_some() {
            Phase::Read
        } else {
            Phase::Login
        };
        let report = Report {
            message: Some("vault did not answer in time".to_owned()),
            role: self.role.clone(),
            accessor,
            ..Report::new(phase, Reason::NoAnswer)
        };
        let code = ExitCode::Unavailable;
        End { code, report }
    }

    /// The end that came before the files.
    fn interruption(&self, accessor: Option<String>) -> End {
        let report = Report {
            message: Some("told to end before every file was rendered".to_owned()),
            role: self.role.clone(),
            accessor,
            ..Report::new(Phase::Done, Reason::Terminated)
        };
        let code = ExitCode::Interrupted;
        End { code, report }
    }

    /// A request matters no more.
    pub(crate) fn forget(&mut self, request: &Request) {
        self.troubles.mend(&Concern::Request(request.clone()));
    }

    /// A program that runs with the files keeps them, whatever fails later. Without
    /// `revoke_on_exit` the agent behaves as `vault agent` does.
    fn ends_on_failure(&self) -> bool {
        self.exit_on_retry_failure && !(self.is_ready && self.revoke_on_exit)
    }

    /// Whether the agent ends to report a refusal, and only a refusal, so that the pod shows it.
    fn reports_early(&self) -> bool {
        self.exit_on_refusal && !self.is_ready
    }
}

/// The report of a failure in this phase.
fn of_failure(phase: Phase, failure: &Failure) -> Report {
    Report {
        message: Some(failure.to_string()),
        status: failure.status(),
        ..Report::new(phase, reason(phase, failure))
    }
}

fn reason(phase: Phase, failure: &Failure) -> Reason {
    match failure {
        Failure::Vault(error) => Reason::of(phase, error),
        Failure::File { .. } => match phase {
            Phase::Login => Reason::TokenFileUnreadable,
            Phase::Write => Reason::FileNotWritten,
            Phase::Config
            | Phase::Read
            | Phase::Render
            | Phase::Running
            | Phase::Done
            | Phase::Other => Reason::FileUnreadable,
        },
    }
}

/// How the process ends after such a failure.
fn exit_code(failure: &Failure) -> ExitCode {
    match failure {
        Failure::Vault(Error::Refused(_)) => match failure.remedy() {
            Remedy::GiveUp | Remedy::CheckToken => ExitCode::Denied,
            Remedy::Retry => ExitCode::Unavailable,
        },
        Failure::File { .. } => ExitCode::File,
        Failure::Vault(_) => ExitCode::Unavailable,
    }
}

#[cfg(test)]
mod tests;

//! The whole agent: one value, fed with what happened, asked for what to do. This file only
//! routes; each machine decides for itself.

mod ending;
mod files;
mod logins;
mod made;
mod programs;
mod reload;
mod requests;

use std::collections::{BTreeMap, VecDeque};

use planescape_agent_contract::{Config, Problem};
use planescape_templates::Request;

use crate::backoff::Backoff;
use crate::clock::{Moment, Now};
use crate::command::{Command, Notice};
use crate::dice::Dice;
use crate::failure::Remedy;
use crate::hooks::Hooks;
use crate::input::Input;
use crate::life::Life;
use crate::living::{LeftLeases, LeftToken};
use crate::render::{Renderer, Texts};
use crate::secrets::{Leased, Secrets};
use crate::session::{Asker, Session};
use crate::shutdown::Awaited;
use crate::sinks::Sinks;
use crate::status::{Phase, Status};
use crate::supervisor::Supervisor;
use crate::token::{Token, TokenId};
use crate::unwritten::Unwritten;
use crate::verdict::Verdict;
pub use made::orphan;

/// Everything the agent knows and intends.
#[derive(Debug)]
pub struct Agent {
    life: Life,
    session: Session,
    secrets: Secrets,
    renderer: Renderer,
    sinks: Sinks,
    unwritten: Unwritten,
    hooks: Hooks,
    supervisor: Option<Supervisor>,
    verdict: Verdict,
    dice: Dice,
    exit_after_auth: bool,
    revoke_on_exit: bool,
    /// Whether others get the token: readers of sinks, clients of listeners, the next life.
    shares_token: bool,
    /// Whether earlier lives may have left tokens that nobody knows.
    has_unread_ledger: bool,
    /// The leases that the known tokens of earlier lives may have.
    left_leases: Leased,
    /// Whether the latest report says that a lease may be on its way.
    has_told_of_reads: bool,
    /// Whether there are listeners, which have to know the agent's token.
    offers_token: bool,
    /// The token that the listeners know.
    offered: Option<TokenId>,
    commands: VecDeque<Command>,
}

/// The agent's inputs at its start.
#[derive(Debug)]
pub struct Start {
    /// The validated configuration.
    pub config: Config,
    /// The text of each template, in the configuration's order.
    pub texts: Vec<Vec<u8>>,
    /// The variables of the template function `env`.
    pub variables: BTreeMap<String, String>,
    /// Tokens that earlier lives of this agent left; revoked at the end with ours.
    pub left_tokens: Vec<LeftToken>,
    /// Tokens that their templates have made and that files may hold: revoked at the end, and kept where ours is.
    pub left_orphans: Vec<LeftToken>,
    /// Whether there may be others, because the ledger or the persistent cache could not be read or written.
    pub has_unread_ledger: bool,
    /// The leases of those tokens, if the last life has named them.
    pub left_leases: Option<LeftLeases>,
    /// Any number; different in each process.
    pub seed: u64,
}

/// Why the agent wants to be woken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wake {
    /// The token ends, is to be renewed, or a login is due.
    Session,
    /// Something is to be read or renewed, or ends.
    Secrets,
    /// A file could not be written and is tried again.
    Files,
    /// A program is to be run, or to end.
    Programs,
    /// Not everything is rendered, and it should be.
    Lateness,
    /// The way out goes on.
    Shutdown,
}

impl Agent {
    /// Parses the templates; nothing happens before the first input.
    ///
    /// # Errors
    /// Every template that does not parse.
    pub fn new(start: Start, now: Now) -> Result<Self, Vec<Problem>> {
        let config = start.config;
        let revokes = config.planescape.revoke_on_exit;
        let left = if revokes {
            start.left_tokens
        } else {
            Vec::new()
        };
        let verdict = Verdict::new(&config, now.moment);
        let hooks = config.templates.iter().map(|it| it.hook.clone());
        let (min, max) = (config.auth.min_backoff, config.auth.max_backoff);
        let backoff = Backoff::between(min, max);
        let hooks = Hooks::new(hooks.collect(), config.vault.retries, backoff);
        let count = config.templates.len();
        let exec = config.exec.as_ref();
        let supervisor = exec.map(|exec| Supervisor::new(exec, count));
        let secrets = Secrets::new(&config);
        let left_leases = Leased::of_earlier_lives(left.len(), start.left_leases);
        let mut session = Session::new(&config);
        let mut commands = VecDeque::from(session.take_over(left, now.moment));
        if revokes {
            commands.extend(session.inherit(start.left_orphans, now.moment));
        }
        let shares_token = !config.auth.sinks.is_empty()
            || !config.proxy.listeners.is_empty()
            || config.proxy.persist.is_some();
        let texts = Texts::parse(config.templates, start.texts)?;
        Ok(Self {
            life: Life::Starting,
            session,
            secrets,
            renderer: Renderer::new(texts, start.variables, start.seed),
            sinks: Sinks::new(config.auth.sinks.len()),
            unwritten: Unwritten::default(),
            hooks,
            supervisor,
            verdict,
            dice: Dice::new(start.seed),
            exit_after_auth: config.exit_after_auth && config.auth.method.is_some(),
            offers_token: !config.proxy.listeners.is_empty(),
            offered: None,
            revoke_on_exit: revokes,
            shares_token,
            has_unread_ledger: start.has_unread_ledger,
            left_leases,
            has_told_of_reads: false,
            commands,
        })
    }

    /// Takes in what happened and decides what follows.
    pub fn handle(&mut self, input: Input, now: Now) {
        if matches!(self.life, Life::Ended) {
            return;
        }
        let moment = now.moment;
        match input {
            Input::Timeout => {}
            Input::LoggedIn { ticket, result } => self.logged_in(ticket, result, moment),
            Input::LoggedInWrapped { ticket: _, result } => self.logged_in_wrapped(result, moment),
            Input::NewCredentials => {
                let notice = self.session.credentials_changed();
                self.log(notice);
            }
            Input::TokenRefused { token } => self.session.refused(token, moment),
            Input::Granted => self.granted_to_others(),
            Input::Remembered { token, result } => {
                let notice = self.session.remembered(token, result);
                self.log(notice);
            }
            Input::TokenRenewed { ticket, result } => self.token_renewed(ticket, result, moment),
            Input::TokenLookedUp { ticket, result } => {
                let dice = &mut self.dice;
                let notice = self.session.looked_up(ticket, &result, dice, moment);
                self.log(notice);
            }
            Input::MountFound {
                ticket,
                path,
                result,
            } => {
                let asker = Asker::Mount(path.clone());
                let remedy = self.weigh(ticket, asker, result.as_ref().err(), moment);
                let trouble = self
                    .secrets
                    .mount_found(&path, result, &mut self.dice, moment);
                self.request_failed(trouble, remedy, moment);
            }
            Input::Answered {
                ticket,
                request,
                result,
            } => self.answered(&request, ticket, result, now),
            Input::FileRead { request, result } => {
                let taken = self
                    .secrets
                    .file_read(&request, result, &mut self.dice, now);
                self.take(&request, taken, Remedy::Retry, moment);
            }
            Input::FileChecked {
                template,
                is_intact,
            } => self.renderer.file_checked(template, is_intact),
            Input::LeaseRenewed {
                ticket,
                request,
                result,
            } => self.lease_renewed(&request, ticket, result, moment),
            Input::Rendered { template, result } => self.rendered(template, result, moment),
            Input::Written {
                destination,
                result,
            } => self.written(destination, result, moment),
            Input::HookEnded { hook, result } => self.hook_ended(hook, result, moment),
            Input::ChildEnded(end) => self.child_ended(end, moment),
            Input::Revoked { token, result } => self.revoked(token, result, moment),
            Input::LeaseRevoked { lease_id, result } => self.lease_revoked(&lease_id, result),
            Input::Reloaded(reloaded) => self.reloaded(reloaded, moment),
            Input::Terminate => self.terminate(moment),
            Input::Quit => self.quit(moment),
        }
        self.advance(now);
    }

    /// The next thing to do, in order.
    pub fn poll_command(&mut self) -> Option<Command> {
        self.commands.pop_front()
    }

    /// When to feed [`Input::Timeout`] if nothing else happens before, and why.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<(Moment, Wake)> {
        match &self.life {
            Life::Ended => return None,
            Life::Stopping(shutdown) => {
                let at = match &self.supervisor {
                    Some(supervisor) if supervisor.is_running() => supervisor.timeout()?,
                    _ => shutdown.timeout(),
                };
                return Some((at, Wake::Shutdown));
            }
            Life::Starting | Life::Ready => {}
        }
        let has_token = self.session.usable().is_some();
        let sinks = self.sinks.timeout();
        let sinks = sinks.filter(|_| self.session.shared().is_some());
        let may_render = has_token && self.session.has_remembered_orphans();
        let texts = self.renderer.timeout().filter(|_| may_render);
        let hooks = self.hooks.timeout(|| self.renderer.is_making());
        let child = self.supervisor.as_ref().and_then(Supervisor::timeout);
        let all = [
            (self.session.timeout(), Wake::Session),
            (self.secrets.timeout(has_token), Wake::Secrets),
            (sinks, Wake::Files),
            (texts, Wake::Files),
            (hooks, Wake::Programs),
            (child, Wake::Programs),
            (self.verdict.give_up_at(), Wake::Lateness),
        ];
        all.into_iter()
            .filter_map(|(at, why)| Some((at?, why)))
            .min_by_key(|(at, _)| *at)
    }

    /// The agent's state at this moment.
    #[must_use]
    pub fn status(&self, now: Moment) -> Status {
        Status {
            phase: match self.life {
                Life::Starting => Phase::Starting,
                Life::Ready => Phase::Ready,
                Life::Stopping(_) | Life::Ended => Phase::Stopping,
            },
            token: self.session.status(now),
            texts: self
                .renderer
                .status(|request| self.secrets.ends_at(request), now),
            trouble: self.verdict.trouble(),
        }
    }

    /// Whether every file and sink was written at least once.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        matches!(self.life, Life::Ready)
    }

    fn advance(&mut self, now: Now) {
        if self.life.is_working() {
            self.work(now);
        }
        self.advance_programs(now.moment);
        let login = self.awaits_login();
        let Life::Stopping(shutdown) = &mut self.life else {
            return;
        };
        // The program's secrets live as long as it does.
        if self.supervisor.as_ref().is_some_and(Supervisor::is_running) {
            return;
        }
        let awaited = Awaited {
            login,
            lease: self.revoke_on_exit && self.secrets.is_reading(),
        };
        let (secrets, left) = (&self.secrets, &self.left_leases);
        let leases = |keeps_own| left.with(secrets.leases(now.moment), keeps_own);
        let commands = shutdown.advance(awaited, leases, now.moment);
        if commands.iter().any(|it| matches!(it, Command::Exit { .. })) {
            self.life = Life::Ended;
        }
        self.commands.extend(commands);
    }

    fn work(&mut self, now: Now) {
        if self.verdict.give_up_at().is_some_and(|at| at <= now.moment) {
            let accessor = self.accessor();
            let end = self
                .verdict
                .unfinished(|verdict| verdict.lateness(accessor));
            self.stop(end, now.moment);
            return;
        }
        let notice = self.session.endangered(now.moment);
        self.log(notice);
        let due = self.session.advance(now.moment);
        let logs_in = matches!(due, Some(Command::LogIn { .. }));
        let notice = (logs_in && self.session.is_replacing()).then_some(Notice::TokenEnds);
        self.log(notice);
        self.commands.extend(due);
        self.commands.extend(self.session.forget());
        if let Some(token) = self.session.take_ended() {
            self.secrets.token_ended(token, now.moment);
        }
        for request in self.secrets.expired(now.moment) {
            let users = self.renderer.users(&request).into_iter();
            let templates = users.map(|index| self.renderer.place(index)).collect();
            self.log(Some(Notice::Expired { request, templates }));
        }
        let token = self.session.usable().cloned();
        self.offer(token.as_ref());
        // Every file waits for a login, even if it asks for nothing, and until the ledger has all orphans.
        if token.is_some() && self.session.has_remembered_orphans() {
            let secrets = &self.secrets;
            let passes = self
                .renderer
                .advance(|request| secrets.answer(request), now);
            self.commands.extend(passes);
        }
        let renderer = &self.renderer;
        if let Some(token) = &token {
            let is_written = |request: &Request| renderer.is_written(request);
            let parting = self.secrets.part(token, is_written, now.moment);
            self.commands.extend(parting);
        }
        let within = |request: &Request| renderer.sandboxes(request);
        let asked = self.secrets.advance(token.as_ref(), within, now.moment);
        for command in &asked {
            if let Command::RenewMade(made) = command {
                self.session.made_renewal_asked(&made.token);
            }
        }
        if self.is_ready() && self.secrets.is_reading() && !self.has_told_of_reads {
            // An agent that is killed from here on may leave a lease of which it has not heard.
            self.introduce(now.moment);
        }
        self.commands.extend(asked);
        if let Some(contents) = self.session.shared() {
            self.commands
                .extend(self.sinks.advance(&contents, now.moment));
        }
        self.check_ready(now.moment);
        if self.is_ready() && self.has_told_of_reads && !self.secrets.is_reading() {
            self.introduce(now.moment);
        }
    }

    fn offer(&mut self, token: Option<&Token>) {
        let Some(token) = token.filter(|_| self.offers_token) else {
            return;
        };
        if self.offered.replace(token.id) != Some(token.id) {
            let (token, accessor) = (token.clone(), self.accessor());
            self.commands.push_back(Command::Offer { token, accessor });
        }
    }

    fn accessor(&self) -> Option<String> {
        self.session.accessor().map(str::to_owned)
    }

    fn log(&mut self, notice: Option<Notice>) {
        self.commands.extend(notice.map(Command::Log));
    }
}

#[cfg(test)]
mod tests;

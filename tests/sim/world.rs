//! One agent with its later lives, Vault, the disk and the clock.

use std::time::{Duration, SystemTime};

use planescape_agent_contract::{Reason, Report};
use planescape_agent_core::{
    Agent, ChildEnd, Command, Destination, ExitCode, Failure, Input, LeftLeases, LeftToken, Moment,
    Notice, Now, Token, TokenId,
};
use planescape_templates::Answer;
use planescape_vault::mount::Mount;
use planescape_vault::{Call, Secret, Text};

use crate::coverage::{Coverage, name};
use crate::fault::Fault;
use crate::promises::Promises;
use crate::start::{GUARD, agent, named, reloaded, starts_a_program};
use crate::vault::Vault;
use planescape_tests::chance::Chance;

const PASSWORD: &str = "s3cr3t-password";

/// The program in `exec`, while it runs.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Program {
    Running,
    Told,
    Killed,
}

pub(crate) struct World {
    chance: Chance,
    agent: Agent,
    vault: Vault,
    promises: Promises,
    now: Now,
    running: Vec<Command>,
    ledger: Vec<LeftToken>,
    guards: bool,
    starts_a_program: bool,
    /// Whether the agent said that its token ends before long, since it was last renewed.
    is_endangered: bool,
    /// The token that the agent uses.
    holds: Option<TokenId>,
    /// Since when that ends with the guard, unless it is renewed.
    guarded_since: Option<Moment>,
    /// Tokens that reached this life, or stand in the ledger of an earlier one. Nothing was read
    /// with any other.
    held: Vec<String>,
    is_stopping: Option<Moment>,
    /// How many asked this life to end.
    signals: usize,
    has_ended: bool,
    /// The leases that a life has named while it ran, for the next one and for others.
    named: Option<LeftLeases>,
    program: Option<Program>,
    lives: usize,
    story: Vec<String>,
}

impl World {
    pub(crate) fn new(seed: u64) -> Self {
        let mut chance = Chance::new(seed);
        let now = Now {
            moment: Moment::since_boot(Duration::from_secs(1000)),
            wall: SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000),
        };
        let guards = chance.once_in(2);
        let starts_a_program = starts_a_program(&mut chance);
        Self {
            agent: agent(&mut chance, &[], None, (guards, starts_a_program), now),
            guards,
            starts_a_program,
            chance,
            vault: Vault::default(),
            promises: Promises::default(),
            now,
            running: Vec::new(),
            ledger: Vec::new(),
            is_endangered: false,
            holds: None,
            guarded_since: None,
            held: Vec::new(),
            is_stopping: None,
            signals: 0,
            has_ended: false,
            named: None,
            program: None,
            lives: 1,
            story: Vec::new(),
        }
    }

    pub(crate) fn broken_promise(&self) -> Option<&str> {
        self.promises.broken()
    }

    /// What happened last.
    pub(crate) fn story(&self) -> String {
        let from = self.story.len().saturating_sub(400);
        self.story[from..].join("\n")
    }

    /// One thing happens.
    pub(crate) fn step(&mut self, coverage: &mut Coverage) {
        if self.has_ended || self.chance.once_in(400) {
            self.begin_another_life();
        }
        if self.chance.once_in(300) {
            self.vault.lose_one(&mut self.chance);
        }
        let input = match self.chance.below(100) {
            0 if self.chance.once_in(2) => Input::Quit,
            0 => Input::Terminate,
            _ if self.program_ends() => {
                let code = self.chance.pick(&[0, 3]);
                Input::ChildEnded(ChildEnd::Code(code))
            }
            99 if self.chance.once_in(8) => Input::NewCredentials,
            98 if self.chance.once_in(4) => {
                Input::Reloaded(reloaded(&mut self.chance, self.starts_a_program))
            }
            1..60 if !self.running.is_empty() => {
                let index = self.chance.below(self.running.len());
                let command = self.running.swap_remove(index);
                self.answer(command)
            }
            _ => {
                self.pass();
                Input::Timeout
            }
        };
        self.feed(input, coverage);
        // The driver wakes the agent at the moment it asked for.
        self.feed(Input::Timeout, coverage);
        self.check();
    }

    fn program_ends(&mut self) -> bool {
        let ends = match self.program {
            None => false,
            Some(Program::Running) => self.chance.once_in(300),
            Some(Program::Told) => self.chance.once_in(20),
            Some(Program::Killed) => self.chance.below(10) > 0,
        };
        if ends {
            self.program = None;
            self.promises.program_runs = false;
        }
        ends
    }

    fn pass(&mut self) {
        let waits = [0, 1, 100, 250, 1_000, 2_000, 5_000, 30_000, 400_000];
        let mut wait = Duration::from_millis(self.chance.pick(&waits));
        // The driver does not oversleep.
        if let Some((at, _)) = self.agent.poll_timeout() {
            wait = wait.min(at.since(self.now.moment));
        }
        self.now.moment = self.now.moment + wait;
        self.now.wall += wait;
    }

    fn feed(&mut self, input: Input, coverage: &mut Coverage) {
        let phase = match (self.is_stopping, self.agent.is_ready()) {
            (Some(_), _) => "stopping",
            (None, true) => "ready",
            (None, false) => "starting",
        };
        let name = name(&input);
        coverage.count(name, phase);
        if ["Terminate", "Quit"].contains(&name) {
            self.is_stopping.get_or_insert(self.now.moment);
        }
        self.signals += usize::from(name == "Terminate");
        if name != "Timeout" {
            self.story.push(format!("{:?} {input:?}", self.now.moment));
        }
        if let Input::LoggedIn {
            result: Ok(login),
            ticket,
        } = &input
        {
            self.holds = Some(ticket.token);
            self.held.push(login.token.expose().to_owned());
            self.guarded_since = None;
            self.is_endangered = false;
        }
        if let Input::TokenRenewed {
            ticket,
            result: Ok(grant),
        } = &input
            && self.holds == Some(ticket.token)
        {
            self.guarded_since = (grant.ttl() == GUARD).then_some(ticket.sent);
            self.is_endangered = false;
        }
        self.promises.takes_over(name == "Reloaded");
        self.agent.handle(input, self.now);
        while let Some(command) = self.agent.poll_command() {
            self.story
                .push(format!("{:?}   {command:?}", self.now.moment));
            self.promises.see(&command, self.now.moment);
            self.start(command);
        }
    }

    fn start(&mut self, command: Command) {
        match command {
            Command::Exit { code, report } => {
                if report.reason == Reason::Revoked {
                    self.check_revoked(&report);
                }
                let leaves_its_program = code == ExitCode::Interrupted && self.program.is_some();
                if self.signals < 2 && (report.reason == Reason::Interrupted || leaves_its_program)
                {
                    self.promises
                        .breaks("an end at once without a second signal");
                }
                self.has_ended = true;
            }
            Command::ForgetAll { .. } => {
                self.ledger.clear();
                self.named = None;
            }
            Command::LogIn { .. } => {
                self.check_danger();
                self.holds = None;
                self.running.push(command);
            }
            Command::StartChild { .. } => self.program = Some(Program::Running),
            Command::SignalChild { signal } => {
                let told = match signal {
                    Some(_) => Program::Told,
                    None => Program::Killed,
                };
                self.program = self.program.map(|_| told);
            }
            Command::Log(Notice::Stopping) => {
                self.is_stopping.get_or_insert(self.now.moment);
            }
            Command::Log(Notice::Endangered { .. }) => self.is_endangered = true,
            Command::Report(report) => self.named = Some(named(report)),
            Command::Log(_)
            | Command::Exchange { .. }
            | Command::AnnounceReady
            | Command::Offer { .. } => {}
            command @ (Command::Remember { .. }
            | Command::RenewToken { .. }
            | Command::LookUpToken { .. }
            | Command::FindMount { .. }
            | Command::Read { .. }
            | Command::ReadFile { .. }
            | Command::CheckFile { .. }
            | Command::RenewLease { .. }
            | Command::RenewMade(_)
            | Command::Render { .. }
            | Command::Write { .. }
            | Command::RunHook { .. }
            | Command::Revoke { .. }
            | Command::RevokeLease { .. }) => self.running.push(command),
        }
    }

    /// A status never claims what is not so.
    fn check_revoked(&mut self, report: &Report) {
        let now = self.now.moment;
        let leases = self
            .held
            .iter()
            .flat_map(|it| self.vault.outliving(it, now));
        let mut unsaid = leases.filter(|it| !report.leases.contains(it));
        if let Some(lease) = unsaid.next().filter(|_| report.more_leases == 0) {
            let broken = format!("`Revoked`, and {lease} lives without a word");
            self.promises.breaks(broken);
        }
        let alive = self.held.iter().find(|token| self.vault.knows(token, now));
        if let Some(token) = alive.cloned() {
            self.promises
                .breaks(format!("`Revoked`, and {token} lives"));
        }
    }

    /// The agent is killed, or has ended; what was on its way may have reached Vault.
    fn begin_another_life(&mut self) {
        self.lives += 1;
        self.story.push(format!("life {}", self.lives));
        for command in std::mem::take(&mut self.running) {
            if self.chance.once_in(2) {
                self.answer(command);
            }
        }
        // Whoever revokes what a killed agent has left looks for what it has named, and then calls all of it gone.
        let now = self.now.moment;
        let named = self.named.as_ref().filter(|it| it.more == 0);
        if let Some(lease) = named.and_then(|it| self.vault.unnamed(&self.held, &it.ids, now)) {
            let broken = format!("killed, and {lease} lives without a word");
            self.promises.breaks(broken);
        }
        self.promises.new_life();
        self.holds = None;
        self.guarded_since = None;
        let left = self.ledger.iter();
        self.held = left.map(|left| left.secret.expose().to_owned()).collect();
        self.starts_a_program = starts_a_program(&mut self.chance);
        let kind = (self.guards, self.starts_a_program);
        let named = self.named.clone();
        self.agent = agent(&mut self.chance, &self.ledger, named, kind, self.now);
        self.is_stopping = None;
        self.signals = 0;
        self.has_ended = false;
        self.program = None;
    }

    fn check(&mut self) {
        let now = self.now.moment;
        let wake = self.agent.poll_timeout();
        if let Some((at, why)) = wake
            && at <= now
        {
            self.promises.breaks(format!(
                "asks to be woken at a moment that is over: {why:?}"
            ));
        }
        if let Some(since) = self.is_stopping
            && !self.has_ended
            && now.since(since) > Duration::from_secs(21 + 35)
        {
            self.promises.breaks("the end takes longer than its grace");
        }
        if self.is_stopping.is_none() {
            let unsaid = self.unsaid();
            if let Some(unsaid) = unsaid {
                self.promises.breaks(unsaid);
            }
        }
        self.check_guard();
        if self.chance.once_in(100) {
            let text = format!("{:?}", self.agent);
            if text.contains("hvs.") || text.contains(PASSWORD) {
                self.promises.breaks("a secret in a debug print");
            }
        }
    }

    /// The token ends with the guard, whatever becomes of the agent now.
    fn check_guard(&mut self) {
        if !self.guards {
            return;
        }
        let now = self.now.moment;
        if let Some(token) = self.vault.outlives(GUARD, now) {
            let broken = format!("{token} outlives the guard");
            self.promises.breaks(broken);
        }
    }

    /// A token that is given up because its guard ran out was called endangered before.
    fn check_danger(&mut self) {
        let guarded = self.guarded_since.take();
        let has_ended = guarded.is_some_and(|since| since + GUARD <= self.now.moment);
        if has_ended && !self.is_endangered {
            self.promises
                .breaks("a token ended with its guard and nobody said so");
        }
    }

    /// A file whose lease has ended without a word.
    fn unsaid(&self) -> Option<String> {
        let now = self.now.moment;
        let mut untold = self.promises.untold();
        let (template, lease) =
            untold.find(|(_, lease)| self.vault.ended_at(lease, now).is_some())?;
        Some(format!(
            "template[{template}] holds {lease} and nobody says so"
        ))
    }

    /// What the world says to a command, and does because of it.
    fn answer(&mut self, command: Command) -> Input {
        let fault = Fault::drawn(&mut self.chance);
        let now = self.now.moment;
        match command {
            Command::LogIn { ticket } => {
                self.promises.logins_in_flight = self.promises.logins_in_flight.saturating_sub(1);
                let result = fault.around(|| Ok(self.vault.log_in(&mut self.chance, now)));
                Input::LoggedIn { ticket, result }
            }
            Command::Remember { token, accessor } => {
                self.promises.remember(token.secret.expose());
                let secret = token.secret.clone();
                self.ledger.push(LeftToken { secret, accessor });
                Input::Remembered {
                    token: token.id,
                    result: Ok(()),
                }
            }
            Command::RenewToken {
                ticket,
                token,
                increment,
            } => Input::TokenRenewed {
                ticket,
                result: fault.around(|| self.vault.renew_token(token.expose(), increment, now)),
            },
            Command::LookUpToken { ticket, token } => Input::TokenLookedUp {
                ticket,
                result: fault.around(|| self.vault.check(token.expose(), now)),
            },
            Command::FindMount {
                ticket,
                path,
                token,
            } => {
                let mount = path.split('/').next().unwrap_or_default();
                let mount = Mount::new(&format!("{mount}/"), "database", "1");
                let known = self.vault.check(token.expose(), now);
                Input::MountFound {
                    ticket,
                    result: fault.around(|| known.map(|()| mount)),
                    path,
                }
            }
            Command::Read {
                ticket,
                request,
                call,
                token,
            } => {
                let result = fault.around(|| self.read(&call, token.expose()));
                if let Ok(Answer::Secret(Some(secret))) = &result {
                    let lease = secret.lease_id().to_owned();
                    self.promises.latest.insert(request.clone(), lease);
                }
                Input::Answered {
                    ticket,
                    request,
                    result,
                }
            }
            Command::RenewLease {
                ticket,
                request,
                lease_id,
                token,
            } => Input::LeaseRenewed {
                ticket,
                request,
                result: fault.around(|| self.vault.renew_lease(&lease_id, token.expose(), now)),
            },
            Command::Revoke { token } => self.revoke(&token, fault),
            Command::RevokeLease { lease_id, token } => {
                let revoke = || self.vault.revoke_lease(&lease_id, token.expose(), now);
                let result = fault.around(revoke);
                Input::LeaseRevoked { lease_id, result }
            }
            command => self.answer_locally(command, fault),
        }
    }

    fn revoke(&mut self, token: &Token, fault: Fault) -> Input {
        let known = self.vault.check(token.secret.expose(), self.now.moment);
        let result = fault.before(known);
        if result.is_ok() {
            self.vault.revoke(token.secret.expose());
        }
        Input::Revoked {
            token: token.id,
            result,
        }
    }

    fn answer_locally(&mut self, command: Command, fault: Fault) -> Input {
        let broken = matches!(fault, Fault::Lost | Fault::Refused(_));
        let disk = || Failure::File {
            path: "/0".to_owned(),
            message: "No space left on device".to_owned(),
        };
        match command {
            Command::ReadFile { request, .. } => {
                let text = self.chance.pick(&["a", "b"]);
                Input::FileRead {
                    request,
                    result: match broken {
                        true => Err(disk()),
                        false => Ok(Answer::File(Text::from(text))),
                    },
                }
            }
            Command::CheckFile { template } => Input::FileChecked {
                template,
                is_intact: !broken,
            },
            Command::Render {
                template,
                rendering,
            } => Input::Rendered {
                template,
                result: rendering.run(),
            },
            Command::RunHook { hook, .. } => {
                self.promises.hook_runs = false;
                Input::HookEnded {
                    hook,
                    result: match broken {
                        true => Err("exit code 1".to_owned()),
                        false => Ok(()),
                    },
                }
            }
            Command::Write {
                destination,
                contents,
                ..
            } => {
                if let Destination::Template(template) = destination
                    && !broken
                {
                    let lease = String::from_utf8_lossy(&contents).into_owned();
                    self.promises.wrote(template, lease);
                }
                Input::Written {
                    destination,
                    result: match broken {
                        true => Err(disk()),
                        false => Ok(self.chance.below(3) > 0),
                    },
                }
            }
            other => panic!("{other:?} has no answer"),
        }
    }

    fn read(&mut self, call: &Call, token: &str) -> Result<Answer, Failure> {
        let body = match call {
            Call::List { .. } => return Ok(Answer::List(vec!["a".to_owned()])),
            Call::Get { path, .. } | Call::Put { path, .. } if path.starts_with("kv/") => {
                self.vault.check(token, self.now.moment)?;
                format!(r#"{{"data":{{"password":"{PASSWORD}"}}}}"#)
            }
            Call::Get { .. } | Call::Put { .. } => {
                let (id, ttl) = self.vault.lease(token, &mut self.chance, self.now.moment)?;
                let renewable = self.chance.below(4) > 0;
                format!(
                    r#"{{"lease_id":"{id}","lease_duration":{ttl},"renewable":{renewable},"data":{{}}}}"#
                )
            }
        };
        Ok(Answer::Secret(Some(
            Secret::from_json(body.as_bytes()).unwrap(),
        )))
    }
}

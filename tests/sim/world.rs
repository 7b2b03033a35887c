//! One agent with its later lives, Vault, the disk and the clock.

mod answers;
mod checks;

use std::time::{Duration, SystemTime};

use planescape_agent_contract::Reason;
use planescape_agent_core::{
    Agent, ChildEnd, Command, ExitCode, Input, LeftLeases, LeftToken, Moment, Notice, Now, Token,
    TokenId,
};
use planescape_templates::Answer;
use planescape_vault::SecretText;

use crate::coverage::{Coverage, command_name, is_unresolved, name};
use crate::promises::Promises;
use crate::start::{GUARD, Kind, agent, named, reloaded};
use crate::vault::{Vault, is_of_us};
use planescape_tests::chance::Chance;

const PASSWORD: &str = "s3cr3t-password";

/// The program in `exec`, while it runs.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Program {
    /// It cannot be started.
    Missing,
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
    /// Tokens that could not be written into it, since it was last removed.
    unwritten: Vec<String>,
    /// Tokens of earlier lives that could not be written, as this one began.
    lost: Vec<String>,
    kind: Kind,
    starts_a_program: bool,
    /// Whether the agent said that its token ends before long, since it was last renewed.
    is_endangered: bool,
    /// The token that the agent uses.
    holds: Option<TokenId>,
    /// Since when that ends with the guard, unless it is renewed.
    guarded_since: Option<Moment>,
    /// Tokens that reached this life and are its to revoke, or stand in the ledger of an earlier one. Nothing was read
    /// with any other.
    held: Vec<String>,
    /// The one that the latest login brought.
    own: String,
    /// The one that the agent has handed to its listener.
    offered: Option<Token>,
    /// When a renewal of a token that a text has made was last on its way.
    renewing_at: Moment,
    is_stopping: Option<Moment>,
    /// How many asked this life to end.
    signals: usize,
    has_ended: bool,
    /// The leases that a life has named while it ran, for the next one and for others.
    named: Option<LeftLeases>,
    /// The accessors that this life has named while it ran.
    told: Option<Vec<String>>,
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
        let kind = Kind::new(seed, &mut chance);
        let starts_a_program = kind.starts_a_program(&mut chance);
        Self {
            agent: agent(
                &mut chance,
                (&[], false),
                None,
                (kind, starts_a_program),
                now,
            ),
            kind,
            starts_a_program,
            chance,
            vault: Vault::new(kind.lasts),
            promises: Promises::default(),
            now,
            running: Vec::new(),
            ledger: Vec::new(),
            unwritten: Vec::new(),
            lost: Vec::new(),
            is_endangered: false,
            holds: None,
            guarded_since: None,
            held: Vec::new(),
            own: String::new(),
            offered: None,
            renewing_at: now.moment,
            is_stopping: None,
            signals: 0,
            has_ended: false,
            named: None,
            told: None,
            program: None,
            lives: 1,
            story: Vec::new(),
        }
    }

    pub(crate) fn broken_promise(&self) -> Option<&str> {
        self.promises.broken()
    }

    /// The latest events.
    pub(crate) fn story(&self) -> String {
        let from = self.story.len().saturating_sub(400);
        self.story[from..].join("\n")
    }

    /// One thing happens.
    pub(crate) fn step(&mut self, coverage: &mut Coverage) {
        let rarely = if self.kind.lasts { 20 } else { 1 };
        if self.has_ended || self.chance.once_in(400 * rarely) {
            self.begin_another_life();
        }
        if self.chance.once_in(300) {
            self.vault.lose_one(&mut self.chance, self.now.moment);
        }
        let input = match self.chance.below(100) {
            0 if self.chance.once_in(2 * rarely) => Input::Quit,
            0 if self.chance.once_in(rarely) => Input::Terminate,
            drawn => match self.program_end() {
                Some(end) => Input::ChildEnded(end),
                None => self.drawn(drawn),
            },
        };
        self.feed(input, coverage);
        // The driver wakes the agent at the moment it asked for.
        self.feed(Input::Timeout, coverage);
        self.check();
    }

    /// The input that a number below 100 stands for.
    fn drawn(&mut self, number: usize) -> Input {
        match number {
            99 if self.chance.once_in(8) => Input::NewCredentials,
            98 if !self.kind.wraps && self.chance.once_in(4) => {
                Input::Reloaded(reloaded(&mut self.chance, self.starts_a_program))
            }
            94..98 if self.offered.is_some() => self.proxied(),
            1..60 if !self.running.is_empty() => {
                let index = self.chance.below(self.running.len());
                let command = self.running.swap_remove(index);
                self.answer(command)
            }
            _ => {
                self.pass();
                Input::Timeout
            }
        }
    }

    fn program_end(&mut self) -> Option<ChildEnd> {
        let ends = match self.program? {
            Program::Missing => true,
            Program::Running => self.chance.once_in(300),
            Program::Told => self.chance.once_in(20),
            Program::Killed => self.chance.below(10) > 0,
        };
        if !ends {
            return None;
        }
        self.promises.program_runs = false;
        let message = "no such file".to_owned();
        Some(match self.program.take() {
            Some(Program::Missing) => ChildEnd::NotStarted { message },
            Some(Program::Killed) => ChildEnd::Signal(9),
            _ => ChildEnd::Code(self.chance.pick(&[0, 3])),
        })
    }

    /// Somebody asks the listener for a lease. A Vault that is behind the others does not know the token yet.
    fn proxied(&mut self) -> Input {
        let own = self.offered.as_ref().unwrap();
        let (token, now) = (own.secret.expose(), self.now.moment);
        let is_behind = self.chance.once_in(6);
        if is_behind || self.vault.lease(token, &mut self.chance, now).is_err() {
            return Input::TokenRefused { token: own.id };
        }
        Input::Granted
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
        let name = name(&input);
        let phase = self.phase();
        coverage.count(name, phase);
        if is_unresolved(&input) {
            coverage.count("Unresolved", phase);
        }
        if ["Terminate", "Quit"].contains(&name) {
            self.is_stopping.get_or_insert(self.now.moment);
        }
        self.signals += usize::from(name == "Terminate");
        if name != "Timeout" {
            self.story.push(format!("{:?} {input:?}", self.now.moment));
        }
        self.hear(&input);
        self.promises.takes_over(name == "Reloaded");
        let phase = self.phase();
        self.agent.handle(input, self.now);
        while let Some(command) = self.agent.poll_command() {
            self.story
                .push(format!("{:?}   {command:?}", self.now.moment));
            let is_over = self.is_stopping.is_some();
            coverage.count(
                command_name(&command),
                if is_over { "stopping" } else { phase },
            );
            self.promises.see(&command, self.now.moment);
            self.start(command);
        }
    }

    fn phase(&self) -> &'static str {
        match (self.is_stopping, self.agent.is_ready()) {
            (Some(_), _) => "stopping",
            (None, true) => "ready",
            (None, false) => "starting",
        }
    }

    /// Notes what the agent is about to hear of its tokens.
    fn hear(&mut self, input: &Input) {
        match input {
            Input::LoggedIn {
                result: Ok(login),
                ticket,
            } => {
                self.holds = Some(ticket.token);
                login.token.expose().clone_into(&mut self.own);
                self.held.push(self.own.clone());
                self.guarded_since = None;
                self.is_endangered = false;
            }
            Input::TokenRenewed {
                ticket,
                result: Ok(grant),
            } if self.holds == Some(ticket.token) => {
                self.guarded_since = (grant.ttl() == GUARD).then_some(ticket.sent);
                self.is_endangered = false;
            }
            Input::Answered {
                result: Ok(Answer::Secret(Some(secret))),
                ..
            } => {
                // A token that nobody can revoke has no accessor.
                let made = secret.auth().filter(|auth| is_of_us(auth));
                let made = made.filter(|auth| !auth.accessor.is_empty());
                let token = made.and_then(|auth| auth.client_token.as_str());
                self.held.extend(token.map(str::to_owned));
            }
            _ => {}
        }
    }

    fn start(&mut self, command: Command) {
        match command {
            Command::Exit { code, report } => {
                self.check_end(&report);
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
                self.unwritten.clear();
                self.named = None;
            }
            Command::Forget { tokens } => self.forget(&tokens),
            Command::LogIn { .. } => {
                self.check_danger();
                self.holds = None;
                self.running.push(command);
            }
            Command::StartChild { variables } => {
                for (_, value) in &variables {
                    self.check_remembered(value);
                }
                let is_missing = self.chance.once_in(6);
                self.program = Some(if is_missing {
                    Program::Missing
                } else {
                    Program::Running
                });
            }
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
            Command::Report(report) => {
                self.told = Some(report.unrevoked.clone());
                self.named = Some(named(report));
            }
            Command::Offer { token, .. } => self.offered = Some(token),
            Command::Log(_) | Command::Exchange { .. } | Command::AnnounceReady => {}
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
            | Command::RevokeLease { .. }) => {
                self.check_command(&command);
                self.running.push(command);
            }
        }
    }

    /// A token that lives stands in the ledger.
    fn forget(&mut self, tokens: &[SecretText]) {
        let now = self.now.moment;
        if tokens.iter().any(|it| self.vault.knows(it.expose(), now)) {
            self.promises
                .breaks("a token that lives is left out of the ledger");
        }
        self.ledger.retain(|left| !tokens.contains(&left.secret));
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
        // All that a killed agent has named is looked for, and then everything that it left is called gone.
        self.check_last_word();
        self.promises.new_life();
        self.holds = None;
        self.offered = None;
        self.told = None;
        self.guarded_since = None;
        let left = self.ledger.iter();
        let left = left.map(|left| left.secret.expose().to_owned()).collect();
        for token in std::mem::replace(&mut self.held, left) {
            if !self.held.contains(&token) {
                self.vault.disown(&token);
            }
        }
        self.starts_a_program = self.kind.starts_a_program(&mut self.chance);
        let kind = (self.kind, self.starts_a_program);
        let named = self.named.clone();
        self.lost.clone_from(&self.unwritten);
        let left = (self.ledger.as_slice(), !self.lost.is_empty());
        self.agent = agent(&mut self.chance, left, named, kind, self.now);
        self.is_stopping = None;
        self.signals = 0;
        self.has_ended = false;
        self.program = None;
    }
}

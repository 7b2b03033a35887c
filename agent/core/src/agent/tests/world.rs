//! An agent and a clock; commands are read as sentences.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, SystemTime};

use planescape_agent_contract::{Config, Overrides, Report, Tree};
use planescape_templates::{Answer, Request};
use planescape_vault::mount::Mount;
use planescape_vault::{Call, Error, Grant, Login, Refusal, Secret, SecretText};

use crate::agent::{Agent, Start};
use crate::clock::{Moment, Now};
use crate::command::{Command, Destination, Notice};
use crate::failure::Failure;
use crate::input::Input;
use crate::living::LeftToken;
use crate::token::{Ticket, TokenId};
use crate::verdict::ExitCode;

pub(super) const DATABASE: &str =
    r#"{{ with secret "database/creds/ro" }}{{ .Data.username }}{{ end }}"#;
pub(super) const NOTHING: [&str; 0] = [];
pub(super) const CREDENTIALS: &str = r#"{"lease_id":"database/creds/ro/1","lease_duration":90,
    "renewable":true,"data":{"username":"v-1","password":"p-1"}}"#;

pub(super) fn denied(message: &str, code: u16) -> Failure {
    Error::Refused(Refusal::new(code, message.to_owned(), None)).into()
}

pub(super) fn nameless() -> Failure {
    Failure::Vault(Error::Unresolved {
        address: "vault:8200".to_owned(),
        message: "no name server has answered within 8 s".to_owned(),
    })
}

pub(super) fn down() -> Failure {
    Failure::Vault(Error::Unreachable {
        address: "vault:8200".to_owned(),
        message: "connection refused".to_owned(),
    })
}

pub(super) fn left(token: &str) -> LeftToken {
    LeftToken {
        secret: SecretText::new(token.to_owned()),
        accessor: format!("accessor of {token}"),
        namespace: None,
        lasts: None,
        is_written: true,
    }
}

pub(super) struct World {
    pub(super) agent: Agent,
    pub(super) now: Now,
    pub(super) pending: Vec<Command>,
    /// The notices since the last look.
    pub(super) notices: Vec<Notice>,
    /// The termination message while the agent runs.
    pub(super) report: Option<Report>,
    /// Whether the ledger was emptied.
    pub(super) has_forgotten: bool,
    pub(super) keeps_cache: bool,
    tickets: BTreeMap<String, Ticket>,
    revoking: VecDeque<TokenId>,
}

impl World {
    pub(super) fn new(templates: &[&str]) -> Self {
        Self::build(templates, |_| {})
    }

    pub(super) fn with(change: impl FnOnce(&mut Start)) -> Self {
        Self::build(&["static"], change)
    }

    pub(super) fn build(templates: &[&str], change: impl FnOnce(&mut Start)) -> Self {
        let blocks: Vec<String> = (0..templates.len())
            .map(|n| format!("template {{ contents = \"x\" destination = \"/{n}\" }}"))
            .collect();
        let text = format!(
            r#"
            auto_auth {{ method "kubernetes" {{ config {{ role = "reader" }} }} }}
            template_config {{ exit_on_retry_failure = true }}
            planescape {{ revoke_on_exit = true give_up_after = "30s" exit_on_refusal = true }}
            {}"#,
            blocks.join("\n")
        );
        let config = Config::new(&[Tree::parse(&text).unwrap()], &Overrides::default()).unwrap();
        let mut start = Start {
            config,
            texts: templates.iter().map(|t| t.as_bytes().to_vec()).collect(),
            variables: BTreeMap::new(),
            left_tokens: Vec::new(),
            left_orphans: Vec::new(),
            has_unread_ledger: false,
            left_leases: None,
            seed: 1,
        };
        change(&mut start);
        let now = Now {
            moment: Moment::since_boot(Duration::from_secs(1000)),
            wall: SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000),
        };
        let mut world = Self {
            agent: Agent::new(start, now).unwrap(),
            now,
            pending: Vec::new(),
            notices: Vec::new(),
            report: None,
            has_forgotten: false,
            keeps_cache: false,
            tickets: BTreeMap::new(),
            revoking: VecDeque::new(),
        };
        world.feed(Input::Timeout);
        world
    }

    /// An agent that rendered everything, with a token of an hour and leases of 90 s.
    pub(super) fn ready(templates: &[&str]) -> Self {
        Self::ready_with(templates, |_| {})
    }

    /// The same with other settings.
    pub(super) fn ready_with(templates: &[&str], change: impl FnOnce(&mut Start)) -> Self {
        let mut world = Self::build(templates, change);
        world.get_ready(CREDENTIALS);
        world
    }

    /// Logs in, and renders everything from one answer.
    pub(super) fn get_ready(&mut self, answer: &str) {
        self.step();
        self.log_in("t1", 3600);
        for _ in 0..10 {
            for command in self.step() {
                if command.starts_with("find mount") {
                    self.find_mount("database/creds/ro", "database");
                } else if command.starts_with("get") {
                    self.answer("database/creds/ro", answer);
                } else if command.starts_with("write") {
                    self.written();
                }
            }
        }
        assert!(self.agent.is_ready());
        self.notices.clear();
    }

    /// A ready agent whose token `t1`, near its maximum, was replaced by `t2`; `t1` has 179 s left.
    pub(super) fn with_a_replaced_token() -> Self {
        let mut world = Self::ready(&["static"]);
        world.come_near_the_maximum();
        world.log_in("t2", 3600);
        world.step();
        world
    }

    /// The token of an hour is renewed for ten minutes, which is its maximum, and the next login begins.
    pub(super) fn come_near_the_maximum(&mut self) {
        self.pass(Duration::from_secs(2530));
        self.step();
        self.renew_token(600);
        self.pass(Duration::from_secs(421));
        self.step();
    }

    /// Logs in, and gets what the template asks the database for.
    pub(super) fn read_credentials(&mut self) {
        self.step();
        self.log_in("t1", 3600);
        self.read_for_the_login();
    }

    /// The same after a login.
    pub(super) fn read_for_the_login(&mut self) {
        self.step();
        self.find_mount("database/creds/ro", "database");
        self.step();
        self.answer("database/creds/ro", CREDENTIALS);
        self.step();
    }

    /// An init run that has rendered with `t1`, after a life that left this token.
    pub(super) fn rendered_beside(token: &str) -> Self {
        let mut world = Self::build(&[DATABASE], |start| {
            start.config.exit_after_auth = true;
            start.left_tokens.push(left(token));
        });
        world.read_credentials();
        world.written();
        world
    }

    pub(super) fn feed(&mut self, input: Input) {
        self.agent.handle(input, self.now);
    }

    /// Lets time pass and wakes the agent only if it asked for it.
    pub(super) fn pass(&mut self, duration: Duration) {
        self.now.moment = self.now.moment + duration;
        self.now.wall += duration;
        if self
            .agent
            .poll_timeout()
            .is_some_and(|(at, _)| at <= self.now.moment)
        {
            self.feed(Input::Timeout);
        }
    }

    /// Lets so much time pass, and then the whole way out.
    pub(super) fn pass_until_ended(&mut self, duration: Duration) {
        self.pass(duration);
        self.pass(Duration::from_secs(20));
    }

    /// The commands that are due. Passes over templates are run, log lines put aside.
    pub(super) fn step(&mut self) -> Vec<String> {
        self.pending.clear();
        while let Some(command) = self.agent.poll_command() {
            match command {
                Command::Log(notice) => self.notices.push(notice),
                Command::Report(report) => self.report = Some(report),
                Command::ForgetAll { keeps_cache } => {
                    self.has_forgotten = true;
                    self.keeps_cache = keeps_cache;
                }
                Command::Render {
                    template,
                    rendering,
                } => self.feed(Input::Rendered {
                    template,
                    result: rendering.run(),
                }),
                command => {
                    self.note(&command);
                    self.pending.push(command);
                }
            }
        }
        self.pending.iter().map(describe).collect()
    }

    fn note(&mut self, command: &Command) {
        let (key, ticket) = match command {
            Command::LogIn { ticket } => ("login".to_owned(), ticket),
            Command::RenewToken { ticket, .. } => ("renewal".to_owned(), ticket),
            Command::LookUpToken { ticket, .. } => ("lookup".to_owned(), ticket),
            Command::FindMount { ticket, path, .. } => (format!("mount {path}"), ticket),
            Command::Read {
                ticket, request, ..
            } => (format!("read {}", request.path()), ticket),
            Command::RenewLease { ticket, .. } => ("lease".to_owned(), ticket),
            Command::Revoke { token } => return self.revoking.push_back(token.id),
            _ => return,
        };
        self.tickets.insert(key, *ticket);
    }

    /// The ticket of the latest such command.
    pub(super) fn ticket(&self, key: &str) -> Ticket {
        let login = self.tickets.get("login");
        let unasked = Ticket {
            token: login.map_or(TokenId(99), |ticket| ticket.token),
            sent: self.now.moment,
        };
        self.tickets.get(key).copied().unwrap_or(unasked)
    }

    /// The texts of all warnings about templates since the last look.
    pub(super) fn warnings(&mut self) -> Vec<Vec<String>> {
        let notices = std::mem::take(&mut self.notices);
        let warnings = notices.into_iter().filter_map(|notice| match notice {
            Notice::RenderWarned { warnings, .. } => Some(warnings),
            _ => None,
        });
        let texts = warnings.map(|all| all.iter().map(ToString::to_string).collect());
        texts.collect()
    }

    pub(super) fn exit(&mut self) -> (ExitCode, Report) {
        self.step();
        match self.pending.pop() {
            Some(Command::Exit { code, report }) => (code, report),
            other => panic!("{other:?} instead of an exit"),
        }
    }

    pub(super) fn log_in(&mut self, token: &str, ttl: u64) {
        self.log_in_with(|login| {
            login.token = SecretText::new(token.to_owned());
            login.accessor = format!("accessor of {}", token.len());
            login.grant = grant(ttl);
        });
    }

    /// The login's answer, with what differs from a usual token of an hour.
    pub(super) fn log_in_with(&mut self, change: impl FnOnce(&mut Login)) {
        let mut login = Login {
            token: SecretText::new("t1".to_owned()),
            accessor: "a1".to_owned(),
            grant: grant(3600),
            has_limited_uses: false,
            request: String::new(),
        };
        change(&mut login);
        self.feed(Input::LoggedIn {
            ticket: self.ticket("login"),
            result: Ok(login),
        });
    }

    pub(super) fn fail_login(&mut self, failure: &Failure) {
        self.feed(Input::LoggedIn {
            ticket: self.ticket("login"),
            result: Err(failure.clone()),
        });
    }

    pub(super) fn find_mount(&mut self, path: &str, kind: &str) {
        let mount = path.split('/').next().unwrap_or_default();
        self.feed(Input::MountFound {
            ticket: self.ticket(&format!("mount {path}")),
            path: path.to_owned(),
            result: Ok(Mount::new(&format!("{mount}/"), kind, "1")),
        });
    }

    pub(super) fn fail_mount(&mut self, path: &str, failure: &Failure) {
        self.feed(Input::MountFound {
            ticket: self.ticket(&format!("mount {path}")),
            path: path.to_owned(),
            result: Err(failure.clone()),
        });
    }

    pub(super) fn answer(&mut self, path: &str, body: &str) {
        self.feed(Input::Answered {
            ticket: self.ticket(&format!("read {path}")),
            request: read(path),
            result: Ok(secret(body)),
        });
    }

    pub(super) fn empty(&mut self, path: &str) {
        self.feed(Input::Answered {
            ticket: self.ticket(&format!("read {path}")),
            request: read(path),
            result: Ok(Answer::Secret(None)),
        });
    }

    pub(super) fn fail(&mut self, path: &str, failure: &Failure) {
        self.feed(Input::Answered {
            ticket: self.ticket(&format!("read {path}")),
            request: read(path),
            result: Err(failure.clone()),
        });
    }

    pub(super) fn renew_lease(&mut self, ttl: u64) {
        self.feed(Input::LeaseRenewed {
            ticket: self.ticket("lease"),
            request: read("database/creds/ro"),
            result: Ok(grant(ttl)),
        });
    }

    pub(super) fn fail_lease(&mut self, failure: &Failure) {
        self.feed(Input::LeaseRenewed {
            ticket: self.ticket("lease"),
            request: read("database/creds/ro"),
            result: Err(failure.clone()),
        });
    }

    pub(super) fn renew_token(&mut self, ttl: u64) {
        self.feed(Input::TokenRenewed {
            ticket: self.ticket("renewal"),
            result: Ok(grant(ttl)),
        });
    }

    pub(super) fn fail_token(&mut self, failure: &Failure) {
        self.feed(Input::TokenRenewed {
            ticket: self.ticket("renewal"),
            result: Err(failure.clone()),
        });
    }

    pub(super) fn look_up(&mut self, result: Result<(), Failure>) {
        self.feed(Input::TokenLookedUp {
            ticket: self.ticket("lookup"),
            result,
        });
    }

    /// The result of the revocation that was asked for first.
    pub(super) fn revoked(&mut self, result: Result<(), Failure>) {
        let token = self.revoking.pop_front().unwrap_or(TokenId(99));
        self.feed(Input::Revoked { token, result });
    }

    pub(super) fn lease_revoked(&mut self, lease_id: &str, result: Result<(), Failure>) {
        let lease_id = lease_id.to_owned();
        self.feed(Input::LeaseRevoked { lease_id, result });
    }

    pub(super) fn written(&mut self) {
        for command in std::mem::take(&mut self.pending) {
            if let Command::Write { destination, .. } = command {
                self.feed(Input::Written {
                    destination,
                    result: Ok(true),
                });
            }
        }
    }
}

pub(super) fn secret(body: &str) -> Answer {
    Answer::Secret(Some(Secret::from_json(body.as_bytes()).unwrap()))
}

pub(super) fn read(path: &str) -> Request {
    Request::Read {
        path: path.to_owned(),
    }
}

pub(super) fn grant(seconds: u64) -> Grant {
    Grant::new(Duration::from_secs(seconds), true)
}

fn describe(command: &Command) -> String {
    match command {
        Command::LogIn { .. } => "log in".to_owned(),
        Command::Remember { token, .. } => format!("remember {}", token.secret.expose()),
        Command::Forget { tokens } => {
            let tokens = tokens.iter().map(SecretText::expose);
            format!("forget {}", tokens.collect::<Vec<_>>().join(" "))
        }
        Command::RenewToken {
            token, increment, ..
        } => {
            let length = increment.map(|it| format!(" for {it:?}"));
            format!(
                "renew token {}{}",
                token.expose(),
                length.unwrap_or_default()
            )
        }
        Command::LookUpToken { token, .. } => format!("look up {}", token.expose()),
        Command::FindMount { path, token, .. } => {
            format!("find mount of {path} as {}", token.expose())
        }
        Command::Read { call, token, .. } => match call {
            Call::Get { path, .. } => format!("get {path} as {}", token.expose()),
            Call::List { path } => format!("list {path} as {}", token.expose()),
            Call::Put { path, .. } => format!("put {path} as {}", token.expose()),
        },
        Command::ReadFile { path, .. } => format!("read file {path}"),
        Command::CheckFile { template } => format!("check file {template}"),
        Command::RenewLease {
            lease_id, token, ..
        } => format!("renew lease {lease_id} as {}", token.expose()),
        Command::RenewMade(made) => format!("renew {} itself", made.token.expose()),
        Command::Render { template, .. } => format!("render template {template}"),
        Command::Write {
            destination: Destination::Template(index),
            contents,
            ..
        } => format!(
            "write template {index}: {}",
            String::from_utf8_lossy(contents)
        ),
        Command::Write {
            destination: Destination::Sink(index),
            contents,
            ..
        } => format!("write sink {index}: {}", String::from_utf8_lossy(contents)),
        Command::Offer { token, .. } => format!("offer {}", token.secret.expose()),
        Command::Exchange { gone, new } => {
            let new: Vec<usize> = new.iter().map(|(number, _)| *number).collect();
            format!("exchange {gone:?} for {new:?}")
        }
        Command::RunHook { file, .. } => format!("run the hook of template {file}"),
        Command::StartChild { variables } => {
            let names: Vec<&str> = variables.iter().map(|(name, _)| name.as_str()).collect();
            format!("start the program with {}", names.join(" "))
        }
        Command::SignalChild { signal } => match signal {
            Some(signal) => format!("signal {}", signal.number()),
            None => "kill".to_owned(),
        },
        Command::AnnounceReady => "announce ready".to_owned(),
        Command::Report(report) => format!("report {}", report.reason),
        Command::Revoke { token } => format!("revoke {}", token.secret.expose()),
        Command::RevokeLease { lease_id, .. } => format!("revoke {lease_id}"),
        Command::ForgetAll { keeps_cache: false } => "forget all".to_owned(),
        Command::ForgetAll { keeps_cache: true } => "forget all but the cache".to_owned(),
        Command::Log(notice) => format!("log {notice:?}"),
        Command::Exit { code, report } => format!("exit {code:?} {}", report.reason),
    }
}

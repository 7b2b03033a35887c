use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use planescape_agent_config::{Config, Overrides, SecretText, Tree};
use planescape_templates::mount::Mount;
use planescape_templates::{Answer, Secret};

use super::*;
use crate::command::Call;
use crate::input::Grant;

const DATABASE: &str = r#"{{ with secret "database/creds/ro" }}{{ .Data.username }}{{ end }}"#;

#[test]
fn one_login_one_read_one_file() {
    let mut world = World::new(&[DATABASE]);

    assert_eq!(world.step(), ["log in"]);
    world.log_in("t1", 3600);
    assert_eq!(world.step(), ["find mount of database/creds/ro as t1"]);
    world.find_mount("database/creds/ro", "database");
    assert_eq!(world.step(), ["get database/creds/ro as t1"]);
    world.answer("database/creds/ro", CREDENTIALS);
    assert_eq!(world.step(), ["write template 0: v-1"]);
    assert!(!world.agent.is_ready());
    world.written();
    assert_eq!(world.step(), ["announce ready"]);
    assert!(world.agent.is_ready());
}

#[test]
fn renews_the_lease_at_two_thirds_and_reads_nothing_again() {
    let mut world = World::ready(&[DATABASE]);

    world.pass(Duration::from_secs(55));
    assert_eq!(world.step(), NOTHING);
    world.pass(Duration::from_secs(10));
    assert_eq!(world.step(), ["renew lease database/creds/ro/1 as t1"]);
    world.renew_lease(90);
    assert_eq!(world.step(), NOTHING);
}

#[test]
fn reads_again_when_the_maximum_is_near() {
    let mut world = World::ready(&[DATABASE]);
    world.pass(Duration::from_secs(65));
    world.step();

    world.renew_lease(30);
    world.pass(Duration::from_secs(22));

    assert_eq!(world.step(), ["get database/creds/ro as t1"]);
    world.answer("database/creds/ro", &CREDENTIALS.replace("v-1", "v-2"));
    assert_eq!(world.step(), ["write template 0: v-2"]);
}

#[test]
fn a_lease_that_vault_forgot_is_replaced_at_once() {
    let mut world = World::ready(&[DATABASE]);
    world.pass(Duration::from_secs(65));
    world.step();

    world.fail_lease(&denied("lease not found", 400));

    assert_eq!(world.step(), ["get database/creds/ro as t1"]);
}

#[test]
fn a_lease_that_cannot_be_renewed_now_is_tried_again() {
    let mut world = World::ready(&[DATABASE]);
    world.pass(Duration::from_secs(65));
    world.step();

    world.fail_lease(&down());
    assert_eq!(world.step(), NOTHING);
    world.pass(Duration::from_millis(250));

    assert_eq!(world.step(), ["renew lease database/creds/ro/1 as t1"]);
}

#[test]
fn logs_in_again_when_the_token_is_lost_and_replaces_what_it_leased() {
    let mut world = World::ready(&[DATABASE]);
    world.pass(Duration::from_secs(65));
    world.step();

    world.fail_lease(&denied(
        "2 errors occurred: * permission denied * invalid token",
        403,
    ));
    assert_eq!(world.step(), ["log in"]);
    world.log_in("t2", 3600);

    assert_eq!(world.step(), ["get database/creds/ro as t2"]);
}

#[test]
fn renews_the_token_and_replaces_it_near_its_maximum() {
    let mut world = World::ready(&["static"]);

    world.pass(Duration::from_secs(2530));
    assert_eq!(world.step(), ["renew token t1"]);
    world.renew_token(600);
    world.pass(Duration::from_secs(421));
    assert_eq!(world.step(), ["log in"]);
}

#[test]
fn both_tokens_are_revoked_at_the_end() {
    let mut world = World::ready(&["static"]);
    world.pass(Duration::from_secs(2530));
    world.step();
    world.renew_token(600);
    world.pass(Duration::from_secs(421));
    world.step();
    world.log_in("t2", 3600);
    world.step();

    world.feed(Input::Terminate);
    assert_eq!(world.step(), ["revoke t1"]);
    world.feed(Input::Revoked(Ok(())));
    assert_eq!(world.step(), ["revoke t2"]);
    world.feed(Input::Revoked(Ok(())));
    assert_eq!(world.step(), ["exit Done Revoked"]);
}

#[test]
fn a_token_that_an_earlier_life_left_is_revoked_too() {
    let mut world = World::with(|start| {
        start.left_token = Some(SecretText::new("t0".to_owned()));
    });

    world.step();
    world.feed(Input::Terminate);
    world.log_in("t1", 3600);

    assert_eq!(world.step(), ["revoke t0"]);
    world.feed(Input::Revoked(Err(denied("invalid token", 403))));
    assert_eq!(world.step(), ["revoke t1"]);
}

#[test]
fn an_end_during_the_login_waits_for_its_token_and_revokes_it() {
    let mut world = World::new(&[DATABASE]);
    world.step();

    world.feed(Input::Terminate);
    assert_eq!(world.step(), NOTHING);
    world.log_in("t1", 3600);

    assert_eq!(world.step(), ["revoke t1"]);
}

#[test]
fn an_end_during_a_read_waits_for_its_lease() {
    let mut world = World::new(&[DATABASE]);
    world.step();
    world.log_in("t1", 3600);
    world.step();
    world.find_mount("database/creds/ro", "database");
    world.step();

    world.feed(Input::Terminate);
    assert_eq!(world.step(), NOTHING);
    world.answer("database/creds/ro", CREDENTIALS);

    assert_eq!(world.step(), ["revoke t1"]);
}

#[test]
fn revocation_is_tried_until_the_grace_ends() {
    let mut world = World::ready(&["static"]);
    world.feed(Input::Terminate);
    world.step();

    world.feed(Input::Revoked(Err(down())));
    assert_eq!(world.step(), NOTHING);
    world.pass(Duration::from_millis(250));
    assert_eq!(world.step(), ["revoke t1"]);
    world.pass(Duration::from_secs(20));

    assert_eq!(world.step(), ["exit Unavailable RevokeFailed"]);
}

#[test]
fn a_second_signal_ends_at_once() {
    let mut world = World::ready(&["static"]);
    world.feed(Input::Terminate);
    world.step();

    world.feed(Input::Terminate);

    assert_eq!(world.step(), ["exit Interrupted Interrupted"]);
    world.feed(Input::Revoked(Ok(())));
    assert_eq!(world.step(), NOTHING);
}

#[test]
fn a_refused_login_is_believed_at_the_third_time_and_reported() {
    let mut world = World::new(&["static"]);

    for _ in 0..2 {
        assert_eq!(world.step(), ["log in"]);
        world.feed(Input::LoggedIn(Err(denied("permission denied", 403))));
        assert_eq!(world.step(), NOTHING);
        world.pass(Duration::from_secs(3));
    }
    world.step();
    world.feed(Input::LoggedIn(Err(denied("permission denied", 403))));

    let (code, report) = world.exit();
    assert_eq!(code, ExitCode::Denied);
    assert_eq!(
        report,
        Report {
            message: Some("vault answered 403: permission denied".to_owned()),
            role: Some("reader".to_owned()),
            path: Some("auth/kubernetes/login".to_owned()),
            status: Some(403),
            ..Report::new(Phase::Login, "LoginDenied")
        }
    );
}

#[test]
fn a_denied_path_is_reported_and_the_token_revoked() {
    let mut world = World::new(&[DATABASE]);
    world.step();
    world.log_in("t1", 3600);
    for wait in [250, 500, 0] {
        world.step();
        world.find_mount("database/creds/ro", "database");
        world.step();
        world.fail("database/creds/ro", &denied("permission denied", 403));
        world.pass(Duration::from_millis(wait));
    }

    assert_eq!(world.step(), ["revoke t1"]);
    world.feed(Input::Revoked(Ok(())));
    let (code, report) = world.exit();
    assert_eq!(code, ExitCode::Denied);
    assert_eq!(report.reason, "PermissionDenied");
    assert_eq!(report.path.as_deref(), Some("database/creds/ro"));
    assert_eq!(report.status, Some(403));
}

#[test]
fn a_vault_that_is_down_is_waited_for_until_the_limit() {
    let mut world = World::new(&["static"]);
    world.step();
    world.feed(Input::LoggedIn(Err(down())));

    world.pass(Duration::from_secs(20));
    assert_eq!(world.step(), ["log in"]);
    world.feed(Input::LoggedIn(Err(down())));
    world.pass(Duration::from_secs(10));

    let (code, report) = world.exit();
    assert_eq!(code, ExitCode::Unavailable);
    assert_eq!(report.reason, "Unreachable");
}

#[test]
fn without_our_own_settings_a_refused_login_is_tried_for_ever() {
    let mut world = World::with(|start| start.config.planescape = Planescape::default());

    for _ in 0..50 {
        assert_eq!(world.step(), ["log in"]);
        world.feed(Input::LoggedIn(Err(denied("permission denied", 403))));
        world.pass(Duration::from_secs(300));
    }
}

#[test]
fn failures_after_everything_was_rendered_do_not_end_the_agent() {
    let mut world = World::ready(&[DATABASE]);
    world.pass(Duration::from_secs(65));
    world.step();
    world.fail_lease(&denied("lease not found", 400));

    for _ in 0..30 {
        world.step();
        world.fail("database/creds/ro", &denied("permission denied", 403));
        world.pass(Duration::from_secs(60));
    }

    assert_eq!(world.step(), ["get database/creds/ro as t1"]);
}

#[test]
fn ends_after_everything_is_rendered_if_told_so_and_keeps_the_token() {
    let mut world = World::with(|start| start.config.exit_after_auth = true);
    world.step();
    world.log_in("t1", 3600);
    world.step();
    world.written();

    assert_eq!(world.step(), ["announce ready", "exit Done Rendered"]);
}

#[test]
fn a_template_that_does_not_fit_its_secret_is_reported() {
    let mut world = World::new(&[r#"{{ with secret "kv/a" }}{{ .Data.x.y }}{{ end }}"#]);
    world.step();
    world.log_in("t1", 3600);
    world.step();
    world.find_mount("kv/a", "kv");
    world.step();
    world.answer("kv/a", r#"{"data":{"password":"s3cr3t"}}"#);

    assert_eq!(world.step(), ["revoke t1"]);
    world.feed(Input::Revoked(Ok(())));
    let (code, report) = world.exit();
    assert_eq!(code, ExitCode::Template);
    assert_eq!(report.reason, "TemplateFailed");
    assert!(!format!("{report:?}").contains("s3cr3t"));
}

#[test]
fn a_function_that_we_do_not_have_yet_is_named() {
    let mut world =
        World::new(&[r#"{{ with pkiCert "pki/issue/web" "common_name=a" }}x{{ end }}"#]);
    world.step();
    world.log_in("t1", 3600);
    world.step();
    world.feed(Input::Revoked(Ok(())));

    let (code, report) = world.exit();
    assert_eq!(code, ExitCode::Template);
    assert!(report.message.unwrap().contains("pkiCert is not supported"));
}

#[test]
fn two_templates_share_one_read() {
    let mut world = World::new(&[DATABASE, DATABASE]);
    world.step();
    world.log_in("t1", 3600);
    world.step();
    world.find_mount("database/creds/ro", "database");

    assert_eq!(world.step(), ["get database/creds/ro as t1"]);
    world.answer("database/creds/ro", CREDENTIALS);
    assert_eq!(
        world.step(),
        ["write template 0: v-1", "write template 1: v-1"]
    );
}

#[test]
fn no_debug_output_shows_a_token_or_a_value() {
    let mut world = World::new(&[DATABASE]);
    world.step();
    world.log_in("hvs.token", 3600);
    world.step();
    world.find_mount("database/creds/ro", "database");
    world.step();
    world.answer("database/creds/ro", CREDENTIALS);

    let text = format!("{:?}", world.agent);
    assert!(!text.contains("hvs.token"), "{text}");
    assert!(!text.contains("p-1"), "{text}");
}

const NOTHING: [&str; 0] = [];
const CREDENTIALS: &str = r#"{"lease_id":"database/creds/ro/1","lease_duration":90,
    "renewable":true,"data":{"username":"v-1","password":"p-1"}}"#;

fn denied(message: &str, code: u16) -> Failure {
    Failure::Status {
        code,
        message: message.to_owned(),
    }
}

fn down() -> Failure {
    Failure::Unreachable {
        message: "connection refused".to_owned(),
    }
}

/// An agent and a clock; commands are read as sentences.
struct World {
    agent: Agent,
    now: Now,
    pending: Vec<Command>,
}

impl World {
    fn new(templates: &[&str]) -> Self {
        Self::build(templates, |_| {})
    }

    fn with(change: impl FnOnce(&mut Start)) -> Self {
        Self::build(&["static"], change)
    }

    fn build(templates: &[&str], change: impl FnOnce(&mut Start)) -> Self {
        let blocks: Vec<String> = (0..templates.len())
            .map(|n| format!("template {{ contents = \"x\" destination = \"/{n}\" }}"))
            .collect();
        let text = format!(
            r#"
            auto_auth {{ method "kubernetes" {{ config {{ role = "reader" }} }} }}
            template_config {{ exit_on_retry_failure = true }}
            planescape {{ revoke_on_exit = true give_up_after = "30s" }}
            {}"#,
            blocks.join("\n")
        );
        let config = Config::new(&[Tree::parse(&text).unwrap()], &Overrides::default()).unwrap();
        let mut start = Start {
            config,
            texts: templates.iter().map(|t| t.as_bytes().to_vec()).collect(),
            variables: BTreeMap::new(),
            left_token: None,
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
        };
        world.feed(Input::Timeout);
        world
    }

    /// An agent that rendered everything, with a token of an hour and leases of 90 s.
    fn ready(templates: &[&str]) -> Self {
        let mut world = Self::new(templates);
        world.step();
        world.log_in("t1", 3600);
        for _ in 0..10 {
            for command in world.step() {
                if command.starts_with("find mount") {
                    world.find_mount("database/creds/ro", "database");
                } else if command.starts_with("get") {
                    world.answer("database/creds/ro", CREDENTIALS);
                } else if command.starts_with("write") {
                    world.written();
                }
            }
        }
        assert!(world.agent.is_ready());
        world
    }

    fn feed(&mut self, input: Input) {
        self.agent.handle(input, self.now);
    }

    /// Lets time pass and wakes the agent only if it asked for it.
    fn pass(&mut self, duration: Duration) {
        self.now.moment = self.now.moment + duration;
        self.now.wall += duration;
        if self
            .agent
            .poll_timeout()
            .is_some_and(|at| at <= self.now.moment)
        {
            self.feed(Input::Timeout);
        }
    }

    /// What the agent wants done now, log lines left out.
    fn step(&mut self) -> Vec<String> {
        self.pending = std::iter::from_fn(|| self.agent.poll_command())
            .filter(|command| !matches!(command, Command::Log(_)))
            .collect();
        self.pending.iter().map(describe).collect()
    }

    fn exit(&mut self) -> (ExitCode, Report) {
        self.step();
        match self.pending.pop() {
            Some(Command::Exit { code, report }) => (code, report),
            other => panic!("{other:?} instead of an exit"),
        }
    }

    fn log_in(&mut self, token: &str, ttl: u64) {
        self.feed(Input::LoggedIn(Ok(Login {
            token: SecretText::new(token.to_owned()),
            accessor: format!("accessor of {}", token.len()),
            grant: grant(ttl),
        })));
    }

    fn find_mount(&mut self, path: &str, kind: &str) {
        let mount = Mount::new("mount/", kind, "1");
        self.feed(Input::MountFound {
            request: read(path),
            result: Ok(Some(mount)),
        });
    }

    fn answer(&mut self, path: &str, body: &str) {
        let secret = Secret::from_json(body.as_bytes()).unwrap();
        self.feed(Input::Answered {
            request: read(path),
            result: Ok(Answer::Secret(Some(secret))),
        });
    }

    fn fail(&mut self, path: &str, failure: &Failure) {
        self.feed(Input::Answered {
            request: read(path),
            result: Err(failure.clone()),
        });
    }

    fn renew_lease(&mut self, ttl: u64) {
        self.feed(Input::LeaseRenewed {
            request: read("database/creds/ro"),
            result: Ok(grant(ttl)),
        });
    }

    fn fail_lease(&mut self, failure: &Failure) {
        self.feed(Input::LeaseRenewed {
            request: read("database/creds/ro"),
            result: Err(failure.clone()),
        });
    }

    fn renew_token(&mut self, ttl: u64) {
        self.feed(Input::TokenRenewed(Ok(grant(ttl))));
    }

    fn written(&mut self) {
        for command in std::mem::take(&mut self.pending) {
            if let Command::Write { destination, .. } = command {
                self.feed(Input::Written {
                    destination,
                    result: Ok(()),
                });
            }
        }
    }
}

fn read(path: &str) -> Request {
    Request::Read {
        path: path.to_owned(),
    }
}

fn grant(seconds: u64) -> Grant {
    Grant {
        ttl: Duration::from_secs(seconds),
        renewable: true,
    }
}

fn describe(command: &Command) -> String {
    match command {
        Command::LogIn => "log in".to_owned(),
        Command::RenewToken { token } => format!("renew token {}", token.expose()),
        Command::FindMount { request, token, .. } => {
            format!("find mount of {} as {}", request.path(), token.expose())
        }
        Command::Read { call, token, .. } => match call {
            Call::Get { path, .. } => format!("get {path} as {}", token.expose()),
            Call::List { path } => format!("list {path} as {}", token.expose()),
            Call::Put { path, .. } => format!("put {path} as {}", token.expose()),
        },
        Command::ReadFile { path, .. } => format!("read file {path}"),
        Command::RenewLease {
            lease_id, token, ..
        } => format!("renew lease {lease_id} as {}", token.expose()),
        Command::Write {
            destination: Destination::Template(index),
            contents,
        } => format!(
            "write template {index}: {}",
            String::from_utf8_lossy(contents)
        ),
        Command::Write {
            destination: Destination::Sink(index),
            contents,
        } => format!("write sink {index}: {}", String::from_utf8_lossy(contents)),
        Command::AnnounceReady => "announce ready".to_owned(),
        Command::Revoke { token } => format!("revoke {}", token.expose()),
        Command::Log(notice) => format!("log {notice:?}"),
        Command::Exit { code, report } => format!("exit {code:?} {}", report.reason),
    }
}
